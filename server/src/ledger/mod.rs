//! The shared ledger: transactions, validity, apply, the header hash chain. Sans-IO: no clock, no files.
//! Interface sketch: bodies follow.

use crate::key::Signature;
use fba_core::{Hash, NodeId};
use serde::{Deserialize, Serialize};

/// placeholder
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignedTransaction;
/// placeholder
#[derive(Clone, Debug, PartialEq)]
pub struct TxSet;
/// placeholder
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry;
#[allow(dead_code)]
fn unused(_: Signature, _: Hash, _: NodeId) {}
