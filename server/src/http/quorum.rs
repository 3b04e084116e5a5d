//! The network as this node sees it: who trusts whom, and how many steps away.

use crate::http::dto;
use crate::http::view::{Identity, KnownNode, NodeView, Standing};
use crate::key::node_strkey;

/// `GET /v1/quorum`: nearest first, then by name.
pub(crate) fn quorum(identity: &Identity, view: &NodeView) -> dto::Quorum {
    let mut nodes: Vec<_> = view.nodes.iter().map(|known| node(identity, known)).collect();
    nodes.sort_by(|a, b| rank(a).cmp(&rank(b)));
    dto::Quorum {
        node: node_strkey(identity.node),
        quorum_set: dto::QuorumSetTree::from(&*view.quorum_set),
        quorum_set_hash: view.quorum_set_hash.to_string(),
        nodes,
        fail_at: view.quorum.fail_at,
        fail_with: view.quorum.fail_with.clone(),
    }
}

fn rank(node: &dto::QuorumNode) -> (u32, Option<&str>, &str) {
    (node.distance, node.name.as_deref(), &node.node)
}

fn node(identity: &Identity, known: &KnownNode) -> dto::QuorumNode {
    let name = identity.names.get(&known.node);
    dto::QuorumNode {
        node: node_strkey(known.node),
        name: name.map(|name| name.name.clone()),
        organization: name.and_then(|name| name.organization.clone()),
        state: known.standing.name().to_owned(),
        last_slot: known.last_slot,
        distance: known.distance,
        quorum_set: known.quorum_set.as_deref().map(dto::QuorumSetTree::from),
    }
}

/// `GET /v1/quorum?transitive=true`: as stellar-core tells it, nearest first.
pub(crate) fn transitive(identity: &Identity, view: &NodeView) -> dto::TransitiveQuorum {
    let mut known: Vec<_> = view.nodes.iter().collect();
    known.sort_by_key(|known| (known.distance, known.node));
    let missing = |known: &&&KnownNode| known.standing == Standing::Missing;
    dto::TransitiveQuorum {
        nodes: known.iter().map(|known| transitive_node(identity, known, view.slot.slot)).collect(),
        maybe_dead_nodes: known.iter().filter(missing).map(|known| node_strkey(known.node)).collect(),
    }
}

fn transitive_node(identity: &Identity, known: &KnownNode, open_slot: u64) -> dto::TransitiveNode {
    let name = identity.names.get(&known.node);
    let ahead = known.last_slot.is_some_and(|slot| slot > open_slot);
    let status = match known.standing {
        Standing::Missing => "missing",
        _ if known.quorum_set.is_none() => "unknown",
        _ if ahead => "ahead",
        Standing::Agree | Standing::Disagree => "tracking",
        Standing::Delayed => "behind",
    };
    dto::TransitiveNode {
        node: node_strkey(known.node),
        name: name.map(|name| name.name.clone()),
        organization: name.and_then(|name| name.organization.clone()),
        distance: known.distance,
        qset: known.quorum_set.as_deref().map(dto::QuorumSetText::from),
        status: status.to_owned(),
        heard: known.last_slot,
        agrees: match known.standing {
            Standing::Agree => Some(true),
            Standing::Disagree => Some(false),
            Standing::Delayed | Standing::Missing => None,
        },
    }
}
