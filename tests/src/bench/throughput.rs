//! Transactions closed per second by a network that is kept full; nothing a server took may be lost.

use super::machine::Machine;
use super::{network, payment};
use crate::cluster::{Cluster, client, node};
use fba_server::cli::client::Client;
use fba_server::demo::{Payers, next_sequence};
use fba_server::http::dto::Ledgers;
use fba_server::key::SecretKey;
use fba_server::ledger::AccountId;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Threads that submit to one server.
const SUBMITTERS_PER_SERVER: usize = 8;

/// Keeps a network of four full for `window`. Returns whether everything that was taken came into the ledger.
///
/// # Panics
/// When a server does not do its part.
#[must_use]
pub fn run(program: &Path, folder: &Path, window: Duration, payers: usize, interval_ms: u64) -> bool {
    let cluster = Arc::new(network(program, &folder.join("network"), 4, interval_ms));
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
    println!("{}", Machine::look().line());
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
