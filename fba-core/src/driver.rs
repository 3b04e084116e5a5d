//! The few pure questions the core asks of its host.

use crate::{NodeId, Others, SlotIndex, Timer, Value};
use alloc::collections::BTreeSet;
use core::time::Duration;

/// What a value is checked for. Nomination may be stricter than balloting, never the other way round.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Purpose {
    /// To vote for it in nomination.
    Nomination,
    /// To follow a ballot on it.
    Ballot,
}

/// How far a value could be checked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Validity {
    /// Never vote for it.
    Invalid,
    /// Plausible, but the ledger it builds on is not ours now: follow, but emit nothing in this slot any more.
    NotCurrent,
    /// Right in itself and for the current ledger, but its payload is still to come, or is bad: it may be nominated and
    /// prepared, but not committed to (V1).
    PayloadMissing,
    /// Checked against the ledger it builds on.
    Valid,
}

/// Questions about values and leaders. Same question, same answer, as long as the host's ledger has not moved.
pub trait Driver {
    /// How far can this value be checked?
    fn validate(&self, slot: SlotIndex, value: &Value, purpose: Purpose) -> Validity;

    /// A valid value made from an invalid one, if that is possible.
    fn extract_valid(&self, slot: SlotIndex, value: &Value) -> Option<Value>;

    /// Folds the candidates into one value. A pure function of the set.
    fn combine(&self, slot: SlotIndex, candidates: &BTreeSet<Value>) -> Option<Value>;

    /// The number by which leaders are ranked in a round: the higher, the better.
    fn priority(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64;

    /// The number a node's weight is held against: at or below, the node is in the neighbourhood of the round.
    fn neighborhood(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64;

    /// The number by which the values of one leader are ranked in a round.
    fn value_hash(&self, slot: SlotIndex, previous: &Value, round: u32, value: &Value) -> u64;

    /// The weight of another node, 0 to 2^64−1, given the local set without the local node.
    /// The local node itself is not asked for: its weight is always 2^64−1 (N3).
    fn weight(&self, node: NodeId, others: &Others) -> u64 {
        others.weight(node)
    }

    /// How long to wait in `round` (nomination round or ballot counter, from 1).
    fn timeout(&self, timer: Timer, round: u32) -> Duration;

    /// What to ballot on instead of a value whose payload is missing, once the host gives up waiting for it or knows it to
    /// be bad; `None` while it waits (V2). A host that never answers [`Validity::PayloadMissing`] is not asked.
    fn without_payload(&self, _slot: SlotIndex, _value: &Value) -> Option<Value> {
        None
    }

    /// The value without its upgrades; `None` if it carries none (N12). A host without upgrades need not answer.
    fn strip_upgrades(&self, _slot: SlotIndex, _value: &Value) -> Option<Value> {
        None
    }

    /// After how many nomination timeouts upgrades are given up, when nothing else is voted for (N12).
    fn upgrade_timeouts(&self) -> u32 {
        u32::MAX
    }
}
