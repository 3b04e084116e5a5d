//! Closed ledgers and the state after the newest: how they are written, and read back one by one.

use super::error::StoreError;
use super::proofs;
use super::row::{ACCOUNTS, Checked, DATA_ENTRIES, LEDGERS, STATE, TRANSACTIONS, integer, to_i64};
use crate::cbor;
use crate::herder::Close;
use crate::key::NetworkId;
use crate::ledger::{
    Account, Closed, DataEntry, Header, Lattice, LedgerEntry, SignedTransaction, TX_SET_COUNT_MAX, TxResult, TxSet,
    value_hash,
};
use crate::wire::SignedStatement;
use fba_core::{Hash, QuorumSet, Value};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use std::sync::Arc;

/// Places per ledger in a transaction's id.
const PLACES: u64 = 1 << 16;
const _: () = assert!(TX_SET_COUNT_MAX < PLACES as usize);

/// The highest sequence whose transactions have ids.
const SEQUENCE_MAX: u64 = i64::MAX as u64 / PLACES - 1;

/// CBOR items in one account: id, five fields and twenty signers of three items, with the names.
const ACCOUNT_ITEMS_MAX: usize = 100;

/// A closed ledger without its transactions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LedgerRow {
    /// Its header.
    pub header: Header,
    /// The header's hash.
    pub hash: Hash,
    /// What the slot decided.
    pub value: Value,
    /// How many transactions it has.
    pub transactions: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many transactions there are up to and including this ledger.
    pub total_transactions: u64,
    /// Is there a proof of its own?
    pub proven: bool,
}

/// A closed transaction, where it is and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransactionRow {
    /// The sequence of its ledger.
    pub ledger: u64,
    /// Its place in the order of application, from 0.
    pub index: u32,
    /// The transaction.
    pub transaction: Arc<SignedTransaction>,
    /// What became of it.
    pub result: TxResult,
}

/// What proves a ledger's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    /// CONFIRM and EXTERNALIZE statements of a quorum.
    pub statements: Vec<SignedStatement>,
    /// Every quorum set they name.
    pub quorum_sets: Vec<QuorumSet>,
}

/// Writes one closed ledger. `total` counts the transactions before it.
pub(crate) fn put_close(connection: &Connection, close: &Close, total: u64) -> Result<(), StoreError> {
    let Closed { header, hash, value, applied, results, .. } = &close.closed;
    assert_eq!(applied.len(), results.len(), "every transaction has one result");
    let count = applied.len() as u64;
    let header_bytes = header.to_bytes();
    let row = [
        integer(header.sequence),
        ValueRef::Blob(&hash.0),
        ValueRef::Blob(&header_bytes),
        ValueRef::Blob(value.as_bytes()),
        integer(count),
        integer(close.closed.failed() as u64),
        integer(total.saturating_add(count)),
        ValueRef::Integer(i64::from(!close.proof.is_empty())),
    ];
    LEDGERS.put(connection, &row)?;
    for (place, (transaction, result)) in applied.iter().zip(results).enumerate() {
        put_transaction(connection, transaction_id(header.sequence, place as u64), transaction, result)?;
    }
    proofs::put(connection, close)?;
    put_entries(connection, &close.closed)
}

/// Writes what is kept of the newest ledger only.
pub(crate) fn put_state(connection: &Connection, newest: &Closed) -> Result<(), StoreError> {
    let (sequence, lattice) = (newest.header.sequence, newest.lattice.to_bytes());
    STATE.put(connection, &[ValueRef::Integer(1), integer(sequence), ValueRef::Blob(&lattice)])
}

fn put_transaction(
    connection: &Connection,
    id: i64,
    transaction: &SignedTransaction,
    result: &TxResult,
) -> Result<(), StoreError> {
    assert_eq!(transaction.hash(), result.hash, "results are in the order of application");
    let result = result.to_bytes();
    let row = [
        ValueRef::Integer(id),
        ValueRef::Blob(&transaction.hash().0),
        ValueRef::Blob(&transaction.source().0),
        ValueRef::Blob(transaction.bytes()),
        ValueRef::Blob(&result),
    ];
    TRANSACTIONS.put(connection, &row)
}

fn put_entries(connection: &Connection, closed: &Closed) -> Result<(), StoreError> {
    for account in &closed.changed_accounts {
        let bytes = cbor::encode(account);
        ACCOUNTS.put(connection, &[ValueRef::Blob(&account.id.0), ValueRef::Blob(&bytes)])?;
    }
    for (account, key, value) in &closed.changed_data {
        match value {
            Some(value) => {
                let row = [ValueRef::Blob(&account.0), ValueRef::Blob(key), ValueRef::Blob(value)];
                DATA_ENTRIES.put(connection, &row)?;
            }
            None => DATA_ENTRIES.delete(
                connection,
                "DELETE FROM data_entries WHERE account = ? AND key = ?",
                params![account.0, key],
            )?,
        }
    }
    Ok(())
}

fn transaction_id(sequence: u64, place: u64) -> i64 {
    to_i64(sequence.saturating_mul(PLACES).saturating_add(place))
}

/// The ids of a ledger's transactions: from, and up to but without.
pub(crate) fn transaction_ids(sequence: u64) -> Option<(i64, i64)> {
    (sequence <= SEQUENCE_MAX).then(|| (transaction_id(sequence, 0), transaction_id(sequence + 1, 0)))
}

/// The id of a transaction's place, for paging: at most what an id can be.
pub(crate) fn id_of(ledger: u64, index: u32) -> i64 {
    transaction_id(ledger.min(SEQUENCE_MAX), u64::from(index).min(PLACES - 1))
}

