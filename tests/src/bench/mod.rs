//! Figures of whole networks on this machine: real processes, QUIC, SQLite. docs/performance.md says how to read them.

#![expect(clippy::panic, reason = "a measurement that cannot go on says why and ends")]

mod etcd;
pub mod footprint;
pub mod latency;
mod machine;
pub mod replicated;
mod slices;
pub mod throughput;

use crate::cluster::{Cluster, Shape};
use fba_server::key::SecretKey;
use fba_server::ledger::{AccountId, Operation, SignedTransaction, Transaction};
use std::path::Path;
use std::time::Duration;

/// How long one transaction may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(30);

/// A running network in `folder` that closes ledgers already.
fn network(program: &Path, folder: &Path, organizations: usize, interval_ms: u64) -> Cluster {
    let shape = Shape { organizations, interval_ms, heartbeat_ms: 2000, ..Shape::FOUR };
    let mut cluster = Cluster::make(program, shape, folder);
    cluster.start_all();
    cluster.all_closed(2);
    cluster
}

fn signed(cluster: &Cluster, key: &SecretKey, sequence: u64, operation: Operation) -> SignedTransaction {
    let transaction = Transaction::new(AccountId::of(key), sequence, vec![operation]);
    SignedTransaction::build(cluster.network(), transaction, &[key]).expect("one operation within its limits")
}

fn payment(cluster: &Cluster, key: &SecretKey, to: AccountId, sequence: u64) -> SignedTransaction {
    signed(cluster, key, sequence, Operation::Payment { to, amount: 1 })
}

fn median<T: Copy + Default + PartialOrd>(values: &mut [T]) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).expect("no value is NaN"));
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = |part: usize| ms(times.get((times.len() * part / 100).min(last)).copied().unwrap_or_default());
    format!("median {:.2} ms, p90 {:.2} ms, p99 {:.2} ms", at(50), at(90), at(99))
}
