//! Figures of whole networks on this machine; docs/performance.md says what each means.

use clap::{Parser, Subcommand};
use fba_tests::bench::{footprint, latency, replicated, throughput};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Figures of a whole network on this machine")]
struct Cli {
    /// The `fba` command to run [default: the one beside this program]
    #[arg(long)]
    program: Option<PathBuf>,
    /// Make the network in a temporary folder below this one (/dev/shm for a memory file system)
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// From submit to closed and durable, one transaction at a time
    Latency {
        /// How many transactions
        #[arg(long, default_value_t = 200)]
        count: usize,
    },
    /// Transactions closed per second
    Throughput {
        /// For how many seconds
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Accounts that pay
        #[arg(long, default_value_t = 400)]
        payers: usize,
        /// Least milliseconds between two closes
        #[arg(long, default_value_t = 0)]
        interval: u64,
    },
    /// Four validators against one of the same binary, as in PBFT's table
    Replicated,
    /// Memory, disk and start-up time after so many closes
    Footprint {
        /// After how many closes to look, ascending
        #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
        closes: Vec<u64>,
        /// Look at this network as it is instead (made by `history`)
        #[arg(long, value_name = "FOLDER", conflicts_with = "closes")]
        history: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("fba-under-test")));
    let Some(program) = cli.program.or(beside) else {
        eprintln!("error: no --program");
        return ExitCode::from(64);
    };
    let folder = match tempfile::Builder::new().prefix("fba-bench-").tempdir_in(&cli.folder) {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("error: cannot make a folder in {}: {error}", cli.folder.display());
            return ExitCode::from(74);
        }
    };
    let mut good = true;
    match cli.what {
        What::Latency { count } => latency::run(&program, folder.path(), count),
        What::Throughput { seconds, payers, interval } => {
            good = throughput::run(&program, folder.path(), Duration::from_secs(seconds), payers, interval);
        }
        What::Replicated => replicated::run(&program, folder.path()),
        What::Footprint { history: Some(history), .. } => footprint::of_history(&program, &history),
        What::Footprint { closes, history: None } => footprint::run(&program, folder.path(), &closes),
    }
    ExitCode::from(u8::from(!good))
}
