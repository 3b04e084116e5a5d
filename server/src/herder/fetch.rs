//! Fetching by hash: quorum sets and transaction sets that statements name. One peer at a time is asked, each for a
//! while, as long as a statement waits for the answer.

use fba_core::{Hash, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long the first peer asked has; each further one gets as much more.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest any peer gets.
const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// Most quorum sets, and most transaction sets, fetched at the same time: every node of a large network naming a new one.
const PER_KIND_MAX: usize = 1_000;
/// When there is no room, what so many requests did not bring makes room: it may be invented.
const FUTILE_AFTER: u32 = 2;
/// What found no room is wanted again after this time, as long as a statement waits for it.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How many answers may still come after their fetch is over, without being held against the sender.
const LATE_MAX: usize = 1_000;

/// Something that is known by its hash.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Item {
    QuorumSet(Hash),
    TxSet(Hash),
}

impl Item {
    /// All of the same kind.
    fn kind(self) -> RangeInclusive<Self> {
        let of: fn(Hash) -> Self = match self {
            Self::QuorumSet(_) => Self::QuorumSet,
            Self::TxSet(_) => Self::TxSet,
        };
        of(Hash([0; 32]))..=of(Hash([u8::MAX; 32]))
    }
}

#[derive(Clone, Debug)]
struct Fetch {
    /// Peers that named it: they should have it.
    hints: BTreeSet<NodeId>,
    /// Peers asked in this turn around.
    asked: BTreeSet<NodeId>,
    current: Option<NodeId>,
    deadline: Duration,
    attempts: u32,
}

/// What is being fetched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetches {
    open: BTreeMap<Item, Fetch>,
    late: BTreeSet<(NodeId, Item)>,
    /// Something found no room, or had to make room: it is to be wanted again then.
    again: Option<Duration>,
}

impl Fetches {
    /// Wants `item`, which `hint` has named.
    pub(crate) fn want(&mut self, now: Duration, item: Item, hint: impl IntoIterator<Item = NodeId>) {
        if !self.open.contains_key(&item) && !self.make_room(now, item) {
            return;
        }
        let fetch = self.open.entry(item).or_insert_with(|| Fetch {
            hints: BTreeSet::new(),
            asked: BTreeSet::new(),
            current: None,
            deadline: now,
            attempts: 0,
        });
        fetch.hints.extend(hint);
    }

    /// Room for one more of this kind, if need be in the place of the one asked for most often in vain.
    fn make_room(&mut self, now: Duration, item: Item) -> bool {
        let of_kind = || self.open.range(item.kind());
        if self.open.len() < PER_KIND_MAX || of_kind().count() < PER_KIND_MAX {
            return true;
        }
        self.again.get_or_insert(now + AGAIN_AFTER);
        let most = of_kind().max_by_key(|(_, fetch)| fetch.attempts);
        let futile = most.filter(|(_, fetch)| fetch.attempts >= FUTILE_AFTER).map(|(item, _)| *item);
        futile.is_some_and(|futile| self.open.remove(&futile).is_some())
    }

    /// Is it time to want again what found no room?
    pub(crate) fn take_again(&mut self, now: Duration) -> bool {
        self.again.take_if(|again| *again <= now).is_some()
    }

    /// Whom to ask for what, now.
    pub(crate) fn due(&mut self, now: Duration, peers: &BTreeSet<NodeId>) -> Vec<(NodeId, Item)> {
        let mut asks = Vec::new();
        for (item, fetch) in &mut self.open {
            if fetch.deadline > now {
                continue;
            }
            fetch.attempts = fetch.attempts.saturating_add(1);
            fetch.deadline = now + (PATIENCE * fetch.attempts).min(PATIENCE_MAX);
            fetch.current = next_peer(fetch, peers).or_else(|| {
                fetch.asked.clear();
                next_peer(fetch, peers)
            });
            if let Some(peer) = fetch.current {
                fetch.asked.insert(peer);
                if self.late.len() < LATE_MAX {
                    self.late.insert((peer, *item));
                }
                asks.push((peer, *item));
            }
        }
        asks
    }

