//! `fba data`: the bytes an account keeps in the ledger.

use crate::cli::client::{Client, NodeArgs, segment};
use crate::cli::exit::{CliError, Exit};
use crate::cli::signing::{SignArgs, Signing, account_path};
use crate::cli::text;
use crate::http::dto;
use crate::ledger::{AccountId, Operation};
use std::io::Write;

/// Set, read or delete an account's data entries
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Write an entry of the key file's account
    Set {
        /// The entry's name, 1 to 64 bytes
        name: String,
        /// Its value, at most 4096 bytes
        value: String,
        /// The value is given in hexadecimal
        #[arg(long)]
        hex: bool,
        #[command(flatten)]
        sign: SignArgs,
    },
    /// Print an entry: its bytes, exactly
    Get {
        /// The account: G…
        account: AccountId,
        /// The entry's name
        name: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Delete an entry of the key file's account
    Delete {
        /// The entry's name
        name: String,
        #[command(flatten)]
        sign: SignArgs,
    },
}

/// Does what was asked.
///
/// # Errors
/// [`Exit::No`] if there is no such entry or the transaction is refused; else as `fba pay`.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    match &args.action {
        Action::Set { name, value, hex, sign } => {
            let value = if *hex { from_hex(value)? } else { value.clone().into_bytes() };
            Signing::new(sign)?.submit(vec![Operation::SetData { key: name.clone().into_bytes(), value }])
        }
        Action::Get { account, name, node } => get(*account, name, node),
        Action::Delete { name, sign } => {
            Signing::new(sign)?.submit(vec![Operation::DeleteData { key: name.clone().into_bytes() }])
        }
    }
}

fn get(account: AccountId, name: &str, node: &NodeArgs) -> Result<Exit, CliError> {
    let path = format!("{}/data/{}", account_path(account), segment(name.as_bytes()));
    let entry: dto::DataEntry = Client::new(node)?.get(&path)?;
    if node.json {
        text::say_json(&entry)?;
        return Ok(Exit::Good);
    }
    if let Some(value) = &entry.value.text {
        text::say(value)?;
        return Ok(Exit::Good);
    }
    let bytes = hex::decode(&entry.value.hex).map_err(|error| CliError::new(Exit::Data, error))?;
    std::io::stdout().write_all(&bytes).map_err(|error| CliError::io("writing the output", &error))?;
    Ok(Exit::Good)
}

fn from_hex(text: &str) -> Result<Vec<u8>, CliError> {
    hex::decode(text).map_err(|error| {
        CliError::new(
            Exit::Usage,
            format!("the value is not hexadecimal: {error}; write two digits for each byte, without 0x"),
        )
    })
}
