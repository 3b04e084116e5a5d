//! What has piled up since the last flush, put in the order in which it may happen: say, store, promise, tell.

use super::durability::{Durability, durability};
use super::restore::RestoredVotes;
use super::statements::{Entry, Protocol};
use super::tracking::Stance;
use super::{
    Batch, Close, ClosedSummary, Commit, Divergence, Herder, Notice, Now, Outgoing, ReadLedgers, SyncState, Vote,
};
use crate::ledger::Closed;
use crate::wire::{Message, SignedStatement};
use fba_core::{Hash, NodeId, Pledge, SlotIndex, Statement, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the next batch will hold.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    first: Vec<Outgoing>,
    emits: BTreeMap<(SlotIndex, Protocol), Statement>,
    /// Nominations said, to be stored with whatever is stored next.
    unstored: BTreeMap<SlotIndex, Vote>,
    closes: Vec<Closing>,
    notices: Vec<Notice>,
    /// Is one of the notices an acknowledgement?
    acknowledges: bool,
    reads: Vec<ReadLedgers>,
    fatal: Option<Divergence>,
    stopped: bool,
    last_stance: Option<Stance>,
    stored_sets: BTreeSet<Hash>,
    /// Is a close written that is not synced yet?
    close_unsynced: bool,
    /// Own statements from before a restart whose slot is not open yet.
    pub(super) restored: RestoredVotes,
    stored_tx_sets: BTreeSet<Hash>,
}

#[derive(Debug)]
struct Closing {
    closed: Closed,
    live: bool,
    timing: (Option<Duration>, Option<Duration>),
}

impl Outbox {
    pub(crate) fn send(&mut self, to: Vec<NodeId>, message: Message) {
        if !to.is_empty() {
            self.first.push(Outgoing::Send { to, message });
        }
    }

    pub(crate) fn drop_peer(&mut self, peer: NodeId, reason: String) {
        self.first.push(Outgoing::DropPeer { peer, reason });
    }

    pub(crate) fn refused(&mut self, peer: NodeId, reason: String) {
        self.notices.push(Notice::Refused { peer, reason });
    }

    pub(crate) fn emit(&mut self, statement: Statement) {
        self.emits.insert((statement.slot, Protocol::of(&statement)), statement);
    }

    pub(crate) fn close(&mut self, closed: Closed, live: bool, timing: (Option<Duration>, Option<Duration>)) {
        self.closes.push(Closing { closed, live, timing });
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        let closed = matches!(notice, Notice::Ticket { outcome: super::TicketOutcome::Closed { .. }, .. });
        self.acknowledges |= closed;
        self.notices.push(notice);
    }

    pub(crate) fn read(&mut self, read: ReadLedgers) {
        self.reads.push(read);
    }

    pub(crate) fn fatal(&mut self, divergence: Divergence) {
        self.fatal.get_or_insert(divergence);
    }

    pub(crate) fn is_fatal(&self) -> bool {
        self.stopped || self.fatal.is_some()
    }
}

impl Herder {
    /// What the host must do now. Signs what we say.
    pub fn flush(&mut self, now: Now) -> Batch {
        if self.out.stopped {
            return Batch::default();
        }
        if let Some(fatal) = self.out.fatal.take() {
            self.out.stopped = true;
            let notices = vec![Notice::Sync(SyncState::Diverged)];
            return Batch { fatal: Some(fatal), notices, ..Batch::default() };
        }
        self.hand_on(now);
        self.queue.flushed();
        let mut commit = Commit::default();
        let mut then = Vec::new();
        for ((slot, protocol), statement) in std::mem::take(&mut self.out.emits) {
            // Also of a slot that is closed meanwhile: a node that is behind needs nominations to follow ballots.
            self.say(slot, statement, protocol, &mut commit, &mut then);
        }
        self.add_closes(&mut commit);
        let commit = self.complete(commit);
        self.out.acknowledges = false;
        self.note_sync(now);
        Batch {
            first: std::mem::take(&mut self.out.first),
            commit,
            then,
            notices: std::mem::take(&mut self.out.notices),
            reads: std::mem::take(&mut self.out.reads),
            fatal: None,
        }
    }

    /// Signs a statement and decides what must happen before it leaves.
    fn say(
        &mut self,
        slot: SlotIndex,
        statement: Statement,
        protocol: Protocol,
        commit: &mut Commit,
        then: &mut Vec<Outgoing>,
    ) {
        let durability = durability(self.slot.durable.get(&protocol), &statement);
        let signed = SignedStatement::sign(statement.clone(), &*self.signatures);
        let round = self.scp.nomination_round(slot);
        let nomination = (round > 0 && slot == self.open_slot()).then(|| (round, self.election_seed()));
        let vote = Vote { statement: signed.clone(), nomination };
        let peers: Vec<NodeId> = self.peers.ids().iter().copied().collect();
        let mut entry = Entry::own(signed.clone());
        entry.knows.extend(peers.iter().copied());
        self.book.insert(entry);
        let message = Outgoing::Send { to: peers, message: Message::Statement(signed) };
        let reaches_somebody = !self.peers.ids().is_empty();
        match durability {
            Durability::None => {
                if reaches_somebody {
                    self.out.first.push(message);
                }
            }
            Durability::Later => {
                assert!(vote.statement.statement.pledge.is_nomination(), "ballots are stored before they are said");
                if reaches_somebody {
                    self.out.first.push(message);
                }
                self.out.unstored.insert(slot, vote);
            }
            Durability::Write => {
                if reaches_somebody {
                    then.push(message);
                }
                commit.votes.push(vote);
            }
            Durability::Sync => {
                if reaches_somebody {
                    then.push(message);
                }
                commit.votes.push(vote);
                commit.sync = true;
                if slot == self.open_slot() {
                    self.slot.durable.insert(protocol, statement);
                }
            }
        }
    }

