//! Catching up from outside: a node that is behind, and peers that answer as a script says.

use super::super::tests::{StandIn, externalize_on, herder_of, node, now, open_account, tag};
use super::super::{Batch, Input, Outgoing, Restored, SyncState};
use super::*;
use crate::key::NetworkId;
use crate::ledger::{AccountId, Operation, Parameters, Proposed, SignedTransaction, Transaction, TxSet, VerifiedTxSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Ledgers 2 and up, of a network in which little happens: every tenth opens an account.
fn history(length: u64) -> Vec<LedgerEntry> {
    let mut sequence = 0;
    history_of(length, |nth| {
        let opens = nth.is_multiple_of(10).then(|| {
            sequence += 1;
            open_account(sequence, u8::try_from(20 + sequence % 200).unwrap())
        });
        opens.into_iter().collect()
    })
}

fn history_of(length: u64, mut transactions: impl FnMut(u64) -> Vec<Arc<SignedTransaction>>) -> Vec<LedgerEntry> {
    let mut ledger = herder_of(1, &[], Parameters::default()).ledger().clone();
    let step = |nth| {
        let (slot, previous) = (SlotIndex(ledger.sequence()).next(), ledger.header_hash());
        let set = VerifiedTxSet::unchecked(Arc::new(TxSet::new(previous, transactions(nth))));
        let close_time = ledger.close_time_ms() + 9_000;
        let value = Proposed::sign(slot, previous, set.hash(), close_time, &StandIn(node(2))).to_value();
        ledger.close(&value, &set).unwrap().entry()
    };
    (0..length).map(step).collect()
}

/// The first ledger a question asks for, how many, and whether only headers.
fn range(question: &Message) -> (u64, u32, bool) {
    if let Message::GetHeaders { from, count } = question {
        return (*from, *count, true);
    }
    let Message::GetLedgers { from, count } = question else { panic!("no question: {}", question.name()) };
    (*from, *count, false)
}

/// Answers as somebody who has all of `entries`, at most `most` of them at a time.
fn honest(entries: &[LedgerEntry], most: usize, question: &Message) -> Message {
    let found = |from: u64, count: u32| {
        let skip = usize::try_from(from - 2).unwrap();
        entries.iter().skip(skip).take(most.min(count as usize)).cloned()
    };
    let (from, count, headers) = range(question);
    if headers {
        Message::Headers(found(from, count).map(|entry| entry.header).collect())
    } else {
        Message::Ledgers(found(from, count).collect())
    }
}

/// A node that catches up, what it asked, and what it was told to store.
struct Away {
    herder: Herder,
    ms: u64,
    coming: BTreeMap<(u64, u64), (NodeId, Message)>,
    asked: Vec<(u64, NodeId, Message)>,
    dropped: BTreeSet<NodeId>,
    stored: Vec<u64>,
    largest_commit: usize,
    fatal: Option<String>,
}

impl Away {
    /// Node 1, linked with `peers`, which hears a quorum decide the slot after the last of `entries`.
    fn new(peers: &[u8], entries: &[LedgerEntry]) -> Self {
        Self::of(herder_of(1, peers, Parameters::default()), peers, entries)
    }

    fn of(herder: Herder, peers: &[u8], entries: &[LedgerEntry]) -> Self {
        let mut away = Self {
            herder,
            ms: 10,
            coming: BTreeMap::new(),
            asked: Vec::new(),
            dropped: BTreeSet::new(),
            stored: Vec::new(),
            largest_commit: 0,
            fatal: None,
        };
        let last = &entries.last().unwrap().header;
        for author in [2, 3, 4] {
            let message = Message::Statement(externalize_on(last.hash(), author, last.sequence + 1));
            away.hear(node(peers[0]), message);
        }
        away
    }

    fn hear(&mut self, from: NodeId, message: Message) {
        self.herder.handle(now(self.ms), Input::Message { from, message });
    }

    /// Until nothing is left to do or `until` says so: questions are put to `answer`, which says after how many
    /// milliseconds what comes.
    fn run(
        &mut self,
        mut answer: impl FnMut(NodeId, &Message) -> Option<(u64, Message)>,
        until: impl Fn(&Self) -> bool,
    ) {
        while !until(self) && self.ms < 300_000 && self.fatal.is_none() {
            let batch = self.herder.flush(now(self.ms));
            for (to, question) in self.carry_out(batch) {
                if let Some((after, message)) = answer(to, &question) {
                    self.coming.insert((self.ms + after, self.asked.len() as u64), (to, message));
                }
                self.asked.push((self.ms, to, question));
            }
            self.next();
        }
    }

    fn next(&mut self) {
        let due = self.herder.next_wakeup(now(self.ms)).unwrap_or(Duration::MAX).as_millis();
        let due = u64::try_from(due).unwrap_or(u64::MAX).max(self.ms + 1);
        match self.coming.first_entry() {
            Some(first) if first.key().0 <= due => {
                self.ms = self.ms.max(first.key().0);
                let (from, message) = first.remove();
                self.hear(from, message);
            }
            _ => {
                self.ms = due;
                self.herder.handle(now(self.ms), Input::Wakeup);
            }
        }
    }

    fn carry_out(&mut self, batch: Batch) -> Vec<(NodeId, Message)> {
        if let Some(commit) = &batch.commit {
            assert!(commit.closes.is_empty() || !commit.sync, "what was fetched can be fetched again");
            self.stored.extend(commit.closes.iter().map(|close| close.closed.header.sequence));
            self.largest_commit = self.largest_commit.max(commit.closes.len());
        }
        self.fatal = batch.fatal.map(|fatal| fatal.reason);
        let mut questions = Vec::new();
        for outgoing in batch.first {
            match outgoing {
                Outgoing::Send { to, message } => {
                    if matches!(message, Message::GetHeaders { .. } | Message::GetLedgers { .. }) {
                        questions.extend(to.into_iter().map(|to| (to, message.clone())));
                    }
                }
                Outgoing::DropPeer { peer, .. } => {
                    self.dropped.insert(peer);
                    self.herder.handle(now(self.ms), Input::PeerDown { peer });
                }
            }
        }
        questions
    }

    fn is_at(&self, entries: &[LedgerEntry]) -> bool {
        self.herder.ledger().header_hash() == entries.last().unwrap().header.hash()
    }

    fn asked_of(&self, peer: u8) -> usize {
        self.asked.iter().filter(|(_, of, _)| *of == node(peer)).count()
    }
}

#[test]
fn several_peers_share_the_work_and_every_ledger_is_stored_once_in_small_commits() {
    let entries = history(1_200);
    let mut away = Away::new(&[2, 3, 4, 5], &entries);
    away.run(|_, question| Some((20, honest(&entries, 1_000, question))), |away| away.is_at(&entries));
    assert!(away.is_at(&entries), "{:?}", away.fatal);
    let _ = away.herder.flush(now(away.ms));
    assert!((2..=5).all(|peer| away.asked_of(peer) > 0), "{:?}", away.asked);
    assert!(away.stored.iter().copied().eq(2..2 + away.stored.len() as u64));
    assert!(away.largest_commit <= SLICE, "{}", away.largest_commit);
    let first_body = away.asked.iter().position(|(_, _, question)| question.name() == "get-ledgers").unwrap();
    assert!(away.asked[first_body..].iter().all(|(_, _, question)| question.name() == "get-ledgers"));
    assert!(away.ms < 1_000, "{}", away.ms);
}

#[test]
fn headers_that_are_made_up_are_found_out_and_nothing_is_applied_before_the_chain_reaches_us() {
    let (entries, mut others) = (history(1_500), history_of(1_500, |_| Vec::new()));
    // Another network's history, linked well, with nothing but its end in common.
    others.truncate(1_499);
    for unlinked in [false, true] {
        let mut away = Away::new(&[2, 3, 4], &entries);
        let lie = |question: &Message| {
            let Message::Headers(mut headers) = honest(&others, 1_000, question) else { return None };
            if unlinked && let Some(middle) = headers.get_mut(3) {
                middle.close_time_ms += 1;
            }
            Some((1, Message::Headers(headers)))
        };
        let answer = |peer, question: &Message| {
            let truth = || Some((20, honest(&entries, 1_000, question)));
            if peer == node(2) { lie(question).or_else(truth) } else { truth() }
        };
        away.run(answer, |away| away.is_at(&entries));
        assert!(away.is_at(&entries), "{:?}", away.fatal);
        assert_eq!(away.dropped, BTreeSet::from([node(2)]));
    }
}

#[test]
fn a_ledger_that_is_not_what_its_proven_header_says_costs_the_liar_its_link_and_us_nothing() {
    let entries = history(600);
    let lies: [fn(&mut LedgerEntry); 4] = [
        |entry| entry.header.state_hash = Hash::ZERO,
        |entry| entry.value = Value::new(b"something else"),
        |entry| entry.tx_set = TxSet::new(entry.header.previous, vec![open_account(99, 99)]),
        |entry| entry.header.sequence += 1,
    ];
    for lie in lies {
        let mut away = Away::new(&[2, 3], &entries);
        let answer = |peer, question: &Message| {
            let mut truth = honest(&entries, 1_000, question);
            if peer == node(2)
                && let Message::Ledgers(sent) = &mut truth
            {
                lie(sent.last_mut().unwrap());
            }
            Some((20, truth))
        };
        away.run(answer, |away| away.is_at(&entries));
        assert!(away.is_at(&entries), "{:?}", away.fatal);
        assert_eq!(away.dropped, BTreeSet::from([node(2)]));
    }
}

#[test]
fn a_mute_peer_costs_one_patience_and_a_slow_one_hardly_more() {
    let entries = history(1_000);
    for slow in [None, Some(4_000)] {
        let mut away = Away::new(&[2, 3], &entries);
        let answer = |peer, question: &Message| {
            let truth = honest(&entries, 1_000, question);
            if peer == node(2) { slow.map(|after| (after, truth)) } else { Some((20, truth)) }
        };
        away.run(answer, |away| away.is_at(&entries));
        assert!(away.is_at(&entries), "{:?}", away.fatal);
        assert!(away.ms < 6_000 && away.asked_of(2) <= 3, "{} ms: {:?}", away.ms, away.asked);
        assert!(away.dropped.is_empty(), "slowness is no lie");
    }
}

#[test]
fn one_slow_peer_alone_is_enough() {
    let entries = history(600);
    let mut away = Away::new(&[2], &entries);
    away.run(|_, question| Some((3_000, honest(&entries, 1_000, question))), |away| away.is_at(&entries));
    assert!(away.is_at(&entries) && away.ms < 30_000, "{} ms", away.ms);
}

#[test]
fn short_answers_are_taken_and_the_rest_is_asked_for() {
    let entries = history(300);
    let mut away = Away::new(&[2, 3], &entries);
    away.run(|_, question| Some((1, honest(&entries, 7, question))), |away| away.is_at(&entries));
    assert!(away.is_at(&entries), "{:?}", away.fatal);
    assert!(away.asked.len() <= 2 * 300 / 7 + 20, "{}", away.asked.len());
}

#[test]
fn a_peer_without_the_ledgers_is_passed_over_however_often_it_says_so() {
    let entries = history(100);
    let mut away = Away::new(&[2, 3], &entries);
    let answer = |peer, question: &Message| {
        let nothing = honest(&[], 0, question);
        Some((20, if peer == node(2) { nothing } else { honest(&entries, 1_000, question) }))
    };
    away.run(answer, |away| away.is_at(&entries));
    assert!(away.is_at(&entries) && away.ms < 500, "{} ms", away.ms);
}

#[test]
fn a_gap_longer_than_what_is_remembered_is_closed_in_stages() {
    let entries = history(1_000);
    let mut herder = herder_of(1, &[2, 3], Parameters::default());
    herder.catchup.remember_at_most(100);
    let mut away = Away::of(herder, &[2, 3], &entries);
    away.run(|_, question| Some((5, honest(&entries, 1_000, question))), |away| away.is_at(&entries));
    assert!(away.is_at(&entries), "{:?}", away.fatal);
}

#[test]
fn a_node_that_is_interrupted_goes_on_from_what_it_stored() {
    let entries = history(900);
    let mut away = Away::new(&[2, 3], &entries);
    let answer = |_, question: &Message| Some((20, honest(&entries, 1_000, question)));
    let mut last = 1;
    for goal in [200, 500, 901] {
        away.run(answer, |away| away.stored.last().is_some_and(|stored| *stored >= goal) || away.is_at(&entries));
        if away.is_at(&entries) {
            break;
        }
        // What was applied and not stored is lost.
        let stored = *away.stored.last().unwrap();
        let mut ledger = herder_of(1, &[], Parameters::default()).ledger().clone();
        for entry in entries.iter().take_while(|entry| entry.header.sequence <= stored) {
            ledger.replay(entry).unwrap();
        }
        let config = away.herder.config.clone();
        let mut again = Herder::new(config, Arc::new(StandIn(node(1))), ledger, Restored::default());
        again.handle(now(0), Input::Start);
        for peer in [2, 3] {
            again.handle(now(0), Input::PeerUp { peer: node(peer) });
        }
        away = Away::of(again, &[2, 3], &entries);
        last = stored;
    }
    assert!(away.is_at(&entries) && last > 400);
    let first = |(_, _, question): &(u64, NodeId, Message)| range(question).0;
    assert!(away.asked.iter().map(first).all(|from| from > last), "nothing is fetched twice");
}

#[test]
fn a_proven_chain_without_our_last_ledger_stops_the_node() {
    let (entries, ours) = (history(50), history_of(10, |_| Vec::new()));
    let mut herder = herder_of(1, &[2], Parameters::default());
    for entry in &ours {
        let closed = herder.ledger.replay(entry).unwrap();
        herder.next_slot(now(5), &closed);
    }
    let mut away = Away::of(herder, &[2], &entries);
    away.run(|_, question| Some((5, honest(&entries, 1_000, question))), |_| false);
    assert!(away.fatal.as_ref().is_some_and(|reason| reason.contains("does not contain our last ledger")));
    assert!(away.stored.is_empty() && away.asked.iter().all(|(_, _, question)| question.name() == "get-headers"));
}

#[test]
fn a_forged_transaction_is_not_applied_though_a_quorum_closed_it() {
    let forged = || {
        let root = AccountId([9; 32]);
        let operation = Operation::CreateAccount { account: AccountId([66; 32]), balance: 1_000 };
        let transaction = Transaction::new(root, 1, vec![operation]);
        let signature = tag(&[1; 32], b"not the root account's");
        let network = NetworkId::of_passphrase("test");
        Arc::new(SignedTransaction::assemble(network, transaction, vec![(root, signature)]).unwrap())
    };
    let entries = history_of(30, |nth| if nth == 20 { vec![forged()] } else { Vec::new() });
    let mut away = Away::new(&[2], &entries);
    away.run(|_, question| Some((5, honest(&entries, 1_000, question))), |_| false);
    assert!(away.fatal.as_ref().is_some_and(|reason| reason.contains("signature is not genuine")), "{:?}", away.fatal);
    assert_eq!(away.herder.ledger().sequence(), 21);
}

#[test]
fn progress_is_shown_and_over_when_it_is_over() {
    let entries = history(2_000);
    let mut away = Away::new(&[2], &entries);
    let answer = |_, question: &Message| Some((300, honest(&entries, 1_000, question)));
    away.run(answer, |away| away.ms > 10);
    let headers = away.herder.view(now(away.ms)).catch_up.unwrap();
    assert_eq!((headers.from, headers.to, headers.applied), (2, 2_002, 0));
    assert_eq!((headers.headers_down_to, headers.sources), (Some(1_001), 1));
    away.run(answer, |away| away.stored.len() >= 1_000);
    let view = away.herder.view(now(away.ms));
    assert!(matches!(view.sync, SyncState::CatchingUp { .. }));
    let bodies = view.catch_up.unwrap();
    assert_eq!((bodies.from, bodies.headers_down_to), (2, None));
    assert!((1_000..2_000).contains(&bodies.applied) && bodies.ledgers_per_second.is_some_and(|rate| rate > 100));
    assert!(bodies.seconds_left.is_some_and(|seconds| seconds < 10), "{bodies:?}");
    away.run(answer, |away| away.is_at(&entries));
    assert!(away.herder.view(now(away.ms)).catch_up.is_none());
}

#[test]
fn what_is_said_of_later_slots_without_a_quorum_is_not_proven_and_a_blocked_node_does_not_nominate() {
    let mut herder = herder_of(1, &[2, 3], Parameters::default());
    let hear = |herder: &mut Herder, author| {
        let message = Message::Statement(externalize_on(Hash([7; 32]), author, 500));
        herder.handle(now(10), Input::Message { from: node(2), message });
    };
    hear(&mut herder, 4);
    let unproven = herder.view(now(10)).unproven.unwrap();
    assert_eq!(
        (unproven.slot, unproven.heard, unproven.missing),
        (SlotIndex(500), vec![node(4)], vec![node(2), node(3)])
    );
    assert!(!herder.is_behind(), "one of four may lie");
    let mut blocked = herder_of(1, &[2, 3], Parameters::default());
    blocked.catchup.ahead = BTreeSet::from([node(2)]);
    hear(&mut blocked, 3);
    assert!(blocked.is_behind());
    blocked.handle(now(20_000), Input::Wakeup);
    assert_eq!(blocked.scp.nomination_round(SlotIndex(2)), 0);
    assert!(blocked.next_wakeup(now(20_000)).is_some_and(|at| at > Duration::from_secs(20)), "it does not spin");
    herder.handle(now(20_000), Input::Wakeup);
    assert!(herder.scp.nomination_round(SlotIndex(2)) > 0);
}

#[test]
fn slots_far_ahead_have_a_bounded_number_of_onlookers() {
    let mut herder = herder_of(1, &[2, 3], Parameters::default());
    for slot in 1_000..1_500 {
        let message = Message::Statement(externalize_on(Hash([7; 32]), 4, slot));
        herder.handle(now(10), Input::Message { from: node(2), message });
    }
    assert!(herder.catchup.onlookers.len() <= SLOTS_KEPT as usize + 1, "{}", herder.catchup.onlookers.len());
}
