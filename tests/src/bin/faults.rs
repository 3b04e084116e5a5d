//! Servers struck by faults, again and again, and whether everything held that must.
//!
//! Exit code 0: everything held. 1: something did not, or the fault cannot be made on this machine and `CI` is set. 101:
//! the network did not do what it must in time. 64: usage. 74: a file or a folder cannot be made.

use clap::{Args, Parser, Subcommand};
use fba_tests::faults::{Verdict, clock, corruption, fsync, full_disk, kills, lost_votes, pauses};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

const BROKEN: u8 = 1;
const USAGE: u8 = 64;
const IO: u8 = 74;

/// Set where this program runs in a mount namespace of its own.
const INSIDE: &str = "FAULTS_IN_A_NAMESPACE";

/// Strikes the servers of a network under load with one kind of fault, again and again: is anything lost, does anybody
/// contradict himself, do all return?
#[derive(Parser)]
#[command(name = "faults")]
struct Cli {
    #[command(subcommand)]
    fault: Fault,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    /// Decides who is struck when, and how
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Accounts that pay, one transaction after another
    #[arg(long, global = true, default_value_t = 8)]
    payers: usize,
    /// Make the network and the recording in this folder, which must be new or empty, and keep them [default: a
    /// temporary one, kept only if something did not hold]
    #[arg(long, global = true, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Fault {
    /// kill -9 of one validator, of two, of all
    Kills {
        /// How many times a process is killed
        #[arg(long, default_value_t = 200)]
        kills: usize,
    },
    /// The database deleted, or replaced by an older copy, and the key kept
    LostVotes {
        /// How many times
        #[arg(long, default_value_t = 50)]
        cases: usize,
    },
    /// The k-th fsync of a server fails
    Fsync {
        /// The first k
        #[arg(long, default_value_t = 1)]
        from: usize,
        /// The last k
        #[arg(long, default_value_t = 50)]
        to: usize,
    },
    /// A server's disk is full; needs root, to mount a small file system
    FullDisk {
        /// How many times
        #[arg(long, default_value_t = 10)]
        cases: usize,
    },
    /// SIGSTOP, and SIGCONT some time later
    Pauses {
        /// How many times
        #[arg(long, default_value_t = 20)]
        cases: usize,
        /// The longest pause, in seconds
        #[arg(long, default_value_t = 60)]
        longest: u64,
    },
    /// A wall clock jumps five minutes ahead, or back
    Clock {
        /// How many times
        #[arg(long, default_value_t = 20)]
        cases: usize,
    },
    /// Files of a data folder are damaged, cut off, exchanged
    Corruption {
        /// Damaged folders opened in this process
        #[arg(long, default_value_t = 500)]
        cases: usize,
        /// Damaged folders given to servers of a running network
        #[arg(long, default_value_t = 20)]
        live: usize,
    },
}

fn main() -> ExitCode {
    // This program is also the server that it starts and strikes, so that one build makes both.
    if std::env::args().nth(1).is_some_and(|command| command == "run") {
        return fba_server::cli::main();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let help = !error.use_stderr();
            // Nothing is left to be done if even this cannot be written.
            let _ = error.print();
            return if help { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    let outside = std::env::var_os(INSIDE).is_none();
    let mounts = matches!(cli.fault, Fault::FullDisk { .. });
    let outcome = if mounts && outside { in_a_namespace() } else { strike_in_a_folder(&cli) };
    outcome.unwrap_or_else(|error| {
        eprintln!("faults: {error}");
        ExitCode::from(IO)
    })
}

/// Runs this command again where it may mount a file system that nobody else sees and that goes away with it.
fn in_a_namespace() -> io::Result<ExitCode> {
    let possible = Command::new("unshare").args(["--mount", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: a full disk needs `unshare --mount`, which needs root; NOTHING was tried");
        return Ok(if std::env::var_os("CI").is_some() { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS });
    }
    let mut again = Command::new("unshare");
    again.args(["--mount", "--"]).arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    let status = again.status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn strike_in_a_folder(cli: &Cli) -> io::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let (folder, temporary) = match &cli.common.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            (folder.clone(), false)
        }
        None => (tempfile::Builder::new().prefix("fba-faults-").tempdir()?.keep(), true),
    };
    println!("seed {}, in {}", cli.common.seed, folder.display());
    let verdict = strike(&cli.fault, &cli.common, &program, &folder)?;
    println!("{verdict}");
    if !verdict.holds() {
        println!("SOMETHING DOES NOT HOLD; everything is kept in {}", folder.display());
        return Ok(ExitCode::from(BROKEN));
    }
    if temporary {
        std::fs::remove_dir_all(&folder)?;
    }
    println!("everything holds");
    Ok(ExitCode::SUCCESS)
}

fn strike(fault: &Fault, common: &Common, program: &Path, folder: &Path) -> io::Result<Box<dyn Verdict>> {
    let tell = |told: &str| println!("{told}");
    let (seed, payers) = (common.seed, common.payers);
    Ok(match *fault {
        Fault::Kills { kills } => Box::new(kills::run(program, folder, kills::Plan { kills, seed, payers }, tell)),
        Fault::LostVotes { cases } => {
            Box::new(lost_votes::run(program, folder, lost_votes::Plan { cases, seed, payers }, tell))
        }
        Fault::Fsync { from, to } => {
            Box::new(fsync::run(program, folder, fsync::Plan { from, to, seed, payers }, tell)?)
        }
        Fault::FullDisk { cases } => {
            Box::new(full_disk::run(program, folder, full_disk::Plan { cases, seed, payers }, tell)?)
        }
        Fault::Pauses { cases, longest } => {
            let longest = Duration::from_secs(longest);
            Box::new(pauses::run(program, folder, pauses::Plan { cases, longest, seed, payers }, tell))
        }
        Fault::Clock { cases } => Box::new(clock::run(program, folder, clock::Plan { cases, seed, payers }, tell)?),
        Fault::Corruption { cases, live } => {
            let plan = corruption::Plan { offline: cases, live, seed, payers };
            Box::new(corruption::run(program, folder, plan, tell)?)
        }
    })
}
