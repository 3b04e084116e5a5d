//! The herder drives agreement for the ledger: what reaches the core, when nomination starts, what is flooded and
//! fetched, what is stored before it is sent, how a node that fell behind catches up. Sans-IO: no clock, no sockets, no
//! files, no randomness, so that the simulator runs exactly this code.
//!
//! The host calls [`Herder::handle`] with whatever happened, as often as it likes, then [`Herder::flush`], and carries
//! out the [`Batch`]. Of several own statements made in between only the newest is signed, stored and sent.

mod answers;
mod catchup;
mod clock;
mod decision;
mod demands;
mod driver;
mod durability;
mod effects;
mod fetch;
mod flush;
mod handing;
mod intake;
mod io;
mod judged;
mod nominate;
mod payloads;
mod peers;
mod quorum_tracker;
mod restore;
mod slot_view;
mod statements;
mod tracking;
mod transactions;
mod trigger;
mod tx_queue;
mod view;
mod waits;

#[cfg(test)]
mod tests;

pub use durability::{Durability, durability};
pub use io::{
    Batch, CatchUpView, ClockView, Close, ClosedSummary, Commit, Divergence, FailAt, Input, LastClosed, LedgerPart,
    Missing, MissingNode, Need, NodeState, NodeView, Notice, Now, Outgoing, ReadLedgers, Recovery, Said, SyncState,
    Ticket, TicketOutcome, Unproven, View, Vote, Waits,
};
pub use judged::{Judgement, StatementKind};
pub use quorum_tracker::NODES_MAX as QUORUM_NODES_MAX;
pub use restore::{OverrideRefused, Restored, Standing};
pub use slot_view::SlotView;

use crate::key::Signatures;
use crate::ledger::Ledger;
use catchup::CatchUp;
use clock::Clock;
use demands::Demands;
use driver::{LedgerDriver, Verdicts};
use effects::OpenSlot;
use fba_core::{Hash, Node, NodeId, QuorumSet, SlotIndex};
use fetch::Fetches;
use flush::Outbox;
use handing::Handing;
use judged::Judged;
use payloads::Payloads;
use peers::Peers;
use quorum_tracker::QuorumTracker;
use restore::Silence;
use statements::Statements;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracking::Tracking;
use tx_queue::TxQueue;

/// Statements and transaction sets of this many closed slots are kept for peers that are a little behind.
pub const SLOTS_KEPT: u64 = 12;
/// How far ahead of the open slot a statement may be while we are in sync.
pub const SLOTS_AHEAD: u64 = 100;

/// What the herder is told once.
#[derive(Clone, Debug)]
pub struct HerderConfig {
    /// Whom we need to hear from. Normalised inside.
    pub quorum_set: QuorumSet,
    /// Does this node vote? False: it follows, stores and serves, and never emits.
    pub is_validator: bool,
    /// How likely each node is to lead nomination, our own included; a node that is missing never leads. `None`: each
    /// node's share of our slices, and we ourselves always.
    pub leader_weights: Option<BTreeMap<NodeId, u64>>,
}

/// See the module.
pub struct Herder {
    config: HerderConfig,
    local: NodeId,
    signatures: Arc<dyn Signatures>,
    ledger: Ledger,
    /// At most one slot is open in it: the one after the last closed ledger.
    scp: Node,
    silence: Option<Silence>,
    /// Up to this slot first ballots of ours may have been forgotten.
    forgotten: SlotIndex,
    slot: OpenSlot,
    /// Statements that are complete, of the last closed slots, the open one and later ones.
    book: Statements,
    /// Statements that wait for a quorum set or a transaction set.
    pending: Statements,
    /// Statements of the open slot that do not fit our ledger: evidence if a quorum makes them.
    contrary: Statements,
    sets: BTreeMap<Hash, Arc<QuorumSet>>,
    /// How many of them were needed when that was looked at last.
    sets_needed: usize,
    payloads: Payloads,
    verdicts: Verdicts,
    fetches: Fetches,
    tracker: QuorumTracker,
    peers: Peers,
    queue: TxQueue,
    handing: Handing,
    demands: Demands,
    catchup: CatchUp,
    tracking: Tracking,
    clock: Clock,
    judged: Judged,
    out: Outbox,
}

