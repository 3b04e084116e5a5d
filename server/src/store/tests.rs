//! The store's promises, each as a test. Real files, real SQLite, no timing.

use super::*;
use crate::herder::Vote;
use crate::key::{Ed25519, SecretKey, Signatures};
use crate::ledger::{
    Account, AccountId, DataEntry, Genesis, Ledger, Operation, Parameters, Proposed, SignedTransaction, Transaction,
    TxSet, VerifiedTxSet,
};
use crate::wire::SignedStatement;
use fba_core::{Ballot, Pledge, QuorumSet, SlotIndex, Statement, Value};
use std::collections::BTreeMap;

/// A node with a ledger in memory, from which commits are made.
pub(crate) struct Node {
    home: tempfile::TempDir,
    pub(crate) key: SecretKey,
    root: SecretKey,
    pub(crate) genesis: Genesis,
    ledger: Ledger,
    first: Close,
    /// Of the root account.
    sequence: u64,
}

impl Node {
    pub(crate) fn new() -> Self {
        let root = SecretKey::from_seed(&[1; 32]);
        let genesis = Genesis {
            passphrase: "store tests".to_owned(),
            close_time_ms: 1_000,
            root_account: AccountId::of(&root),
            total_supply: 1_000_000_000,
            parameters: Parameters::default(),
        };
        let (ledger, closed) = Ledger::genesis(&genesis).unwrap();
        let first = Close { closed, proof: Vec::new(), proof_sets: Vec::new() };
        let home = tempfile::tempdir().unwrap();
        let node = Self { home, key: SecretKey::from_seed(&[7; 32]), root, genesis, ledger, first, sequence: 0 };
        node.mark().create().unwrap();
        node
    }

    pub(crate) fn network(&self) -> NetworkId {
        self.genesis.network_id()
    }

    pub(crate) fn signatures(&self) -> Ed25519 {
        Ed25519::new(self.network(), self.key.clone())
    }

    pub(crate) fn mark(&self) -> KeyMark {
        KeyMark::beside(&self.home.path().join("node.key"))
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn try_open(&self) -> Result<(Store, Restored), StoreError> {
        Store::open(&self.folder(), self.network(), self.key.node_id(), &self.mark())
    }

    fn open(&self) -> (Store, Restored) {
        self.try_open().unwrap()
    }

    /// Opens a new store and commits ledger 1.
    fn start(&self) -> Store {
        let (mut store, restored) = self.open();
        assert!(restored.ledger.is_none());
        store.commit(&self.first()).unwrap();
        store
    }

    fn first(&self) -> Commit {
        Commit { closes: vec![self.first.clone()], sync: true, ..Commit::default() }
    }

    pub(crate) fn set(&self) -> QuorumSet {
        QuorumSet::singleton(self.key.node_id())
    }

    fn sign(&self, slot: u64, pledge: Pledge) -> SignedStatement {
        let statement =
            Statement { node: self.key.node_id(), slot: SlotIndex(slot), quorum_set: self.set().hash(), pledge };
        SignedStatement::sign(statement, &self.signatures())
    }

    fn ballot(&self, slot: u64, counter: u32) -> Vote {
        let ballot = Ballot { counter, value: Value::new(b"some value") };
        let pledge = Pledge::Prepare { ballot, prepared: None, prepared_prime: None, commit: 0, high: 0 };
        Vote { statement: self.sign(slot, pledge), nomination: None }
    }

    fn nomination(&self, slot: u64, round: u32) -> Vote {
        let pledge = Pledge::Nominate { voted: vec![Value::new(b"some value")], accepted: Vec::new() };
        Vote { statement: self.sign(slot, pledge), nomination: Some((round, Value::new(b"previous"))) }
    }

    fn vote(&self, vote: Vote) -> Commit {
        let sync = !vote.statement.statement.pledge.is_nomination();
        Commit { votes: vec![vote], quorum_sets: vec![self.set()], sync, ..Commit::default() }
    }

    fn transaction(&mut self, operations: Vec<Operation>) -> Arc<SignedTransaction> {
        self.sequence += 1;
        let transaction = Transaction::new(AccountId::of(&self.root), self.sequence, operations);
        Arc::new(SignedTransaction::build(self.network(), transaction, &[&self.root]).unwrap())
    }

    /// A transaction that opens an account and writes a data entry.
    fn some_transaction(&mut self) -> Arc<SignedTransaction> {
        let byte = u8::try_from(self.sequence % 200).unwrap() + 10;
        let account = AccountId::of(&SecretKey::from_seed(&[byte; 32]));
        self.transaction(vec![
            Operation::CreateAccount { account, balance: 1_000 },
            Operation::SetData { key: vec![byte], value: vec![byte; 40] },
        ])
    }

    /// The next ledger with these transactions, proven by our own EXTERNALIZE, which is also our vote.
    pub(crate) fn close(&mut self, transactions: Vec<Arc<SignedTransaction>>) -> Commit {
        let slot = self.ledger.sequence() + 1;
        let set = Arc::new(TxSet::new(self.ledger.header_hash(), transactions));
        let close_time = self.ledger.close_time_ms() + 10_000;
        let proposed =
            Proposed::sign(SlotIndex(slot), self.ledger.header_hash(), set.hash(), close_time, &self.signatures());
        let value = proposed.to_value();
        let set = VerifiedTxSet::verify(set, &self.signatures(), |_| false).unwrap();
        let closed = self.ledger.close(&value, &set).unwrap();
        let statement = self.sign(slot, Pledge::Externalize { commit: Ballot { counter: 1, value }, high: 1 });
        let close = Close { closed, proof: vec![statement.clone()], proof_sets: vec![self.set()] };
        Commit {
            votes: vec![Vote { statement, nomination: None }],
            heard: Vec::new(),
            quorum_sets: vec![self.set()],
            tx_sets: vec![Arc::clone(set.shared())],
            closes: vec![close],
            sync: true,
        }
    }

    /// A store with some ledgers, transactions, votes; returns the ids to ask for.
    pub(crate) fn lived(&mut self, ledgers: u64) -> (Store, Vec<Hash>) {
        let mut store = self.start();
        let mut hashes = Vec::new();
        for _ in 0..ledgers {
            let transactions: Vec<_> = (0..3).map(|_| self.some_transaction()).collect();
            hashes.extend(transactions.iter().map(|transaction| transaction.hash()));
            store.commit(&self.vote(self.nomination(self.ledger.sequence() + 1, 2))).unwrap();
            store.commit(&self.vote(self.ballot(self.ledger.sequence() + 1, 1))).unwrap();
            let commit = self.close(transactions);
            store.commit(&commit).unwrap();
        }
        (store, hashes)
    }

    fn copy_to(&self, other: &Path) {
        std::fs::create_dir_all(other).unwrap();
        for file in std::fs::read_dir(self.folder()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), other.join(file.file_name())).unwrap();
        }
    }
}

