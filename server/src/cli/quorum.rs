//! `fba quorum`: whom a node depends on, and how they stand now.

use crate::cli::client::{Client, NodeArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::http::dto;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Show whom a node depends on and how they stand: exit code 0 if it could lose one more of them, 1 if not
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
}

/// Asks the node and prints what it says.
///
/// # Errors
/// [`Exit::Unavailable`] when the node does not answer.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let quorum: dto::Quorum = Client::new(&args.node)?.get("/v1/quorum")?;
    if args.node.json {
        text::say_json(&quorum)?;
    } else {
        text::say(&shown(&quorum, text::colour()))?;
    }
    Ok(if quorum.fail_at.is_none_or(|fail_at| fail_at > 1) { Exit::Good } else { Exit::No })
}

type Known<'a> = BTreeMap<&'a str, &'a dto::QuorumNode>;

fn shown(quorum: &dto::Quorum, colour: bool) -> String {
    let known: Known<'_> = quorum.nodes.iter().map(|node| (node.node.as_str(), node)).collect();
    let mut out = String::new();
    level(&mut out, &quorum.quorum_set, &known, 0, colour);
    let (inside, outside): (Vec<_>, Vec<_>) = quorum.nodes.iter().partition(|node| node.distance <= 1);
    if !outside.is_empty() {
        let _infallible = writeln!(out, "\nfurther away, because those above depend on them");
        outside.iter().for_each(|node| line(&mut out, &node.node, &known, 1, colour));
    }
    let agree = inside.iter().filter(|node| node.state == "agree").count();
    let _infallible = write!(out, "\n{agree} of {} agree; {}", inside.len(), halts(quorum));
    out
}

fn halts(quorum: &dto::Quorum) -> String {
    let names: Vec<&str> =
        quorum.fail_with.iter().map(|node| node.name.as_deref().unwrap_or_else(|| text::short(&node.node))).collect();
    match quorum.fail_at {
        None => "this node needs nobody else".to_owned(),
        Some(0) => "too few to close a ledger: this node has halted".to_owned(),
        Some(failures) => format!("{failures} more failure(s) halt this node, for example {}", names.join(", ")),
    }
}

/// One set of the tree: what it wants, its nodes, its inner sets.
fn level(out: &mut String, set: &dto::QuorumSetTree, known: &Known<'_>, depth: usize, colour: bool) {
    let members = set.validators.len() + set.inner_sets.len();
    let indent = "  ".repeat(depth);
    let _infallible = writeln!(out, "{indent}{} of {members}{}", set.threshold, organization(set, known));
    for node in &set.validators {
        line(out, node, known, depth + 1, colour);
    }
    for inner in &set.inner_sets {
        level(out, inner, known, depth + 1, colour);
    }
}

/// ` of one.example`, if all nodes of the set are of one organisation.
fn organization(set: &dto::QuorumSetTree, known: &Known<'_>) -> String {
    let of = |node: &String| known.get(node.as_str()).and_then(|node| node.organization.as_deref());
    let mut all = set.validators.iter().map(of);
    match all.next() {
        Some(Some(first))
            if set.inner_sets.is_empty() && set.validators.len() > 1 && all.all(|it| it == Some(first)) =>
        {
            format!(", {first}")
        }
        _ => String::new(),
    }
}

fn line(out: &mut String, key: &str, known: &Known<'_>, depth: usize, colour: bool) {
    let node = known.get(key);
    let state = node.map_or("unknown", |node| node.state.as_str());
    let name = node.and_then(|node| node.name.as_deref()).unwrap_or_else(|| text::short(key));
    let slot = node.and_then(|node| node.last_slot).map(|slot| format!(", slot {slot}")).unwrap_or_default();
    let paint = match state {
        "agree" => "\x1b[32m",
        "delayed" => "\x1b[33m",
        _ => "\x1b[31m",
    };
    let state = if colour { format!("{paint}{state}\x1b[0m") } else { state.to_owned() };
    let _infallible = writeln!(out, "{}{name}: {state}{slot}", "  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(key: &str, state: &str, distance: u32) -> dto::QuorumNode {
        dto::QuorumNode {
            node: key.into(),
            name: Some(key.to_lowercase()),
            organization: Some("one.example".into()),
            state: state.into(),
            last_slot: Some(7),
            distance,
            quorum_set: None,
        }
    }

    #[test]
    fn the_set_is_a_tree_with_names_states_and_what_would_halt() {
        let inner = dto::QuorumSetTree {
            threshold: 2,
            validators: vec!["B".into(), "C".into(), "X".into()],
            inner_sets: Vec::new(),
        };
        let quorum = dto::Quorum {
            node: "A".into(),
            quorum_set: dto::QuorumSetTree { threshold: 2, validators: vec!["A".into()], inner_sets: vec![inner] },
            quorum_set_hash: String::new(),
            nodes: vec![node("A", "agree", 0), node("B", "agree", 1), node("C", "missing", 1), node("D", "delayed", 2)],
            fail_at: Some(1),
            fail_with: vec![dto::NamedNode { node: "B".into(), name: Some("b".into()) }],
        };
        let text = shown(&quorum, false);
        for part in ["2 of 2\n  a: agree, slot 7\n  2 of 3\n    b: agree", "c: missing", "X: unknown", "  d: delayed"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.ends_with("2 of 3 agree; 1 more failure(s) halt this node, for example b"), "{text}");
        assert!(shown(&quorum, true).contains("\x1b[32magree\x1b[0m"));
    }
}
