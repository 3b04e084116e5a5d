//! What must always hold.

use super::disk::Disk;
use fba_core::{Ballot, Hash, NodeId, Pledge, SlotIndex, Statement};
use fba_server::herder::ClosedSummary;
use std::collections::BTreeMap;

/// Everything seen so far in one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    headers: BTreeMap<u64, Hash>,
    closed: BTreeMap<NodeId, u64>,
    said: BTreeMap<(NodeId, SlotIndex), Vec<Statement>>,
    /// Up to this slot a node's key had cast ballots when its disk was lost.
    lost: BTreeMap<NodeId, SlotIndex>,
}

impl Oracle {
    /// Agreement: one header per sequence. A node's ledgers come one after the other.
    pub(super) fn closed(&mut self, node: NodeId, summary: &ClosedSummary) -> Result<(), String> {
        let ClosedSummary { sequence, hash, .. } = *summary;
        let agreed = *self.headers.entry(sequence).or_insert(hash);
        if agreed != hash {
            return Err(format!("disagreement on ledger {sequence}: {node:?} has {hash:?}, another {agreed:?}"));
        }
        let last = self.closed.insert(node, sequence).unwrap_or(1);
        if sequence != last + 1 {
            return Err(format!("{node:?} closed ledger {sequence} after {last}"));
        }
        Ok(())
    }

    /// The node starts again from what its disk holds.
    pub(super) fn restarted(&mut self, node: NodeId, sequence: u64) {
        self.closed.insert(node, sequence);
    }

    /// The node's disk is gone, and with it the votes it cast up to its newest slot.
    pub(super) fn disk_lost(&mut self, node: NodeId) {
        let slots = self.said.keys().filter(|(speaker, _)| *speaker == node).map(|(_, slot)| *slot);
        if let Some(newest) = slots.max() {
            self.lost.insert(node, newest);
        }
    }

    /// A ledger that was acknowledged must be on disk.
    pub(super) fn acknowledged(&self, disk: &Disk, sequence: u64) -> Result<(), String> {
        if disk.synced.ledger.sequence() >= sequence {
            return Ok(());
        }
        Err(format!("a transaction of ledger {sequence} was acknowledged before it was durable"))
    }

    /// No key ever contradicts itself, and what it promises is as durable as docs/protocol.md wants it.
    ///
    /// Said twice after a power cut, a CONFIRM may differ in the range it accepted: two ranges of one value do not
    /// contradict one another. A vote to commit must not follow a vote to prepare that aborts it.
    pub(super) fn says(&mut self, statement: &Statement, disk: &Disk) -> Result<(), String> {
        if statement.pledge.is_nomination() {
            return Ok(());
        }
        if self.lost.get(&statement.node).is_some_and(|lost| statement.slot <= *lost) {
            return Err(format!("{:?} votes where it lost the votes it had cast: {statement:?}", statement.node));
        }
        let said = self.said.entry((statement.node, statement.slot)).or_default();
        let fits = |other: &Statement| {
            other == statement
                || other.is_newer_than(statement)
                || statement.is_newer_than(other)
                || both_confirm_one_value(other, statement)
        };
        if let Some(other) = said.iter().find(|other| !fits(other)) {
            return Err(format!("{:?} contradicts itself: {other:?} and {statement:?}", statement.node));
        }
        if let Some(other) = said.iter().find(|other| votes_against(other, statement)) {
            return Err(format!(
                "{:?} votes to commit what it voted to abort: {other:?} and {statement:?}",
                statement.node
            ));
        }
        if !said.contains(statement) {
            said.push(statement.clone());
        }
        if is_durable_enough(statement, disk) {
            Ok(())
        } else {
            Err(format!("said before it was durable: {statement:?}"))
        }
    }
}

fn both_confirm_one_value(one: &Statement, other: &Statement) -> bool {
    match (&one.pledge, &other.pledge) {
        (Pledge::Confirm { ballot: a, .. }, Pledge::Confirm { ballot: b, .. }) => a.value == b.value,
        (
            Pledge::Nominate { .. } | Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. },
            Pledge::Nominate { .. } | Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. },
        ) => false,
    }
}

/// Did `earlier` vote to prepare a ballot that aborts a commit `later` votes for? (CONFIRM follows from accepting, which
/// may overrule a vote; so only PREPARE is judged.)
fn votes_against(earlier: &Statement, later: &Statement) -> bool {
    let Pledge::Prepare { ballot: abort, .. } = &earlier.pledge else { return false };
    match &later.pledge {
        Pledge::Prepare { ballot, commit, .. } if *commit > 0 => {
            let lowest = Ballot { counter: *commit, value: ballot.value.clone() };
            abort.value != ballot.value && *abort > lowest
        }
        Pledge::Nominate { .. } | Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. } => false,
    }
}

/// Written by another rule than the herder's own, from what a power cut could make a node contradict: first ballots
/// without a commit vote are covered by beginning above them, CONFIRM by the synced commit vote for its value.
fn is_durable_enough(statement: &Statement, disk: &Disk) -> bool {
    let is_first = |ballot: &Ballot| ballot.counter <= 1;
    let covered = match &statement.pledge {
        Pledge::Prepare { ballot, prepared, prepared_prime, commit: 0, .. } => {
            [Some(ballot), prepared.as_ref(), prepared_prime.as_ref()].into_iter().flatten().all(is_first)
        }
        Pledge::Confirm { ballot, .. } => disk.synced_commit(statement.slot) == Some(&ballot.value),
        Pledge::Nominate { .. } | Pledge::Prepare { .. } | Pledge::Externalize { .. } => false,
    };
    disk.has_synced(statement) || (covered && disk.has_written(statement))
}
