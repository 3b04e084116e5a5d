//! Has a quorum decided a slot that we cannot follow yet? Judged from signed statements alone.

use super::statements::Entry;
use fba_core::{
    Attested, Driver, Effect, Hash, Input, Node, NodeId, Purpose, QuorumSet, SenderSet, SlotIndex, Timer, Validity,
    Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Follows ballots on any value. Never nominates, never votes.
struct Onlooker;

impl Driver for Onlooker {
    fn validate(&self, _: SlotIndex, _: &Value, _: Purpose) -> Validity {
        Validity::Valid
    }

    fn extract_valid(&self, _: SlotIndex, _: &Value) -> Option<Value> {
        None
    }

    fn combine(&self, _: SlotIndex, candidates: &BTreeSet<Value>) -> Option<Value> {
        candidates.first().cloned()
    }

    fn priority(&self, _: SlotIndex, _: &Value, _: u32, _: NodeId) -> u64 {
        0
    }

    fn neighborhood(&self, _: SlotIndex, _: &Value, _: u32, _: NodeId) -> u64 {
        0
    }

    fn value_hash(&self, _: SlotIndex, _: &Value, _: u32, _: &Value) -> u64 {
        0
    }

    fn timeout(&self, _: Timer, _: u32) -> Duration {
        Duration::from_secs(1)
    }
}

/// The value that `statements`, all of `slot`, decide by `quorum_set`.
pub(crate) fn decision<'a>(
    local: NodeId,
    quorum_set: &QuorumSet,
    slot: SlotIndex,
    statements: impl Iterator<Item = &'a Entry>,
    sets: &BTreeMap<Hash, Arc<QuorumSet>>,
) -> Option<Value> {
    let mut node = Node::new(local, false, quorum_set.clone());
    node.open(slot);
    for entry in statements {
        let statement = entry.signed.statement.clone();
        if statement.pledge.is_nomination() || statement.node == local {
            continue;
        }
        let quorum_set =
            sets.get(&statement.quorum_set).map_or(SenderSet::Unresolved, |set| SenderSet::Known(Arc::clone(set)));
        // What the core refuses decides nothing.
        let effects = node.handle(Input::Receive(Attested { statement, quorum_set }), &Onlooker).unwrap_or_default();
        for effect in effects {
            if let Effect::Externalize { value, .. } = effect {
                return Some(value);
            }
        }
    }
    None
}
