//! Wires the parts of a node: config and keys in, a running node out. The only place that knows all parts.

mod consensus;
mod show;

use crate::config::Config;
use crate::herder::{Divergence, Herder, HerderConfig};
use crate::http::{self, Events, HttpConfig, HttpError, HttpHandle, HttpState, Identity, Limits, Published};
use crate::key::{Ed25519, Signatures};
use crate::ledger::{Genesis, GenesisError, Ledger, RestoreError};
use crate::overlay::{self, Overlay, OverlayConfig, OverlayError};
use crate::record::{RecordError, Recorder};
use crate::store::{Opened, Store, StoreError};
use crate::telemetry::Metrics;
use consensus::{Consensus, Links};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

/// Votes, and everything else peers say, waiting for the consensus thread. A full queue pushes back on QUIC.
const VOTE_QUEUE: usize = 4096;
const PAYLOAD_QUEUE: usize = 256;

/// Submissions waiting for the consensus thread. A full queue answers 429.
const REQUEST_QUEUE: usize = 4096;

/// Why a node could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The genesis file.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Config and genesis disagree.
    #[error(
        "the configuration is for the network {configured:?}, but {path} is the genesis of {genesis:?}: \
         give this node the genesis file of its own network"
    )]
    OtherNetwork {
        /// The passphrase in the configuration.
        configured: String,
        /// The genesis file.
        path: PathBuf,
        /// The passphrase in the genesis file.
        genesis: String,
    },
    /// The store refused to open or to commit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is not a ledger.
    #[error("the stored ledger does not add up: {0}; restore the data folder from a backup, or move it away and let the node fetch the ledger from its peers")]
    Restore(#[from] RestoreError),
    /// The QUIC side could not start.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The HTTP side could not start.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The recording could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Our ledger is not the network's.
    #[error("diverged, so this node has stopped: {0}")]
    Diverged(Box<Divergence>),
}

/// What may be asked of a node besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Write every statement received to this file.
    pub record: Option<PathBuf>,
}

/// A running node. Call [`Running::stop`]; dropping it leaves its threads running until the process ends.
pub struct Running {
    http: HttpHandle,
    overlay: Arc<Overlay>,
    stop: async_channel::Sender<()>,
    thread: JoinHandle<Result<(), AppError>>,
    /// Closed when the consensus thread has ended, by itself or because it was asked to.
    pub ended: async_channel::Receiver<()>,
}

impl Running {
    /// Where HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Where peers connect.
    #[must_use]
    pub fn overlay_address(&self) -> SocketAddr {
        self.overlay.local_addr()
    }

    /// Stops everything: consensus first, so that the last commit is whole, then peers, then HTTP.
    ///
    /// # Errors
    /// What made the consensus thread stop, if it was not us.
    ///
    /// # Panics
    /// When the consensus thread has panicked (our own mistake).
    pub fn stop(self) -> Result<(), AppError> {
        // Closed already if the thread has ended by itself.
        let _ = self.stop.try_send(());
        let outcome = self.thread.join().expect("the consensus thread does not panic");
        crate::runtime::block_on(self.overlay.close());
        self.http.stop();
        outcome
    }
}

/// Starts a node.
///
/// # Errors
/// See [`AppError`]; nothing is left running then.
pub fn start(config: &Config, options: &Options) -> Result<Running, AppError> {
    let genesis = read_genesis(config)?;
    let network = genesis.network_id();
    let Opened { store, key, restored } = Store::open(&config.data_dir, &config.node_seed_file, network)?;
    let mut store = store;
    let signatures: Arc<dyn Signatures> = Arc::new(Ed25519::new(network, key.clone()));
    let ledger = match restored.ledger {
        Some(stored) => Ledger::restore(&genesis, stored.header, stored.accounts, stored.data, stored.lattice)?,
        None => {
            let (ledger, closed) = Ledger::genesis(&genesis);
            store.commit_genesis(&closed)?;
            ledger
        }
    };
    let sequence = Arc::new(AtomicU64::new(ledger.sequence()));
    let recorder = options.record.as_deref().map(Recorder::create).transpose()?;
    let (vote_sender, votes) = async_channel::bounded(VOTE_QUEUE);
    let (payload_sender, payload) = async_channel::bounded(PAYLOAD_QUEUE);
    let overlay = Arc::new(overlay::start(
        overlay_config(config, network),
        key,
        Arc::clone(&sequence),
        vote_sender,
        payload_sender,
    )?);
    let herder = Herder::new(
        HerderConfig::new(config.quorum_set.clone(), config.validator),
        signatures,
        ledger,
        restored.votes,
    );
    let (request_sender, requests) = async_channel::bounded(REQUEST_QUEUE);
    let identity = identity(config, &genesis, herder.view().node);
    let published = Published::new(show::node_view(&herder.view(), &[]));
    let events = Events::default();
    let metrics = Arc::new(Metrics::new());
    let http = http::start(
        &HttpConfig {
            listen: config.http,
            names: config.http_hosts.clone(),
            limits: Limits::default(),
        },
        HttpState {
            identity,
            view: published.clone(),
            history: Arc::new(store.reader()?),
            requests: request_sender,
            events: events.clone(),
            metrics: Arc::clone(&metrics),
        },
    )?;
    let (stop, stopped) = async_channel::bounded(1);
    let (ended_sender, ended) = async_channel::bounded::<()>(1);
    let links = Links { votes, payload, requests, stopped };
    let consensus = Consensus::new(herder, store, Arc::clone(&overlay), sequence, recorder)?
        .showing(published, events, metrics);
    let thread = std::thread::Builder::new()
        .name("consensus".into())
        .spawn(move || {
            let outcome = crate::runtime::block_on(consensus.run(links));
            drop(ended_sender);
            outcome
        })
        .map_err(AppError::Thread)?;
    Ok(Running { http, overlay, stop, thread, ended })
}

fn read_genesis(config: &Config) -> Result<Genesis, AppError> {
    let path = &config.genesis;
    let text = std::fs::read_to_string(path).map_err(|source| AppError::Read {
        path: path.clone(),
        source,
    })?;
    let genesis = Genesis::from_toml(&text)?;
    if genesis.passphrase == config.network_passphrase {
        Ok(genesis)
    } else {
        Err(AppError::OtherNetwork {
            configured: config.network_passphrase.clone(),
            path: path.clone(),
            genesis: genesis.passphrase,
        })
    }
}
