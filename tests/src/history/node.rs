//! One node of the network: the real herder on the real store, which writes on a thread of its own.

use super::HistoryError;
use super::buffer::Buffer;
use super::signatures::{Genuine, Shared};
use fba_core::NodeId;
use fba_server::config::{Config, Keys, QuorumSetOrigin};
use fba_server::herder::{Batch, Close, Commit, Herder, HerderConfig, Input, Now, Outgoing};
use fba_server::key::Ed25519;
use fba_server::ledger::{Genesis, Ledger};
use fba_server::store::{KeyHold, Store, StoreError, key_file};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Commits on their way to the disk: the one being written, and one that waits.
const COMMITS_WAITING: usize = 1;

pub(super) struct Node {
    pub(super) id: NodeId,
    herder: Herder,
    buffer: Buffer,
    writer: Writer,
    // Keeps the key file locked.
    _key: KeyHold,
}

impl Node {
    /// Opens the data folder of a configuration that `network init` made.
    pub(super) fn open(config: &Path, genesis: &Genesis, genuine: &Genuine) -> Result<Self, HistoryError> {
        let config = Config::load(config, Keys::Required)?;
        let (secret, key) = key_file::hold(&config.node_seed_file)?;
        let (mut store, restored) = Store::open(&config.data_dir, genesis.network_id(), config.node, key.mark())?;
        let (ledger, closed) = Ledger::genesis(genesis)?;
        let first = Close { closed, proof: Vec::new(), proof_sets: Vec::new() };
        store.commit(&Commit { closes: vec![first], sync: true, ..Commit::default() })?;
        let signatures = Shared::new(Ed25519::new(genesis.network_id(), secret), genuine.clone());
        let leader_weights = match config.trust.origin {
            QuorumSetOrigin::Generated(generated) => Some(generated.leader_weights),
            QuorumSetOrigin::ByHand(_) => None,
        };
        let herder_config =
            HerderConfig { quorum_set: config.trust.quorum_set, is_validator: config.is_validator, leader_weights };
        let herder = Herder::new(herder_config, Arc::new(signatures), ledger, restored.herder);
        Ok(Self { id: config.node, herder, buffer: Buffer::default(), writer: Writer::new(store), _key: key })
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.herder.ledger()
    }

    pub(super) fn handle(&mut self, now: Now, input: Input) {
        self.herder.handle(now, input);
    }

    pub(super) fn next_wakeup(&self, now: Now) -> Option<std::time::Duration> {
        self.herder.next_wakeup(now)
    }

    /// What it says now. What it commits is kept for [`Node::write`]: nothing here can crash between the two.
    pub(super) fn flush(&mut self, now: Now) -> Result<Vec<Outgoing>, HistoryError> {
        let Batch { mut first, commit, then, notices: _, reads: _, fatal } = self.herder.flush(now);
        if let Some(divergence) = fatal {
            return Err(HistoryError::Diverged(Box::new(divergence)));
        }
        if let Some(commit) = commit {
            self.buffer.add(commit);
        }
        first.extend(then);
        Ok(first)
    }

    /// Writes what was committed, if that are at least so many ledgers.
    pub(super) fn write(&mut self, ledgers: usize) -> Result<(), HistoryError> {
        if self.buffer.closes() < ledgers.max(1) {
            return Ok(());
        }
        self.writer.write(self.buffer.take())
    }

    /// Ends when everything is on the disk, and the data folder is as a stopped server leaves it.
    pub(super) fn finish(mut self) -> Result<(), HistoryError> {
        self.writer.write(self.buffer.take())?;
        self.writer.finish()
    }
}

/// The thread that owns the store.
struct Writer {
    commits: Option<SyncSender<Commit>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Writer {
    fn new(mut store: Store) -> Self {
        let (commits, waiting) = sync_channel::<Commit>(COMMITS_WAITING);
        let thread = std::thread::spawn(move || {
            waiting.iter().try_for_each(|commit| {
                store.commit(&commit)?;
                store.maintain()
            })
        });
        Self { commits: Some(commits), thread: Some(thread) }
    }

    fn write(&mut self, commit: Commit) -> Result<(), HistoryError> {
        let taken = self.commits.as_ref().is_some_and(|commits| commits.send(commit).is_ok());
        // If it was not taken the thread has ended: its error says why.
        if taken { Ok(()) } else { self.finish() }
    }

    fn finish(&mut self) -> Result<(), HistoryError> {
        self.commits = None;
        let thread = self.thread.take().expect("a writer is finished once");
        Ok(thread.join().expect("the store does not panic")?)
    }
}
