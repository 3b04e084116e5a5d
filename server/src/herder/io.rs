//! What goes into the herder and what comes out of it. Recorded, replayed and simulated as data.

use crate::ledger::{Closed, SignedTransaction, TxRejection, TxResult, TxSet};
use crate::wire::{Message, SignedStatement};
use fba_core::{Hash, Moved, NodeId, Phase, QuorumSet, SlotIndex, Timer, Value};
use std::sync::Arc;
use std::time::Duration;

/// What time it is, twice: every call brings it along, because the herder has no clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// Never goes back; any origin. Timers run on it.
    pub monotonic: Duration,
    /// The wall clock, in milliseconds since the epoch. Only close times use it.
    pub unix_ms: u64,
}

/// Names a submission, so that its fate can be told to whoever waits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub u64);

/// Everything that can happen to the herder.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every input is a message; boxing it would cost the common case")]
pub enum Input {
    /// The node starts: the first input.
    Start,
    /// A link is up: the peer has said hello and been accepted.
    PeerUp {
        /// The peer.
        peer: NodeId,
    },
    /// A link is gone.
    PeerDown {
        /// The peer.
        peer: NodeId,
    },
    /// A peer said something.
    Message {
        /// The peer; not always the author of what it says.
        from: NodeId,
        /// What it said.
        message: Message,
    },
    /// A client submits a transaction here.
    Submit {
        /// The transaction; its signatures are not checked yet.
        transaction: Arc<SignedTransaction>,
        /// Comes back in [`Notice::Ticket`].
        ticket: Ticket,
    },
    /// The time that [`super::Herder::next_wakeup`] named has come.
    Wakeup,
}

/// What the host must do, in the order of the fields.
#[derive(Debug, Default)]
#[must_use]
pub struct Batch {
    /// May leave before the commit: nominations, what others said, adverts, questions and answers.
    pub first: Vec<Outgoing>,
    /// To be stored, as durably as it asks, before anything below happens.
    pub commit: Option<Commit>,
    /// Own ballot statements: only after the commit.
    pub then: Vec<Outgoing>,
    /// What listeners and clients are told, after the commit.
    pub notices: Vec<Notice>,
    /// Closed ledgers a peer wants: read them from the store and send them as [`Message::Ledgers`].
    pub reads: Vec<ReadLedgers>,
    /// This node's state is wrong: commit nothing, send nothing, keep the evidence, exit with an error.
    pub fatal: Option<Divergence>,
}

impl Batch {
    /// Is there nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
            && self.commit.is_none()
            && self.then.is_empty()
            && self.notices.is_empty()
            && self.reads.is_empty()
            && self.fatal.is_none()
    }
}

/// Something for the overlay.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// A message for each of these peers.
    Send {
        /// Whom to: connected, none twice.
        to: Vec<NodeId>,
        /// What.
        message: Message,
    },
    /// End the connection: the peer broke a rule.
    DropPeer {
        /// The peer.
        peer: NodeId,
        /// The rule, in words, for the operator and the peer.
        reason: String,
    },
}

/// One transaction of the store.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Own newest statements; each replaces the older one of its slot and protocol.
    pub votes: Vec<Vote>,
    /// Others' newest statements of the open slot that were not stored yet, if there are votes in it: the votes may
    /// follow from them. Each replaces the older one of its slot, node and protocol.
    pub heard: Vec<SignedStatement>,
    /// Quorum sets that the statements above name and that were not stored since the start.
    pub quorum_sets: Vec<QuorumSet>,
    /// Transaction sets that the statements above refer to and that were not stored since the start.
    pub tx_sets: Vec<Arc<TxSet>>,
    /// Closed ledgers, ascending.
    pub closes: Vec<Close>,
    /// Must this survive a power cut before the batch goes on? False: it is written, and synced with the next that
    /// must.
    pub sync: bool,
}

/// One of our own statements.
#[derive(Clone, Debug)]
pub struct Vote {
    /// Signed by us.
    pub statement: SignedStatement,
    /// The nomination round reached, and the value leader election was seeded with.
    pub nomination: Option<(u32, Value)>,
}

/// A closed ledger with what proves its value.
#[derive(Clone, Debug)]
pub struct Close {
    /// The ledger.
    pub closed: Closed,
    /// The CONFIRM and EXTERNALIZE statements at hand, a quorum's by our own set among them. Empty for ledgers caught
    /// up: the next proven slot proves them through the header chain.
    pub proof: Vec<SignedStatement>,
    /// Every quorum set the proof names.
    pub proof_sets: Vec<QuorumSet>,
}

