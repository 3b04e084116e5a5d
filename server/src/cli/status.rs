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
        ("Peers", node.peers.to_string()),
        ("Queued", format!("{} transactions", node.queued)),
        ("Network", node.network.clone()),
        ("Version", format!("{}, up {}", node.version, text::duration(node.uptime_ms))),
    ];
    text::facts(&facts).to_string()
}
