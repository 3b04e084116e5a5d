//! Quorums: sets of nodes each of which finds a slice of its own inside the set.

use crate::{Budget, Network, NodeIndex, NodeSet, OutOfBudget};
use std::ops::ControlFlow;

/// Is `nodes` a quorum: not empty, and each node finds a slice of its own inside?
#[must_use]
pub fn is_quorum(network: &Network, nodes: &NodeSet) -> bool {
    !nodes.is_empty() && nodes.iter().all(|node| network.demand(node).is_some_and(|demand| demand.is_slice(nodes)))
}

/// The union of all quorums inside `nodes`, which is a quorum itself; empty if there is none.
#[must_use]
pub fn greatest_quorum(network: &Network, nodes: &NodeSet) -> NodeSet {
    let mut quorum = nodes.clone();
    loop {
        let left: NodeSet =
            quorum.iter().filter(|node| network.demand(*node).is_some_and(|demand| demand.is_slice(&quorum))).collect();
        if left == quorum {
            return quorum;
        }
        quorum = left;
    }
}

/// Is there a quorum inside `nodes`?
#[must_use]
pub fn contains_quorum(network: &Network, nodes: &NodeSet) -> bool {
    !greatest_quorum(network, nodes).is_empty()
}

/// A quorum inside `nodes` that contains no smaller one; empty if there is none.
#[must_use]
pub fn some_minimal_quorum(network: &Network, nodes: &NodeSet) -> NodeSet {
    let mut quorum = greatest_quorum(network, nodes);
    for node in nodes.iter() {
        if quorum.contains(node) {
            let smaller = greatest_quorum(network, &quorum.without(node));
            if !smaller.is_empty() {
                quorum = smaller;
            }
        }
    }
    quorum
}

/// Every quorum that contains no smaller one.
///
/// # Errors
/// [`OutOfBudget`]. There can be exponentially many.
pub fn minimal_quorums(network: &Network, budget: &mut Budget) -> Result<Vec<NodeSet>, OutOfBudget> {
    let mut found = Vec::new();
    let search = Search {
        network,
        prune: |_: &NodeSet| false,
        visit: |quorum: &NodeSet| {
            if is_minimal(network, quorum) {
                found.push(quorum.clone());
            }
            ControlFlow::<()>::Continue(())
        },
    };
    let _never_broken = search.run(&network.all(), budget)?;
    Ok(found)
}

fn is_minimal(network: &Network, quorum: &NodeSet) -> bool {
    quorum.iter().all(|node| !contains_quorum(network, &quorum.without(node)))
}

/// A branch and bound over sets of nodes: in each branch some are taken, some are still open, the rest is left out.
/// `visit` sees a taken set as soon as it contains a quorum; every minimal quorum is seen unless its branch is pruned.
pub(crate) struct Search<'n, P, V> {
    pub(crate) network: &'n Network,
    /// Should this taken set (and all that grow from it) be skipped?
    pub(crate) prune: P,
    pub(crate) visit: V,
}

impl<B, P: Fn(&NodeSet) -> bool, V: FnMut(&NodeSet) -> ControlFlow<B>> Search<'_, P, V> {
    pub(crate) fn run(mut self, nodes: &NodeSet, budget: &mut Budget) -> Result<Option<B>, OutOfBudget> {
        // A stack instead of recursion: a large network must not exhaust the thread's.
        let mut branches = vec![(NodeSet::new(), nodes.clone())];
        while let Some((taken, open)) = branches.pop() {
            budget.step()?;
            if (self.prune)(&taken) {
                continue;
            }
            if contains_quorum(self.network, &taken) {
                match (self.visit)(&taken) {
                    ControlFlow::Break(found) => return Ok(Some(found)),
                    ControlFlow::Continue(()) => continue,
                }
            }
            let greatest = greatest_quorum(self.network, &taken.union(&open));
            if greatest.is_empty() || !taken.is_subset(&greatest) {
                continue;
            }
            let open = open.intersection(&greatest);
            let Some(next) = self.most_listed(&taken, &open) else { continue };
            let open = open.without(next);
            branches.push((taken.clone(), open.clone()));
            branches.push((taken.with(next), open));
        }
        Ok(None)
    }

    /// The open node that most of the taken nodes list: whether it is in decides most.
    fn most_listed(&self, taken: &NodeSet, open: &NodeSet) -> Option<NodeIndex> {
        let sources = if taken.is_empty() { open } else { taken };
        let listed: Vec<NodeSet> =
            sources.iter().filter_map(|node| self.network.demand(node)).map(|demand| demand.nodes()).collect();
        // `max_by_key` keeps the last of equals; reversing makes it the lowest index.
        let count = |node: &NodeIndex| listed.iter().filter(|nodes| nodes.contains(*node)).count();
        open.iter().collect::<Vec<_>>().into_iter().rev().max_by_key(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brute;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn quorums_are_those_of_the_definition(network in brute::networks()) {
            for nodes in brute::subsets(&network) {
                prop_assert_eq!(is_quorum(&network, &nodes), brute::is_quorum(&network, &nodes));
                prop_assert_eq!(greatest_quorum(&network, &nodes), brute::greatest_quorum(&network, &nodes));
            }
        }

        #[test]
        fn minimal_quorums_are_all_found_once(network in brute::networks()) {
            let found = minimal_quorums(&network, &mut Budget::default()).unwrap();
            let distinct: BTreeSet<_> = found.iter().cloned().collect();
            prop_assert_eq!(distinct.len(), found.len());
            prop_assert_eq!(distinct, brute::minimal_quorums(&network));
        }

        #[test]
        fn some_minimal_quorum_is_one(network in brute::networks()) {
            let quorum = some_minimal_quorum(&network, &network.all());
            let minimal = brute::minimal_quorums(&network);
            prop_assert!(minimal.contains(&quorum) || (quorum.is_empty() && minimal.is_empty()));
        }
    }

    #[test]
    fn a_search_without_budget_says_so() {
        let network = brute::symmetric(4, 3);
        assert_eq!(minimal_quorums(&network, &mut Budget::steps(3)), Err(OutOfBudget));
    }
}
