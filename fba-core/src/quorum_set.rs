//! Quorum sets: whom a node needs to hear from.

use crate::{Hash, NodeId};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use sha2::{Digest, Sha256};

/// The most validators one quorum set may list in all (Q3).
pub const VALIDATORS_MAX: u32 = 1000;

/// The most levels below the top (Q3).
pub const DEPTH_MAX: u32 = 4;

/// A nested threshold: at least `threshold` of the members, each a node or an inner set.
///
/// Sane (Q3) unless it was made by [`QuorumSet::unchecked`]: at most four levels below the top, 1 to 1000 validators in
/// all, no node twice, every threshold between 1 and the number of members. The order of members is kept, because the
/// hash depends on it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct QuorumSet {
    threshold: u32,
    validators: Vec<NodeId>,
    inner_sets: Vec<QuorumSet>,
    sane: bool,
}

/// Why a quorum set was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum QuorumSetError {
    /// Nobody could ever satisfy it, or everybody always would.
    ThresholdOutOfRange {
        /// The threshold asked for.
        threshold: u32,
        /// How many members there are.
        members: u32,
    },
    /// More than four levels below the top.
    TooDeep,
    /// A node is listed twice.
    Duplicate(NodeId),
    /// Fewer than 1 or more than 1000 validators in all.
    ValidatorCount(u32),
}

impl QuorumSet {
    /// A set that wants `threshold` of its members.
    ///
    /// # Errors
    ///
    /// Says which rule of sanity (Q3) is broken.
    pub fn new(threshold: u32, validators: Vec<NodeId>, inner_sets: Vec<QuorumSet>) -> Result<Self, QuorumSetError> {
        let set = Self { threshold, validators, inner_sets, sane: false };
        set.check()?;
        Ok(Self { sane: true, ..set })
    }

    /// A set as somebody declared it, sane or not.
    ///
    /// Needed only to judge recorded nominations the way the reference does, which looks at insane sets there; a host
    /// refuses such a set where it decodes it. The caller bounds size and depth.
    #[must_use]
    pub fn unchecked(threshold: u32, validators: Vec<NodeId>, inner_sets: Vec<QuorumSet>) -> Self {
        let mut set = Self { threshold, validators, inner_sets, sane: false };
        set.sane = set.check().is_ok();
        set
    }

    /// Does it keep the rules of sanity (Q3)?
    #[must_use]
    pub fn is_sane(&self) -> bool {
        self.sane
    }

    /// The set that needs `node` and nobody else.
    #[must_use]
    pub fn singleton(node: NodeId) -> Self {
        Self { threshold: 1, validators: Vec::from([node]), inner_sets: Vec::new(), sane: true }
    }

    /// The threshold.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The nodes listed at this level.
    #[must_use]
    pub fn validators(&self) -> &[NodeId] {
        &self.validators
    }

    /// The sets listed at this level.
    #[must_use]
    pub fn inner_sets(&self) -> &[QuorumSet] {
        &self.inner_sets
    }

    /// How many nodes and sets are listed at this level.
    #[must_use]
    pub fn members(&self) -> u32 {
        count(self.validators.len().saturating_add(self.inner_sets.len()))
    }

