//! Blocking sets: nodes (or organisations) whose failure leaves no quorum, so that the network halts.

use crate::quorum::{contains_quorum, greatest_quorum, some_minimal_quorum};
use crate::{Budget, Group, Network, NodeSet, OutOfBudget};

/// Does the network halt when these nodes stop?
#[must_use]
pub fn is_blocking(network: &Network, nodes: &NodeSet) -> bool {
    !contains_quorum(network, &network.all().difference(nodes))
}

/// A smallest set of nodes whose failure halts the network; empty if it has no quorum to begin with.
///
/// # Errors
/// [`OutOfBudget`].
pub fn smallest(network: &Network, budget: &mut Budget) -> Result<NodeSet, OutOfBudget> {
    for size in 0..=network.len() {
        let mut search = NodeSearch { network, budget: &mut *budget, found: Vec::new(), all: false };
        search.run(NodeSet::new(), NodeSet::new(), size)?;
        if let Some(found) = search.found.pop() {
            return Ok(found);
        }
    }
    // Without any node there is no quorum, so the last size always finds one.
    Ok(network.all())
}

/// Every set of at most `size` nodes that halts the network and has no smaller part that does.
///
/// # Errors
/// [`OutOfBudget`].
pub fn minimal(network: &Network, size: usize, budget: &mut Budget) -> Result<Vec<NodeSet>, OutOfBudget> {
    let mut search = NodeSearch { network, budget, found: Vec::new(), all: true };
    search.run(NodeSet::new(), NodeSet::new(), size)?;
    let is_minimal = |set: &NodeSet| set.iter().all(|node| !is_blocking(network, &set.without(node)));
    search.found.retain(is_minimal);
    Ok(search.found)
}

