//! The whole core through its one door.

use fba_core::{
    Attested, Ballot, Driver, Effect, Hash, Input, Malformed, Node, NodeId, Phase, Pledge, Purpose, QuorumSet,
    Rejected, Rule, SenderSet, SlotIndex, Statement, Timer, Validity, Value,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const SLOT: SlotIndex = SlotIndex(7);

/// Everything is valid; priority follows the first key byte, so that node 0 leads first.
#[derive(Default)]
struct Host {
    not_current: Option<Value>,
    invalid: Option<Value>,
    /// Its payload is missing; what stands for it, once it is given up.
    missing: Option<(Value, Option<Value>)>,
}

impl Driver for Host {
    fn validate(&self, _: SlotIndex, value: &Value, _: Purpose) -> Validity {
        if Some(value) == self.invalid.as_ref() {
            Validity::Invalid
        } else if Some(value) == self.not_current.as_ref() {
            Validity::NotCurrent
        } else if self.missing.as_ref().is_some_and(|(missing, _)| missing == value) {
            Validity::PayloadMissing
        } else {
            Validity::Valid
        }
    }

    fn extract_valid(&self, _: SlotIndex, _: &Value) -> Option<Value> {
        None
    }

    fn combine(&self, _: SlotIndex, candidates: &BTreeSet<Value>) -> Option<Value> {
        candidates.last().cloned()
    }

    fn priority(&self, _: SlotIndex, _: &Value, round: u32, node: NodeId) -> u64 {
        let leader = (round - 1) % 5;
        if u32::from(node.0[0]) == leader { 100 } else { 1 }
    }

    fn neighborhood(&self, _: SlotIndex, _: &Value, _: u32, _: NodeId) -> u64 {
        0
    }

    fn value_hash(&self, _: SlotIndex, _: &Value, _: u32, _: &Value) -> u64 {
        0
    }

    fn without_payload(&self, _: SlotIndex, _: &Value) -> Option<Value> {
        self.missing.as_ref().and_then(|(_, instead)| instead.clone())
    }

    fn timeout(&self, _: Timer, round: u32) -> Duration {
        Duration::from_secs(u64::from(round))
    }
}

fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn value(n: u8) -> Value {
    Value::new(&[n])
}

fn ballot(counter: u32, v: u8) -> Ballot {
    Ballot { counter, value: value(v) }
}

/// Five nodes, four needed: two are v-blocking, four a quorum.
fn core5() -> QuorumSet {
    QuorumSet::new(4, (0..5).map(node).collect(), Vec::new()).expect("sane")
}

fn says(n: u8, pledge: Pledge) -> Input {
    let set = core5();
    let statement = Statement { node: node(n), slot: SLOT, quorum_set: set.hash(), pledge };
    Input::Receive(Attested { statement, quorum_set: SenderSet::Known(Arc::new(set)) })
}

fn restored(n: u8, pledge: Pledge, nomination: Option<(u32, Value)>) -> Input {
    let Input::Receive(statement) = says(n, pledge) else { unreachable!() };
    Input::Restore { statement, nomination }
}

fn prepare(b: Ballot, p: Option<Ballot>, commit: u32, high: u32) -> Pledge {
    Pledge::Prepare { ballot: b, prepared: p, prepared_prime: None, commit, high }
}

fn nominate(voted: &[u8], accepted: &[u8]) -> Pledge {
    let values = |list: &[u8]| list.iter().map(|v| value(*v)).collect();
    Pledge::Nominate { voted: values(voted), accepted: values(accepted) }
}

fn open_node() -> Node {
    let mut node0 = Node::new(node(0), true, core5());
    node0.open(SLOT);
    node0
}

fn emitted(effects: &[Effect]) -> Vec<Pledge> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Emit(statement) => Some(statement.pledge.clone()),
            Effect::StartTimer { .. } | Effect::StopTimer { .. } | Effect::Externalize { .. } | Effect::Moved(_) => {
                None
            }
        })
        .collect()
}

