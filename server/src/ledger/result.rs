//! What became of a transaction, and which entries it changed: the leaves under a header's results root.

use super::account::{Account, AccountId, Amount};
use super::encoding;
use crate::cbor;
use fba_core::Hash;
use serde::{Deserialize, Serialize};

/// The result of one transaction in a closed ledger.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TxResult {
    /// The transaction's hash.
    #[serde(with = "encoding::hash")]
    pub hash: Hash,
    /// What the source account paid, whatever the outcome.
    pub fee_charged: Amount,
    /// What became of it.
    pub outcome: Outcome,
    /// Every entry it changed, as it was right afterwards; by account, then data entry. A failed transaction changes
    /// its source account only (sequence number and fee). Fees of the whole set are charged before the first
    /// transaction acts.
    pub changes: Vec<Change>,
}

impl TxResult {
    /// The canonical CBOR: a leaf under the results root.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a result.
    ///
    /// # Errors
    /// [`cbor::CborError`] if the bytes are not the canonical CBOR of a result.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, cbor::CborError> {
        cbor::decode(bytes, RESULT_ITEMS_MAX)
    }
}

/// A transaction touches at most its source and one entry per operation; an account has up to twenty signers.
const RESULT_ITEMS_MAX: usize = 10_000;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Outcome {
    /// Every operation took effect.
    Success,
    /// None did: an earlier transaction of the same ledger took the signers' weight away.
    NotAuthorized,
    /// None did, because one failed.
    Failed {
        /// The first that failed, from 0.
        operation: u32,
        /// Why.
        reason: FailReason,
    },
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// The account to open is there already.
    #[error("the account exists already")]
    AccountExists,
    /// The receiver of a payment has no account.
    #[error("the receiver has no account: open it with create_account")]
    NoAccount,
    /// A new account must start with the minimum balance.
    #[error("the new account would start below the minimum balance")]
    StartsTooLow,
    /// The source account would fall under its minimum balance.
    #[error("the source account would fall below its minimum balance")]
    InsufficientBalance,
    /// The data entry to delete is not there.
    #[error("there is no data entry with this key")]
    NoData,
    /// The account has as many data entries as any may have.
    #[error("the account has 1000 data entries, the most allowed: delete one first")]
    TooManyEntries,
}

/// An entry as a transaction left it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Change {
    /// An account.
    Account(Account),
    /// A data entry.
    Data {
        /// Whose.
        account: AccountId,
        /// Its name.
        #[serde(with = "serde_bytes")]
        key: Vec<u8>,
        /// What it holds now; nothing if it was deleted.
        value: Option<serde_bytes::ByteBuf>,
    },
}
