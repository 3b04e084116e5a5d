//! Makes a network whose validators all hold the same long past: `history --dir DIR --ledgers 100000`.
//!
//! Exit code 0: it is there. 1: it could not be made. 64: usage.

use clap::Parser;
use fba_server::cli::network_init;
use fba_server::ledger::Parameters;
use fba_tests::history::{Past, make};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: u8 = 64;

/// Progress is told this often: on a terminal, and into a log.
const TELL_EVERY: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// Make a network with a long past: real herder, ledger, store and signatures, in virtual time
#[derive(Parser)]
#[command(name = "history")]
struct Arguments {
    /// The folder to make, laid out as by `fba network init`; must be new or empty
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The sequence of the last ledger
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    ledgers: u64,
    /// How many organisations
    #[arg(long, default_value_t = 4)]
    orgs: usize,
    /// Validators in each
    #[arg(long, default_value_t = 1)]
    validators: usize,
    /// Every so many ledgers there are transactions; 0 for never
    #[arg(long, value_name = "LEDGERS", default_value_t = 10)]
    transactions_every: u64,
    /// How many transactions there are then
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    transactions: u8,
    /// Least milliseconds between ledgers
    #[arg(long, value_name = "MS", default_value_t = Parameters::default().close_interval_ms)]
    interval: u64,
    /// Milliseconds after which an empty ledger closes
    #[arg(long, value_name = "MS", default_value_t = Parameters::default().heartbeat_ms)]
    heartbeat: u64,
    /// Peers are listened to on this port and those after it, HTTP 1000 above
    #[arg(long, value_name = "PORT", default_value_t = network_init::BASE_PORT)]
    base_port: u16,
    /// Ledgers in one commit
    #[arg(long, value_name = "LEDGERS", default_value_t = 500)]
    commit: usize,
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
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("history: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let plan = network_init::Plan::of(&network_init::Args {
        orgs: arguments.orgs,
        validators: arguments.validators,
        dir: arguments.dir.clone(),
        passphrase: None,
        interval: arguments.interval,
        base_port: arguments.base_port,
        quality: None,
        json: false,
    })?;
    let parameters = Parameters { heartbeat_ms: arguments.heartbeat, ..plan.parameters };
    let past = Past {
        network: network_init::Plan { parameters, ..plan },
        ledgers: arguments.ledgers,
        transactions_every: arguments.transactions_every,
        transactions: usize::from(arguments.transactions),
        ledgers_per_commit: arguments.commit,
    };
    let mut told = Progress::new(arguments.ledgers);
    let made = make(&past, |sequence| told.closed(sequence))?;
    told.end();
    let bytes: u64 = made
        .nodes
        .iter()
        .map(|node| std::fs::metadata(node.folder.join("data/fba.sqlite")).map_or(0, |file| file.len()))
        .sum();
    let nodes = made.nodes.len().max(1) as u64;
    let per_ledger = bytes / nodes / arguments.ledgers;
    println!(
        "{} ledgers on each of {nodes} nodes in {:.1} s ({:.0} ledgers/s); {:.1} MiB of database per node, \
         {per_ledger} bytes per ledger",
        arguments.ledgers,
        told.begun.elapsed().as_secs_f64(),
        told.rate(arguments.ledgers),
        bytes as f64 / nodes as f64 / f64::from(1 << 20),
    );
    Ok(())
}

/// Says how far it is: over and over on one line of a terminal, else line by line.
struct Progress {
    total: u64,
    begun: Instant,
    told: Instant,
    terminal: bool,
}

impl Progress {
    fn new(total: u64) -> Self {
        let now = Instant::now();
        Self { total, begun: now, told: now, terminal: std::io::stderr().is_terminal() }
    }

    fn rate(&self, closed: u64) -> f64 {
        closed as f64 / self.begun.elapsed().as_secs_f64().max(0.001)
    }

    fn closed(&mut self, sequence: u64) {
        let [often, seldom] = TELL_EVERY;
        if self.told.elapsed() < if self.terminal { often } else { seldom } {
            return;
        }
        self.told = Instant::now();
        let rate = self.rate(sequence);
        let left = self.total.saturating_sub(sequence) as f64 / rate.max(0.001);
        let (begin, end) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let mut out = std::io::stderr().lock();
        // Nobody to tell if even that cannot be written.
        let _ = write!(out, "{begin}ledger {sequence} of {}, {rate:.0}/s, {left:.0} s left{end}", self.total);
        let _ = out.flush();
    }

    fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
