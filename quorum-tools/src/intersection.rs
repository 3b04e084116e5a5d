//! Do every two quorums have a node in common? If not, the network can agree on two different things.

use crate::components::components;
use crate::network::Demand;
use crate::quorum::{Search, contains_quorum, greatest_quorum, some_minimal_quorum};
use crate::{Budget, Network, NodeSet, OutOfBudget};
use std::ops::ControlFlow;

/// The answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Every two quorums share a node.
    Intersects,
    /// These two quorums share none. Both are minimal.
    Splits(NodeSet, NodeSet),
    /// There is no quorum at all: the network cannot agree on anything.
    NoQuorum,
    /// Not known within the budget.
    Unknown,
}

/// Decides whether every two quorums of `network` intersect. Exact; [`Verdict::Unknown`] only when `budget` runs out.
///
/// Every minimal quorum lies inside one strongly connected component. Two components with a quorum each are a split;
/// inside the only one, of two disjoint quorums one has at most half of the nodes, so only those are searched, and only
/// while what is left outside still has a quorum. Where all nodes want the same, as in a network with one generated
/// quorum set, no search is needed: two quorums are two slices of that one set.
#[must_use]
pub fn verdict(network: &Network, budget: &mut Budget) -> Verdict {
    let live = greatest_quorum(network, &network.all());
    let mut homes = components(network, &live).into_iter().filter(|nodes| contains_quorum(network, nodes));
    match (homes.next(), homes.next()) {
        (None, _) => Verdict::NoQuorum,
        (Some(a), Some(b)) => Verdict::Splits(some_minimal_quorum(network, &a), some_minimal_quorum(network, &b)),
        (Some(home), None) => match inside(network, &home, budget) {
            Ok(None) => Verdict::Intersects,
            Ok(Some((a, b))) => Verdict::Splits(a, b),
            Err(OutOfBudget) => Verdict::Unknown,
        },
    }
}

fn inside(network: &Network, home: &NodeSet, budget: &mut Budget) -> Result<Option<(NodeSet, NodeSet)>, OutOfBudget> {
    if let Some(demand) = common_demand(network, home) {
        let minimal = |slice| some_minimal_quorum(network, &slice);
        return Ok(demand.disjoint_slices(home).map(|(a, b)| (minimal(a), minimal(b))));
    }
    let half = home.len() / 2;
    let search = Search {
        network,
        prune: |taken: &NodeSet| taken.len() > half || !contains_quorum(network, &home.difference(taken)),
        visit: |taken: &NodeSet| {
            // Not pruned, so there is a quorum on the other side.
            let other = some_minimal_quorum(network, &home.difference(taken));
            ControlFlow::Break((some_minimal_quorum(network, taken), other))
        },
    };
    search.run(home, budget)
}

/// What every node of `home` wants, if they all want the same.
fn common_demand<'n>(network: &'n Network, home: &NodeSet) -> Option<&'n Demand> {
    let mut demands = home.iter().map(|node| network.demand(node));
    let first = demands.next()??;
    demands.all(|demand| demand == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brute;
    use crate::quorum::is_quorum;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_verdict_is_that_of_the_definition(network in brute::networks()) {
            let quorums: Vec<_> = brute::minimal_quorums(&network).into_iter().collect();
            let disjoint = quorums.iter().any(|a| quorums.iter().any(|b| !a.intersects(b)));
            match verdict(&network, &mut Budget::default()) {
                Verdict::NoQuorum => prop_assert!(quorums.is_empty()),
                Verdict::Intersects => prop_assert!(!quorums.is_empty() && !disjoint),
                Verdict::Splits(a, b) => {
                    prop_assert!(!a.intersects(&b));
                    prop_assert!(is_quorum(&network, &a) && is_quorum(&network, &b));
                    prop_assert!(quorums.contains(&a) && quorums.contains(&b));
                }
                Verdict::Unknown => prop_assert!(false, "eight nodes fit in the budget"),
            }
        }
    }

    #[test]
    fn a_majority_of_equals_intersects_and_half_does_not() {
        assert_eq!(verdict(&brute::symmetric(5, 3), &mut Budget::default()), Verdict::Intersects);
        let half = verdict(&brute::symmetric(4, 2), &mut Budget::default());
        assert!(matches!(half, Verdict::Splits(_, _)), "{half:?}");
    }

    #[test]
    fn top_tiers_of_todays_size_are_decided_within_the_default_budget() {
        let (network, _) = brute::tier(7, 3, 5, 2);
        assert_eq!(verdict(&network, &mut Budget::default()), Verdict::Intersects);
        let (network, _) = brute::tier(8, 3, 5, 2);
        assert_eq!(verdict(&network, &mut Budget::default()), Verdict::Intersects);
        let (network, _) = brute::tier(8, 3, 4, 2);
        assert!(matches!(verdict(&network, &mut Budget::default()), Verdict::Splits(_, _)));
    }

    #[test]
    fn a_search_without_budget_is_unknown() {
        let set = |threshold, nodes: std::ops::Range<usize>| {
            fba_core::QuorumSet::new(threshold, nodes.map(brute::id).collect(), vec![]).unwrap()
        };
        let node = |i| (brute::id(i), Some(set(if i == 0 { 7 } else { 6 }, 0..9)));
        let network = Network::new((0..9).map(node)).unwrap();
        assert_eq!(verdict(&network, &mut Budget::steps(2)), Verdict::Unknown);
        assert_eq!(verdict(&network, &mut Budget::default()), Verdict::Intersects);
    }

    #[test]
    fn nobody_whose_set_is_known_means_no_quorum() {
        let network = Network::new([(fba_core::NodeId([1; 32]), None)]).unwrap();
        assert_eq!(verdict(&network, &mut Budget::default()), Verdict::NoQuorum);
    }
}
