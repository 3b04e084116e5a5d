//! `fba account`: what an account holds.

use crate::cli::client::{Client, NodeArgs, segment};
use crate::cli::exit::{CliError, Exit};
use crate::cli::{ledger, text};
use crate::http::dto;

/// Show an account: balance, sequence number, signers, data, newest transactions
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The account's public key: G…
    account: String,
    /// How many of its transactions to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=200))]
    transactions: u16,
    #[command(flatten)]
    node: NodeArgs,
}

/// Asks the node and prints what it says.
///
/// # Errors
/// [`Exit::No`] if there is no such account; else as [`Client::get`].
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let client = Client::new(&args.node)?;
    let path = format!("/v1/accounts/{}", segment(args.account.as_bytes()));
    let account: dto::Account = client.get(&path)?;
    if args.node.json {
        text::say_json(&account)?;
        return Ok(Exit::Good);
    }
    text::say(&facts(&account))?;
    if args.transactions > 0 {
        let newest: dto::Transactions = client.get(&format!("{path}/transactions?limit={}", args.transactions))?;
        if !newest.transactions.is_empty() {
            text::say(&ledger::transactions(&newest.transactions))?;
        }
    }
    Ok(Exit::Good)
}

fn facts(account: &dto::Account) -> String {
    let shown = |bytes: &dto::Bytes| bytes.text.clone().unwrap_or_else(|| format!("0x{}", bytes.hex));
    let signers: Vec<_> =
        account.signers.iter().map(|signer| format!("{} weight {}", signer.key, signer.weight)).collect();
    let facts = [
        ("Account", account.account.clone()),
        ("Balance", account.balance.clone()),
        ("Sequence", format!("{}, next {}", account.sequence, account.next_sequence)),
        ("Signers", signers.join("\n")),
        ("Threshold", account.threshold.to_string()),
        ("Data", account.data.iter().map(shown).collect::<Vec<_>>().join(", ")),
    ];
    text::facts(&facts).to_string()
}
