//! What must always hold.

use super::disk::Disk;
use fba_core::{Hash, NodeId, SlotIndex, Statement};
use fba_server::herder::ClosedSummary;
use std::collections::BTreeMap;

/// Everything seen so far in one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    headers: BTreeMap<u64, Hash>,
    closed: BTreeMap<NodeId, u64>,
    said: BTreeMap<(NodeId, SlotIndex), Vec<Statement>>,
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

    /// A ledger that was acknowledged must be on disk.
    pub(super) fn acknowledged(&self, disk: &Disk, sequence: u64) -> Result<(), String> {
        if disk.synced.ledger.sequence() >= sequence {
            return Ok(());
        }
        Err(format!("a transaction of ledger {sequence} was acknowledged before it was durable"))
    }

    /// No key ever contradicts itself, and what it promises is durable.
    pub(super) fn says(&mut self, statement: &Statement, disk: &Disk) -> Result<(), String> {
        if statement.pledge.is_nomination() {
            return Ok(());
        }
        let said = self.said.entry((statement.node, statement.slot)).or_default();
        let fits =
            |other: &Statement| other == statement || other.is_newer_than(statement) || statement.is_newer_than(other);
        if let Some(other) = said.iter().find(|other| !fits(other)) {
            return Err(format!("{:?} contradicts itself: {other:?} and {statement:?}", statement.node));
        }
        if !said.contains(statement) {
            said.push(statement.clone());
        }
        if disk.has_synced(statement) { Ok(()) } else { Err(format!("said before it was durable: {statement:?}")) }
    }
}
