//! The state hash: a lattice multiset hash (LtHash), so that a close costs what it changed and not what there is.
//!
//! Every entry is stretched by BLAKE3's extendable output to 1,024 numbers of 16 bits; the state's hash is their sum,
//! modulo 2^16 each. Adding and removing entries commute, so only the set of entries counts, not its history.

use crate::key::sha256;
use fba_core::Hash;
use std::fmt;

/// Numbers in the vector: with 16 bits each, finding two sets with one sum is a lattice problem of over 200 bits.
const LANES: usize = 1024;

/// Length of [`Lattice::to_bytes`].
pub const LATTICE_BYTES: usize = 2 * LANES;

/// What kind of entry is hashed: no account can be mistaken for a data entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EntryKind {
    Account,
    Data,
}

/// The running sum over all entries of the ledger.
#[derive(Clone, Eq, PartialEq)]
pub struct Lattice(Box<[u16; LANES]>);

impl Lattice {
    /// The sum over no entries.
    #[must_use]
    pub fn empty() -> Self {
        Self(Box::new([0; LANES]))
    }

    /// Reads the sum, 2,048 bytes little-endian.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut lanes = Box::new([0; LANES]);
        if bytes.len() != LATTICE_BYTES {
            return None;
        }
        for (lane, pair) in lanes.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *lane = u16::from_le_bytes(*pair);
        }
        Some(Self(lanes))
    }

    /// The sum, 2,048 bytes little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|lane| lane.to_le_bytes()).collect()
    }

    /// SHA-256 of the sum, as headers carry it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&[&self.to_bytes()])
    }

    pub(super) fn add(&mut self, kind: EntryKind, entry: &[u8]) {
        self.zip(kind, entry, u16::wrapping_add);
    }

    pub(super) fn remove(&mut self, kind: EntryKind, entry: &[u8]) {
        self.zip(kind, entry, u16::wrapping_sub);
    }

    fn zip(&mut self, kind: EntryKind, entry: &[u8], merge: impl Fn(u16, u16) -> u16) {
        let tag: &[u8; 8] = match kind {
            EntryKind::Account => b"fba:acct",
            EntryKind::Data => b"fba:data",
        };
        let mut stretched = [0; LATTICE_BYTES];
        blake3::Hasher::new().update(tag).update(entry).finalize_xof().fill(&mut stretched);
        for (lane, pair) in self.0.iter_mut().zip(stretched.as_chunks::<2>().0) {
            *lane = merge(*lane, u16::from_le_bytes(*pair));
        }
    }
}

impl fmt::Debug for Lattice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lattice {:?}", self.hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_set_of_entries_counts() {
        let mut one = Lattice::empty();
        one.add(EntryKind::Account, b"a");
        one.add(EntryKind::Data, b"b");
        let mut two = Lattice::empty();
        two.add(EntryKind::Data, b"b");
        two.add(EntryKind::Data, b"c");
        two.add(EntryKind::Account, b"a");
        assert_ne!(one, two);
        two.remove(EntryKind::Data, b"c");
        assert_eq!(one.hash(), two.hash());
        assert_eq!(Lattice::from_bytes(&one.to_bytes()), Some(one.clone()));
        assert_eq!(Lattice::from_bytes(&[0; 3]), None);
        one.remove(EntryKind::Account, b"a");
        one.remove(EntryKind::Data, b"b");
        assert_eq!(one, Lattice::empty());
    }

    #[test]
    fn an_account_is_never_a_data_entry() {
        let (mut one, mut two) = (Lattice::empty(), Lattice::empty());
        one.add(EntryKind::Account, b"a");
        two.add(EntryKind::Data, b"a");
        assert_ne!(one.hash(), two.hash());
    }
}
