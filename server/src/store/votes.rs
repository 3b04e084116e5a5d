//! Our own statements, and how far the key has voted.

use super::error::StoreError;
use super::quorum_sets;
use super::row::{HEARD, LAST_SIGNED, QUORUM_SETS, TX_SETS, VOTES, integer, to_i64};
use super::side_file::Position;
use crate::herder::Vote;
use crate::key::NetworkId;
use crate::ledger::TxSet;
use crate::wire::{self, SignedStatement};
use fba_core::{Hash, QuorumSet, Value};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many closed slots' votes are kept: as many as the herder still answers questions about.
pub(crate) const CLOSED_SLOTS_KEPT: u64 = crate::herder::SLOTS_KEPT;

/// Votes with what is needed to take them up again.
#[derive(Debug, Default)]
pub(crate) struct SavedVotes {
    pub(crate) votes: Vec<Vote>,
    pub(crate) heard: Vec<SignedStatement>,
    pub(crate) quorum_sets: Vec<QuorumSet>,
    pub(crate) tx_sets: Vec<Arc<TxSet>>,
}

pub(crate) fn put_vote(connection: &Connection, vote: &Vote) -> Result<(), StoreError> {
    let statement = &vote.statement.statement;
    let protocol = i64::from(!statement.pledge.is_nomination());
    let (round, previous) = match &vote.nomination {
        Some((round, previous)) => (ValueRef::Integer(i64::from(*round)), ValueRef::Blob(previous.as_bytes())),
        None => (ValueRef::Null, ValueRef::Null),
    };
    let bytes = wire::encode_statement(&vote.statement);
    let slot = integer(statement.slot.0);
    VOTES.put(connection, &[slot, ValueRef::Integer(protocol), ValueRef::Blob(&bytes), round, previous])
}

pub(crate) fn put_heard(connection: &Connection, signed: &SignedStatement) -> Result<(), StoreError> {
    let statement = &signed.statement;
    let protocol = ValueRef::Integer(i64::from(!statement.pledge.is_nomination()));
    let bytes = wire::encode_statement(signed);
    let (slot, node) = (integer(statement.slot.0), ValueRef::Blob(&statement.node.0));
    HEARD.put(connection, &[slot, node, protocol, ValueRef::Blob(&bytes)])
}

pub(crate) fn put_tx_set(connection: &Connection, set: &TxSet, slot: u64) -> Result<(), StoreError> {
    let bytes = set.to_bytes();
    TX_SETS.put(connection, &[ValueRef::Blob(&set.hash().0), integer(slot), ValueRef::Blob(&bytes)])
}

/// Forgets what belongs to slots closed long ago.
pub(crate) fn forget_before(connection: &Connection, last_closed: u64) -> Result<(), StoreError> {
    let before = to_i64(last_closed.saturating_sub(CLOSED_SLOTS_KEPT));
    VOTES.delete(connection, "DELETE FROM votes WHERE slot < ?", params![before])?;
    HEARD.delete(connection, "DELETE FROM heard WHERE slot <= ?", params![to_i64(last_closed)])?;
    TX_SETS.delete(connection, "DELETE FROM tx_sets WHERE slot < ?", params![before])
}

pub(crate) fn forget_all(connection: &Connection) -> Result<(), StoreError> {
    VOTES.delete(connection, "DELETE FROM votes", [])?;
    HEARD.delete(connection, "DELETE FROM heard", [])?;
    TX_SETS.delete(connection, "DELETE FROM tx_sets", [])
}

/// Writes how far the key has voted, with a digest of the votes as they are now.
pub(crate) fn put_position(connection: &Connection, position: Position) -> Result<(), StoreError> {
    let digest = digest(connection)?;
    let row = [ValueRef::Integer(1), integer(position.count), integer(position.slot), ValueRef::Blob(&digest)];
    LAST_SIGNED.put(connection, &row)
}

/// How far the database says the key has voted. `store` is its id.
pub(crate) fn position(connection: &Connection, store: [u8; 16]) -> Result<Position, StoreError> {
    let read = LAST_SIGNED.one(connection, "SELECT * FROM last_signed", [], |row| {
        let position = Position { store, count: row.number(1)?, slot: row.number(2)? };
        Ok((position, row.blob(3)?.to_vec()))
    })?;
    let (position, votes) = read.ok_or_else(|| LAST_SIGNED.corrupt(1, "it is missing"))?;
    if digest(connection)? != votes {
        return Err(VOTES.corrupt("of all slots", "they are not the votes that were last written"));
    }
    Ok(position)
}

/// A digest over the votes: a row that got lost would have no checksum to be wrong.
fn digest(connection: &Connection) -> Result<Vec<u8>, StoreError> {
    let mut hasher = blake3::Hasher::new();
    VOTES.each(connection, "SELECT * FROM votes ORDER BY slot, protocol", [], |row| {
        hasher.update(&row.checksum()?.to_be_bytes());
        Ok(())
    })?;
    Ok(hasher.finalize().as_bytes().to_vec())
}

/// Every vote, with the quorum sets they name and the transaction sets at hand.
pub(crate) fn load(connection: &Connection, network: NetworkId) -> Result<SavedVotes, StoreError> {
    let mut saved = SavedVotes::default();
    let mut named = BTreeSet::new();
    VOTES.each(connection, "SELECT * FROM votes ORDER BY slot, protocol", [], |row| {
        let statement = wire::decode_statement(row.blob(2)?).map_err(|_| row.corrupt("it is not a statement"))?;
        let nomination = match row.is_null(3)? {
            true => None,
            false => {
                let round = u32::try_from(row.integer(3)?).map_err(|_| row.corrupt("the round is out of range"))?;
                Some((round, Value::new(row.blob(4)?)))
            }
        };
        named.insert(statement.statement.quorum_set);
        saved.votes.push(Vote { statement, nomination });
        Ok(())
    })?;
    for hash in named {
        let set = quorum_sets::get(connection, &hash)?.ok_or_else(|| QUORUM_SETS.corrupt(hash, "a vote names it"))?;
        saved.quorum_sets.push(set);
    }
    HEARD.each(connection, "SELECT * FROM heard ORDER BY slot, node, protocol", [], |row| {
        let signed = wire::decode_statement(row.blob(3)?).map_err(|_| row.corrupt("it is not a statement"))?;
        saved.heard.push(signed);
        Ok(())
    })?;
    // EXTERNALIZE counts without its quorum set: it need not be here.
    let theirs: BTreeSet<Hash> = saved.heard.iter().map(|signed| signed.statement.quorum_set).collect();
    for hash in theirs {
        saved.quorum_sets.extend(quorum_sets::get(connection, &hash)?);
    }
    TX_SETS.each(connection, "SELECT * FROM tx_sets ORDER BY hash", [], |row| {
        let set = TxSet::from_bytes(network, row.blob(2)?).map_err(|_| row.corrupt("it is not a transaction set"))?;
        saved.tx_sets.push(Arc::new(set));
        Ok(())
    })?;
    Ok(saved)
}