fn statements(restored: &Restored) -> Vec<SignedStatement> {
    restored.herder.votes.iter().map(|vote| vote.statement.clone()).collect()
}

/// What key, side file and mark say when the folder is opened once more.
fn standing(node: &Node) -> VoteStanding {
    node.open().1.standing
}

/// What a process would find that started after this one was killed now.
fn standing_of_copy(node: &Node) -> VoteStanding {
    let copy = node.home.path().join("copy");
    node.copy_to(&copy);
    Store::open(&copy, node.network(), node.key.node_id(), &node.mark()).unwrap().1.standing
}

fn lost(node: &Node, because: &str) {
    let standing = standing(node);
    let VoteStanding::Lost { reason } = &standing else { panic!("{standing}") };
    assert!(reason.contains(because), "{reason}");
}

#[test]
fn reopening_gives_the_same_state_and_votes() {
    let mut node = Node::new();
    let (store, _) = node.lived(3);
    drop(store);
    let (store, restored) = node.open();
    assert_eq!(restored.standing, VoteStanding::Intact);
    let kept = restored.ledger.clone().unwrap();
    assert_eq!((kept.hash, kept.genesis), (node.ledger.header_hash(), node.first.closed.hash));
    let ledger = Ledger::restore(&node.genesis, kept.header, kept.accounts, kept.data, kept.lattice).unwrap();
    assert_eq!(ledger, node.ledger);
    assert!(ledger.check_state());
    assert_eq!(restored.herder.quorum_sets, [node.set()]);
    assert_eq!(restored.herder.tx_sets.len(), 3);
    // Per slot: the nomination, and the newest ballot statement.
    assert_eq!(restored.herder.votes.len(), 6);
    let nomination = restored.herder.votes.first().unwrap();
    assert_eq!(nomination.nomination, Some((2, Value::new(b"previous"))));
    assert_eq!(nomination.statement, node.nomination(2, 2).statement);
    drop(store);
}

#[test]
fn what_others_said_is_kept_until_the_slot_is_closed_and_then_its_proof() {
    let mut node = Node::new();
    let mut store = node.start();
    let other = Ed25519::new(node.network(), SecretKey::from_seed(&[8; 32]));
    let hear = |vote: &Vote| {
        let statement = Statement { node: other.node(), ..vote.statement.statement.clone() };
        SignedStatement::sign(statement, &other)
    };
    let (nomination, first, newest) =
        (hear(&node.nomination(2, 1)), hear(&node.ballot(2, 1)), hear(&node.ballot(2, 2)));
    store.commit(&Commit { heard: vec![nomination.clone(), first], ..node.vote(node.ballot(2, 1)) }).unwrap();
    store.commit(&Commit { heard: vec![newest.clone()], ..node.vote(node.ballot(2, 2)) }).unwrap();
    drop(store);
    let (mut store, restored) = node.open();
    assert_eq!(restored.herder.heard, [nomination, newest]);
    let close = node.close(Vec::new());
    store.commit(&close).unwrap();
    drop(store);
    let (_store, restored) = node.open();
    assert_eq!(restored.herder.heard, close.closes.into_iter().flat_map(|close| close.proof).collect::<Vec<_>>());
}

