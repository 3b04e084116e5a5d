//! Connected peers, and what each may ask of us.

use fba_core::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A peer may ask for SCP state this often ...
const STATE_ASKS_MAX: usize = 10;
/// ... in this time.
const STATE_ASKS_WINDOW: Duration = Duration::from_secs(60);
/// A peer may ask for closed ledgers this often in a second: one after the other over a fast link. Reading is bounded by
/// the thread that does it; this bounds what the questions cost.
const LEDGER_ASKS_MAX: usize = 100;
const LEDGER_ASKS_WINDOW: Duration = Duration::from_secs(1);
/// So many bytes at once, then so many in a second. Answers are encoded on the thread that votes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    burst: u64,
    per_second: u64,
}

/// Transaction sets and quorum sets for one peer: the largest sets of six leaders at once, then one in a second. There
/// are others to be asked.
const SETS: Rate = Rate { burst: 24 << 20, per_second: 4 << 20 };
/// Transactions for one peer: more than ten thousand a second that it got from nobody else.
const TRANSACTIONS: Rate = Rate { burst: 16 << 20, per_second: 4 << 20 };
/// What a question itself counts as, in bytes, whatever the answer.
pub(crate) const QUESTION_BYTES: usize = 1 << 10;

/// What a peer that left has used up is remembered for so long: by then every limit is as good as new ...
const REMEMBERED_FOR: Duration = STATE_ASKS_WINDOW;
/// ... of so many peers: several times the links of a node.
const REMEMBERED_MAX: usize = 1_024;

#[derive(Clone, Debug)]
struct Peer {
    state_asks: VecDeque<Duration>,
    ledger_asks: VecDeque<Duration>,
    sets: Bucket,
    transactions: Bucket,
}

impl Peer {
    fn new(now: Duration) -> Self {
        Self {
            state_asks: VecDeque::new(),
            ledger_asks: VecDeque::new(),
            sets: Bucket::full(SETS, now),
            transactions: Bucket::full(TRANSACTIONS, now),
        }
    }
}

/// A token bucket: empties by bytes, fills with time.
#[derive(Clone, Debug)]
struct Bucket {
    rate: Rate,
    left: u64,
    filled: Duration,
}

impl Bucket {
    fn full(rate: Rate, now: Duration) -> Self {
        Self { rate, left: rate.burst, filled: now }
    }

    /// Takes `bytes` out, if there are as many.
    fn take(&mut self, now: Duration, bytes: usize) -> bool {
        // In whole milliseconds, so that next to nothing is lost however often it is asked.
        let ms = u64::try_from(now.saturating_sub(self.filled).as_millis()).unwrap_or(u64::MAX);
        self.filled += Duration::from_millis(ms);
        let more = ms.saturating_mul(self.rate.per_second) / 1_000;
        self.left = self.left.saturating_add(more).min(self.rate.burst);
        let rest = self.left.checked_sub(bytes as u64);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

/// The peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    up: BTreeMap<NodeId, Peer>,
    ids: BTreeSet<NodeId>,
    /// Since when they are gone, and what they had left: a new link must not fill the buckets.
    gone: BTreeMap<NodeId, (Duration, Peer)>,
}

impl Peers {
    pub(crate) fn add(&mut self, now: Duration, peer: NodeId) {
        self.ids.insert(peer);
        let before = self.gone.remove(&peer).filter(|(since, _)| now < *since + REMEMBERED_FOR);
        self.up.insert(peer, before.map_or_else(|| Peer::new(now), |(_, left)| left));
    }

    pub(crate) fn remove(&mut self, now: Duration, peer: NodeId) {
        self.ids.remove(&peer);
        let Some(left) = self.up.remove(&peer) else { return };
        self.gone.retain(|_, (since, _)| now < *since + REMEMBERED_FOR);
        if self.gone.len() >= REMEMBERED_MAX {
            let oldest = self.gone.iter().min_by_key(|(_, (since, _))| *since).map(|(node, _)| *node);
            oldest.and_then(|oldest| self.gone.remove(&oldest));
        }
        self.gone.insert(peer, (now, left));
    }

    pub(crate) fn ids(&self) -> &BTreeSet<NodeId> {
        &self.ids
    }

