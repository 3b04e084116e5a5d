//! The open slots of one node, and the one door into them.

use crate::outlet::Local;
use crate::slot::{Slot, SlotState};
use crate::{Attested, Driver, Effect, Input, NodeId, QuorumSet, Rejected, SlotIndex, Statement};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The open slots of one node. The host opens and closes them, so that no peer can make it grow.
#[derive(Clone, Debug)]
pub struct Node {
    local: Arc<Local>,
    slots: BTreeMap<SlotIndex, Slot>,
}

impl Node {
    /// A node with no open slot. `quorum_set` is normalised (Q4). A node that is no validator follows and never emits.
    #[must_use]
    pub fn new(id: NodeId, is_validator: bool, quorum_set: QuorumSet) -> Self {
        Self { local: Arc::new(Local::new(id, is_validator, &quorum_set)), slots: BTreeMap::new() }
    }

    /// Who we are.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.local.node
    }

    /// Does this node vote?
    #[must_use]
    pub fn is_validator(&self) -> bool {
        self.local.is_validator
    }

    /// The quorum set of slots opened from now on, normalised.
    #[must_use]
    pub fn quorum_set(&self) -> &Arc<QuorumSet> {
        &self.local.set
    }

    /// Takes another quorum set for the slots opened afterwards. Slots that are open keep the one they have.
    pub fn set_quorum_set(&mut self, quorum_set: QuorumSet) {
        self.local = Arc::new(Local::new(self.local.node, self.local.is_validator, &quorum_set));
    }

    /// Starts listening to a slot. Does nothing if it is open.
    pub fn open(&mut self, slot: SlotIndex) {
        self.open_from(slot, 1);
    }

    /// Starts listening to a slot in which ballots of ours with counters below `first_counter` may have been forgotten
    /// (R6): none of ours, and no commit vote, will have a lower one. Does nothing if the slot is open.
    pub fn open_from(&mut self, slot: SlotIndex, first_counter: u32) {
        self.slots.entry(slot).or_insert_with(|| Slot::new(slot, &self.local, first_counter.max(1)));
    }

    /// Drops a slot and all it knew. Its timers are void.
    pub fn close(&mut self, slot: SlotIndex) {
        self.slots.remove(&slot);
    }

    /// The open slots, lowest first.
    pub fn open_slots(&self) -> impl DoubleEndedIterator<Item = SlotIndex> {
        self.slots.keys().copied()
    }

    /// The one door: an input in, its effects out, to be carried out in order.
    ///
    /// # Errors
    ///
    /// Why the input was refused. Nothing has changed then.
    pub fn handle(&mut self, input: Input, driver: &impl Driver) -> Result<Vec<Effect>, Rejected> {
        let slot = self.slots.get_mut(&input.slot()).ok_or(Rejected::SlotNotOpen)?;
        slot.handle(input, driver)
    }

    /// The newest statements of every node in a slot, nominations first, by node: what a peer needs to catch up. Of our
    /// own only those that were emitted.
    pub fn latest(&self, slot: SlotIndex) -> impl Iterator<Item = &Attested> {
        self.slots.get(&slot).into_iter().flat_map(Slot::latest)
    }

    /// Our own newest nomination and ballot statement in a slot, also where nothing is emitted.
    #[must_use]
    pub fn own_latest(&self, slot: SlotIndex) -> (Option<Statement>, Option<Statement>) {
        let (nomination, ballot) = self.slots.get(&slot).map_or((None, None), Slot::own_latest);
        (nomination.cloned(), ballot.cloned())
    }

    /// Does the slot emit? False where it is not open.
    #[must_use]
    pub fn is_fully_validated(&self, slot: SlotIndex) -> bool {
        self.slots.get(&slot).is_some_and(Slot::is_fully_validated)
    }

    /// The nomination round of a slot, from 1; 0 before nomination is opened.
    #[must_use]
    pub fn nomination_round(&self, slot: SlotIndex) -> u32 {
        self.slots.get(&slot).map_or(0, Slot::nomination_round)
    }

    /// What an open slot looks like.
    #[must_use]
    pub fn slot_state(&self, slot: SlotIndex) -> Option<SlotState> {
        self.slots.get(&slot).map(Slot::state)
    }
}
