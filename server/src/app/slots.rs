//! Keeps what happened in the newest slots, for whoever asks why: `/v1/slots`.
//!
//! Fed by the consensus thread with what it tells anyway. Everything is bounded, and what is shown is replaced a few
//! times a second behind one pointer: nobody who reads it can hold up the thread.

use crate::herder::{Herder, Notice, Now};
use crate::http::{SlotTrace, Slots, Step, Timeouts};
use fba_core::{Evidence, Moved, SlotIndex, Timer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Slots kept: the open one and the last twenty.
const SLOTS_MAX: usize = 21;
/// Steps kept of one slot, about what a slot of ten ballots among a hundred nodes has. The first ones are kept: they say how it came to
/// the rest.
const STEPS_MAX: usize = 512;
/// Bytes of evidence and values kept of one slot's steps.
const STEP_BYTES_MAX: usize = 256 * 1024;
/// Bytes of statements kept of one slot.
const STATEMENT_BYTES_MAX: usize = 256 * 1024;

/// The newest slots, oldest first.
pub(super) struct SlotLog {
    slots: VecDeque<Kept>,
    shown: Slots,
}

struct Kept {
    opened: Duration,
    bytes: usize,
    /// Shared with what is shown, so it is copied before it is changed.
    trace: Arc<SlotTrace>,
}

impl SlotLog {
    pub(super) fn new(shown: Slots) -> Self {
        Self { slots: VecDeque::new(), shown }
    }

    /// Takes down what a batch told, as of `now`.
    pub(super) fn note(&mut self, now: Now, notices: &[Notice], herder: &Herder) {
        for notice in notices {
            match notice {
                Notice::Moved(moved) => self.step(now, moved.slot, Step::Moved(moved.clone())),
                Notice::TimedOut { slot, timer } => self.step(now, *slot, Step::TimedOut(*timer)),
                Notice::Closed(closed) => self.closed(now, SlotIndex(closed.sequence), closed.caught_up, herder),
                Notice::Ticket { .. }
                | Notice::Phase { .. }
                | Notice::Sync(_)
                | Notice::Refused { .. }
                | Notice::SilenceOverridden { .. } => {}
            }
        }
    }

    /// Shows what has been taken down, with the open slot as it stands.
    pub(super) fn publish(&mut self, now: Now, open: SlotIndex, herder: &Herder) {
        let view = herder.slot_view(open, STATEMENT_BYTES_MAX);
        if view.state.is_some() || !view.statements.is_empty() {
            let trace = self.entry(now, open).trace();
            trace.state = view.state;
            trace.statements = view.statements;
            trace.statements_left_out = view.left_out;
        }
        self.shown.publish(self.slots.iter().map(|kept| Arc::clone(&kept.trace)).collect());
    }

    fn step(&mut self, now: Now, slot: SlotIndex, step: Step) {
        let kept = self.entry(now, slot);
        let (at, bytes) = (now.monotonic.saturating_sub(kept.opened), bytes_of(&step));
        let fits = kept.bytes.saturating_add(bytes) <= STEP_BYTES_MAX && kept.trace.steps.len() < STEPS_MAX;
        if fits {
            kept.bytes += bytes;
        }
        let trace = kept.trace();
        match &step {
            Step::TimedOut(Timer::Nomination) => {
                trace.timeouts.nomination = trace.timeouts.nomination.saturating_add(1)
            }
            Step::TimedOut(Timer::Ballot) => trace.timeouts.ballot = trace.timeouts.ballot.saturating_add(1),
            Step::Moved(_) => {}
        }
        if fits {
            trace.steps.push((at, Arc::new(step)));
        } else {
            trace.steps_left_out += 1;
        }
    }

    /// Of a ledger that was fetched nothing is known but that it closed.
    fn closed(&mut self, now: Now, slot: SlotIndex, caught_up: bool, herder: &Herder) {
        if caught_up && !self.slots.iter().any(|kept| kept.trace.slot == slot.0) {
            return;
        }
        let view = herder.slot_view(slot, STATEMENT_BYTES_MAX);
        let kept = self.entry(now, slot);
        let after = now.monotonic.saturating_sub(kept.opened);
        let trace = kept.trace();
        trace.closed_after = Some(after);
        trace.statements = view.statements;
        trace.statements_left_out = view.left_out;
        if !caught_up {
            self.entry(now, slot.next());
        }
    }

    /// What is kept of a slot. If it is not there, it begins now.
    fn entry(&mut self, now: Now, slot: SlotIndex) -> &mut Kept {
        let place = self.slots.partition_point(|kept| kept.trace.slot < slot.0);
        if self.slots.get(place).is_none_or(|kept| kept.trace.slot != slot.0) {
            self.slots.insert(place, Kept::new(now, slot));
        }
        let surplus = self.slots.len().saturating_sub(SLOTS_MAX);
        // The oldest goes; if that is the one asked for, the next oldest does.
        let (gone, place) = if place < surplus { (1, 0) } else { (0, place - surplus) };
        (0..surplus).for_each(|_| drop(self.slots.remove(gone)));
        self.slots.get_mut(place).expect("it was found or put there just now")
    }
}

impl Kept {
    fn new(now: Now, slot: SlotIndex) -> Self {
        let trace = SlotTrace {
            slot: slot.0,
            opened_ms: now.unix_ms,
            closed_after: None,
            state: None,
            timeouts: Timeouts::default(),
            steps: Vec::new(),
            steps_left_out: 0,
            statements: Vec::new(),
            statements_left_out: 0,
        };
        Self { opened: now.monotonic, bytes: 0, trace: Arc::new(trace) }
    }

    fn trace(&mut self) -> &mut SlotTrace {
        Arc::make_mut(&mut self.trace)
    }
}

/// About what a step takes in memory.
fn bytes_of(step: &Step) -> usize {
    /// A node in a set of nodes, with its share of the tree.
    const PER_NODE: usize = 48;
    match step {
        Step::TimedOut(_) => size_of::<Step>(),
        Step::Moved(Moved { ballot, evidence, .. }) => {
            let nodes = match evidence {
                Some(Evidence::VBlocking(nodes) | Evidence::Quorum(nodes)) => nodes.len(),
                None => 0,
            };
            size_of::<Step>() + ballot.value.as_bytes().len() + nodes * PER_NODE
        }
    }
}
