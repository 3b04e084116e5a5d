//! The herder from outside: inputs in, batches out.

use super::*;
use crate::key::{Domain, NetworkId, Signature, sha256};
use crate::ledger::{
    AccountId, Genesis, Operation, Parameters, Proposed, SignedTransaction, Transaction, TxRejection, TxSet,
};
use crate::wire::{Message, SignedStatement};
use fba_core::{Ballot, Pledge, Statement};

pub(super) struct StandIn(pub(super) NodeId);

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

pub(super) fn tag(key: &[u8; 32], payload: &[u8]) -> Signature {
    let hash = sha256(&[key, payload]).0;
    Signature(serde_bytes::ByteArray::new(std::array::from_fn(|index| hash[index % 32])))
}

pub(super) fn node(byte: u8) -> NodeId {
    NodeId([byte; 32])
}

pub(super) fn now(ms: u64) -> Now {
    Now { monotonic: Duration::from_millis(ms), unix_ms: 1_700_000_000_000 + ms }
}

/// Node 1 of four, three of which suffice; linked with 2 and 3.
pub(super) fn herder(parameters: Parameters) -> Herder {
    herder_of(1, &[2, 3], parameters)
}

pub(super) fn herder_of(local: u8, peers: &[u8], parameters: Parameters) -> Herder {
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
    let mut herder = Herder::new(config, Arc::new(StandIn(node(local))), ledger, Restored::default());
    herder.handle(now(0), Input::Start);
    for peer in peers {
        herder.handle(now(0), Input::PeerUp { peer: node(*peer) });
    }
    let _ = herder.flush(now(0));
    herder
}

fn externalize(from: u8, slot: u64) -> SignedStatement {
    externalize_on(Hash([7; 32]), from, slot)
}

