//! Judges recordings that `fba run --record FILE` wrote: did any key contradict itself?
//!
//! Exit code 0: nobody did. 1: somebody did. 64: usage. 65: a file is damaged or not what it should be, or signatures
//! are not genuine. 74: a file cannot be read.

use clap::Parser;
use fba_server::key::NetworkId;
use fba_server::ledger::Genesis;
use fba_server::record::RecordError;
use fba_tests::recording::Judge;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const CONTRADICTIONS: u8 = 1;
const USAGE: u8 = 64;
const DATA: u8 = 65;
const IO: u8 = 74;

/// Looks for keys that contradict themselves: two different ballot statements of one key and slot, neither newer than
/// the other, or bound to different values.
#[derive(Parser)]
#[command(name = "check-recording")]
struct Arguments {
    /// Recordings; several are judged together
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Checks signatures for the network of this genesis file
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    genesis: Option<PathBuf>,
    /// Checks signatures for the network with this passphrase
    #[arg(long, value_name = "TEXT")]
    passphrase: Option<String>,
}

/// What to tell, and the exit code.
struct Failure(u8, String);

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let code = if matches!(error, RecordError::Io { .. }) { IO } else { DATA };
        Self(code, error.to_string())
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let help = !error.use_stderr();
            // Nothing is left to be done if even this cannot be written.
            let _ = error.print();
            return if help { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    run(&arguments).unwrap_or_else(|Failure(code, message)| {
        eprintln!("check-recording: {message}");
        ExitCode::from(code)
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut judge = Judge::new(network(arguments)?);
    arguments.files.iter().try_for_each(|file| judge.read(file))?;
    let report = judge.report();
    println!("{report}");
    Ok(match (report.contradictions.is_empty(), report.forged) {
        (false, _) => ExitCode::from(CONTRADICTIONS),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(DATA),
    })
}

fn network(arguments: &Arguments) -> Result<Option<NetworkId>, Failure> {
    let of_file = |path: &Path| {
        let data = |error: &dyn std::fmt::Display| Failure(DATA, format!("{}: {error}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| Failure(IO, format!("{}: {error}", path.display())))?;
        let text = String::from_utf8(bytes).map_err(|error| data(&error))?;
        let genesis = Genesis::from_toml(&text).map_err(|error| data(&error))?;
        Ok(genesis.network_id())
    };
    match (&arguments.genesis, &arguments.passphrase) {
        (Some(path), _) => of_file(path).map(Some),
        (None, passphrase) => Ok(passphrase.as_deref().map(NetworkId::of_passphrase)),
    }
}
