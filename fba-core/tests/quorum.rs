//! Fast quorum code against slow, obvious code on random sets.

use fba_core::{NodeId, QuorumSet, QuorumSetError, SenderSet, quorum_among};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NODES: u8 = 6;

fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn nodes(list: impl IntoIterator<Item = u8>) -> BTreeSet<NodeId> {
    list.into_iter().map(node).collect()
}

fn flat(threshold: u32, list: impl IntoIterator<Item = u8>) -> QuorumSet {
    QuorumSet::new(threshold, list.into_iter().map(node).collect(), Vec::new()).expect("the test lists a sane set")
}

/// Every subset of nodes 0 to NODES − 1.
fn subsets() -> impl Iterator<Item = BTreeSet<NodeId>> {
    (0u32..1 << NODES).map(|bits| nodes((0..NODES).filter(|n| bits & (1 << n) != 0)))
}

prop_compose! {
    /// Some nodes at the top, the others dealt to two inner sets; thresholds anything sane.
    fn any_set()(places in prop::collection::vec(0u8..4, NODES as usize), seeds in any::<[u32; 3]>()) -> QuorumSet {
        let at = |place: u8| -> Vec<NodeId> {
            (0..NODES).zip(&places).filter(|(_, p)| **p == place).map(|(n, _)| node(n)).collect()
        };
        let pick = |seed: u32, members: usize| 1 + seed % u32::try_from(members).expect("a handful");
        let inner: Vec<QuorumSet> = [(at(1), seeds[1]), (at(2), seeds[2])]
            .into_iter()
            .filter(|(members, _)| !members.is_empty())
            .map(|(members, seed)| QuorumSet::new(pick(seed, members.len()), members, Vec::new()).expect("sane"))
            .collect();
        let mut top = at(0);
        if top.is_empty() && inner.is_empty() {
            top.push(node(0));
        }
        let threshold = pick(seeds[0], top.len() + inner.len());
        QuorumSet::new(threshold, top, inner).expect("sane")
    }
}

proptest! {
    #[test]
    fn a_set_is_v_blocking_when_no_slice_avoids_it(set in any_set()) {
        for some in subsets() {
            let others: BTreeSet<NodeId> = nodes(0..NODES).difference(&some).copied().collect();
            prop_assert_eq!(set.is_v_blocking(&some), !set.is_slice(&others));
        }
    }

    #[test]
    fn the_normal_form_has_the_same_slices(set in any_set()) {
        let normal = set.normalized();
        prop_assert_eq!(&normal.normalized(), &normal);
        prop_assert!(normal.is_sane());
        for some in subsets() {
            prop_assert_eq!(set.is_slice(&some), normal.is_slice(&some));
        }
    }

    #[test]
    fn the_closest_v_blocking_part_breaks_every_slice(set in any_set()) {
        for up in subsets() {
            let part: BTreeSet<NodeId> = set.closest_v_blocking(&up).into_iter().collect();
            prop_assert_eq!(part.is_empty(), !set.is_slice(&up));
            prop_assert!(part.is_subset(&up));
            let left: BTreeSet<NodeId> = up.difference(&part).copied().collect();
            prop_assert!(!set.is_slice(&left));
        }
    }

    #[test]
    fn a_quorum_is_found_when_one_exists(
        local in any_set(),
        sets in prop::collection::vec(prop::option::weighted(0.9, any_set()), NODES as usize),
        present in any::<u8>(),
    ) {
        let senders: BTreeMap<NodeId, SenderSet> = (0..NODES)
            .zip(&sets)
            .filter(|(n, _)| present & (1 << n) != 0)
            .map(|(n, set)| {
                (node(n), set.clone().map_or(SenderSet::Unresolved, |set| SenderSet::Known(Arc::new(set))))
            })
            .collect();
        let finds_slice = |member: &NodeId, among: &BTreeSet<NodeId>| match senders.get(member) {
            Some(SenderSet::Known(set)) => set.is_slice(among),
            Some(SenderSet::Unresolved) | None => false,
        };
        // The definition: some subset in which everybody, and the local node, finds a slice.
        let quorums: Vec<BTreeSet<NodeId>> = subsets()
            .filter(|some| local.is_slice(some) && some.iter().all(|member| finds_slice(member, some)))
            .collect();
        let found = quorum_among(&local, &senders);
        prop_assert_eq!(found.is_some(), !quorums.is_empty());
        if let Some(found) = found {
            prop_assert!(quorums.contains(&found));
            prop_assert!(quorums.iter().all(|quorum| quorum.is_subset(&found)));
        }
    }
}