    fn add_closes(&mut self, commit: &mut Commit) {
        for Closing { closed, live, timing } in std::mem::take(&mut self.out.closes) {
            let slot = SlotIndex(closed.header.sequence);
            let proof = if live { self.proof(slot, &closed.value) } else { Vec::new() };
            let named: BTreeSet<Hash> = proof.iter().map(|signed| signed.statement.quorum_set).collect();
            let proof_sets = named.iter().filter_map(|hash| self.sets.get(hash)).map(|set| (**set).clone()).collect();
            let (nomination, ballot) = timing;
            self.out.notices.push(Notice::Closed(ClosedSummary {
                sequence: closed.header.sequence,
                hash: closed.hash,
                close_time_ms: closed.header.close_time_ms,
                transactions: u32::try_from(closed.results.len()).unwrap_or(u32::MAX),
                failed: u32::try_from(closed.failed()).unwrap_or(u32::MAX),
                nomination,
                ballot,
                caught_up: !live,
            }));
            // A close that clients hear about must not be lost; one that was fetched can be fetched again.
            commit.sync |= live || self.out.acknowledges;
            commit.closes.push(Close { closed, proof, proof_sets });
        }
    }

    /// Every statement at hand that settles `value` in `slot`; a quorum's are among them, or the core would not have
    /// decided.
    fn proof(&self, slot: SlotIndex, value: &Value) -> Vec<SignedStatement> {
        let settles = |statement: &Statement| match &statement.pledge {
            Pledge::Nominate { .. } | Pledge::Prepare { .. } => false,
            Pledge::Confirm { ballot, .. } => ballot.value == *value,
            Pledge::Externalize { commit, .. } => commit.value == *value,
        };
        let of_slot = self.book.of_slot(slot).map(|entry| &entry.signed);
        of_slot.filter(|signed| settles(&signed.statement)).cloned().collect()
    }

    /// Adds what the votes refer to. `None` if nothing has to be stored now.
    fn complete(&mut self, mut commit: Commit) -> Option<Commit> {
        if commit.votes.is_empty() && commit.closes.is_empty() {
            return None;
        }
        // A ballot is only said once the ledger before it is synced: after a power cut we know which slot it was in.
        let has_ballots = commit.votes.iter().any(|vote| !vote.statement.statement.pledge.is_nomination());
        self.out.close_unsynced |= !commit.closes.is_empty();
        commit.sync |= has_ballots && self.out.close_unsynced;
        self.out.close_unsynced &= !commit.sync;
        let floor = self.open_slot();
        commit.votes.extend(std::mem::take(&mut self.out.unstored).into_values());
        // R7. What a closed ledger follows from is stored as its proof.
        if commit.votes.iter().any(|vote| vote.statement.statement.slot == floor) {
            commit.heard = self.book.store_heard(floor, self.local);
        }
        for signed in commit.votes.iter().map(|vote| &vote.statement).chain(&commit.heard) {
            let statement = &signed.statement;
            if let Some(set) = self.sets.get(&statement.quorum_set)
                && self.out.stored_sets.insert(statement.quorum_set)
            {
                commit.quorum_sets.push((**set).clone());
            }
            // A ledger's own set is stored with the ledger.
            let open = statement.slot == floor;
            for value in statement.pledge.values().filter(|_| open) {
                let Ok(decoded) = crate::ledger::LedgerValue::decode(value) else { continue };
                let hash = decoded.proposed().tx_set;
                if let Some(set) = self.payloads.genuine(&hash)
                    && self.out.stored_tx_sets.insert(hash)
                {
                    commit.tx_sets.push(std::sync::Arc::clone(set.shared()));
                }
            }
        }
        if !commit.closes.is_empty() {
            self.out.stored_tx_sets.clear();
            // Bounds what is remembered here. A set that is named again is written over itself.
            if floor.0.is_multiple_of(super::SLOTS_KEPT) {
                self.out.stored_sets.clear();
            }
        }
        Some(commit)
    }

    fn note_sync(&mut self, now: Now) {
        let stance = self.stance(now);
        if self.out.last_stance != Some(stance) {
            self.out.last_stance = Some(stance);
            self.out.notices.push(Notice::Sync(self.sync_state(now)));
        }
    }
}