#[test]
fn votes_of_slots_closed_long_ago_are_forgotten() {
    let mut node = Node::new();
    let (store, _) = node.lived(15);
    drop(store);
    let (_store, restored) = node.open();
    let slots: Vec<u64> = restored.herder.votes.iter().map(|vote| vote.statement.statement.slot.0).collect();
    assert_eq!((slots.first(), slots.last()), (Some(&4), Some(&16)));
    assert_eq!(restored.herder.tx_sets.len(), 13);
    assert!(restored.herder.tx_sets.windows(2).all(|pair| pair[0].previous() != pair[1].previous()));
}

#[test]
fn a_second_open_is_refused_and_names_the_process() {
    let node = Node::new();
    let store = node.start();
    let error = node.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Lock(LockError::Held { .. })), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(store);
    node.open();
}

#[test]
fn the_database_of_another_network_or_node_is_refused() {
    let node = Node::new();
    drop(node.start());
    let other = NetworkId::of_passphrase("another");
    let error = Store::open(&node.folder(), other, node.key.node_id(), &node.mark()).unwrap_err();
    assert!(matches!(error, StoreError::OtherNetwork { .. }), "{error}");
    let error = Store::open(&node.folder(), node.network(), NodeId([9; 32]), &node.mark()).unwrap_err();
    assert!(matches!(error, StoreError::OtherNode { .. }), "{error}");
    // Neither attempt changed anything.
    assert_eq!(standing(&node), VoteStanding::Fresh);
}

#[test]
fn a_newer_schema_is_refused() {
    let node = Node::new();
    let store = node.start();
    store.connection.pragma_update(None, "user_version", schema::SCHEMA + 1).unwrap();
    drop(store);
    assert!(matches!(node.try_open(), Err(StoreError::NewerSchema { .. })));
}

#[test]
fn the_mark_of_the_key_goes_with_the_first_vote_and_not_before() {
    let node = Node::new();
    let mut store = node.start();
    assert!(node.mark().is_present().unwrap(), "a ledger is no vote");
    drop(store);
    assert_eq!(standing(&node), VoteStanding::Fresh);
    store = node.open().0;
    store.commit(&node.vote(node.nomination(2, 1))).unwrap();
    assert!(!node.mark().is_present().unwrap());
    drop(store);
    assert_eq!(standing(&node), VoteStanding::Intact);
}

#[test]
fn a_used_key_without_its_database_does_not_vote() {
    let mut node = Node::new();
    drop(node.lived(1));
    std::fs::remove_file(node.folder().join(DATABASE_FILE)).unwrap();
    lost(&node, "not the one that voted last");
    // Nor at the second start, nor without the whole folder.
    lost(&node, "not the one that voted last");
    std::fs::remove_dir_all(node.folder()).unwrap();
    lost(&node, "may have voted before");
    lost(&node, "may have voted before");
}

#[test]
fn a_database_rolled_back_under_its_key_does_not_vote() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(1);
    drop(store);
    let backup = node.home.path().join("backup");
    node.copy_to(&backup);
    store = node.open().0;
    store.commit(&node.vote(node.ballot(3, 1))).unwrap();
    drop(store);
    // Older than the database: a power cut may do that.
    std::fs::copy(backup.join(side_file::SIDE_FILE), node.folder().join(side_file::SIDE_FILE)).unwrap();
    assert_eq!(standing(&node), VoteStanding::Intact);
    store = node.open().0;
    store.commit(&node.vote(node.ballot(3, 2))).unwrap();
    drop(store);
    std::fs::copy(backup.join(DATABASE_FILE), node.folder().join(DATABASE_FILE)).unwrap();
    lost(&node, "restored from a copy");
    // A backup without the side file, as backups should be.
    std::fs::remove_file(node.folder().join(side_file::SIDE_FILE)).unwrap();
    lost(&node, "last-signed");
}

#[test]
fn a_nomination_lost_with_the_power_is_no_loss() {
    let node = Node::new();
    let mut store = node.start();
    store.commit(&node.vote(node.ballot(2, 1))).unwrap();
    let synced = node.home.path().join("synced");
    node.copy_to(&synced);
    store.commit(&node.vote(node.nomination(2, 3))).unwrap();
    drop(store);
    // The side file is of after the nomination, the database of before.
    for file in ["fba.sqlite", "fba.sqlite-wal"] {
        std::fs::copy(synced.join(file), node.folder().join(file)).unwrap();
    }
    let (_store, restored) = node.open();
    assert_eq!(restored.standing, VoteStanding::Intact);
    assert_eq!(statements(&restored), [node.ballot(2, 1).statement]);
}

