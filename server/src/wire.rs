//! Messages between nodes, and their limits.

use crate::key::Signature;
use crate::ledger::{LedgerEntry, TxSet};
use fba_core::{Hash, QuorumSet, Statement};

/// A statement with its sender's signature over the canonical bytes of the statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedStatement {
    /// What is said.
    pub statement: Statement,
    /// By whom it is signed: always `statement.node`.
    pub signature: Signature,
}

/// Everything one node says to another after the hello.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A vote: flooded.
    Statement(SignedStatement),
    /// Asks for the statements of recent slots, from this slot on.
    GetScpState {
        /// The lowest slot wanted.
        from: u64,
    },
    /// Asks for a quorum set by hash.
    GetQuorumSet(Hash),
    /// Answers [`Message::GetQuorumSet`].
    QuorumSet(QuorumSet),
    /// Asks for a transaction set by hash.
    GetTxSet(Hash),
    /// Answers [`Message::GetTxSet`].
    TxSet(TxSet),
    /// The peer does not have what was asked for.
    DontHave(Hash),
    /// Hashes of transactions the sender has.
    TxAdvert(Vec<Hash>),
    /// Asks for transactions by hash.
    TxDemand(Vec<Hash>),
    /// Transactions asked for.
    Transactions(Vec<crate::ledger::SignedTransaction>),
    /// Asks for closed ledgers, oldest first.
    GetLedgers {
        /// The first wanted.
        from: u64,
        /// How many at most.
        count: u32,
    },
    /// Answers [`Message::GetLedgers`]: consecutive, possibly fewer than asked for, empty if there are none.
    Ledgers(Vec<LedgerEntry>),
}