/// A smallest choice of groups (positions in `groups`) whose failure together halts the network; `None` if even all of
/// them do not.
///
/// # Errors
/// [`OutOfBudget`].
pub fn smallest_of_groups(
    network: &Network,
    groups: &[Group],
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, OutOfBudget> {
    for size in 0..=groups.len() {
        let mut search = GroupSearch { network, groups, budget: &mut *budget };
        if let Some(chosen) = search.run(&Vec::new(), &Vec::new(), size)? {
            return Ok(Some(chosen));
        }
    }
    Ok(None)
}

/// A blocking set meets every minimal quorum: take any that still stands and branch on which of its nodes fails.
/// Nodes tried in an earlier branch are kept up in the later ones, so no set is reached twice.
struct NodeSearch<'n, 'b> {
    network: &'n Network,
    budget: &'b mut Budget,
    found: Vec<NodeSet>,
    all: bool,
}

impl NodeSearch<'_, '_> {
    fn run(&mut self, failed: NodeSet, kept: NodeSet, size: usize) -> Result<(), OutOfBudget> {
        self.budget.step()?;
        let up = greatest_quorum(self.network, &self.network.all().difference(&failed));
        if up.is_empty() {
            self.found.push(failed);
            return Ok(());
        }
        if at_least(self.network, &up, &kept).is_none_or(|least| least > size) {
            return Ok(());
        }
        let Some(left) = size.checked_sub(1) else { return Ok(()) };
        let mut kept = kept;
        for node in some_minimal_quorum(self.network, &up).difference(&kept).iter() {
            self.run(failed.with(node), kept.clone(), left)?;
            if !self.found.is_empty() && !self.all {
                return Ok(());
            }
            kept.insert(node);
        }
        Ok(())
    }
}

/// At least so many nodes of the quorum `up` have to fail; `None` if no number helps while `kept` stay up.
///
/// Either all of `up` fails, or somebody in it stays and has every slice inside `up` broken.
fn at_least(network: &Network, up: &NodeSet, kept: &NodeSet) -> Option<usize> {
    let everybody = (!up.intersects(kept)).then_some(up.len());
    let somebody =
        up.iter().filter_map(|node| network.demand(node)).filter_map(|demand| demand.cost_to_block(up, kept)).min();
    match (everybody, somebody) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// As [`NodeSearch`], over groups.
struct GroupSearch<'n, 'b> {
    network: &'n Network,
    groups: &'n [Group],
    budget: &'b mut Budget,
}

impl GroupSearch<'_, '_> {
    fn run(&mut self, failed: &[usize], kept: &[usize], size: usize) -> Result<Option<Vec<usize>>, OutOfBudget> {
        self.budget.step()?;
        let up = greatest_quorum(self.network, &self.network.all().difference(&self.nodes(failed)));
        if up.is_empty() {
            return Ok(Some(failed.to_vec()));
        }
        // A group takes out no more nodes than the largest has.
        let largest = self.groups.iter().map(|group| group.nodes.len()).max().unwrap_or(0);
        let reach = size.saturating_mul(largest);
        if at_least(self.network, &up, &self.nodes(kept)).is_none_or(|least| least > reach) {
            return Ok(None);
        }
        let Some(left) = size.checked_sub(1) else { return Ok(None) };
        let quorum = some_minimal_quorum(self.network, &up);
        let mut kept = kept.to_vec();
        let touched = self.groups.iter().enumerate().filter(|(_, group)| group.nodes.intersects(&quorum));
        for (index, _) in touched {
            if kept.contains(&index) {
                continue;
            }
            let failed = [failed, &[index]].concat();
            if let Some(found) = self.run(&failed, &kept, left)? {
                return Ok(Some(found));
            }
            kept.push(index);
        }
        Ok(None)
    }

    fn nodes(&self, chosen: &[usize]) -> NodeSet {
        let groups = chosen.iter().filter_map(|index| self.groups.get(*index));
        groups.fold(NodeSet::new(), |nodes, group| nodes.union(&group.nodes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeIndex, brute};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn groups_of_two(network: &Network) -> Vec<Group> {
        let pairs = (0..network.len()).step_by(2);
        let nodes = |first: usize| [first, first + 1].into_iter().filter(|i| *i < network.len()).map(NodeIndex);
        pairs.map(|first| Group { name: first.to_string(), nodes: nodes(first).collect() }).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn minimal_blocking_sets_are_those_of_the_definition(network in brute::networks()) {
            let found = minimal(&network, network.len(), &mut Budget::default()).unwrap();
            let distinct: BTreeSet<_> = found.iter().cloned().collect();
            prop_assert_eq!(distinct.len(), found.len());
            prop_assert_eq!(distinct, brute::minimal_blocking(&network));
        }

        #[test]
        fn the_smallest_blocking_set_is_smallest(network in brute::networks()) {
            let found = smallest(&network, &mut Budget::default()).unwrap();
            prop_assert!(is_blocking(&network, &found));
            let least = brute::minimal_blocking(&network).iter().map(NodeSet::len).min();
            prop_assert_eq!(Some(found.len()), least);
        }

        #[test]
        fn the_smallest_choice_of_groups_is_smallest(network in brute::networks()) {
            let groups = groups_of_two(&network);
            let found = smallest_of_groups(&network, &groups, &mut Budget::default()).unwrap().unwrap();
            let down = |chosen: &NodeSet| {
                let groups = chosen.iter().map(|i| &groups[i.0].nodes);
                groups.fold(NodeSet::new(), |down, nodes| down.union(nodes))
            };
            prop_assert!(is_blocking(&network, &down(&found.iter().copied().map(NodeIndex).collect())));
            let choices = brute::subsets_of(groups.len());
            let least = choices.iter().filter(|chosen| is_blocking(&network, &down(chosen))).map(NodeSet::len).min();
            prop_assert_eq!(Some(found.len()), least);
        }
    }

    #[test]
    fn a_top_tier_of_seven_organisations_of_three_halts_with_six_nodes_or_three_organisations() {
        let (network, groups) = brute::tier(7, 3, 5, 2);
        assert_eq!(smallest(&network, &mut Budget::default()).unwrap().len(), 6);
        assert_eq!(smallest_of_groups(&network, &groups, &mut Budget::default()).unwrap().unwrap().len(), 3);
    }

    #[test]
    fn many_equal_nodes_are_no_long_search() {
        let (network, groups) = brute::tier(27, 1, 19, 1);
        let mut budget = Budget::steps(1_000);
        assert_eq!(smallest(&network, &mut budget).unwrap().len(), 9);
        assert_eq!(smallest_of_groups(&network, &groups, &mut budget).unwrap().unwrap().len(), 9);
    }

    #[test]
    fn a_search_without_budget_says_so() {
        assert_eq!(smallest(&brute::symmetric(9, 6), &mut Budget::steps(1)), Err(OutOfBudget));
    }
}
