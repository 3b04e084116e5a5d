//! The nodes of a network, the quorum sets they declare, and who runs them.

use crate::NodeSet;
use fba_core::{NodeId, QuorumSet};
use std::collections::BTreeMap;

/// The position of a node in its [`Network`]: 0 up to the number of nodes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeIndex(pub usize);

/// Nodes that fail together, as those of one organisation do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// What to call it: a home domain, or a node's own name.
    pub name: String,
    /// Its nodes.
    pub nodes: NodeSet,
}

/// The nodes of a network with their quorum sets. Nodes are numbered in the order of their keys.
#[derive(Clone, Debug)]
pub struct Network {
    nodes: Vec<Node>,
    index: BTreeMap<NodeId, NodeIndex>,
}

#[derive(Clone, Debug)]
struct Node {
    id: NodeId,
    quorum_set: Option<QuorumSet>,
    demand: Option<Demand>,
}

/// A quorum set over indices. Nodes listed in it that are not in the network never agree: they are no member here, but
/// the threshold and the number of members are as declared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Demand {
    pub(crate) threshold: usize,
    pub(crate) members: usize,
    pub(crate) validators: NodeSet,
    pub(crate) inner: Vec<Demand>,
}

/// Why no network could be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// A node is given twice.
    #[error("node {0} is given twice; give each node one quorum set")]
    Duplicate(NodeId),
}

impl Network {
    /// A network of these nodes. A node whose quorum set is not known (`None`) is in no quorum.
    ///
    /// # Errors
    /// [`NetworkError::Duplicate`].
    pub fn new(nodes: impl IntoIterator<Item = (NodeId, Option<QuorumSet>)>) -> Result<Self, NetworkError> {
        let mut sets = BTreeMap::new();
        for (id, quorum_set) in nodes {
            if sets.insert(id, quorum_set).is_some() {
                return Err(NetworkError::Duplicate(id));
            }
        }
        let index: BTreeMap<_, _> = sets.keys().enumerate().map(|(i, id)| (*id, NodeIndex(i))).collect();
        let node = |(id, quorum_set): (NodeId, Option<QuorumSet>)| {
            let demand = quorum_set.as_ref().map(|set| Demand::new(set, &index));
            Node { id, quorum_set, demand }
        };
        Ok(Self { nodes: sets.into_iter().map(node).collect(), index })
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Are there no nodes at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes.
    #[must_use]
    pub fn all(&self) -> NodeSet {
        NodeSet::first(self.len())
    }

    /// The key of a node; `None` for an index of another network.
    #[must_use]
    pub fn id(&self, node: NodeIndex) -> Option<NodeId> {
        self.nodes.get(node.0).map(|node| node.id)
    }

    /// The keys of the nodes in `set`, ascending.
    #[must_use]
    pub fn ids(&self, set: &NodeSet) -> Vec<NodeId> {
        set.iter().filter_map(|node| self.id(node)).collect()
    }

    /// The position of a key, if the node is in the network.
    #[must_use]
    pub fn index(&self, id: NodeId) -> Option<NodeIndex> {
        self.index.get(&id).copied()
    }

    /// The set of those `ids` that are in the network.
    #[must_use]
    pub fn set(&self, ids: impl IntoIterator<Item = NodeId>) -> NodeSet {
        ids.into_iter().filter_map(|id| self.index(id)).collect()
    }

    /// The quorum set a node declares, if known.
    #[must_use]
    pub fn quorum_set(&self, node: NodeIndex) -> Option<&QuorumSet> {
        self.nodes.get(node.0)?.quorum_set.as_ref()
    }

    /// The nodes sorted into groups by name; every node without a name is a group of its own, named by `alone`.
    #[must_use]
    pub fn groups(&self, name: impl Fn(NodeId) -> Option<String>, alone: impl Fn(NodeId) -> String) -> Vec<Group> {
        let mut named: BTreeMap<String, NodeSet> = BTreeMap::new();
        let mut groups = Vec::new();
        for (index, node) in self.nodes.iter().enumerate().map(|(i, node)| (NodeIndex(i), node)) {
            match name(node.id) {
                Some(name) => named.entry(name).or_default().insert(index),
                None => groups.push(Group { name: alone(node.id), nodes: NodeSet::from_iter([index]) }),
            }
        }
        groups.extend(named.into_iter().map(|(name, nodes)| Group { name, nodes }));
        groups
    }

    pub(crate) fn demand(&self, node: NodeIndex) -> Option<&Demand> {
        self.nodes.get(node.0)?.demand.as_ref()
    }
}

impl Demand {
    fn new(set: &QuorumSet, index: &BTreeMap<NodeId, NodeIndex>) -> Self {
        Self {
            threshold: set.threshold() as usize,
            members: set.members() as usize,
            validators: set.validators().iter().filter_map(|id| index.get(id).copied()).collect(),
            inner: set.inner_sets().iter().map(|set| Self::new(set, index)).collect(),
        }
    }

