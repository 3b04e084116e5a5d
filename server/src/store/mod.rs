//! What survives a restart: SQLite, one writer, many readers.
//!
//! The promise is that no vote leaves this node before it is on the disk, and that the node never votes without
//! knowing every vote it has sent. [`Store::commit`] returns after the disk has confirmed; [`Store::open`] says whether
//! the node may vote ([`VoteStanding`]). What cannot be read or written is an error, and after a failed write the store
//! takes no more: nobody knows what is on a disk that failed to sync.
//!
//! A data folder holds `fba.sqlite` (with `-wal` and `-shm` while in use), `fba.lock` and `last-signed`. A backup
//! copies the database alone, with SQLite's backup command; restored under a used key it does not vote.

mod archive;
mod backup;
mod boot;
mod connection;
mod error;
mod inspect;
pub mod key_file;
pub mod key_mark;
mod ledgers;
pub mod lock;
mod peers;
mod proofs;
mod quorum_sets;
mod reader;
mod restore;
mod row;
mod schema;
pub mod side_file;
mod standing;
mod votes;

pub use archive::Archive;
pub use backup::{Copied, CopyProgress};
pub use error::StoreError;
pub use inspect::{Inspection, inspect};
pub use key_file::{KeyFileError, KeyHold};
pub use key_mark::KeyMark;
pub use ledgers::{LedgerRow, Proof, TransactionRow};
pub use lock::LockError;
pub use peers::{KeptBan, KeptPeer, PeerChanges};
pub use proofs::ProofsKept;
pub use reader::{ENTRIES_PAGE_BYTES, LEDGERS_PAGE_MAX, Order, Reader, TRANSACTIONS_PAGE_MAX, Totals};
pub use restore::{Restored, RestoredLedger};
pub use standing::VoteStanding;

use crate::herder::{self, Close, Commit, Standing};
use crate::key::{NetworkId, node_strkey};
use error::During;
use fba_core::{Hash, NodeId, SlotIndex};
use lock::Lock;
use quorum_sets::Named;
use row::{META, OVERRIDES, integer};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, TransactionBehavior};
use side_file::{Marks, Position, Run, SideFile};
use standing::{Facts, judge};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use votes::SavedVotes;

/// The name of the database inside a data folder.
pub const DATABASE_FILE: &str = "fba.sqlite";

/// Commits after which [`Store::maintain`] moves the log into the database: often enough that it stays in the cache,
/// seldom enough that a page written by many commits is moved once.
const COMMITS_PER_CHECKPOINT: u64 = 128;

/// Ledgers after which quorum sets that nothing names any more are forgotten: seldom, because all have to be looked at.
const SETS_FORGOTTEN_EVERY: u64 = 64;

/// Pages of the log above which a commit moves it into the database, whoever waits: 4 MiB, as SQLite itself would. A log
/// that may grow larger than what is left of a small disk fills it by itself.
const LOG_PAGES_MAX: i64 = 1_000;

/// How many commits there were since the start.
#[derive(Debug, Default)]
pub struct CommitCounters {
    all: AtomicU64,
    durable: AtomicU64,
}

impl CommitCounters {
    /// All commits.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Commits that waited for the disk.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Relaxed)
    }
}

/// The one writer.
#[derive(Debug)]
pub struct Store {
    // Dropped first: the lock must outlive the connection.
    connection: Connection,
    reader: Reader,
    path: PathBuf,
    side_file: SideFile,
    mark: KeyMark,
    standing: VoteStanding,
    /// Has this process seen to the mark and the side file already?
    voting: bool,
    /// Does the next commit give up lost votes?
    resuming: bool,
    position: Position,
    /// How far the votes are synced.
    synced: Position,
    run: Run,
    last_closed: Option<LastClosed>,
    proofs_kept: ProofsKept,
    /// Once a write has failed, no other is tried.
    poisoned: bool,
    counters: Arc<CommitCounters>,
    checkpointed: u64,
    _lock: Lock,
}

#[derive(Clone, Copy, Debug)]
struct LastClosed {
    sequence: u64,
    hash: Hash,
    transactions: u64,
}

