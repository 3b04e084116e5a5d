//! What `pay` and `data` share: a key file, the account's next sequence number, and sending what was signed.

use crate::cli::client::{Client, NodeArgs, segment};
use crate::cli::exit::{CliError, Exit};
use crate::cli::tx;
use crate::http::dto;
use crate::key::{NetworkId, SecretKey};
use crate::ledger::{AccountId, Operation, SignedTransaction, Transaction};
use crate::store::{KeyFileError, key_file};
use fba_core::Hash;
use std::path::PathBuf;
use std::time::Duration;

/// Who signs, and whether to wait. Part of every command that submits.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SignArgs {
    /// The file that holds the account's secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Refuse to sign unless the node is of the network with this passphrase
    #[arg(long, value_name = "TEXT")]
    passphrase: Option<String>,
    /// Wait until the transaction is closed
    #[arg(long)]
    wait: bool,
    /// With --wait: for how many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// An account that is about to sign.
pub(crate) struct Signing<'a> {
    args: &'a SignArgs,
    pub(crate) client: Client,
    pub(crate) parameters: dto::Parameters,
    network: NetworkId,
    key: SecretKey,
}

impl<'a> Signing<'a> {
    /// Reads the key and asks the node which network it is of.
    pub(crate) fn new(args: &'a SignArgs) -> Result<Self, CliError> {
        let key = key_file::read(&args.key).map_err(|error| key_error(&error))?;
        let client = Client::new(&args.node)?;
        let node: dto::Node = client.get("/v1/node")?;
        let mut network = [0; 32];
        hex::decode_to_slice(&node.network, &mut network)
            .map_err(|_| CliError::new(Exit::Data, "the node's network id is not a hash: is it an fba node?"))?;
        let network = NetworkId(Hash(network));
        if let Some(passphrase) = &args.passphrase
            && NetworkId::of_passphrase(passphrase) != network
        {
            let message = format!("the node is of another network ({}) than the passphrase names", node.network);
            return Err(CliError::new(Exit::Data, message));
        }
        Ok(Self { args, client, parameters: node.parameters, network, key })
    }

    /// Signs one transaction of these operations with the account's next sequence number, and submits it.
    pub(crate) fn submit(&self, operations: Vec<Operation>) -> Result<Exit, CliError> {
        let source = AccountId::of(&self.key);
        let Some(account) = self.client.find::<dto::Account>(&account_path(source))? else {
            let message =
                format!("the account {source} of the key file does not exist: pay to it first, which opens it");
            return Err(CliError::new(Exit::No, message));
        };
        let mut transaction = Transaction::new(source, account.next_sequence, operations);
        transaction.fee = self.base_fee()?.saturating_mul(transaction.operations.len() as u64);
        let signed = SignedTransaction::build(self.network, transaction, &[&self.key])
            .map_err(|error| CliError::new(Exit::Data, error))?;
        let wait = self.args.wait.then(|| Duration::from_secs(self.args.timeout));
        let status = self.client.submit(signed.bytes(), wait)?;
        let exit = tx::show(&status, self.args.node.json)?;
        // Without --wait, pending is all that was asked for.
        Ok(if exit == Exit::Unknown && !self.args.wait { Exit::Good } else { exit })
    }

    fn base_fee(&self) -> Result<u64, CliError> {
        amount(&self.parameters.base_fee)
    }
}

/// An amount as the API writes it.
pub(crate) fn amount(text: &str) -> Result<u64, CliError> {
    text.parse().map_err(|_| CliError::new(Exit::Data, format!("the node says {text:?} where an amount should be")))
}

/// Where an account is found.
pub(crate) fn account_path(account: AccountId) -> String {
    format!("/v1/accounts/{}", segment(account.to_string().as_bytes()))
}

pub(crate) fn key_error(error: &KeyFileError) -> CliError {
    let exit = match error {
        KeyFileError::Permissions { .. } => Exit::Permission,
        KeyFileError::Io { source, .. } => Exit::of_io(source),
        KeyFileError::NotAKey { .. } | KeyFileError::NotRegular { .. } => Exit::Data,
        // Reading claims and creates nothing.
        KeyFileError::Exists { .. } | KeyFileError::Lock(_) => Exit::Unavailable,
    };
    CliError::new(exit, error)
}
