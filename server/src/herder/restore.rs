//! Coming back: what the store kept of our votes, and what we may say if it kept too little.

use super::durability::COUNTER_AFTER_LOSS;
use super::effects::OpenSlot;
use super::statements::{Entry, Protocol};
use super::{Herder, Notice, Now, Recovery, Vote, Waits};
use crate::ledger::{Parameters, TxSet};
use crate::wire::SignedStatement;
use fba_core::{Attested, Input, Node, QuorumSet, SenderSet, SlotIndex, Statement};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the store says about our votes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Standing {
    /// All of them are here, or there never were any.
    #[default]
    Intact,
    /// The key has voted and the votes are gone, in part or in whole.
    Lost,
}

/// What the store kept, besides the ledger.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Are the votes all here?
    pub standing: Standing,
    /// Up to this slot first ballots may have been forgotten, because the power may have failed; 0 if it has not.
    pub forgotten: SlotIndex,
    /// Own newest statements of the open slot and of some closed ones.
    pub votes: Vec<Vote>,
    /// What others said that our votes in the open slot may follow from, and what proves the last closed ledgers.
    pub heard: Vec<SignedStatement>,
    /// Every quorum set the votes and what was heard name.
    pub quorum_sets: Vec<QuorumSet>,
    /// Transaction sets the open slot's statements refer to, and those of the last closed ledgers, oldest first.
    pub tx_sets: Vec<Arc<TxSet>>,
}

impl Restored {
    pub(super) fn silence(&self) -> Option<Silence> {
        (self.standing == Standing::Lost).then(Silence::default)
    }
}

/// So many slots are watched at least: the clock alone is not trusted.
pub(crate) const WATCHED_MIN: u32 = 10;

/// Our clock may be so far behind the newest agreed close time; the wait is longer by as much. Far above what a clock
/// that is kept by NTP is off, and what nodes differ by; a network with a smaller slip has a smaller one of these too.
const CLOCK_TOLERANCE_MS: u64 = 5_000;

/// A node whose votes are lost watches until it cannot contradict what it may have said.
///
/// Before it was lost, our key voted at most in the slot after one whose close time honest nodes held to be at most the
/// slip ahead of their clocks. That was before we started, so a slot that closes later than our start and the slip is
/// not before the one we may have voted in. Taking instead what peers closed last would be wrong: the lost instance may
/// have been ahead of every peer we hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence {
    /// When it started, as the clock says now: a clock that was set forward since was wrong then.
    started: Option<Now>,
    /// Slots closed by our own slices since.
    watched: u32,
    /// The newest close time agreed on since.
    newest_close_ms: u64,
    /// What others still hold of what our key said in the open slot: the newest of each protocol, so at most two.
    echoes: BTreeMap<Protocol, SignedStatement>,
}

impl Silence {
    pub(crate) fn start(&mut self, now: Now) {
        self.started = Some(now);
    }

    /// A slot with this close time was closed by our own slices. Over now?
    pub(crate) fn watched(&mut self, now: Now, close_time_ms: u64, slip_ms: u64) -> bool {
        // L1: called for what our own slices decided only.
        self.watched = self.watched.saturating_add(1);
        self.newest_close_ms = close_time_ms;
        self.echoes.clear();
        self.note_clock(now);
        // L2, L3, L4
        let passed = self.must_pass_ms(slip_ms).is_some_and(|least| close_time_ms > least);
        self.watched >= WATCHED_MIN && passed && self.clock_behind_ms(now, slip_ms).is_none()
    }

    /// L5: a clock that was set forward tells that we started later than it said then.
    fn note_clock(&mut self, now: Now) {
        if let Some(started) = self.started.as_mut() {
            let since = now.monotonic.saturating_sub(started.monotonic);
            let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            started.unix_ms = started.unix_ms.max(now.unix_ms.saturating_sub(since_ms));
        }
    }

