//! Reading beside the writer: a few connections that see every commit and cannot write.
//!
//! Every answer is one short read. A read that took long would keep SQLite from reusing its log, so everything that
//! can be long is cut into pages. Ledgers never change once written, so pages read one after the other fit together.

use super::connection::open_reader;
use super::error::{During, StoreError};
use super::ledgers::{self, LedgerRow, Proof, TransactionRow};
use super::proofs;
use super::row::{ACCOUNTS, Checked, DATA_ENTRIES, LEDGERS, TRANSACTIONS, to_i64};
use crate::key::NetworkId;
use crate::ledger::{Account, AccountId, Header, LEDGER_ENTRY_BYTES_MAX, LedgerEntry};
use fba_core::Hash;
use rusqlite::{Connection, params};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Most connections open for reading. Who asks while all are busy waits.
const CONNECTIONS_MAX: usize = 8;

/// Most ledgers in one page.
pub const LEDGERS_PAGE_MAX: u64 = 1_000;

/// Most transactions in one page.
pub const TRANSACTIONS_PAGE_MAX: u64 = 1_000;

/// Bytes of ledger entries in one page: what fits one message to a peer.
pub const ENTRIES_PAGE_BYTES: usize = LEDGER_ENTRY_BYTES_MAX;

/// Reads the store from any thread. Cheap to clone. Blocks on disk: call it where blocking is allowed.
#[derive(Clone)]
pub struct Reader(Arc<Pool>);

struct Pool {
    path: PathBuf,
    network: NetworkId,
    state: Mutex<PoolState>,
    returned: Condvar,
}

#[derive(Default)]
struct PoolState {
    idle: Vec<Connection>,
    /// Idle and in use.
    open: usize,
}

/// A connection on loan: comes back when dropped, also when the reader panics.
struct Loan<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, PoolState> {
        // The state is consistent at every point a panic could come from.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn borrow(&self) -> Result<Loan<'_>, StoreError> {
        let mut state = self.state();
        while state.idle.is_empty() && state.open >= CONNECTIONS_MAX {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(connection) = state.idle.pop() {
            return Ok(Loan { pool: self, connection: Some(connection) });
        }
        state.open += 1;
        drop(state);
        // Counted before it is open; an error gives the place back.
        let mut loan = Loan { pool: self, connection: None };
        loan.connection = Some(open_reader(&self.path)?);
        Ok(loan)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        match self.connection.take() {
            Some(connection) => state.idle.push(connection),
            None => state.open -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}

/// In which order a page of ledgers is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Ascending from the first asked for.
    OldestFirst,
    /// Descending from the first asked for.
    NewestFirst,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// The oldest ledger kept; 0 if there is none.
    pub first_ledger: u64,
    /// The newest ledger; 0 if there is none.
    pub last_ledger: u64,
    /// How many transactions all ledgers have together.
    pub transactions: u64,
}

impl Reader {
    /// Opens the first connection, so that a database that cannot be read is noticed now.
    pub(crate) fn open(path: PathBuf, network: NetworkId) -> Result<Self, StoreError> {
        let pool = Pool { path, network, state: Mutex::default(), returned: Condvar::new() };
        drop(pool.borrow()?);
        Ok(Self(Arc::new(pool)))
    }

    /// Everything in `read` sees the store as of one moment: a commit in between would look like a row that is missing.
    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let loan = self.0.borrow()?;
        let connection = loan.connection.as_ref().expect("a loan that was given out has a connection");
        let moment = connection.unchecked_transaction().during("begin to read")?;
        read(&moment)
    }