#[test]
fn lost_votes_are_never_added_to_until_voting_is_resumed() {
    let mut node = Node::new();
    drop(node.lived(2));
    std::fs::remove_file(node.folder().join(side_file::SIDE_FILE)).unwrap();
    let (mut store, restored) = node.open();
    assert!(restored.standing.is_lost() && restored.herder.votes.is_empty());
    // It follows the network.
    let close = Commit { votes: Vec::new(), ..node.close(Vec::new()) };
    store.commit(&close).unwrap();
    assert!(standing_of_copy(&node).is_lost(), "not before the first vote is safe");
    store.resume_voting();
    store.commit(&node.vote(node.ballot(5, 1))).unwrap();
    assert_eq!(store.standing(), &VoteStanding::Intact);
    store.commit(&node.vote(node.ballot(5, 2))).unwrap();
    drop(store);
    let (_store, restored) = node.open();
    assert_eq!(restored.standing, VoteStanding::Intact);
    assert_eq!(statements(&restored), [node.ballot(5, 2).statement]);
}

#[test]
fn a_vote_after_a_loss_is_refused() {
    let mut node = Node::new();
    drop(node.lived(1));
    std::fs::remove_file(node.folder().join(side_file::SIDE_FILE)).unwrap();
    let (mut store, _) = node.open();
    let error = store.commit(&node.vote(node.ballot(3, 1))).unwrap_err();
    assert!(matches!(error, StoreError::MayNotVote { .. }), "{error}");
    drop(store);
    assert!(standing(&node).is_lost());
}

#[test]
fn votes_that_cannot_be_read_are_lost_and_the_ledger_is_not() {
    let damages = [
        "UPDATE votes SET statement = x'00' WHERE slot = 3",
        "UPDATE votes SET round = 77 WHERE protocol = 0",
        "DELETE FROM votes WHERE slot = 3 AND protocol = 1",
        "DELETE FROM quorum_sets",
        "UPDATE last_signed SET count = count - 1",
        "DELETE FROM last_signed",
    ];
    for damage in damages {
        let mut node = Node::new();
        let (store, _) = node.lived(2);
        store.connection.execute(damage, []).unwrap();
        drop(store);
        let (mut store, restored) = node.open();
        assert!(restored.standing.is_lost(), "{damage}");
        assert!(restored.ledger.is_some() && restored.herder.votes.is_empty(), "{damage}");
        // The damage does not keep the node from following, nor from voting again later.
        let close = Commit { votes: Vec::new(), quorum_sets: Vec::new(), ..node.close(Vec::new()) };
        store.commit(&close).unwrap();
        store.resume_voting();
        store.commit(&Commit { sync: false, ..node.vote(node.ballot(5, 1)) }).unwrap();
        drop(store);
        assert_eq!(standing(&node), VoteStanding::Intact, "{damage}");
    }
}

#[test]
fn damaged_ledgers_and_state_are_refused_at_start() {
    let damages = [
        "UPDATE ledgers SET value = x'00' WHERE sequence = 3",
        "DELETE FROM ledgers WHERE sequence = 2",
        "DELETE FROM ledgers WHERE sequence = 1",
        "DELETE FROM ledgers WHERE sequence = 3",
        "DELETE FROM ledgers",
        "UPDATE accounts SET bytes = x'00'",
        "UPDATE state SET lattice = x'00'",
        "DELETE FROM state",
        "DELETE FROM meta",
        "UPDATE meta SET node = x'00'",
        "UPDATE data_entries SET value = x'00'",
    ];
    for damage in damages {
        let mut node = Node::new();
        let (store, _) = node.lived(2);
        store.connection.execute(damage, []).unwrap();
        drop(store);
        let error = node.try_open().map(|(_, restored)| restored.standing);
        assert!(matches!(error, Err(StoreError::Corrupt { .. })), "{damage}: {error:?}");
    }
}

#[test]
fn a_write_that_fails_lets_none_follow() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(1);
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    // As a full disk does.
    store.connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
    let failed = (0..50).find_map(|_| {
        let transaction = node.some_transaction();
        let commit = node.close(vec![transaction]);
        store.commit(&commit).err()
    });
    assert!(matches!(failed, Some(StoreError::Sqlite { .. })), "{failed:?}");
    store.connection.execute_batch("PRAGMA max_page_count = 100000").unwrap();
    assert!(matches!(store.commit(&Commit::default()), Err(StoreError::Poisoned)));
    assert!(matches!(store.maintain(), Ok(()) | Err(StoreError::Poisoned)));
    drop(store);
    assert_eq!(standing(&node), VoteStanding::Intact);
}