fn started(effects: &[Effect], of: Timer) -> Option<(u64, Duration)> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::StartTimer { timer, generation, after, .. } if *timer == of => Some((*generation, *after)),
        Effect::StartTimer { .. }
        | Effect::Emit(_)
        | Effect::StopTimer { .. }
        | Effect::Externalize { .. }
        | Effect::Moved(_) => None,
    })
}

fn bump(v: u8) -> Input {
    Input::Bump { slot: SLOT, value: value(v) }
}

fn open_nomination(v: Option<u8>) -> Input {
    Input::Nominate { slot: SLOT, value: v.map(value), previous: value(0), timed_out: false }
}

#[test]
fn b9_the_ballot_timer_waits_for_a_quorum_and_late_timers_are_refused() {
    let (mut core, host) = (open_node(), Host::default());
    let effects = core.handle(bump(1), &host).unwrap();
    assert_eq!(started(&effects, Timer::Ballot), None);
    core.handle(says(1, prepare(ballot(1, 1), None, 0, 0)), &host).unwrap();
    core.handle(says(2, prepare(ballot(1, 2), None, 0, 0)), &host).unwrap();
    let effects = core.handle(says(3, prepare(ballot(1, 3), None, 0, 0)), &host).unwrap();
    let (generation, after) = started(&effects, Timer::Ballot).expect("a quorum is at our counter");
    assert_eq!(after, Duration::from_secs(1));
    let fired = |generation| Input::TimerFired { slot: SLOT, timer: Timer::Ballot, generation };
    assert_eq!(core.handle(fired(generation - 1), &host), Err(Rejected::LateTimer));
    let effects = core.handle(fired(generation), &host).unwrap();
    assert_eq!(emitted(&effects), [prepare(ballot(2, 1), None, 0, 0)]);
    assert_eq!(core.handle(fired(generation), &host), Err(Rejected::LateTimer));
}

#[test]
fn b7_a_counter_at_infinity_is_not_bumped() {
    let (mut core, host) = (open_node(), Host::default());
    let decided = |n| says(n, Pledge::Externalize { commit: ballot(2, 1), high: 3 });
    core.handle(decided(1), &host).unwrap();
    core.handle(decided(2), &host).unwrap();
    assert_eq!(core.slot_state(SLOT).unwrap().ballot, Some(ballot(u32::MAX, 1)));
    assert_eq!(core.handle(bump(1), &host), Ok(Vec::new()));
    assert_eq!(core.slot_state(SLOT).unwrap().ballot, Some(ballot(u32::MAX, 1)));
}

#[test]
fn b8_b10_one_call_emits_only_its_last_ballot_statement() {
    let (mut core, host) = (open_node(), Host::default());
    core.handle(bump(1), &host).unwrap();
    core.handle(says(1, Pledge::Confirm { ballot: ballot(3, 2), prepared: 3, commit: 2, high: 3 }), &host).unwrap();
    let second = says(2, Pledge::Confirm { ballot: ballot(3, 2), prepared: 3, commit: 2, high: 3 });
    let effects = core.handle(second, &host).unwrap();
    assert_eq!(
        emitted(&effects),
        [Pledge::Confirm { ballot: ballot(3, 2), prepared: 3, commit: 2, high: 3 }],
        "our value gives way to what two of five have committed to"
    );
    assert_eq!(core.slot_state(SLOT).unwrap().phase, Phase::Confirm);
}

#[test]
fn s5_a_value_that_is_not_current_silences_the_slot_for_good() {
    let mut core = open_node();
    let host = Host { not_current: Some(value(9)), ..Host::default() };
    core.handle(says(1, prepare(ballot(1, 9), None, 0, 0)), &host).unwrap();
    assert!(!core.is_fully_validated(SLOT));
    assert_eq!(emitted(&core.handle(bump(1), &Host::default()).unwrap()), []);
    assert_eq!(core.own_latest(SLOT).1.unwrap().pledge, prepare(ballot(1, 1), None, 0, 0));
    assert!(core.latest(SLOT).all(|attested| attested.statement.node != node(0)));
}

