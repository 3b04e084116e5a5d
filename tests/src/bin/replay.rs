//! Replays recorded traces: `replay FOLDER… [--tag T]… [--skip-tag T]…`.
//!
//! Exit codes: 0 all identical, 1 something differs, 64 usage, 65 unreadable or no data.

use clap::Parser;
use fba_tests::replay::{self, Request};
use std::path::PathBuf;
use std::process::ExitCode;

/// Replays recorded traces of one SCP node and compares everything that comes out.
#[derive(Parser)]
struct Arguments {
    /// Folders (searched recursively) and files: .json and .jsonl.gz
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only traces with this tag; with all of them if given several times
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// No traces with this tag
    #[arg(long = "skip-tag")]
    skip_tags: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes. If even this cannot be printed, the exit code must do.
            let code = if error.use_stderr() { 64 } else { 0 };
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(74) };
        }
    };
    let Arguments { paths, tags, skip_tags } = arguments;
    match replay::run(&Request { paths, tags, skip_tags }) {
        Ok(report) if report.traces + report.cases == 0 => {
            eprintln!("replay: no trace to replay there with these tags");
            ExitCode::from(65)
        }
        Ok(report) => {
            println!("{report}");
            if report.is_identical() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::from(65)
        }
    }
}
