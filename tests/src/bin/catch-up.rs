//! How fast a new server catches up with a network that has a long past, and whether anything stops it.
//!
//! Exit code 0: it got there each time, went on after every kill, and has the network's headers. 1: something of that does
//! not hold. 101: it did not get there. 64: usage.

use clap::Parser;
use fba_tests::cluster::Cluster;
use fba_tests::liar::Lie;
use fba_tests::returning::{Figures, Way, join, signature_check};
use std::path::PathBuf;
use std::process::ExitCode;

const BROKEN: u8 = 1;
const USAGE: u8 = 64;

/// Start the validators of a prepared network and let new followers catch up: undisturbed, killed three times, among liars
#[derive(Parser)]
#[command(name = "catch-up")]
struct Arguments {
    /// The network, made by `history`
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Only the undisturbed run
    #[arg(long)]
    quick: bool,
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
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) => {
            eprintln!("catch-up: {error}");
            ExitCode::from(BROKEN)
        }
    }
}

fn run(arguments: &Arguments) -> std::io::Result<bool> {
    let program = std::env::current_exe()?;
    let mut cluster = Cluster::open(&program, &arguments.dir);
    cluster.start_all();
    let check = signature_check();
    println!("one strict check of a signature: {:.1} us", check.as_secs_f64() * 1e6);
    let killed = Way { kills: vec![250, 500, 750], ..Way::default() };
    let lies = vec![Lie::Headers, Lie::Transactions, Lie::State, Lie::Mute];
    let ways = [("undisturbed", Way::default()), ("killed", killed), ("among-liars", Way { lies, ..Way::default() })];
    let mut holds = true;
    for (name, way) in ways.into_iter().take(if arguments.quick { 1 } else { 3 }) {
        // A name of its own for each time this is run on the same folder.
        let figures = join(&mut cluster, &format!("{name}-{}", std::process::id()), &way);
        print(name, &figures, check.as_secs_f64());
        holds &= figures.hold() && figures.resumed.len() == way.kills.len();
        // Liars that nobody caught lying have tested nothing.
        holds &= way.lies.is_empty() || figures.lies > 0;
        cluster.kill(cluster.len() - 1);
    }
    println!("{}", if holds { "everything holds" } else { "SOMETHING DOES NOT HOLD" });
    Ok(holds)
}

fn print(name: &str, figures: &Figures, check: f64) {
    let rate = figures.per_second();
    println!(
        "{name}: {} ledgers in {:.1} s, the first after {:.2} s; {rate:.0} ledgers/s, {:.1} signature checks each; resumed \
         {:?}; {} lies; same header: {}",
        figures.ledgers,
        figures.took.as_secs_f64(),
        figures.until_first.as_secs_f64(),
        1.0 / (rate * check),
        figures.resumed,
        figures.lies,
        figures.same,
    );
}
