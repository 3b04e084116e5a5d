//! A client that remembers what it was promised, and a check that every promise was kept.
//!
//! A transaction counts as *acknowledged* when a server answered `closed`. Whatever else happens (no answer, a server
//! that dies, a timeout) is an unknown outcome: the same bytes are sent again, to the next server, until one answers.

use crate::cluster::client;
use fba_server::cli::client::Client;
use fba_server::demo::{Payers, next_sequence};
use fba_server::http::dto::{Ledgers, TransactionStatus, Transactions};
use fba_server::key::{NetworkId, SecretKey};
use fba_server::ledger::{AccountId, Operation, SignedTransaction, Transaction};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a server may take to answer `closed` before the bytes are sent to another.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Before the bytes are sent again: a server that is down refuses at once, and asking it all the time would take the
/// processor from those that run.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// A transaction that was acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acknowledged {
    /// Its hash.
    pub hash: String,
    /// The ledger that was named.
    pub ledger: u64,
    /// From the first submission to the answer.
    pub took: Duration,
}

/// Payers that submit one transaction after another, each waiting for its close.
pub struct AckedLoad {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    threads: Vec<JoinHandle<()>>,
}

impl AckedLoad {
    /// Starts a thread for each of `payers`; each submits each transaction to one of `urls`
    /// by chance, and to others if that one does not answer.
    #[must_use]
    pub fn start(network: NetworkId, payers: &Payers, urls: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let keys = payers.keys();
        let threads = keys
            .iter()
            .zip(keys.iter().cycle().skip(1))
            .enumerate()
            .map(|(first, (key, to))| {
                let mut payer = AckedPayer {
                    network,
                    key: key.clone(),
                    to: AccountId::of(to),
                    clients: urls.iter().map(|url| client(url)).collect(),
                    chance: ChaCha8Rng::seed_from_u64(first as u64),
                    turn: first,
                    sequence: None,
                };
                let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if let Some(promise) = payer.pay(&stop) {
                            acknowledged.lock().expect("no payer panics while it notes a promise").push(promise);
                        }
                    }
                })
            })
            .collect();
        Self { stop, acknowledged, threads }
    }

    /// How many transactions were acknowledged so far.
    ///
    /// # Panics
    /// When a payer has panicked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.acknowledged.lock().expect("no payer panics while it notes a promise").len()
    }

    /// Stops the payers and returns every acknowledged transaction.
    ///
    /// # Panics
    /// When a payer has panicked.
    #[must_use]
    pub fn stop(mut self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("payers do not panic"));
        std::mem::take(&mut self.acknowledged.lock().expect("no payer panics while it notes a promise"))
    }
}

impl Drop for AckedLoad {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct AckedPayer {
    network: NetworkId,
    key: SecretKey,
    to: AccountId,
    clients: Vec<Client>,
    chance: ChaCha8Rng,
    turn: usize,
    sequence: Option<u64>,
}

impl AckedPayer {
    /// One payment, submitted until a server says `closed`. `None` if it was stopped before.
    fn pay(&mut self, stop: &AtomicBool) -> Option<Acknowledged> {
        let sequence = self.sequence(stop)?;
        let pay = Operation::Payment { to: self.to, amount: 1 };
        let transaction = Transaction::new(AccountId::of(&self.key), sequence, vec![pay]);
        let signed = SignedTransaction::build(self.network, transaction, &[&self.key]).expect("a payment of one unit");
        let begun = Instant::now();
        self.another();
        while !stop.load(Ordering::Relaxed) {
            let answer = self.client().submit(signed.bytes(), Some(CLOSE_WITHIN));
            match answer {
                Ok(TransactionStatus::Closed(closed)) => {
                    assert!(closed.result.success, "a payment of one unit failed: {:?}", closed.result);
                    assert_eq!(closed.hash, signed.hash().to_string(), "the answer is about the transaction asked for");
                    self.sequence = Some(sequence + 1);
                    return Some(Acknowledged { hash: closed.hash, ledger: closed.ledger, took: begun.elapsed() });
                }
                Ok(TransactionStatus::Pending { .. }) | Err(_) => self.retry(),
            }
        }
        None
    }

    fn sequence(&mut self, stop: &AtomicBool) -> Option<u64> {
        while self.sequence.is_none() && !stop.load(Ordering::Relaxed) {
            self.sequence = next_sequence(self.client(), AccountId::of(&self.key)).ok();
            if self.sequence.is_none() {
                self.retry();
            }
        }
        self.sequence
    }

    fn retry(&mut self) {
        std::thread::sleep(RETRY_AFTER);
        self.another();
    }

    /// Picks the server that is asked next.
    fn another(&mut self) {
        self.turn = usize::try_from(self.chance.next_u32()).unwrap_or(0);
    }

    fn client(&self) -> &Client {
        let index = self.turn.checked_rem(self.clients.len()).unwrap_or(0);
        self.clients.get(index).expect("at least one server")
    }
}

/// Every transaction of a server's ledgers: in which ledgers its hash stands.
///
/// # Panics
/// When the server does not answer.
#[must_use]
pub fn ledgers_of_transactions(client: &Client) -> BTreeMap<String, Vec<u64>> {
    const PAGE: u64 = 200;
    let newest: Ledgers = client.get("/v1/ledgers?limit=1").expect("the server answers");
    let newest = newest.ledgers.first().expect("there is at least genesis");
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for sequence in 1..=newest.sequence {
        let mut from = 0;
        loop {
            let path = format!("/v1/ledgers/{sequence}/transactions?from={from}&limit={PAGE}");
            let page: Transactions = client.get(&path).expect("the server answers");
            let count = page.transactions.len() as u64;
            for transaction in page.transactions {
                found.entry(transaction.hash).or_default().push(sequence);
            }
            if count < PAGE {
                break;
            }
            from += count;
        }
    }
    found
}

/// A promise that a server's ledger does not keep.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// What was promised.
    pub promise: Acknowledged,
    /// The ledgers the transaction stands in: none, another one, or several.
    pub found: Vec<u64>,
}

/// The acknowledged transactions that do not stand in this server's ledger exactly once, where they were said to.
///
/// # Panics
/// When the server does not answer.
#[must_use]
pub fn broken(promises: &[Acknowledged], client: &Client) -> Vec<Broken> {
    let found = ledgers_of_transactions(client);
    let ledgers = |promise: &Acknowledged| found.get(&promise.hash).cloned().unwrap_or_default();
    promises
        .iter()
        .map(|promise| Broken { promise: promise.clone(), found: ledgers(promise) })
        .filter(|broken| broken.found != [broken.promise.ledger])
        .collect()
}

/// Checks that every acknowledged transaction stands in this server's ledger exactly once, where it was said to.
///
/// # Panics
/// When one does not.
pub fn assert_kept(promises: &[Acknowledged], client: &Client) {
    assert_eq!(broken(promises, client), [], "every acknowledged transaction is in the ledger once");
}
