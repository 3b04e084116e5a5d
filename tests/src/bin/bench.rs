//! Figures of a whole network on this machine: real processes, QUIC, SQLite.
//!
//! `latency` submits one transaction at a time and compares it with a durable SQLite commit measured in turn with it,
//! in the same folder's file system. `throughput` keeps the network full and counts what closes; nothing may be lost.

#![allow(clippy::panic, reason = "a measurement that cannot go on says why and ends")]

use clap::{Parser, Subcommand};
use fba_server::cli::client::Client;
use fba_server::demo::{Payers, next_sequence};
use fba_server::http::dto::{Ledgers, TransactionStatus};
use fba_server::key::SecretKey;
use fba_server::ledger::{AccountId, Operation, SignedTransaction, Transaction};
use fba_tests::cluster::{Cluster, Shape, client, node};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long one transaction may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(30);

/// Threads that submit to one server.
const SUBMITTERS_PER_SERVER: usize = 8;

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
    let good = match cli.what {
        What::Latency { count } => latency(&program, folder.path(), count),
        What::Throughput { seconds, payers, interval } => {
            throughput(&program, folder.path(), Duration::from_secs(seconds), payers, interval)
        }
    };
    ExitCode::from(u8::from(!good))
}

fn network(program: &Path, folder: &Path, interval_ms: u64) -> Cluster {
    let shape = Shape { interval_ms, heartbeat_ms: 2000, ..Shape::FOUR };
    let mut cluster = Cluster::make(program, shape, &folder.join("network"));
    cluster.start_all();
    cluster.all_closed(2);
    cluster
}

fn payment(cluster: &Cluster, key: &SecretKey, to: AccountId, sequence: u64) -> SignedTransaction {
    let pay = Operation::Payment { to, amount: 1 };
    let transaction = Transaction::new(AccountId::of(key), sequence, vec![pay]);
    SignedTransaction::build(cluster.network(), transaction, &[key]).expect("a payment of one unit")
}

fn latency(program: &Path, folder: &Path, count: usize) -> bool {
    let cluster = network(program, folder, 0);
    let client = cluster.client(0);
    let payers = Payers::open(&client, cluster.network(), &cluster.root_key(), 2, 0).expect("accounts");
    let [from, to] = payers.keys() else { panic!("two payers were asked for") };
    let next = next_sequence(&client, AccountId::of(from)).expect("the payer's account");
    let sqlite = Sqlite::open(&folder.join("commit.sqlite"));
    let before = Counters::of(&cluster);
    let (mut closes, mut commits) = (Vec::new(), Vec::new());
    for sequence in (next..).take(count) {
        let signed = payment(&cluster, from, AccountId::of(to), sequence);
        let begun = Instant::now();
        match client.submit(signed.bytes(), Some(CLOSE_WITHIN)).expect("the server answers") {
            TransactionStatus::Closed(closed) => assert!(closed.result.success, "a payment of one unit succeeds"),
            TransactionStatus::Pending { hash } => panic!("{hash} did not close in time"),
        }
        closes.push(begun.elapsed());
        commits.push(sqlite.commit());
    }
    let after = Counters::of(&cluster);
    let ledgers = after.ledgers - before.ledgers;
    println!("transactions, one at a time        {count} in {ledgers} ledgers");
    println!("submit to closed and durable       {}", quantiles(&mut closes));
    println!("one durable SQLite commit (1 KiB)  {}", quantiles(&mut commits));
    let ratio = median(&closes).as_secs_f64() / median(&commits).as_secs_f64();
    println!("ratio of the medians               {ratio:.1}");
    let each: Vec<String> = after
        .commits
        .iter()
        .zip(&before.commits)
        .map(|(a, b)| format!("{:.2}", (a - b) as f64 / ledgers as f64))
        .collect();
    println!("durable commits per ledger         {} (each of the servers)", each.join(" "));
    true
}

/// A database like a server's, to measure what one durable commit takes.
struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(path: &Path) -> Self {
        let open = || -> rusqlite::Result<_> {
            let connection = rusqlite::Connection::open(path)?;
            connection.execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB) STRICT;",
            )?;
            Ok(connection)
        };
        Self(open().expect("a database for comparison"))
    }

    fn commit(&self) -> Duration {
        let begun = Instant::now();
        self.0.execute("INSERT INTO t (b) VALUES (?1)", [vec![7u8; 1024]]).expect("a row can be written");
        begun.elapsed()
    }
}

/// What the servers' metrics say.
struct Counters {
    ledgers: u64,
    commits: Vec<u64>,
}

impl Counters {
    fn of(cluster: &Cluster) -> Self {
        let clients = cluster.clients();
        let commits = clients.iter().map(|client| metric(client, "fba_commits_total ")).collect();
        Self { ledgers: clients.first().map_or(0, |client| node(client).ledger.sequence), commits }
    }
}

