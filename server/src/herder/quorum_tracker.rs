//! The transitive quorum: everybody whom we, or those we listen to, or those they listen to, listen to.

use fba_core::{NodeId, QuorumSet, SlotIndex};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Most nodes followed: ten times the largest public network. Those nearest to us count.
pub const NODES_MAX: usize = 10_000;

/// Which nodes count, and how far away they are.
#[derive(Clone, Debug)]
pub(crate) struct QuorumTracker {
    local: NodeId,
    sets: BTreeMap<NodeId, (SlotIndex, Arc<QuorumSet>)>,
    distances: BTreeMap<NodeId, u32>,
}

impl QuorumTracker {
    pub(crate) fn new(local: NodeId, set: Arc<QuorumSet>) -> Self {
        let sets = BTreeMap::from([(local, (SlotIndex(0), set))]);
        let mut tracker = Self { local, sets, distances: BTreeMap::new() };
        tracker.rebuild();
        tracker
    }

    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.distances.contains_key(&node)
    }

    /// Is it in our own quorum set?
    pub(crate) fn listens_to(&self, node: NodeId) -> bool {
        self.distances.get(&node) == Some(&1)
    }

    /// The node said in `slot` that this is its set. A later slot's word counts more than an earlier one's.
    pub(crate) fn learn(&mut self, node: NodeId, slot: SlotIndex, set: &Arc<QuorumSet>) {
        if node == self.local || !self.contains(node) {
            return;
        }
        let known = self.sets.get(&node);
        if known.is_some_and(|(since, _)| *since > slot) {
            return;
        }
        let changed = known.is_none_or(|(_, known)| known != set);
        self.sets.insert(node, (slot, Arc::clone(set)));
        if changed {
            self.rebuild();
        }
    }

    pub(crate) fn set_local(&mut self, set: Arc<QuorumSet>) {
        self.sets.insert(self.local, (SlotIndex(0), set));
        self.rebuild();
    }

    pub(crate) fn set_of(&self, node: NodeId) -> Option<&Arc<QuorumSet>> {
        self.sets.get(&node).map(|(_, set)| set)
    }

    pub(crate) fn sets(&self) -> impl Iterator<Item = &Arc<QuorumSet>> {
        self.sets.values().map(|(_, set)| set)
    }

    /// Every node and its distance from us, in the order of their keys.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, u32)> {
        self.distances.iter().map(|(node, distance)| (*node, *distance))
    }

    /// Breadth first from ourselves over the sets we know.
    fn rebuild(&mut self) {
        let mut distances = BTreeMap::from([(self.local, 0)]);
        let mut next = VecDeque::from([(self.local, 0u32)]);
        while let Some((node, distance)) = next.pop_front() {
            let members = self.sets.get(&node).map(|(_, set)| set.nodes()).unwrap_or_default();
            for member in members {
                if distances.len() < NODES_MAX && !distances.contains_key(&member) {
                    distances.insert(member, distance.saturating_add(1));
                    next.push_back((member, distance.saturating_add(1)));
                }
            }
        }
        self.sets.retain(|node, _| distances.contains_key(node));
        self.distances = distances;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    fn set(bytes: &[u8]) -> Arc<QuorumSet> {
        Arc::new(QuorumSet::new(1, bytes.iter().map(|byte| node(*byte)).collect(), vec![]).unwrap())
    }

    #[test]
    fn those_named_by_those_we_name_count_until_nobody_names_them_any_more() {
        let mut tracker = QuorumTracker::new(node(1), set(&[1, 2]));
        assert!(tracker.contains(node(2)) && !tracker.contains(node(3)));
        tracker.learn(node(3), SlotIndex(9), &set(&[4]));
        assert!(!tracker.contains(node(4)), "a stranger's set counts for nothing");
        tracker.learn(node(2), SlotIndex(2), &set(&[2, 3]));
        assert_eq!(tracker.nodes().collect::<Vec<_>>(), [(node(1), 0), (node(2), 1), (node(3), 2)]);
        tracker.learn(node(2), SlotIndex(1), &set(&[2, 5]));
        assert!(tracker.contains(node(3)) && !tracker.contains(node(5)), "an older slot's word is late");
        tracker.learn(node(2), SlotIndex(3), &set(&[2]));
        assert!(!tracker.contains(node(3)));
    }
}
