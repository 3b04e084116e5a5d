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
/// Steps kept of one slot: a slot that goes well has about ten, and as many more for every ballot. The first ones are
/// kept: they say how it came to the rest.
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
                | Notice::SilenceOverridden { .. }
                | Notice::Refused { .. } => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herder::ClosedSummary;
    use crate::key::{Ed25519, NetworkId, SecretKey};
    use crate::ledger::{AccountId, Genesis, Ledger, Parameters};
    use fba_core::{Ballot, Hash, NodeId, QuorumSet, Rule, Value};

    fn herder() -> Herder {
        let (passphrase, key) = ("slot log".to_owned(), SecretKey::from_seed(&[1; 32]));
        let genesis = Genesis {
            passphrase: passphrase.clone(),
            close_time_ms: 1,
            root_account: AccountId::of(&key),
            total_supply: 1_000,
            parameters: Parameters::default(),
        };
        let config = crate::herder::HerderConfig {
            quorum_set: QuorumSet::singleton(key.node_id()),
            is_validator: true,
            leader_weights: None,
        };
        let signatures = Arc::new(Ed25519::new(NetworkId::of_passphrase(&passphrase), key));
        Herder::new(config, signatures, Ledger::genesis(&genesis).unwrap().0, crate::herder::Restored::default())
    }

    fn at(ms: u64) -> Now {
        Now { monotonic: Duration::from_millis(ms), unix_ms: 1_000_000 + ms }
    }

    fn moved(slot: u64, evidence: usize) -> Notice {
        let nodes = (0..evidence).map(|n| NodeId(std::array::from_fn(|i| (n >> (8 * (i % 4))) as u8))).collect();
        Notice::Moved(Moved {
            slot: SlotIndex(slot),
            rule: Rule::AcceptPrepared,
            ballot: Ballot { counter: 1, value: Value::new(b"value") },
            evidence: (evidence > 0).then_some(Evidence::Quorum(nodes)),
        })
    }

    fn closed(sequence: u64, caught_up: bool) -> Notice {
        Notice::Closed(ClosedSummary {
            sequence,
            hash: Hash::ZERO,
            close_time_ms: 0,
            transactions: 0,
            failed: 0,
            nomination: None,
            ballot: None,
            caught_up,
        })
    }

    fn log() -> (SlotLog, Slots, Herder) {
        let slots = Slots::default();
        (SlotLog::new(slots.clone()), slots, herder())
    }

    fn numbers(slots: &Slots) -> Vec<u64> {
        slots.load().iter().map(|trace| trace.slot).collect()
    }

    #[test]
    fn a_slot_begins_with_the_close_before_it_and_its_steps_have_the_time_since() {
        let (mut log, slots, herder) = log();
        log.note(at(100), &[closed(5, false)], &herder);
        let timer = Notice::TimedOut { slot: SlotIndex(6), timer: Timer::Ballot };
        log.note(at(130), &[moved(6, 3), timer], &herder);
        log.note(at(150), &[closed(6, false)], &herder);
        log.publish(at(150), SlotIndex(7), &herder);
        let shown = slots.load();
        let six = shown.iter().find(|trace| trace.slot == 6).unwrap();
        assert_eq!((six.opened_ms, six.closed_after), (1_000_100, Some(Duration::from_millis(50))));
        assert!(six.steps.iter().all(|(at, _)| *at == Duration::from_millis(30)));
        assert_eq!((six.steps.len(), six.timeouts), (2, Timeouts { nomination: 0, ballot: 1 }));
    }

    #[test]
    fn only_the_newest_slots_are_kept() {
        let (mut log, slots, herder) = log();
        (1..=100).for_each(|slot| log.note(at(slot), &[moved(slot, 1), closed(slot, false)], &herder));
        log.publish(at(100), SlotIndex(101), &herder);
        assert_eq!(numbers(&slots), (81..=101).collect::<Vec<_>>());
        // A step of a slot long gone brings it back for a moment at most.
        log.note(at(101), &[moved(2, 1)], &herder);
        log.publish(at(101), SlotIndex(101), &herder);
        assert!(numbers(&slots).len() <= SLOTS_MAX && numbers(&slots).contains(&101), "{:?}", numbers(&slots));
    }

    #[test]
    fn ledgers_that_were_fetched_leave_no_trace() {
        let (mut log, slots, herder) = log();
        (1..=100).for_each(|slot| log.note(at(slot), &[closed(slot, true)], &herder));
        log.publish(at(100), SlotIndex(101), &herder);
        assert!(numbers(&slots).is_empty(), "{:?}", numbers(&slots));
    }

    #[test]
    fn a_slot_that_goes_on_and_on_is_bounded_in_steps_and_in_bytes() {
        let (mut log, slots, herder) = log();
        (0..1_000).for_each(|_| log.note(at(1), &[moved(6, 1)], &herder));
        (0..1_000).for_each(|_| log.note(at(1), &[moved(7, 1_000)], &herder));
        log.publish(at(1), SlotIndex(8), &herder);
        for trace in slots.load().iter() {
            let bytes: usize = trace.steps.iter().map(|(_, step)| bytes_of(step)).sum();
            assert!(trace.steps.len() <= STEPS_MAX && bytes <= STEP_BYTES_MAX, "slot {}", trace.slot);
            assert_eq!(trace.steps.len() as u64 + trace.steps_left_out, 1_000, "nothing is dropped without a word");
        }
    }
}
