//! What a transaction may do, one operation at a time.

use super::account::{AccountId, Amount, SIGNERS_MAX};
use super::transaction::TransactionError;
use serde::{Deserialize, Serialize};

/// Longest key of a data entry, in bytes.
pub const DATA_KEY_MAX: usize = 64;
/// Longest value of a data entry, in bytes.
pub const DATA_VALUE_MAX: usize = 4096;

/// One step of a transaction; all of them act on the transaction's source account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Operation {
    /// Opens an account and moves money into it. Fails if it exists already.
    CreateAccount {
        /// The new account; its own key is its only signer.
        account: AccountId,
        /// What it starts with; at least the minimum balance, never zero.
        balance: Amount,
    },
    /// Moves money to an account that exists.
    Payment {
        /// The receiver.
        to: AccountId,
        /// How much; never zero.
        amount: Amount,
    },
    /// Writes a data entry, new or not.
    SetData {
        /// Its name, 1–64 bytes.
        #[serde(with = "serde_bytes")]
        key: Vec<u8>,
        /// What it holds from now on, at most 4096 bytes.
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    },
    /// Removes a data entry. Fails if there is none.
    DeleteData {
        /// Its name, 1–64 bytes.
        #[serde(with = "serde_bytes")]
        key: Vec<u8>,
    },
    /// Replaces the account's signers. The account's own key is a signer like any other: left out, it signs no more.
    SetSigners {
        /// Keys and weights (≥ 1), sorted by key, 1–20 of them.
        signers: Vec<(AccountId, u32)>,
        /// The weight transactions need from now on (≥ 1, at most what all signers have together).
        threshold: u32,
    },
}

impl Operation {
    /// Everything about the operation that can be judged without the ledger. `at` is its place, for the message.
    pub(super) fn check(&self, at: usize) -> Result<(), TransactionError> {
        match self {
            Self::CreateAccount { balance: amount, .. } | Self::Payment { amount, .. } => {
                if *amount == 0 {
                    Err(TransactionError::ZeroAmount { operation: at })
                } else {
                    Ok(())
                }
            }
            Self::SetData { key, value } => {
                check_key(at, key)?;
                let found = value.len();
                if found > DATA_VALUE_MAX {
                    return Err(TransactionError::DataValue { operation: at, found });
                }
                Ok(())
            }
            Self::DeleteData { key } => check_key(at, key),
            Self::SetSigners { signers, threshold } => check_signers(at, signers, *threshold),
        }
    }
}

fn check_key(at: usize, key: &[u8]) -> Result<(), TransactionError> {
    match key.len() {
        1..=DATA_KEY_MAX => Ok(()),
        found => Err(TransactionError::DataKey { operation: at, found }),
    }
}

fn check_signers(at: usize, signers: &[(AccountId, u32)], threshold: u32) -> Result<(), TransactionError> {
    let refused = |rule| Err(TransactionError::Signers { operation: at, rule });
    if !(1..=SIGNERS_MAX).contains(&signers.len()) {
        return refused("there must be 1 to 20 signers");
    }
    if !signers.is_sorted_by(|(one, _), (next, _)| one < next) {
        return refused("signers must be sorted by key, no key twice");
    }
    if signers.iter().any(|(_, weight)| *weight == 0) {
        return refused("a signer's weight must be at least 1: leave out who shall not sign");
    }
    let total: u64 = signers.iter().map(|(_, weight)| u64::from(*weight)).sum();
    if threshold == 0 || total < u64::from(threshold) {
        return refused(
            "the threshold must be at least 1 and at most the sum of the weights: the account would be locked for ever",
        );
    }
    Ok(())
}