    /// Does `nodes` contain a whole slice?
    pub(crate) fn is_slice(&self, nodes: &NodeSet) -> bool {
        let mut missing = self.threshold.saturating_sub(self.validators.common(nodes));
        for set in &self.inner {
            if missing == 0 {
                return true;
            }
            missing = missing.saturating_sub(usize::from(set.is_slice(nodes)));
        }
        missing == 0
    }

    /// Two slices inside `nodes` without a common node, if there are any.
    ///
    /// A node stands in one place of the tree, so members can be dealt out independently: one that has two disjoint
    /// slices itself serves both sides, any other only one.
    pub(crate) fn disjoint_slices(&self, nodes: &NodeSet) -> Option<(NodeSet, NodeSet)> {
        let mut sides = (Vec::new(), Vec::new());
        let mut single: Vec<NodeSet> =
            self.validators.intersection(nodes).iter().map(|node| NodeSet::from_iter([node])).collect();
        for set in &self.inner {
            if let Some((a, b)) = set.disjoint_slices(nodes) {
                sides.0.push(a);
                sides.1.push(b);
            } else if set.is_slice(nodes) {
                single.push(set.nodes().intersection(nodes));
            }
        }
        let mut singles = single.into_iter();
        for side in [&mut sides.0, &mut sides.1] {
            side.truncate(self.threshold);
            let missing = self.threshold.saturating_sub(side.len());
            side.extend(singles.by_ref().take(missing));
            if side.len() < self.threshold {
                return None;
            }
        }
        let whole = |side: Vec<NodeSet>| side.iter().fold(NodeSet::new(), |all, part| all.union(part));
        Some((whole(sides.0), whole(sides.1)))
    }

    /// Everybody named.
    pub(crate) fn nodes(&self) -> NodeSet {
        self.inner.iter().fold(self.validators.clone(), |nodes, set| nodes.union(&set.nodes()))
    }

    /// The fewest of `up` minus `kept` that must stop until no slice stands inside `up`; `None` if no number does.
    pub(crate) fn cost_to_block(&self, up: &NodeSet, kept: &NodeSet) -> Option<usize> {
        let standing = self.validators.intersection(up);
        let stuck = standing.common(kept);
        let free = standing.len().saturating_sub(stuck);
        let mut costs = vec![1; free];
        let mut up_members = standing.len();
        for set in &self.inner {
            match set.cost_to_block(up, kept) {
                Some(0) => {}
                Some(cost) => {
                    costs.push(cost);
                    up_members = up_members.saturating_add(1);
                }
                None => up_members = up_members.saturating_add(1),
            }
        }
        let wanted = up_members.saturating_add(1).saturating_sub(self.threshold);
        costs.sort_unstable();
        (wanted <= costs.len()).then(|| costs.iter().take(wanted).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    #[test]
    fn a_node_given_twice_is_refused() {
        let twice = Network::new([(id(1), None), (id(1), None)]);
        assert_eq!(twice.map(|network| network.len()), Err(NetworkError::Duplicate(id(1))));
    }

    #[test]
    fn nodes_are_numbered_in_the_order_of_their_keys() {
        let network = Network::new([(id(3), None), (id(1), None)]).unwrap();
        assert_eq!(network.index(id(1)), Some(NodeIndex(0)));
        assert_eq!(network.id(NodeIndex(1)), Some(id(3)));
        assert_eq!(network.id(NodeIndex(2)), None);
        assert_eq!(network.ids(&network.all()), [id(1), id(3)]);
    }

    #[test]
    fn a_listed_node_outside_the_network_never_agrees() {
        let set = QuorumSet::new(2, vec![id(1), id(9)], vec![]).unwrap();
        let network = Network::new([(id(1), Some(set))]).unwrap();
        assert!(!network.demand(NodeIndex(0)).unwrap().is_slice(&network.all()));
    }

    #[test]
    fn nodes_of_no_organisation_are_groups_of_their_own() {
        let network = Network::new([(id(1), None), (id(2), None), (id(3), None)]).unwrap();
        let org = |node: NodeId| (node != id(2)).then(|| "org".to_owned());
        let groups = network.groups(org, |_| "alone".to_owned());
        let sizes: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.nodes.len())).collect();
        assert_eq!(sizes, [("alone", 1), ("org", 2)]);
    }
}
