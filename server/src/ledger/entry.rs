//! A closed ledger as it is served to peers, and the check of a chain of them before anything is applied.

use super::close::tx_leaves;
use super::header::{Header, value_hash};
use super::merkle;
use super::tx_set::{TX_SET_BYTES_MAX, TxSet, TxSetError};
use super::value::{LedgerValue, VALUE_BYTES_MAX, ValueError};
use crate::cbor::{self, CborError};
use crate::key::NetworkId;
use fba_core::{Hash, Value};
use serde::{Deserialize, Serialize};

/// Longest encoded entry: a full transaction set, a value, and a header of less than 1 KiB.
pub const LEDGER_ENTRY_BYTES_MAX: usize = TX_SET_BYTES_MAX + VALUE_BYTES_MAX + 1024;

/// One closed ledger: enough to check it and to apply it again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LedgerEntry {
    /// Its header.
    pub header: Header,
    /// What the slot decided.
    pub value: Value,
    /// Its transactions.
    pub tx_set: TxSet,
}

/// Why an entry, or a chain of them, is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not the canonical CBOR of an entry.
    #[error("not a ledger entry: {0}")]
    Encoding(#[from] CborError),
    /// Too long.
    #[error("the ledger entry has {found} bytes; {LEDGER_ENTRY_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// Its transaction set is not one.
    #[error(transparent)]
    TxSet(#[from] TxSetError),
    /// Its value is not one.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Header, value and set do not belong together.
    #[error("ledger {sequence}: the {what} is not the header's")]
    Mismatch {
        /// Which ledger.
        sequence: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A header is not the one its successor, or the proof, names.
    #[error("ledger {sequence} has hash {found}; what follows it names {named}")]
    BrokenChain {
        /// Which ledger.
        sequence: u64,
        /// Its hash.
        found: Hash,
        /// The hash it should have.
        named: Hash,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    header: Header,
    value: serde_bytes::ByteBuf,
    tx_set: serde_bytes::ByteBuf,
}

impl LedgerEntry {
    /// Reads an entry of this network. Form and bounds only; see [`LedgerEntry::check`].
    ///
    /// # Errors
    /// [`EntryError`], naming the rule.
    pub fn from_bytes(network: NetworkId, bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > LEDGER_ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong { found: bytes.len() });
        }
        let Encoded { header, value, tx_set } = cbor::decode(bytes, ENTRY_ITEMS)?;
        let tx_set = TxSet::from_bytes(network, &tx_set)?;
        Ok(Self { header, value: Value::new(&value), tx_set })
    }

    /// The canonical bytes, `{header: {…}, value: bytes, tx_set: bytes}`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = |bytes: &[u8]| serde_bytes::ByteBuf::from(bytes);
        let (value, tx_set) = (bytes(self.value.as_bytes()), bytes(&self.tx_set.to_bytes()));
        cbor::encode(&Encoded { header: self.header.clone(), value, tx_set })
    }

    /// No less than [`LedgerEntry::to_bytes`] is long, and hardly more. Cheap.
    #[must_use]
    pub fn bytes_at_most(&self) -> usize {
        /// A header, the names of the fields, and the set's own hash and heads.
        const REST: usize = 768;
        /// In front of each transaction.
        const HEAD: usize = 5;
        let transactions = self.tx_set.transaction_bytes() + HEAD * self.tx_set.transactions().len();
        REST + self.value.as_bytes().len() + transactions
    }

    /// Do value and transaction set belong to the header? Applies to every ledger after genesis.
    ///
    /// # Errors
    /// [`EntryError`], naming what does not fit.
    pub fn check(&self) -> Result<(), EntryError> {
        let header = &self.header;
        let value = LedgerValue::decode(&self.value)?;
        let proposed = value.proposed();
        let rules = [
            ("value", value_hash(&self.value) == header.value),
            ("transaction set", self.tx_set.hash() == header.tx_set && proposed.tx_set == header.tx_set),
            ("previous ledger", proposed.previous == header.previous && self.tx_set.previous() == header.previous),
            ("close time", proposed.close_time_ms == header.close_time_ms),
            ("transaction root", merkle::root(&tx_leaves(&self.tx_set.apply_order())) == header.tx_root),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            Some((what, _)) => Err(EntryError::Mismatch { sequence: header.sequence, what }),
            None => Ok(()),
        }
    }

    /// Is `entries`, oldest first, the chain that ends in the header with hash `proven`? Checked from the proven end
    /// backwards, every entry with [`LedgerEntry::check`], before anything of it is applied.
    ///
    /// # Errors
    /// [`EntryError`] for the newest ledger that is wrong.
    pub fn verify_chain(entries: &[Self], proven: Hash) -> Result<(), EntryError> {
        let mut named = proven;
        let mut expected = entries.last().map_or(0, |newest| newest.header.sequence);
        for entry in entries.iter().rev() {
            let (sequence, found) = (entry.header.sequence, entry.header.hash());
            if found != named {
                return Err(EntryError::BrokenChain { sequence, found, named });
            }
            if sequence != expected {
                return Err(EntryError::Mismatch { sequence, what: "sequence" });
            }
            entry.check()?;
            named = entry.header.previous;
            expected = expected.saturating_sub(1);
        }
        Ok(())
    }
}

