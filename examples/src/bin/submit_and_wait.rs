//! A client of a running node: builds a payment, signs it, submits it and waits until it is closed.
//!
//! Everything it needs is in the public API: the transaction types of `fba-server` and `POST /v1/transactions`.

use clap::Parser;
use fba_server::ledger::{AccountId, Genesis, SignedTransaction};
use fba_server::store::key_file;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// How long the node is given to close the transaction.
const WAIT: Duration = Duration::from_secs(30);

/// Pay from one account to another, and wait until the payment is closed.
#[derive(Parser)]
struct Args {
    /// The HTTP address of a node.
    #[arg(long, default_value = "http://127.0.0.1:8001")]
    node: String,
    /// The network's genesis file: its passphrase is in every signature.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// The seed of the paying account.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The account to pay, G…; it is opened if it does not exist.
    #[arg(long, value_name = "G…")]
    to: AccountId,
    /// How much, in the smallest units.
    #[arg(long)]
    amount: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let network = Genesis::from_toml(&std::fs::read_to_string(&args.genesis)?)?.network_id();
    let key = key_file::read(&args.key)?;
    let http = Client::new(&args.node);

    let source = AccountId::of(&key);
    let account = http.account(source)?.ok_or("the paying account does not exist")?;
    let sequence = account.get("next_sequence").and_then(serde_json::Value::as_u64).ok_or("no next_sequence")?;
    let transaction = match http.account(args.to)? {
        Some(_) => SignedTransaction::payment(network, &key, sequence, args.to, args.amount)?,
        None => SignedTransaction::create_account(network, &key, sequence, args.to, args.amount)?,
    };
    println!("submitting {}", transaction.hash());
    let answer = http.submit(&transaction)?;
    println!("{answer:#}");
    let closed = answer.get("status").and_then(serde_json::Value::as_str) == Some("closed");
    let success = answer.pointer("/result/success").and_then(serde_json::Value::as_bool) == Some(true);
    match (closed, success) {
        (true, true) => Ok(()),
        (true, false) => Err("closed, but it failed".into()),
        // `pending` is no promise; submitting the same bytes again is safe.
        (false, _) => Err("not closed yet: run this again, or ask for its hash later".into()),
    }
}

/// The two calls this client makes.
struct Client {
    agent: ureq::Agent,
    node: String,
}

impl Client {
    fn new(node: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(WAIT.saturating_add(Duration::from_secs(5))))
            .build();
        Self { agent: config.into(), node: node.trim_end_matches('/').to_owned() }
    }

    /// The account, or `None` if there is none.
    fn account(&self, account: AccountId) -> Result<Option<serde_json::Value>, Box<dyn Error>> {
        let mut response = self.agent.get(format!("{}/v1/accounts/{account}", self.node)).call()?;
        let body = response.body_mut().read_to_string()?;
        match response.status().as_u16() {
            200 => Ok(Some(serde_json::from_str(&body)?)),
            404 => Ok(None),
            status => Err(format!("the node answered {status}: {body}").into()),
        }
    }

    /// Submits the exact signed bytes.
    fn submit(&self, transaction: &SignedTransaction) -> Result<serde_json::Value, Box<dyn Error>> {
        let url = format!("{}/v1/transactions?wait=closed&timeout_ms={}", self.node, WAIT.as_millis());
        let mut response = self.agent.post(url).content_type("application/cbor").send(transaction.bytes())?;
        let body = response.body_mut().read_to_string()?;
        match response.status().as_u16() {
            200 | 202 => Ok(serde_json::from_str(&body)?),
            status => Err(format!("the node answered {status}: {body}").into()),
        }
    }
}