#[test]
fn sanity_is_checked_at_its_limits() {
    let list = |n: u16| -> Vec<NodeId> {
        (0..n)
            .map(|n| {
                let mut key = [0; 32];
                key[..2].copy_from_slice(&n.to_be_bytes());
                NodeId(key)
            })
            .collect()
    };
    assert!(QuorumSet::new(1, list(1000), Vec::new()).is_ok());
    assert_eq!(QuorumSet::new(1, list(1001), Vec::new()), Err(QuorumSetError::ValidatorCount(1001)));
    let halves = list(1001).chunks(501).map(|half| QuorumSet::new(1, half.to_vec(), Vec::new()).unwrap()).collect();
    assert_eq!(QuorumSet::new(1, Vec::new(), halves), Err(QuorumSetError::ValidatorCount(1001)));
    assert_eq!(
        QuorumSet::new(0, list(1), Vec::new()),
        Err(QuorumSetError::ThresholdOutOfRange { threshold: 0, members: 1 })
    );
    assert_eq!(
        QuorumSet::new(2, list(1), Vec::new()),
        Err(QuorumSetError::ThresholdOutOfRange { threshold: 2, members: 1 })
    );
    assert_eq!(QuorumSet::new(1, vec![node(1)], vec![flat(1, [1])]), Err(QuorumSetError::Duplicate(node(1))));
    let insane = QuorumSet::unchecked(3, vec![node(1)], Vec::new());
    assert!(!insane.is_sane());
    assert!(QuorumSet::new(1, vec![node(2)], vec![insane]).is_err());
}

#[test]
fn four_levels_of_inner_sets_are_accepted_and_five_are_not() {
    let mut set = flat(1, [0]);
    for _ in 0..4 {
        set = QuorumSet::new(1, Vec::new(), vec![set]).unwrap();
    }
    assert_eq!(QuorumSet::new(1, Vec::new(), vec![set.clone()]), Err(QuorumSetError::TooDeep));
    assert_eq!(set.normalized(), flat(1, [0]));
}

#[test]
fn weight_is_the_product_of_the_fractions_on_the_path() {
    let three_of_four = flat(3, 0..4);
    assert_eq!(three_of_four.weight(node(0)), u64::MAX / 4 * 3 + 3); // ⌈(2^64 − 1) · 3 ÷ 4⌉
    assert_eq!(three_of_four.weight(node(9)), 0);
    let nested = QuorumSet::new(3, (0..4).map(node).collect(), vec![flat(1, [8, 9])]).unwrap();
    let inner = u64::MAX / 2 + 1;
    let expected = (u128::from(inner) * 3).div_ceil(5);
    assert_eq!(u128::from(nested.weight(node(9))), expected);
}

#[test]
fn one_who_needs_only_us_takes_the_threshold_down_with_us() {
    let set = flat(1, [0, 1]);
    let others = set.without(node(0));
    assert_eq!(others.tree().threshold(), 0);
    assert_eq!(others.weight(node(1)), 0);
    assert_eq!(others.nodes(), nodes([1]));
}

#[test]
fn majority_thresholds_are_asked_for_at_every_level() {
    assert!(flat(3, 0..5).has_majority_thresholds());
    assert!(!flat(2, 0..5).has_majority_thresholds());
    let half_inside = QuorumSet::new(1, Vec::new(), vec![flat(1, [0, 1])]).unwrap();
    assert!(!half_inside.has_majority_thresholds());
}
