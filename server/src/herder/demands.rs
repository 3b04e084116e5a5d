//! Transactions that peers have advertised and were asked for: one peer at a time, the next one if it does not deliver.

use fba_core::{Hash, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a peer has to deliver before another one that advertised the same is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most transactions one peer is asked for at the same time: ten thousand a second from one alone, over a slow link.
/// Whoever advertises what it does not have spends its own share, nobody else's.
const PER_PEER_MAX: usize = 4_000;
/// Most in all: the full shares of 25 peers, less than 50 MB.
const DEMANDS_MAX: usize = 100_000;
/// How many peers that advertised the same are remembered.
const OTHERS_MAX: usize = 8;

/// When, and which of those due at the same time comes first: an account's transactions are of use in their order only.
type Due = (Duration, u64);

#[derive(Clone, Debug)]
struct Demand {
    asked: NodeId,
    due: Due,
    /// Who else advertised it, in that order.
    others: Vec<NodeId>,
}

/// What peers were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demands {
    open: BTreeMap<Hash, Demand>,
    due: BTreeMap<Due, Hash>,
    shares: BTreeMap<NodeId, usize>,
    /// How many were made.
    count: u64,
}

impl Demands {
    /// `peer` has a transaction that we lack. Is it to be asked for it now?
    pub(crate) fn advertised(&mut self, now: Duration, peer: NodeId, hash: Hash) -> bool {
        if let Some(demand) = self.open.get_mut(&hash) {
            let known = demand.asked == peer || demand.others.contains(&peer);
            if !known && demand.others.len() < OTHERS_MAX {
                demand.others.push(peer);
            }
            return false;
        }
        self.ask(now, peer, hash, Vec::new())
    }

    /// It is here, from whomever.
    pub(crate) fn delivered(&mut self, hash: &Hash) {
        let _ = self.take(hash);
    }

    /// Whom to ask for what, because those asked did not deliver. What `is_known` by now is nobody asked for.
    pub(crate) fn overdue(&mut self, now: Duration, is_known: impl Fn(&Hash) -> bool) -> BTreeMap<NodeId, Vec<Hash>> {
        let mut asks: BTreeMap<NodeId, Vec<Hash>> = BTreeMap::new();
        while let Some((_, hash)) = self.due.first_key_value().filter(|((deadline, _), _)| *deadline <= now) {
            let hash = *hash;
            let demand = self.take(&hash).expect("what is due is open");
            if !is_known(&hash)
                && let Some(peer) = self.ask_next(now, hash, demand.others)
            {
                asks.entry(peer).or_default().push(hash);
            }
        }
        asks
    }

    /// The first of `others` that has room is asked.
    fn ask_next(&mut self, now: Duration, hash: Hash, others: Vec<NodeId>) -> Option<NodeId> {
        let place = others.iter().position(|peer| self.has_room(*peer))?;
        let mut others = others.into_iter().skip(place);
        let peer = others.next()?;
        self.ask(now, peer, hash, others.collect()).then_some(peer)
    }

    /// What it was asked for is due at once.
    pub(crate) fn forget_peer(&mut self, now: Duration, peer: NodeId) {
        for (hash, demand) in &mut self.open {
            demand.others.retain(|other| *other != peer);
            if demand.asked == peer {
                self.due.remove(&demand.due);
                demand.due.0 = now;
                self.due.insert(demand.due, *hash);
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    fn has_room(&self, peer: NodeId) -> bool {
        self.open.len() < DEMANDS_MAX && self.shares.get(&peer).is_none_or(|share| *share < PER_PEER_MAX)
    }

    fn ask(&mut self, now: Duration, peer: NodeId, hash: Hash, others: Vec<NodeId>) -> bool {
        if !self.has_room(peer) {
            return false;
        }
        let due = (now + PATIENCE, self.count);
        self.count += 1;
        self.open.insert(hash, Demand { asked: peer, due, others });
        self.due.insert(due, hash);
        *self.shares.entry(peer).or_default() += 1;
        true
    }

    fn take(&mut self, hash: &Hash) -> Option<Demand> {
        let demand = self.open.remove(hash)?;
        self.due.remove(&demand.due);
        let share = self.shares.get_mut(&demand.asked).expect("every open demand counts in a share");
        *share -= 1;
        if *share == 0 {
            self.shares.remove(&demand.asked);
        }
        Some(demand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    fn hash(number: usize) -> Hash {
        crate::key::sha256(&[&number.to_be_bytes()])
    }

    #[test]
    fn the_next_advertiser_is_asked_when_the_first_does_not_deliver() {
        let (mut demands, unknown) = (Demands::default(), |_: &Hash| false);
        assert!(demands.advertised(Duration::ZERO, node(1), hash(0)));
        assert!(!demands.advertised(Duration::ZERO, node(2), hash(0)));
        assert!(!demands.advertised(Duration::ZERO, node(3), hash(0)));
        assert_eq!(demands.overdue(Duration::from_millis(1_999), unknown), BTreeMap::new());
        assert_eq!(demands.overdue(PATIENCE, unknown), BTreeMap::from([(node(2), vec![hash(0)])]));
        demands.forget_peer(PATIENCE, node(2));
        assert_eq!(demands.next_deadline(), Some(PATIENCE));
        assert_eq!(demands.overdue(PATIENCE, unknown), BTreeMap::from([(node(3), vec![hash(0)])]));
        assert_eq!(demands.overdue(PATIENCE * 2, |_| true), BTreeMap::new(), "it came by another way");
        assert!(demands.open.is_empty() && demands.due.is_empty() && demands.shares.is_empty());
    }

    #[test]
    fn a_peer_that_delivers_nothing_uses_up_its_own_share_only() {
        let mut demands = Demands::default();
        let asked = (0..10_000).filter(|number| demands.advertised(Duration::ZERO, node(1), hash(*number))).count();
        assert_eq!(asked, PER_PEER_MAX);
        assert!(demands.advertised(Duration::ZERO, node(2), hash(10_000)), "others are not held up");
        demands.delivered(&hash(0));
        assert!(demands.advertised(Duration::ZERO, node(1), hash(20_000)), "room again");
    }
}
