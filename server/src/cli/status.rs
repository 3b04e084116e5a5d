//! `fba status`: is the node well?

use crate::cli::client::{Client, NodeArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::http::dto;

/// Show a node's state: exit code 0 if it is in sync, 69 if not
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
}

/// Asks the node and prints what it says.
///
/// # Errors
/// [`Exit::Unavailable`] when the node does not answer. A node that answers but is not in sync is no error: the code
/// returned is [`Exit::Unavailable`] then.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let node: dto::Node = Client::new(&args.node)?.get("/v1/node")?;
    if args.node.json {
        text::say_json(&node)?;
    } else {
        text::say(&shown(&node))?;
    }
    Ok(if node.sync.state == "synced" { Exit::Good } else { Exit::Unavailable })
}

fn shown(node: &dto::Node) -> String {
    let name = node.name.clone().unwrap_or_else(|| "(no name)".to_owned());
    let organization = node.organization.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let reason = node.sync.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let role = if node.validator { "validator" } else { "follower" };
    let (ledger, slot) = (&node.ledger, &node.slot);
    let facts = [
        ("Node", format!("{name}{organization}, {role}")),
        ("Key", node.node.clone()),
        ("State", format!("{}{reason}", node.sync.state.replace('_', " "))),
        (
            "Ledger",
            format!("{} closed {} ago, {}", ledger.sequence, text::duration(ledger.age_ms), text::short(&ledger.hash)),
        ),
        ("Slot", format!("{}: {}, round {}, counter {}", slot.slot, slot.phase, slot.round, slot.counter)),
        ("Quorum", quorum(&node.quorum)),
        ("Clock", clock(&node.clock)),
        ("Peers", node.peers.to_string()),
        ("Queued", format!("{} transactions", node.queued)),
        ("Network", node.network.clone()),
        ("Version", format!("{}, up {}", node.version, text::duration(node.uptime_ms))),
    ];
    text::facts(&facts).to_string()
}

/// Who agrees, and how many more failures halt the node.
fn quorum(quorum: &dto::QuorumSummary) -> String {
    let dto::QuorumSummary { agree, delayed, disagree, missing, fail_at, fail_with } = quorum;
    let name = |named: &dto::NamedNode| named.name.clone().unwrap_or_else(|| named.node.chars().take(8).collect());
    let with = fail_with.iter().map(name).collect::<Vec<_>>().join(", ");
    let fails = match fail_at {
        None => "needs nobody else".to_owned(),
        Some(0) => "halted: no slice of it agrees".to_owned(),
        Some(1) => format!("HALTS WITH ONE MORE FAILURE: {with}"),
        Some(count) => format!("halts with {count} more failures, for example {with}"),
    };
    let counts = [(agree, "agree"), (delayed, "delayed"), (disagree, "disagree"), (missing, "missing")];
    let said = counts.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{count} {word}"));
    format!("{}; {fails}", said.collect::<Vec<_>>().join(", "))
}

fn clock(clock: &dto::Clock) -> String {
    match (&clock.warning, clock.ahead_ms) {
        (Some(warning), _) => format!("WRONG: {warning}"),
        (None, Some(ahead_ms)) => format!("within {} ms of {} others", ahead_ms.unsigned_abs(), clock.proposers),
        (None, None) => "not compared yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quorum_line_is_loud_when_one_more_failure_halts_the_node() {
        let named = dto::NamedNode { node: "GABC".into(), name: Some("beta-2".into()) };
        let summary = dto::QuorumSummary {
            agree: 3,
            missing: 1,
            fail_at: Some(1),
            fail_with: vec![named],
            ..dto::QuorumSummary::default()
        };
        assert_eq!(quorum(&summary), "3 agree, 1 missing; HALTS WITH ONE MORE FAILURE: beta-2");
        let halted = dto::QuorumSummary { fail_at: Some(0), ..dto::QuorumSummary::default() };
        assert!(quorum(&halted).ends_with("halted: no slice of it agrees"));
    }
}
