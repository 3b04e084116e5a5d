//! Where other nodes were reached, or are said to be. Sans-IO.
//!
//! What a peer says is a hint until somebody answered there with the right key: hints never push out addresses that
//! were reached, one peer's hints fill only a small part of the book, and so do those of one network. Addresses of a
//! private or local range are told to, and believed of, only nodes of the same range: nobody on the Internet can make
//! this node knock on doors of its own network.

use super::registry::network;
use crate::wire::{PEERS_MAX, PeerHint};
use fba_core::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Addresses kept: several times the nodes of the largest public network.
const BOOK_MAX: usize = 1_000;
/// While so many changes wait to be written, no further address is added: fresh keys come faster than the store takes
/// rows.
const CHANGED_MAX: usize = 4 * BOOK_MAX;
/// Addresses nobody has reached yet, of one source: one message of them.
const PER_SOURCE_MAX: usize = PEERS_MAX;
/// Addresses nobody has reached yet, in one neighbourhood of addresses; loopback, where tests run, is exempt.
const PER_NETWORK_MAX: usize = 32;
/// Addresses of one node: IPv4 and IPv6, and those it has moved away from.
const PER_NODE_MAX: usize = 4;
/// Failures in a row after which an address is forgotten: one that was reached once, after about a day.
const FAILURES_MAX: u32 = 30;
/// The same for one that never was.
const FAILURES_MAX_UNPROVEN: u32 = 5;
/// The pause after the first failure; doubled after each.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);
/// Only what was reached within this time is told to others.
const TOLD_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// An address of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownPeer {
    /// Where.
    pub address: SocketAddr,
    /// Whose key answers there.
    pub node: NodeId,
    /// Who said so; the node itself if it was met.
    pub source: NodeId,
    /// When it was last reached, in Unix milliseconds.
    pub success_ms: Option<u64>,
    /// How often in a row it was not.
    pub failures: u32,
    /// When it was last not reached, in Unix milliseconds.
    pub failure_ms: u64,
}

impl KnownPeer {
    fn rests(&self, now_ms: u64) -> bool {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(PAUSE_MAX);
        // A failure in the future: the clock was set back.
        self.failures > 0 && self.failure_ms <= now_ms && now_ms - self.failure_ms < millis(pause)
    }

    fn failures_max(&self) -> u32 {
        if self.success_ms.is_some() { FAILURES_MAX } else { FAILURES_MAX_UNPROVEN }
    }

    /// The worst goes first when there is no room.
    fn worth(&self) -> (bool, u32, u64) {
        (self.success_ms.is_some(), FAILURES_MAX.saturating_sub(self.failures), self.success_ms.unwrap_or(0))
    }
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Range {
    Loopback,
    LinkLocal,
    Private,
    Global,
}

impl Range {
    fn of(address: IpAddr) -> Self {
        let (loopback, link_local, private) = match address.to_canonical() {
            // 100.64.0.0/10 is a carrier's own (RFC 6598).
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                let shared = a == 100 && b >> 6 == 1;
                (v4.is_loopback(), v4.is_link_local(), v4.is_private() || shared)
            }
            IpAddr::V6(v6) => (v6.is_loopback(), v6.is_unicast_link_local(), v6.is_unique_local()),
        };
        match (loopback, link_local, private) {
            (true, _, _) => Self::Loopback,
            (_, true, _) => Self::LinkLocal,
            (_, _, true) => Self::Private,
            (false, false, false) => Self::Global,
        }
    }

    /// Is an address of this range of use to a node in `other`?
    fn concerns(self, other: Self) -> bool {
        self == Self::Global || self == other
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    own: NodeId,
    /// Chosen at start: whom we dial and tell of, among equals, nobody else can foresee.
    seed: [u8; 32],
    by_address: BTreeMap<SocketAddr, KnownPeer>,
    /// Changed since they were last asked for.
    changed: BTreeSet<SocketAddr>,
}

impl Book {
    /// With what an earlier process kept.
    pub(super) fn new(own: NodeId, seed: [u8; 32], kept: Vec<KnownPeer>) -> Self {
        let by_address = kept.into_iter().take(BOOK_MAX).map(|known| (known.address, known)).collect();
        Self { own, seed, by_address, changed: BTreeSet::new() }
    }

