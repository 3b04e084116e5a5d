//! Strongly connected components of "lists in its quorum set".

use crate::{Network, NodeIndex, NodeSet};

/// The components among `nodes`, each a set in which everybody depends, directly or not, on everybody else.
///
/// A minimal quorum lies inside one component: a quorum's nodes that nobody outside its sink component needs are a
/// quorum by themselves.
pub(crate) fn components(network: &Network, nodes: &NodeSet) -> Vec<NodeSet> {
    let listed: Vec<NodeSet> = (0..network.len())
        .map(|i| network.demand(NodeIndex(i)).map(|demand| demand.nodes().intersection(nodes)).unwrap_or_default())
        .collect();
    let mut listing = vec![NodeSet::new(); network.len()];
    for node in nodes.iter() {
        for target in listed.get(node.0).into_iter().flat_map(NodeSet::iter) {
            if let Some(sources) = listing.get_mut(target.0) {
                sources.insert(node);
            }
        }
    }
    let mut rest = nodes.clone();
    let mut found = Vec::new();
    while let Some(start) = rest.lowest() {
        let component = reach(&listed, start, &rest).intersection(&reach(&listing, start, &rest));
        rest = rest.difference(&component);
        found.push(component);
    }
    found
}

/// Everybody in `within` reachable from `start`, itself included.
fn reach(edges: &[NodeSet], start: NodeIndex, within: &NodeSet) -> NodeSet {
    let mut seen = NodeSet::from_iter([start]);
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        let Some(targets) = edges.get(node.0) else { continue };
        let new = targets.intersection(within).difference(&seen);
        seen = seen.union(&new);
        open.extend(new.iter());
    }
    seen
}