    /// Every node listed anywhere in the set.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        let mut nodes = BTreeSet::new();
        self.for_each_node(&mut |node| {
            nodes.insert(node);
        });
        nodes
    }

    /// Does `nodes` contain a whole slice? (Q1)
    #[must_use]
    pub fn is_slice(&self, nodes: &BTreeSet<NodeId>) -> bool {
        // Q1
        self.threshold > 0 && self.hits(nodes, Self::is_slice) >= self.threshold
    }

    /// Does `nodes` meet every slice? (Q2)
    #[must_use]
    pub fn is_v_blocking(&self, nodes: &BTreeSet<NodeId>) -> bool {
        // Q2
        self.threshold > 0 && self.hits(nodes, Self::is_v_blocking) > self.slack()
    }

    /// A small part of `nodes` whose failure, on top of everybody outside `nodes`, leaves no slice standing (Q6).
    ///
    /// Empty if no slice stands already. Greedy, so small but not always smallest.
    #[must_use]
    pub fn closest_v_blocking(&self, nodes: &BTreeSet<NodeId>) -> Vec<NodeId> {
        // Q6
        let mut standing: Vec<NodeId> = self.validators.iter().copied().filter(|node| nodes.contains(node)).collect();
        let mut parts: Vec<Vec<NodeId>> =
            self.inner_sets.iter().map(|set| set.closest_v_blocking(nodes)).filter(|part| !part.is_empty()).collect();
        let up = standing.len().saturating_add(parts.len());
        // As many members must fall as are up beyond one less than the threshold.
        let Some(mut wanted) = (up.saturating_add(1)).checked_sub(self.threshold as usize) else {
            return Vec::new();
        };
        if wanted == 0 {
            return Vec::new();
        }
        standing.truncate(wanted);
        wanted = wanted.saturating_sub(standing.len());
        parts.sort_by_key(Vec::len);
        standing.extend(parts.into_iter().take(wanted).flatten());
        standing
    }

    /// The same demand in its simplest form, members in order (Q4). The local set is normalised before it is hashed.
    #[must_use]
    pub fn normalized(&self) -> Self {
        self.simplified(None).ordered()
    }

    /// What is left for everybody else once `node` has agreed (Q5): the base of leader weights.
    #[must_use]
    pub fn without(&self, node: NodeId) -> Others {
        Others(self.simplified(Some(node)).ordered())
    }

    /// SHA-256 of the set as listed, in the layout of Q7.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        self.write(&mut |bytes| hasher.update(bytes));
        Hash(hasher.finalize().into())
    }

    /// The share of slices that contain `node`, from 0 to 2^64−1 (N3).
    ///
    /// Each level passes on the fraction threshold ÷ members, rounded up.
    #[must_use]
    pub fn weight(&self, node: NodeId) -> u64 {
        // N3
        if self.validators.contains(&node) {
            return self.fraction(u64::MAX);
        }
        self.inner_sets
            .iter()
            .map(|set| set.weight(node))
            .find(|weight| *weight > 0)
            .map_or(0, |weight| self.fraction(weight))
    }

    /// Is every level's threshold a majority, so that two slices of it always meet?
    ///
    /// Said the other way: no level can be blocked by fewer members than it asks for.
    #[must_use]
    pub fn has_majority_thresholds(&self) -> bool {
        self.threshold > self.slack() && self.inner_sets.iter().all(Self::has_majority_thresholds)
    }

    /// How many members may be missing while a slice still stands.
    pub(crate) fn slack(&self) -> u32 {
        self.members().saturating_sub(self.threshold)
    }

    fn hits(&self, nodes: &BTreeSet<NodeId>, inner: impl Fn(&Self, &BTreeSet<NodeId>) -> bool) -> u32 {
        let direct = self.validators.iter().filter(|node| nodes.contains(node)).count();
        let nested = self.inner_sets.iter().filter(|set| inner(set, nodes)).count();
        count(direct.saturating_add(nested))
    }

    fn for_each_node(&self, visit: &mut impl FnMut(NodeId)) {
        self.validators.iter().for_each(|node| visit(*node));
        self.inner_sets.iter().for_each(|set| set.for_each_node(visit));
    }

    fn fraction(&self, whole: u64) -> u64 {
        let product = u128::from(whole).saturating_mul(u128::from(self.threshold));
        let share = product.div_ceil(u128::from(self.members().max(1)));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Q3: the inner sets, then this level, then the tree as a whole.
    fn check(&self) -> Result<(), QuorumSetError> {
        self.inner_sets.iter().filter(|set| !set.sane).try_for_each(Self::check)?;
        let members = self.members();
        if !(1..=members).contains(&self.threshold) {
            return Err(QuorumSetError::ThresholdOutOfRange { threshold: self.threshold, members });
        }
        if self.depth() > DEPTH_MAX {
            return Err(QuorumSetError::TooDeep);
        }
        let mut nodes = BTreeSet::new();
        let mut total = 0usize;
        let mut duplicate = None;
        self.for_each_node(&mut |node| {
            total = total.saturating_add(1);
            if !nodes.insert(node) {
                duplicate = Some(node);
            }
        });
        match (duplicate, count(total)) {
            (Some(node), _) => Err(QuorumSetError::Duplicate(node)),
            (None, 1..=VALIDATORS_MAX) => Ok(()),
            (None, total) => Err(QuorumSetError::ValidatorCount(total)),
        }
    }

    /// Levels below this one.
    fn depth(&self) -> u32 {
        self.inner_sets.iter().map(|set| set.depth().saturating_add(1)).max().unwrap_or(0)
    }

    fn simplified(&self, removed: Option<NodeId>) -> Self {
        // Q5: the removed node counts as having agreed, so each level that lists it wants one less.
        let mut validators = self.validators.clone();
        validators.retain(|node| Some(*node) != removed);
        let gone = count(self.validators.len().saturating_sub(validators.len()));
        let threshold = self.threshold.saturating_sub(gone);
        // Q4: one node in a set of its own is that node.
        let mut inner_sets = Vec::new();
        for set in self.inner_sets.iter().map(|set| set.simplified(removed)) {
            match (set.threshold, set.validators.as_slice(), set.inner_sets.as_slice()) {
                (1, [only], []) => validators.push(*only),
                _ => inner_sets.push(set),
            }
        }
        // Q4: one set in a set of its own is that set.
        if threshold == 1
            && validators.is_empty()
            && inner_sets.len() == 1
            && let Some(only) = inner_sets.pop()
        {
            return only;
        }
        Self { threshold, validators, inner_sets, sane: false }
    }

    fn ordered(self) -> Self {
        let Self { threshold, mut validators, inner_sets, sane: _ } = self;
        validators.sort_unstable();
        let mut inner_sets: Vec<Self> = inner_sets.into_iter().map(Self::ordered).collect();
        inner_sets.sort_by(Self::canonical_cmp);
        Self::unchecked(threshold, validators, inner_sets)
    }

    /// Q4: by validators, then inner sets, then threshold. The derived order begins with the threshold.
    fn canonical_cmp(&self, other: &Self) -> Ordering {
        let inner = |a: &Self, b: &Self| {
            a.inner_sets
                .iter()
                .zip(&b.inner_sets)
                .map(|(a, b)| a.canonical_cmp(b))
                .find(|order| order.is_ne())
                .unwrap_or(a.inner_sets.len().cmp(&b.inner_sets.len()))
        };
        self.validators
            .cmp(&other.validators)
            .then_with(|| inner(self, other))
            .then(self.threshold.cmp(&other.threshold))
    }

    /// Q7
    fn write(&self, sink: &mut impl FnMut(&[u8])) {
        sink(&self.threshold.to_be_bytes());
        sink(&count(self.validators.len()).to_be_bytes());
        for node in &self.validators {
            sink(&0u32.to_be_bytes()); // kind of key: ed25519
            sink(&node.0);
        }
        sink(&count(self.inner_sets.len()).to_be_bytes());
        self.inner_sets.iter().for_each(|set| set.write(sink));
    }
}

