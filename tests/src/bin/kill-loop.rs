//! kill -9 of random validators under load, and whether everything held that must.
//!
//! Exit code 0: every acknowledged transaction is in every server's ledger exactly once, all headers are equal, no key
//! contradicted itself, and everybody came back and voted. 1: something of that does not hold. 101: the network did not
//! do what it must in time. 64: usage. 74: a folder cannot be made.

use clap::Parser;
use fba_tests::kills::{Plan, run};
use std::path::PathBuf;
use std::process::ExitCode;

const BROKEN: u8 = 1;
const USAGE: u8 = 64;
const IO: u8 = 74;

/// kill -9 of random validators under load: is anything lost, does anybody contradict himself, do all return?
#[derive(Parser)]
#[command(name = "kill-loop")]
struct Arguments {
    /// How many times a process is killed
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Decides who is killed when, and how long it stays away
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Accounts that pay, one transaction after another
    #[arg(long, default_value_t = 8)]
    payers: usize,
    /// Make the network and the recording in this folder, which must be new or empty, and keep them [default: a
    /// temporary one, kept only if something did not hold]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    // This program is also the server that it starts and kills, so that one build makes both.
    if std::env::args().nth(1).is_some_and(|command| command == "run") {
        return fba_server::cli::main();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let help = !error.use_stderr();
            // Nothing is left to be done if even this cannot be written.
            let _ = error.print();
            return if help { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    kill_loop(&arguments).unwrap_or_else(|error| {
        eprintln!("kill-loop: {error}");
        ExitCode::from(IO)
    })
}

fn kill_loop(arguments: &Arguments) -> std::io::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let (folder, temporary) = match &arguments.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            (folder.clone(), false)
        }
        None => (tempfile::Builder::new().prefix("fba-kills-").tempdir()?.keep(), true),
    };
    println!("seed {}, in {}", arguments.seed, folder.display());
    let plan = Plan { kills: arguments.kills, seed: arguments.seed, payers: arguments.payers };
    let figures = run(&program, &folder, plan, |told| println!("{told}"));
    println!("{figures}");
    if !figures.hold() {
        println!("SOMETHING DOES NOT HOLD; everything is kept in {}", folder.display());
        return Ok(ExitCode::from(BROKEN));
    }
    if temporary {
        std::fs::remove_dir_all(&folder)?;
    }
    println!("everything holds");
    Ok(ExitCode::SUCCESS)
}
