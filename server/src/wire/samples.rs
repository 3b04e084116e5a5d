//! One message of every kind, for tests.

use super::{Message, PeerHint, SignedStatement};
use crate::key::{Ed25519, NetworkId, SecretKey};
use crate::ledger::{AccountId, Genesis, Ledger, Operation, Parameters, SignedTransaction, Transaction, TxSet};
use fba_core::{Ballot, Hash, NodeId, Pledge, QuorumSet, SlotIndex, Statement, Value};
use std::sync::Arc;

pub(crate) const PASSPHRASE: &str = "wire test";

pub(crate) fn network() -> NetworkId {
    NetworkId::of_passphrase(PASSPHRASE)
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(crate) fn statement(seed: u8, slot: u64, pledge: Pledge) -> SignedStatement {
    let node = key(seed).node_id();
    let statement = Statement { node, slot: SlotIndex(slot), quorum_set: Hash([7; 32]), pledge };
    SignedStatement::sign(statement, &Ed25519::new(network(), key(seed)))
}

pub(crate) fn ballot(counter: u32) -> Ballot {
    Ballot { counter, value: Value::new(&[u8::try_from(counter).unwrap(); 200]) }
}

pub(crate) fn prepare(slot: u64, counter: u32) -> Message {
    let prepared = Some(ballot(counter));
    let pledge = Pledge::Prepare { ballot: ballot(counter), prepared, prepared_prime: None, commit: 0, high: 0 };
    Message::Statement(statement(1, slot, pledge))
}

pub(crate) fn quorum_set() -> QuorumSet {
    let nodes = |from: u8| (from..from + 3).map(|n| NodeId([n; 32])).collect::<Vec<_>>();
    QuorumSet::new(3, nodes(10), vec![QuorumSet::new(2, nodes(20), Vec::new()).unwrap()]).unwrap()
}

/// A transaction with `entries` data entries of the largest size.
pub(crate) fn transaction(sequence: u64, entries: u8) -> Arc<SignedTransaction> {
    let entry = |n: u8| Operation::SetData { key: vec![n], value: vec![n; 4096] };
    let transaction = Transaction::new(AccountId::of(&key(9)), sequence, (0..entries).map(entry).collect());
    Arc::new(SignedTransaction::build(network(), transaction, &[&key(9)]).unwrap())
}

/// A transaction set of somewhat less than 4 MiB.
pub(crate) fn large_tx_set() -> Arc<TxSet> {
    Arc::new(TxSet::new(Hash([1; 32]), (1..=80).map(|sequence| transaction(sequence, 12)).collect()))
}

/// What the overlay keeps to itself.
pub(crate) fn peers() -> Message {
    let hint = |n: u8, address: &str| PeerHint { node: NodeId([n; 32]), address: address.parse().unwrap() };
    Message::Peers(vec![hint(1, "192.0.2.1:1"), hint(2, "[2001:db8::1]:65535")])
}

/// Of every kind but [`peers`].
pub(crate) fn all() -> Vec<Message> {
    let genesis = Genesis {
        passphrase: PASSPHRASE.to_owned(),
        close_time_ms: 1_000_000,
        root_account: AccountId::of(&key(9)),
        total_supply: 1_000,
        parameters: Parameters::default(),
    };
    let (_, closed) = Ledger::genesis(&genesis).unwrap();
    let hashes = vec![Hash([1; 32]), Hash([2; 32])];
    let values = vec![ballot(1).value, ballot(2).value];
    vec![
        prepare(5, 1),
        Message::Statement(statement(1, 5, Pledge::Nominate { voted: values.clone(), accepted: values })),
        Message::Statement(statement(1, 5, Pledge::Confirm { ballot: ballot(3), prepared: 3, commit: 1, high: 2 })),
        Message::Statement(statement(1, 5, Pledge::Externalize { commit: ballot(2), high: u32::MAX })),
        Message::GetScpState { from: u64::MAX },
        Message::GetQuorumSet(Hash([3; 32])),
        Message::QuorumSet(quorum_set()),
        Message::GetTxSet(Hash([4; 32])),
        Message::TxSet(Arc::new(TxSet::new(Hash([5; 32]), vec![transaction(1, 1), transaction(2, 1)]))),
        Message::DontHave(Hash([6; 32])),
        Message::TxAdvert(hashes.clone()),
        Message::TxDemand(hashes),
        Message::Transactions(vec![transaction(1, 1)]),
        Message::GetLedgers { from: 1, count: 20 },
        Message::GetHeaders { from: 1, count: 20 },
        Message::Headers(vec![closed.header.clone()]),
        Message::Headers(Vec::new()),
        Message::Ledgers(vec![closed.entry()]),
        Message::Ledgers(Vec::new()),
    ]
}
