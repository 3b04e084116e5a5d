//! What the store gives back at start.

use super::error::StoreError;
use super::ledgers::{self, LedgerRow, Proof};
use super::proofs;
use super::row::{ACCOUNTS, DATA_ENTRIES, LEDGERS, STATE};
use super::standing::VoteStanding;
use super::votes::CLOSED_SLOTS_KEPT;
use crate::herder;
use crate::key::NetworkId;
use crate::ledger::{Account, DataEntry, Header, Lattice, TxSet};
use fba_core::{Hash, Value};
use rusqlite::Connection;
use std::sync::Arc;

/// Everything a node takes up again.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The newest ledger and its state; nothing in a new database: begin with genesis and commit ledger 1.
    pub ledger: Option<RestoredLedger>,
    /// What the herder takes up again: our own newest statements of slots that are open or were closed lately, every
    /// quorum set they name, the transaction sets they refer to and those of the newest ledgers. Without votes if
    /// votes were lost.
    pub herder: herder::Restored,
    /// May the node vote?
    pub standing: VoteStanding,
}

/// The newest closed ledger, for [`crate::ledger::Ledger::restore`], which checks that the parts belong together.
#[derive(Clone, Debug)]
pub struct RestoredLedger {
    /// Its header.
    pub header: Header,
    /// The header's hash.
    pub hash: Hash,
    /// The value the slot decided: what leader election of the next slot is seeded with.
    pub value: Value,
    /// The header hash of ledger 1, to compare with the genesis file.
    pub genesis: Hash,
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All data entries.
    pub data: Vec<DataEntry>,
    /// The running hash over them.
    pub lattice: Lattice,
}

/// The newest ledger, after checking that the newest few hang together. Returns how many transactions there are too.
pub(crate) fn load(connection: &Connection) -> Result<Option<(RestoredLedger, u64)>, StoreError> {
    let Some((first, last)) = ledgers::bounds(connection)? else {
        return match ledgers::lattice(connection)? {
            None => Ok(None),
            Some((sequence, _)) => Err(LEDGERS.corrupt(sequence, "there is a state and no ledger")),
        };
    };
    if first != 1 {
        return Err(LEDGERS.corrupt(1, "the first ledger is missing"));
    }
    let newest = get(connection, last)?;
    let mut next = newest.clone();
    for sequence in (last.saturating_sub(CLOSED_SLOTS_KEPT).max(1)..last).rev() {
        let row = get(connection, sequence)?;
        if row.hash != next.header.previous {
            return Err(LEDGERS.corrupt(sequence, "its successor names another header"));
        }
        next = row;
    }
    let genesis = get(connection, 1)?.hash;
    let (sequence, lattice) = ledgers::lattice(connection)?.ok_or_else(|| STATE.corrupt(1, "it is missing"))?;
    if sequence != last || lattice.hash() != newest.header.state_hash {
        return Err(STATE.corrupt(sequence, "it is not the state of the newest ledger"));
    }
    let mut accounts = Vec::new();
    ACCOUNTS.each(connection, "SELECT * FROM accounts", [], |row| {
        accounts.push(ledgers::read_account(row)?);
        Ok(())
    })?;
    let mut data = Vec::new();
    DATA_ENTRIES.each(connection, "SELECT * FROM data_entries", [], |row| {
        data.push(ledgers::read_data(row)?);
        Ok(())
    })?;
    let LedgerRow { header, hash, value, total_transactions, .. } = newest;
    Ok(Some((RestoredLedger { header, hash, value, genesis, accounts, data, lattice }, total_transactions)))
}

/// The transaction sets of the newest ledgers, oldest first: for peers that are a little behind.
pub(crate) fn recent_tx_sets(
    connection: &Connection,
    network: NetworkId,
    last: u64,
) -> Result<Vec<Arc<TxSet>>, StoreError> {
    let first = last.saturating_sub(CLOSED_SLOTS_KEPT).saturating_add(1).max(2);
    let set = |sequence| ledgers::entry(connection, network, get(connection, sequence)?).map(|entry| entry.tx_set);
    (first..=last).map(|sequence| set(sequence).map(Arc::new)).collect()
}

/// The proofs of the newest ledgers, oldest first: for peers that have not decided them yet.
pub(crate) fn recent_proofs(connection: &Connection, last: u64) -> Result<Vec<Proof>, StoreError> {
    let first = last.saturating_sub(CLOSED_SLOTS_KEPT).saturating_add(1).max(2);
    let proofs = (first..=last).map(|sequence| proofs::get(connection, &get(connection, sequence)?));
    proofs.filter_map(Result::transpose).collect()
}

fn get(connection: &Connection, sequence: u64) -> Result<LedgerRow, StoreError> {
    ledgers::ledger(connection, sequence)?.ok_or_else(|| LEDGERS.corrupt(sequence, "it is missing"))
}
