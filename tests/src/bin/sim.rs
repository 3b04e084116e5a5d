//! Runs the simulator over many seeds: `sim --seed N --runs M [--slots 20]`.

use clap::Parser;
use fba_tests::sim::{Counts, Failure, Options, Outcome, run};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::process::ExitCode;
use std::time::Instant;

/// Deterministic simulation of core, herder and ledger under faults.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, counting up.
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// Ledgers closed under faults in each run.
    #[arg(long, default_value_t = 20)]
    slots: u64,
    /// One node is away for so many ledgers, and nothing else goes wrong.
    #[arg(long)]
    absent: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options { slots: arguments.slots, absent: arguments.absent };
    let begin = Instant::now();
    let seeds = arguments.seed..arguments.seed.saturating_add(arguments.runs);
    let results: Vec<Result<Outcome, Failure>> = seeds.into_par_iter().map(|seed| run(seed, options)).collect();
    let failures: Vec<&Failure> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    for failure in &failures {
        println!("FAILED {failure}");
        println!(
            "  again: cargo run --release -p fba-tests --bin sim -- --seed {} --runs 1 --slots {}",
            failure.seed, arguments.slots
        );
    }
    let good: Vec<&Outcome> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    summary(&good);
    println!(
        "{} runs, {} failed, {} ledgers closed by all nodes together, {:.1} s",
        results.len(),
        failures.len(),
        good.iter().map(|outcome| outcome.closes).sum::<u64>(),
        begin.elapsed().as_secs_f64()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn summary(good: &[&Outcome]) {
    let mut faults = Counts::default();
    let mut trace = Sha256::new();
    let mut healed: Vec<u64> = good.iter().map(|outcome| outcome.healed_in_ms).collect();
    for outcome in good {
        faults.add(&outcome.faults);
        trace.update(outcome.trace);
    }
    for (name, number) in faults.list() {
        println!("{name:>16} {number}");
    }
    healed.sort_unstable();
    let percentile = |share: usize| healed.get(healed.len().saturating_sub(1) * share / 100).copied().unwrap_or(0);
    println!(
        "three further ledgers after healing: p50 {} ms, p99 {} ms, most {} ms",
        percentile(50),
        percentile(99),
        percentile(100)
    );
    println!("events {}", good.iter().map(|outcome| outcome.events).sum::<u64>());
    let digest: [u8; 32] = trace.finalize().into();
    println!("trace {}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}
