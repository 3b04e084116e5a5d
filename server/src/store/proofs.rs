//! What proves each ledger, and for how many ledgers it is kept.

use super::error::StoreError;
use super::ledgers::{LedgerRow, Proof};
use super::quorum_sets::{self, Named};
use super::row::{PROOFS, QUORUM_SETS, RETENTION, integer, to_i64};
use super::votes::CLOSED_SLOTS_KEPT;
use crate::cbor;
use crate::herder::{Close, QUORUM_NODES_MAX};
use crate::wire;
use fba_core::Hash;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use serde_bytes::ByteBuf;
use std::num::NonZeroU64;

/// Most statements in one proof: one of each node whose statements count, and our own.
const STATEMENTS_MAX: usize = QUORUM_NODES_MAX + 1;

/// CBOR items in a proof: the list and its statements.
const PROOF_ITEMS_MAX: usize = STATEMENTS_MAX + 1;

/// For how many ledgers proofs are kept. Ledgers themselves are always kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProofsKept {
    /// For every ledger.
    #[default]
    All,
    /// For so many of the newest ledgers; at least [`ProofsKept::LEAST`].
    Newest(NonZeroU64),
}

impl ProofsKept {
    /// The proofs of so many ledgers are kept in any case: at start, peers that are a little behind are told them.
    pub const LEAST: u64 = CLOSED_SLOTS_KEPT;

    /// The first ledger whose proof is kept when `last` is the newest.
    fn from(self, last: u64) -> u64 {
        match self {
            Self::All => 1,
            Self::Newest(count) => last.saturating_sub(count.get().max(Self::LEAST)).saturating_add(1),
        }
    }
}

/// Writes what proves a ledger, if anything does.
pub(crate) fn put(connection: &Connection, close: &Close) -> Result<(), StoreError> {
    if close.proof.is_empty() {
        return Ok(());
    }
    assert!(close.proof.len() <= STATEMENTS_MAX, "one statement of each node that counts");
    let sequence = close.closed.header.sequence;
    close.proof_sets.iter().try_for_each(|set| quorum_sets::put(connection, set, Named::ByProof(sequence)))?;
    let statements: Vec<ByteBuf> =
        close.proof.iter().map(|signed| ByteBuf::from(wire::encode_statement(signed))).collect();
    let bytes = cbor::encode(&statements);
    let sets: Vec<u8> = close.proof_sets.iter().flat_map(|set| set.hash().0).collect();
    PROOFS.put(connection, &[integer(sequence), ValueRef::Blob(&bytes), ValueRef::Blob(&sets)])
}

/// A ledger's proof, if it has one and it is still kept; an error if it must be there and is not.
pub(crate) fn get(connection: &Connection, ledger: &LedgerRow) -> Result<Option<Proof>, StoreError> {
    if !ledger.proven {
        return Ok(None);
    }
    let sequence = ledger.header.sequence;
    let query = "SELECT * FROM proofs WHERE sequence = ?";
    let found = PROOFS.one(connection, query, params![to_i64(sequence)], |row| {
        let not_one = |_| row.corrupt("it is not a list of statements");
        let list: Vec<ByteBuf> = cbor::decode(row.blob(1)?, PROOF_ITEMS_MAX).map_err(not_one)?;
        let decode = |bytes: &ByteBuf| wire::decode_statement(bytes).map_err(|_| row.corrupt("it holds no statements"));
        let statements = list.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let hashes: Vec<Hash> = row.blob(2)?.as_chunks::<32>().0.iter().copied().map(Hash).collect();
        Ok((statements, hashes))
    })?;
    let Some((statements, hashes)) = found else {
        let dropped = sequence < kept_from(connection)?;
        return if dropped { Ok(None) } else { Err(PROOFS.corrupt(sequence, "the ledger has one, and it is missing")) };
    };
    let set =
        |hash: &Hash| quorum_sets::get(connection, hash)?.ok_or_else(|| QUORUM_SETS.corrupt(hash, "a proof needs it"));
    Ok(Some(Proof { statements, quorum_sets: hashes.iter().map(set).collect::<Result<_, _>>()? }))
}

/// The first ledger whose proof is kept.
pub(crate) fn kept_from(connection: &Connection) -> Result<u64, StoreError> {
    Ok(RETENTION.one(connection, "SELECT * FROM retention", [], |row| row.number(1))?.unwrap_or(1))
}

/// Proofs forgotten with one commit. A setting that was lowered is worked off close by close: a vote waits for the commit.
const FORGOTTEN_AT_ONCE: u64 = 256;

/// Forgets proofs of ledgers so old that none is kept of them any more. Returns the first ledger whose proof is kept.
pub(crate) fn forget_old(connection: &Connection, kept: ProofsKept, last: u64) -> Result<u64, StoreError> {
    let before = kept_from(connection)?;
    let from = kept.from(last).min(before.saturating_add(FORGOTTEN_AT_ONCE));
    if from <= before {
        return Ok(before);
    }
    PROOFS.delete(connection, "DELETE FROM proofs WHERE sequence < ?", params![to_i64(from)])?;
    RETENTION.put(connection, &[ValueRef::Integer(1), integer(from)])?;
    Ok(from)
}
