//! Ledger headers: a hash chain in which every header commits to all that came before.

use super::account::Amount;
use super::encoding;
use crate::cbor;
use crate::key::sha256;
use fba_core::{Hash, SlotIndex, Value};
use serde::{Deserialize, Serialize};

/// The rules this build applies. A header of another version is not understood.
pub const PROTOCOL_VERSION: u32 = 1;

/// What is left of a ledger in one page. Its hash names the ledger and everything before it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Which ledger; genesis is 1. The slot that decided it has the same number.
    pub sequence: u64,
    /// The rules by which it was applied.
    pub protocol_version: u32,
    /// Hash of the previous header; zeros in genesis.
    #[serde(with = "encoding::hash")]
    pub previous: Hash,
    /// SHA-256 of the value the slot decided; of the genesis bytes in genesis.
    #[serde(with = "encoding::hash")]
    pub value: Hash,
    /// When it closed, in milliseconds since the epoch; strictly increasing.
    pub close_time_ms: u64,
    /// Hash of the transaction set.
    #[serde(with = "encoding::hash")]
    pub tx_set: Hash,
    /// RFC 6962 root over the signed transactions' bytes, in the order they were applied.
    #[serde(with = "encoding::hash")]
    pub tx_root: Hash,
    /// RFC 6962 root over the canonical CBOR of their results, in the same order.
    #[serde(with = "encoding::hash")]
    pub results_root: Hash,
    /// SHA-256 of the lattice hash over all entries.
    #[serde(with = "encoding::hash")]
    pub state_hash: Hash,
    /// All the money there is: what the accounts own, and `fee_pool`.
    pub total_supply: Amount,
    /// Fees charged since genesis. Nobody owns them.
    pub fee_pool: Amount,
    /// Hash of the network parameters.
    #[serde(with = "encoding::hash")]
    pub parameters: Hash,
}

impl Header {
    /// SHA-256 of the canonical CBOR: the ledger's name.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&[&self.to_bytes()])
    }

    /// The canonical CBOR.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`cbor::CborError`] if the bytes are not the canonical CBOR of a header.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, cbor::CborError> {
        cbor::decode(bytes, HEADER_ITEMS)
    }

    /// The slot that decided this ledger.
    #[must_use]
    pub fn slot(&self) -> SlotIndex {
        SlotIndex(self.sequence)
    }
}

/// A map of twelve fields.
const HEADER_ITEMS: usize = 25;

/// SHA-256 of a value's bytes, as headers carry it.
#[must_use]
pub fn value_hash(value: &Value) -> Hash {
    sha256(&[value.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::super::close::Ledger;
    use super::super::fixture::genesis;
    use super::*;

    #[test]
    fn the_bytes_of_the_genesis_header_are_frozen() {
        let (ledger, closed) = Ledger::genesis(&genesis()).unwrap();
        assert_eq!(hex::encode(ledger.header().to_bytes()), include_str!("vectors/header.hex").trim());
        assert_eq!(ledger.header_hash().to_string(), include_str!("vectors/header_hash.hex").trim());
        assert_eq!(closed.hash, ledger.header_hash());
        assert_eq!(Header::from_bytes(&closed.header.to_bytes()), Ok(closed.header));
    }
}
