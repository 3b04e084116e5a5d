//! The commands of `fba`, one file each.

pub mod account;
pub mod client;
pub mod config_check;
pub mod data;
pub mod events;
pub mod exit;
pub mod keygen;
pub mod ledger;
pub mod network_init;
#[cfg(test)]
mod node_tests;
mod panics;
pub mod pay;
pub mod run;
mod signing;
pub mod status;
pub mod text;
pub mod tx;
pub mod watch;

use crate::demo;
use clap::{Parser, Subcommand};
use exit::{CliError, Exit};
use std::process::ExitCode;

/// A federated Byzantine agreement server: organisations that do not fully trust one another keep one shared ledger.
#[derive(Debug, Parser)]
#[command(name = "fba", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 good, 1 no, 2 no quorum, 3 unknown, 64 usage, 65 data, 69 unavailable, 74 I/O, \
                        77 permission, 78 configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Keygen(keygen::Args),
    /// Look at configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make whole networks
    #[command(subcommand)]
    Network(NetworkCommand),
    Status(status::Args),
    Watch(watch::Args),
    Ledger(ledger::Args),
    Tx(tx::Args),
    Account(account::Args),
    Pay(pay::Args),
    Data(data::Args),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(config_check::Args),
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    Init(network_init::Args),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match dispatch(&cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.message.is_empty() {
                complain(&error);
            }
            error.exit.into()
        }
    }
}

fn complain(error: &CliError) {
    use std::io::Write;
    // Nobody to tell if even that cannot be written.
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

fn dispatch(command: &Command) -> Result<Exit, CliError> {
    match command {
        Command::Demo(args) => demo::run(args).map(|()| Exit::Good),
        Command::Run(args) => run::run(args).map(|()| Exit::Good),
        Command::Keygen(args) => keygen::run(args).map(|()| Exit::Good),
        Command::Config(ConfigCommand::Check(args)) => config_check::run(args).map(|()| Exit::Good),
        Command::Network(NetworkCommand::Init(args)) => network_init::run(args).map(|()| Exit::Good),
        Command::Status(args) => status::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Ledger(args) => ledger::run(args),
        Command::Tx(args) => tx::run(args),
        Command::Account(args) => account::run(args),
        Command::Pay(args) => pay::run(args),
        Command::Data(args) => data::run(args),
    }
}

/// `--help` and `--version` are answers; everything else clap says is a usage error, which is 64 here.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody to tell if even that cannot be written.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Good.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