/// First and last sequence.
pub(crate) fn bounds(connection: &Connection) -> Result<Option<(u64, u64)>, StoreError> {
    let sequence = |order: &str| {
        let query = format!("SELECT * FROM ledgers ORDER BY sequence {order} LIMIT 1");
        LEDGERS.one(connection, &query, [], |row| row.number(0))
    };
    Ok(sequence("ASC")?.zip(sequence("DESC")?))
}

/// One ledger by sequence; an error if it must be there and is not.
pub(crate) fn ledger(connection: &Connection, sequence: u64) -> Result<Option<LedgerRow>, StoreError> {
    let Ok(key) = i64::try_from(sequence) else { return Ok(None) };
    let found = LEDGERS.one(connection, "SELECT * FROM ledgers WHERE sequence = ?", params![key], read_ledger)?;
    match (&found, bounds(connection)?) {
        (None, Some((first, last))) if (first..=last).contains(&sequence) => {
            Err(LEDGERS.corrupt(sequence, "it is missing between its neighbours"))
        }
        (Some(row), _) if row.header.sequence != sequence => {
            Err(LEDGERS.corrupt(sequence, "its header has another sequence"))
        }
        _ => Ok(found),
    }
}

pub(crate) fn read_ledger(row: &Checked<'_>) -> Result<LedgerRow, StoreError> {
    let header = Header::from_bytes(row.blob(2)?).map_err(|_| row.corrupt("it is not a header"))?;
    let (hash, value) = (row.hash(1)?, Value::new(row.blob(3)?));
    if header.hash() != hash || header.sequence != row.number(0)? || header.value != value_hash(&value) {
        return Err(row.corrupt("hash, header and value do not belong together"));
    }
    Ok(LedgerRow {
        header,
        hash,
        value,
        transactions: row.number(4)?,
        failed: row.number(5)?,
        total_transactions: row.number(6)?,
        proven: row.number(7)? == 1,
    })
}

pub(crate) fn read_transaction(network: NetworkId, row: &Checked<'_>) -> Result<TransactionRow, StoreError> {
    let transaction =
        SignedTransaction::from_bytes(network, row.blob(3)?).map_err(|_| row.corrupt("it is not a transaction"))?;
    let result = TxResult::from_bytes(row.blob(4)?).map_err(|_| row.corrupt("its result is not one"))?;
    let hash = row.hash(1)?;
    if transaction.hash() != hash || result.hash != hash {
        return Err(row.corrupt("hash, transaction and result do not belong together"));
    }
    let id = row.number(0)?;
    let index = u32::try_from(id % PLACES).expect("a place is below 2^16");
    Ok(TransactionRow { ledger: id / PLACES, index, transaction: Arc::new(transaction), result })
}

/// Some transactions of one ledger, from a place on; an error if there are not as many as the ledger says.
pub(crate) fn transactions(
    connection: &Connection,
    network: NetworkId,
    ledger: &LedgerRow,
    from: u64,
    count: u64,
) -> Result<Vec<TransactionRow>, StoreError> {
    let sequence = ledger.header.sequence;
    let wanted = ledger.transactions.saturating_sub(from).min(count);
    let Some((begin, end)) = transaction_ids(sequence) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let query = "SELECT * FROM transactions WHERE id >= ? AND id < ? ORDER BY id LIMIT ?";
    let begin = begin.saturating_add(to_i64(from.min(PLACES)));
    TRANSACTIONS.each(connection, query, params![begin, end, to_i64(wanted)], |row| {
        found.push(read_transaction(network, row)?);
        Ok(())
    })?;
    let in_place = |(at, row): (u64, &TransactionRow)| u64::from(row.index) == at;
    if found.len() as u64 != wanted || !(from..).zip(&found).all(in_place) {
        return Err(TRANSACTIONS.corrupt(format!("of ledger {sequence}"), "some are missing"));
    }
    Ok(found)
}

/// A ledger as peers are given it.
pub(crate) fn entry(connection: &Connection, network: NetworkId, ledger: LedgerRow) -> Result<LedgerEntry, StoreError> {
    // Most ledgers of a quiet network are empty.
    let empty = ledger.transactions == 0;
    let rows = if empty { Vec::new() } else { transactions(connection, network, &ledger, 0, PLACES)? };
    let transactions = rows.into_iter().map(|row| row.transaction).collect();
    let LedgerRow { header, value, .. } = ledger;
    let tx_set = TxSet::new(header.previous, transactions);
    if tx_set.hash() != header.tx_set {
        let key = format!("of ledger {}", header.sequence);
        return Err(TRANSACTIONS.corrupt(key, "together they are not the ledger's transaction set"));
    }
    Ok(LedgerEntry { header, value, tx_set })
}

pub(crate) fn read_account(row: &Checked<'_>) -> Result<Account, StoreError> {
    let account: Account =
        cbor::decode(row.blob(1)?, ACCOUNT_ITEMS_MAX).map_err(|_| row.corrupt("it is not an account"))?;
    if account.id.0 == row.array(0)? { Ok(account) } else { Err(row.corrupt("it is another account")) }
}

pub(crate) fn read_data(row: &Checked<'_>) -> Result<DataEntry, StoreError> {
    let account = crate::ledger::AccountId(row.array(0)?);
    Ok(DataEntry { account, key: row.blob(1)?.to_vec(), value: row.blob(2)?.to_vec() })
}

/// The lattice, and the sequence of the ledger it belongs to.
pub(crate) fn lattice(connection: &Connection) -> Result<Option<(u64, Lattice)>, StoreError> {
    STATE.one(connection, "SELECT * FROM state", [], |row| {
        let lattice = Lattice::from_bytes(row.blob(2)?).ok_or_else(|| row.corrupt("it is not a lattice"))?;
        Ok((row.number(1)?, lattice))
    })
}
