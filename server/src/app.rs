//! Wires the parts of a node: config and keys in, a running node out. The only place that knows all parts.

mod consensus;
mod links;
mod measure;
mod memory;
mod reads;
mod show;
mod slots;

use crate::config::{Config, ConfigErrors, QuorumSetOrigin};
use crate::herder::{Close, Commit, Divergence, Herder, HerderConfig};
use crate::http::admin::{self, AdminConfig, AdminError, AdminState};
use crate::http::{self, Events, HttpConfig, HttpError, HttpHandle, HttpState, Identity, NodeName, Published, Slots};
use crate::key::{Ed25519, NetworkId, Signatures};
use crate::ledger::{Genesis, GenesisError, Ledger, RestoreError};
use crate::overlay::{self, Ban, KnownPeer, Overlay, OverlayConfig, OverlayError, PeerAddress, Seats};
use crate::record::{RecordError, Recorder};
use crate::store::{KeyFileError, KeyHold, RestoredLedger, Store, StoreError, key_file};
use crate::telemetry::{LogControl, Metrics};
use crate::wire::VersionRange;
use consensus::{Consensus, Links};
use fba_core::NodeId;
use show::Showing;
use slots::SlotLog;
use std::collections::BTreeMap;
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
    /// The genesis file is missing, wrong, or another network's.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The genesis file describes no ledger.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The node's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The seed file holds another node's key.
    #[error(
        "the seed file {path} holds the key of {found}, but the configuration is for {wanted}: give this node its own \
         seed file, or remove node_public_key from the configuration"
    )]
    OtherKey {
        /// The seed file.
        path: PathBuf,
        /// The node whose key it holds.
        found: String,
        /// The node that is configured.
        wanted: String,
    },
    /// The store refused to open or to commit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is not a ledger.
    #[error(
        "the stored ledger does not add up: {0}; restore the data folder from a backup, or move it away and let the node fetch the ledger from its peers"
    )]
    Restore(#[from] RestoreError),
    /// The QUIC side could not start.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The HTTP side could not start.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The admin side could not start.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The recording could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Our ledger is not the network's.
    #[error(
        "this node has diverged and has stopped: {divergence}; {evidence}. Keep the data folder for whoever looks into \
         it; a node with a new key and an empty data folder fetches the network's ledger"
    )]
    Diverged {
        /// What was decided, and what we have.
        divergence: Box<Divergence>,
        /// Where the statements are.
        evidence: String,
    },
}

/// What may be asked of a node besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Write every statement received to this file.
    pub record: Option<PathBuf>,
    /// The log of this process, so that the operator can change what it lets through.
    pub log: Option<LogControl>,
}

/// A running node. Call [`Running::stop`]; dropping it leaves its threads running until the process ends.
pub struct Running {
    http: HttpHandle,
    admin: Option<HttpHandle>,
    overlay: Arc<Overlay>,
    stop: async_channel::Sender<()>,
    thread: JoinHandle<Result<(), AppError>>,
    /// Closed when the consensus thread has ended, by itself or because it was asked to.
    pub ended: async_channel::Receiver<()>,
    // Keeps the key file locked for as long as the node runs.
    _key: KeyHold,
}

impl Running {
    /// Where HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Where the admin side is served, if it is.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(HttpHandle::local_addr)
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
        match Arc::into_inner(self.overlay) {
            Some(overlay) => crate::runtime::block_on(overlay.close()),
            None => tracing::debug!("an admin request still looks at the links: peers get no goodbye"),
        }
        self.http.stop();
        self.admin.into_iter().for_each(HttpHandle::stop);
        outcome
    }
}

