//! A quorum set as text, with names.

use super::trust::Directory;
use crate::key::node_strkey;
use fba_core::{NodeId, QuorumSet};
use std::fmt::Write;

/// What the file calls a node; the beginning of its key if it does not.
#[must_use]
pub fn name(node: NodeId, directory: &Directory) -> String {
    directory.get(&node).map_or_else(
        || {
            let key = node_strkey(node);
            format!("{}…", key.get(..8).unwrap_or(&key))
        },
        |known| known.name.to_string(),
    )
}

/// Names, separated by commas.
#[must_use]
pub fn names(nodes: &[NodeId], directory: &Directory) -> String {
    nodes.iter().map(|node| name(*node, directory)).collect::<Vec<_>>().join(", ")
}

/// The home domain all validators of a set without inner sets share, if they do.
#[must_use]
pub fn home_domain(set: &QuorumSet, directory: &Directory) -> Option<String> {
    let domain = |node: &NodeId| directory.get(node)?.home_domain.as_ref();
    let mut domains = set.validators().iter().map(domain);
    let first = domains.next()??;
    (set.inner_sets().is_empty() && domains.all(|domain| domain == Some(first))).then(|| first.to_string())
}

/// The set in one line: `2 of (a, b, 1 of (c, d))`.
#[must_use]
pub fn one_line(set: &QuorumSet, directory: &Directory) -> String {
    let nodes = set.validators().iter().map(|node| name(*node, directory));
    let members: Vec<_> = nodes.chain(set.inner_sets().iter().map(|set| one_line(set, directory))).collect();
    format!("{} of ({})", set.threshold(), members.join(", "))
}

/// The set as a tree, one member to a line, indented by `indent`; `own` is marked as this node.
#[must_use]
pub fn tree(set: &QuorumSet, own: NodeId, directory: &Directory, indent: &str) -> String {
    let mut text = format!("{indent}{}\n", heading(set, directory));
    branches(set, own, directory, indent, &mut text);
    text
}

fn heading(set: &QuorumSet, directory: &Directory) -> String {
    let count = format!("{} of {}", set.threshold(), set.members());
    match home_domain(set, directory) {
        Some(domain) => format!("{count} · {domain}"),
        None => count,
    }
}

fn branches(set: &QuorumSet, own: NodeId, directory: &Directory, indent: &str, text: &mut String) {
    let last = (set.members() as usize).saturating_sub(1);
    let whole = home_domain(set, directory).is_some();
    let joint = |index: usize| if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    for (index, node) in set.validators().iter().enumerate() {
        let domain = directory.get(node).and_then(|known| known.home_domain.as_ref()).filter(|_| !whole);
        let domain = domain.map(|domain| format!(" · {domain}")).unwrap_or_default();
        let this = if *node == own { " (this node)" } else { "" };
        let _infallible = writeln!(text, "{indent}{}{}{this}{domain}", joint(index).0, name(*node, directory));
    }
    for (index, inner) in set.inner_sets().iter().enumerate() {
        let (branch, below) = joint(set.validators().len().saturating_add(index));
        let _infallible = writeln!(text, "{indent}{branch}{}", heading(inner, directory));
        branches(inner, own, directory, &format!("{indent}{below}"), text);
    }
}