    /// The peer `source`, reached at `at`, says where others are. Returns how many addresses were new.
    pub(super) fn hear(&mut self, source: NodeId, at: IpAddr, hints: &[PeerHint]) -> usize {
        let range = Range::of(at);
        let mut new = 0;
        for PeerHint { node, address } in hints.iter().copied() {
            let of_use = node != self.own && Range::of(address.ip()).concerns(range);
            if of_use && !self.by_address.contains_key(&address) && self.has_room_for(source, node, address) {
                let known = KnownPeer { address, node, source, success_ms: None, failures: 0, failure_ms: 0 };
                new += usize::from(self.put(known));
            }
        }
        new
    }

    fn has_room_for(&self, source: NodeId, node: NodeId, address: SocketAddr) -> bool {
        let unproven = || self.by_address.values().filter(|known| known.success_ms.is_none());
        let of_source = unproven().filter(|known| known.source == source).count();
        let near = unproven().filter(|known| network(known.address.ip()) == network(address.ip())).count();
        let of_node = self.by_address.values().filter(|known| known.node == node).count();
        of_source < PER_SOURCE_MAX
            && (near < PER_NETWORK_MAX || Range::of(address.ip()) == Range::Loopback)
            && of_node < PER_NODE_MAX
    }

    /// `node` listens at `address`: it was reached there, or has spoken from there.
    pub(super) fn met(&mut self, node: NodeId, address: SocketAddr, now_ms: u64) {
        if node == self.own {
            return;
        }
        let success_ms = Some(now_ms);
        let met = self.put(KnownPeer { address, node, source: node, success_ms, failures: 0, failure_ms: 0 });
        let mut of_node: Vec<&KnownPeer> = self.by_address.values().filter(|known| known.node == node).collect();
        of_node.sort_by_key(|known| known.worth());
        let surplus = of_node.len().saturating_sub(PER_NODE_MAX);
        let oldest: Vec<SocketAddr> = of_node.into_iter().take(surplus).map(|known| known.address).collect();
        debug_assert!(
            met || self.by_address.len() >= BOOK_MAX || self.changed.len() >= CHANGED_MAX,
            "who was met is kept unless all others are as good, or too much waits to be written"
        );
        oldest.into_iter().for_each(|address| self.forget(address));
    }

    /// Nobody was reached at `address`.
    pub(super) fn failed(&mut self, address: SocketAddr, now_ms: u64) {
        let Some(known) = self.by_address.get_mut(&address) else { return };
        known.failures = known.failures.saturating_add(1);
        known.failure_ms = now_ms;
        let futile = known.failures >= known.failures_max();
        self.changed.insert(address);
        if futile {
            self.by_address.remove(&address);
        }
    }

    /// Up to `count` addresses to dial next, each of another node and no two of one neighbourhood: those of nodes
    /// `first` picks before others, those that were reached before those that were not.
    pub(super) fn to_dial(
        &self,
        now_ms: u64,
        count: usize,
        may_dial: impl Fn(&KnownPeer) -> bool,
        first: impl Fn(NodeId) -> bool,
    ) -> Vec<KnownPeer> {
        let able = self.by_address.values().filter(|known| !known.rests(now_ms) && may_dial(known));
        let mut able: Vec<&KnownPeer> = able.collect();
        able.sort_by_cached_key(|known| {
            (!first(known.node), known.success_ms.is_none(), known.failures, self.lot(known.address, now_ms))
        });
        let (mut nodes, mut networks) = (BTreeSet::new(), BTreeSet::new());
        let apart = able.into_iter().filter(|known| {
            let local = Range::of(known.address.ip()) == Range::Loopback;
            (local || networks.insert(network(known.address.ip()))) && nodes.insert(known.node)
        });
        apart.take(count).cloned().collect()
    }

    /// What to tell `asker`, reached at `at`: at most [`PEERS_MAX`], others each time.
    pub(super) fn to_tell(&self, asker: NodeId, at: IpAddr, now_ms: u64) -> Vec<PeerHint> {
        let range = Range::of(at);
        let lately = |known: &&KnownPeer| {
            let fresh = |success: u64| now_ms.saturating_sub(success) <= millis(TOLD_WITHIN);
            known.failures == 0 && known.success_ms.is_some_and(fresh)
        };
        let of_use = |known: &&KnownPeer| known.node != asker && Range::of(known.address.ip()).concerns(range);
        let mut told: Vec<&KnownPeer> = self.by_address.values().filter(lately).filter(of_use).collect();
        told.sort_by_cached_key(|known| self.lot(known.address, now_ms));
        told.into_iter().take(PEERS_MAX).map(|known| PeerHint { node: known.node, address: known.address }).collect()
    }