#[test]
fn a_vote_is_not_taken_when_the_side_file_or_the_mark_cannot_be_written() {
    let node = Node::new();
    let mut store = node.start();
    std::fs::create_dir(node.folder().join(side_file::SIDE_FILE)).unwrap();
    let error = store.commit(&node.vote(node.ballot(2, 1))).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(matches!(store.commit(&node.vote(node.ballot(2, 1))), Err(StoreError::Poisoned)));
    drop(store);
    std::fs::remove_dir(node.folder().join(side_file::SIDE_FILE)).unwrap();
    let (_store, restored) = node.open();
    assert_eq!((restored.standing, restored.herder.votes.len()), (VoteStanding::Fresh, 0));
}

#[test]
fn every_cut_of_the_log_opens_to_a_state_with_every_synced_vote() {
    let mut node = Node::new();
    let mut store = node.start();
    let wal = node.folder().join("fba.sqlite-wal");
    // Length of the log, votes and last ledger after each commit.
    let mut history: BTreeMap<u64, (Vec<SignedStatement>, u64)> = BTreeMap::new();
    let mut votes: BTreeMap<(u64, bool), SignedStatement> = BTreeMap::new();
    let mut record = |votes: &BTreeMap<(u64, bool), SignedStatement>, sequence| {
        let length = std::fs::metadata(&wal).unwrap().len();
        history.insert(length, (votes.values().cloned().collect(), sequence));
    };
    record(&votes, 1);
    for counter in 1..8 {
        let slot = node.ledger.sequence() + 1;
        let transaction = node.some_transaction();
        for commit in
            [node.vote(node.nomination(slot, 1)), node.vote(node.ballot(slot, counter)), node.close(vec![transaction])]
        {
            store.commit(&commit).unwrap();
            for vote in &commit.votes {
                let statement = &vote.statement.statement;
                votes.insert((statement.slot.0, !statement.pledge.is_nomination()), vote.statement.clone());
            }
            record(&votes, store.last_closed.unwrap().sequence);
        }
    }
    let image = node.home.path().join("image");
    node.copy_to(&image);
    drop(store);
    let log = std::fs::read(image.join("fba.sqlite-wal")).unwrap();
    // The side file as it was when only the first vote was in it: older than every image that holds a vote.
    let base = *history.keys().next().unwrap();
    for cut in (base..=log.len() as u64).step_by(4099) {
        let (_, (votes, sequence)) = history.range(..=cut).next_back().unwrap();
        std::fs::remove_dir_all(node.folder()).unwrap();
        std::fs::create_dir(node.folder()).unwrap();
        std::fs::copy(image.join("fba.sqlite"), node.folder().join("fba.sqlite")).unwrap();
        let mut torn = log.get(..usize::try_from(cut).unwrap()).unwrap().to_vec();
        // What was written and never synced may hold anything.
        torn.extend([0xa5; 5000]);
        std::fs::write(node.folder().join("fba.sqlite-wal"), torn).unwrap();
        let (_store, restored) = node.open();
        // Without the side file it would count as lost; the votes themselves are what is looked at here.
        assert!(restored.standing.is_lost());
        let saved = votes::load(&_store.connection, node.network()).unwrap();
        let found: Vec<_> = saved.votes.into_iter().map(|vote| vote.statement).collect();
        assert_eq!(&found, votes, "cut at {cut}");
        assert_eq!(restored.ledger.unwrap().header.sequence, *sequence, "cut at {cut}");
    }
}

#[test]
fn only_what_must_be_synced_is_and_the_setting_returns() {
    let node = Node::new();
    let mut store = node.start();
    let synchronous =
        |store: &Store| store.connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap();
    let counters = store.counters();
    let before = (counters.all(), counters.durable());
    store.commit(&node.vote(node.nomination(2, 1))).unwrap();
    assert_eq!(synchronous(&store), 2);
    assert_eq!((counters.all(), counters.durable()), (before.0 + 1, before.1));
    store.commit(&node.vote(node.ballot(2, 1))).unwrap();
    assert_eq!((counters.all(), counters.durable()), (before.0 + 2, before.1 + 1));
    for counter in 2..200 {
        store.commit(&Commit { sync: false, ..node.vote(node.ballot(2, counter)) }).unwrap();
    }
    store.maintain().unwrap();
    assert!(store.checkpointed > 0);
}