/// A peer asks for closed ledgers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadLedgers {
    /// Who asks.
    pub peer: NodeId,
    /// The first wanted.
    pub from: u64,
    /// How many at most.
    pub count: u32,
}

/// Why this node must stop: a quorum decided something that cannot follow from our ledger.
#[derive(Clone, Debug, thiserror::Error)]
#[error("slot {slot}: {reason} (our last ledger is {sequence}, header {header}); the evidence has {} statements", evidence.len())]
pub struct Divergence {
    /// The slot decided.
    pub slot: SlotIndex,
    /// Our last ledger.
    pub sequence: u64,
    /// Its header hash.
    pub header: Hash,
    /// What does not fit.
    pub reason: String,
    /// The statements that decided the slot.
    pub evidence: Vec<SignedStatement>,
}

/// Something worth telling.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A ledger closed and is durable.
    Closed(ClosedSummary),
    /// The fate of a submission.
    Ticket {
        /// Which submission.
        ticket: Ticket,
        /// What became of it.
        outcome: TicketOutcome,
    },
    /// The open slot moved on.
    Phase {
        /// The slot.
        slot: SlotIndex,
        /// Where balloting stands now.
        phase: Phase,
    },
    /// A rule fired in the core, with the reason.
    Moved(Moved),
    /// A timer of the open slot ran out.
    TimedOut {
        /// The slot.
        slot: SlotIndex,
        /// Which timer.
        timer: Timer,
    },
    /// The sync state changed.
    Sync(SyncState),
    /// An operator ended the silence after a loss of votes, at the risk of a fork.
    SilenceOverridden {
        /// The slot that was open.
        slot: SlotIndex,
    },
    /// Something a peer sent was refused.
    Refused {
        /// The peer.
        peer: NodeId,
        /// What and why.
        reason: String,
    },
}

/// A closed ledger, in short.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClosedSummary {
    /// The ledger's sequence.
    pub sequence: u64,
    /// Its header hash.
    pub hash: Hash,
    /// Its close time.
    pub close_time_ms: u64,
    /// How many transactions.
    pub transactions: u32,
    /// How many of them failed.
    pub failed: u32,
    /// From the start of nomination to the first ballot; nothing for a ledger caught up.
    pub nomination: Option<Duration>,
    /// From the first ballot to the decision.
    pub ballot: Option<Duration>,
    /// Was it fetched instead of decided here?
    pub caught_up: bool,
}

/// What became of a submission.
#[derive(Clone, Debug)]
pub enum TicketOutcome {
    /// Queued here. No promise.
    Pending,
    /// In a ledger, for good.
    Closed {
        /// Which.
        ledger: u64,
        /// Its place in the order of application, from 0.
        index: u32,
        /// What it did.
        result: Arc<TxResult>,
    },
    /// Not taken.
    Refused(TxRejection),
    /// A signature is not genuine.
    BadSignature,
    /// The queue, or the account's share of it, is full. Try again later.
    QueueFull,
    /// It waited too long and was dropped; it can no longer be closed through this node unless submitted again.
    Expired,
}

/// How this node stands to the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SyncState {
    /// Not started yet.
    Booting,
    /// Listening; nothing decided since the start.
    Joining {
        /// What the open slot waits for.
        waits: Box<Waits>,
    },
    /// Fetching ledgers it lacks.
    CatchingUp {
        /// The first it lacks.
        from: u64,
        /// The last it knows of.
        to: u64,
    },
    /// Closes with the network.
    Synced,
    /// Nothing has closed for too long.
    Stuck {
        /// Seconds since the last close.
        seconds: u64,
        /// What the open slot waits for.
        waits: Box<Waits>,
    },
    /// Lost its votes: silent until it cannot contradict itself any more.
    Recovering(Recovery),
    /// State differs from the network's: stopped.
    Diverged,
}

/// What keeps the open slot from closing, seen from our own quorum set and from what was heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waits {
    /// The slot.
    pub slot: SlotIndex,
    /// Where balloting stands here.
    pub phase: Phase,
    /// Our nomination round, from 1; 0 before nomination.
    pub round: u32,
    /// Our ballot counter, from 1; 0 before the first ballot.
    pub counter: u32,
    /// Links that are up.
    pub peers: usize,
    /// What is needed next.
    pub need: Need,
    /// Who is missing for that. `None`: nobody, it is a matter of time.
    pub missing: Option<Missing>,
}

