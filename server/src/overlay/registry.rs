//! Who is connected, who may be, and why the others are not. Sans-IO.
//!
//! One connection per pair: of the two nodes, the one with the smaller key decides which connection lives (the first
//! whose hello it accepts), the other follows its word. So two nodes that dial each other at once always agree.

use fba_core::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// Departures kept of each node that has a seat of its own.
const DEPARTURES_PER_NODE: usize = 5;
/// Departures kept of all strangers together: they must not push out those of our own peers, nor one another for ever.
const STRANGERS_KEPT: usize = 64;

/// Nodes of the transitive quorum that have seats of their own. Nodes we listen to can invite any number of others into
/// it; those nearest to us count, and the others are strangers.
const WANTED_MAX: usize = 256;

/// How many connections strangers may have. Configured peers, the members of our own quorum set and the nodes nearest to
/// us in the transitive quorum have seats of their own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seats {
    /// Strangers in all.
    pub strangers: usize,
    /// Strangers of one neighbourhood of addresses: an IPv4 /24 or an IPv6 /48. Loopback is exempt.
    pub strangers_per_network: usize,
    /// Only configured peers and members of our own quorum set are admitted.
    pub listed_only: bool,
}

impl Default for Seats {
    fn default() -> Self {
        Self { strangers: 64, strangers_per_network: 16, listed_only: false }
    }
}

/// Names one connection for as long as the process lives.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct LinkId(u64);

/// A connection whose hello was accepted and that asks for its seat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) node: NodeId,
    pub(super) address: IpAddr,
    pub(super) inbound: bool,
    /// Drawn by the peer's process at its start.
    pub(super) instance: [u8; 16],
}

/// A seat given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Admitted {
    pub(super) id: LinkId,
    /// There was another connection to the same node: it has lost its seat and must be closed.
    pub(super) replaces: Option<LinkId>,
}

/// A seat denied.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Denied {
    #[error("connected to you already")]
    Duplicate,
    #[error("no seat is free: all {0} for nodes outside my quorum are taken; ask this node's operator to list you")]
    Full(usize),
    #[error("no seat is free: all {0} for nodes outside my quorum from your network are taken")]
    NetworkFull(usize),
    #[error("this node speaks only to nodes it lists; ask its operator to list you")]
    NotListed,
}

/// A connection that ended or never came to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Departure {
    /// When it last happened, in Unix milliseconds.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
    /// How many times in a row.
    pub times: u32,
    /// Which peer, if its key was proven or expected.
    pub node: Option<NodeId>,
    /// Where it was.
    pub address: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Registry {
    own: NodeId,
    seats: Seats,
    configured: BTreeSet<NodeId>,
    /// Members of our own quorum set.
    trusted: BTreeSet<NodeId>,
    wanted: BTreeSet<NodeId>,
    links: BTreeMap<NodeId, (LinkId, Candidate)>,
    next: u64,
    known_departures: BTreeMap<NodeId, VecDeque<Departure>>,
    other_departures: VecDeque<Departure>,
}

impl Registry {
    pub(super) fn new(own: NodeId, seats: Seats, configured: BTreeSet<NodeId>, trusted: BTreeSet<NodeId>) -> Self {
        Self {
            own,
            seats,
            configured,
            trusted,
            wanted: BTreeSet::new(),
            links: BTreeMap::new(),
            next: 0,
            known_departures: BTreeMap::new(),
            other_departures: VecDeque::new(),
        }
    }

    /// Is it us who say which connection to `peer` lives?
    pub(super) fn decides(&self, peer: NodeId) -> bool {
        self.own < peer
    }

    /// The nodes of the transitive quorum, nearest first. Whoever is connected stays connected.
    pub(super) fn set_wanted(&mut self, nearest: impl IntoIterator<Item = NodeId>) {
        self.wanted = nearest.into_iter().take(WANTED_MAX).collect();
        let Self { configured, trusted, wanted, known_departures, .. } = self;
        known_departures.retain(|node, _| configured.contains(node) || trusted.contains(node) || wanted.contains(node));
    }

    /// Gives `candidate` its seat, or says why not. Call it when the hello was accepted: by the deciding side before
    /// it says welcome, by the other side when it has been welcomed.
    pub(super) fn admit(&mut self, candidate: Candidate) -> Result<Admitted, Denied> {
        let existing = self.links.get(&candidate.node).copied();
        if let Some((_, old)) = existing
            && self.decides(candidate.node)
            && old.instance == candidate.instance
        {
            return Err(Denied::Duplicate);
        }
        // Whoever replaces its own connection takes over that seat.
        if existing.is_none() && candidate.inbound && !self.has_own_seat(candidate.node) {
            self.stranger_may_sit(candidate.address)?;
        }
        let id = LinkId(self.next);
        self.next += 1;
        self.links.insert(candidate.node, (id, candidate));
        Ok(Admitted { id, replaces: existing.map(|(id, _)| id) })
    }