#[test]
fn readers_find_everything_that_was_committed() {
    let mut node = Node::new();
    let (store, hashes) = node.lived(4);
    let reader = store.reader();
    let totals = Totals { first_ledger: 1, last_ledger: 5, transactions: 12 };
    assert_eq!(reader.totals().unwrap(), totals);
    assert_eq!(reader.latest().unwrap().unwrap().hash, node.ledger.header_hash());
    assert_eq!(reader.ledger(6).unwrap(), None);
    assert_eq!(reader.ledger(u64::MAX).unwrap(), None);
    let sequences = |from, count, order| -> Vec<u64> {
        reader.ledgers(from, count, order).unwrap().iter().map(|row| row.header.sequence).collect()
    };
    assert_eq!(sequences(2, 2, Order::OldestFirst), [2, 3]);
    assert_eq!(sequences(u64::MAX, 3, Order::NewestFirst), [5, 4, 3]);
    assert_eq!(reader.close_times(4, 9).unwrap(), [(4, 31_000), (5, 41_000)]);
    let third = reader.ledger(3).unwrap().unwrap();
    assert_eq!(reader.ledger_by_hash(&third.hash).unwrap().unwrap(), third);
    assert_eq!((third.transactions, third.total_transactions, third.failed, third.proven), (3, 6, 0, true));

    for hash in &hashes {
        let row = reader.transaction(hash).unwrap().unwrap();
        let place = u64::from(row.index);
        assert_eq!(reader.transactions_of(row.ledger, place, 1).unwrap().unwrap(), [row]);
    }
    assert_eq!(reader.transaction(&Hash([9; 32])).unwrap(), None);
    assert_eq!(reader.transactions_of(9, 0, 9).unwrap(), None);
    let root = AccountId::of(&node.root);
    let mut paged = Vec::new();
    let mut before = None;
    loop {
        let page = reader.transactions_of_account(&root, before, 5).unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.ledger, last.index));
        paged.extend(page);
    }
    assert_eq!(paged.len(), 12);
    assert!(paged.windows(2).all(|pair| (pair[0].ledger, pair[0].index) > (pair[1].ledger, pair[1].index)));

    assert_eq!(reader.account(&root).unwrap().as_ref(), node.ledger.account(&root));
    assert_eq!(reader.account(&AccountId([9; 32])).unwrap(), None);
    let keys = reader.data_keys(&root).unwrap();
    assert_eq!(keys.len(), 12);
    for key in keys {
        assert_eq!(reader.data(&root, &key).unwrap().as_deref(), node.ledger.data(&root, &key));
    }
    let entries = reader.ledger_entries(2, 99).unwrap();
    assert_eq!(entries.len(), 4);
    crate::ledger::LedgerEntry::verify_chain(&entries, node.ledger.header_hash()).unwrap();
    let headers = reader.headers(2, 99).unwrap();
    assert!(headers.iter().eq(entries.iter().map(|entry| &entry.header)));
    assert_eq!((reader.headers(3, 2).unwrap().len(), reader.headers(6, 2).unwrap().len()), (2, 0));
    assert!(reader.ledger_entries(0, 2).unwrap().is_empty() && reader.headers(u64::MAX, 1).unwrap().is_empty());
    let proof = reader.proof(3).unwrap().unwrap();
    assert_eq!((proof.statements.len(), proof.quorum_sets), (1, vec![node.set()]));
    assert!(proof.statements.iter().all(|signed| signed.is_signed(&node.signatures())));
    assert_eq!(reader.proof(1).unwrap(), None);
    assert_eq!(reader.proof(99).unwrap(), None);
}

fn count(store: &Store, query: &str) -> i64 {
    store.connection.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn proofs_older_than_what_is_kept_are_forgotten_and_a_missing_one_is_still_noticed() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(20);
    store.keep_proofs(ProofsKept::Newest(15.try_into().unwrap()));
    let next = node.close(Vec::new());
    store.commit(&next).unwrap();
    let proofs = |store: &Store| count(store, "SELECT count(*) FROM proofs");
    assert_eq!((node.ledger.sequence(), proofs(&store)), (22, 15));
    let reader = store.reader();
    assert!(reader.proof(8).unwrap().is_some() && reader.proof(7).unwrap().is_none());
    assert!(reader.ledger(7).unwrap().is_some(), "ledgers are always kept");
    // Fewer than the least are not kept, and what is gone does not come back.
    store.keep_proofs(ProofsKept::Newest(1.try_into().unwrap()));
    let next = node.close(Vec::new());
    store.commit(&next).unwrap();
    assert_eq!(proofs(&store), ProofsKept::LEAST as i64);
    store.keep_proofs(ProofsKept::All);
    let next = node.close(Vec::new());
    store.commit(&next).unwrap();
    assert_eq!(proofs(&store), ProofsKept::LEAST as i64 + 1);
    assert!(reader.proof(11).unwrap().is_none());
    drop((store, reader));
    let (store, restored) = node.open();
    assert_eq!(restored.standing, VoteStanding::Intact);
    store.connection.execute("DELETE FROM proofs WHERE sequence = 14", []).unwrap();
    assert!(matches!(store.reader().proof(14), Err(StoreError::Corrupt { table: "proofs", .. })));
}