    /// Nothing is said before a slot has closed with a later close time than this. `None` before the start.
    fn must_pass_ms(&self, slip_ms: u64) -> Option<u64> {
        let started = self.started?;
        Some(started.unix_ms.saturating_add(slip_ms).saturating_add(tolerance_ms(slip_ms)))
    }

    /// How far our clock is behind the newest agreed close time, if that is too far to rely on it.
    fn clock_behind_ms(&self, now: Now, slip_ms: u64) -> Option<u64> {
        let behind = self.newest_close_ms.saturating_sub(now.unix_ms);
        (behind > tolerance_ms(slip_ms)).then_some(behind)
    }

    /// Somebody still holds this of ours.
    fn echo(&mut self, signed: SignedStatement) {
        let protocol = Protocol::of(&signed.statement);
        let is_older = |held: &SignedStatement| {
            held.statement.slot == signed.statement.slot && !signed.statement.is_newer_than(&held.statement)
        };
        if !self.echoes.get(&protocol).is_some_and(is_older) {
            self.echoes.insert(protocol, signed);
        }
    }

    /// How far it has come. `waits` is what keeps the open slot from closing, if it should have closed by now.
    pub(crate) fn recovery(&self, now: Now, parameters: &Parameters, waits: Option<Box<Waits>>) -> Recovery {
        let slip_ms = parameters.clock_slip_ms;
        let clock_behind_ms = self.clock_behind_ms(now, slip_ms);
        let must_pass_ms = self.must_pass_ms(slip_ms).unwrap_or(u64::MAX);
        let slots_left = u64::from(WATCHED_MIN.saturating_sub(self.watched));
        let by_slots = slots_left.saturating_mul(parameters.heartbeat_ms);
        let by_clock = must_pass_ms.saturating_sub(self.newest_close_ms.max(now.unix_ms));
        let progresses = waits.is_none() && clock_behind_ms.is_none();
        Recovery {
            watched: self.watched,
            wanted: WATCHED_MIN,
            must_pass_ms,
            seconds_left: progresses.then(|| by_slots.max(by_clock).div_ceil(1_000)),
            clock_behind_ms,
            waits,
        }
    }
}

fn tolerance_ms(slip_ms: u64) -> u64 {
    slip_ms.min(CLOCK_TOLERANCE_MS)
}

/// Why [`Herder::override_silence`] was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideRefused {
    /// It votes already, or will as soon as there is something to vote for.
    #[error("this node is not silent: every vote of its key is known, and there is nothing to override")]
    NotSilent,
    /// It would not vote anyway.
    #[error("this node does not vote: `node_is_validator` is false in its configuration")]
    NotAValidator,
    /// Not started, or stopped for good.
    #[error("this node is not running agreement: it is starting, or it has diverged and stopped")]
    NotRunning,
    /// The network has closed the open slot already.
    #[error("slot {open} is closed elsewhere, up to slot {newest}: this node is catching up, wait until it has")]
    Behind {
        /// Our open slot.
        open: SlotIndex,
        /// The newest slot known to be decided.
        newest: SlotIndex,
    },
    /// Another slot is open.
    #[error(
        "slot {asked} is not the open one, which is slot {open}: look at `fba status` again, and name the slot that does \
         not close without this node"
    )]
    OtherSlot {
        /// The slot that was typed in.
        asked: SlotIndex,
        /// The open one.
        open: SlotIndex,
    },
}

impl Herder {
    pub(super) fn restore(&mut self, restored: Restored) {
        for set in restored.quorum_sets {
            self.sets.insert(set.hash(), Arc::new(set));
        }
        for set in restored.tx_sets {
            if set.previous() == self.ledger.header_hash() {
                self.payloads.add(set, &self.queue, &*self.signatures);
            } else {
                self.payloads.restore_closed(set);
            }
        }
        // R7: what was heard in the open slot is taken up once our own votes are.
        let local = self.local;
        for signed in restored.heard.into_iter().filter(|signed| signed.statement.node != local) {
            self.book.insert(Entry::restored(signed));
        }
        for vote in restored.votes {
            let slot = vote.statement.statement.slot;
            self.book.insert(Entry::own(vote.statement.clone()));
            if slot >= self.open_slot() {
                self.out.restored.entry(slot).or_default().push(vote);
            }
        }
    }

