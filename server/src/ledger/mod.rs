//! The shared ledger: accounts, transactions, validity, apply, the header hash chain. Sans-IO: no clock, no files,
//! no randomness, no threads; the same bytes give the same bytes on every node.
//!
//! ```text
//! SignedTransaction ─▶ TxSet ─▶ Proposed ─▶ fba_core::Value ─▶ Ledger::close ─▶ Closed { Header, results, changes }
//! ```
//!
//! Money is neither made nor lost: `total_supply` = what all accounts own + the header's `fee_pool`, asserted at every
//! close. Everything is written as canonical CBOR ([`crate::cbor`]).
//!
//! A ledger from genesis to its first payment:
//!
//! ```
//! use fba_core::SlotIndex;
//! use fba_server::key::{Ed25519, SecretKey};
//! use fba_server::ledger::{AccountId, Genesis, Ledger, Parameters, Proposed, SignedTransaction, VerifiedTx};
//! use std::sync::Arc;
//!
//! let (root, guest) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
//! let genesis = Genesis {
//!     passphrase: "the lunch network".to_owned(),
//!     close_time_ms: 1_767_225_600_000,
//!     root_account: AccountId::of(&root),
//!     total_supply: 1_000_000,
//!     parameters: Parameters::default(),
//! };
//! let (mut ledger, _) = Ledger::genesis(&genesis)?;
//! let signatures = Ed25519::new(genesis.network_id(), SecretKey::from_seed(&[3; 32]));
//!
//! let open = SignedTransaction::create_account(ledger.network(), &root, 1, AccountId::of(&guest), 500)?;
//! let open = VerifiedTx::verify(Arc::new(open), &signatures).expect("signed by the root key");
//! let close_time_ms = ledger.next_close_time(0);
//! let set = ledger.build_tx_set([open], close_time_ms);
//! let value = Proposed::sign(SlotIndex(2), ledger.header_hash(), set.hash(), close_time_ms, &signatures).to_value();
//! let closed = ledger.close(&value, &set)?;
//!
//! assert_eq!(closed.failed(), 0);
//! assert_eq!(ledger.account(&AccountId::of(&guest)).map(|account| account.balance), Some(500));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
mod application;
mod apply;
mod close;
mod combine;
pub(crate) mod encoding;
mod entry;
#[cfg(test)]
mod fixture;
mod genesis;
mod header;
mod lattice;
pub mod merkle;
mod operation;
mod parameters;
#[cfg(test)]
mod properties;
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