#[test]
fn s5_a_statement_with_an_invalid_value_is_not_recorded() {
    let mut core = open_node();
    let host = Host { invalid: Some(value(9)), ..Host::default() };
    let input = says(1, prepare(ballot(2, 1), Some(ballot(1, 9)), 0, 0));
    assert_eq!(core.handle(input, &host), Err(Rejected::InvalidValue));
    assert_eq!(core.latest(SLOT).count(), 0);
}

#[test]
fn s1_unknown_slices_are_refused_in_balloting_and_count_for_nothing_but_blocking_in_nomination() {
    let (mut core, host) = (open_node(), Host::default());
    let unresolved = |n: u8, pledge| {
        let statement = Statement { node: node(n), slot: SLOT, quorum_set: Hash::ZERO, pledge };
        Input::Receive(Attested { statement, quorum_set: SenderSet::Unresolved })
    };
    let refused = core.handle(unresolved(1, prepare(ballot(1, 1), None, 0, 0)), &host);
    assert_eq!(refused, Err(Rejected::QuorumSetUnresolved));
    core.handle(open_nomination(Some(1)), &host).unwrap();
    for n in 1..=3 {
        let effects = core.handle(unresolved(n, nominate(&[1], &[])), &host).unwrap();
        assert_eq!(emitted(&effects), [], "no quorum among nodes without slices");
    }
    core.handle(unresolved(1, nominate(&[1], &[1])), &host).unwrap();
    let effects = core.handle(unresolved(2, nominate(&[1], &[1])), &host).unwrap();
    assert_eq!(emitted(&effects), [nominate(&[1], &[1])], "two of five block us all the same");
}

#[test]
fn v1_a_value_without_its_payload_is_prepared_but_not_voted_to_commit() {
    let mut core = open_node();
    let waiting = Host { missing: Some((value(1), None)), ..Host::default() };
    core.handle(bump(1), &waiting).unwrap();
    for n in 1..=3 {
        let prepared = prepare(ballot(1, 1), Some(ballot(1, 1)), 0, 0);
        core.handle(says(n, prepared), &waiting).unwrap();
    }
    let state = core.slot_state(SLOT).unwrap();
    assert_eq!((state.high, state.commit), (Some(ballot(1, 1)), None));
    let confirm = Pledge::Confirm { ballot: ballot(1, 1), prepared: 1, commit: 1, high: 1 };
    let refused = core.handle(says(1, confirm.clone()), &waiting);
    assert_eq!(refused, Err(Rejected::InvalidValue));
    assert!(core.handle(says(1, confirm), &Host::default()).is_ok());
}

#[test]
fn v2_a_payload_that_is_given_up_is_replaced_when_the_ballot_moves() {
    let mut core = open_node();
    let waiting = Host { missing: Some((value(1), None)), ..Host::default() };
    let effects = core.handle(bump(1), &waiting).unwrap();
    assert_eq!(emitted(&effects), [prepare(ballot(1, 1), None, 0, 0)]);
    let given_up = Host { missing: Some((value(1), Some(value(2)))), ..Host::default() };
    let effects = core.handle(bump(1), &given_up).unwrap();
    assert_eq!(emitted(&effects), [prepare(ballot(2, 2), None, 0, 0)]);
}

#[test]
fn s6_after_the_decision_only_the_decided_value_is_recorded() {
    let (mut core, host) = (open_node(), Host::default());
    for n in 1..=3 {
        core.handle(says(n, Pledge::Externalize { commit: ballot(1, 1), high: 1 }), &host).unwrap();
    }
    assert_eq!(core.slot_state(SLOT).unwrap().externalized, Some(value(1)));
    let other = says(4, Pledge::Externalize { commit: ballot(9, 2), high: 9 });
    assert_eq!(core.handle(other, &host), Err(Rejected::OtherValueExternalized));
    assert!(core.handle(says(4, prepare(ballot(9, 1), None, 0, 0)), &host).is_ok());
}

