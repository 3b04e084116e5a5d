//! What a node says about a slot, and which of two statements is newer.

use crate::{Hash, NodeId, QuorumSet, SlotIndex, Value};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A ballot ⟨n, x⟩, ordered by counter and then by value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ballot {
    /// n. `u32::MAX` stands for infinity but compares as an ordinary number.
    pub counter: u32,
    /// x
    pub value: Value,
}

/// What a node says about one slot. The signature, if there is one, is the host's business.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// Who says it.
    pub node: NodeId,
    /// About which slot.
    pub slot: SlotIndex,
    /// The hash of the quorum set the sender declares with it.
    /// In [`Pledge::Externalize`] it is for reports only: such a statement counts with its sender's singleton set.
    pub quorum_set: Hash,
    /// What is said.
    pub pledge: Pledge,
}

/// The four kinds of statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pledge {
    /// Values voted for and accepted as nominated. Lists as on the wire; well-formed only if strictly increasing.
    Nominate {
        /// X
        voted: Vec<Value>,
        /// Y
        accepted: Vec<Value>,
    },
    /// PREPARE.
    Prepare {
        /// b
        ballot: Ballot,
        /// p
        prepared: Option<Ballot>,
        /// p'
        prepared_prime: Option<Ballot>,
        /// nC: the lowest counter voted to commit, 0 for none.
        commit: u32,
        /// nH: the highest counter confirmed prepared, 0 for none.
        high: u32,
    },
    /// CONFIRM.
    Confirm {
        /// b
        ballot: Ballot,
        /// nPrepared
        prepared: u32,
        /// nC
        commit: u32,
        /// nH
        high: u32,
    },
    /// EXTERNALIZE.
    Externalize {
        /// c
        commit: Ballot,
        /// nH
        high: u32,
    },
}

/// The quorum set a sender declares, as far as it is known here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SenderSet {
    /// At hand and sane.
    Known(Arc<QuorumSet>),
    /// Not to be had, or not sane. NOMINATE is recorded but satisfies no slice; PREPARE and CONFIRM are refused.
    Unresolved,
}

/// A statement whose signature was checked, with the quorum set its sender declares.
/// The host makes these; nothing else can enter the core.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attested {
    /// The checked statement.
    pub statement: Statement,
    /// The quorum set behind `statement.quorum_set`.
    pub quorum_set: SenderSet,
}

/// The rule a statement breaks that every honest statement obeys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Malformed {
    /// NOMINATE with neither votes nor accepted values.
    Empty,
    /// A list of values that is not strictly increasing.
    Unsorted,
    /// A ballot with counter 0.
    CounterZero,
    /// p' that is not below p, or has p's value.
    PreparedPrime,
    /// nC, nH and the counters they refer to are out of order.
    CounterOrder,
}