    /// Ends the silence after a loss of votes before that is known to be safe, because somebody who knows better says so.
    ///
    /// **This can fork the network.** If the lost votes were cast in `slot`, this node may contradict them; the slot is
    /// typed in by the operator so that no other one is risked. What others still hold of those votes is taken up
    /// again, and ballots begin above the first (R6), which leaves as little to chance as can be. The safe ways are to wait
    /// until the slot closes without us, or a new key.
    ///
    /// # Errors
    /// [`OverrideRefused`] if there is nothing to override or `slot` is not the open one.
    pub fn override_silence(&mut self, now: Now, slot: SlotIndex) -> Result<(), OverrideRefused> {
        let open = self.open_slot();
        if !self.config.is_validator {
            return Err(OverrideRefused::NotAValidator);
        }
        if self.out.is_fatal() || !self.tracking.is_started() {
            return Err(OverrideRefused::NotRunning);
        }
        let Some(silence) = &self.silence else { return Err(OverrideRefused::NotSilent) };
        if let Some((_, newest)) = self.gap() {
            return Err(OverrideRefused::Behind { open, newest: SlotIndex(newest) });
        }
        if slot != open {
            return Err(OverrideRefused::OtherSlot { asked: slot, open });
        }
        let echoes: Vec<SignedStatement> =
            silence.echoes.values().filter(|signed| signed.statement.slot == slot).cloned().collect();
        for echo in &echoes {
            self.book.insert(Entry::own(echo.clone()));
        }
        let votes = echoes.into_iter().map(|statement| Vote { statement, nomination: None }).collect();
        self.silence = None;
        self.forgotten = self.forgotten.max(slot);
        self.slot = OpenSlot::new(slot, self.slot.since, self.slot.late);
        self.scp = Node::new(self.local, self.votes(), self.config.quorum_set.clone());
        self.out.restored.insert(slot, votes);
        self.open_in_core(slot);
        self.restore_slot(now, slot);
        // Others hold it, our store does not.
        self.slot.durable.clear();
        self.restore_heard(now);
        self.out.notice(Notice::SilenceOverridden { slot });
        self.tick(now);
        Ok(())
    }

    /// Something our key said, held by others: worth knowing while our own record of it is lost.
    pub(super) fn note_echo(&mut self, signed: SignedStatement) {
        let open = self.open_slot();
        if let Some(silence) = self.silence.as_mut()
            && signed.statement.slot == open
        {
            silence.echo(signed);
        }
    }

    /// R7: takes in again what others said in the open slot before a restart, after our own votes.
    pub(super) fn restore_heard(&mut self, now: Now) {
        let (own, heard): (Vec<Entry>, Vec<Entry>) = self
            .book
            .take_slot(self.open_slot())
            .into_iter()
            .partition(|entry| entry.signed.statement.node == self.local);
        own.into_iter().for_each(|entry| self.book.insert(entry));
        heard.into_iter().for_each(|entry| self.admit(now, entry));
    }

    /// Opens a slot in the core, above the counters of ballots we may have forgotten.
    pub(super) fn open_in_core(&mut self, slot: SlotIndex) {
        let first = if slot <= self.forgotten { COUNTER_AFTER_LOSS } else { 1 };
        self.scp.open_from(slot, first);
    }