#[test]
fn n6_a_node_without_a_value_follows_leaders_and_may_vote_its_own_later() {
    let (mut core, host) = (open_node(), Host::default());
    let effects = core.handle(open_nomination(None), &host).unwrap();
    assert_eq!(emitted(&effects), []);
    assert!(started(&effects, Timer::Nomination).is_some());
    assert_eq!(core.nomination_round(SLOT), 1);
    let effects = core.handle(Input::Propose { slot: SLOT, value: value(5) }, &host).unwrap();
    assert_eq!(emitted(&effects), [nominate(&[5], &[])]);
    assert_eq!(core.nomination_round(SLOT), 1, "no new round");
    let effects = core.handle(Input::Propose { slot: SLOT, value: value(6) }, &host).unwrap();
    assert_eq!(emitted(&effects), [], "one value of our own is enough");
}

#[test]
fn n6_one_who_does_not_lead_keeps_its_value_for_the_round_in_which_it_does() {
    let host = Host::default();
    let mut core = Node::new(node(1), true, core5());
    core.open(SLOT);
    let effects = core.handle(open_nomination(None), &host).unwrap();
    let (generation, _) = started(&effects, Timer::Nomination).unwrap();
    let effects = core.handle(Input::Propose { slot: SLOT, value: value(5) }, &host).unwrap();
    assert_eq!(emitted(&effects), [], "node 0 leads");
    let timeout = Input::TimerFired { slot: SLOT, timer: Timer::Nomination, generation };
    assert_eq!(emitted(&core.handle(timeout, &host).unwrap()), [nominate(&[5], &[])]);
    let leaders = core.slot_state(SLOT).unwrap().leaders;
    assert_eq!(leaders, [node(0), node(1)].into(), "leaders accumulate");
}

#[test]
fn n7_accepted_values_of_a_leader_go_before_its_votes() {
    let host = Host::default();
    let mut core = Node::new(node(1), true, core5());
    core.open(SLOT);
    core.handle(open_nomination(Some(1)), &host).unwrap();
    let effects = core.handle(says(0, nominate(&[2, 3], &[2])), &host).unwrap();
    assert_eq!(emitted(&effects), [nominate(&[2], &[])]);
    let effects = core.handle(says(0, nominate(&[2, 3, 4], &[2])), &host).unwrap();
    assert_eq!(emitted(&effects), [], "its accepted value is voted for already");
}

#[test]
fn r2_the_restored_state_is_not_emitted_again_and_not_contradicted() {
    let (mut core, host) = (open_node(), Host::default());
    let own = prepare(ballot(3, 1), Some(ballot(2, 1)), 1, 2);
    assert_eq!(core.handle(restored(0, own.clone(), None), &host), Ok(Vec::new()));
    assert_eq!(core.handle(restored(0, own, None), &host), Err(Rejected::AlreadyStarted));
    let foreign = restored(1, prepare(ballot(1, 1), None, 0, 0), None);
    assert_eq!(open_node().handle(foreign, &host), Err(Rejected::AlreadyStarted));
    assert_eq!(core.handle(bump(2), &host), Ok(Vec::new()), "a commit vote binds us to its value");
    let effects = core.handle(bump(1), &host).unwrap();
    assert_eq!(emitted(&effects), [prepare(ballot(4, 1), Some(ballot(2, 1)), 1, 2)]);
}

#[test]
fn r4_our_own_statements_from_others_are_refused() {
    let (mut core, host) = (open_node(), Host::default());
    let own = says(0, prepare(ballot(9, 9), None, 0, 0));
    assert_eq!(core.handle(own, &host), Err(Rejected::OwnStatement));
    assert_eq!(core.own_latest(SLOT), (None, None));
}

