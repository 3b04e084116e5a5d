//! The closed past as the API reads it. The store is behind it; tests put a table there.

use crate::http::dto;
use crate::http::error::ApiError;
use crate::ledger::AccountId;
use fba_core::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Reads at the same time: as many as there are useful read-only connections.
const READS_MAX: usize = 8;
/// How long a request waits for its turn and its answer. A longer read would keep the write-ahead log from shrinking.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Reading failed; says what and where, for the log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct HistoryError(pub String);

/// Where a page of an account's transactions begins: before this ledger and index.
pub type Before = (u64, u32);

/// Closed ledgers and the state after the newest of them. Calls block; `Reads` keeps them off the async threads.
pub trait History: Send + Sync + 'static {
    /// One ledger by sequence number.
    ///
    /// # Errors
    /// When the store cannot be read; the same for all others.
    fn ledger(&self, sequence: u64) -> Result<Option<dto::Ledger>, HistoryError>;
    /// One ledger by its header's hash.
    fn ledger_by_hash(&self, hash: Hash) -> Result<Option<dto::Ledger>, HistoryError>;
    /// Up to `limit` ledgers below `before` (or the newest), newest first.
    fn ledgers_before(&self, before: Option<u64>, limit: usize) -> Result<Vec<dto::Ledger>, HistoryError>;
    /// Up to `limit` ledgers above `since`, oldest first.
    fn ledgers_after(&self, since: u64, limit: usize) -> Result<Vec<dto::Ledger>, HistoryError>;
    /// Up to `limit` transactions of a ledger from place `from` on, in the order applied; `None` if there is no such
    /// ledger.
    fn transactions_of(
        &self,
        sequence: u64,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<dto::Transaction>>, HistoryError>;
    /// One transaction.
    fn transaction(&self, hash: Hash) -> Result<Option<dto::Transaction>, HistoryError>;
    /// One account.
    fn account(&self, account: AccountId) -> Result<Option<dto::Account>, HistoryError>;
    /// Up to `limit` transactions of an account, newest first.
    fn transactions_of_account(
        &self,
        account: AccountId,
        before: Option<Before>,
        limit: usize,
    ) -> Result<Vec<dto::Transaction>, HistoryError>;
    /// What proves a ledger's value; `None` if there is no such ledger.
    fn proof(&self, sequence: u64) -> Result<Option<dto::Proof>, HistoryError>;
    /// Up to `limit` keys of an account's data entries above `after`, ascending; `None` if there is no such account.
    fn data_keys(
        &self,
        account: AccountId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<Vec<u8>>>, HistoryError>;
    /// The value of a data entry.
    fn data(&self, account: AccountId, key: &[u8]) -> Result<Option<Vec<u8>>, HistoryError>;
}

/// A [`History`] for async callers: off the async threads, a few at a time, with a deadline.
#[derive(Clone)]
pub(crate) struct Reads {
    history: Arc<dyn History>,
    seats: Arc<Semaphore>,
}

impl Reads {
    pub(crate) fn new(history: Arc<dyn History>) -> Self {
        Self { history, seats: Arc::new(Semaphore::new(READS_MAX)) }
    }

    /// Runs `read` on a blocking thread. The seat goes with it, so that abandoned reads still count.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn History) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let busy = || ApiError::unavailable("busy", "the node is busy reading its store; try again");
        let (history, seats) = (Arc::clone(&self.history), Arc::clone(&self.seats));
        let work = async move {
            let seat = seats.acquire_owned().await.expect("the semaphore is never closed");
            tokio::task::spawn_blocking(move || {
                let result = read(&*history);
                drop(seat);
                result
            })
            .await
        };
        let finished = tokio::time::timeout(READ_TIMEOUT, work).await.map_err(|_| busy())?;
        // The read panicked, or the server is stopping.
        let result = finished.map_err(|error| {
            if error.is_panic() {
                ApiError::internal()
            } else {
                ApiError::unavailable("stopping", "the node is stopping")
            }
        })?;
        Ok(result?)
    }
}