    /// Frees the seat of a connection that has ended; one that was replaced has none.
    pub(super) fn release(&mut self, node: NodeId, id: LinkId) {
        if self.links.get(&node).is_some_and(|(current, _)| *current == id) {
            self.links.remove(&node);
        }
    }

    /// Has some connection to `node` a seat?
    pub(super) fn is_linked(&self, node: NodeId) -> bool {
        self.links.contains_key(&node)
    }

    /// Keeps the reason why a connection ended or did not come to be.
    pub(super) fn note(&mut self, departure: Departure) {
        let own_seat = departure.node.filter(|node| self.has_own_seat(*node));
        let (kept, most) = match own_seat {
            Some(node) => (self.known_departures.entry(node).or_default(), DEPARTURES_PER_NODE),
            None => (&mut self.other_departures, STRANGERS_KEPT),
        };
        let same = |last: &&mut Departure| last.reason == departure.reason && last.node == departure.node;
        if let Some(last) = kept.back_mut().filter(same) {
            last.at_ms = departure.at_ms;
            last.address = departure.address;
            last.times = last.times.saturating_add(1);
            return;
        }
        if kept.len() >= most {
            kept.pop_front();
        }
        kept.push_back(departure);
    }

    /// The last departures of everybody.
    pub(super) fn departures(&self) -> Vec<Departure> {
        self.known_departures.values().flatten().chain(&self.other_departures).cloned().collect()
    }

    /// Has the operator chosen it: as a peer, or as a member of our own quorum set?
    pub(super) fn is_chosen(&self, node: NodeId) -> bool {
        self.configured.contains(&node) || self.trusted.contains(&node)
    }

    /// Is it one of the nodes nearest to us in the transitive quorum?
    pub(super) fn is_wanted(&self, node: NodeId) -> bool {
        self.trusted.contains(&node) || self.wanted.contains(&node)
    }

    /// Is there a task that keeps dialling it?
    pub(super) fn is_configured(&self, node: NodeId) -> bool {
        self.configured.contains(&node)
    }

    /// Connections that no stranger has brought about: those we dialled, and those of nodes with seats of their own.
    pub(super) fn ours(&self) -> usize {
        self.links.values().filter(|(_, link)| !link.inbound || self.has_own_seat(link.node)).count()
    }

    fn has_own_seat(&self, node: NodeId) -> bool {
        self.is_chosen(node) || self.wanted.contains(&node) && !self.seats.listed_only
    }

    fn stranger_may_sit(&self, address: IpAddr) -> Result<(), Denied> {
        if self.seats.listed_only {
            return Err(Denied::NotListed);
        }
        let strangers: Vec<IpAddr> = self
            .links
            .values()
            .filter(|(_, link)| link.inbound && !self.has_own_seat(link.node))
            .map(|(_, link)| link.address)
            .collect();
        if strangers.len() >= self.seats.strangers {
            return Err(Denied::Full(self.seats.strangers));
        }
        let near = strangers.iter().filter(|other| network(**other) == network(address)).count();
        if near >= self.seats.strangers_per_network && !address.to_canonical().is_loopback() {
            return Err(Denied::NetworkFull(self.seats.strangers_per_network));
        }
        Ok(())
    }
}

