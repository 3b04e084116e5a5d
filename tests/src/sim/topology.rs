//! Who trusts whom, and who is linked with whom.

use super::rng::Rng;
use fba_core::{NodeId, QuorumSet};
use std::collections::BTreeSet;

/// The shapes that are tried.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Topology {
    /// Two of two.
    TwoOfTwo,
    /// Two of three.
    TwoOfThree,
    /// Three of four.
    ThreeOfFour,
    /// Four of four.
    FourOfFour,
    /// Five of seven.
    FiveOfSeven,
    /// Three organisations of three: two of three organisations, two of three in each.
    ThreeOrganisations,
    /// Three of four, and two followers that do not vote.
    FourAndWatchers,
    /// Each of five trusts a circle of its own; the circles overlap.
    Tiered,
}

impl Topology {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::TwoOfTwo,
        Self::TwoOfThree,
        Self::ThreeOfFour,
        Self::FourOfFour,
        Self::FiveOfSeven,
        Self::ThreeOrganisations,
        Self::FourAndWatchers,
        Self::Tiered,
    ];
}

/// One node's part.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) quorum_set: QuorumSet,
    pub(super) is_validator: bool,
}

/// The whole network.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) topology: Topology,
    pub(super) members: Vec<Member>,
    /// Pairs of indices, the lower first.
    pub(super) links: BTreeSet<(usize, usize)>,
    /// Can any one validator be away for good?
    pub(super) spares_one: bool,
}

pub(super) fn node_id(index: usize) -> NodeId {
    let byte = u8::try_from(index).unwrap_or(u8::MAX);
    // Spread over the key space, so that the order of keys is not the order of indices.
    NodeId([byte.wrapping_mul(151).wrapping_add(17); 32])
}

pub(super) fn layout(rng: &mut Rng) -> Layout {
    let topology = Topology::ALL.get(rng.index(Topology::ALL.len())).copied().unwrap_or(Topology::ThreeOfFour);
    let flat = |threshold, count: usize| {
        let set = set(threshold, 0..count, Vec::new());
        (0..count).map(|index| member(index, set.clone(), true)).collect::<Vec<_>>()
    };
    let members = match topology {
        Topology::TwoOfTwo => flat(2, 2),
        Topology::TwoOfThree => flat(2, 3),
        Topology::ThreeOfFour => flat(3, 4),
        Topology::FourOfFour => flat(4, 4),
        Topology::FiveOfSeven => flat(5, 7),
        Topology::ThreeOrganisations => {
            let organisations = (0..3).map(|one| set(2, one * 3..one * 3 + 3, Vec::new())).collect();
            let all = set(2, 0..0, organisations);
            (0..9).map(|index| member(index, all.clone(), true)).collect()
        }
        Topology::FourAndWatchers => {
            let mut members = flat(3, 4);
            let watched = set(3, 0..4, Vec::new());
            members.extend((4..6).map(|index| member(index, watched.clone(), false)));
            members
        }
        Topology::Tiered => {
            let core = set(3, 0..4, Vec::new());
            let mut members: Vec<Member> = (0..4).map(|index| member(index, core.clone(), true)).collect();
            members.extend((4..6).map(|index| member(index, set(2, index..index + 1, vec![core.clone()]), true)));
            members
        }
    };
    let links = links(rng, members.len());
    let spares_one = !matches!(topology, Topology::TwoOfTwo | Topology::FourOfFour);
    Layout { topology, members, links, spares_one }
}

fn member(index: usize, quorum_set: QuorumSet, is_validator: bool) -> Member {
    Member { id: node_id(index), quorum_set, is_validator }
}

fn set(threshold: u32, nodes: std::ops::Range<usize>, inner: Vec<QuorumSet>) -> QuorumSet {
    QuorumSet::new(threshold, nodes.map(node_id).collect(), inner).expect("the shapes above are sane")
}

/// Everybody with everybody, or a ring with some chords.
fn links(rng: &mut Rng, count: usize) -> BTreeSet<(usize, usize)> {
    let sparse = rng.chance(300);
    let all = (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other)));
    let ring = |(one, other): &(usize, usize)| other - one == 1 || (*one == 0 && *other == count - 1);
    all.filter(|pair| !sparse || ring(pair) || rng.chance(300)).collect()
}
