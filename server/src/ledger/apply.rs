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

#[cfg(test)]
mod tests {
    use super::super::close::{Closed, Ledger};
    use super::super::fixture::{MINIMUM, act, act_with, close, id, key, network, pay, populated, verified};
    use super::super::transaction::Transaction;
    use super::*;

    fn outcome_of(closed: &Closed, hash: fba_core::Hash) -> Outcome {
        closed.results.iter().find(|result| result.hash == hash).unwrap().outcome
    }

    fn one(ledger: &mut Ledger, account: u8, operations: Vec<Operation>) -> Outcome {
        let transaction = act(ledger, account, 1, operations);
        close(ledger, vec![transaction]).results[0].outcome
    }

    fn data(key: &[u8], value: &[u8]) -> Operation {
        Operation::SetData { key: key.to_vec(), value: value.to_vec() }
    }

    #[test]
    fn money_moves_and_an_account_may_pay_itself() {
        let mut ledger = populated(2);
        assert_eq!(one(&mut ledger, 1, pay(2, 300)), Outcome::Success);
        assert_eq!(one(&mut ledger, 1, pay(1, 300)), Outcome::Success);
        assert_eq!(ledger.account(&id(1)).unwrap().balance, 700);
        assert_eq!(ledger.account(&id(2)).unwrap().balance, 1_300);
        assert_eq!(ledger.account(&id(1)).unwrap().sequence, 2);
    }

    #[test]
    fn every_operation_fails_for_its_reason_and_leaves_no_trace_but_fee_and_sequence() {
        let delete = |key: &[u8]| Operation::DeleteData { key: key.to_vec() };
        let create = |account, balance| Operation::CreateAccount { account: id(account), balance };
        let signers = (2..30).map(|n| Operation::SetSigners { signers: vec![(id(n), 1)], threshold: 1 });
        let entries = (0..100u32).map(|n| data(&n.to_be_bytes(), b"x"));
        let cases: [(Vec<Operation>, u32, FailReason); 8] = [
            (vec![create(2, MINIMUM)], 0, FailReason::AccountExists),
            (vec![create(9, MINIMUM - 1)], 0, FailReason::StartsTooLow),
            (vec![create(9, 991)], 0, FailReason::InsufficientBalance),
            (pay(9, 1), 0, FailReason::NoAccount),
            ([pay(2, 500), pay(2, 491)].concat(), 1, FailReason::InsufficientBalance),
            (vec![data(b"k", b"v"), delete(b"k"), delete(b"k")], 2, FailReason::NoData),
            (entries.collect(), 98, FailReason::InsufficientBalance),
            (signers.chain([create(9, 985)]).collect(), 28, FailReason::InsufficientBalance),
        ];
        for (operations, operation, reason) in cases {
            let mut ledger = populated(2);
            let before = ledger.account(&id(1)).unwrap().clone();
            let transaction = act_with(&ledger, 1, 1, operations, |transaction| transaction.fee = 5);
            let closed = close(&mut ledger, vec![transaction]);
            let expected = Account { balance: before.balance - 5, sequence: 1, ..before };
            assert_eq!(closed.results[0].outcome, Outcome::Failed { operation, reason });
            assert_eq!(closed.results[0].changes, [Change::Account(expected.clone())]);
            assert_eq!(closed.changed_accounts, [expected]);
            assert!(closed.changed_data.is_empty() && ledger.data_entries().next().is_none());
            assert_eq!((closed.header.fee_pool, closed.results[0].fee_charged), (5, 5));
        }
    }

    #[test]
    fn data_entries_are_written_overwritten_deleted_and_counted() {
        let mut ledger = populated(1);
        assert_eq!(one(&mut ledger, 1, vec![data(b"menu", b"soup"), data(b"when", b"noon")]), Outcome::Success);
        assert_eq!(one(&mut ledger, 1, vec![data(b"menu", b"stew")]), Outcome::Success);
        assert_eq!(ledger.data(&id(1), b"menu"), Some(b"stew".as_slice()));
        assert_eq!(ledger.account(&id(1)).unwrap().data_entries, 2);
        assert_eq!(one(&mut ledger, 1, vec![Operation::DeleteData { key: b"menu".to_vec() }]), Outcome::Success);
        assert_eq!(ledger.data(&id(1), b"menu"), None);
        assert_eq!(ledger.account(&id(1)).unwrap().data_entries, 1);
        assert!(ledger.check_state());
    }

    #[test]
    fn no_account_has_more_than_the_most_data_entries() {
        let mut ledger = populated(1);
        let gift = act(&ledger, 0, 1, pay(1, 100_000));
        close(&mut ledger, vec![gift]);
        for hundred in 0..10u8 {
            let entries = (0..100u8).map(|n| data(&[hundred, n], b"")).collect();
            assert_eq!(one(&mut ledger, 1, entries), Outcome::Success);
        }
        let failed = Outcome::Failed { operation: 1, reason: FailReason::TooManyEntries };
        assert_eq!(one(&mut ledger, 1, vec![data(&[0, 0], b"again"), data(b"new", b"")]), failed);
        assert_eq!(ledger.account(&id(1)).unwrap().data_entries, DATA_ENTRIES_MAX);
    }

    #[test]
    fn fees_of_the_whole_set_are_charged_before_anything_is_spent() {
        let mut ledger = populated(2);
        // Each could be paid alone; the first spends what is left after both fees, and not a coin more.
        let fee = |transaction: &mut Transaction| transaction.fee = 100;
        let first = act_with(&ledger, 1, 1, pay(2, 790), fee);
        let second = act_with(&ledger, 1, 2, pay(2, 1), fee);
        let hashes = (first.hash(), second.hash());
        let closed = close(&mut ledger, vec![second, first]);
        let failed = Outcome::Failed { operation: 0, reason: FailReason::InsufficientBalance };
        assert_eq!((outcome_of(&closed, hashes.0), outcome_of(&closed, hashes.1)), (Outcome::Success, failed));
        assert_eq!(ledger.account(&id(1)).unwrap().balance, MINIMUM);
        assert_eq!(ledger.header().fee_pool, 200);
    }

    #[test]
    fn new_signers_hold_from_the_next_transaction_on() {
        let mut ledger = populated(2);
        let signers = vec![(id(5), 2)];
        let change = act(&ledger, 1, 1, vec![Operation::SetSigners { signers, threshold: 2 }]);
        let late = act(&ledger, 1, 2, pay(2, 1));
        let hashes = (change.hash(), late.hash());
        let closed = close(&mut ledger, vec![change, late]);
        assert_eq!(outcome_of(&closed, hashes.0), Outcome::Success);
        assert_eq!(outcome_of(&closed, hashes.1), Outcome::NotAuthorized);
        assert_eq!(ledger.account(&id(1)).unwrap().sequence, 2);
        let transaction = Transaction::new(id(1), 3, pay(2, 1));
        let by_new_signer = SignedTransaction::build(network(), transaction, &[&key(5)]).unwrap();
        let closed = close(&mut ledger, vec![verified(by_new_signer)]);
        assert_eq!(closed.results[0].outcome, Outcome::Success);
    }
}
