//! `fba completions`: what a shell needs to complete `fba` commands.

use super::exit::{CliError, print};
use clap_complete::Shell;

/// Print a shell's completion script
///
/// For bash: fba completions bash > /usr/share/bash-completion/completions/fba
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The shell it is for.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written (74).
pub fn run(args: &Args, mut command: clap::Command) -> Result<(), CliError> {
    print(&script(args.shell, &mut command))
}

fn script(shell: Shell, command: &mut clap::Command) -> String {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, command, name, &mut script);
    String::from_utf8(script).expect("commands and options are named in UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::command_paths;
    use clap::ValueEnum;

    #[test]
    fn every_shell_can_complete_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell, &mut crate::cli::command_line());
            for path in command_paths() {
                let last = path.split(' ').next_back().unwrap();
                assert!(script.contains(last), "{shell} cannot complete `{path}`");
            }
        }
    }
}
