//! Quorum sets: whom a node needs to hear from.

use crate::{Hash, NodeId};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// A nested threshold: at least `threshold` of the members, each a node or an inner set.
///
/// Sane by construction (A7): at most four levels below the top, 1 to 1000 validators in all, no node twice, every
/// threshold between 1 and the number of members. The order of members is kept, because the hash depends on it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct QuorumSet {
    threshold: u32,
    validators: Vec<NodeId>,
    inner_sets: Vec<QuorumSet>,
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

    /// stub
    #[must_use]
    pub fn weight(&self, _node: NodeId) -> u64 {
        0
    }
}
