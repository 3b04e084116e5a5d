//! The definitions, tried on every subset: what the fast code is checked against.

use crate::{Group, Network, NodeIndex, NodeSet};
use fba_core::{NodeId, QuorumSet};
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(crate) fn id(n: usize) -> NodeId {
    NodeId([u8::try_from(n).unwrap(); 32])
}

/// Networks of at most eight nodes with nested, possibly weak sets, some of them unknown.
pub(crate) fn networks() -> impl Strategy<Value = Network> {
    (1usize..=8)
        .prop_flat_map(|nodes| {
            let set = proptest::option::weighted(0.95, quorum_set(nodes)).boxed();
            // Half of the networks share one set, as real ones nearly do.
            prop_oneof![proptest::collection::vec(set.clone(), nodes), set.prop_map(move |set| vec![set; nodes]),]
        })
        .prop_map(|sets| Network::new(sets.into_iter().enumerate().map(|(i, set)| (id(i), set))).unwrap())
}

fn quorum_set(nodes: usize) -> impl Strategy<Value = QuorumSet> {
    let places = proptest::collection::vec((0u8..5, any::<u32>()), nodes);
    (places, any::<[u32; 4]>()).prop_map(|(places, seeds)| {
        let at = |place: u8| -> Vec<NodeId> {
            places.iter().enumerate().filter(|(_, (p, _))| *p == place).map(|(i, _)| id(i)).collect()
        };
        let threshold = |seed: u32, members: usize| 1 + seed % u32::try_from(members).unwrap();
        let mut inner = Vec::new();
        for (place, seed) in [(3, seeds[0]), (4, seeds[1])] {
            let members = at(place);
            if !members.is_empty() {
                inner.push(QuorumSet::new(threshold(seed, members.len()), members, vec![]).unwrap());
            }
        }
        let mut direct = at(1);
        direct.extend(at(2));
        if direct.is_empty() && inner.is_empty() {
            direct.push(id(0));
        }
        QuorumSet::new(threshold(seeds[2], direct.len() + inner.len()), direct, inner).unwrap()
    })
}

/// `nodes` equal nodes that each want `threshold` of all.
pub(crate) fn symmetric(nodes: usize, threshold: u32) -> Network {
    let set = QuorumSet::new(threshold, (0..nodes).map(id).collect(), vec![]).unwrap();
    Network::new((0..nodes).map(|i| (id(i), Some(set.clone())))).unwrap()
}

/// Equal organisations of equal nodes.
pub(crate) fn tier(orgs: usize, nodes: usize, org_threshold: u32, node_threshold: u32) -> (Network, Vec<Group>) {
    let members = |org: usize| (org * nodes..(org + 1) * nodes).collect::<Vec<_>>();
    let inner = |org| QuorumSet::new(node_threshold, members(org).into_iter().map(id).collect(), vec![]).unwrap();
    let set = QuorumSet::new(org_threshold, vec![], (0..orgs).map(inner).collect()).unwrap();
    let network = Network::new((0..orgs * nodes).map(|i| (id(i), Some(set.clone())))).unwrap();
    let group = |org: usize| Group { name: org.to_string(), nodes: members(org).into_iter().map(NodeIndex).collect() };
    (network, (0..orgs).map(group).collect())
}

pub(crate) fn subsets_of(count: usize) -> Vec<NodeSet> {
    (0u32..1 << count).map(|bits| (0..count).filter(|i| bits >> i & 1 == 1).map(NodeIndex).collect()).collect()
}

pub(crate) fn subsets(network: &Network) -> Vec<NodeSet> {
    subsets_of(network.len())
}

pub(crate) fn is_quorum(network: &Network, nodes: &NodeSet) -> bool {
    let ids: BTreeSet<NodeId> = network.ids(nodes).into_iter().collect();
    !nodes.is_empty() && nodes.iter().all(|node| network.quorum_set(node).is_some_and(|set| set.is_slice(&ids)))
}

pub(crate) fn greatest_quorum(network: &Network, nodes: &NodeSet) -> NodeSet {
    let quorums = subsets(network).into_iter().filter(|set| set.is_subset(nodes) && is_quorum(network, set));
    quorums.fold(NodeSet::new(), |all, quorum| all.union(&quorum))
}

fn minimal(sets: Vec<NodeSet>) -> BTreeSet<NodeSet> {
    let has_smaller = |set: &NodeSet| sets.iter().any(|other| other != set && other.is_subset(set));
    sets.iter().filter(|set| !has_smaller(set)).cloned().collect()
}

pub(crate) fn minimal_quorums(network: &Network) -> BTreeSet<NodeSet> {
    minimal(subsets(network).into_iter().filter(|set| is_quorum(network, set)).collect())
}

pub(crate) fn minimal_blocking(network: &Network) -> BTreeSet<NodeSet> {
    let quorums = minimal_quorums(network);
    let blocks = |set: &NodeSet| quorums.iter().all(|quorum| quorum.intersects(set));
    minimal(subsets(network).into_iter().filter(blocks).collect())
}