#[test]
fn quorum_sets_that_nothing_names_any_more_are_forgotten() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(1);
    let stranger = |number: u8| QuorumSet::singleton(NodeId([number; 32]));
    // Named by something heard long ago; by a proof that is not kept; by a proof that is.
    store.commit(&Commit { quorum_sets: vec![stranger(1)], ..node.vote(node.ballot(3, 1)) }).unwrap();
    let mut next = node.close(Vec::new());
    next.closes[0].proof_sets.push(stranger(2));
    store.commit(&next).unwrap();
    store.keep_proofs(ProofsKept::Newest(100.try_into().unwrap()));
    for number in 0..200u64 {
        let mut next = Commit { sync: false, ..node.close(Vec::new()) };
        if number == 190 {
            next.closes[0].proof_sets.push(stranger(3));
        }
        store.commit(&next).unwrap();
    }
    let hashes = [node.set(), stranger(1), stranger(2), stranger(3)].map(|set| set.hash());
    let kept = hashes.map(|hash| quorum_sets::get(&store.connection, &hash).unwrap().is_some());
    assert_eq!(kept, [true, false, false, true]);
    drop(store);
    assert_eq!(standing(&node), VoteStanding::Intact);
}

#[test]
fn a_proof_of_more_statements_than_a_quorum_set_lists_reads_back() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(1);
    let mut next = node.close(Vec::new());
    let close = &mut next.closes[0];
    let signed = close.proof[0].clone();
    close.proof = (0..1_500).map(|_| signed.clone()).collect();
    store.commit(&next).unwrap();
    assert_eq!(store.reader().proof(3).unwrap().unwrap().statements.len(), 1_500);
}

#[test]
fn more_readers_than_connections_all_get_their_turn() {
    let mut node = Node::new();
    let (mut store, hashes) = node.lived(2);
    let reader = store.reader();
    std::thread::scope(|scope| {
        for _ in 0..24 {
            let (reader, hashes) = (reader.clone(), &hashes);
            scope.spawn(move || {
                for hash in hashes {
                    assert!(reader.transaction(hash).unwrap().is_some());
                }
            });
        }
        for counter in 1..20 {
            store.commit(&node.vote(node.ballot(4, counter))).unwrap();
        }
    });
}

#[test]
fn a_deleted_data_entry_is_gone() {
    let mut node = Node::new();
    let mut store = node.start();
    let key = b"key".to_vec();
    for operation in
        [Operation::SetData { key: key.clone(), value: b"v".to_vec() }, Operation::DeleteData { key: key.clone() }]
    {
        let transaction = node.transaction(vec![operation]);
        let commit = node.close(vec![transaction]);
        store.commit(&commit).unwrap();
        let root = AccountId::of(&node.root);
        assert_eq!(store.reader().data(&root, &key).unwrap().as_deref(), node.ledger.data(&root, &key));
    }
}

#[test]
#[should_panic(expected = "one after the other")]
fn a_gap_between_ledgers_is_our_own_mistake() {
    let mut node = Node::new();
    let mut store = node.start();
    let _skipped = node.close(Vec::new());
    let commit = node.close(Vec::new());
    let _ = store.commit(&commit);
}

/// Every answer of a reader, by question.
fn answers(reader: &Reader, node: &Node, hashes: &[Hash]) -> Vec<Result<String, StoreError>> {
    fn text<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Result<String, StoreError> {
        answer.map(|answer| format!("{answer:?}"))
    }
    let root = AccountId::of(&node.root);
    let mut answers = vec![
        text(reader.totals()),
        text(reader.ledgers(1, 99, Order::OldestFirst)),
        text(reader.transactions_of_account(&root, None, 99)),
        text(reader.account(&root)),
        text(reader.data_keys(&root)),
        text(reader.ledger_entries(1, 99)),
    ];
    for sequence in 1..=6 {
        answers.push(text(reader.ledger(sequence)));
        answers.push(text(reader.transactions_of(sequence, 0, 99)));
        answers.push(text(reader.proof(sequence)));
    }
    answers.extend(hashes.iter().map(|hash| text(reader.transaction(hash))));
    for byte in 10..=25 {
        let account = AccountId::of(&SecretKey::from_seed(&[byte; 32]));
        answers.push(text(reader.account(&account)));
        answers.push(text(reader.data(&root, &[byte])));
    }
    answers
}

type State = (Hash, Vec<Account>, Vec<DataEntry>, Vec<SignedStatement>);

fn state(restored: &Restored) -> State {
    let ledger = restored.ledger.clone().unwrap();
    (ledger.hash, ledger.accounts, ledger.data, statements(restored))
}