    /// How much there is.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] or [`StoreError::Corrupt`], as every method here.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        let Some(last) = self.latest()? else { return Ok(Totals::default()) };
        let first_ledger = self.with(ledgers::bounds)?.map_or(0, |(first, _)| first);
        Ok(Totals { first_ledger, last_ledger: last.header.sequence, transactions: last.total_transactions })
    }

    /// The newest ledger; nothing before genesis is committed.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn latest(&self) -> Result<Option<LedgerRow>, StoreError> {
        let query = "SELECT * FROM ledgers ORDER BY sequence DESC LIMIT 1";
        self.with(|connection| LEDGERS.one(connection, query, [], ledgers::read_ledger))
    }

    /// One ledger.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn ledger(&self, sequence: u64) -> Result<Option<LedgerRow>, StoreError> {
        self.with(|connection| ledgers::ledger(connection, sequence))
    }

    /// The ledger whose header has this hash.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn ledger_by_hash(&self, hash: &Hash) -> Result<Option<LedgerRow>, StoreError> {
        let query = "SELECT * FROM ledgers WHERE hash = ?";
        self.with(|connection| LEDGERS.one(connection, query, params![hash.0], ledgers::read_ledger))
    }

    /// Up to `count` (at most [`LEDGERS_PAGE_MAX`]) ledgers from `from` on, without gaps.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn ledgers(&self, from: u64, count: u64, order: Order) -> Result<Vec<LedgerRow>, StoreError> {
        let (from, count) = (i64::try_from(from).unwrap_or(i64::MAX), to_i64(count.min(LEDGERS_PAGE_MAX)));
        let (query, step) = match order {
            Order::OldestFirst => ("SELECT * FROM ledgers WHERE sequence >= ? ORDER BY sequence LIMIT ?", 1),
            Order::NewestFirst => ("SELECT * FROM ledgers WHERE sequence <= ? ORDER BY sequence DESC LIMIT ?", -1),
        };
        let mut found: Vec<LedgerRow> = Vec::new();
        self.with(|connection| {
            LEDGERS.each(connection, query, params![from, count], |row| {
                let ledger = ledgers::read_ledger(row)?;
                let expected = found.last().and_then(|last| last.header.sequence.checked_add_signed(step));
                if expected.is_some_and(|expected| expected != ledger.header.sequence) {
                    return Err(row.corrupt("its neighbour is missing"));
                }
                found.push(ledger);
                Ok(())
            })
        })?;
        Ok(found)
    }

    /// Sequence and close time of up to `count` ledgers from `from` on.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn close_times(&self, from: u64, count: u64) -> Result<Vec<(u64, u64)>, StoreError> {
        let rows = self.ledgers(from, count, Order::OldestFirst)?;
        Ok(rows.iter().map(|row| (row.header.sequence, row.header.close_time_ms)).collect())
    }

    /// A closed transaction.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn transaction(&self, hash: &Hash) -> Result<Option<TransactionRow>, StoreError> {
        let query = "SELECT * FROM transactions WHERE hash = ?";
        let read = |row: &Checked<'_>| ledgers::read_transaction(self.0.network, row);
        self.with(|connection| TRANSACTIONS.one(connection, query, params![hash.0], read))
    }

    /// Up to `count` (at most [`TRANSACTIONS_PAGE_MAX`]) transactions of a ledger from place `from` on, in the order
    /// of application; nothing if there is no such ledger.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn transactions_of(
        &self,
        sequence: u64,
        from: u64,
        count: u64,
    ) -> Result<Option<Vec<TransactionRow>>, StoreError> {
        self.with(|connection| {
            let Some(ledger) = ledgers::ledger(connection, sequence)? else { return Ok(None) };
            let count = count.min(TRANSACTIONS_PAGE_MAX);
            ledgers::transactions(connection, self.0.network, &ledger, from, count).map(Some)
        })
    }

    /// Up to `count` (at most [`TRANSACTIONS_PAGE_MAX`]) transactions whose source is `account`, newest first, below
    /// the place `before` (ledger and index), if it is given.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn transactions_of_account(
        &self,
        account: &AccountId,
        before: Option<(u64, u32)>,
        count: u64,
    ) -> Result<Vec<TransactionRow>, StoreError> {
        let before = before.map_or(i64::MAX, |(ledger, index)| ledgers::id_of(ledger, index));
        let count = to_i64(count.min(TRANSACTIONS_PAGE_MAX));
        let query = "SELECT * FROM transactions WHERE source = ? AND id < ? ORDER BY id DESC LIMIT ?";
        let mut found = Vec::new();
        self.with(|connection| {
            TRANSACTIONS.each(connection, query, params![account.0, before, count], |row| {
                found.push(ledgers::read_transaction(self.0.network, row)?);
                Ok(())
            })
        })?;
        Ok(found)
    }

    /// An account after the newest ledger.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let query = "SELECT * FROM accounts WHERE id = ?";
        self.with(|connection| ACCOUNTS.one(connection, query, params![id.0], ledgers::read_account))
    }

    /// What a data entry holds.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn data(&self, account: &AccountId, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT * FROM data_entries WHERE account = ? AND key = ?";
        let entry =
            self.with(|connection| DATA_ENTRIES.one(connection, query, params![account.0, key], ledgers::read_data))?;
        Ok(entry.map(|entry| entry.value))
    }

    /// The keys of an account's data entries, at most 1,000: as many as an account may have.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn data_keys(&self, account: &AccountId) -> Result<Vec<Vec<u8>>, StoreError> {
        let query = "SELECT * FROM data_entries WHERE account = ? ORDER BY key LIMIT ?";
        let most = i64::from(crate::ledger::DATA_ENTRIES_MAX);
        let mut keys = Vec::new();
        self.with(|connection| {
            DATA_ENTRIES.each(connection, query, params![account.0, most], |row| {
                keys.push(ledgers::read_data(row)?.key);
                Ok(())
            })
        })?;
        Ok(keys)
    }

    /// Headers of consecutive ledgers, oldest first: up to `count` (at most [`LEDGERS_PAGE_MAX`]).
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn headers(&self, from: u64, count: u64) -> Result<Vec<Header>, StoreError> {
        let rows = self.ledgers_at(from, count)?;
        Ok(rows.into_iter().map(|row| row.header).collect())
    }

    /// Consecutive ledgers as peers are given them, oldest first: up to `count` (at most [`LEDGERS_PAGE_MAX`]), and up
    /// to [`ENTRIES_PAGE_BYTES`] together, but at least one if there is one.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn ledger_entries(&self, from: u64, count: u64) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for row in self.ledgers_at(from, count)? {
            let entry = self.with(|connection| ledgers::entry(connection, self.0.network, row))?;
            bytes += entry.bytes_at_most();
            if bytes > ENTRIES_PAGE_BYTES && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Ledgers without gaps that begin with `from`; none if that one is not here.
    fn ledgers_at(&self, from: u64, count: u64) -> Result<Vec<LedgerRow>, StoreError> {
        let rows = self.ledgers(from, count, Order::OldestFirst)?;
        let begins = rows.first().is_some_and(|row| row.header.sequence == from);
        Ok(if begins { rows } else { Vec::new() })
    }

    /// What proves a ledger's value; nothing if there is no such ledger, if it was fetched and is proven by a later
    /// one through the header chain, or if its proof is not kept any more.
    ///
    /// # Errors
    /// See [`Reader::totals`].
    pub fn proof(&self, sequence: u64) -> Result<Option<Proof>, StoreError> {
        self.with(|connection| match ledgers::ledger(connection, sequence)? {
            Some(ledger) => proofs::get(connection, &ledger),
            None => Ok(None),
        })
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader of {}", self.0.path.display())
    }
}
