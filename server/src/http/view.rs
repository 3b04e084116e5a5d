//! What the HTTP side knows of the running node: a snapshot that consensus replaces and never waits for.

use crate::http::dto;
use crate::ledger::Parameters;
use fba_core::{Hash, NodeId, QuorumSet};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// What never changes while the node runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// This node.
    pub node: NodeId,
    /// SHA-256 of the network passphrase.
    pub network: Hash,
    /// Does this node vote?
    pub validator: bool,
    /// The names of nodes, from the configuration file.
    pub names: BTreeMap<NodeId, NodeName>,
    /// The network's parameters, from genesis.
    pub parameters: Parameters,
}

/// How people call a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeName {
    /// The name in the configuration file.
    pub name: String,
    /// The home domain it belongs to.
    pub organization: Option<String>,
}

/// The state of the node at one moment.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Does it follow the network?
    pub sync: SyncState,
    /// Why it is in that state, where that needs words.
    pub reason: Option<String>,
    /// What the open slot waits for, where that is why.
    pub waits: Option<Box<dto::Waits>>,
    /// How far it is from voting again, if it lost its votes.
    pub recovery: Option<dto::Recovery>,
    /// How far it has come, while it fetches ledgers.
    pub catch_up: Option<dto::CatchUp>,
    /// The last closed ledger.
    pub ledger: LastClosed,
    /// The slot being agreed on.
    pub slot: OpenSlot,
    /// Transactions waiting for a ledger.
    pub queued: u64,
    /// Whom this node needs to hear from.
    pub quorum_set: Arc<QuorumSet>,
    /// Its hash.
    pub quorum_set_hash: Hash,
    /// The nodes this one knows of, itself included.
    pub nodes: Vec<KnownNode>,
    /// Links that are up.
    pub peers: Vec<Peer>,
    /// Who is not linked, and why.
    pub away: Away,
    /// How the quorum set stands.
    pub quorum: dto::QuorumSummary,
    /// Its clock beside the network's.
    pub clock: dto::Clock,
}

/// How a node stands to its network.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SyncState {
    /// Reading its store.
    Booting,
    /// Waiting to hear what the network is at.
    Joining,
    /// Fetching and applying ledgers it lacks.
    CatchingUp,
    /// Follows every close.
    Synced,
    /// Has not seen a close for too long.
    Stuck,
    /// Lost its votes: listens, and is silent until it cannot contradict itself any more.
    Recovering,
    /// Its ledger is not the network's: it has stopped voting.
    Diverged,
}

impl SyncState {
    /// The word the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Joining => "joining",
            Self::CatchingUp => "catching_up",
            Self::Synced => "synced",
            Self::Stuck => "stuck",
            Self::Recovering => "recovering",
            Self::Diverged => "diverged",
        }
    }
}

/// The newest ledger this node has made durable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LastClosed {
    /// Its sequence number.
    pub sequence: u64,
    /// Its header's hash.
    pub hash: Hash,
    /// Milliseconds since the epoch.
    pub close_time_ms: u64,
}

/// Where the open slot stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenSlot {
    /// The slot: the sequence number of the ledger to come.
    pub slot: u64,
    /// The phase.
    pub phase: Phase,
    /// Nomination round, from 1; 0 before nomination.
    pub round: u32,
    /// Ballot counter, from 1; 0 before the first ballot.
    pub counter: u32,
}

/// The phases of a slot as the API names them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Nothing has been said yet.
    Idle,
    /// Nominating.
    Nominate,
    /// Balloting: preparing.
    Prepare,
    /// Balloting: committing.
    Confirm,
    /// Decided.
    Externalize,
}

impl Phase {
    /// The word the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Nominate => "nominate",
            Self::Prepare => "prepare",
            Self::Confirm => "confirm",
            Self::Externalize => "externalize",
        }
    }
}

/// Where a slot stands, for people.
pub(crate) fn phase_of(state: Option<&fba_core::SlotState>) -> Phase {
    let Some(state) = state else { return Phase::Idle };
    let counter = state.ballot.as_ref().map_or(0, |ballot| ballot.counter);
    phase(state.phase, state.nomination_round, counter)
}

