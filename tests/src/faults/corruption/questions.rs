//! Everything a data folder can be asked, asked of a good one and of a damaged one.

use fba_core::Hash;
use fba_server::config::{Config, Keys};
use fba_server::herder::{Herder, HerderConfig, Input, Now, Restored, Vote};
use fba_server::key::{Ed25519, NetworkId, SecretKey};
use fba_server::ledger::{AccountId, Genesis, Ledger};
use fba_server::store::{KeyMark, Order, Reader, Store, VoteStanding, key_file};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Pages of the API hold so many rows at most.
const PAGE: u64 = 1_000;

/// Whose data folder it is.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    genesis: Genesis,
    network: NetworkId,
    key: SecretKey,
    herder: HerderConfig,
    key_file: PathBuf,
}

/// One question of the API, as the store is asked it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Question {
    /// A ledger.
    Ledger(u64),
    /// A ledger by its hash, and its number.
    LedgerByHash(Hash, u64),
    /// A ledger's transactions.
    TransactionsOf(u64),
    /// A transaction, and its ledger's number.
    Transaction(Hash, u64),
    /// What proves a ledger.
    Proof(u64),
    /// A ledger as peers are given it.
    Entry(u64),
    /// An account as it is now.
    Account(AccountId),
    /// An account's transactions.
    TransactionsFrom(AccountId),
}

impl Question {
    /// The ledger it is about; nothing if it is about the present state.
    #[must_use]
    pub(super) fn ledger(&self) -> Option<u64> {
        match self {
            Self::Ledger(sequence)
            | Self::LedgerByHash(_, sequence)
            | Self::TransactionsOf(sequence)
            | Self::Transaction(_, sequence)
            | Self::Proof(sequence)
            | Self::Entry(sequence) => Some(*sequence),
            Self::Account(_) | Self::TransactionsFrom(_) => None,
        }
    }

    /// The answer, or why there is none.
    ///
    /// # Errors
    /// What the store says.
    pub(super) fn ask(&self, reader: &Reader) -> Result<String, String> {
        let answer = match self {
            Self::Ledger(sequence) => reader.ledger(*sequence).map(|found| format!("{found:?}")),
            Self::LedgerByHash(hash, _) => reader.ledger_by_hash(hash).map(|found| format!("{found:?}")),
            Self::TransactionsOf(sequence) => {
                reader.transactions_of(*sequence, 0, PAGE).map(|found| format!("{found:?}"))
            }
            Self::Transaction(hash, _) => reader.transaction(hash).map(|found| format!("{found:?}")),
            Self::Proof(sequence) => reader.proof(*sequence).map(|found| format!("{found:?}")),
            Self::Entry(sequence) => reader.ledger_entries(*sequence, 1).map(|found| format!("{found:?}")),
            Self::Account(account) => reader.account(account).map(|found| format!("{found:?}")),
            Self::TransactionsFrom(account) => {
                reader.transactions_of_account(account, None, PAGE).map(|found| format!("{found:?}"))
            }
        };
        answer.map_err(|error| error.to_string())
    }
}

/// A data folder that was opened as a server opens it.
#[derive(Debug)]
pub(super) struct Opened {
    /// May it vote?
    pub(super) standing: VoteStanding,
    /// Its own votes.
    pub(super) votes: Vec<Vote>,
    /// Reads from it.
    pub(super) reader: Reader,
    // Holds the folder.
    _store: Store,
}

impl Owner {
    /// Whose configuration this is.
    ///
    /// # Panics
    /// When the files of the network cannot be read.
    #[must_use]
    pub(super) fn of(config: &Path, genesis: &Path) -> Self {
        let config = Config::load(config, Keys::Required).expect("a configuration of this network");
        let text = std::fs::read_to_string(genesis).expect("a genesis file");
        let genesis = Genesis::from_toml(&text).expect("a genesis file");
        let key = key_file::read(&config.node_seed_file).expect("a key file");
        let (is_validator, leader_weights) = (config.is_validator, None);
        let herder = HerderConfig { quorum_set: config.trust.quorum_set, is_validator, leader_weights };
        Self { network: genesis.network_id(), genesis, key, herder, key_file: config.node_seed_file }
    }

    /// Opens a data folder as a server does at its start, up to the point where it would speak.
    ///
    /// # Errors
    /// What the server would end with.
    pub(super) fn open(&self, data: &Path) -> Result<Opened, String> {
        let mark = KeyMark::beside(&self.key_file);
        let opened = Store::open(data, self.network, self.key.node_id(), &mark);
        let (store, restored) = opened.map_err(|error| error.to_string())?;
        let standing = restored.standing;
        let votes = restored.herder.votes.clone();
        if let Some(found) = restored.ledger {
            let ledger = Ledger::restore(&self.genesis, found.header, found.accounts, found.data, found.lattice);
            self.take_up(
                ledger.map_err(|error| format!("the stored ledger does not add up: {error}"))?,
                restored.herder,
            );
        }
        Ok(Opened { standing, votes, reader: store.reader(), _store: store })
    }

    /// What was stored goes back into the core.
    fn take_up(&self, ledger: Ledger, restored: Restored) {
        let signatures = Arc::new(Ed25519::new(self.network, self.key.clone()));
        let unix_ms = ledger.close_time_ms();
        let mut herder = Herder::new(self.herder.clone(), signatures, ledger, restored);
        let now = Now { monotonic: Duration::ZERO, unix_ms };
        herder.handle(now, Input::Start);
        // What it would say or store is of no interest here.
        drop(herder.flush(now));
    }
}

/// Every question about what a good data folder holds.
///
/// # Panics
/// When it cannot be read: it is good.
#[must_use]
pub(super) fn all(reader: &Reader) -> Vec<Question> {
    let last = reader.totals().expect("a good database").last_ledger;
    let mut questions = Vec::new();
    let mut accounts = std::collections::BTreeSet::new();
    for row in reader.ledgers(1, last, Order::OldestFirst).expect("a good database") {
        let sequence = row.header.sequence;
        questions.extend([Question::Ledger(sequence), Question::LedgerByHash(row.hash, sequence)]);
        questions.extend([Question::Proof(sequence), Question::Entry(sequence), Question::TransactionsOf(sequence)]);
        let transactions = reader.transactions_of(sequence, 0, PAGE).expect("a good database").unwrap_or_default();
        for row in transactions {
            questions.push(Question::Transaction(row.transaction.hash(), sequence));
            accounts.insert(row.transaction.transaction().source);
        }
    }
    questions.extend(accounts.iter().copied().map(Question::Account));
    questions.extend(accounts.into_iter().map(Question::TransactionsFrom));
    questions
}
