//! Fetching the ledgers we lack. What a quorum decided in a later slot names the header before it; from there the
//! chain of headers is followed backwards to our own before anything is applied.

use super::{Herder, Now};
use crate::ledger::{LedgerEntry, LedgerValue, ReplayError};
use crate::wire::{LEDGERS_MAX, Message};
use fba_core::{Hash, NodeId, Pledge, SlotIndex, Statement, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A gap is left to the statements on their way for this long before ledgers are asked for.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// How long a peer has to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Ledgers asked for at once.
const CHUNK: u64 = 64;
/// Longest gap followed: header hashes of a month of one-second ledgers, 100 MiB.
const GAP_MAX: u64 = 2_600_000;

/// How far catching up has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct CatchUp {
    /// Slots above the open one that a quorum has decided.
    decided: BTreeMap<SlotIndex, Value>,
    /// Header hashes that follow from a decision, by sequence: an unbroken run.
    proven: BTreeMap<u64, Hash>,
    asked: Option<Asked>,
    /// Nothing is asked before this.
    not_before: Duration,
    turn: u64,
    /// Ledgers that fit in one answer, as far as we know. Grows with every answer that is complete: one peer's short
    /// answer must not slow down all that follow.
    chunk: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: NodeId,
    from: u64,
    count: u64,
    deadline: Duration,
}

impl CatchUp {
    /// Ledger `sequence` closed: what is behind it needs no proof any more.
    pub(crate) fn closed(&mut self, sequence: u64) {
        self.decided = self.decided.split_off(&SlotIndex(sequence.saturating_add(2)));
        self.proven = self.proven.split_off(&sequence.saturating_add(1));
    }

    pub(crate) fn forget_peer(&mut self, peer: NodeId) {
        if self.asked.is_some_and(|asked| asked.peer == peer) {
            self.asked = None;
        }
    }
}

impl Herder {
    /// A statement of a slot above the open one: has a quorum decided that slot?
    pub(super) fn look_ahead(&mut self, now: Now, statement: &Statement) {
        let slot = statement.slot;
        let settles = matches!(statement.pledge, Pledge::Confirm { .. } | Pledge::Externalize { .. });
        if !settles || self.catchup.decided.contains_key(&slot) {
            return;
        }
        let statements = self.book.of_slot(slot);
        let decided = super::decision::decision(self.local, &self.config.quorum_set, slot, statements, &self.sets);
        if let Some(value) = decided {
            self.catchup.decided.insert(slot, value);
            self.catch_up(now);
        }
    }

    /// The ledgers known to be closed elsewhere and not here.
    pub(super) fn gap(&self) -> Option<(u64, u64)> {
        let (last, _) = self.catchup.decided.last_key_value()?;
        let from = self.ledger.sequence().saturating_add(1);
        (last.0 > from).then_some((from, last.0))
    }

    pub(super) fn catchup_due(&self) -> Option<Duration> {
        self.gap()?;
        // Once begun, it goes on without a pause.
        let begun = !self.catchup.proven.is_empty();
        let patient = if begun { Duration::ZERO } else { self.slot.since + PATIENCE };
        let due = self.catchup.asked.map_or(patient, |asked| asked.deadline);
        Some(due.max(self.catchup.not_before))
    }

    /// Asks for the next piece, if it is time to.
    pub(super) fn catch_up(&mut self, now: Now) {
        let Some((from, to)) = self.gap() else {
            (self.catchup.asked, self.catchup.chunk) = (None, None);
            return;
        };
        let waits = self.catchup_due().is_some_and(|due| due > now.monotonic);
        let far = to > from.saturating_add(super::SLOTS_KEPT) && self.catchup.asked.is_none();
        if waits && !(far && self.catchup.not_before <= now.monotonic) {
            return;
        }
        self.catchup.not_before = now.monotonic + PATIENCE;
        if self.catchup.proven.is_empty() && !self.begin_chain() {
            return;
        }
        self.catchup.turn = self.catchup.turn.wrapping_add(1);
        let Some(peer) = self.peers.some(self.catchup.turn, 1).first().copied() else { return };
        let (first, count) = self.next_piece(from);
        self.catchup.asked = Some(Asked { peer, from: first, count, deadline: now.monotonic + ANSWER_WITHIN });
        self.catchup.not_before = now.monotonic;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.out.send(vec![peer], Message::GetLedgers { from: first, count });
    }

    /// A decided value's transaction set cannot be had: perhaps somebody has the whole ledger.
    pub(super) fn ask_for_next_ledger(&mut self, now: Now) {
        if self.gap().is_some() || self.catchup.not_before > now.monotonic {
            return;
        }
        self.catchup.not_before = now.monotonic + ANSWER_WITHIN;
        self.catchup.turn = self.catchup.turn.wrapping_add(1);
        let peers = self.peers.some(self.catchup.turn, 1);
        self.out.send(peers, Message::GetLedgers { from: self.open_slot().0, count: 1 });
    }

