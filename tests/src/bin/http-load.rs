//! Does HTTP load delay consensus? Four servers close ledgers of payments; one of them is asked as fast as it answers,
//! then many times that with 64 event streams open, and the times between closes are put beside those without any.

#![allow(clippy::panic, reason = "a measurement that cannot go on says why and ends")]

use clap::Parser;
use fba_server::demo::Payers;
use fba_server::http::dto::Ledgers;
use fba_tests::cluster::{Cluster, Shape, client, node};
use fba_tests::http_load::{Load, Outcome, ask, intervals, quantile, resident_kib, watch};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections that find out what the server sustains: more than the two threads that answer can be busy with.
const SUSTAINING: usize = 16;

/// Connections that offer more than that. With the streams they are below the server's limit of 256.
const OVERLOADING: usize = 128;

/// After so long without a request an address has its whole burst again.
const REFILLED: Duration = Duration::from_secs(3);

#[derive(Parser)]
#[command(about = "Close intervals of a network with and without HTTP load on one of its servers")]
struct Cli {
    /// The `fba` command to run [default: the one beside this program]
    #[arg(long)]
    program: Option<PathBuf>,
    /// Make the network in a temporary folder below this one
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Seconds without load, and as many with it
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Least milliseconds between two closes
    #[arg(long, default_value_t = 1000)]
    interval: u64,
    /// Event streams held open during the load
    #[arg(long, default_value_t = 64)]
    streams: usize,
    /// How many times the sustained rate is offered
    #[arg(long, default_value_t = 10.0)]
    times: f64,
    /// Apply the limit of requests per address to this machine too: most answers are then 429
    #[arg(long)]
    limited: bool,
}

fn main() {
    let cli = Cli::parse();
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name("fba"));
    let program = cli.program.clone().or(beside).expect("--program, or a program beside this one");
    let folder = tempfile::tempdir_in(&cli.folder).expect("a temporary folder");
    let shape = Shape { interval_ms: cli.interval, heartbeat_ms: 5 * cli.interval.max(100), ..Shape::FOUR };
    let mut cluster = Cluster::make(&program, shape, &folder.path().join("network"));
    if cli.limited {
        limit_loopback(&cluster);
    }
    cluster.start_all();
    cluster.all_closed(2);
    measure(&cli, &mut cluster);
}

/// Makes the first server count this machine's requests, too.
fn limit_loopback(cluster: &Cluster) {
    let node = cluster.files.nodes.first().expect("a network has a server");
    let mut file = OpenOptions::new().append(true).open(&node.config).expect("its configuration");
    file.write_all(b"\n[http_limits]\nlimit_loopback = true\n").expect("its configuration can be written");
}

fn measure(cli: &Cli, cluster: &mut Cluster) {
    let target = cluster.files.nodes.first().expect("a network has a server").http;
    let process = cluster.take(0);
    let pid = process.id();
    cluster.put_back(0, process);
    // Payments go to a server that is not asked, so that every interval has something to close.
    let payers = Payers::open(&cluster.client(1), cluster.network(), &cluster.root_key(), 8, 0).expect("accounts");
    let _payments = payers.run(vec![cluster.client(1)], 20.0);
    let time = Duration::from_secs(cli.seconds);
    let rss = || resident_kib(pid).map_or("?".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1024.0));

    let before = rss();
    let quiet = closes_during(cluster, || std::thread::sleep(time));
    println!("without load            {}  rss {before} -> {}", shown(&quiet), rss());

    let load = Load { connections: SUSTAINING, offered: None, time: time.min(Duration::from_secs(20)) };
    let mut sustained = Outcome::default();
    let during = closes_during(cluster, || sustained = ask(target, load));
    sustained.latencies.sort_unstable();
    println!("sustained               {}  rss {}  {}", shown(&during), rss(), answered(&sustained));
    println!(
        "  one request at a time on each of {SUSTAINING} connections: median {:?}, p99 {:?}",
        quantile(&sustained.latencies, 0.5),
        quantile(&sustained.latencies, 0.99)
    );

    let offered = sustained.rate() * cli.times;
    let load = Load { connections: OVERLOADING, offered: Some(offered), time };
    let mut overload = (Outcome::default(), Watched::default());
    let busy = closes_during(cluster, || overload = with_streams(target, cli.streams, || ask(target, load)));
    let (outcome, watched) = overload;
    println!("{:4.1}x offered           {}  rss {}  {}", cli.times, shown(&busy), rss(), answered(&outcome));
    println!("  {offered:.0} requests/s offered, {} streams: {watched:?}", cli.streams);
    let ratio = |share| quantile(&busy, share).as_secs_f64() / quantile(&quiet, share).as_secs_f64().max(0.001);
    println!("close interval with / without: median {:.3}, p99 {:.3}", ratio(0.5), ratio(0.99));
    let after = Instant::now();
    let target = client(&format!("http://{target}"));
    while target.text("/readyz").is_err() && after.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("ready, and answering this machine again, {:?} after the load", after.elapsed());
}

