//! Applying a transaction set: deterministic, and O(what it changes).
//!
//! First every transaction's fee leaves its account for the fee pool, so that no transaction can spend what another
//! of the same account owes. Then the transactions act one by one in [`TxSet::apply_order`]: each uses up its sequence
//! number and takes effect as a whole or, recorded with its reason, not at all.

use super::account::{Account, AccountId, Amount, DATA_ENTRIES_MAX};
use super::operation::Operation;
use super::parameters::Parameters;
use super::result::{Change, FailReason, Outcome, TxResult};
use super::state::{Changes, State, Step, View};
use super::transaction::SignedTransaction;
use super::tx_set::TxSet;
use super::validity::signed_weight;
use std::sync::Arc;

/// What a set does to a state; the state itself is untouched.
pub(super) struct Applied {
    pub(super) order: Vec<Arc<SignedTransaction>>,
    pub(super) results: Vec<TxResult>,
    pub(super) changes: Changes,
    pub(super) fees: Amount,
}

/// Applies `set`, which [`super::Ledger::check_tx_set`] found valid on `state`.
pub(super) fn apply(state: &State, parameters: &Parameters, set: &TxSet) -> Applied {
    let order = set.apply_order();
    let mut view = View::new(state);
    for transaction in &order {
        view.charge(&transaction.source(), transaction.transaction().fee);
    }
    let fees = order.iter().map(|transaction| transaction.transaction().fee).sum();
    let mut results = Vec::with_capacity(order.len());
    for transaction in &order {
        let (outcome, changes) = apply_one(&view, parameters, transaction);
        results.push(TxResult {
            hash: transaction.hash(),
            fee_charged: transaction.transaction().fee,
            outcome,
            changes: listed(&changes),
        });
        view.changes.merge(changes);
    }
    Applied { order, results, changes: view.changes, fees }
}

fn apply_one(view: &View<'_>, parameters: &Parameters, signed: &SignedTransaction) -> (Outcome, Changes) {
    let transaction = signed.transaction();
    let mut source = view.account(&transaction.source).expect("checked with the set: the account exists").clone();
    assert_eq!(source.sequence.checked_add(1), Some(transaction.sequence), "checked with the set: sequences follow");
    let authorized = signed_weight(&source, signed) >= u64::from(source.threshold);
    source.sequence = transaction.sequence;
    let mut step = Step::new(view, Changes::default());
    step.put(source);
    let failed = step.changes.clone();
    if !authorized {
        return (Outcome::NotAuthorized, failed);
    }
    for (operation, at) in transaction.operations.iter().zip(0..) {
        if let Err(reason) = step.operate(parameters, &transaction.source, operation) {
            return (Outcome::Failed { operation: at, reason }, failed);
        }
    }
    (Outcome::Success, step.changes)
}

impl Step<'_> {
    fn operate(&mut self, parameters: &Parameters, source: &AccountId, what: &Operation) -> Result<(), FailReason> {
        match what {
            Operation::CreateAccount { account, balance } => self.create(parameters, source, *account, *balance),
            Operation::Payment { to, amount } => self.pay(parameters, source, to, *amount),
            Operation::SetData { key, value } => self.set_data(parameters, source, key, value),
            Operation::DeleteData { key } => self.delete_data(source, key),
            Operation::SetSigners { signers, threshold } => {
                let mut account = self.source(source);
                account.signers.clone_from(signers);
                account.threshold = *threshold;
                self.put_solvent(parameters, account)
            }
        }
    }

    fn create(
        &mut self,
        parameters: &Parameters,
        source: &AccountId,
        account: AccountId,
        balance: Amount,
    ) -> Result<(), FailReason> {
        if self.account(&account).is_some() {
            return Err(FailReason::AccountExists);
        }
        let new = Account::new(account, balance);
        if balance < new.minimum_balance(parameters) {
            return Err(FailReason::StartsTooLow);
        }
        self.take(parameters, source, balance)?;
        self.put(new);
        Ok(())
    }

    fn pay(
        &mut self,
        parameters: &Parameters,
        source: &AccountId,
        to: &AccountId,
        amount: Amount,
    ) -> Result<(), FailReason> {
        if self.account(to).is_none() {
            return Err(FailReason::NoAccount);
        }
        self.take(parameters, source, amount)?;
        // Read after the taking: an account may pay itself.
        let mut receiver = self.account(to).ok_or(FailReason::NoAccount)?.clone();
        receiver.balance = receiver.balance.checked_add(amount).expect("no balance exceeds the total supply");
        self.put(receiver);
        Ok(())
    }

    fn set_data(
        &mut self,
        parameters: &Parameters,
        source: &AccountId,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), FailReason> {
        let name = (*source, key.to_vec());
        if !self.has_data(&name) {
            let mut account = self.source(source);
            if account.data_entries >= DATA_ENTRIES_MAX {
                return Err(FailReason::TooManyEntries);
            }
            account.data_entries += 1;
            self.put_solvent(parameters, account)?;
        }
        self.put_data(name, Some(value.to_vec()));
        Ok(())
    }

    fn delete_data(&mut self, source: &AccountId, key: &[u8]) -> Result<(), FailReason> {
        let name = (*source, key.to_vec());
        if !self.has_data(&name) {
            return Err(FailReason::NoData);
        }
        let mut account = self.source(source);
        account.data_entries = account.data_entries.checked_sub(1).expect("every entry is counted");
        self.put(account);
        self.put_data(name, None);
        Ok(())
    }

    fn take(&mut self, parameters: &Parameters, source: &AccountId, amount: Amount) -> Result<(), FailReason> {
        let mut account = self.source(source);
        account.balance = account.balance.checked_sub(amount).ok_or(FailReason::InsufficientBalance)?;
        self.put_solvent(parameters, account)
    }

    /// Keeps the account unless it fell below its minimum balance.
    fn put_solvent(&mut self, parameters: &Parameters, account: Account) -> Result<(), FailReason> {
        if account.balance < account.minimum_balance(parameters) {
            return Err(FailReason::InsufficientBalance);
        }
        self.put(account);
        Ok(())
    }

    fn source(&self, source: &AccountId) -> Account {
        self.account(source).expect("the source was put here before its first operation").clone()
    }
}

fn listed(changes: &Changes) -> Vec<Change> {
    let accounts = changes.accounts.values().cloned().map(Change::Account);
    let data = changes.data.iter().map(|((account, key), value)| Change::Data {
        account: *account,
        key: key.clone(),
        value: value.clone().map(serde_bytes::ByteBuf::from),
    });
    accounts.chain(data).collect()
}
