//! Fetching by hash: quorum sets and transaction sets that statements name. One peer at a time is asked, each for a
//! while, as long as a statement waits for the answer.

use fba_core::{Hash, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the first peer asked has; each further one gets as much more.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest any peer gets.
const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// Most things fetched at the same time: every node of a large network naming two new ones.
const FETCHES_MAX: usize = 2_000;
/// How many answers may still come after their fetch is over, without being held against the sender.
const LATE_MAX: usize = 1_000;

/// Something that is known by its hash.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Item {
    QuorumSet(Hash),
    TxSet(Hash),
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
}

impl Fetches {
    /// Wants `item`, which `hint` has named.
    pub(crate) fn want(&mut self, now: Duration, item: Item, hint: impl IntoIterator<Item = NodeId>) {
        if self.open.len() >= FETCHES_MAX && !self.open.contains_key(&item) {
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
        self.open.values().map(|fetch| fetch.deadline).min()
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
}
