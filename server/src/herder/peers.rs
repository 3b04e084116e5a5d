//! Connected peers, and what each may ask of us.

use fba_core::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A peer may ask for SCP state this often ...
const STATE_ASKS_MAX: usize = 10;
/// ... in this time.
const STATE_ASKS_WINDOW: Duration = Duration::from_secs(60);
/// A peer may ask for closed ledgers this often in a second: each answer costs up to 4 MiB of reading.
const LEDGER_ASKS_MAX: usize = 10;
const LEDGER_ASKS_WINDOW: Duration = Duration::from_secs(1);
#[derive(Clone, Debug, Default)]
struct Peer {
    state_asks: VecDeque<Duration>,
    ledger_asks: VecDeque<Duration>,
}

/// The peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    up: BTreeMap<NodeId, Peer>,
    ids: BTreeSet<NodeId>,
}

impl Peers {
    pub(crate) fn add(&mut self, peer: NodeId) {
        self.ids.insert(peer);
        self.up.insert(peer, Peer::default());
    }

    pub(crate) fn remove(&mut self, peer: NodeId) {
        self.ids.remove(&peer);
        self.up.remove(&peer);
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
        peers.add(peer);
        let at = Duration::from_secs;
        assert!((0..10).all(|second| peers.may_ask_state(at(second), peer)));
        assert!(!peers.may_ask_state(at(59), peer));
        assert!(peers.may_ask_state(at(60), peer));
        assert!(!peers.may_ask_state(at(60), NodeId([2; 32])), "a stranger may not ask");
    }
}
