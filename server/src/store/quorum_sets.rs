//! Quorum sets that statements name, for as long as something stored names them.

use super::error::StoreError;
use super::row::{Checked, HEARD, QUORUM_SETS, VOTES, integer, to_i64};
use crate::wire;
use fba_core::{Hash, QuorumSet};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// A set that is named anew is written again at least every [`crate::herder::SLOTS_KEPT`] slots: one that was not
/// written for this many is named by nothing that is open.
const SLOTS_UNWRITTEN: u64 = 10 * crate::herder::SLOTS_KEPT;

/// Who names a set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    /// A vote, or what was heard, while this slot was open.
    InSlot(u64),
    /// The proof of this ledger.
    ByProof(u64),
}

/// Writes a set, or that it is still named.
pub(crate) fn put(connection: &Connection, set: &QuorumSet, named: Named) -> Result<(), StoreError> {
    let (hash, bytes) = (set.hash(), wire::encode_quorum_set(set));
    let query = "SELECT * FROM quorum_sets WHERE hash = ?";
    let known = QUORUM_SETS.one(connection, query, params![hash.0], newest)?.unwrap_or_default();
    let (slot, proof) = match named {
        Named::InSlot(slot) => (known.0.max(slot), known.1),
        Named::ByProof(sequence) => (known.0, known.1.max(sequence)),
    };
    QUORUM_SETS.put(connection, &[ValueRef::Blob(&hash.0), ValueRef::Blob(&bytes), integer(slot), integer(proof)])
}

/// The newest slot and the newest proof that name a set.
fn newest(row: &Checked<'_>) -> Result<(u64, u64), StoreError> {
    Ok((row.number(2)?, row.number(3)?))
}

/// One set.
pub(crate) fn get(connection: &Connection, hash: &Hash) -> Result<Option<QuorumSet>, StoreError> {
    QUORUM_SETS.one(connection, "SELECT * FROM quorum_sets WHERE hash = ?", params![hash.0], |row| {
        let set = wire::decode_quorum_set(row.blob(1)?).map_err(|_| row.corrupt("it is not a quorum set"))?;
        if set.hash() == *hash { Ok(set) } else { Err(row.corrupt("it does not have its hash")) }
    })
}

/// Forgets the sets that no vote, nothing heard and no proof from ledger `proofs_from` on names any more.
pub(crate) fn forget_unnamed(connection: &Connection, last_closed: u64, proofs_from: u64) -> Result<(), StoreError> {
    let mut named = BTreeSet::new();
    for (table, query, column) in [(VOTES, "SELECT * FROM votes", 2), (HEARD, "SELECT * FROM heard", 3)] {
        table.each(connection, query, [], |row| {
            let signed = wire::decode_statement(row.blob(column)?).map_err(|_| row.corrupt("it is not a statement"))?;
            named.insert(signed.statement.quorum_set);
            Ok(())
        })?;
    }
    let before = to_i64(last_closed.saturating_sub(SLOTS_UNWRITTEN));
    let mut unnamed = Vec::new();
    let query = "SELECT * FROM quorum_sets WHERE slot < ? AND proof < ?";
    QUORUM_SETS.each(connection, query, params![before, to_i64(proofs_from)], |row| {
        let hash = row.hash(0)?;
        if !named.contains(&hash) {
            unnamed.push(hash);
        }
        Ok(())
    })?;
    let forget = |hash: Hash| QUORUM_SETS.delete(connection, "DELETE FROM quorum_sets WHERE hash = ?", params![hash.0]);
    unnamed.into_iter().try_for_each(forget)
}