fn metric(client: &Client, name: &str) -> u64 {
    let text = client.text("/metrics").expect("the server answers");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the metric is there");
    line.trim().parse().expect("a whole number")
}

fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    let ms = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    format!("median {:.2} ms, p90 {:.2} ms, p99 {:.2} ms", ms(at(50)), ms(at(90)), ms(at(99)))
}

fn throughput(program: &Path, folder: &Path, window: Duration, payers: usize, interval_ms: u64) -> bool {
    let cluster = Arc::new(network(program, folder, interval_ms));
    let first = cluster.client(0);
    let opened = Payers::open(&first, cluster.network(), &cluster.root_key(), payers, 0).expect("accounts");
    let keys = opened.keys().to_vec();
    let stop = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(AtomicU64::new(0));
    let begin = newest(&first);
    let begun = Instant::now();
    let urls: Vec<String> = cluster.files.nodes.iter().map(|node| format!("http://{}", node.http)).collect();
    // Each submitter waits for its server's answer, so several of them keep one server busy.
    let urls: Vec<String> = urls.iter().cycle().take(urls.len() * SUBMITTERS_PER_SERVER).cloned().collect();
    let threads: Vec<_> = urls
        .iter()
        .enumerate()
        .map(|(index, url)| {
            let (cluster, stop, taken) = (Arc::clone(&cluster), Arc::clone(&stop), Arc::clone(&taken));
            let (keys, client, count) = (keys.clone(), client(url), urls.len());
            std::thread::spawn(move || {
                let mine: Vec<&SecretKey> = keys.iter().skip(index).step_by(count).collect();
                flood(&cluster, &client, &mine, &stop, &taken)
            })
        })
        .collect();
    while begun.elapsed() < window {
        std::thread::sleep(Duration::from_millis(100));
    }
    let end = newest(&first);
    let elapsed = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let expected: Vec<(AccountId, u64)> =
        threads.into_iter().flat_map(|thread| thread.join().expect("no submitter panics")).collect();
    let closed = transactions_between(&first, begin, end);
    let ledgers = end - begin;
    println!("closed                 {closed} transactions in {ledgers} ledgers, {:.1} s", elapsed.as_secs_f64());
    println!("transactions a second  {:.0}", closed as f64 / elapsed.as_secs_f64());
    println!(
        "a ledger takes         {:.0} ms, holds {} transactions",
        elapsed.as_secs_f64() * 1e3 / ledgers.max(1) as f64,
        closed / ledgers.max(1)
    );
    let lost = lost(&cluster, &expected);
    println!("taken by a server      {}, of them not in the ledger: {lost}", taken.load(Ordering::Relaxed));
    cluster.all_closed(cluster.highest());
    println!("header hashes          equal on all servers");
    lost == 0
}

/// Submits payments as fast as the server takes them; the next sequence number of each account at the end.
fn flood(
    cluster: &Cluster,
    client: &Client,
    keys: &[&SecretKey],
    stop: &AtomicBool,
    taken: &AtomicU64,
) -> Vec<(AccountId, u64)> {
    let mut accounts: Vec<(AccountId, &SecretKey, u64)> = keys
        .iter()
        .map(|key| {
            let account = AccountId::of(key);
            (account, *key, next_sequence(client, account).expect("the payer's account"))
        })
        .collect();
    while !stop.load(Ordering::Relaxed) {
        let mut refused = 0;
        for (account, key, sequence) in &mut accounts {
            let signed = payment(cluster, key, *account, *sequence);
            if client.submit(signed.bytes(), None).is_ok() {
                *sequence += 1;
                taken.fetch_add(1, Ordering::Relaxed);
            } else {
                refused += 1;
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        if refused == accounts.len() {
            // The queue is full: let it drain a little.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    accounts.into_iter().map(|(account, _, sequence)| (account, sequence)).collect()
}

fn newest(client: &Client) -> u64 {
    node(client).ledger.sequence
}

fn transactions_between(client: &Client, after: u64, last: u64) -> u64 {
    const PAGE: u64 = 200;
    let mut before = last + 1;
    let mut count = 0;
    while before > after + 1 {
        let path = format!("/v1/ledgers?limit={PAGE}&before={before}");
        let page: Ledgers = client.get(&path).expect("the server answers");
        let Some(oldest) = page.ledgers.last() else { break };
        count += page.ledgers.iter().filter(|l| l.sequence > after).map(|l| l.transactions).sum::<u64>();
        before = oldest.sequence;
    }
    count
}

/// Transactions a server took that never came into the ledger, once the queues have drained.
fn lost(cluster: &Cluster, expected: &[(AccountId, u64)]) -> u64 {
    let client = cluster.client(0);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut missing = u64::MAX;
    while missing > 0 && Instant::now() < deadline {
        missing = expected
            .iter()
            .map(|(account, next)| next.saturating_sub(next_sequence(&client, *account).expect("the account")))
            .sum();
        if missing > 0 {
            cluster.all_closed(cluster.highest() + 1);
        }
    }
    missing
}