#[test]
fn r3_the_round_that_was_interrupted_is_opened_again_with_its_leaders() {
    let host = Host::default();
    let mut before = open_node();
    let mut effects = before.handle(open_nomination(Some(1)), &host).unwrap();
    for _ in 0..2 {
        let (generation, _) = started(&effects, Timer::Nomination).unwrap();
        let timeout = Input::TimerFired { slot: SLOT, timer: Timer::Nomination, generation };
        effects = before.handle(timeout, &host).unwrap();
    }
    assert_eq!(before.nomination_round(SLOT), 3);
    let mut after = open_node();
    after.handle(restored(0, nominate(&[1], &[]), Some((3, value(0)))), &host).unwrap();
    let effects = after.handle(open_nomination(Some(2)), &host).unwrap();
    assert_eq!(emitted(&effects), []);
    let (before, after) = (before.slot_state(SLOT).unwrap(), after.slot_state(SLOT).unwrap());
    assert_eq!((after.nomination_round, &after.leaders), (3, &before.leaders));
    assert_eq!(after.voted, [value(1)].into());
    let far = restored(0, nominate(&[1], &[]), Some((u32::MAX, value(0))));
    assert_eq!(open_node().handle(far, &host), Ok(Vec::new()), "a round out of all reason costs no time");
}

#[test]
fn q4_a_new_quorum_set_is_for_slots_opened_afterwards() {
    let (mut core, host) = (open_node(), Host::default());
    let old = core.quorum_set().hash();
    core.set_quorum_set(QuorumSet::singleton(node(0)));
    core.open(SLOT.next());
    let effects = core.handle(bump(1), &host).unwrap();
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Emit(s) if s.quorum_set == old)).count(), 1);
    let alone = Input::Bump { slot: SLOT.next(), value: value(1) };
    let effects = core.handle(alone, &host).unwrap();
    assert!(effects.contains(&Effect::Externalize { slot: SLOT.next(), value: value(1) }));
    core.close(SLOT);
    assert_eq!(core.handle(bump(1), &host), Err(Rejected::SlotNotOpen));
}

#[test]
fn evidence_names_the_nodes_that_made_a_rule_fire() {
    let (mut core, host) = (open_node(), Host::default());
    core.handle(bump(1), &host).unwrap();
    core.handle(says(1, prepare(ballot(1, 2), Some(ballot(1, 2)), 0, 0)), &host).unwrap();
    let effects = core.handle(says(2, prepare(ballot(1, 2), Some(ballot(1, 2)), 0, 0)), &host).unwrap();
    let fired: Vec<String> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Moved(moved) if moved.rule == Rule::AcceptPrepared => Some(format!("{:?}", moved.evidence)),
            Effect::Moved(_)
            | Effect::Emit(_)
            | Effect::StartTimer { .. }
            | Effect::StopTimer { .. }
            | Effect::Externalize { .. } => None,
        })
        .collect();
    assert_eq!(fired, ["Some(VBlocking({01010101, 02020202}))"]);
}

#[test]
fn s1_each_malformed_statement_is_named() {
    let (mut core, host) = (open_node(), Host::default());
    let mut refuse = |pledge, why| {
        assert_eq!(core.handle(says(1, pledge), &host), Err(Rejected::Malformed(why)));
    };
    refuse(nominate(&[], &[]), Malformed::Empty);
    refuse(nominate(&[2, 1], &[]), Malformed::Unsorted);
    refuse(prepare(ballot(0, 1), None, 0, 0), Malformed::CounterZero);
    refuse(prepare(ballot(2, 1), None, 0, 1), Malformed::CounterOrder);
    let prime = Pledge::Prepare {
        ballot: ballot(3, 1),
        prepared: Some(ballot(2, 1)),
        prepared_prime: Some(ballot(1, 1)),
        commit: 0,
        high: 0,
    };
    refuse(prime, Malformed::PreparedPrime);
    refuse(Pledge::Externalize { commit: ballot(0, 1), high: 1 }, Malformed::CounterZero);
}

fn counter() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..5, 1 => Just(u32::MAX), 1 => Just(u32::MAX - 1)]
}

fn any_ballot() -> impl Strategy<Value = Ballot> {
    (counter(), 1u8..4).prop_map(|(counter, v)| ballot(counter, v))
}