impl Store {
    /// Opens the data folder of `node` on `network`, making it if there is none. `mark` is the mark of the node's key.
    ///
    /// # Errors
    /// [`StoreError`], saying what, where, which rule, and the way out. Lost votes are no error: the node may follow
    /// and serve, see [`Restored::standing`].
    pub fn open(
        folder: &Path,
        network: NetworkId,
        node: NodeId,
        mark: &KeyMark,
    ) -> Result<(Self, Restored), StoreError> {
        std::fs::create_dir_all(folder).map_err(io("make the data folder", folder))?;
        key_mark::sync_folder_of(folder).map_err(io("sync the folder around", folder))?;
        let lock = Lock::of_folder(folder)?;
        let path = folder.join(DATABASE_FILE);
        let mut connection = connection::open_writer(&path)?;
        schema::migrate(&mut connection, &path)?;
        let id = identify(&mut connection, &path, network, node)?;

        let (ledger, transactions) = restore::load(&connection)?.unzip();
        let (database, saved) = load_votes(&connection, network, id)?;
        let side_file = SideFile::in_folder(folder);
        let recorded = side_file.read().map_err(io("read the side file", folder))?;
        let unused = mark.is_present().map_err(io("look for the mark of the key", mark.path()))?;
        let position = database.clone().unwrap_or(Position { store: id, count: 0, slot: 0 });
        let boot = boot::current();
        let run = Run::named(&boot);
        let standing = judge(Facts { unused, recorded, run, database });
        let last = ledger.as_ref().map_or(0, |ledger: &RestoredLedger| ledger.header.sequence);
        let herder = herder::Restored {
            forgotten: note_boot(&mut connection, &boot, last)?,
            ..restored(&connection, network, last, &standing, saved)?
        };
        // The log was written just now, so it has a name. SQLite syncs the folder too, and ignores it if that fails.
        key_mark::sync_folder_of(&path).map_err(io("sync the data folder", folder))?;
        let last_closed = ledger.as_ref().zip(transactions).map(|(ledger, transactions): (&RestoredLedger, u64)| {
            LastClosed { sequence: ledger.header.sequence, hash: ledger.hash, transactions }
        });
        let store = Self {
            reader: Reader::open(path.clone(), network)?,
            connection,
            path,
            side_file,
            mark: mark.clone(),
            standing: standing.clone(),
            voting: false,
            resuming: false,
            position,
            synced: position,
            run,
            last_closed,
            proofs_kept: ProofsKept::default(),
            poisoned: false,
            counters: Arc::default(),
            checkpointed: 0,
            _lock: lock,
        };
        Ok((store, Restored { ledger, herder, standing }))
    }

    /// From the next close on, keeps the proofs of so many ledgers. Proofs that are gone do not come back.
    pub fn keep_proofs(&mut self, kept: ProofsKept) {
        self.proofs_kept = kept;
    }

    /// Reads from any thread.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// How many commits there were, for the metrics.
    #[must_use]
    pub fn counters(&self) -> Arc<CommitCounters> {
        Arc::clone(&self.counters)
    }

    /// Writes all of `commit` or nothing. With `commit.sync` it is on the disk when this returns; without, it is seen by
    /// every reader, survives a killed process, and becomes durable with the next commit that is synced. Returns how
    /// long it took.
    ///
    /// # Errors
    /// Whatever the disk says, and from then on [`StoreError::Poisoned`]: nothing of the commit may be sent, and the
    /// process should end. [`StoreError::MayNotVote`] if votes were lost and not resumed.
    ///
    /// # Panics
    /// If a ledger does not follow the last one: our own mistake.
    pub fn commit(&mut self, commit: &Commit) -> Result<Duration, StoreError> {
        let started = Instant::now();
        self.guarded(|store| {
            store.write(commit)?;
            store.bound_the_log()
        })?;
        Ok(started.elapsed())
    }

    /// Moves the log into the database if nobody had time for it. Part of the commit: after a failure nothing is sent.
    fn bound_the_log(&mut self) -> Result<(), StoreError> {
        if connection::pages_to_move(&self.connection)? < LOG_PAGES_MAX {
            return Ok(());
        }
        self.checkpointed = self.counters.all();
        connection::move_log(&self.connection).map(drop)
    }

