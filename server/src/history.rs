//! The store as the HTTP side reads it: rows in, the API's shapes out. Neither knows the other.

use crate::http::{self, Before, History, HistoryError, dto};
use crate::ledger::AccountId;
use crate::store::{LedgerRow, Order, Reader, StoreError, TransactionRow};
use fba_core::Hash;

/// Keys of data entries listed with an account; the API's page size.
const DATA_KEYS_LISTED: usize = http::PAGE_MAX;

impl From<StoreError> for HistoryError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl History for Reader {
    fn ledger(&self, sequence: u64) -> Result<Option<dto::Ledger>, HistoryError> {
        Ok(Self::ledger(self, sequence)?.as_ref().map(ledger))
    }

    fn ledger_by_hash(&self, hash: Hash) -> Result<Option<dto::Ledger>, HistoryError> {
        Ok(Self::ledger_by_hash(self, &hash)?.as_ref().map(ledger))
    }

    fn ledgers_before(&self, before: Option<u64>, limit: usize) -> Result<Vec<dto::Ledger>, HistoryError> {
        // Ledger 1 is the first: nothing is below it.
        let Some(newest) = before.unwrap_or(u64::MAX).checked_sub(1) else { return Ok(Vec::new()) };
        Ok(self.ledgers(newest, limit as u64, Order::NewestFirst)?.iter().map(ledger).collect())
    }

    fn ledgers_after(&self, since: u64, limit: usize) -> Result<Vec<dto::Ledger>, HistoryError> {
        Ok(self.ledgers(since.saturating_add(1), limit as u64, Order::OldestFirst)?.iter().map(ledger).collect())
    }

    fn transactions_of(
        &self,
        sequence: u64,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<dto::Transaction>>, HistoryError> {
        let rows = Self::transactions_of(self, sequence, from, limit as u64)?;
        Ok(rows.map(|rows| rows.iter().map(transaction).collect()))
    }

    fn transaction(&self, hash: Hash) -> Result<Option<dto::Transaction>, HistoryError> {
        Ok(Self::transaction(self, &hash)?.as_ref().map(transaction))
    }

    fn account(&self, account: AccountId) -> Result<Option<dto::Account>, HistoryError> {
        let Some(found) = Self::account(self, &account)? else { return Ok(None) };
        let keys = self.data_keys(&account)?;
        Ok(Some(http::account(&found, keys.iter().take(DATA_KEYS_LISTED).map(Vec::as_slice))))
    }

    fn transactions_of_account(
        &self,
        account: AccountId,
        before: Option<Before>,
        limit: usize,
    ) -> Result<Vec<dto::Transaction>, HistoryError> {
        let rows = Self::transactions_of_account(self, &account, before, limit as u64)?;
        Ok(rows.iter().map(transaction).collect())
    }

    fn proof(&self, sequence: u64) -> Result<Option<dto::Proof>, HistoryError> {
        let Some(row) = Self::ledger(self, sequence)? else { return Ok(None) };
        let proof = Self::proof(self, sequence)?;
        let (statements, sets) =
            proof.as_ref().map_or((&[][..], &[][..]), |proof| (&proof.statements[..], &proof.quorum_sets[..]));
        Ok(Some(http::proof(&row.header, &row.value, statements, sets)))
    }

    fn data_keys(
        &self,
        account: AccountId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<Vec<u8>>>, HistoryError> {
        if Self::account(self, &account)?.is_none() {
            return Ok(None);
        }
        let keys = Self::data_keys(self, &account)?.into_iter();
        Ok(Some(keys.filter(|key| after.is_none_or(|after| key.as_slice() > after)).take(limit).collect()))
    }

    fn data(&self, account: AccountId, key: &[u8]) -> Result<Option<Vec<u8>>, HistoryError> {
        Ok(Self::data(self, &account, key)?)
    }
}

fn ledger(row: &LedgerRow) -> dto::Ledger {
    http::ledger(&row.header, row.transactions, row.failed)
}

fn transaction(row: &TransactionRow) -> dto::Transaction {
    http::transaction(&row.transaction, row.ledger, row.index, &row.result)
}
