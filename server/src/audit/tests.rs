use super::*;
use crate::key::Signature;
use crate::ledger::SignedTransaction;
use crate::store::Archive;
use crate::store::tests::Node;
use fba_core::{NodeId, Value};
use std::sync::Arc;

/// Six ledgers of a network of one node, each after the first with three transactions and a proof.
fn kept() -> (Node, Vec<Stored>) {
    let mut node = Node::new();
    drop(node.lived(5));
    let archive = Archive::open(&node.folder()).unwrap();
    let ledgers = read(archive.reader(), 1, PAGE).unwrap();
    assert_eq!(ledgers.len(), 6);
    (node, ledgers)
}

fn audit(node: &Node, set: Option<QuorumSet>, ledgers: &[Stored]) -> Result<Tally, Wrong> {
    let mut auditor = Auditor::replaying(&node.genesis, set, 1)?;
    auditor.check(ledgers)?;
    Ok(auditor.tally().clone())
}

#[test]
fn what_a_node_kept_is_good_and_counted() {
    let (node, ledgers) = kept();
    let tally = audit(&node, Some(node.set()), &ledgers).unwrap();
    assert_eq!((tally.ledgers, tally.transactions, tally.signatures), (6, 15, 5 + 15 + 5));
    assert_eq!((tally.proofs.hold, tally.proofs.none, tally.proofs.newest), (5, 1, Some(6)));

    let strangers = QuorumSet::singleton(NodeId([9; 32]));
    let proofs = audit(&node, Some(strangers), &ledgers).unwrap().proofs;
    assert_eq!((proofs.hold, proofs.not_by_this_quorum_set, proofs.newest), (0, 5, None));
    assert_eq!((proofs.first_not_by_this_quorum_set, proofs.last_not_by_this_quorum_set), (Some(2), Some(6)));
    assert_eq!(audit(&node, None, &ledgers).unwrap().proofs.genuine, 5);

    // A part, without replay.
    let mut quick = Auditor::quick(&node.genesis, Some(node.set()), Some(&ledgers[2].row)).unwrap();
    quick.check(&ledgers[3..]).unwrap();
    assert_eq!((quick.tally().ledgers, quick.last().unwrap().0), (3, 6));
}

#[test]
fn the_stored_state_is_compared_with_what_replaying_gave() {
    let (node, ledgers) = kept();
    let archive = Archive::open(&node.folder()).unwrap();
    let mut auditor = Auditor::replaying(&node.genesis, None, 1).unwrap();
    auditor.check(&ledgers).unwrap();
    let state = archive.state().unwrap().unwrap();
    auditor.check_state(&node.genesis, state.clone()).unwrap();
    let mut richer = state.clone();
    richer.accounts[0].balance += 1;
    assert!(matches!(auditor.check_state(&node.genesis, richer), Err(Wrong::State { sequence: 6, .. })));
    let mut altered = state;
    altered.data[0].value.push(1);
    assert!(matches!(auditor.check_state(&node.genesis, altered), Err(Wrong::State { sequence: 6, .. })));
}

type Tamper = fn(&mut Vec<Stored>);

/// The value with another signature of the proposer.
fn unsigned(value: &Value) -> Value {
    let mut proposed = LedgerValue::decode(value).unwrap().proposed().clone();
    proposed.signature = Signature(serde_bytes::ByteArray::new([7; 64]));
    proposed.to_value()
}

fn forged(transaction: &SignedTransaction, network: NetworkId) -> Arc<SignedTransaction> {
    let (key, _) = transaction.signatures()[0];
    let signatures = vec![(key, Signature(serde_bytes::ByteArray::new([7; 64])))];
    Arc::new(SignedTransaction::assemble(network, transaction.transaction().clone(), signatures).unwrap())
}