    /// May this node vote? Changes when the first commit after [`Store::resume_voting`] is done.
    #[must_use]
    pub fn standing(&self) -> &VoteStanding {
        &self.standing
    }

    /// Lets the next commit carry votes after a loss: to be called with the first votes of a herder that kept silent,
    /// which it does until the network has certainly moved past every slot the key may have voted in. That commit is
    /// synced, and gives up what is left of the old votes together with the ledgers that made it safe.
    ///
    /// # Panics
    /// If no votes were lost: our own mistake.
    pub fn resume_voting(&mut self) {
        assert!(self.standing.is_lost(), "only lost votes are given up");
        self.resuming = true;
    }

    /// Keeps, durably, that an operator ended the silence after a loss of votes while `slot` was open: to be called before
    /// any vote follows from it. The votes themselves go through [`Store::resume_voting`] like any others.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn note_override(&mut self, slot: SlotIndex, at_ms: u64) -> Result<(), StoreError> {
        self.guarded(|store| {
            let transaction = begin(&mut store.connection)?;
            OVERRIDES.put(&transaction, &[integer(slot.0), integer(at_ms)])?;
            transaction.commit().during("note an override")
        })
    }

    /// Moves the log into the database if it has grown. To be called when nobody waits for a commit.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn maintain(&mut self) -> Result<(), StoreError> {
        let commits = self.counters.all();
        if commits.saturating_sub(self.checkpointed) < COMMITS_PER_CHECKPOINT {
            return Ok(());
        }
        self.checkpointed = commits;
        self.guarded(|store| connection::move_log(&store.connection).map(drop))
    }

    /// Runs a write, and lets none follow one that failed.
    fn guarded<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        // Set first, so that a panic inside counts as a failure too.
        self.poisoned = true;
        let done = write(self)?;
        self.poisoned = false;
        Ok(done)
    }

    fn write(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let votes = !commit.votes.is_empty();
        match &self.standing {
            VoteStanding::Lost { reason } if votes && !self.resuming => {
                return Err(StoreError::MayNotVote { reason: reason.clone() });
            }
            VoteStanding::Fresh | VoteStanding::Intact if votes && !self.voting => self.begin_voting()?,
            VoteStanding::Lost { .. } | VoteStanding::Fresh | VoteStanding::Intact => {}
        }
        let sync = commit.sync || self.resuming;
        let position = self.position_after(commit);
        if !sync {
            connection::set_synced(&self.connection, &self.path, false)?;
        }
        self.last_closed = self.write_rows(commit, position)?;
        self.position = position;
        if sync {
            self.synced = position;
        } else {
            connection::set_synced(&self.connection, &self.path, true)?;
        }
        self.counters.all.fetch_add(1, Ordering::Relaxed);
        self.counters.durable.fetch_add(u64::from(sync), Ordering::Relaxed);
        if self.resuming {
            self.begin_voting()?;
            (self.resuming, self.standing) = (false, VoteStanding::Intact);
        } else if self.voting && (sync || votes) {
            self.side_file.write(self.marks()).map_err(io("write the file last-signed beside it", &self.path))?;
        }
        Ok(())
    }

    /// What the side file must hold now.
    fn marks(&self) -> Marks {
        Marks { synced: self.synced, written: self.position.count, run: self.run }
    }

    /// One transaction. Lost votes are left as they are, for whoever wants to look, until they are given up.
    fn write_rows(&mut self, commit: &Commit, position: Position) -> Result<Option<LastClosed>, StoreError> {
        let mut last = self.last_closed;
        let open = last.map_or(1, |last| last.sequence.saturating_add(1));
        let changed = self.resuming || !commit.votes.is_empty() || !commit.closes.is_empty();
        let votes_change = changed && (self.resuming || !self.standing.is_lost());
        let transaction = begin(&mut self.connection)?;
        if self.resuming {
            votes::forget_all(&transaction)?;
        }
        let named = Named::InSlot(open);
        commit.quorum_sets.iter().try_for_each(|set| quorum_sets::put(&transaction, set, named))?;
        for close in &commit.closes {
            follows(last, close);
            let before = last.map_or(0, |last| last.transactions);
            ledgers::put_close(&transaction, close, before)?;
            last = Some(LastClosed {
                sequence: close.closed.header.sequence,
                hash: close.closed.hash,
                transactions: before.saturating_add(close.closed.applied.len() as u64),
            });
        }
        if let Some(newest) = commit.closes.last() {
            ledgers::put_state(&transaction, &newest.closed)?;
        }
        commit.tx_sets.iter().try_for_each(|set| votes::put_tx_set(&transaction, set, open))?;
        commit.votes.iter().try_for_each(|vote| votes::put_vote(&transaction, vote))?;
        commit.heard.iter().try_for_each(|signed| votes::put_heard(&transaction, signed))?;
        let closed = last.map_or(0, |last| last.sequence);
        if votes_change {
            votes::forget_before(&transaction, closed)?;
            votes::put_position(&transaction, position)?;
        }
        if !commit.closes.is_empty() {
            let proofs_from = proofs::forget_old(&transaction, self.proofs_kept, closed)?;
            // While votes are lost nobody knows what they named.
            if votes_change && open / SETS_FORGOTTEN_EVERY != closed.saturating_add(1) / SETS_FORGOTTEN_EVERY {
                quorum_sets::forget_unnamed(&transaction, closed, proofs_from)?;
            }
        }
        transaction.commit().during("commit")?;
        Ok(last)
    }

    /// How far the key has voted after `commit`. Nominations do not count: two of them never contradict one another.
    fn position_after(&self, commit: &Commit) -> Position {
        let statements = commit.votes.iter().map(|vote| &vote.statement.statement);
        let ballots = statements.filter(|statement| !statement.pledge.is_nomination());
        let slot = ballots.map(|statement| statement.slot.0).max();
        match (slot, self.resuming) {
            (None, false) => self.position,
            (slot, _) => Position {
                count: self.position.count.saturating_add(1),
                slot: self.position.slot.max(slot.unwrap_or(0)),
                ..self.position
            },
        }
    }

    /// From here on the key counts as used: first the side file, then the mark, both durable before any vote is.
    fn begin_voting(&mut self) -> Result<(), StoreError> {
        self.side_file.create(self.marks()).map_err(io("write the file last-signed beside it", &self.path))?;
        self.mark.remove().map_err(io("remove the mark of the key", self.mark.path()))?;
        self.voting = true;
        Ok(())
    }
}

