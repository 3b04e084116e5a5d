//! `fba ledger`: closed ledgers, as a node shows them; `verify` and `export` read them where they are stored.

mod export;
mod source;
mod verify;

use crate::cli::client::{Client, NodeArgs, segment};
use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::http::{PAGE_MAX, dto};

/// Show one closed ledger with its transactions, or the newest ones; check and export stored ones
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    stored: Option<Stored>,
    #[command(flatten)]
    show: ShowArgs,
}

/// What is done with ledgers where they are stored.
#[derive(Clone, Debug, clap::Subcommand)]
enum Stored {
    Verify(verify::Args),
    Export(export::Args),
}

/// Which ledgers to ask a node for.
#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// A sequence number, a header hash, `latest`, or `list` for the newest ledgers
    #[arg(default_value = "latest", value_name = "LEDGER")]
    which: String,
    /// With `list`: how many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=PAGE_MAX as i64))]
    limit: u16,
    /// With `list`: only ledgers below this sequence number
    #[arg(long, value_name = "SEQUENCE")]
    before: Option<u64>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Asks the node and prints what it says, or reads what is stored.
///
/// # Errors
/// [`Exit::No`] if there is no such ledger; else as [`Client::get`], or as the subcommand says.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    match &args.stored {
        Some(Stored::Verify(args)) => verify::run(args),
        Some(Stored::Export(args)) => export::run(args),
        None => show(&args.show),
    }
}

fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let client = Client::new(&args.node)?;
    if args.which == "list" { list(args, &client) } else { one(args, &client) }
}

fn list(args: &ShowArgs, client: &Client) -> Result<Exit, CliError> {
    let before = args.before.map(|before| format!("&before={before}")).unwrap_or_default();
    let answer: dto::Ledgers = client.get(&format!("/v1/ledgers?limit={}{before}", args.limit))?;
    if args.node.json {
        text::say_json(&answer)?;
        return Ok(Exit::Good);
    }
    let mut table = text::table(&["Ledger", "Closed", "Transactions", "Failed", "Hash"]);
    for ledger in &answer.ledgers {
        table.add_row([
            ledger.sequence.to_string(),
            text::time(ledger.close_time_ms),
            ledger.transactions.to_string(),
            ledger.failed.to_string(),
            text::short(&ledger.hash).to_owned(),
        ]);
    }
    text::say(&table.to_string())?;
    Ok(Exit::Good)
}

fn one(args: &ShowArgs, client: &Client) -> Result<Exit, CliError> {
    let ledger: dto::Ledger = client.get(&format!("/v1/ledgers/{}", segment(args.which.as_bytes())))?;
    if args.node.json {
        text::say_json(&ledger)?;
        return Ok(Exit::Good);
    }
    let contents: dto::Transactions = client.get(&format!("/v1/ledgers/{}/transactions", ledger.sequence))?;
    text::say(&facts(&ledger))?;
    if !contents.transactions.is_empty() {
        text::say(&transactions(&contents.transactions))?;
    }
    Ok(Exit::Good)
}

fn facts(ledger: &dto::Ledger) -> String {
    let facts = [
        ("Ledger", ledger.sequence.to_string()),
        ("Hash", ledger.hash.clone()),
        ("Previous", ledger.previous.clone()),
        ("Closed", text::time(ledger.close_time_ms)),
        ("Transactions", format!("{}, {} failed", ledger.transactions, ledger.failed)),
        ("Transaction root", ledger.tx_root.clone()),
        ("Results root", ledger.results_root.clone()),
        ("State hash", ledger.state_hash.clone()),
        ("Total supply", ledger.total_supply.clone()),
    ];
    text::facts(&facts).to_string()
}

/// A table of transactions, one line each.
pub(crate) fn transactions(transactions: &[dto::Transaction]) -> String {
    let mut table = text::table(&["Ledger", "#", "Transaction", "Source", "Operations", "Result"]);
    for transaction in transactions {
        table.add_row([
            transaction.ledger.to_string(),
            transaction.index.to_string(),
            text::short(&transaction.hash).to_owned(),
            text::short(&transaction.source).to_owned(),
            transaction.operations.iter().map(in_words).collect::<Vec<_>>().join("; "),
            outcome(&transaction.result),
        ]);
    }
    table.to_string()
}

/// `success`, or what failed and why.
pub(crate) fn outcome(result: &dto::TxResult) -> String {
    if result.success {
        return "success".to_owned();
    }
    let at = result.operation.map(|operation| format!(" at operation {operation}")).unwrap_or_default();
    format!("failed{at}: {}", result.message.as_deref().or(result.reason.as_deref()).unwrap_or("no reason given"))
}

/// An operation in a few words.
pub(crate) fn in_words(operation: &dto::Operation) -> String {
    let shown = |bytes: &dto::Bytes| bytes.text.clone().unwrap_or_else(|| format!("0x{}", bytes.hex));
    match operation {
        dto::Operation::CreateAccount { account, balance } => {
            format!("open {} with {balance}", text::short(account))
        }
        dto::Operation::Payment { to, amount } => format!("pay {amount} to {}", text::short(to)),
        dto::Operation::SetData { key, value } => {
            format!("set {} to {} bytes", shown(key), value.hex.len() / 2)
        }
        dto::Operation::DeleteData { key } => format!("delete {}", shown(key)),
        dto::Operation::SetSigners { signers, threshold } => {
            format!("set {} signers, threshold {threshold}", signers.len())
        }
    }
}