impl Herder {
    /// A herder on top of `ledger`, with what the store kept of its votes. `signatures` are our node's.
    #[must_use]
    pub fn new(config: HerderConfig, signatures: Arc<dyn Signatures>, ledger: Ledger, restored: Restored) -> Self {
        let local = signatures.node();
        let quorum_set = Arc::new(config.quorum_set.normalized());
        let silence = restored.silence();
        let votes = config.is_validator && silence.is_none();
        let mut herder = Self {
            local,
            scp: Node::new(local, votes, config.quorum_set.clone()),
            config,
            signatures,
            slot: OpenSlot::new(SlotIndex(ledger.sequence()).next(), Duration::ZERO, Duration::ZERO),
            ledger,
            silence,
            forgotten: restored.forgotten,
            book: Statements::default(),
            pending: Statements::default(),
            contrary: Statements::default(),
            sets: BTreeMap::from([(quorum_set.hash(), Arc::clone(&quorum_set))]),
            sets_needed: 0,
            payloads: Payloads::default(),
            verdicts: Verdicts::default(),
            fetches: Fetches::default(),
            tracker: QuorumTracker::new(local, quorum_set),
            peers: Peers::default(),
            queue: TxQueue::default(),
            handing: Handing::default(),
            demands: Demands::default(),
            catchup: CatchUp::default(),
            tracking: Tracking::default(),
            clock: Clock::default(),
            judged: Judged::default(),
            out: Outbox::default(),
        };
        herder.restore(restored);
        herder
    }

    /// Something happened. What follows from it comes with the next [`Herder::flush`].
    ///
    /// # Panics
    /// If an own invariant is broken: nothing may go on then.
    pub fn handle(&mut self, now: Now, input: Input) {
        if self.out.is_fatal() {
            return;
        }
        match input {
            Input::Start => self.start(now),
            Input::PeerUp { peer } => self.peer_up(now, peer),
            Input::PeerDown { peer } => self.peer_down(now, peer),
            Input::Message { from, message } => self.receive(now, from, message),
            Input::Submit { transaction, ticket } => self.submit(now, &transaction, ticket),
            Input::Wakeup => {}
        }
        self.tick(now);
    }

    /// Takes another quorum set, from the next slot on.
    pub fn set_quorum_set(&mut self, quorum_set: QuorumSet) {
        let normalized = Arc::new(quorum_set.normalized());
        self.sets.insert(normalized.hash(), Arc::clone(&normalized));
        self.tracker.set_local(normalized);
        self.scp.set_quorum_set(quorum_set.clone());
        self.catchup.forget_onlookers();
        self.slot.contrary = None;
        self.config.quorum_set = quorum_set;
        // What the old set had shown of later slots, this one has to show again.
        self.catchup.forget_decision();
        self.look_ahead_again();
    }

    /// The ledger as last closed.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The transitive quorum, the nodes whose statements count: nearest to us first.
    #[must_use]
    pub fn nearest_nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<(NodeId, u32)> = self.tracker.nodes().collect();
        nodes.sort_by_key(|(_, distance)| *distance);
        nodes.into_iter().map(|(node, _)| node).collect()
    }

    /// Does this transaction wait in the queue?
    #[must_use]
    pub fn is_queued(&self, hash: &Hash) -> bool {
        self.queue.get(hash).is_some()
    }

    /// The slot being decided.
    fn open_slot(&self) -> SlotIndex {
        self.slot.index
    }

    fn votes(&self) -> bool {
        self.config.is_validator && self.silence.is_none()
    }

    /// The core with the driver it asks.
    fn core(&mut self, now: Now) -> (&mut Node, LedgerDriver<'_>) {
        let driver = LedgerDriver {
            ledger: &self.ledger,
            payloads: &self.payloads,
            signatures: &*self.signatures,
            verdicts: &self.verdicts,
            local: self.local,
            leader_weights: self.config.leader_weights.as_ref(),
            unix_ms: now.unix_ms,
        };
        (&mut self.scp, driver)
    }
}

impl std::fmt::Debug for Herder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Herder of {:?} in slot {}", self.local, self.open_slot())
    }
}
