//! What history costs: memory, disk and start-up time after so many closes.

use super::machine::Machine;
use super::{CLOSE_WITHIN, ms, network, payment};
use crate::cluster::{Cluster, node};
use fba_server::cli::text;
use fba_server::demo::{Payers, next_sequence};
use fba_server::http::dto::TransactionStatus;
use fba_server::ledger::AccountId;
use std::path::Path;
use std::time::{Duration, Instant};

/// The validator that is looked at and restarted.
const OBSERVED: usize = 0;

/// Lets a network of four close one ledger after another, each with one transaction, and looks at it after each of
/// `closes` (ascending).
///
/// # Panics
/// When a server does not do its part.
pub fn run(program: &Path, folder: &Path, closes: &[u64]) {
    let mut cluster = network(program, &folder.join("network"), 4, 0);
    let client = cluster.client(1);
    let payers = Payers::open(&client, cluster.network(), &cluster.root_key(), 2, 0).expect("accounts");
    let [from, to] = payers.keys() else { panic!("two payers were asked for") };
    let mut sequence = next_sequence(&client, AccountId::of(from)).expect("the payer's account");
    let mut seen = Vec::new();
    for wanted in closes {
        while node(&client).ledger.sequence < *wanted {
            // One look costs less than a close, so many closes follow each.
            for _ in 0..100 {
                let signed = payment(&cluster, from, AccountId::of(to), sequence);
                match client.submit(signed.bytes(), Some(CLOSE_WITHIN)).expect("the server answers") {
                    TransactionStatus::Closed(_) => sequence += 1,
                    TransactionStatus::Pending { hash } => panic!("{hash} did not close in time"),
                }
            }
        }
        seen.push(look(&mut cluster));
    }
    print(&seen);
}

/// Starts the network of `folder` as it is, and looks at it.
///
/// # Panics
/// When a server does not do its part.
pub fn of_history(program: &Path, folder: &Path) {
    let mut cluster = Cluster::open(program, folder);
    cluster.start_all();
    let next = cluster.highest() + 1;
    cluster.all_closed(next);
    print(&[look(&mut cluster)]);
}

struct Look {
    ledgers: u64,
    memory_kib: u64,
    database_bytes: u64,
    serving: Duration,
    answered: Duration,
    closing: Duration,
    memory_after_kib: u64,
}

/// Memory as it runs; then a restart, timed until it serves, answers with a ledger, and has closed with the others.
fn look(cluster: &mut Cluster) -> Look {
    let running = cluster.client(OBSERVED);
    let ledgers = node(&running).ledger.sequence;
    let memory_kib = memory_kib(cluster);
    assert!(cluster.stop(OBSERVED), "a clean stop");
    let files = cluster.files.nodes.get(OBSERVED).expect("a server of this network");
    let database_bytes = std::fs::metadata(files.folder.join("data/fba.sqlite")).map_or(0, |file| file.len());
    let begun = Instant::now();
    cluster.start_node(OBSERVED);
    let serving = begun.elapsed();
    assert!(node(&cluster.client(OBSERVED)).ledger.sequence >= ledgers, "what was closed is still there");
    let answered = begun.elapsed();
    let next = cluster.highest() + 1;
    let _hash = cluster.closed(OBSERVED, next);
    let closing = begun.elapsed();
    let memory_after_kib = self::memory_kib(cluster);
    Look { ledgers, memory_kib, database_bytes, serving, answered, closing, memory_after_kib }
}

/// Resident memory of the observed server.
fn memory_kib(cluster: &mut Cluster) -> u64 {
    let process = cluster.take(OBSERVED);
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("the process runs");
    cluster.put_back(OBSERVED, process);
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells resident memory");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number of kB")
}

fn print(seen: &[Look]) {
    let headings =
        ["ledgers", "memory", "database", "bytes/ledger", "start: serving", "answers", "closes again", "memory then"];
    let mut table = text::table(&headings);
    for look in seen {
        let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
        table.add_row([
            look.ledgers.to_string(),
            mib(look.memory_kib),
            format!("{:.1} MiB", look.database_bytes as f64 / f64::from(1 << 20)),
            format!("{:.0}", look.database_bytes as f64 / look.ledgers as f64),
            format!("{:.0} ms", ms(look.serving)),
            format!("{:.0} ms", ms(look.answered)),
            format!("{:.0} ms", ms(look.closing)),
            mib(look.memory_after_kib),
        ]);
    }
    println!("{}", Machine::look().line());
    println!("{table}");
}