fn begin(connection: &mut Connection) -> Result<rusqlite::Transaction<'_>, StoreError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).during("begin a commit")
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

/// Asserts that `close` is the ledger after `last`.
fn follows(last: Option<LastClosed>, close: &Close) {
    let (sequence, previous) = last.map_or((0, Hash::ZERO), |last| (last.sequence, last.hash));
    let header = &close.closed.header;
    assert_eq!(header.sequence, sequence.saturating_add(1), "ledgers are committed one after the other");
    assert_eq!(header.previous, previous, "each ledger names the header before it");
}

/// The database's random id, after checking whose it is; a new database becomes ours.
fn identify(
    connection: &mut Connection,
    path: &Path,
    network: NetworkId,
    node: NodeId,
) -> Result<[u8; 16], StoreError> {
    let found = META.one(connection, "SELECT * FROM meta", [], |row| {
        Ok((NetworkId(row.hash(1)?), NodeId(row.array(2)?), row.array(3)?))
    })?;
    if let Some((its_network, its_node, id)) = found {
        if its_network != network {
            let (found, wanted) = (its_network.0.to_string(), network.0.to_string());
            return Err(StoreError::OtherNetwork { path: path.to_owned(), found, wanted });
        }
        if its_node != node {
            let (found, wanted) = (node_strkey(its_node), node_strkey(node));
            return Err(StoreError::OtherNode { path: path.to_owned(), found, wanted });
        }
        return Ok(id);
    }
    if ledgers::bounds(connection)?.is_some() {
        return Err(META.corrupt(1, "it is missing"));
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        let source = std::io::Error::other(error.to_string());
        StoreError::Io { what: "make a random id for", path: path.to_owned(), source }
    })?;
    let transaction = begin(connection)?;
    let boot = boot::current();
    let (network, node) = (ValueRef::Blob(&network.0.0), ValueRef::Blob(&node.0));
    let (boot, forgotten) = (ValueRef::Blob(boot.as_bytes()), ValueRef::Integer(0));
    META.put(&transaction, &[ValueRef::Integer(1), network, node, ValueRef::Blob(&id), boot, forgotten])?;
    votes::put_position(&transaction, Position { store: id, count: 0, slot: 0 })?;
    transaction.commit().during("begin a new database")?;
    Ok(id)
}