/// Starts a node.
///
/// # Errors
/// See [`AppError`]; nothing is left running then.
pub fn start(config: &Config, options: &Options) -> Result<Running, AppError> {
    crate::runtime::start();
    let genesis = config.load_genesis()?;
    let network = genesis.network_id();
    let (secret, key_hold) = key_file::hold(&config.node_seed_file)?;
    same_node(config, secret.node_id())?;
    let (mut store, restored) = Store::open(&config.data_dir, network, config.node, key_hold.mark())?;
    store.keep_proofs(config.proofs);
    let ledger = open_ledger(&genesis, restored.ledger, &mut store)?;
    let recorder = options.record.as_deref().map(Recorder::open).transpose()?;
    let sequence = Arc::new(AtomicU64::new(ledger.sequence()));
    let (vote_sender, votes) = async_channel::bounded(VOTE_QUEUE);
    let (payload_sender, payload) = async_channel::bounded(PAYLOAD_QUEUE);
    let (request_sender, requests) = async_channel::bounded(REQUEST_QUEUE);
    let overlay_config = overlay_config(config, network, memory::recall(&mut store)?);
    let overlay = overlay::start(overlay_config, &secret, Arc::clone(&sequence), vote_sender, payload_sender)?;
    let overlay = Arc::new(overlay);
    let signatures: Arc<dyn Signatures> = Arc::new(Ed25519::new(network, secret));
    let herder_config = HerderConfig {
        quorum_set: config.trust.quorum_set.clone(),
        is_validator: config.is_validator,
        leader_weights: leader_weights(config),
    };
    let herder = Herder::new(herder_config, signatures, ledger, restored.herder);
    let consensus = Consensus::new(herder, store, Arc::clone(&overlay), sequence, recorder, config.data_dir.clone())?;
    let identity = identity(config, &genesis);
    let view = Published::new(consensus.node_view(&identity));
    let (published, slots, events) = (view, Slots::default(), Events::default());
    let metrics = Arc::new(Metrics::new());
    metrics.watch(config.data_dir.clone());
    let (stop, stopped) = async_channel::bounded(1);
    let state = HttpState {
        identity: identity.clone(),
        view: published.clone(),
        slots: slots.clone(),
        history: Arc::new(consensus.reader()),
        requests: request_sender.clone(),
        events: events.clone(),
        metrics: Arc::clone(&metrics),
    };
    let http_config = HttpConfig { listen: config.http, names: config.http_hosts.clone(), limits: config.http_limits };
    let http = http::start(&http_config, state)?;
    let shown = identity.clone();
    let state = AdminState {
        identity,
        requests: request_sender,
        links: Arc::new(links::OverlayLinks::new(&overlay)),
        log: options.log.clone(),
        shutdown: stop.clone(),
        metrics: Arc::clone(&metrics),
    };
    let admin = match start_admin(config, state) {
        Ok(admin) => admin,
        Err(error) => {
            http.stop();
            return Err(error.into());
        }
    };
    let consensus = consensus.showing(Showing::new(published, SlotLog::new(slots), events, metrics, shown));
    match begin(consensus, Links { votes, payload, requests, stopped }) {
        Ok((thread, ended)) => Ok(Running { http, admin, overlay, stop, thread, ended, _key: key_hold }),
        Err(error) => {
            http.stop();
            admin.into_iter().for_each(HttpHandle::stop);
            Err(AppError::Thread(error))
        }
    }
}

type ConsensusThread = JoinHandle<Result<(), AppError>>;

/// Runs consensus on a thread of its own. The channel closes when that ends.
fn begin(consensus: Consensus, links: Links) -> std::io::Result<(ConsensusThread, async_channel::Receiver<()>)> {
    let (ended_sender, ended) = async_channel::bounded::<()>(1);
    let run = move || {
        let outcome = crate::runtime::block_on(consensus.run(links));
        drop(ended_sender);
        outcome
    };
    let thread = std::thread::Builder::new().name("consensus".into()).spawn(run)?;
    Ok((thread, ended))
}

fn start_admin(config: &Config, state: AdminState) -> Result<Option<HttpHandle>, AdminError> {
    let Some(wanted) = &config.admin else { return Ok(None) };
    let names = config.http_hosts.clone();
    let config = AdminConfig { listen: wanted.listen, names, token_file: wanted.token_file.clone() };
    admin::start(&config, state).map(Some)
}

fn same_node(config: &Config, found: NodeId) -> Result<(), AppError> {
    if found == config.node {
        return Ok(());
    }
    let (found, wanted) = (crate::key::node_strkey(found), crate::key::node_strkey(config.node));
    Err(AppError::OtherKey { path: config.node_seed_file.clone(), found, wanted })
}

/// The ledger the store holds; in a new store, genesis, which becomes its first ledger.
fn open_ledger(genesis: &Genesis, stored: Option<RestoredLedger>, store: &mut Store) -> Result<Ledger, AppError> {
    if let Some(stored) = stored {
        return Ok(Ledger::restore(genesis, stored.header, stored.accounts, stored.data, stored.lattice)?);
    }
    let (ledger, closed) = Ledger::genesis(genesis)?;
    let close = Close { closed, proof: Vec::new(), proof_sets: Vec::new() };
    store.commit(&Commit { closes: vec![close], sync: true, ..Commit::default() })?;
    Ok(ledger)
}

/// Weights by organisation where the quorum set comes from organisations.
fn leader_weights(config: &Config) -> Option<BTreeMap<NodeId, u64>> {
    match &config.trust.origin {
        QuorumSetOrigin::Generated(generated) => Some(generated.leader_weights.clone()),
        QuorumSetOrigin::ByHand(_) => None,
    }
}

fn overlay_config(config: &Config, network: NetworkId, (bans, known): (Vec<Ban>, Vec<KnownPeer>)) -> OverlayConfig {
    let peer = |peer: &crate::config::Peer| PeerAddress { address: peer.address.to_string(), key: peer.key };
    let strangers = config.overlay.max_inbound;
    OverlayConfig {
        listen: config.listen,
        public: config.public_address.as_ref().map(ToString::to_string),
        peers: config.peers.iter().map(peer).collect(),
        trusted: config.trust.quorum_set.nodes().into_iter().collect(),
        bans,
        known,
        target_outbound: config.overlay.target_outbound,
        seats: Seats { strangers, listed_only: config.overlay.peers_only, ..Seats::default() },
        network,
        versions: VersionRange::OURS,
    }
}

fn identity(config: &Config, genesis: &Genesis) -> Identity {
    let name = |known: &crate::config::Known| NodeName {
        name: known.name.to_string(),
        organization: known.home_domain.as_ref().map(ToString::to_string),
    };
    Identity {
        node: config.node,
        network: genesis.network_id().0,
        validator: config.is_validator,
        names: config.trust.directory.iter().map(|(node, known)| (*node, name(known))).collect(),
        parameters: genesis.parameters.clone(),
    }
}
