//! The herder from outside: inputs in, batches out.

use super::*;
use crate::key::{Domain, Signature, sha256};
use crate::ledger::{AccountId, Genesis, Parameters};
use crate::wire::{Message, SignedStatement};
use fba_core::{Ballot, Pledge, Statement};

struct StandIn(NodeId);

impl Signatures for StandIn {
    fn node(&self) -> NodeId {
        self.0
    }

    fn sign(&self, _: Domain, payload: &[u8]) -> Signature {
        tag(&self.0.0, payload)
    }

    fn verify(&self, key: &[u8; 32], _: Domain, payload: &[u8], signature: &Signature) -> bool {
        tag(key, payload) == *signature
    }
}

fn tag(key: &[u8; 32], payload: &[u8]) -> Signature {
    let hash = sha256(&[key, payload]).0;
    Signature(serde_bytes::ByteArray::new(std::array::from_fn(|index| hash[index % 32])))
}

fn node(byte: u8) -> NodeId {
    NodeId([byte; 32])
}

fn now(ms: u64) -> Now {
    Now { monotonic: Duration::from_millis(ms), unix_ms: 1_700_000_000_000 + ms }
}

/// Node 1 of four, three of which suffice; linked with 2 and 3.
fn herder(parameters: Parameters) -> Herder {
    let genesis = Genesis {
        passphrase: "test".to_owned(),
        close_time_ms: 1_700_000_000_000,
        root_account: AccountId([9; 32]),
        total_supply: 1_000_000,
        parameters,
    };
    let quorum_set = QuorumSet::new(3, (1..=4).map(node).collect(), vec![]).unwrap();
    let config = HerderConfig { quorum_set, is_validator: true, leader_weights: None };
    let (ledger, _) = Ledger::genesis(&genesis).unwrap();
    let mut herder = Herder::new(config, Arc::new(StandIn(node(1))), ledger, Restored::default());
    herder.handle(now(0), Input::Start);
    for peer in [2, 3] {
        herder.handle(now(0), Input::PeerUp { peer: node(peer) });
    }
    let _ = herder.flush(now(0));
    herder
}

fn externalize(from: u8, slot: u64) -> SignedStatement {
    let herder = herder(Parameters::default());
    let proposed = crate::ledger::Proposed::sign(
        SlotIndex(slot),
        Hash([7; 32]),
        Hash([8; 32]),
        1_700_000_009_000,
        &StandIn(node(from)),
    );
    let commit = Ballot { counter: 1, value: proposed.to_value() };
    let quorum_set = herder.config.quorum_set.normalized().hash();
    let statement = Statement {
        node: node(from),
        slot: SlotIndex(slot),
        quorum_set,
        pledge: Pledge::Externalize { commit, high: 1 },
    };
    SignedStatement::sign(statement, &StandIn(node(from)))
}

fn hear(herder: &mut Herder, from: u8, signed: SignedStatement) -> Batch {
    herder.handle(now(10), Input::Message { from: node(from), message: Message::Statement(signed) });
    herder.flush(now(10))
}

fn sent(batch: &Batch) -> Vec<(&[NodeId], &str)> {
    let send = |outgoing: &'_ Outgoing| matches!(outgoing, Outgoing::Send { .. });
    let all = batch.first.iter().filter(|outgoing| send(outgoing));
    all.filter_map(|outgoing| match outgoing {
        Outgoing::Send { to, message } => Some((to.as_slice(), message.name())),
        Outgoing::DropPeer { .. } => None,
    })
    .collect()
}

#[test]
fn a_peer_that_passes_on_a_forged_statement_is_dropped() {
    let mut herder = herder(Parameters::default());
    let mut forged = externalize(3, 2);
    forged.signature = tag(&[0; 32], b"forged");
    let batch = hear(&mut herder, 2, forged);
    assert!(matches!(batch.first.as_slice(), [Outgoing::DropPeer { peer, .. }] if *peer == node(2)), "{batch:?}");
}

#[test]
fn a_stranger_is_neither_stored_nor_passed_on() {
    let mut herder = herder(Parameters::default());
    let batch = hear(&mut herder, 2, externalize(9, 2));
    assert!(sent(&batch).is_empty(), "{batch:?}");
    assert_eq!(herder.book.len() + herder.pending.len(), 0);
}

#[test]
fn a_complete_statement_goes_once_to_those_who_do_not_have_it() {
    let mut herder = herder(Parameters::default());
    let signed = externalize(4, 3);
    let batch = hear(&mut herder, 2, signed.clone());
    assert_eq!(sent(&batch).first().map(|(to, _)| *to), Some([node(3)].as_slice()));
    assert!(sent(&hear(&mut herder, 3, signed)).is_empty());
}

#[test]
fn slots_far_ahead_cost_a_bounded_amount_even_out_of_sync() {
    let mut herder = herder(Parameters::default());
    for slot in (1_000..2_000).rev().chain(5_000..6_000) {
        let _ = hear(&mut herder, 2, externalize(4, slot));
    }
    assert!(herder.book.len() <= SLOTS_KEPT as usize, "{}", herder.book.len());
}

#[test]
fn what_blocks_us_building_on_another_header_stops_the_node() {
    let mut herder = herder(Parameters::default());
    let first = externalize(2, 2);
    assert!(hear(&mut herder, 2, first.clone()).fatal.is_none(), "one of four decides nothing");
    let statement = Statement { node: node(3), ..first.statement };
    let fatal = hear(&mut herder, 2, SignedStatement::sign(statement, &StandIn(node(3)))).fatal;
    let fatal = fatal.expect("two of four, each with a quorum behind it, and no slice of ours without them");
    assert_eq!((fatal.slot, fatal.evidence.len()), (SlotIndex(2), 2), "{fatal}");
    herder.handle(now(99_000), Input::Wakeup);
    assert!(herder.flush(now(99_000)).is_empty(), "it never speaks again");
}

#[test]
fn a_heartbeat_is_proposed_when_it_is_due_and_nothing_leaves_before_its_commit() {
    let mut herder = herder(Parameters::default());
    herder.handle(now(4_900), Input::Wakeup);
    assert!(herder.scp.nomination_round(SlotIndex(2)) == 0);
    assert!(herder.next_wakeup(now(4_900)).is_some_and(|at| at <= Duration::from_millis(5_000)));
    herder.handle(now(5_000), Input::Wakeup);
    assert!(herder.scp.nomination_round(SlotIndex(2)) > 0);
    let batch = herder.flush(now(5_000));
    assert!(batch.then.is_empty() && batch.commit.is_none(), "a nomination waits for nothing");
}
