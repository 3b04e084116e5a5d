//! What a quorum set, or the sets of several files together, can stand: who must fail before the network halts, and
//! whether it can split.

use super::trust::Directory;
use super::tree;
use fba_core::{NodeId, QuorumSet};
use quorum_tools::intersection::{Verdict, verdict};
use quorum_tools::{Budget, Group, Network, OutOfBudget, blocking};
use std::collections::BTreeMap;

/// What a network can stand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Safety {
    /// Can it agree on two different things?
    pub intersection: Intersection,
    /// A smallest choice of organisations that halts it; `None` when not known within the budget. A node of no known
    /// organisation counts as one of its own.
    pub halting_organizations: Option<Vec<String>>,
    /// How many organisations there are.
    pub organizations: usize,
    /// A smallest choice of nodes that halts it; `None` when not known within the budget.
    pub halting_nodes: Option<Vec<NodeId>>,
    /// How many nodes there are.
    pub nodes: usize,
}

/// Do every two quorums share a node?
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Intersection {
    /// Yes.
    Intersects,
    /// No: these two do not.
    Splits(Vec<NodeId>, Vec<NodeId>),
    /// There is no quorum.
    NoQuorum,
    /// Not known within the budget.
    Unknown,
}

/// What the network of these nodes can stand. Names come from `directory`.
#[must_use]
pub fn assess(sets: BTreeMap<NodeId, QuorumSet>, directory: &Directory) -> Safety {
    let sets = sets.into_iter().map(|(node, set)| (node, Some(set)));
    let network = Network::new(sets).expect("keys of a map are distinct");
    let intersection = match verdict(&network, &mut Budget::default()) {
        Verdict::Intersects => Intersection::Intersects,
        Verdict::Splits(a, b) => Intersection::Splits(network.ids(&a), network.ids(&b)),
        Verdict::NoQuorum => Intersection::NoQuorum,
        Verdict::Unknown => Intersection::Unknown,
    };
    let domain = |node: NodeId| directory.get(&node)?.home_domain.as_ref().map(ToString::to_string);
    let groups = network.groups(domain, |node| tree::name(node, directory));
    Safety {
        intersection,
        halting_organizations: halting_groups(&network, &groups),
        organizations: groups.len(),
        halting_nodes: known(blocking::smallest(&network, &mut Budget::default())).map(|set| network.ids(&set)),
        nodes: network.len(),
    }
}

fn halting_groups(network: &Network, groups: &[Group]) -> Option<Vec<String>> {
    let chosen = known(blocking::smallest_of_groups(network, groups, &mut Budget::default()))?;
    // All groups together are all nodes, which halts anything.
    let chosen = chosen.unwrap_or_default();
    Some(chosen.iter().filter_map(|i| groups.get(*i)).map(|group| group.name.clone()).collect())
}

fn known<T>(answer: Result<T, OutOfBudget>) -> Option<T> {
    answer.ok()
}

/// The network in which everybody in `set`, and `own`, uses `set`.
pub(super) fn shared(own: NodeId, set: &QuorumSet) -> BTreeMap<NodeId, QuorumSet> {
    set.nodes().into_iter().chain([own]).map(|node| (node, set.clone())).collect()
}

/// Of use where a set is only counted.
pub(super) fn is_alone(own: NodeId, set: &QuorumSet) -> bool {
    set.nodes().into_iter().all(|node| node == own)
}