/// The map, its three fields, and a header.
const ENTRY_ITEMS: usize = 40;

// Must fit the 4 MiB frame that carries it.
const _: () = assert!(LEDGER_ENTRY_BYTES_MAX < 4 << 20);

#[cfg(test)]
mod tests {
    use super::super::fixture::{act, close, network, pay, populated};
    use super::*;

    fn chain() -> Vec<LedgerEntry> {
        let mut ledger = populated(2);
        let step = |nth: u64| {
            let transaction = act(&ledger, 1, 1, pay(2, nth));
            close(&mut ledger, vec![transaction]).entry()
        };
        (1..5).map(step).collect()
    }

    #[test]
    fn an_entry_reads_back() {
        for entry in chain() {
            assert_eq!(LedgerEntry::from_bytes(network(), &entry.to_bytes()), Ok(entry.clone()));
            assert_eq!(entry.check(), Ok(()));
            assert!((entry.to_bytes().len()..1_500).contains(&entry.bytes_at_most()));
        }
    }

    #[test]
    fn a_chain_is_checked_back_from_its_proven_end() {
        let entries = chain();
        let proven = entries[3].header.hash();
        assert_eq!(LedgerEntry::verify_chain(&entries, proven), Ok(()));
        assert_eq!(LedgerEntry::verify_chain(&[], proven), Ok(()));
        let short = LedgerEntry::verify_chain(&entries[..3], proven);
        assert!(matches!(short, Err(EntryError::BrokenChain { sequence: 4.., .. })));
        let gap = [entries[0].clone(), entries[2].clone(), entries[3].clone()];
        let broken = LedgerEntry::verify_chain(&gap, proven);
        assert!(matches!(broken, Err(EntryError::BrokenChain { sequence: 3, .. })), "{broken:?}");
    }

    #[test]
    fn an_entry_whose_parts_do_not_belong_together_is_refused() {
        let entries = chain();
        let (one, other) = (&entries[0], &entries[1]);
        let refused = |entry: LedgerEntry| match entry.check() {
            Err(EntryError::Mismatch { what, .. }) => what,
            unexpected => panic!("{unexpected:?}"),
        };
        assert_eq!(refused(LedgerEntry { value: other.value.clone(), ..one.clone() }), "value");
        assert_eq!(refused(LedgerEntry { tx_set: other.tx_set.clone(), ..one.clone() }), "transaction set");
        let header = |change: &dyn Fn(&mut Header)| {
            let mut entry = one.clone();
            change(&mut entry.header);
            refused(entry)
        };
        assert_eq!(header(&|header| header.previous = Hash::ZERO), "previous ledger");
        assert_eq!(header(&|header| header.close_time_ms += 1), "close time");
        assert_eq!(header(&|header| header.tx_root = Hash::ZERO), "transaction root");
    }
}
