//! What the ledger's tests share: keys by number, a small network, and a ledger to act on. Account 0 is the root.

use super::account::AccountId;
use super::close::{Closed, Ledger};
use super::genesis::Genesis;
use super::operation::Operation;
use super::parameters::Parameters;
use super::transaction::{SignedTransaction, Transaction, VerifiedTx};
use super::tx_set::VerifiedTxSet;
use super::value::Proposed;
use crate::key::{Ed25519, NetworkId, SecretKey};
use fba_core::SlotIndex;
use std::sync::Arc;

pub(super) const MINIMUM: u64 = 10;
pub(super) const SUPPLY: u64 = 1_000_000;

pub(super) fn network() -> NetworkId {
    NetworkId::of_passphrase("the lunch network")
}

pub(super) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

pub(super) fn id(number: u8) -> AccountId {
    AccountId::of(&key(number))
}

pub(super) fn signer() -> Ed25519 {
    Ed25519::new(network(), key(0))
}

pub(super) fn genesis() -> Genesis {
    Genesis {
        passphrase: "the lunch network".to_owned(),
        close_time_ms: 1_000_000,
        root_account: id(0),
        total_supply: SUPPLY,
        parameters: Parameters { minimum_balance: MINIMUM, heartbeat_ms: 5_000, ..Parameters::default() },
    }
}

/// A ledger after genesis.
pub(super) fn ledger() -> Ledger {
    Ledger::genesis(&genesis()).unwrap().0
}

/// A ledger in which accounts 1 to `accounts` own 1,000 each.
pub(super) fn populated(accounts: u8) -> Ledger {
    let mut ledger = ledger();
    let operations = (1..=accounts).map(|n| Operation::CreateAccount { account: id(n), balance: 1_000 }).collect();
    let open = act(&ledger, 0, 1, operations);
    assert_eq!(close(&mut ledger, vec![open]).failed(), 0);
    ledger
}

pub(super) fn verified(signed: SignedTransaction) -> VerifiedTx {
    VerifiedTx::verify(Arc::new(signed), &signer()).unwrap()
}

/// Account `number` does `operations` in its `nth` next transaction (from 1), signed by its own key.
pub(super) fn act(ledger: &Ledger, number: u8, nth: u64, operations: Vec<Operation>) -> VerifiedTx {
    act_with(ledger, number, nth, operations, |_| ())
}

/// As [`act`], with the transaction changed by `with` before it is signed.
pub(super) fn act_with(
    ledger: &Ledger,
    number: u8,
    nth: u64,
    operations: Vec<Operation>,
    with: impl Fn(&mut Transaction),
) -> VerifiedTx {
    let sequence = ledger.account(&id(number)).map_or(0, |account| account.sequence) + nth;
    let mut transaction = Transaction::new(id(number), sequence, operations);
    with(&mut transaction);
    verified(SignedTransaction::build(network(), transaction, &[&key(number)]).unwrap())
}

pub(super) fn pay(to: u8, amount: u64) -> Vec<Operation> {
    vec![Operation::Payment { to: id(to), amount }]
}

pub(super) fn set_of(ledger: &Ledger, transactions: Vec<VerifiedTx>) -> VerifiedTxSet {
    VerifiedTxSet::new(ledger.header_hash(), transactions)
}

/// A proposal of `set` for the next ledger, `after_ms` after the last one.
pub(super) fn propose(ledger: &Ledger, set: &VerifiedTxSet, after_ms: u64) -> Proposed {
    let slot = SlotIndex(ledger.sequence() + 1);
    Proposed::sign(slot, ledger.header_hash(), set.hash(), ledger.close_time_ms() + after_ms, &signer())
}

/// Closes the next ledger with exactly these transactions, after the heartbeat.
pub(super) fn close(ledger: &mut Ledger, transactions: Vec<VerifiedTx>) -> Closed {
    let set = set_of(ledger, transactions);
    let value = propose(ledger, &set, 5_000).to_value();
    ledger.close(&value, &set).unwrap()
}
