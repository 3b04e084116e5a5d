//! A simulated disk: what was synced survives a crash; what was only written may not.

use fba_core::{Hash, Pledge, QuorumSet, SlotIndex, Value};
use fba_server::herder::{Commit, Restored, SLOTS_KEPT, Standing, Vote};
use fba_server::ledger::{Ledger, LedgerEntry, TxSet};
use fba_server::wire::SignedStatement;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one node has stored.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) ledger: Ledger,
    pub(super) entries: Vec<Arc<LedgerEntry>>,
    votes: BTreeMap<(SlotIndex, bool), Vote>,
    heard: BTreeMap<(SlotIndex, fba_core::NodeId, bool), SignedStatement>,
    proofs: BTreeMap<SlotIndex, Vec<SignedStatement>>,
    quorum_sets: BTreeMap<Hash, QuorumSet>,
    tx_sets: BTreeMap<Hash, Arc<TxSet>>,
    /// Up to this slot first ballots may have been forgotten in a power cut.
    forgotten: SlotIndex,
}

/// The disk of one node.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) synced: Contents,
    pub(super) written: Contents,
}

impl Disk {
    pub(super) fn new(ledger: Ledger) -> Self {
        let contents = Contents {
            ledger,
            entries: Vec::new(),
            votes: BTreeMap::new(),
            heard: BTreeMap::new(),
            proofs: BTreeMap::new(),
            quorum_sets: BTreeMap::new(),
            tx_sets: BTreeMap::new(),
            forgotten: SlotIndex(0),
        };
        Self { synced: contents.clone(), written: contents }
    }

    /// `ledger` is the herder's after all closes of the commit.
    pub(super) fn commit(&mut self, commit: &Commit, ledger: &Ledger) {
        self.written.apply(commit, ledger);
        if commit.sync {
            self.synced = self.written.clone();
        }
    }

    /// The process ends, or the power fails. True if something that was written is gone.
    pub(super) fn crash(&mut self, keeps_unsynced: bool) -> bool {
        if keeps_unsynced {
            self.synced = self.written.clone();
            return false;
        }
        let lost = self.written.entries.len() != self.synced.entries.len()
            || self.written.statements().ne(self.synced.statements());
        self.written = self.synced.clone();
        self.synced.forgotten = SlotIndex(self.synced.ledger.sequence() + 1);
        self.written.forgotten = self.synced.forgotten;
        lost
    }

    /// Is this own ballot statement, or a newer one, written?
    pub(super) fn has_written(&self, statement: &fba_core::Statement) -> bool {
        self.written.holds(statement)
    }

    /// Is this own ballot statement, or a newer one, safe?
    pub(super) fn has_synced(&self, statement: &fba_core::Statement) -> bool {
        self.synced.holds(statement)
    }

    /// The value that a synced statement votes to commit in this slot.
    pub(super) fn synced_commit(&self, slot: SlotIndex) -> Option<&Value> {
        match &self.synced.votes.get(&(slot, false))?.statement.statement.pledge {
            Pledge::Prepare { ballot, commit, .. } if *commit > 0 => Some(&ballot.value),
            Pledge::Confirm { ballot, .. } => Some(&ballot.value),
            Pledge::Externalize { commit, .. } => Some(&commit.value),
            Pledge::Prepare { .. } | Pledge::Nominate { .. } => None,
        }
    }
}

impl Contents {
    fn apply(&mut self, commit: &Commit, ledger: &Ledger) {
        for vote in &commit.votes {
            let statement = &vote.statement.statement;
            self.votes.insert((statement.slot, statement.pledge.is_nomination()), vote.clone());
        }
        for signed in &commit.heard {
            let statement = &signed.statement;
            self.heard.insert((statement.slot, statement.node, statement.pledge.is_nomination()), signed.clone());
        }
        self.quorum_sets.extend(commit.quorum_sets.iter().map(|set| (set.hash(), set.clone())));
        self.tx_sets.extend(commit.tx_sets.iter().map(|set| (set.hash(), Arc::clone(set))));
        for close in &commit.closes {
            self.entries.push(Arc::new(close.closed.entry()));
            self.tx_sets.insert(close.closed.tx_set.hash(), Arc::clone(&close.closed.tx_set));
            self.proofs.insert(SlotIndex(close.closed.header.sequence), close.proof.clone());
            self.quorum_sets.extend(close.proof_sets.iter().map(|set| (set.hash(), set.clone())));
        }
        if !commit.closes.is_empty() {
            self.ledger = ledger.clone();
            let floor = SlotIndex(ledger.sequence().saturating_sub(SLOTS_KEPT));
            self.votes.retain(|(slot, _), _| *slot >= floor);
            self.heard.retain(|(slot, _, _), _| slot.0 > ledger.sequence());
            self.proofs.retain(|slot, _| *slot >= floor);
            let recent = self.entries.iter().rev().take(12).map(|entry| entry.tx_set.hash());
            let recent: std::collections::BTreeSet<Hash> = recent.collect();
            let head = ledger.header_hash();
            self.tx_sets.retain(|hash, set| set.previous() == head || recent.contains(hash));
        }
    }

    fn statements(&self) -> impl Iterator<Item = &fba_core::Statement> {
        self.votes.values().map(|vote| &vote.statement.statement)
    }

    fn holds(&self, statement: &fba_core::Statement) -> bool {
        let stored = self.votes.get(&(statement.slot, false)).map(|vote| &vote.statement.statement);
        let is_old = statement.slot.0 + SLOTS_KEPT < self.ledger.sequence();
        is_old || stored.is_some_and(|stored| stored == statement || stored.is_newer_than(statement))
    }

    pub(super) fn restored(&self, standing: Standing) -> Restored {
        Restored {
            standing,
            forgotten: self.forgotten,
            votes: self.votes.values().cloned().collect(),
            heard: self.heard.values().chain(self.proofs.values().flatten()).cloned().collect(),
            quorum_sets: self.quorum_sets.values().cloned().collect(),
            tx_sets: self.tx_sets.values().cloned().collect(),
        }
    }

    /// Entries from sequence `from` on; ledger 2 is the first there is.
    pub(super) fn read(&self, from: u64, count: u32) -> Vec<LedgerEntry> {
        let skip = usize::try_from(from.saturating_sub(2)).unwrap_or(usize::MAX);
        let none = from < 2;
        let count = if none { 0 } else { count as usize };
        self.entries.iter().skip(skip).take(count).map(|entry| LedgerEntry::clone(entry)).collect()
    }
}
