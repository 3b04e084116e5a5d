//! The commands of `fba`, one file each.

pub mod account;
pub mod admin;
pub mod backup;
pub mod client;
pub mod completions;
pub mod config_check;
pub mod config_new;
pub mod config_publish;
pub mod data;
pub mod doctor;
pub mod events;
pub mod exit;
pub mod keygen;
pub mod ledger;
pub mod man;
pub mod network_genesis;
pub mod network_init;
mod node_file;
#[cfg(test)]
mod node_tests;
mod panics;
pub mod pay;
pub mod peers;
pub mod progress;
pub mod quorum;
pub mod run;
mod signing;
pub mod status;
pub mod text;
pub mod tx;
pub mod watch;

use crate::demo;
use clap::{CommandFactory, Parser, Subcommand};
use exit::{CliError, Exit};
use std::process::ExitCode;

/// A federated Byzantine agreement server: organisations that do not fully trust one another keep one shared ledger.
#[derive(Debug, Parser)]
#[command(name = "fba", bin_name = "fba", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "New here? `fba demo` runs a network on this machine; docs/operators.md tells how to run a server.\n\n\
                        Exit codes: 0 good, 1 no, 2 no quorum, 3 unknown, 64 usage, 65 data, 69 unavailable, 74 I/O, \
                        77 permission, 78 configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Keygen(keygen::Args),
    /// Make, check and publish configurations
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make new networks
    #[command(subcommand)]
    Network(NetworkCommand),
    Status(status::Args),
    Doctor(doctor::Args),
    Watch(watch::Args),
    Peers(peers::Args),
    Quorum(quorum::Args),
    Admin(admin::Args),
    Ledger(ledger::Args),
    Tx(tx::Args),
    Account(account::Args),
    Pay(pay::Args),
    Data(data::Args),
    Backup(backup::Args),
    Completions(completions::Args),
    Man(man::Args),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    New(Box<config_new::Args>),
    Check(config_check::Args),
    Publish(config_publish::Args),
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    Init(network_init::InitArgs),
    Genesis(network_genesis::Args),
}

/// The whole command line.
fn command_line() -> clap::Command {
    Cli::command()
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
        Command::Config(ConfigCommand::New(args)) => config_new::run(args).map(|()| Exit::Good),
        Command::Config(ConfigCommand::Publish(args)) => config_publish::run(args).map(|()| Exit::Good),
        Command::Network(NetworkCommand::Init(args)) => network_init::run(args).map(|()| Exit::Good),
        Command::Network(NetworkCommand::Genesis(args)) => network_genesis::run(args).map(|()| Exit::Good),
        Command::Status(args) => status::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Peers(args) => peers::run(args),
        Command::Quorum(args) => quorum::run(args),
        Command::Admin(args) => admin::run(args),
        Command::Ledger(args) => ledger::run(args),
        Command::Tx(args) => tx::run(args),
        Command::Account(args) => account::run(args),
        Command::Pay(args) => pay::run(args),
        Command::Data(args) => data::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Completions(args) => completions::run(args, command_line()).map(|()| Exit::Good),
        Command::Man(args) => man::run(args, command_line()).map(|()| Exit::Good),
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

    /// Every command that does something, as it is typed: `fba config check`.
    pub(super) fn command_paths() -> Vec<String> {
        fn walk(command: &clap::Command, path: &str, paths: &mut Vec<String>) {
            let path = format!("{path}{}", command.get_name());
            if !command.has_subcommands() {
                paths.push(path.clone());
            }
            command.get_subcommands().for_each(|inner| walk(inner, &format!("{path} "), paths));
        }
        let mut paths = Vec::new();
        walk(&command_line(), "", &mut paths);
        paths
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command_line().debug_assert();
    }

    #[test]
    fn every_command_and_every_option_says_what_it_is_for() {
        fn walk(command: &clap::Command) {
            let name = command.get_name();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.len() > 10 && !about.ends_with('.'), "`{name}` says {about:?}: a line without full stop");
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() > 5, "{} of `{name}` does not say what it is for", argument.get_id());
            }
            command.get_subcommands().for_each(walk);
        }
        command_line().get_subcommands().for_each(walk);
    }
}