    /// The newest decision names the header before it: the proven end of the chain.
    fn begin_chain(&mut self) -> bool {
        let Some((slot, value)) = self.catchup.decided.last_key_value() else { return false };
        let Ok(value) = LedgerValue::decode(value) else { return false };
        let sequence = slot.0.saturating_sub(1);
        if sequence.saturating_sub(self.ledger.sequence()) > GAP_MAX {
            return false;
        }
        self.catchup.proven.insert(sequence, value.proposed().previous);
        true
    }

    /// Downwards until the chain reaches our ledger, then upwards.
    fn next_piece(&self, from: u64) -> (u64, u64) {
        let most = self.catchup.chunk.unwrap_or(CHUNK).clamp(1, LEDGERS_MAX as u64);
        let (Some((lowest, _)), Some((highest, _))) =
            (self.catchup.proven.first_key_value(), self.catchup.proven.last_key_value())
        else {
            return (from, 1);
        };
        let first = if *lowest > from { lowest.saturating_sub(most - 1).max(from) } else { from };
        let last = if *lowest > from { *lowest } else { (first.saturating_add(most - 1)).min(*highest) };
        (first, last.saturating_sub(first).saturating_add(1))
    }

    /// A peer's answer.
    pub(super) fn ledgers(&mut self, now: Now, from: NodeId, entries: &[LedgerEntry]) {
        self.offer_sets(entries);
        let Some(asked) = self.catchup.asked.filter(|asked| asked.peer == from) else { return };
        self.catchup.asked = None;
        if entries.is_empty() {
            // The peer lacks them too. Another one is asked after a while, whatever this one says until then.
            self.catchup.not_before = now.monotonic + PATIENCE;
            return;
        }
        if let Err(reason) = self.take_entries(now, asked, entries) {
            self.out.drop_peer(from, format!("sent ledgers that are not on the proven chain: {reason}"));
        }
        if !self.out.is_fatal() {
            self.catch_up(now);
        }
    }

    fn take_entries(&mut self, now: Now, asked: Asked, entries: &[LedgerEntry]) -> Result<(), String> {
        let first = entries.first().map_or(0, |entry| entry.header.sequence);
        let count = entries.len() as u64;
        if first != asked.from || count > asked.count {
            return Err(format!("asked for {} from {}, got {count} from {first}", asked.count, asked.from));
        }
        let last = first.saturating_add(count).saturating_sub(1);
        let Some(proven) = self.catchup.proven.get(&last).copied() else {
            // Shorter than asked for: what it leads up to is not proven. Ask for less.
            self.catchup.chunk = Some(count);
            return Ok(());
        };
        LedgerEntry::verify_chain(entries, proven).map_err(|error| error.to_string())?;
        self.catchup.chunk = self.catchup.chunk.map(|chunk| chunk.saturating_mul(2)).filter(|chunk| *chunk < CHUNK);
        for entry in entries {
            let before = entry.header.sequence.saturating_sub(1);
            if before > self.ledger.sequence() {
                self.catchup.proven.insert(before, entry.header.previous);
            }
        }
        let follows = |entry: &&LedgerEntry| entry.header.sequence == self.ledger.sequence().saturating_add(1);
        if let Some(next) = entries.first().filter(follows)
            && next.header.previous != self.ledger.header_hash()
        {
            self.diverged("the chain of headers below a decided slot does not contain our last ledger");
            return Ok(());
        }
        entries.iter().try_for_each(|entry| self.replay(now, entry))
    }

    fn replay(&mut self, now: Now, entry: &LedgerEntry) -> Result<(), String> {
        let sequence = entry.header.sequence;
        if self.out.is_fatal() || sequence != self.ledger.sequence().saturating_add(1) {
            return Ok(());
        }
        match self.ledger.replay(entry) {
            Ok(closed) => {
                self.out.close(closed.clone(), false, (None, None));
                self.next_slot(now, &closed);
                Ok(())
            }
            Err(error @ (ReplayError::Invalid { .. } | ReplayError::OtherHeader { .. })) => {
                self.diverged(&format!("a ledger on the proven chain does not follow ours: {error}"));
                Ok(())
            }
            #[expect(unreachable_patterns, reason = "the enum is non-exhaustive outside its module only")]
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sets in ledgers may be what a statement waits for.
    fn offer_sets(&mut self, entries: &[LedgerEntry]) {
        for entry in entries {
            let item = super::fetch::Item::TxSet(entry.tx_set.hash());
            if self.fetches.is_open(item) {
                self.fetches.drop_item(item);
                self.payloads.add(std::sync::Arc::new(entry.tx_set.clone()), &self.queue, &*self.signatures);
            }
        }
    }
}
