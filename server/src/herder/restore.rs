//! Coming back: what the store kept of our votes, and what we may say if it kept too little.

use super::durability::COUNTER_AFTER_LOSS;
use super::statements::{Entry, Protocol};
use super::{Herder, Now, Vote};
use crate::ledger::TxSet;
use crate::wire::SignedStatement;
use fba_core::{Attested, Input, QuorumSet, SenderSet, SlotIndex, Statement};
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
        (self.standing == Standing::Lost).then_some(Silence { since_unix_ms: u64::MAX, watched: 0 })
    }
}

/// A node whose votes are lost watches until it cannot contradict what it may have said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    /// When it started, by its own clock.
    pub(crate) since_unix_ms: u64,
    /// Slots closed by our own slices since.
    watched: u32,
}

/// So many slots are watched at least: the clock alone is not trusted.
const WATCHED_MIN: u32 = 10;

impl Silence {
    /// A slot with this close time was closed by our own slices. Over now?
    ///
    /// Before it was lost, our key voted at most in the slot after one whose close time honest nodes held to be at most
    /// `slip_ms` ahead of their clocks. A slot that closes later than that is not before the one we may have voted in.
    pub(crate) fn watched(&mut self, close_time_ms: u64, slip_ms: u64, unix_ms: u64) -> bool {
        self.watched = self.watched.saturating_add(1);
        let clock_is_sane = unix_ms.saturating_add(slip_ms) >= close_time_ms;
        self.watched >= WATCHED_MIN && close_time_ms > self.since_unix_ms.saturating_add(slip_ms) && clock_is_sane
    }
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

    #[test]
    fn a_silent_node_waits_for_ten_slots_and_for_a_close_time_past_its_start_and_the_slip() {
        let mut silence = Silence { since_unix_ms: 1_000, watched: 0 };
        assert!((0..20).all(|_| !silence.watched(61_000, 60_000, 61_000)));
        assert!(!silence.watched(61_001, 60_000, 1_000), "the clock went back");
        assert!(silence.watched(61_001, 60_000, 61_001));
        let mut early = Silence { since_unix_ms: 1_000, watched: 0 };
        assert_eq!((0..10).map(|_| early.watched(99_000, 60_000, 99_000)).position(|over| over), Some(9));
    }
}