/// The leading bits of an address that one party usually holds all of.
pub(super) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => v6.to_bits() >> 80 << 80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const OWN: NodeId = NodeId([5; 32]);

    fn registry(configured: &[u8]) -> Registry {
        registry_with(configured, Seats { strangers: 3, strangers_per_network: 2, listed_only: false })
    }

    fn registry_with(configured: &[u8], seats: Seats) -> Registry {
        let trusted = BTreeSet::from([NodeId([21; 32])]);
        Registry::new(OWN, seats, configured.iter().map(|n| NodeId([*n; 32])).collect(), trusted)
    }

    fn candidate(node: u8, instance: u8) -> Candidate {
        Candidate {
            node: NodeId([node; 32]),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, node, 1)),
            inbound: true,
            instance: [instance; 16],
        }
    }

    #[test]
    fn the_smaller_key_keeps_the_first_connection_and_the_greater_one_follows() {
        let mut smaller = registry(&[]);
        let first = smaller.admit(candidate(9, 1)).unwrap();
        assert_eq!(first.replaces, None);
        assert_eq!(smaller.admit(Candidate { inbound: false, ..candidate(9, 1) }), Err(Denied::Duplicate));

        let mut greater = registry(&[]);
        let first = greater.admit(candidate(1, 1)).unwrap();
        let second = greater.admit(Candidate { inbound: false, ..candidate(1, 1) }).unwrap();
        assert_eq!(second.replaces, Some(first.id));
    }

    #[test]
    fn a_restarted_peer_replaces_its_stale_connection() {
        let mut registry = registry(&[]);
        let stale = registry.admit(candidate(9, 1)).unwrap();
        let fresh = registry.admit(candidate(9, 2)).unwrap();
        assert_eq!(fresh.replaces, Some(stale.id));
        registry.release(NodeId([9; 32]), stale.id);
        assert!(
            registry.is_linked(NodeId([9; 32])),
            "the end of the stale one must not free the seat of the fresh one"
        );
        registry.release(NodeId([9; 32]), fresh.id);
        assert!(!registry.is_linked(NodeId([9; 32])));
    }

    #[test]
    fn strangers_never_take_the_seats_of_configured_or_wanted_nodes() {
        let mut registry = registry(&[20]);
        for stranger in 10..13 {
            registry.admit(candidate(stranger, 1)).unwrap();
        }
        assert_eq!(registry.admit(candidate(13, 1)), Err(Denied::Full(3)));
        assert!(registry.admit(candidate(20, 1)).is_ok());
        registry.set_wanted([NodeId([13; 32])]);
        assert!(registry.admit(candidate(13, 1)).is_ok());
        assert!(registry.admit(Candidate { inbound: false, ..candidate(14, 1) }).is_ok(), "dialled by us");
    }

    #[test]
    fn a_node_that_invites_thousands_into_the_quorum_gets_seats_for_the_nearest_few() {
        let mut registry = registry(&[]);
        let invited = |n: u16| NodeId(std::array::from_fn(|i| n.to_be_bytes()[i % 2]));
        registry.set_wanted((1..5_000).map(invited));
        let seated = (1..5_000).filter(|n| {
            let address = IpAddr::V4(Ipv4Addr::from_bits(u32::from(*n) << 8));
            registry.admit(Candidate { node: invited(*n), address, ..candidate(0, 1) }).is_ok()
        });
        assert_eq!(seated.count(), WANTED_MAX + 3);
    }

    #[test]
    fn with_a_list_nobody_else_is_admitted() {
        let mut registry = registry_with(&[20], Seats { listed_only: true, ..Seats::default() });
        registry.set_wanted([NodeId([13; 32])]);
        assert_eq!(registry.admit(candidate(13, 1)), Err(Denied::NotListed));
        assert!(registry.admit(candidate(20, 1)).is_ok() && registry.admit(candidate(21, 1)).is_ok());
    }

    #[test]
    fn strangers_of_one_network_share_few_seats() {
        let mut registry = registry(&[]);
        let near = |node| Candidate { address: IpAddr::V4(Ipv4Addr::new(10, 1, 1, node)), ..candidate(node, 1) };
        registry.admit(near(10)).unwrap();
        registry.admit(near(11)).unwrap();
        assert_eq!(registry.admit(near(12)), Err(Denied::NetworkFull(2)));
        assert!(registry.admit(candidate(12, 1)).is_ok());
    }

    #[test]
    fn reasons_are_kept_within_bounds_and_those_of_known_peers_outlive_strangers() {
        let mut registry = registry(&[20]);
        let departure = |node: u8, n: u32| Departure {
            at_ms: u64::from(n),
            reason: format!("reason {n}"),
            times: 1,
            node: Some(NodeId([node; 32])),
            address: String::new(),
        };
        registry.note(departure(20, 0));
        registry.note(departure(20, 0));
        for n in 0..1_000 {
            registry.note(departure(30, n));
        }
        assert_eq!(registry.departures().len(), STRANGERS_KEPT + 1);
        let of_20 = |registry: &Registry| {
            let all = registry.departures().into_iter();
            all.filter(|one| one.node == Some(NodeId([20; 32]))).collect::<Vec<_>>()
        };
        assert_eq!(of_20(&registry), [Departure { times: 2, ..departure(20, 0) }]);
        for n in 0..100 {
            registry.note(departure(20, n));
        }
        assert_eq!(of_20(&registry).len(), DEPARTURES_PER_NODE);
    }
}
