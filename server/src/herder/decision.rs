//! Has a quorum decided a slot that we cannot follow yet? Judged from signed statements alone.

use fba_core::{
    Attested, Driver, Effect, Hash, Input, Node, NodeId, Purpose, QuorumSet, SenderSet, SlotIndex, Statement, Timer,
    Validity, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Any value will do: nothing is nominated or voted for.
struct AnyValue;

impl Driver for AnyValue {
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

/// Follows the ballots of one slot; every statement costs one step of the core.
#[derive(Clone, Debug)]
pub(crate) struct Onlooker {
    slot: SlotIndex,
    local: NodeId,
    node: Node,
}

impl Onlooker {
    pub(crate) fn new(local: NodeId, quorum_set: &QuorumSet, slot: SlotIndex) -> Self {
        let mut node = Node::new(local, false, quorum_set.clone());
        node.open(slot);
        Self { slot, local, node }
    }

    /// The value that is decided by our quorum set with this statement, if it now is.
    pub(crate) fn hear(&mut self, statement: &Statement, sets: &BTreeMap<Hash, Arc<QuorumSet>>) -> Option<Value> {
        if statement.slot != self.slot || statement.pledge.is_nomination() || statement.node == self.local {
            return None;
        }
        let known = sets.get(&statement.quorum_set);
        let quorum_set = known.map_or(SenderSet::Unresolved, |set| SenderSet::Known(Arc::clone(set)));
        let attested = Attested { statement: statement.clone(), quorum_set };
        // What the core refuses decides nothing.
        let effects = self.node.handle(Input::Receive(attested), &AnyValue).unwrap_or_default();
        effects.into_iter().find_map(|effect| match effect {
            Effect::Externalize { value, .. } => Some(value),
            Effect::Emit(_) | Effect::StartTimer { .. } | Effect::StopTimer { .. } | Effect::Moved(_) => None,
        })
    }
}

/// Slots watched at the same time: the newest. Out of sync, nodes may speak of any slot, each of twelve others.
const ONLOOKERS_MAX: usize = 256;

/// Onlookers of slots above the open one of which statements are held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Onlookers {
    slots: BTreeMap<SlotIndex, Onlooker>,
}

impl Onlookers {
    pub(crate) fn add(&mut self, slot: SlotIndex, onlooker: Onlooker) {
        self.slots.insert(slot, onlooker);
        if self.slots.len() > ONLOOKERS_MAX {
            self.slots.pop_first();
        }
    }

    /// Is this slot older than all that are watched, and is there no room for one more?
    pub(crate) fn is_too_old(&self, slot: SlotIndex) -> bool {
        self.slots.len() >= ONLOOKERS_MAX && self.slots.first_key_value().is_some_and(|(oldest, _)| slot < *oldest)
    }

    pub(crate) fn of(&mut self, slot: SlotIndex) -> Option<&mut Onlooker> {
        self.slots.get_mut(&slot)
    }

    pub(crate) fn has(&self, slot: SlotIndex) -> bool {
        self.slots.contains_key(&slot)
    }

    pub(crate) fn retain(&mut self, wanted: impl Fn(SlotIndex) -> bool) {
        self.slots.retain(|slot, _| wanted(*slot));
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}
