//! The network as this node sees it: who trusts whom, and how many steps away.

use crate::http::dto;
use crate::http::view::{Identity, KnownNode, NodeView};
use crate::key::node_strkey;
use fba_core::{NodeId, QuorumSet};
use std::collections::{BTreeMap, VecDeque};

/// `GET /v1/quorum`: nearest first, then by name.
pub(crate) fn quorum(identity: &Identity, view: &NodeView) -> dto::Quorum {
    let distances = distances(identity.node, &view.quorum_set, &view.nodes);
    let mut nodes: Vec<_> = view.nodes.iter().map(|known| node(identity, known, &distances)).collect();
    nodes.sort_by(|a, b| rank(a).cmp(&rank(b)));
    dto::Quorum {
        node: node_strkey(identity.node),
        quorum_set: dto::QuorumSetTree::from(&*view.quorum_set),
        quorum_set_hash: view.quorum_set_hash.to_string(),
        nodes,
    }
}

fn rank(node: &dto::QuorumNode) -> (u32, Option<&str>, &str) {
    (node.distance.unwrap_or(u32::MAX), node.name.as_deref(), &node.node)
}

fn node(identity: &Identity, known: &KnownNode, distances: &BTreeMap<NodeId, u32>) -> dto::QuorumNode {
    let name = identity.names.get(&known.node);
    dto::QuorumNode {
        node: node_strkey(known.node),
        name: name.map(|name| name.name.clone()),
        organization: name.and_then(|name| name.organization.clone()),
        state: known.standing.name().to_owned(),
        last_slot: known.last_slot,
        distance: distances.get(&known.node).copied(),
        quorum_set: known.quorum_set.as_deref().map(dto::QuorumSetTree::from),
    }
}

/// Breadth first over "lists in its quorum set", from the local node.
fn distances(local: NodeId, own: &QuorumSet, nodes: &[KnownNode]) -> BTreeMap<NodeId, u32> {
    let mut sets: BTreeMap<NodeId, &QuorumSet> =
        nodes.iter().filter_map(|known| Some((known.node, known.quorum_set.as_deref()?))).collect();
    sets.insert(local, own);
    let mut distances = BTreeMap::from([(local, 0)]);
    let mut open = VecDeque::from([(local, 0)]);
    while let Some((node, distance)) = open.pop_front() {
        let mut members = Vec::new();
        sets.get(&node).into_iter().for_each(|set| collect(set, &mut members));
        for member in members {
            distances.entry(member).or_insert_with(|| {
                open.push_back((member, distance + 1));
                distance + 1
            });
        }
    }
    distances
}

fn collect(set: &QuorumSet, members: &mut Vec<NodeId>) {
    members.extend(set.validators());
    set.inner_sets().iter().for_each(|inner| collect(inner, members));
}
