//! `fba tx`: what became of a transaction.

use crate::cli::client::{Client, NodeArgs, segment};
use crate::cli::exit::{CliError, Exit};
use crate::cli::{ledger, text};
use crate::http::dto;

/// Show what became of a transaction: exit code 1 if it failed or is unknown, 3 if it is still pending
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The transaction's hash: 64 hexadecimal digits
    hash: String,
    #[command(flatten)]
    node: NodeArgs,
}

/// Asks the node and prints what it says.
///
/// # Errors
/// [`Exit::No`] if the node does not know the transaction; else as [`Client::get`].
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let client = Client::new(&args.node)?;
    let status = client.get(&format!("/v1/transactions/{}", segment(args.hash.as_bytes())))?;
    show(&status, args.node.json)
}

/// Prints a status; says by the exit code what it is.
pub(crate) fn show(status: &dto::TransactionStatus, json: bool) -> Result<Exit, CliError> {
    if json {
        text::say_json(status)?;
    }
    match status {
        dto::TransactionStatus::Pending { hash } => {
            if !json {
                text::say(&format!("{hash} is pending; `fba tx {hash}` asks again"))?;
            }
            Ok(Exit::Unknown)
        }
        dto::TransactionStatus::Closed(closed) => {
            if !json {
                text::say(&facts(closed))?;
            }
            Ok(if closed.result.success { Exit::Good } else { Exit::No })
        }
    }
}

fn facts(transaction: &dto::Transaction) -> String {
    let operations: Vec<_> = transaction.operations.iter().map(ledger::in_words).collect();
    let memo = transaction.memo.text.clone().unwrap_or_else(|| format!("0x{}", transaction.memo.hex));
    let facts = [
        ("Transaction", transaction.hash.clone()),
        ("Result", ledger::outcome(&transaction.result)),
        ("Ledger", format!("{}, position {}", transaction.ledger, transaction.index)),
        ("Source", format!("{}, sequence {}", transaction.source, transaction.sequence)),
        ("Fee", format!("{} of {} offered", transaction.result.fee_charged, transaction.fee)),
        ("Memo", memo),
        ("Operations", operations.join("\n")),
        ("Signed by", transaction.signers.join("\n")),
    ];
    text::facts(&facts).to_string()
}