/// What the open slot needs next: the first of these for which our quorum set is not satisfied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Nodes that say anything about the slot.
    Heard,
    /// Nodes that accept a nominated value.
    Nominated,
    /// Nodes that ballot at our counter or above.
    AtCounter,
    /// Nodes that accept a ballot as prepared.
    Prepared,
    /// Nodes that vote to commit.
    Committing,
    /// Nodes that accept the commit.
    Committed,
    /// The transaction set of the decided value.
    TxSet(Hash),
}

/// One level of our quorum set that is not satisfied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing {
    /// How many members it wants.
    pub threshold: u32,
    /// How many it has.
    pub members: u32,
    /// How many of those are satisfied.
    pub heard: u32,
    /// Every node of this level, for whoever wants to name it.
    pub validators: Vec<NodeId>,
    /// Nodes of this level that do not count.
    pub nodes: Vec<MissingNode>,
    /// Inner sets that are not satisfied.
    pub sets: Vec<Missing>,
}

/// A node that does not count yet, and what it said last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MissingNode {
    /// The node.
    pub node: NodeId,
    /// What it said.
    pub said: Said,
}

/// What a node said last, as far as it matters for the open slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    /// Nothing that is still known.
    Nothing,
    /// Something about an earlier slot only.
    Earlier(SlotIndex),
    /// A later slot's statement: it has closed this one.
    Later(SlotIndex),
    /// It nominates.
    Nominates,
    /// It prepares a ballot with this counter.
    Prepares(u32),
    /// It has accepted a commit and confirms it.
    Confirms,
    /// It has decided.
    Externalized,
    /// It counts, but its own quorum set is not satisfied by those who do.
    WaitsItself,
    /// This node itself keeps silent.
    Silent,
}

/// How far a node that lost its votes is from voting again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// Slots closed by our own slices since the start.
    pub watched: u32,
    /// How many it takes.
    pub wanted: u32,
    /// It also takes a close time later than this.
    pub must_pass_ms: u64,
    /// About how long that will be; `None` while nothing closes or the clock is wrong.
    pub seconds_left: Option<u64>,
    /// Our clock is behind the newest agreed close time by so much: it cannot be relied on.
    pub clock_behind_ms: Option<u64>,
    /// What the open slot waits for, if it should have closed by now. Perhaps it waits for us.
    pub waits: Option<Box<Waits>>,
}

/// Our wall clock beside those of the nodes we listen to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClockView {
    /// The median of how far the clocks of recent proposers are ahead of ours; negative: behind. `None` while too few
    /// have proposed.
    pub ahead_ms: Option<i64>,
    /// How many proposers that is from.
    pub proposers: usize,
}

/// How many more failures halt us, given who agrees now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FailAt {
    /// The smallest further set of nodes whose loss leaves us no slice. Empty: there is none already.
    Nodes(Vec<NodeId>),
    /// Nobody else is needed.
    Never,
}

/// How a known node stands to our open slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeState {
    /// Agrees.
    Agree,
    /// Speaks of a slot we left.
    Delayed,
    /// Committed to another value.
    Disagree,
    /// Has said nothing lately.
    Missing,
}

/// A node of the transitive quorum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeView {
    /// Who.
    pub id: NodeId,
    /// Its newest quorum set, if known.
    pub quorum_set: Option<Arc<QuorumSet>>,
    /// Steps from us: 0 is ourselves, 1 is in our quorum set.
    pub distance: u32,
    /// How it stands.
    pub state: NodeState,
    /// The highest slot it spoke of.
    pub last_slot: Option<SlotIndex>,
    /// The value it works on in the open slot.
    pub value: Option<Value>,
}

/// The last closed ledger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LastClosed {
    /// Sequence.
    pub sequence: u64,
    /// Header hash.
    pub hash: Hash,
    /// Close time.
    pub close_time_ms: u64,
}

/// The herder at a glance. Plain data.
#[derive(Clone, Debug)]
pub struct View {
    /// Who we are.
    pub node: NodeId,
    /// Are we to vote at all?
    pub is_validator: bool,
    /// Our quorum set.
    pub quorum_set: Arc<QuorumSet>,
    /// How we stand.
    pub sync: SyncState,
    /// The last closed ledger.
    pub last_closed: LastClosed,
    /// The slot being decided.
    pub open_slot: SlotIndex,
    /// Where it stands.
    pub open: Option<fba_core::SlotState>,
    /// Transactions queued.
    pub queued: usize,
    /// Connected peers.
    pub peers: usize,
    /// Statements waiting for a quorum set or a transaction set.
    pub waiting: usize,
    /// The transitive quorum, nearest first.
    pub nodes: Vec<NodeView>,
    /// How many more failures halt us.
    pub fail_at: FailAt,
    /// Our clock beside the network's.
    pub clock: ClockView,
}
