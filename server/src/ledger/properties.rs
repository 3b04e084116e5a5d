//! What must hold for any ledger, any transactions and any bytes.

use super::account::{Account, AccountId, DataEntry};
use super::close::{Closed, Ledger};
use super::combine::combine;
use super::entry::LedgerEntry;
use super::fixture::{SUPPLY, act_with, genesis, id, ledger, network, populated, propose, set_of, signer};
use super::genesis::Genesis;
use super::header::Header;
use super::operation::Operation;
use super::result::TxResult;
use super::transaction::{SignedTransaction, VerifiedTx};
use super::tx_set::TxSet;
use super::validity::InvalidValue;
use super::value::{LedgerValue, Proposed};
use fba_core::{Purpose, SlotIndex, Validity, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Accounts 0–7 exist at first, 8–11 may be opened.
const EXISTING: u8 = 7;

fn operation() -> impl Strategy<Value = Operation> {
    let signer = prop::collection::btree_map(0..12u8, 1..3u32, 1..4).prop_map(|signers| {
        let mut signers: Vec<(AccountId, u32)> = signers.into_iter().map(|(n, weight)| (id(n), weight)).collect();
        signers.sort_unstable();
        signers
    });
    let (key, value) = (prop::collection::vec(0..3u8, 1..3), prop::collection::vec(any::<u8>(), 0..40));
    prop_oneof![
        6 => (0..12u8, 1..600u64).prop_map(|(to, amount)| Operation::Payment { to: id(to), amount }),
        2 => (6..12u8, 1..200u64).prop_map(|(n, balance)| Operation::CreateAccount { account: id(n), balance }),
        3 => (key.clone(), value).prop_map(|(key, value)| Operation::SetData { key, value }),
        2 => key.prop_map(|key| Operation::DeleteData { key }),
        1 => signer.prop_map(|signers| Operation::SetSigners { signers, threshold: 1 }),
    ]
}

/// For a few ledgers: who does what for which fee.
type Plan = Vec<Vec<(u8, Vec<Operation>, u64)>>;

fn plan() -> impl Strategy<Value = Plan> {
    let transaction = (0..=EXISTING, prop::collection::vec(operation(), 1..5), 0..20u64);
    prop::collection::vec(prop::collection::vec(transaction, 0..12), 1..5)
}

/// Closes one ledger with those of `wanted` that are valid.
fn close_one(ledger: &mut Ledger, wanted: &[(u8, Vec<Operation>, u64)]) -> Closed {
    let mut nth: BTreeMap<u8, u64> = BTreeMap::new();
    let sign = |(account, operations, fee): &(u8, Vec<Operation>, u64)| -> VerifiedTx {
        let nth = nth.entry(*account).or_default();
        *nth += 1;
        act_with(ledger, *account, *nth, operations.clone(), |transaction| transaction.fee = *fee)
    };
    let transactions: Vec<VerifiedTx> = wanted.iter().map(sign).collect();
    let set = ledger.build_tx_set(transactions, ledger.close_time_ms() + 5_000);
    let value = propose(ledger, &set, 5_000).to_value();
    ledger.close(&value, &set).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn money_is_neither_made_nor_lost_and_the_running_hash_is_that_of_all_entries(plan in plan()) {
        let mut ledger = populated(EXISTING);
        for wanted in &plan {
            let closed = close_one(&mut ledger, wanted);
            let owned: u128 = ledger.accounts().map(|account| u128::from(account.balance)).sum();
            prop_assert_eq!(owned + u128::from(closed.header.fee_pool), u128::from(SUPPLY));
            prop_assert!(ledger.check_state());
            prop_assert_eq!(closed.results.len(), closed.applied.len());
        }
    }

    #[test]
    fn no_account_ever_falls_below_its_minimum_or_miscounts_its_data(plan in plan()) {
        let mut ledger = populated(EXISTING);
        for wanted in &plan {
            close_one(&mut ledger, wanted);
            for account in ledger.accounts() {
                prop_assert!(account.balance >= account.minimum_balance(ledger.parameters()), "{account:?}");
                let entries = ledger.data_entries().filter(|(of, _, _)| **of == account.id).count();
                prop_assert_eq!(account.data_entries as usize, entries);
            }
        }
    }

    #[test]
    fn what_is_written_down_restores_to_the_same_ledger_at_every_close(plan in plan()) {
        let mut ledger = populated(EXISTING);
        let mut accounts: BTreeMap<AccountId, Account> =
            ledger.accounts().map(|account| (account.id, account.clone())).collect();
        let mut data: BTreeMap<(AccountId, Vec<u8>), Vec<u8>> = BTreeMap::new();
        for wanted in &plan {
            let mut copy = ledger.clone();
            let closed = close_one(&mut ledger, wanted);
            accounts.extend(closed.changed_accounts.iter().map(|account| (account.id, account.clone())));
            for (account, key, value) in &closed.changed_data {
                match value {
                    Some(value) => data.insert((*account, key.clone()), value.clone()),
                    None => data.remove(&(*account, key.clone())),
                };
            }
            let entries = data.iter().map(|((account, key), value)| DataEntry {
                account: *account, key: key.clone(), value: value.clone(),
            });
            let header = closed.header.clone();
            let restored =
                Ledger::restore(&genesis(), header, accounts.values().cloned(), entries, closed.lattice.clone());
            prop_assert_eq!(restored.as_ref(), Ok(&ledger));
            let entry = LedgerEntry::from_bytes(network(), &closed.entry().to_bytes()).unwrap();
            prop_assert_eq!(LedgerEntry::verify_chain(std::slice::from_ref(&entry), closed.hash), Ok(()));
            prop_assert_eq!(copy.replay(&entry).unwrap().hash, closed.hash);
            prop_assert_eq!(&copy, &ledger);
        }
    }

    #[test]
    fn everything_reads_back_as_it_was_written(plan in plan()) {
        let mut ledger = populated(EXISTING);
        for wanted in &plan {
            let closed = close_one(&mut ledger, wanted);
            for (transaction, result) in closed.applied.iter().zip(&closed.results) {
                let read = SignedTransaction::from_bytes(network(), transaction.bytes());
                prop_assert_eq!(read.as_ref(), Ok(&**transaction));
                prop_assert_eq!(TxResult::from_bytes(&result.to_bytes()), Ok(result.clone()));
            }
            let set = TxSet::from_bytes(network(), &closed.tx_set.to_bytes()).unwrap();
            prop_assert_eq!(set.transactions(), closed.tx_set.transactions());
            prop_assert_eq!(LedgerValue::decode(&closed.value).unwrap().encode(), closed.value);
        }
    }

    #[test]
    fn a_verdict_never_turns_bad_by_time_and_balloting_is_never_stricter_than_nomination(
        after_ms in prop_oneof![0..10_000u64, any::<u64>().prop_map(|ms| ms >> 2)],
        empty in any::<bool>(),
        elsewhere in any::<bool>(),
        withheld in any::<bool>(),
        slot in prop_oneof![Just(3u64), 0..6u64],
        mut clocks in prop::collection::vec(prop_oneof![0..2_000_000u64, any::<u64>()], 2..6),
    ) {
        let (ledger, other) = (populated(2), populated(3));
        let on = if elsewhere { &other } else { &ledger };
        let pay = vec![Operation::Payment { to: id(0), amount: 1 }];
        let transactions = if empty { vec![] } else { vec![act_with(on, 1, 1, pay, |_| ())] };
        let set = set_of(on, transactions);
        let (index, close_time_ms) = (SlotIndex(slot), ledger.close_time_ms() + after_ms);
        let proposed = Proposed::sign(index, on.header_hash(), set.hash(), close_time_ms, &signer());
        let payload = (!withheld).then_some(&set);
        let ask = |purpose, now| ledger.check_proposed(index, &proposed, payload, purpose, now, &signer());
        clocks.sort_unstable();
        let mut last: Option<Result<Validity, InvalidValue>> = None;
        for now in clocks {
            let (nominated, balloted) = (ask(Purpose::Nomination, now), ask(Purpose::Ballot, now));
            prop_assert!(nominated.is_err() || nominated == balloted);
            prop_assert_eq!(balloted, ask(Purpose::Ballot, 0), "the clock does not count in balloting");
            match last {
                Some(Ok(before)) => prop_assert_eq!(Ok(before), nominated.clone()),
                Some(Err(before)) if !before.is_provisional() => prop_assert!(nominated.is_err()),
                Some(Err(_)) | None => {}
            }
            last = Some(nominated);
        }
    }

    #[test]
    fn the_candidates_order_does_not_change_what_they_combine_to(
        plans in prop::collection::vec(prop::collection::vec((0..=EXISTING, 1..50u64, 0..3u64), 0..4), 1..6),
        turn in 0..6usize,
    ) {
        let ledger = populated(EXISTING);
        let candidate = |(at, plan): (usize, &Vec<(u8, u64, u64)>)| {
            let transactions = plan.iter().map(|(account, amount, fee)| {
                let pay = vec![Operation::Payment { to: id(0), amount: *amount }];
                act_with(&ledger, *account, 1, pay, |transaction| transaction.fee = *fee)
            });
            let set = set_of(&ledger, transactions.collect());
            (propose(&ledger, &set, 5_000 + at as u64).to_value(), set)
        };
        let mut candidates: Vec<_> = plans.iter().enumerate().map(candidate).collect();
        let best = combine(candidates.iter().map(|(value, set)| (value, &**set))).cloned();
        let turn = turn % candidates.len();
        candidates.rotate_left(turn);
        let after = combine(candidates.iter().rev().map(|(value, set)| (value, &**set))).cloned();
        prop_assert_eq!(best, after);
    }
}

/// Each decoder must answer, with an error or with what writes the same bytes again.
fn decoders_hold(bytes: &[u8]) {
    if let Ok(read) = SignedTransaction::from_bytes(network(), bytes) {
        assert_eq!(read.bytes(), bytes);
    }
    if let Ok(read) = TxSet::from_bytes(network(), bytes) {
        assert_eq!(read.to_bytes(), bytes);
    }
    if let Ok(read) = LedgerEntry::from_bytes(network(), bytes) {
        assert_eq!(read.to_bytes(), bytes);
        drop(read.check());
        drop(ledger().replay(&read));
    }
    if let Ok(read) = LedgerValue::decode(&Value::new(bytes)) {
        assert_eq!(read.encode().as_bytes(), bytes);
    }
    if let Ok(read) = Header::from_bytes(bytes) {
        assert_eq!(read.to_bytes(), bytes);
    }
    if let Ok(read) = TxResult::from_bytes(bytes) {
        assert_eq!(read.to_bytes(), bytes);
    }
    drop(Genesis::from_toml(&String::from_utf8_lossy(bytes)));
}

fn seeds() -> Vec<Vec<u8>> {
    let mut ledger = populated(2);
    let wanted = vec![
        (1, vec![Operation::SetData { key: b"k".to_vec(), value: b"v".to_vec() }], 3),
        (2, vec![Operation::SetSigners { signers: vec![(id(5), 1)], threshold: 1 }], 0),
    ];
    let closed = close_one(&mut ledger, &wanted);
    vec![
        closed.applied[0].bytes().to_vec(),
        closed.applied[1].bytes().to_vec(),
        closed.tx_set.to_bytes(),
        closed.entry().to_bytes(),
        closed.value.as_bytes().to_vec(),
        closed.header.to_bytes(),
        closed.results[0].to_bytes(),
        genesis().to_toml().into_bytes(),
    ]
}

#[test]
fn every_prefix_and_every_flipped_byte_of_good_bytes_is_answered() {
    for good in seeds() {
        decoders_hold(&good);
        for at in 0..good.len() {
            decoders_hold(&good[..at]);
            let mut flipped = good.clone();
            flipped[at] ^= 1 << (at % 8);
            decoders_hold(&flipped);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decoders_hold(&bytes);
    }
}
