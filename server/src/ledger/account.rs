//! Accounts: who owns what, and whose signatures move it.

use super::parameters::Parameters;
use crate::key::{KeyError, SecretKey, node_from_strkey, node_strkey};
use fba_core::NodeId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Money, in the smallest unit.
pub type Amount = u64;

/// Most signers an account may have: each may cost every node a signature check per transaction.
pub const SIGNERS_MAX: usize = 20;
/// Most data entries of one account, whatever its balance: bounds what one key can make every node keep.
pub const DATA_ENTRIES_MAX: u32 = 1_000;

/// An account or a signer, named by its ed25519 public key. Shown as a strkey, `G…`.
///
/// Serialises as 32 bytes in binary formats and as a strkey in formats for people (TOML, JSON).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountId(pub [u8; 32]);

impl AccountId {
    /// The account whose own key is `secret`.
    #[must_use]
    pub fn of(secret: &SecretKey) -> Self {
        Self(secret.node_id().0)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&node_strkey(NodeId(self.0)))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&NodeId(self.0), f)
    }
}

impl FromStr for AccountId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        node_from_strkey(text).map(|node| Self(node.0))
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            serde_bytes::ByteArray::deserialize(deserializer).map(|bytes| Self(bytes.into_array()))
        }
    }
}

/// One account, as it is kept and hashed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The account's name; its own key signs for it only while it is among `signers`.
    pub id: AccountId,
    /// What it owns.
    pub balance: Amount,
    /// Sequence number of its newest transaction; the next one has this plus one.
    pub sequence: u64,
    /// Who may sign, with which weight (≥ 1); sorted by key, no key twice.
    pub signers: Vec<(AccountId, u32)>,
    /// The weight a transaction's signers must reach.
    pub threshold: u32,
    /// How many data entries it has.
    pub data_entries: u32,
}

impl Account {
    /// A fresh account: its own key alone signs for it.
    #[must_use]
    pub fn new(id: AccountId, balance: Amount) -> Self {
        Self { id, balance, sequence: 0, signers: vec![(id, 1)], threshold: 1, data_entries: 0 }
    }

    /// What must stay in the account: the minimum balance once for itself, once per data entry and once per signer
    /// other than its own key.
    #[must_use]
    pub fn minimum_balance(&self, parameters: &Parameters) -> Amount {
        let extra_signers = self.signers.iter().filter(|(key, _)| *key != self.id).count();
        let units = (extra_signers as u64).saturating_add(u64::from(self.data_entries)).saturating_add(1);
        parameters.minimum_balance.saturating_mul(units)
    }

    /// What may leave the account without falling under its minimum balance.
    #[must_use]
    pub fn spendable(&self, parameters: &Parameters) -> Amount {
        self.balance.saturating_sub(self.minimum_balance(parameters))
    }

    /// The weight `key` signs with; `None` if it is no signer.
    #[must_use]
    pub fn weight(&self, key: &AccountId) -> Option<u32> {
        let at = self.signers.binary_search_by(|(signer, _)| signer.cmp(key)).ok()?;
        self.signers.get(at).map(|(_, weight)| *weight)
    }
}

/// One data entry: bytes an account keeps in the ledger under a key of its own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DataEntry {
    /// Whose.
    pub account: AccountId,
    /// Its name, 1–64 bytes.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    /// What it holds, at most 4096 bytes.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::super::fixture::id;
    use super::*;
    use crate::cbor;

    #[test]
    fn an_account_id_is_bytes_for_machines_and_a_strkey_for_people() {
        let bytes = cbor::encode(&id(1));
        assert_eq!(bytes.len(), 34);
        assert_eq!(cbor::decode::<AccountId>(&bytes, 1), Ok(id(1)));
        assert_eq!(id(1).to_string().parse(), Ok(id(1)));
        assert!(id(1).to_string().starts_with('G'));
        assert!("GNOTAKEY".parse::<AccountId>().is_err());
        let text = toml::Value::try_from(id(1)).unwrap();
        assert_eq!(text, toml::Value::String(id(1).to_string()));
        assert_eq!(text.try_into::<AccountId>().unwrap(), id(1));
    }

    #[test]
    fn the_minimum_balance_counts_the_account_its_entries_and_its_extra_signers() {
        let parameters = Parameters { minimum_balance: 10, ..Parameters::default() };
        let mut account = Account::new(id(1), 45);
        assert_eq!(account.minimum_balance(&parameters), 10);
        account.data_entries = 2;
        assert_eq!(account.minimum_balance(&parameters), 30);
        account.signers = vec![(id(2), 1)];
        assert_eq!(account.minimum_balance(&parameters), 40);
        assert_eq!(account.spendable(&parameters), 5);
        account.balance = 3;
        assert_eq!(account.spendable(&parameters), 0);
    }
}