/// The local quorum set with the local node taken out (Q5).
///
/// Not a quorum set: a threshold may be 0 here, which gives everybody below it weight 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Others(QuorumSet);

impl Others {
    /// The weight of `node`, from 0 to 2^64−1 (N3).
    #[must_use]
    pub fn weight(&self, node: NodeId) -> u64 {
        self.0.weight(node)
    }

    /// Every node listed.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.0.nodes()
    }

    /// The tree, for reports and comparison. Its thresholds may be 0.
    #[must_use]
    pub fn tree(&self) -> &QuorumSet {
        &self.0
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl core::error::Error for QuorumSetError {}

impl fmt::Display for QuorumSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThresholdOutOfRange { threshold, members } => write!(
                f,
                "threshold {threshold} of {members} members: a threshold is at least 1 and at most the number of members"
            ),
            Self::TooDeep => {
                write!(f, "quorum set nested too deep: at most {DEPTH_MAX} levels of inner sets; merge some of them")
            }
            Self::Duplicate(node) => {
                write!(f, "node {node} is listed twice: a node may stand in one place of a quorum set only")
            }
            Self::ValidatorCount(n) => {
                write!(f, "{n} validators: a quorum set lists between 1 and {VALIDATORS_MAX} in all")
            }
        }
    }
}