pub(super) fn externalize_on(previous: Hash, from: u8, slot: u64) -> SignedStatement {
    let herder = herder(Parameters::default());
    let proposed = Proposed::sign(SlotIndex(slot), previous, Hash([8; 32]), 1_700_000_009_000, &StandIn(node(2)));
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

/// What a batch says to peers.
fn messages(batch: Batch) -> Vec<(NodeId, Message)> {
    let each = |outgoing| match outgoing {
        Outgoing::Send { to, message } => to.into_iter().map(|to| (to, message.clone())).collect(),
        Outgoing::DropPeer { .. } => Vec::new(),
    };
    batch.first.into_iter().flat_map(each).collect()
}

/// Opens account `opened` from the root account.
pub(super) fn open_account(sequence: u64, opened: u8) -> Arc<SignedTransaction> {
    let root = [9; 32];
    let operation = Operation::CreateAccount { account: AccountId([opened; 32]), balance: 1_000 };
    let transaction = Transaction::new(AccountId(root), sequence, vec![operation]);
    let signature = tag(&root, &crate::cbor::encode(&transaction));
    let network = NetworkId::of_passphrase("test");
    Arc::new(SignedTransaction::assemble(network, transaction, vec![(AccountId(root), signature)]).unwrap())
}

/// The other three close the open slot with exactly these transactions.
fn close(herder: &mut Herder, transactions: Vec<Arc<SignedTransaction>>) {
    let (slot, previous) = (herder.open_slot(), herder.ledger().header_hash());
    let set = Arc::new(TxSet::new(previous, transactions));
    let close_time = herder.ledger().close_time_ms() + 9_000;
    let value = Proposed::sign(slot, previous, set.hash(), close_time, &StandIn(node(2))).to_value();
    let quorum_set = herder.config.quorum_set.normalized().hash();
    let mut say = |message| herder.handle(now(10), Input::Message { from: node(2), message });
    say(Message::TxSet(set));
    for from in [2, 3, 4] {
        let commit = Ballot { counter: 1, value: value.clone() };
        let pledge = Pledge::Externalize { commit, high: 1 };
        let statement = Statement { node: node(from), slot, quorum_set, pledge };
        say(Message::Statement(SignedStatement::sign(statement, &StandIn(node(from)))));
    }
    assert_eq!(herder.open_slot(), slot.next(), "it closes");
}

/// What becomes of a submission, with everything told about it until the next flush.
fn submit(herder: &mut Herder, transaction: &Arc<SignedTransaction>, ticket: u64) -> Vec<TicketOutcome> {
    herder.handle(now(10), Input::Submit { transaction: Arc::clone(transaction), ticket: Ticket(ticket) });
    outcomes(herder.flush(now(10)), ticket)
}

fn outcomes(batch: Batch, of: u64) -> Vec<TicketOutcome> {
    let outcome = |notice| {
        let Notice::Ticket { ticket, outcome } = notice else { return None };
        (ticket == Ticket(of)).then_some(outcome)
    };
    batch.notices.into_iter().filter_map(outcome).collect()
}

fn hear(herder: &mut Herder, from: u8, signed: SignedStatement) -> Batch {
    herder.handle(now(10), Input::Message { from: node(from), message: Message::Statement(signed) });
    herder.flush(now(10))
}

/// Statements of nodes 2 and 3 that carry node 1 to a vote to commit in slot 2.
fn up_to_commit(herder: &Herder) -> (Arc<TxSet>, Vec<(u8, SignedStatement)>) {
    let close_time = herder.ledger.close_time_ms() + herder.ledger.parameters().heartbeat_ms;
    let set = herder.ledger.build_tx_set(Vec::new(), close_time);
    let (slot, previous) = (SlotIndex(2), herder.ledger.header_hash());
    let value = Proposed::sign(slot, previous, set.hash(), close_time, &StandIn(node(2))).to_value();
    let ballot = Ballot { counter: 1, value: value.clone() };
    let nominate = Pledge::Nominate { voted: vec![value.clone()], accepted: vec![value] };
    let prepared = Some(ballot.clone());
    let prepare = Pledge::Prepare { ballot, prepared, prepared_prime: None, commit: 0, high: 0 };
    let quorum_set = herder.config.quorum_set.normalized().hash();
    let sign = |from, pledge: &Pledge| {
        let statement = Statement { node: node(from), slot, quorum_set, pledge: pledge.clone() };
        (from, SignedStatement::sign(statement, &StandIn(node(from))))
    };
    let said = [&nominate, &prepare].into_iter().flat_map(|pledge| [sign(2, pledge), sign(3, pledge)]).collect();
    (Arc::clone(set.shared()), said)
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

/// Two of three closed a ledger, one of them lost its disk, the other its memory: what the lost one had said was gone,
/// and the third could never follow.
#[test]
fn what_our_votes_follow_from_outlives_us_though_its_author_forgets_it() {
    let mut before = herder(Parameters::default());
    let (set, said) = up_to_commit(&before);
    before.handle(now(10), Input::Message { from: node(2), message: Message::TxSet(set) });
    let (mut restored, mut votes) = (Restored::default(), BTreeMap::new());
    for (from, signed) in &said {
        let commit = hear(&mut before, *from, signed.clone()).commit.unwrap_or_default();
        votes.extend(commit.votes.into_iter().map(|vote| (vote.statement.statement.pledge.is_nomination(), vote)));
        restored.heard.extend(commit.heard);
        restored.quorum_sets.extend(commit.quorum_sets);
        restored.tx_sets.extend(commit.tx_sets);
    }
    restored.votes = votes.into_values().collect();
    let state = |herder: &Herder| herder.scp.slot_state(SlotIndex(2)).expect("slot 2 is open");
    assert!(state(&before).commit.is_some(), "{:?}", state(&before));
    assert_eq!(restored.heard.len(), said.len());

    let (config, ledger) = (before.config.clone(), before.ledger.clone());
    let mut after = Herder::new(config, Arc::new(StandIn(node(1))), ledger, restored);
    after.handle(now(20), Input::Start);
    let (was, is) = (state(&before), state(&after));
    assert_eq!(
        (is.commit, is.high, is.candidates, is.composite),
        (was.commit, was.high, was.candidates, was.composite)
    );
    // Node 4 heard nothing of it.
    after.handle(now(30), Input::PeerUp { peer: node(4) });
    after.handle(now(30), Input::Message { from: node(4), message: Message::GetScpState { from: 2 } });
    let batch = after.flush(now(30));
    let told = |signed: &SignedStatement| {
        batch.first.iter().any(|outgoing| {
            matches!(outgoing, Outgoing::Send { to, message: Message::Statement(sent) }
                if to.contains(&node(4)) && sent == signed)
        })
    };
    assert!(said.iter().all(|(_, signed)| told(signed)), "{batch:?}");
}

#[test]
fn a_transaction_that_has_closed_is_never_refused() {
    let mut herder = herder(Parameters::default());
    let first = open_account(1, 20);
    assert!(matches!(*submit(&mut herder, &first, 1), [TicketOutcome::Pending]));
    close(&mut herder, vec![Arc::clone(&first)]);
    // Once before the host could store the ledger, once when more ledgers than are remembered closed at once.
    let again = submit(&mut herder, &first, 2);
    assert!(matches!(*again, [TicketOutcome::Closed { ledger: 2, index: 0, .. }]), "{again:?}");
    let second = open_account(2, 21);
    close(&mut herder, vec![Arc::clone(&second)]);
    (0..10).for_each(|_| close(&mut herder, vec![]));
    let again = submit(&mut herder, &second, 3);
    assert!(matches!(*again, [TicketOutcome::Closed { ledger: 3, index: 0, .. }]), "{again:?}");
}

#[test]
fn a_rival_that_closes_frees_the_account_and_whoever_waited_is_told() {
    let mut herder = herder(Parameters::default());
    let (ours, rival) = (open_account(1, 20), open_account(1, 21));
    assert!(matches!(*submit(&mut herder, &ours, 1), [TicketOutcome::Pending]));
    close(&mut herder, vec![rival]);
    let told = outcomes(herder.flush(now(10)), 1);
    let sequence = TxRejection::Sequence { expected: 2, found: 1 };
    assert!(matches!(&*told, [TicketOutcome::Refused(rejection)] if *rejection == sequence), "{told:?}");
    let next = submit(&mut herder, &open_account(2, 22), 2);
    assert!(matches!(*next, [TicketOutcome::Pending]), "{next:?}");
}

#[test]
fn what_is_too_far_ahead_to_keep_is_not_passed_round_for_ever() {
    const SLOTS: u64 = 30;
    let mut herders: BTreeMap<NodeId, Herder> = [(1, [2, 3, 9]), (2, [1, 3, 9]), (3, [1, 2, 9])]
        .into_iter()
        .map(|(local, peers)| (node(local), herder_of(local, &peers, Parameters::default())))
        .collect();
    let said = (3..3 + SLOTS).map(|slot| (node(9), node(1), Message::Statement(externalize(4, slot))));
    let mut wire: std::collections::VecDeque<(NodeId, NodeId, Message)> = said.collect();
    let mut passed_on = 0;
    while let Some((from, to, message)) = wire.pop_front() {
        let Some(herder) = herders.get_mut(&to) else { continue };
        herder.handle(now(10), Input::Message { from, message });
        for (next, message) in messages(herder.flush(now(10))) {
            passed_on += u64::from(message.name() == "statement");
            wire.push_back((to, next, message));
        }
        assert!(passed_on <= 3 * 3 * SLOTS, "each passes each on at most once");
    }
    assert!(herders.values().all(|herder| herder.book.slots_of_above(node(4), SlotIndex(2)) == SLOTS_KEPT as usize));
}

#[test]
fn another_peer_that_advertised_a_transaction_is_asked_when_the_first_does_not_deliver() {
    let mut herder = herder(Parameters::default());
    let hash = open_account(1, 20).hash();
    let mut asked = Vec::new();
    let mut demands = |herder: &mut Herder, at| {
        let demand = |(to, message)| {
            let Message::TxDemand(hashes) = message else { return None };
            Some((to, hashes))
        };
        asked.extend(messages(herder.flush(now(at))).into_iter().filter_map(demand));
    };
    for peer in [2, 3] {
        herder.handle(now(10), Input::Message { from: node(peer), message: Message::TxAdvert(vec![hash]) });
        demands(&mut herder, 10);
    }
    assert!(herder.next_wakeup(now(10)).is_some_and(|at| at <= Duration::from_millis(2_010)));
    herder.handle(now(2_010), Input::Wakeup);
    demands(&mut herder, 2_010);
    assert_eq!(asked, [(node(2), vec![hash]), (node(3), vec![hash])]);
}

fn answers(herder: &mut Herder, at: u64, question: Message) -> Vec<Message> {
    herder.handle(now(at), Input::Message { from: node(2), message: question });
    messages(herder.flush(now(at))).into_iter().map(|(_, message)| message).collect()
}

#[test]
fn a_peer_that_asks_for_the_same_set_over_and_over_is_answered_so_often() {
    let mut herder = herder(Parameters::default());
    let set = TxSet::new(Hash([1; 32]), (1..=200).map(|sequence| open_account(sequence, 20)).collect());
    let hash = set.hash();
    herder.payloads.restore_closed(Arc::new(set));
    let ask = |herder: &mut Herder, at| answers(herder, at, Message::GetTxSet(hash)).len();
    let answered: usize = (0..10_000).map(|_| ask(&mut herder, 20)).sum();
    assert!((100..2_000).contains(&answered), "{answered}");
    assert_eq!(ask(&mut herder, 1_000), 1, "time makes good");
    let own = herder.config.quorum_set.normalized().hash();
    let quorum_sets = (0..10_000).map(|_| answers(&mut herder, 60_000, Message::GetQuorumSet(own)).len());
    assert!((2_000..10_000).contains(&quorum_sets.sum::<usize>()), "a whole network's are answered");
}

#[test]
fn a_transaction_demanded_many_times_is_sent_once() {
    let mut herder = herder(Parameters::default());
    let transaction = open_account(1, 20);
    assert!(matches!(*submit(&mut herder, &transaction, 1), [TicketOutcome::Pending]));
    let sent = answers(&mut herder, 20, Message::TxDemand(vec![transaction.hash(); 1_000]));
    assert_eq!(sent, [Message::Transactions(vec![transaction])]);
}

#[test]
fn an_answer_on_scp_state_leaves_room_for_votes_and_begins_with_the_open_slot() {
    let mut herder = herder(Parameters::default());
    let signed = externalize(4, 2);
    for (author, slot) in (0..600u16).flat_map(|author| (1..=13).map(move |slot| (author, slot))) {
        let node = NodeId(sha256(&[&author.to_be_bytes()]).0);
        let statement = Statement { node, slot: SlotIndex(slot), ..signed.statement.clone() };
        herder.book.insert(statements::Entry::own(SignedStatement { statement, signature: signed.signature }));
    }
    let answer = answers(&mut herder, 20, Message::GetScpState { from: 1 });
    let slots: Vec<u64> = answer
        .iter()
        .map(|message| {
            let Message::Statement(signed) = message else { panic!("{}", message.name()) };
            signed.statement.slot.0
        })
        .collect();
    assert_eq!(slots.len(), 4_096);
    assert!(slots.iter().take(600).all(|slot| *slot == 2) && slots.iter().skip(600).is_sorted());
}

#[test]
fn a_statement_that_found_no_room_for_its_fetch_is_not_forgotten() {
    let mut herder = herder(Parameters::default());
    // Nobody has these.
    for number in 0..2_000u32 {
        herder.fetches.want(Duration::ZERO, fetch::Item::TxSet(sha256(&[&number.to_be_bytes()])), [node(3)]);
    }
    let honest = Hash([77; 32]);
    let (slot, previous) = (herder.open_slot(), herder.ledger().header_hash());
    let value = Proposed::sign(slot, previous, honest, 1_700_000_009_000, &StandIn(node(2))).to_value();
    let pledge = Pledge::Nominate { voted: vec![value], accepted: vec![] };
    let quorum_set = herder.config.quorum_set.normalized().hash();
    let statement = Statement { node: node(2), slot, quorum_set, pledge };
    let message = Message::Statement(SignedStatement::sign(statement, &StandIn(node(2))));
    let mut asked = answers(&mut herder, 10, message);
    for ms in (100..3_000).step_by(100) {
        herder.handle(now(ms), Input::Wakeup);
        asked.extend(messages(herder.flush(now(ms))).into_iter().map(|(_, message)| message));
    }
    assert!(asked.contains(&Message::GetTxSet(honest)));
}

/// Node 1 of four, which has lost its votes.
fn silent() -> Herder {
    let lost = Restored { standing: Standing::Lost, ..Restored::default() };
    let before = herder(Parameters::default());
    let mut herder = Herder::new(before.config.clone(), Arc::new(StandIn(node(1))), before.ledger, lost);
    herder.handle(now(0), Input::Start);
    for peer in [2, 3] {
        herder.handle(now(0), Input::PeerUp { peer: node(peer) });
    }
    let _ = herder.flush(now(0));
    herder
}

/// What node 1 itself says in a batch.
fn own_words(batch: &Batch) -> Vec<&Statement> {
    let said = |outgoing: &'_ Outgoing| match outgoing {
        Outgoing::Send { message: Message::Statement(signed), .. } if signed.statement.node == node(1) => true,
        Outgoing::Send { .. } | Outgoing::DropPeer { .. } => false,
    };
    let all = batch.first.iter().chain(&batch.then).filter(|outgoing| said(outgoing));
    all.filter_map(|outgoing| match outgoing {
        Outgoing::Send { message: Message::Statement(signed), .. } => Some(&signed.statement),
        Outgoing::Send { .. } | Outgoing::DropPeer { .. } => None,
    })
    .collect()
}

/// The lost instance was ahead of everybody we hear: it had voted in slot 3 when all of them were in slot 2. Voting two
/// slots after what peers closed last would contradict it there.
#[test]
fn a_node_that_was_ahead_of_all_peers_when_it_lost_its_votes_stays_silent_past_the_slot_it_voted_in() {
    let mut herder = silent();
    for _ in 0..20 {
        close(&mut herder, vec![]);
        let batch = herder.flush(now(10));
        assert!(own_words(&batch).is_empty() && batch.commit.is_none_or(|commit| commit.votes.is_empty()));
        let said: Vec<_> = herder.book.of_slot(herder.open_slot()).map(|entry| entry.signed.statement.node).collect();
        assert!(!said.contains(&node(1)));
        // Their clocks run ahead of ours in these tests, by nine seconds a slot: it does not end.
        assert!(matches!(herder.view(now(10)).sync, SyncState::Recovering(_)), "{:?}", herder.view(now(10)).sync);
    }
    let SyncState::Recovering(recovery) = herder.view(now(10)).sync else { panic!("it recovers") };
    assert_eq!((recovery.watched, recovery.wanted, recovery.seconds_left), (20, 10, None));
    assert!(recovery.clock_behind_ms.is_some_and(|behind| behind > 100_000), "{recovery:?}");
}

#[test]
fn a_silence_is_overridden_only_where_there_is_one_and_only_for_the_open_slot() {
    let mut voting = herder(Parameters::default());
    assert_eq!(voting.override_silence(now(10), SlotIndex(2)), Err(OverrideRefused::NotSilent));
    let mut herder = silent();
    let other = OverrideRefused::OtherSlot { asked: SlotIndex(3), open: SlotIndex(2) };
    assert_eq!(herder.override_silence(now(10), SlotIndex(3)), Err(other));
    assert!(matches!(herder.view(now(10)).sync, SyncState::Recovering(_)), "nothing has changed");
    let (set, said) = up_to_commit(&herder);
    herder.handle(now(10), Input::Message { from: node(2), message: Message::TxSet(set) });
    for (from, signed) in said {
        assert!(own_words(&hear(&mut herder, from, signed)).is_empty());
    }
    assert_eq!(herder.override_silence(now(20), SlotIndex(2)), Ok(()));
    let batch = herder.flush(now(20));
    let ballots: Vec<_> = own_words(&batch).into_iter().filter(|said| !said.pledge.is_nomination()).collect();
    let [Statement { pledge: Pledge::Prepare { ballot, commit, .. }, .. }] = &*ballots else { panic!("{batch:?}") };
    // R6: nothing is voted to commit where a first ballot may have been forgotten.
    assert_eq!((ballot.counter, *commit), (2, 0));
    assert!(batch.notices.iter().any(|notice| matches!(notice, Notice::SilenceOverridden { slot: SlotIndex(2) })));
    assert_eq!(herder.override_silence(now(30), SlotIndex(2)), Err(OverrideRefused::NotSilent));
}

#[test]
fn after_an_override_what_others_still_hold_of_the_lost_votes_is_kept_to() {
    let mut herder = silent();
    let (set, said) = up_to_commit(&herder);
    let quorum_set = herder.config.quorum_set.normalized().hash();
    // The lost instance had gone on to counter 7.
    let value = said.first().and_then(|(_, signed)| signed.statement.pledge.values().next().cloned()).unwrap();
    let ballot = Ballot { counter: 7, value };
    let pledge = Pledge::Prepare { ballot, prepared: None, prepared_prime: None, commit: 0, high: 0 };
    let lost = Statement { node: node(1), slot: SlotIndex(2), quorum_set, pledge };
    let lost = SignedStatement::sign(lost, &StandIn(node(1)));
    herder.handle(now(10), Input::Message { from: node(2), message: Message::TxSet(set) });
    let _ = hear(&mut herder, 2, lost.clone());
    assert_eq!(herder.override_silence(now(20), SlotIndex(2)), Ok(()));
    let state = herder.scp.slot_state(SlotIndex(2)).unwrap();
    assert_eq!(state.ballot.map(|ballot| ballot.counter), Some(7));
    for (from, signed) in said {
        let batch = hear(&mut herder, from, signed);
        assert!(
            own_words(&batch).iter().all(|said| said.pledge.is_nomination() || said.is_newer_than(&lost.statement))
        );
    }
}

#[test]
fn a_stuck_node_says_who_is_missing_at_which_step_and_what_each_said() {
    let mut herder = herder(Parameters::default());
    let (set, said) = up_to_commit(&herder);
    herder.handle(now(10), Input::Message { from: node(2), message: Message::TxSet(set) });
    let of_two = said.into_iter().filter(|(from, _)| *from == 2);
    of_two.for_each(|(from, signed)| drop(hear(&mut herder, from, signed)));
    let SyncState::Joining { waits } = herder.view(now(100)).sync else { panic!("nothing has closed yet") };
    assert_eq!((waits.need, waits.peers), (Need::Heard, 2));
    herder.handle(now(20_000), Input::Wakeup);
    let _ = herder.flush(now(20_000));
    let SyncState::Stuck { seconds, waits } = herder.view(now(20_000)).sync else { panic!("it is stuck") };
    assert_eq!((seconds, waits.slot, waits.need), (20, SlotIndex(2), Need::Heard));
    let missing = waits.missing.expect("two of four are not enough");
    assert_eq!((missing.threshold, missing.members), (3, 4));
    let silent: Vec<_> = missing.nodes.iter().filter(|missing| missing.said == Said::Nothing).collect();
    assert_eq!(silent.iter().map(|missing| missing.node).collect::<Vec<_>>(), [node(3), node(4)]);
    // Two waited in vain for the others: what they said is not agreement.
    assert_eq!(herder.view(now(20_000)).fail_at, FailAt::Nodes(vec![]), "it is halted already");
}

#[test]
fn the_clock_is_compared_with_what_others_propose() {
    let mut herder = herder(Parameters::default());
    let (slot, previous) = (SlotIndex(2), herder.ledger().header_hash());
    let quorum_set = herder.config.quorum_set.normalized().hash();
    for (from, ahead) in [(2, 30_000), (3, 31_000)] {
        let close_time = now(10).unix_ms + ahead;
        let value = Proposed::sign(slot, previous, Hash([8; 32]), close_time, &StandIn(node(from))).to_value();
        let pledge = Pledge::Nominate { voted: vec![value], accepted: vec![] };
        let statement = Statement { node: node(from), slot, quorum_set, pledge };
        let _ = hear(&mut herder, from, SignedStatement::sign(statement, &StandIn(node(from))));
    }
    assert_eq!(herder.view(now(20)).clock, ClockView { ahead_ms: Some(31_000), proposers: 2 });
}