    /// How many addresses are known.
    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// At most `most` that changed and were not taken yet; `None` for one that is no more.
    pub(super) fn take_changes(&mut self, most: usize) -> Vec<(SocketAddr, Option<KnownPeer>)> {
        let some = std::iter::from_fn(|| self.changed.pop_first()).take(most);
        some.map(|address| (address, self.by_address.get(&address).cloned())).collect()
    }

    /// Writes it down, if need be in the place of one that is worth less.
    fn put(&mut self, known: KnownPeer) -> bool {
        let is_new = !self.by_address.contains_key(&known.address);
        if is_new && self.changed.len() >= CHANGED_MAX {
            return false;
        }
        if is_new && self.by_address.len() >= BOOK_MAX {
            let worst = self.by_address.values().min_by_key(|other| other.worth());
            let Some(worst) = worst.filter(|worst| worst.worth() < known.worth()).map(|worst| worst.address) else {
                return false;
            };
            self.forget(worst);
        }
        self.changed.insert(known.address);
        self.by_address.insert(known.address, known);
        true
    }

    fn forget(&mut self, address: SocketAddr) {
        self.by_address.remove(&address);
        self.changed.insert(address);
    }

    fn lot(&self, address: SocketAddr, now_ms: u64) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&now_ms.to_be_bytes()).update(address.to_string().as_bytes());
        *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId([0; 32]);
    const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const HOUR: u64 = 60 * 60 * 1_000;

    fn book() -> Book {
        Book::new(OWN, [9; 32], Vec::new())
    }

