use super::*;
use crate::key::{Ed25519, NetworkId, SecretKey};
use fba_core::{Ballot, SenderSet, Statement, quorum_among};
use proptest::prelude::*;

const SLOT: SlotIndex = SlotIndex(7);

fn signer(node: u8) -> Ed25519 {
    Ed25519::new(NetworkId::of_passphrase("proofs"), SecretKey::from_seed(&[node; 32]))
}

fn id(node: u8) -> NodeId {
    signer(node).node()
}

fn value() -> Value {
    Value::new(b"decided")
}

/// `threshold` of these.
fn of(threshold: u32, nodes: &[u8]) -> QuorumSet {
    QuorumSet::new(threshold, nodes.iter().map(|node| id(*node)).collect(), Vec::new()).unwrap()
}

fn three_of_four() -> QuorumSet {
    of(3, &[1, 2, 3, 4])
}

fn confirm(value: &Value, counters: RangeInclusive<u32>) -> Pledge {
    let (commit, high) = (*counters.start(), *counters.end());
    Pledge::Confirm { ballot: Ballot { counter: high, value: value.clone() }, prepared: high, commit, high }
}

fn externalize(value: &Value, counter: u32) -> Pledge {
    Pledge::Externalize { commit: Ballot { counter, value: value.clone() }, high: counter }
}

fn say(node: u8, set: &QuorumSet, slot: SlotIndex, pledge: Pledge) -> SignedStatement {
    SignedStatement::sign(Statement { node: id(node), slot, quorum_set: set.hash(), pledge }, &signer(node))
}

/// Three of four nodes with the same set: CONFIRM, CONFIRM, EXTERNALIZE.
fn good() -> Vec<SignedStatement> {
    let set = three_of_four();
    vec![
        say(1, &set, SLOT, confirm(&value(), 1..=2)),
        say(2, &set, SLOT, confirm(&value(), 2..=3)),
        say(3, &set, SLOT, externalize(&value(), 1)),
    ]
}

fn checked(statements: &[SignedStatement], sets: &[QuorumSet], by: &QuorumSet) -> Result<BTreeSet<NodeId>, Unproven> {
    let value = value();
    check(statements, sets, Claim { slot: SLOT, value: &value }, by, &signer(9))
}

#[test]
fn a_quorum_that_accepts_one_counter_proves_the_value() {
    let set = three_of_four();
    let quorum = checked(&good(), std::slice::from_ref(&set), &set).unwrap();
    assert_eq!(quorum, [1, 2, 3].map(id).into());
    // An auditor with another quorum set that these nodes satisfy.
    assert!(checked(&good(), &[set], &of(2, &[2, 3, 8])).is_ok());
}

#[test]
fn what_proves_nothing_is_refused_with_the_rule() {
    let set = three_of_four();
    let with = |at: usize, statement: SignedStatement| {
        let mut statements = good();
        statements[at] = statement;
        statements
    };
    let mut forged = good()[0].clone();
    forged.signature = good()[1].signature;
    let other_network = Ed25519::new(NetworkId::of_passphrase("another"), SecretKey::from_seed(&[1; 32]));
    let elsewhere = SignedStatement::sign(good()[0].statement.clone(), &other_network);
    let stranger = of(1, &[1]);
    let prepare = Pledge::Prepare {
        ballot: Ballot { counter: 1, value: value() },
        prepared: None,
        prepared_prime: None,
        commit: 0,
        high: 0,
    };
    let malformed = Pledge::Confirm { ballot: Ballot { counter: 1, value: value() }, prepared: 1, commit: 3, high: 1 };
    let twice = [good(), vec![say(1, &set, SLOT, confirm(&value(), 1..=1))]].concat();
    let node = id(1);
    let table = [
        (with(0, forged), Unproven::Forged { node }),
        (with(0, elsewhere), Unproven::Forged { node }),
        (
            with(0, say(1, &set, SlotIndex(8), confirm(&value(), 1..=2))),
            Unproven::OtherSlot { node, found: SlotIndex(8) },
        ),
        (with(0, say(1, &set, SLOT, confirm(&Value::new(b"rival"), 1..=2))), Unproven::OtherValue { node }),
        (with(0, say(1, &stranger, SLOT, confirm(&value(), 1..=2))), Unproven::NoSet { node, hash: stranger.hash() }),
        (with(0, say(1, &set, SLOT, prepare)), Unproven::OtherKind { node }),
        (with(0, say(1, &set, SLOT, malformed)), Unproven::Malformed { node }),
        (twice, Unproven::Twice { node }),
        (good()[..2].to_vec(), Unproven::NoQuorum { signers: 2, set: set.hash() }),
        (Vec::new(), Unproven::NoQuorum { signers: 0, set: set.hash() }),
        // Each accepts a counter, but no three the same.
        (with(0, say(1, &set, SLOT, confirm(&value(), 4..=5))), Unproven::NoQuorum { signers: 3, set: set.hash() }),
    ];
    for (statements, refused) in table {
        assert_eq!(checked(&statements, std::slice::from_ref(&set), &set), Err(refused));
    }
    let unsatisfied = of(2, &[4, 8]);
    let refused = checked(&good(), &[set], &unsatisfied).unwrap_err();
    assert_eq!(refused, Unproven::NoQuorum { signers: 3, set: unsatisfied.hash() });
    assert!(refused.is_matter_of_trust());
}