    /// `peer` does not have it: on to the next one.
    pub(crate) fn dont_have(&mut self, now: Duration, peer: NodeId, hash: Hash) {
        for item in [Item::QuorumSet(hash), Item::TxSet(hash)] {
            self.late.remove(&(peer, item));
            if let Some(fetch) = self.open.get_mut(&item).filter(|fetch| fetch.current == Some(peer)) {
                fetch.hints.remove(&peer);
                fetch.current = None;
                // A whole turn of refusals waits like a silent peer does, or two nodes would ask one another all day.
                let around = fetch.asked.len() > 1 || fetch.attempts > 1;
                fetch.deadline = if around { now + PATIENCE / 4 } else { now };
            }
        }
    }

    /// `peer` sent `item`. Was it asked to?
    pub(crate) fn answered(&mut self, peer: NodeId, item: Item) -> bool {
        let wanted = self.open.remove(&item).is_some();
        self.late.remove(&(peer, item)) || wanted
    }

    /// It came by another way.
    pub(crate) fn drop_item(&mut self, item: Item) {
        self.open.remove(&item);
    }

    pub(crate) fn retain(&mut self, needed: &BTreeSet<Item>) {
        self.open.retain(|item, _| needed.contains(item));
    }

    pub(crate) fn is_open(&self, item: Item) -> bool {
        self.open.contains_key(&item)
    }

    /// A transaction set that at least `attempts` requests did not bring.
    pub(crate) fn has_starving_tx_set(&self, attempts: u32) -> bool {
        self.open.iter().any(|(item, fetch)| matches!(item, Item::TxSet(_)) && fetch.attempts >= attempts)
    }

    pub(crate) fn forget_peer(&mut self, now: Duration, peer: NodeId) {
        self.late.retain(|(of, _)| *of != peer);
        for fetch in self.open.values_mut() {
            fetch.hints.remove(&peer);
            if fetch.current == Some(peer) {
                fetch.current = None;
                fetch.deadline = now;
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.open.values().map(|fetch| fetch.deadline).chain(self.again).min()
    }
}

fn next_peer(fetch: &Fetch, peers: &BTreeSet<NodeId>) -> Option<NodeId> {
    let fresh = |peer: &&NodeId| peers.contains(*peer) && !fetch.asked.contains(*peer);
    fetch.hints.iter().find(fresh).or_else(|| peers.iter().find(fresh)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    #[test]
    fn peers_are_asked_in_turn_those_who_named_it_first() {
        let mut fetches = Fetches::default();
        let item = Item::TxSet(Hash([1; 32]));
        let peers = BTreeSet::from([node(1), node(2), node(3)]);
        fetches.want(Duration::ZERO, item, [node(3)]);
        assert_eq!(fetches.due(Duration::ZERO, &peers), [(node(3), item)]);
        assert_eq!(fetches.due(Duration::ZERO, &peers), []);
        fetches.dont_have(Duration::ZERO, node(3), Hash([1; 32]));
        assert_eq!(fetches.due(Duration::ZERO, &peers), [(node(1), item)]);
        let later = fetches.next_deadline().unwrap();
        assert_eq!(fetches.due(later, &peers), [(node(2), item)]);
        assert!(fetches.answered(node(1), item), "late, but asked for");
        assert!(!fetches.answered(node(1), item), "only once");
    }

    #[test]
    fn invented_sets_make_room_for_one_that_exists() {
        let mut fetches = Fetches::default();
        let peers = BTreeSet::from([node(1), node(2)]);
        let item = |number: usize| Item::TxSet(crate::key::sha256(&[&number.to_be_bytes()]));
        (0..2 * PER_KIND_MAX).for_each(|number| fetches.want(Duration::ZERO, item(number), [node(1)]));
        assert_eq!(fetches.due(Duration::ZERO, &peers).len(), PER_KIND_MAX);
        let quorum_set = Item::QuorumSet(Hash([1; 32]));
        fetches.want(Duration::ZERO, quorum_set, None);
        assert!(fetches.is_open(quorum_set), "the kinds do not crowd out one another");
        let honest = item(5_000);
        fetches.want(Duration::ZERO, honest, [node(2)]);
        assert!(!fetches.is_open(honest), "who was asked may still answer");
        let _ = fetches.due(PATIENCE, &peers);
        assert!(fetches.take_again(AGAIN_AFTER) && !fetches.take_again(AGAIN_AFTER));
        fetches.want(AGAIN_AFTER, honest, [node(2)]);
        assert!(fetches.is_open(honest) && fetches.due(AGAIN_AFTER, &peers).contains(&(node(2), honest)));
        assert_eq!(fetches.open.len(), PER_KIND_MAX + 1);
    }
}
