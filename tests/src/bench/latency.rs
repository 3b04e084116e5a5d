//! From submit to closed and durable, one transaction at a time, compared with a durable SQLite commit measured in turn
//! with it on the same file system.

use super::machine::Machine;
use super::{CLOSE_WITHIN, median, ms, network, payment, quantiles};
use crate::cluster::{Cluster, node};
use fba_server::cli::client::Client;
use fba_server::demo::{Payers, next_sequence};
use fba_server::http::dto::TransactionStatus;
use fba_server::ledger::AccountId;
use std::path::Path;
use std::time::{Duration, Instant};

/// Measures `count` transactions.
///
/// # Panics
/// When a server does not do its part.
pub fn run(program: &Path, folder: &Path, count: usize) {
    let cluster = network(program, &folder.join("network"), 4, 0);
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
    println!("{}", Machine::look().line());
    println!("transactions, one at a time        {count} in {ledgers} ledgers");
    println!("submit to closed and durable       {}", quantiles(&mut closes));
    println!("one durable SQLite commit (1 KiB)  {}", quantiles(&mut commits));
    println!("ratio of the medians               {:.1}", ms(median(&mut closes)) / ms(median(&mut commits)));
    let each = after.commits.iter().zip(&before.commits).map(|(a, b)| (a - b) as f64 / ledgers as f64);
    let each: Vec<String> = each.map(|commits| format!("{commits:.2}")).collect();
    println!("durable commits per ledger         {} (each of the servers)", each.join(" "));
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
