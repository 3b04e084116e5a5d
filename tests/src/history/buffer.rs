//! Many commits as one: what a node writes of many ledgers, in the order in which the store wants it.

use fba_core::{Hash, NodeId, QuorumSet};
use fba_server::herder::{Close, Commit, Vote};
use fba_server::ledger::TxSet;
use fba_server::wire::SignedStatement;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Statements of so many closed slots are kept, as the store keeps them.
const SLOTS_KEPT: u64 = 12;

/// Commits put together. Of what replaces what, only the newest is kept.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    votes: BTreeMap<(u64, bool), Vote>,
    heard: BTreeMap<(u64, NodeId, bool), SignedStatement>,
    quorum_sets: BTreeMap<Hash, QuorumSet>,
    tx_sets: BTreeMap<Hash, Arc<TxSet>>,
    closes: Vec<Close>,
    last: u64,
}

impl Buffer {
    pub(super) fn add(&mut self, commit: Commit) {
        let Commit { votes, heard, quorum_sets, tx_sets, closes, sync: _ } = commit;
        if let Some(close) = closes.last() {
            self.last = close.closed.header.sequence;
            // A ledger's own set is stored with the ledger; what else was named is not asked for any more.
            self.tx_sets.clear();
        }
        self.quorum_sets.extend(quorum_sets.into_iter().map(|set| (set.hash(), set)));
        self.tx_sets.extend(tx_sets.into_iter().map(|set| (set.hash(), set)));
        self.closes.extend(closes);
        for vote in votes {
            let statement = &vote.statement.statement;
            self.votes.insert((statement.slot.0, statement.pledge.is_nomination()), vote);
        }
        for signed in heard {
            let statement = &signed.statement;
            self.heard.insert((statement.slot.0, statement.node, statement.pledge.is_nomination()), signed);
        }
        self.votes = self.votes.split_off(&(self.last.saturating_sub(SLOTS_KEPT), false));
        self.heard = self.heard.split_off(&(self.last.saturating_add(1), NodeId([0; 32]), false));
    }

    /// How many ledgers wait.
    pub(super) fn closes(&self) -> usize {
        self.closes.len()
    }

    /// Everything, as one synced commit.
    pub(super) fn take(&mut self) -> Commit {
        let Self { votes, heard, quorum_sets, tx_sets, closes, last } = std::mem::take(self);
        self.last = last;
        Commit {
            votes: votes.into_values().collect(),
            heard: heard.into_values().collect(),
            quorum_sets: quorum_sets.into_values().collect(),
            tx_sets: tx_sets.into_values().collect(),
            closes,
            sync: true,
        }
    }
}