#[test]
fn whatever_was_altered_is_found_and_named_with_its_ledger() {
    let table: [(Tamper, &str); 12] = [
        (|ledgers| drop(ledgers.remove(3)), "ledger 4 is missing"),
        (|ledgers| ledgers[3].row.header.previous = Hash::ZERO, "ledger 4: the transaction set is not the header's"),
        (|ledgers| ledgers[3].row.header.state_hash = Hash::ZERO, "ledger 4: hash, value or"),
        (|ledgers| ledgers[3].row.total_transactions += 1, "ledger 4: hash, value or"),
        (|ledgers| ledgers[3].row.failed += 1, "ledger 4: the number of its failed transactions"),
        (|ledgers| ledgers[3].transactions.swap(0, 1), "ledger 4: the order of its transactions"),
        (|ledgers| drop(ledgers[3].transactions.pop()), "ledger 4: the transaction set is not the header's"),
        (
            |ledgers| ledgers[3].transactions[0].result = ledgers[3].transactions[1].result.clone(),
            "ledger 4: its results are not what the header commits to",
        ),
        (
            |ledgers| {
                let statement = ledgers[4].proof.as_ref().unwrap().statements[0].clone();
                ledgers[3].proof.as_mut().unwrap().statements = vec![statement];
            },
            "ledger 4: its proof is none: a statement of",
        ),
        (
            |ledgers| {
                let signature = Signature(serde_bytes::ByteArray::new([7; 64]));
                ledgers[3].proof.as_mut().unwrap().statements[0].signature = signature;
            },
            "ledger 4: its proof is none: the signature of",
        ),
        (
            |ledgers| {
                let value = unsigned(&ledgers[3].row.value);
                ledgers[3].row.header.value = value_hash(&value);
                ledgers[3].row.value = value;
            },
            "ledger 4: the signature of the proposer is not genuine",
        ),
        (|ledgers| ledgers[0].row.header.close_time_ms += 1, "ledger 1: hash, value or"),
    ];
    let (node, good) = kept();
    for (tamper, expected) in table {
        let mut ledgers = good.clone();
        tamper(&mut ledgers);
        let found = audit(&node, Some(node.set()), &ledgers).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}, not {expected}");
    }
}

/// An attacker who makes header, set and value agree with one another still has to forge signatures.
#[test]
fn a_transaction_with_a_forged_signature_is_found_behind_consistent_hashes() {
    let (node, mut ledgers) = kept();
    let Stored { row, transactions, .. } = &mut ledgers[3];
    transactions[0].transaction = forged(&transactions[0].transaction, node.network());
    let set = TxSet::new(row.header.previous, transactions.iter().map(|row| row.transaction.clone()).collect());
    let mut proposed = LedgerValue::decode(&row.value).unwrap().proposed().clone();
    proposed.tx_set = set.hash();
    let signed = crate::ledger::Proposed::sign(
        SlotIndex(4),
        proposed.previous,
        set.hash(),
        proposed.close_time_ms,
        &node.signatures(),
    );
    row.value = signed.to_value();
    row.header.value = value_hash(&row.value);
    row.header.tx_set = set.hash();
    let order = set.apply_order();
    transactions.sort_by_key(|row| order.iter().position(|other| other.hash() == row.transaction.hash()));
    let leaves = |bytes: Vec<Hash>| merkle::root(&bytes);
    row.header.tx_root = leaves(transactions.iter().map(|row| merkle::leaf_hash(row.transaction.bytes())).collect());
    row.header.results_root =
        leaves(transactions.iter().map(|row| merkle::leaf_hash(&row.result.to_bytes())).collect());
    row.hash = row.header.hash();
    ledgers[3].proof = None;
    let found = audit(&node, None, &ledgers).unwrap_err().to_string();
    assert!(found.starts_with("ledger 4: the signature of transaction"), "{found}");
}

#[test]
fn another_genesis_is_another_network() {
    let (mut node, ledgers) = kept();
    node.genesis.close_time_ms += 1;
    assert!(matches!(audit(&node, None, &ledgers), Err(Wrong::OtherGenesis { .. })));
}

fn with_another_state(stored: &mut Stored) {
    stored.row.header.state_hash = Hash::ZERO;
    stored.row.hash = stored.row.header.hash();
}

#[test]
fn a_header_that_was_replaced_is_not_the_one_its_successor_names() {
    let (node, mut ledgers) = kept();
    with_another_state(&mut ledgers[2]);
    let mut quick = Auditor::quick(&node.genesis, None, None).unwrap();
    assert!(matches!(quick.check(&ledgers), Err(Wrong::Chain { sequence: 4, .. })));
}

#[test]
fn the_newest_header_with_another_state_is_found_by_replaying_only() {
    let (node, mut ledgers) = kept();
    with_another_state(ledgers.last_mut().unwrap());
    let mut quick = Auditor::quick(&node.genesis, None, None).unwrap();
    quick.check(&ledgers).unwrap();
    let found = audit(&node, None, &ledgers).unwrap_err();
    assert!(matches!(found, Wrong::Replay(ReplayError::OtherHeader { sequence: 6, .. })), "{found}");
}