fn any_pledge() -> impl Strategy<Value = Pledge> {
    let values = || prop::collection::btree_set(1u8..5, 0..3);
    let maybe = || prop::option::of(any_ballot());
    prop_oneof![
        (values(), values()).prop_map(|(voted, accepted)| nominate(
            &voted.into_iter().collect::<Vec<_>>(),
            &accepted.into_iter().collect::<Vec<_>>()
        )),
        (any_ballot(), maybe(), maybe(), counter(), counter()).prop_map(
            |(ballot, prepared, prepared_prime, commit, high)| Pledge::Prepare {
                ballot,
                prepared,
                prepared_prime,
                commit,
                high
            }
        ),
        (any_ballot(), counter(), counter(), counter()).prop_map(|(ballot, prepared, commit, high)| Pledge::Confirm {
            ballot,
            prepared,
            commit,
            high
        }),
        (any_ballot(), counter()).prop_map(|(commit, high)| Pledge::Externalize { commit, high }),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        20 => (0u8..5, any_pledge()).prop_map(|(n, pledge)| says(n, pledge)),
        2 => (prop::option::of(1u8..5), any::<bool>()).prop_map(|(v, timed_out)| Input::Nominate {
            slot: SLOT,
            value: v.map(value),
            previous: value(0),
            timed_out
        }),
        1 => (1u8..5).prop_map(|v| Input::Propose { slot: SLOT, value: value(v) }),
        1 => (1u8..5).prop_map(bump),
        2 => (any::<bool>(), 0u64..6).prop_map(|(nomination, generation)| Input::TimerFired {
            slot: SLOT,
            timer: if nomination { Timer::Nomination } else { Timer::Ballot },
            generation
        }),
        1 => Just(Input::StopNomination { slot: SLOT }),
        1 => (any_pledge(), prop::option::of(counter()))
            .prop_map(|(pledge, round)| restored(0, pledge, round.map(|round| (round, value(0))))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Nothing panics, a refused input changes nothing, what we emit is well-formed and always newer, one decision.
    #[test]
    fn no_input_whatsoever_breaks_the_core(inputs in prop::collection::vec(any_input(), 1..60)) {
        let (mut core, host) = (open_node(), Host { invalid: Some(value(4)), ..Host::default() });
        let mut last: [Option<Statement>; 2] = [None, None];
        let mut decisions = 0;
        for input in inputs {
            let before = format!("{core:?}");
            let (is_restore, result) = (matches!(input, Input::Restore { .. }), core.handle(input, &host));
            let Ok(effects) = result else {
                prop_assert_eq!(before, format!("{core:?}"));
                continue;
            };
            if is_restore {
                let (nomination, ballot) = core.own_latest(SLOT);
                last = [nomination, ballot];
            }
            for effect in effects {
                match effect {
                    Effect::Emit(statement) => {
                        prop_assert!(statement.check().is_ok(), "{statement:?}");
                        let place = &mut last[usize::from(!statement.pledge.is_nomination())];
                        if let Some(old) = place {
                            prop_assert!(statement.is_newer_than(old), "{old:?} then {statement:?}");
                        }
                        *place = Some(statement);
                    }
                    Effect::Externalize { .. } => decisions += 1,
                    Effect::StartTimer { .. } | Effect::StopTimer { .. } | Effect::Moved(_) => {}
                }
            }
            prop_assert!(decisions <= 1);
        }
    }

    #[test]
    fn s2_s3_newer_is_a_strict_order(pledges in prop::collection::vec(any_pledge(), 3)) {
        let statements: Vec<Statement> = pledges
            .into_iter()
            .map(|pledge| Statement { node: node(1), slot: SLOT, quorum_set: Hash::ZERO, pledge })
            .collect();
        for a in &statements {
            prop_assert!(!a.is_newer_than(a));
            for b in &statements {
                prop_assert!(!(a.is_newer_than(b) && b.is_newer_than(a)));
                for c in &statements {
                    if a.is_newer_than(b) && b.is_newer_than(c) {
                        prop_assert!(a.is_newer_than(c));
                    }
                }
            }
        }
    }
}