/// The sorted close intervals of the time that `work` takes, by the agreed close times, read from the second server:
/// the first may have heard enough from this machine.
fn closes_during(cluster: &Cluster, work: impl FnOnce()) -> Vec<Duration> {
    let newest = || node(&cluster.client(1)).ledger.sequence;
    let first = newest();
    work();
    let last = newest();
    let mut all = Ledgers { ledgers: Vec::new() };
    let mut before = last + 1;
    while before > first {
        let limit = (before - first).min(200);
        let page: Ledgers =
            cluster.client(1).get(&format!("/v1/ledgers?limit={limit}&before={before}")).expect("the server answers");
        let Some(lowest) = page.ledgers.last().map(|ledger| ledger.sequence) else { break };
        before = lowest;
        all.ledgers.extend(page.ledgers);
    }
    intervals(&all)
}

#[derive(Debug, Default)]
#[expect(dead_code, reason = "printed")]
struct Watched {
    whole: usize,
    cut_off: usize,
    fewest_ledgers: u64,
    most_ledgers: u64,
}

fn with_streams(target: SocketAddr, count: usize, work: impl FnOnce() -> Outcome) -> (Outcome, Watched) {
    // With a limit on this machine: until it may ask again.
    std::thread::sleep(REFILLED);
    let (stop, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let streams: Vec<_> = (0..count).map(|_| scope.spawn(|| watch(target, &stop, &opened))).collect();
        let begun = Instant::now();
        while opened.load(Ordering::Relaxed) < count && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let outcome = work();
        stop.store(true, Ordering::Relaxed);
        let told: Vec<_> = streams.into_iter().map(|stream| stream.join().expect("a reader does not panic")).collect();
        for error in told.iter().filter_map(|told| told.as_ref().err()).take(3) {
            println!("  a stream was cut off: {error}");
        }
        let ledgers: Vec<u64> = told.iter().filter_map(|told| told.as_ref().ok().copied()).collect();
        let watched = Watched {
            whole: ledgers.len(),
            cut_off: told.len() - ledgers.len(),
            fewest_ledgers: ledgers.iter().min().copied().unwrap_or(0),
            most_ledgers: ledgers.iter().max().copied().unwrap_or(0),
        };
        (outcome, watched)
    })
}

fn shown(intervals: &[Duration]) -> String {
    let (median, p99) = (quantile(intervals, 0.5), quantile(intervals, 0.99));
    format!("{:4} closes, interval median {} ms, p99 {} ms", intervals.len(), median.as_millis(), p99.as_millis())
}

fn answered(outcome: &Outcome) -> String {
    format!("{:.0} answers/s {:?}, {} connections cut off", outcome.rate(), outcome.statuses, outcome.broken)
}
