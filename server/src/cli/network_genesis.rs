//! `fba network genesis`: what a network begins with, for organisations that make their keys themselves.

use super::exit::{CliError, Exit, print};
use super::network_init::{Plan, TOTAL_SUPPLY, write};
use crate::ledger::{AccountId, Genesis, Parameters};
use std::path::PathBuf;

/// Make the genesis file of a new network, to be given to everybody in it
///
/// It holds no secret. Every node of the network must have the same file, byte for byte in what it says: the network's
/// rules are there, and nowhere else. Change the rules in the file before the first node starts, never after.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The account that owns everything at first: what `fba keygen --account` prints.
    #[arg(long, value_name = "ACCOUNT")]
    pub root_account: AccountId,
    /// The file to write. An existing one is never overwritten.
    #[arg(long, value_name = "FILE", default_value = "genesis.toml")]
    pub out: PathBuf,
    /// The network's passphrase, which tells networks apart; a random one unless given. It is no secret.
    #[arg(long, value_name = "TEXT")]
    pub passphrase: Option<String>,
    /// Least milliseconds between two ledgers; 0 closes as soon as there is something.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub interval: u64,
}

/// Runs the command.
///
/// # Errors
/// Rules that cannot be (64), a file that exists or cannot be written (74, 77), no randomness or no clock (69).
pub fn run(args: &Args) -> Result<(), CliError> {
    let (passphrase, close_time_ms) = Plan::beginning(args.passphrase.as_deref())?;
    let genesis = Genesis {
        passphrase,
        close_time_ms,
        root_account: args.root_account,
        total_supply: TOTAL_SUPPLY,
        parameters: Parameters { close_interval_ms: args.interval, ..Parameters::default() },
    };
    genesis.check().map_err(|error| CliError::new(Exit::Usage, error))?;
    write(&args.out, &genesis.to_toml())?;
    let Genesis { passphrase, root_account, .. } = &genesis;
    let file = args.out.display();
    print(&format!(
        "network {passphrase:?}, everything owned by {root_account}\n\
         genesis is in {file}: give it to everybody in the network\n"
    ))
}
