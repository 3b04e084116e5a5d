//! What a slot agrees on: a ledger value, the bytes of an SCP value.

use super::encoding;
use crate::cbor::{self, CborError};
use crate::key::{Domain, Signature, Signatures};
use fba_core::{Hash, NodeId, SlotIndex, Value};
use serde::{Deserialize, Serialize};

/// Longest value, in bytes: what exists needs about 300, the rest is for upgrades to come.
pub const VALUE_BYTES_MAX: usize = 2048;
const VALUE_ITEMS_MAX: usize = 64;

/// Why bytes are not a ledger value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not the canonical CBOR of a value.
    #[error("not a ledger value: {0}")]
    Encoding(#[from] CborError),
    /// Too long.
    #[error("the value has {found} bytes; {VALUE_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
}

/// A value, versioned by its variant. Canonical CBOR: `{"proposed": {…}}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum LedgerValue {
    /// A transaction set that somebody proposed.
    Proposed(Proposed),
    /// Instead of a proposal whose transaction set nobody gives out: an empty ledger. Reserved, always invalid today.
    EmptyOf(Proposed),
}

impl LedgerValue {
    /// Reads an SCP value.
    ///
    /// # Errors
    /// [`ValueError`] if it is not the canonical encoding of a ledger value.
    pub fn decode(value: &Value) -> Result<Self, ValueError> {
        let found = value.as_bytes().len();
        if found > VALUE_BYTES_MAX {
            return Err(ValueError::TooLong { found });
        }
        Ok(cbor::decode(value.as_bytes(), VALUE_ITEMS_MAX)?)
    }

    /// The SCP value.
    #[must_use]
    pub fn encode(&self) -> Value {
        Value::new(&cbor::encode(self))
    }

    /// The proposal in it, whichever the variant.
    #[must_use]
    pub fn proposed(&self) -> &Proposed {
        match self {
            Self::Proposed(proposed) | Self::EmptyOf(proposed) => proposed,
        }
    }
}

/// A change of the network's rules. There are none yet: a value that names one does not decode, so it is invalid.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Upgrade {}

/// A proposed ledger, signed by its proposer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// Hash of the transaction set.
    #[serde(with = "encoding::hash")]
    pub tx_set: Hash,
    /// When the ledger closes, in milliseconds since the epoch; after the previous ledger's.
    pub close_time_ms: u64,
    /// Header hash of the ledger it builds on.
    #[serde(with = "encoding::hash")]
    pub previous: Hash,
    /// Upgrades, each with signatures of its own; not covered by `signature`.
    pub upgrades: Vec<Upgrade>,
    /// Who proposes.
    #[serde(with = "encoding::node")]
    pub proposer: NodeId,
    /// The proposer's signature over `[slot, previous, tx_set, close_time_ms]`.
    pub signature: Signature,
}

impl Proposed {
    /// Proposes `tx_set` on top of `previous` for `slot`, signed by our node.
    #[must_use]
    pub fn sign(
        slot: SlotIndex,
        previous: Hash,
        tx_set: Hash,
        close_time_ms: u64,
        signatures: &dyn Signatures,
    ) -> Self {
        let signature = signatures.sign(Domain::Value, &payload(slot, previous, tx_set, close_time_ms));
        Self { tx_set, close_time_ms, previous, upgrades: Vec::new(), proposer: signatures.node(), signature }
    }

    /// Did the proposer sign this for `slot`?
    #[must_use]
    pub fn check_signature(&self, slot: SlotIndex, signatures: &dyn Signatures) -> bool {
        let payload = payload(slot, self.previous, self.tx_set, self.close_time_ms);
        signatures.verify(&self.proposer.0, Domain::Value, &payload, &self.signature)
    }

    /// The SCP value of this proposal.
    #[must_use]
    pub fn to_value(&self) -> Value {
        LedgerValue::Proposed(self.clone()).encode()
    }
}

fn payload(slot: SlotIndex, previous: Hash, tx_set: Hash, close_time_ms: u64) -> Vec<u8> {
    let bytes = |hash: Hash| serde_bytes::ByteArray::new(hash.0);
    cbor::encode(&(slot.0, bytes(previous), bytes(tx_set), close_time_ms))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{key, network, signer};
    use super::*;
    use crate::key::Ed25519;

    fn proposed() -> Proposed {
        Proposed::sign(SlotIndex(9), Hash([1; 32]), Hash([2; 32]), 1_767_225_600_000, &signer())
    }

    #[test]
    fn the_bytes_of_a_value_are_frozen() {
        let value = proposed().to_value();
        assert_eq!(hex::encode(value.as_bytes()), include_str!("vectors/value.hex").trim());
        assert_eq!(LedgerValue::decode(&value), Ok(LedgerValue::Proposed(proposed())));
    }

    #[test]
    fn a_proposal_is_signed_for_its_slot_ledger_set_and_time_by_its_proposer() {
        assert!(proposed().check_signature(SlotIndex(9), &signer()));
        assert!(!proposed().check_signature(SlotIndex(8), &signer()));
        let others = [
            Proposed { previous: Hash::ZERO, ..proposed() },
            Proposed { tx_set: Hash::ZERO, ..proposed() },
            Proposed { close_time_ms: 1, ..proposed() },
            Proposed { proposer: key(3).node_id(), ..proposed() },
        ];
        for other in others {
            assert!(!other.check_signature(SlotIndex(9), &signer()), "{other:?}");
        }
        let elsewhere = Ed25519::new(crate::key::NetworkId::of_passphrase("other"), key(0));
        assert!(!proposed().check_signature(SlotIndex(9), &elsewhere));
        assert_ne!(network(), crate::key::NetworkId::of_passphrase("other"));
    }

    #[test]
    fn a_value_with_an_upgrade_nobody_knows_is_not_a_value() {
        let text = hex::encode(proposed().to_value().as_bytes());
        // `upgrades` is an empty array: make it hold the number 1, and the string "fee".
        let upgrades = format!("{}80", hex::encode("hupgrades"));
        assert!(text.contains(&upgrades));
        for (one, at_least) in [("8101", 1), ("8163666565", 3)] {
            let replaced = text.replace(&upgrades, &format!("{}{one}", hex::encode("hupgrades")));
            assert!(replaced.len() >= text.len() + at_least);
            let value = Value::new(&hex::decode(replaced).unwrap());
            assert!(matches!(LedgerValue::decode(&value), Err(ValueError::Encoding(_))));
        }
        let long = Value::new(&[0; VALUE_BYTES_MAX + 1]);
        assert_eq!(LedgerValue::decode(&long), Err(ValueError::TooLong { found: VALUE_BYTES_MAX + 1 }));
    }
}