/// The core prepares from the beginning; for people that begins with the first ballot.
pub(crate) fn phase(phase: fba_core::Phase, round: u32, counter: u32) -> Phase {
    match phase {
        fba_core::Phase::Prepare if counter == 0 && round == 0 => Phase::Idle,
        fba_core::Phase::Prepare if counter == 0 => Phase::Nominate,
        fba_core::Phase::Prepare => Phase::Prepare,
        fba_core::Phase::Confirm => Phase::Confirm,
        fba_core::Phase::Externalize => Phase::Externalize,
    }
}

/// What this node knows about another (or itself).
#[derive(Clone, Debug)]
pub struct KnownNode {
    /// The node.
    pub node: NodeId,
    /// Its quorum set, where it is known.
    pub quorum_set: Option<Arc<QuorumSet>>,
    /// How it goes along.
    pub standing: Standing,
    /// The highest slot it was heard in.
    pub last_slot: Option<u64>,
    /// Steps of trust from this node: 0 itself, 1 its own set, 2 their sets.
    pub distance: u32,
}

/// How a node goes along with this one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Standing {
    /// Says the same about the newest slot.
    Agree,
    /// Heard, but behind.
    Delayed,
    /// Says something else.
    Disagree,
    /// Not heard.
    Missing,
}

impl Standing {
    /// The word the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Delayed => "delayed",
            Self::Disagree => "disagree",
            Self::Missing => "missing",
        }
    }
}

/// A link to another node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The other node.
    pub node: NodeId,
    /// Its address, `host:port`.
    pub address: String,
    /// Who dialled: true if the other node did.
    pub inbound: bool,
    /// Milliseconds since the epoch at which the link came up.
    pub since_ms: u64,
    /// Round-trip time in microseconds.
    pub rtt_us: Option<u64>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// Who is not linked, and why: as many of each as the overlay keeps. Shared, because snapshots come more often.
#[derive(Clone, Debug, Default)]
pub struct Away {
    /// The bans in force.
    pub bans: Arc<[dto::Ban]>,
    /// Links that ended or never came up, the last ones.
    pub departures: Arc<[dto::Departure]>,
}

/// Without a close for longer than this, a node of a network with these parameters is stuck.
#[must_use]
pub fn stuck_after(parameters: &Parameters) -> Duration {
    let by_interval = parameters.close_interval_ms.saturating_mul(7);
    let by_heartbeat = parameters.heartbeat_ms.saturating_mul(2).saturating_add(5_000);
    Duration::from_millis(by_interval.max(by_heartbeat))
}

/// A snapshot behind a lock that is only ever held to copy or replace one pointer.
#[derive(Clone, Debug)]
pub struct Published(Arc<RwLock<Snapshot>>);

#[derive(Clone, Debug)]
struct Snapshot {
    view: Arc<NodeView>,
    /// When the last closed ledger was seen to change, by a clock nobody sets.
    moved: Instant,
}

impl Published {
    /// Begins with this view.
    #[must_use]
    pub fn new(view: NodeView) -> Self {
        Self(Arc::new(RwLock::new(Snapshot { view: Arc::new(view), moved: Instant::now() })))
    }

    /// Replaces the view. Readers keep the one they hold.
    pub fn publish(&self, view: NodeView) {
        let view = Arc::new(view);
        let mut snapshot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if view.ledger.sequence != snapshot.view.ledger.sequence {
            snapshot.moved = Instant::now();
        }
        snapshot.view = view;
    }

    /// The view of this moment.
    #[must_use]
    pub fn load(&self) -> Arc<NodeView> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).view)
    }

    /// How long ago the last closed ledger changed. Grows also when consensus no longer publishes.
    #[must_use]
    pub fn since_close(&self) -> Duration {
        self.0.read().unwrap_or_else(PoisonError::into_inner).moved.elapsed()
    }
}