#[test]
fn flipped_bits_never_give_a_wrong_answer() {
    const FLIPS: u64 = 300;
    let mut node = Node::new();
    let (store, hashes) = node.lived(4);
    drop(store);
    let (store, restored) = node.open();
    let (good_state, good) = (state(&restored), answers(&store.reader(), &node, &hashes));
    drop(store);
    let side = std::fs::read(node.folder().join(side_file::SIDE_FILE)).unwrap();
    let bytes = std::fs::read(node.folder().join(DATABASE_FILE)).unwrap();
    let (mut refused, mut unaffected, mut lost) = (0, 0, 0);
    for flip in 0..FLIPS {
        let random = sha(flip);
        let at = usize::try_from(random % bytes.len() as u64).unwrap();
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (random >> 60 & 7);
        std::fs::remove_dir_all(node.folder()).unwrap();
        std::fs::create_dir(node.folder()).unwrap();
        std::fs::write(node.folder().join(DATABASE_FILE), bad).unwrap();
        std::fs::write(node.folder().join(side_file::SIDE_FILE), &side).unwrap();
        let Ok((store, restored)) = node.try_open() else {
            refused += 1;
            continue;
        };
        let (hash, accounts, data, votes) = state(&restored);
        // The supply and the counts of data entries are checked by the ledger, for rows that are gone altogether.
        let kept = restored.ledger.clone().unwrap();
        if Ledger::restore(&node.genesis, kept.header, kept.accounts, kept.data, kept.lattice).is_err() {
            refused += 1;
            continue;
        }
        assert_eq!((hash, &accounts, &data), (good_state.0, &good_state.1, &good_state.2), "byte {at}");
        if restored.standing.is_lost() {
            lost += 1;
        } else {
            assert_eq!(votes, good_state.3, "byte {at}");
            unaffected += 1;
        }
        for (found, wanted) in answers(&store.reader(), &node, &hashes).iter().zip(&good) {
            if let Ok(found) = found {
                assert_eq!(found, wanted.as_ref().unwrap(), "byte {at}");
            }
        }
    }
    assert!(refused > 0 && unaffected > 0, "{refused} refused, {unaffected} unaffected, {lost} lost");
}

#[test]
fn a_vote_lost_with_a_damaged_log_is_never_forgotten_silently() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(2);
    // Written and not synced, as first ballots are: said all the same.
    store.commit(&Commit { sync: false, ..node.vote(node.ballot(4, 1)) }).unwrap();
    let image = node.home.path().join("image");
    node.copy_to(&image);
    drop(store);
    let good = statements(&node.open().1);
    let log = std::fs::read(image.join("fba.sqlite-wal")).unwrap();
    let (mut lost, mut intact) = (0, 0);
    for flip in 0..60 {
        let random = sha(flip);
        let mut bad = log.clone();
        // Some in the last frames, which hold the newest vote; some anywhere.
        let at = usize::try_from(random % log.len() as u64).unwrap();
        let at = if flip % 2 == 0 { log.len() - 1 - at % 8_000 } else { at };
        bad[at] ^= 1 << (random >> 60 & 7);
        std::fs::remove_dir_all(node.folder()).unwrap();
        std::fs::create_dir(node.folder()).unwrap();
        for file in [DATABASE_FILE, side_file::SIDE_FILE] {
            std::fs::copy(image.join(file), node.folder().join(file)).unwrap();
        }
        std::fs::write(node.folder().join("fba.sqlite-wal"), bad).unwrap();
        let (_store, restored) = node.open();
        if restored.standing.is_lost() {
            lost += 1;
        } else {
            assert_eq!(statements(&restored), good, "byte {at}");
            intact += 1;
        }
    }
    assert!(lost > 0, "{lost} lost, {intact} intact");
}

fn sha(number: u64) -> u64 {
    let hash = crate::key::sha256(&[&number.to_be_bytes()]);
    u64::from_be_bytes(*hash.0.first_chunk().unwrap())
}

#[test]
fn a_close_of_five_thousand_transactions_is_one_quick_commit() {
    let mut node = Node::new();
    let mut store = node.start();
    let to = AccountId::of(&SecretKey::from_seed(&[9; 32]));
    let open = node.transaction(vec![Operation::CreateAccount { account: to, balance: 1_000 }]);
    let commit = node.close(vec![open]);
    store.commit(&commit).unwrap();
    let payments = (0..5_000).map(|_| node.transaction(vec![Operation::Payment { to, amount: 1 }])).collect();
    let commit = node.close(payments);
    let durable = store.counters().durable();
    let took = store.commit(&commit).unwrap();
    eprintln!("5,000 transactions in {took:?}");
    assert_eq!(store.counters().durable(), durable + 1);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(store.reader().totals().unwrap().transactions, 5_001);
    assert_eq!(store.reader().ledger_entries(3, 1).unwrap(), [commit.closes[0].closed.entry()]);
}
