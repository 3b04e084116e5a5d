//! What goes into the core and what comes out of it.

use crate::{Attested, Ballot, Malformed, NodeId, SlotIndex, Statement, Value};
use alloc::collections::BTreeSet;
use core::fmt;
use core::time::Duration;

/// The two clocks of a slot.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// Opens the next nomination round.
    Nomination,
    /// Gives up on the current ballot counter.
    Ballot,
}

/// Everything that can happen to a node. Recorded, replayed and fuzzed as data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// Open nomination, or open its next round.
    Nominate {
        /// The slot.
        slot: SlotIndex,
        /// Our own value, if there is one; without it we only follow leaders.
        value: Option<Value>,
        /// The value of the slot before: seeds leader election.
        previous: Value,
        /// True if this is a timeout: ignored then unless nomination has been opened.
        timed_out: bool,
    },
    /// Our own value, arriving after nomination was opened without one. Opens no new round.
    Propose {
        /// The slot.
        slot: SlotIndex,
        /// Our own value.
        value: Value,
    },
    /// Start or raise the ballot directly.
    Bump {
        /// The slot.
        slot: SlotIndex,
        /// The value to ballot on, unless one is locked in.
        value: Value,
    },
    /// A statement came in.
    Receive(Attested),
    /// A timer asked for by [`Effect::StartTimer`] has run out.
    TimerFired {
        /// The slot.
        slot: SlotIndex,
        /// Which timer.
        timer: Timer,
        /// The generation it was started with; a late one is ignored.
        generation: u64,
    },
    /// Stop nominating in this slot.
    StopNomination {
        /// The slot.
        slot: SlotIndex,
    },
    /// One of our own statements from before a restart. Only before the slot has started.
    Restore {
        /// The statement.
        statement: Attested,
        /// The nomination round reached and the previous value, where they are known; else the round starts at 1.
        nomination: Option<(u32, Value)>,
    },
    /// A nomination of our own that others still hold and we may have forgotten; the host has checked our signature on
    /// it. Or our newest one: then everything heard is judged again (R5).
    Remind(Attested),
}

impl Input {
    /// The slot this input is about.
    #[must_use]
    pub fn slot(&self) -> SlotIndex {
        match self {
            Self::Nominate { slot, .. }
            | Self::Propose { slot, .. }
            | Self::Bump { slot, .. }
            | Self::TimerFired { slot, .. }
            | Self::StopNomination { slot } => *slot,
            Self::Receive(attested) | Self::Remind(attested) | Self::Restore { statement: attested, .. } => {
                attested.statement.slot
            }
        }
    }
}

/// What the host must do next, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Effect {
    /// Make the statement durable as docs/protocol.md asks, then sign it and flood it.
    Emit(Statement),
    /// (Re)start a timer. Any earlier one of the same slot and kind is void.
    StartTimer {
        /// The slot.
        slot: SlotIndex,
        /// Which timer.
        timer: Timer,
        /// Comes back with [`Input::TimerFired`].
        generation: u64,
        /// How long to wait.
        after: Duration,
    },
    /// Forget a timer.
    StopTimer {
        /// The slot.
        slot: SlotIndex,
        /// Which timer.
        timer: Timer,
    },
    /// The slot is decided; comes once.
    Externalize {
        /// The slot.
        slot: SlotIndex,
        /// The decision.
        value: Value,
    },
    /// A rule fired. For logs, tests and the dashboard; safe to drop.
    Moved(Moved),
}

/// A rule that fired, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// The slot.
    pub slot: SlotIndex,
    /// The rule.
    pub rule: Rule,
    /// The value or ballot it moved; nomination rules have counter 0.
    pub ballot: Ballot,
    /// Who made it fire; `None` where a rule needs nobody else.
    pub evidence: Option<Evidence>,
}

/// The rules of docs/protocol.md that can fire.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Rule {
    /// We voted to nominate a value.
    VoteNominated,
    /// A value is accepted as nominated.
    AcceptNominated,
    /// A value becomes a candidate.
    ConfirmNominated,
    /// The ballot was started or raised (own value, timeout).
    Bump,
    /// A ballot is accepted as prepared.
    AcceptPrepared,
    /// A ballot is confirmed prepared.
    ConfirmPrepared,
    /// A range of ballots is accepted as committed.
    AcceptCommit,
    /// The decision.
    ConfirmCommit,
    /// A v-blocking set is ahead: our counter follows.
    FollowBlocking,
    /// A quorum is at our counter or above.
    HeardFromQuorum,
}

/// Why a federated vote moved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// These nodes accepted it and meet every slice of ours.
    VBlocking(BTreeSet<NodeId>),
    /// These nodes voted for or accepted it, each has a slice among them, and so have we.
    Quorum(BTreeSet<NodeId>),
}

/// Why an input was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rejected {
    /// The slot is not open here.
    SlotNotOpen,
    /// We already hold the same or a newer statement of this node.
    Stale,
    /// Breaks a rule every honest statement obeys.
    Malformed(Malformed),
    /// PREPARE or CONFIRM whose quorum set is not to be had or not sane.
    QuorumSetUnresolved,
    /// Carries a value the host refuses.
    InvalidValue,
    /// The slot is decided and the statement is about another value.
    OtherValueExternalized,
    /// Received a statement of our own; only [`Input::Restore`] takes those.
    OwnStatement,
    /// Restore after the slot has started, or of another node's statement.
    AlreadyStarted,
    /// A timer of an older generation.
    LateTimer,
}

impl core::error::Error for Rejected {}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SlotNotOpen => f.write_str("the slot is not open here"),
            Self::Stale => f.write_str("the same or a newer statement of this node is here already"),
            Self::Malformed(rule) => write!(f, "malformed statement: {rule}"),
            Self::QuorumSetUnresolved => f.write_str("the quorum set it declares is not known here, or is not sane"),
            Self::InvalidValue => f.write_str("it carries a value that is not valid here"),
            Self::OtherValueExternalized => f.write_str("the slot is decided, on another value"),
            Self::OwnStatement => f.write_str("a statement of this node itself: only a restore takes those"),
            Self::AlreadyStarted => {
                f.write_str("restore takes this node's own statements only, before the slot has started")
            }
            Self::LateTimer => f.write_str("the timer was stopped or started anew since"),
        }
    }
}