#[test]
fn a_sender_whose_own_set_is_not_satisfied_does_not_count() {
    let set = three_of_four();
    let wary = of(2, &[1, 8]);
    let mut statements = good();
    statements[0] = say(1, &wary, SLOT, confirm(&value(), 1..=2));
    let refused = checked(&statements, &[set.clone(), wary.clone()], &set).unwrap_err();
    assert_eq!(refused, Unproven::NoQuorum { signers: 3, set: set.hash() });
    // EXTERNALIZE stands for its sender alone, whatever set it names.
    statements[0] = say(1, &wary, SLOT, externalize(&value(), 1));
    assert!(checked(&statements, std::slice::from_ref(&set), &set).is_ok());
}

fn shared(sets: &[QuorumSet]) -> BTreeMap<Hash, Arc<QuorumSet>> {
    sets.iter().map(|set| (set.hash(), Arc::new(set.clone()))).collect()
}

#[test]
fn a_minimal_proof_keeps_three_of_four_in_whatever_order_they_come() {
    let set = three_of_four();
    let all = [good(), vec![say(4, &set, SLOT, confirm(&value(), 1..=9))]].concat();
    let sets = shared(std::slice::from_ref(&set));
    let kept = minimal(all.clone(), &sets, &set);
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().any(|signed| signed.statement.node == id(3)), "EXTERNALIZE is kept");
    assert!(checked(&kept, std::slice::from_ref(&set), &set).is_ok());
    let turned: Vec<SignedStatement> = all.into_iter().rev().collect();
    assert_eq!(minimal(turned, &sets, &set), kept);
    // No quorum: nothing is dropped.
    assert_eq!(minimal(good()[..2].to_vec(), &sets, &set).len(), 2);
}

/// Up to eight nodes, each with CONFIRM at some counters or EXTERNALIZE, and one of three sets.
fn statements() -> impl Strategy<Value = (Vec<SignedStatement>, Vec<QuorumSet>)> {
    let sets =
        proptest::collection::vec((1u32..4, proptest::sample::subsequence((1u8..9).collect::<Vec<_>>(), 3..6)), 3);
    let says = proptest::collection::vec(proptest::option::of((0usize..3, 1u32..3, 0u32..3, any::<bool>())), 8);
    (sets, says).prop_map(|(sets, says)| {
        let sets: Vec<QuorumSet> = sets.iter().map(|(threshold, nodes)| of(*threshold, nodes)).collect();
        let say = |(node, what): (u8, &Option<(usize, u32, u32, bool)>)| {
            let (set, first, more, decided) = (*what)?;
            let pledge = if decided { externalize(&value(), first) } else { confirm(&value(), first..=first + more) };
            Some(say(node, sets.get(set)?, SLOT, pledge))
        };
        ((1u8..9).zip(&says).filter_map(say).collect(), sets)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_proof_holds_exactly_when_the_core_finds_a_quorum_at_some_counter((statements, sets) in statements()) {
        let local = &sets[0];
        let found = (1..=9u32).any(|counter| {
            let accepts = |signed: &&SignedStatement| {
                accepted(&signed.statement.pledge).is_some_and(|(_, counters)| counters.contains(&counter))
            };
            let sender = |signed: &SignedStatement| {
                let statement = &signed.statement;
                let set = match statement.pledge {
                    Pledge::Externalize { .. } => QuorumSet::singleton(statement.node),
                    Pledge::Nominate { .. } | Pledge::Prepare { .. } | Pledge::Confirm { .. } => sets.iter().find(|set| set.hash() == statement.quorum_set).unwrap().clone(),
                };
                (statement.node, SenderSet::Known(Arc::new(set)))
            };
            quorum_among(local, &statements.iter().filter(accepts).map(sender).collect()).is_some()
        });
        prop_assert_eq!(checked(&statements, &sets, local).is_ok(), found);
    }

    #[test]
    fn of_a_minimal_proof_every_statement_is_needed((statements, sets) in statements()) {
        let local = &sets[0];
        let kept = minimal(statements.clone(), &shared(&sets), local);
        let holds = checked(&kept, &sets, local).is_ok();
        prop_assert_eq!(holds, checked(&statements, &sets, local).is_ok());
        for at in 0..kept.len() {
            let mut fewer = kept.clone();
            fewer.remove(at);
            prop_assert!(!holds || checked(&fewer, &sets, local).is_err());
        }
    }
}
