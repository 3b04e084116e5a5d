//! A stream of payments to keep a network busy: accounts made from the root, then each paying the next.

use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::http::dto::{Account, TransactionStatus};
use crate::key::{NetworkId, SecretKey, sha256};
use crate::ledger::{AccountId, Operation, SignedTransaction, Transaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Accounts one transaction can open.
const ACCOUNTS_PER_TRANSACTION: usize = 100;

/// What each load account starts with, in smallest units.
const STARTING_BALANCE: u64 = 1_000_000_000;

/// How long the opening of the accounts may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);

/// The accounts a load is made of.
#[derive(Clone, Debug)]
pub struct Payers {
    network: NetworkId,
    keys: Vec<SecretKey>,
}

impl Payers {
    /// Opens `count` accounts with money from `root` and waits until they are in the ledger.
    ///
    /// The accounts are derived from the root key and `salt`; the same ones are found again on the next run.
    ///
    /// # Errors
    /// When a server refuses or cannot be reached.
    pub fn open(
        client: &Client,
        network: NetworkId,
        root: &SecretKey,
        count: usize,
        salt: u64,
    ) -> Result<Self, CliError> {
        let keys: Vec<SecretKey> = (0u64..).take(count).map(|i| derived_key(root, salt, i)).collect();
        let root_id = AccountId::of(root);
        for keys in keys.chunks(ACCOUNTS_PER_TRANSACTION) {
            let missing: Vec<Operation> = keys
                .iter()
                .map(AccountId::of)
                .filter_map(|account| match find_account(client, account) {
                    Ok(Some(_)) => None,
                    Ok(None) => Some(Ok(Operation::CreateAccount { account, balance: STARTING_BALANCE })),
                    Err(error) => Some(Err(error)),
                })
                .collect::<Result<_, _>>()?;
            if missing.is_empty() {
                continue;
            }
            let sequence = next_sequence(client, root_id)?;
            let transaction = Transaction::new(root_id, sequence, missing);
            let signed = SignedTransaction::build(network, transaction, &[root])
                .expect("at most a hundred operations, none with amount zero");
            match client.submit(signed.bytes(), Some(CLOSE_WITHIN))? {
                TransactionStatus::Closed(closed) if closed.result.success => {}
                other @ (TransactionStatus::Pending { .. } | TransactionStatus::Closed(_)) => {
                    let message = format!("the accounts of the load could not be opened: {other:?}");
                    return Err(CliError::new(Exit::Unavailable, message));
                }
            }
        }
        Ok(Self { network, keys })
    }

    /// The accounts' keys.
    #[must_use]
    pub fn keys(&self) -> &[SecretKey] {
        &self.keys
    }

    /// Keeps about `rate` payments a second flowing into `clients` (each payer sticks to one) until stopped.
    #[must_use]
    pub fn run(self, clients: Vec<Client>, rate: f64) -> Load {
        let mut load = Load {
            stop: Arc::new(AtomicBool::new(false)),
            submitted: Arc::new(AtomicU64::new(0)),
            refused: Arc::new(AtomicU64::new(0)),
            thread: None,
        };
        let (stop, submitted, refused) =
            (Arc::clone(&load.stop), Arc::clone(&load.submitted), Arc::clone(&load.refused));
        let thread = std::thread::spawn(move || {
            let mut payers: Vec<Payer> = self.payers(&clients);
            let pause = Duration::from_secs_f64(1.0 / rate.max(0.001));
            let mut due = Instant::now();
            for turn in 0usize.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let count = payers.len();
                if let Some(payer) = payers.get_mut(turn % count.max(1)) {
                    match payer.pay() {
                        Ok(()) => submitted.fetch_add(1, Ordering::Relaxed),
                        Err(_) => refused.fetch_add(1, Ordering::Relaxed),
                    };
                }
                due += pause;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        load.thread = Some(thread);
        load
    }

    fn payers(&self, clients: &[Client]) -> Vec<Payer> {
        let targets = self.keys.iter().cycle().skip(1);
        self.keys
            .iter()
            .zip(targets)
            .zip(clients.iter().cycle())
            .map(|((key, to), client)| Payer {
                network: self.network,
                client: client.clone(),
                key: key.clone(),
                to: AccountId::of(to),
                sequence: None,
            })
            .collect()
    }
}

/// A running load. Dropping it stops it.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    submitted: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Transactions a server took.
    #[must_use]
    pub fn submitted(&self) -> u64 {
        self.submitted.load(Ordering::Relaxed)
    }

    /// Transactions no server took (refused, or nobody there).
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the load has stopped either way.
            let _ = thread.join();
        }
    }
}

struct Payer {
    network: NetworkId,
    client: Client,
    key: SecretKey,
    to: AccountId,
    /// The next sequence number; `None` when it must be asked for.
    sequence: Option<u64>,
}

impl Payer {
    /// Submits one payment of one unit without waiting for its close.
    fn pay(&mut self) -> Result<(), CliError> {
        let from = AccountId::of(&self.key);
        let sequence = match self.sequence.take() {
            Some(sequence) => sequence,
            None => next_sequence(&self.client, from)?,
        };
        let payment = Operation::Payment { to: self.to, amount: 1 };
        let transaction = Transaction::new(from, sequence, vec![payment]);
        let signed = SignedTransaction::build(self.network, transaction, &[&self.key])
            .expect("one payment of one unit is well-formed");
        self.client.submit(signed.bytes(), None)?;
        self.sequence = Some(sequence + 1);
        Ok(())
    }
}

fn find_account(client: &Client, account: AccountId) -> Result<Option<Account>, CliError> {
    client.find(&format!("/v1/accounts/{account}"))
}

/// The sequence number of the account's next transaction, not counting those that are queued.
///
/// # Errors
/// When the node does not answer, or there is no such account.
pub fn next_sequence(client: &Client, account: AccountId) -> Result<u64, CliError> {
    let found = find_account(client, account)?;
    found
        .map(|account| account.next_sequence)
        .ok_or_else(|| CliError::new(Exit::No, format!("account {account} does not exist on this network")))
}

fn derived_key(root: &SecretKey, salt: u64, index: u64) -> SecretKey {
    let seed = sha256(&[b"fba load account", root.to_strkey().as_bytes(), &salt.to_be_bytes(), &index.to_be_bytes()]);
    SecretKey::from_seed(&seed.0)
}