    fn node(n: u32) -> NodeId {
        let mut bytes = [1; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        NodeId(bytes)
    }

    /// Each in a neighbourhood of its own.
    fn hint(n: u32) -> PeerHint {
        let ip = std::net::Ipv4Addr::from_bits(0x0800_0001 + (n << 8));
        PeerHint { node: node(n), address: SocketAddr::new(ip.into(), 7001) }
    }

    fn at(address: &str) -> PeerHint {
        PeerHint { node: node(1), address: address.parse().unwrap() }
    }

    fn dialled(book: &Book, now_ms: u64) -> Vec<NodeId> {
        book.to_dial(now_ms, 10, |_| true, |_| false).into_iter().map(|known| known.node).collect()
    }

    #[test]
    fn hints_of_one_peer_or_network_fill_little_and_never_push_out_what_was_reached() {
        let mut book = book();
        for n in 0..900 {
            book.met(hint(n).node, hint(n).address, 5);
        }
        let many: Vec<PeerHint> = (1_000..2_000).map(hint).collect();
        assert_eq!(book.hear(node(1), PUBLIC, &many), PER_SOURCE_MAX);
        let near = |n: u8| PeerHint { node: node(u32::from(n) + 9_000), address: ([9, 9, 9, n], 7001).into() };
        assert_eq!(book.hear(node(2), PUBLIC, &(1..=49).map(near).collect::<Vec<_>>()), PER_NETWORK_MAX);
        for source in 3..100 {
            let invented: Vec<PeerHint> = (0..50).map(|n| hint(2_000 + source * 50 + n)).collect();
            book.hear(node(source), PUBLIC, &invented);
        }
        assert_eq!(book.len(), BOOK_MAX);
        assert_eq!(book.by_address.values().filter(|known| known.success_ms.is_some()).count(), 900);
        book.met(hint(50_000).node, hint(50_000).address, 6);
        assert!(book.by_address.contains_key(&hint(50_000).address) && book.len() == BOOK_MAX);
    }

    #[test]
    fn local_addresses_are_told_to_and_believed_of_nodes_of_the_same_range_only() {
        let ranges = ["127.0.0.1:1", "169.254.1.1:1", "10.0.0.1:1", "[fe80::1]:1", "[fd00::1]:1", "100.64.0.1:1"];
        for local in ranges {
            let hint = at(local);
            assert_eq!(book().hear(node(9), PUBLIC, &[hint]), 0, "{local}");
            assert_eq!(book().hear(node(9), hint.address.ip(), &[hint]), 1, "{local}");
            let mut book = book();
            book.met(node(1), hint.address, 5);
            assert!(book.to_tell(node(9), PUBLIC, 5).is_empty(), "{local}");
            assert_eq!(book.to_tell(node(9), hint.address.ip(), 5), [hint], "{local}");
            assert!(book.to_tell(node(1), hint.address.ip(), 5).is_empty(), "not to itself");
        }
        for global in ["8.8.8.8:1", "[2600::1]:1"] {
            assert_eq!(book().hear(node(9), PUBLIC, &[at(global)]), 1, "{global}");
        }
    }

    #[test]
    fn only_what_was_reached_lately_is_told() {
        let mut book = book();
        book.hear(node(9), PUBLIC, &[hint(1)]);
        assert!(book.to_tell(node(8), PUBLIC, 0).is_empty(), "hearsay");
        book.met(node(1), hint(1).address, 0);
        assert_eq!(book.to_tell(node(8), PUBLIC, 24 * HOUR), [hint(1)]);
        assert!(book.to_tell(node(8), PUBLIC, 25 * HOUR).is_empty());
        book.failed(hint(1).address, 1);
        assert!(book.to_tell(node(8), PUBLIC, 1).is_empty());
        for n in 0..200 {
            book.met(hint(n).node, hint(n).address, 2);
        }
        let [one, other] = [2, 3].map(|now| book.to_tell(node(999), PUBLIC, now));
        assert!(one.len() == PEERS_MAX && other.len() == PEERS_MAX && one != other);
    }

    #[test]
    fn failures_make_pauses_longer_until_the_address_is_forgotten() {
        let mut book = book();
        book.met(node(1), hint(1).address, 0);
        let (mut now, mut tries) = (0, 0);
        while book.len() > 0 {
            assert_eq!(dialled(&book, now), [node(1)]);
            book.failed(hint(1).address, now);
            assert!(dialled(&book, now + 59_999).is_empty());
            (now, tries) = (now + HOUR, tries + 1);
        }
        assert_eq!(tries, FAILURES_MAX);
        book.hear(node(9), PUBLIC, &[hint(1)]);
        (0..u64::from(FAILURES_MAX_UNPROVEN)).for_each(|n| book.failed(hint(1).address, n * HOUR));
        assert_eq!(book.len(), 0);
    }

    #[test]
    fn those_picked_first_come_first_then_those_that_were_reached_and_neighbours_are_kept_apart() {
        let mut book = book();
        book.hear(node(9), PUBLIC, &[hint(1), hint(2), hint(3)]);
        book.met(node(2), hint(2).address, 1);
        book.met(node(4), SocketAddr::new(hint(2).address.ip(), 9), 1);
        let order = book.to_dial(1, 10, |known| known.node != node(1), |picked| picked == node(3));
        let nodes: Vec<NodeId> = order.iter().map(|known| known.node).collect();
        assert!(nodes == [node(3), node(2)] || nodes == [node(3), node(4)], "{nodes:?}");
        assert_eq!(book.to_dial(1, 1, |_| true, |_| false).len(), 1);
    }

    #[test]
    fn a_node_that_moves_leaves_few_addresses_behind_and_changes_are_told_once() {
        let mut book = book();
        for port in 1..100 {
            book.met(node(1), SocketAddr::new(PUBLIC, port), u64::from(port));
        }
        assert_eq!(book.len(), PER_NODE_MAX);
        let kept: Vec<KnownPeer> = book.take_changes(usize::MAX).into_iter().filter_map(|(_, known)| known).collect();
        assert!(book.take_changes(usize::MAX).is_empty() && kept.iter().all(|known| known.address.port() >= 96));
        assert_eq!(Book::new(OWN, [9; 32], kept).to_tell(node(2), PUBLIC, 99).len(), PER_NODE_MAX);
    }

    #[test]
    fn no_flood_of_nodes_grows_what_is_to_be_written() {
        let mut book = book();
        for n in 0..5_000 {
            book.met(hint(n).node, hint(n).address, u64::from(n));
        }
        assert!(book.len() == BOOK_MAX && (CHANGED_MAX..=CHANGED_MAX + 1).contains(&book.changed.len()));
        let _written = book.take_changes(usize::MAX);
        book.met(hint(20_000).node, hint(20_000).address, 20_000);
        assert!(book.by_address.contains_key(&hint(20_000).address), "there is room again");
    }

    #[test]
    fn a_failure_in_the_future_is_a_clock_set_back() {
        let mut book = book();
        book.met(node(1), hint(1).address, 0);
        book.failed(hint(1).address, 100 * HOUR);
        assert_eq!(dialled(&book, HOUR), [node(1)]);
    }
}
