//! What one input makes happen: effects in order, and the two clocks they start and stop.

use crate::{Ballot, Effect, Evidence, Hash, Moved, NodeId, Others, QuorumSet, Rejected, Rule, SlotIndex, Statement};
use crate::{Pledge, Timer, Value};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// Who we are in a slot. Fixed when the slot is opened.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) node: NodeId,
    pub(crate) is_validator: bool,
    pub(crate) set: Arc<QuorumSet>,
    pub(crate) hash: Hash,
    pub(crate) others: Others,
}

impl Local {
    pub(crate) fn new(node: NodeId, is_validator: bool, set: &QuorumSet) -> Self {
        let set = set.normalized();
        Self { node, is_validator, hash: set.hash(), others: set.without(node), set: Arc::new(set) }
    }

    pub(crate) fn statement(&self, slot: SlotIndex, pledge: Pledge) -> Statement {
        Statement { node: self.node, slot, quorum_set: self.hash, pledge }
    }
}

/// The surroundings of one call into a protocol.
pub(crate) struct Turn<'a, D> {
    pub(crate) local: &'a Local,
    pub(crate) driver: &'a D,
    pub(crate) out: &'a mut Outlet,
}

/// Collects the effects of one call.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    slot: SlotIndex,
    /// False for good once a value was not current (S5), and for those who only watch: nothing leaves then.
    emits: bool,
    nomination: Clock,
    ballot: Clock,
    effects: Vec<Effect>,
}

/// T1: every start gets a generation of its own, so that a late timer is recognised.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    generation: u64,
    runs: bool,
}

impl Outlet {
    pub(crate) fn new(slot: SlotIndex, emits: bool) -> Self {
        Self { slot, emits, nomination: Clock::default(), ballot: Clock::default(), effects: Vec::new() }
    }

    pub(crate) fn slot(&self) -> SlotIndex {
        self.slot
    }

    pub(crate) fn emits(&self) -> bool {
        self.emits
    }

    /// S5: from now on nothing is emitted.
    pub(crate) fn mute(&mut self) {
        self.emits = false;
    }

    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        core::mem::take(&mut self.effects)
    }

    pub(crate) fn emit(&mut self, statement: Statement) {
        if self.emits {
            self.effects.push(Effect::Emit(statement));
        }
    }

    pub(crate) fn externalize(&mut self, value: Value) {
        self.effects.push(Effect::Externalize { slot: self.slot, value });
    }

    pub(crate) fn moved(&mut self, rule: Rule, ballot: Ballot, evidence: Option<Evidence>) {
        self.effects.push(Effect::Moved(Moved { slot: self.slot, rule, ballot, evidence }));
    }

    /// T1
    pub(crate) fn start(&mut self, timer: Timer, after: Duration) {
        let slot = self.slot;
        let clock = self.clock(timer);
        clock.generation = clock.generation.saturating_add(1);
        clock.runs = true;
        let generation = clock.generation;
        self.effects.push(Effect::StartTimer { slot, timer, generation, after });
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        let clock = self.clock(timer);
        if core::mem::replace(&mut clock.runs, false) {
            self.effects.push(Effect::StopTimer { slot: self.slot, timer });
        }
    }

    /// T1: only the timer started last, and only once.
    pub(crate) fn expire(&mut self, timer: Timer, generation: u64) -> Result<(), Rejected> {
        let clock = self.clock(timer);
        if clock.runs && clock.generation == generation {
            clock.runs = false;
            Ok(())
        } else {
            Err(Rejected::LateTimer)
        }
    }

    fn clock(&mut self, timer: Timer) -> &mut Clock {
        match timer {
            Timer::Nomination => &mut self.nomination,
            Timer::Ballot => &mut self.ballot,
        }
    }
}
