//! `fba man`: manual pages, one to a command.

use super::exit::{CliError, print};
use std::path::PathBuf;

/// Write the manual pages, one to a command, into a folder
///
/// For this machine: fba man --dir /usr/local/share/man/man1, then man fba-run.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The folder. Pages of an older version in it are replaced.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be made or written (74, 77).
pub fn run(args: &Args, command: clap::Command) -> Result<(), CliError> {
    let failed = |error| CliError::io(format_args!("writing manual pages to {}", args.dir.display()), &error);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    // `help` is no command to read about.
    clap_mangen::generate_to(command.disable_help_subcommand(true), &args.dir).map_err(failed)?;
    print(&format!("manual pages are in {}: man -l {0}/fba.1\n", args.dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::command_paths;

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let folder = tempfile::tempdir().unwrap();
        run(&Args { dir: folder.path().join("man1") }, crate::cli::command_line()).unwrap();
        for path in command_paths() {
            let page = folder.path().join("man1").join(format!("{}.1", path.replace(' ', "-")));
            let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert!(text.contains(".SH SYNOPSIS") && text.contains(".SH DESCRIPTION"), "{}", page.display());
        }
    }
}
