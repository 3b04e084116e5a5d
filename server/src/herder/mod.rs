//! Interface sketch; replaced by the herder's branch.

use crate::ledger::{Closed, TxSet};
use crate::wire::SignedStatement;
use fba_core::{QuorumSet, Value};
use std::sync::Arc;

/// One transaction of the store.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Own newest statements; each replaces the older one of its slot and protocol.
    pub votes: Vec<Vote>,
    /// Quorum sets that the votes name and that were not stored since the start.
    pub quorum_sets: Vec<QuorumSet>,
    /// Transaction sets that the votes refer to and that were not stored since the start.
    pub tx_sets: Vec<Arc<TxSet>>,
    /// Closed ledgers, ascending.
    pub closes: Vec<Close>,
    /// Must this survive a power cut before the batch goes on? False: it may wait for the next that must.
    pub sync: bool,
}

/// One of our own statements.
#[derive(Clone, Debug)]
pub struct Vote {
    /// Signed by us.
    pub statement: SignedStatement,
    /// The nomination round reached, and the value leader election was seeded with.
    pub nomination: Option<(u32, Value)>,
}

/// A closed ledger with what proves its value.
#[derive(Clone, Debug)]
pub struct Close {
    /// The ledger.
    pub closed: Closed,
    /// CONFIRM and EXTERNALIZE statements of a quorum by our own set.
    pub proof: Vec<SignedStatement>,
    /// Every quorum set the proof names.
    pub proof_sets: Vec<QuorumSet>,
}