    /// Brings what we said in `slot` before a restart back into the core, once the slot is open.
    pub(super) fn restore_slot(&mut self, now: Now, slot: SlotIndex) {
        let votes = self.out.restored.remove(&slot).unwrap_or_default();
        self.out.restored = self.out.restored.split_off(&slot);
        // Nomination first; how far it had come with the last, because rounds are gone through only once (R3).
        let reached = votes.iter().filter_map(|vote| vote.nomination.clone()).max_by_key(|(round, _)| *round);
        let mut statements: Vec<Statement> = votes.into_iter().map(|vote| vote.statement.statement).collect();
        statements.sort_by_key(Protocol::of);
        let last = statements.len().saturating_sub(1);
        for (index, statement) in statements.into_iter().enumerate() {
            let set = self.sets.get(&statement.quorum_set).unwrap_or_else(|| self.scp.quorum_set());
            let attested = Attested { statement: statement.clone(), quorum_set: SenderSet::Known(Arc::clone(set)) };
            let nomination = reached.clone().filter(|_| index == last);
            let (scp, driver) = self.core(now);
            // Refused only if it is damaged beyond what row checksums find; the book has it still.
            if let Ok(effects) = scp.handle(Input::Restore { statement: attested, nomination }, &driver) {
                self.slot.durable.insert(Protocol::of(&statement), statement);
                self.perform(now, effects);
            }
        }
    }
}

/// Votes of slots that are not open yet.
pub(crate) type RestoredVotes = BTreeMap<SlotIndex, Vec<Vote>>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SLIP_MS: u64 = 60_000;
    /// The slip and what our clock may be off.
    const WAIT_MS: u64 = 65_000;

    fn at(seconds: u64, unix_ms: u64) -> Now {
        Now { monotonic: Duration::from_secs(seconds), unix_ms }
    }

    fn silent_since(unix_ms: u64) -> Silence {
        let mut silence = Silence::default();
        silence.start(at(0, unix_ms));
        silence
    }

    #[test]
    fn a_silent_node_waits_for_ten_slots_and_for_a_close_time_past_its_start_and_the_slip() {
        let mut silence = silent_since(1_000);
        let least = 1_000 + WAIT_MS;
        assert!((0..20).all(|_| !silence.watched(at(70, least), least, SLIP_MS)));
        assert!(silence.watched(at(70, least + 1), least + 1, SLIP_MS));
        let mut early = silent_since(1_000);
        let over = (0..10).map(|_| early.watched(at(98, 99_000), 99_000, SLIP_MS)).position(|over| over);
        assert_eq!(over, Some(9));
    }

    #[test]
    fn a_clock_behind_the_newest_close_time_keeps_silent_and_says_how_far() {
        let mut silence = silent_since(1_000);
        assert!((0..20).all(|_| !silence.watched(at(98, 90_000), 99_000, SLIP_MS)));
        let recovery = silence.recovery(at(98, 90_000), &Parameters::default(), None);
        assert_eq!((recovery.clock_behind_ms, recovery.seconds_left), (Some(9_000), None));
        assert!(silence.watched(at(99, 99_500), 100_000, SLIP_MS), "half a second is no matter");
    }

    #[test]
    fn a_clock_set_forward_after_the_start_moves_the_start_too() {
        let hour = 3_600_000;
        let mut silence = silent_since(1_000);
        // Set right after a minute: the start was an hour later than it seemed.
        assert!((0..20).all(|_| !silence.watched(at(60, hour + 61_000), hour + 61_000, SLIP_MS)));
        assert!(silence.watched(at(67, hour + 67_000), hour + 1_000 + WAIT_MS + 1, SLIP_MS));
    }

    #[test]
    fn recovery_counts_slots_and_seconds_down() {
        let parameters = Parameters { heartbeat_ms: 5_000, clock_slip_ms: SLIP_MS, ..Parameters::default() };
        let mut silence = silent_since(1_000);
        let left = |silence: &Silence, now| silence.recovery(now, &parameters, None).seconds_left;
        assert_eq!(left(&silence, at(0, 1_000)), Some(65));
        (0..4).for_each(|_| assert!(!silence.watched(at(50, 51_000), 51_000, SLIP_MS)));
        assert_eq!(left(&silence, at(50, 51_000)), Some(30), "six slots, a heartbeat each");
    }
}