/// Up to which slot first ballots may have been forgotten. If this is another run of the system than the one that wrote
/// last, what was written and not synced may be gone: votes in the slot after the last ledger, and in no later one,
/// because a node votes in a slot only when the ledger before it is synced.
///
/// Always writes, synced: what a killed process had written but not synced is read as if it were durable from here on,
/// and one sync of the log makes all of it so. It is durable before anything is voted or answered.
fn note_boot(connection: &mut Connection, now: &str, last: u64) -> Result<SlotIndex, StoreError> {
    let row = META.one(connection, "SELECT * FROM meta", [], |row| {
        Ok((row.hash(1)?, row.hash(2)?, row.array::<16>(3)?, row.blob(4)?.to_vec(), row.number(5)?))
    })?;
    let Some((network, node, id, then, forgotten)) = row else {
        return Err(META.corrupt(1, "it is missing"));
    };
    let lost = !Run::named(&String::from_utf8_lossy(&then)).lasts_until(Run::named(now));
    let forgotten = if lost { last.saturating_add(1) } else { forgotten };
    let transaction = begin(connection)?;
    let (network, node) = (ValueRef::Blob(&network.0), ValueRef::Blob(&node.0));
    let (boot, slot) = (ValueRef::Blob(now.as_bytes()), integer(forgotten));
    META.put(&transaction, &[ValueRef::Integer(1), network, node, ValueRef::Blob(&id), boot, slot])?;
    transaction.commit().during("note the start")?;
    Ok(SlotIndex(forgotten))
}

/// How far the key has voted and its votes. Votes that cannot be read are no error here: they are lost.
fn load_votes(
    connection: &Connection,
    network: NetworkId,
    id: [u8; 16],
) -> Result<(Result<Position, String>, SavedVotes), StoreError> {
    let loaded = votes::position(connection, id)
        .and_then(|position| votes::load(connection, network).map(|saved| (position, saved)));
    match loaded {
        Ok((position, saved)) => Ok((Ok(position), saved)),
        Err(StoreError::Corrupt { table, key, rule }) => {
            Ok((Err(format!("{table} {key}: {rule}")), SavedVotes::default()))
        }
        Err(error) => Err(error),
    }
}

/// What the herder gets: without votes if some were lost.
fn restored(
    connection: &Connection,
    network: NetworkId,
    last: u64,
    standing: &VoteStanding,
    saved: SavedVotes,
) -> Result<herder::Restored, StoreError> {
    let mut tx_sets = restore::recent_tx_sets(connection, network, last)?;
    if standing.is_lost() {
        return Ok(herder::Restored { standing: Standing::Lost, tx_sets, ..herder::Restored::default() });
    }
    let closed: BTreeSet<Hash> = tx_sets.iter().map(|set| set.hash()).collect();
    tx_sets.extend(saved.tx_sets.into_iter().filter(|set| !closed.contains(&set.hash())));
    let SavedVotes { votes, mut heard, mut quorum_sets, .. } = saved;
    for proof in restore::recent_proofs(connection, last)? {
        heard.extend(proof.statements);
        quorum_sets.extend(proof.quorum_sets);
    }
    quorum_sets.sort_by_key(fba_core::QuorumSet::hash);
    quorum_sets.dedup();
    let standing = Standing::Intact;
    Ok(herder::Restored { standing, votes, heard, quorum_sets, tx_sets, ..herder::Restored::default() })
}

#[cfg(test)]
pub(crate) mod tests;