    pub(crate) fn may_ask_state(&mut self, now: Duration, peer: NodeId) -> bool {
        self.up.get_mut(&peer).is_some_and(|peer| allow(&mut peer.state_asks, now, STATE_ASKS_MAX, STATE_ASKS_WINDOW))
    }

    pub(crate) fn may_ask_ledgers(&mut self, now: Duration, peer: NodeId) -> bool {
        self.up
            .get_mut(&peer)
            .is_some_and(|peer| allow(&mut peer.ledger_asks, now, LEDGER_ASKS_MAX, LEDGER_ASKS_WINDOW))
    }

    /// May `peer` have a set with so many bytes?
    pub(crate) fn may_have_set(&mut self, now: Duration, peer: NodeId, bytes: usize) -> bool {
        self.up.get_mut(&peer).is_some_and(|peer| peer.sets.take(now, QUESTION_BYTES + bytes))
    }

    /// May `peer` have transactions with so many bytes?
    pub(crate) fn may_have_transactions(&mut self, now: Duration, peer: NodeId, bytes: usize) -> bool {
        self.up.get_mut(&peer).is_some_and(|peer| peer.transactions.take(now, bytes))
    }

    /// `count` peers, others each time `turn` grows.
    pub(crate) fn some(&self, turn: u64, count: usize) -> Vec<NodeId> {
        let skip = usize::try_from(turn).unwrap_or(0).checked_rem(self.ids.len()).unwrap_or(0);
        self.ids.iter().cycle().skip(skip).take(count.min(self.ids.len())).copied().collect()
    }
}

fn allow(asks: &mut VecDeque<Duration>, now: Duration, most: usize, window: Duration) -> bool {
    while asks.front().is_some_and(|at| *at + window <= now) {
        asks.pop_front();
    }
    let allowed = asks.len() < most;
    if allowed {
        asks.push_back(now);
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_may_ask_ten_times_a_minute() {
        let (mut peers, peer) = (Peers::default(), NodeId([1; 32]));
        peers.add(Duration::ZERO, peer);
        let at = Duration::from_secs;
        assert!((0..10).all(|second| peers.may_ask_state(at(second), peer)));
        assert!(!peers.may_ask_state(at(59), peer));
        assert!(peers.may_ask_state(at(60), peer));
        assert!(!peers.may_ask_state(at(60), NodeId([2; 32])), "a stranger may not ask");
    }

    #[test]
    fn a_new_link_does_not_fill_what_the_old_one_has_used_up() {
        let (mut peers, peer) = (Peers::default(), NodeId([1; 32]));
        let at = Duration::from_secs;
        peers.add(at(0), peer);
        assert!((0..10).all(|_| peers.may_ask_state(at(1), peer)));
        assert!(peers.may_have_transactions(at(1), peer, 16 << 20));
        peers.remove(at(1), peer);
        peers.add(at(1), peer);
        assert!(!peers.may_ask_state(at(1), peer) && !peers.may_have_transactions(at(1), peer, 1));
        peers.remove(at(2), peer);
        peers.add(at(62), peer);
        assert!(peers.may_ask_state(at(62), peer) && peers.gone.is_empty());
        for n in 0..5_000u16 {
            let stranger = NodeId(std::array::from_fn(|i| n.to_be_bytes()[i % 2]));
            peers.add(at(63), stranger);
            peers.remove(at(63), stranger);
        }
        assert_eq!(peers.gone.len(), REMEMBERED_MAX);
    }

    #[test]
    fn a_peer_may_have_so_many_bytes_at_once_and_then_so_many_in_a_second() {
        let (mut peers, peer) = (Peers::default(), NodeId([1; 32]));
        peers.add(Duration::ZERO, peer);
        let set = (4 << 20) - QUESTION_BYTES;
        let had = |peers: &mut Peers, ms| {
            let now = Duration::from_millis(ms);
            (0..100).take_while(|_| peers.may_have_set(now, peer, set)).count()
        };
        assert_eq!([0, 999, 1_001, 1_500, 4_500, 100_000].map(|ms| had(&mut peers, ms)), [6, 0, 1, 0, 3, 6]);
        assert!(peers.may_have_transactions(Duration::ZERO, peer, 1), "one does not use up the other");
    }
}
