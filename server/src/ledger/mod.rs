//! The shared ledger: accounts, transactions, validity, apply, the header hash chain. Sans-IO: no clock, no files,
//! no randomness, no threads; the same bytes give the same bytes on every node.
//!
//! ```text
//! SignedTransaction ─▶ TxSet ─▶ Proposed ─▶ fba_core::Value ─▶ Ledger::close ─▶ Closed { Header, results, changes }
//! ```
//!
//! Money is neither made nor lost: `total_supply` = what all accounts own + the header's `fee_pool`, asserted at every
//! close. Everything is written as canonical CBOR ([`crate::cbor`]).

mod account;
mod application;
mod apply;
mod close;
mod combine;
pub(crate) mod encoding;
mod entry;
mod genesis;
mod header;
mod lattice;
pub mod merkle;
mod operation;
mod parameters;
mod result;
mod state;
mod transaction;
mod tx_set;
mod validity;
mod value;

pub use account::{Account, AccountId, Amount, DATA_ENTRIES_MAX, DataEntry, SIGNERS_MAX};
pub use application::Application;
pub use close::{Closed, Ledger, ReplayError, RestoreError};
pub use combine::combine;
pub use entry::{EntryError, LEDGER_ENTRY_BYTES_MAX, LedgerEntry};
pub use genesis::{Genesis, GenesisError};
pub use header::{Header, PROTOCOL_VERSION, value_hash};
pub use lattice::{LATTICE_BYTES, Lattice};
pub use merkle::InclusionProof;
pub use operation::{DATA_KEY_MAX, DATA_VALUE_MAX, Operation};
pub use parameters::{ParameterError, Parameters};
pub use result::{Change, FailReason, Outcome, TxResult};
pub use transaction::{
    MEMO_MAX, OPERATIONS_MAX, SignedTransaction, TRANSACTION_BYTES_MAX, Transaction, TransactionError, VerifiedTx,
};
pub use tx_set::{TX_SET_BYTES_MAX, TX_SET_COUNT_MAX, TxSet, TxSetError, VerifiedTxSet};
pub use validity::{Before, InvalidValue, TxRejection};
pub use value::{LedgerValue, Proposed, Upgrade, VALUE_BYTES_MAX, ValueError};
