//! `GET /v1/slots` and `GET /v1/slots/{slot}`

use serde::{Deserialize, Serialize};

/// `GET /v1/slots`, newest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SlotTraces {
    /// The slots.
    pub slots: Vec<SlotTrace>,
}

/// What this node saw and did in one slot.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SlotTrace {
    /// The slot.
    pub slot: u64,
    /// Milliseconds since the epoch at which the slot was opened here, which is when the ledger before it closed.
    pub opened_ms: u64,
    /// Milliseconds from then to the close; `null` while it is open.
    pub closed_after_ms: Option<u64>,
    /// `idle`, `nominate`, `prepare`, `confirm` or `externalize`.
    pub phase: String,
    /// Does this node speak in this slot? False for one that only watches.
    pub speaks: bool,
    /// Nomination.
    pub nomination: NominationState,
    /// Balloting.
    pub ballot: BallotState,
    /// Timers that ran out.
    pub timeouts: SlotTimeouts,
    /// What happened, in order.
    pub steps: Vec<SlotStep>,
    /// Steps after those that were not kept.
    pub steps_left_out: u64,
    /// The newest statements of every node, where they are asked for: `/v1/slots/{slot}`.
    pub statements: Option<Vec<Statement>>,
    /// Statements that were not kept.
    pub statements_left_out: u64,
}

/// Where nomination stands. Values are given by their SHA-256.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NominationState {
    /// The round, from 1; 0 before nomination.
    pub round: u32,
    /// The leaders of the rounds so far.
    pub leaders: Vec<String>,
    /// X: values voted for.
    pub voted: Vec<String>,
    /// Y: values accepted.
    pub accepted: Vec<String>,
    /// Z: candidates.
    pub candidates: Vec<String>,
    /// What the candidates were combined to.
    pub composite: Option<String>,
}

/// Where balloting stands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct BallotState {
    /// b: the current ballot.
    pub current: Option<Ballot>,
    /// p: the highest ballot accepted as prepared.
    pub prepared: Option<Ballot>,
    /// p': the highest such ballot with another value.
    pub prepared_prime: Option<Ballot>,
    /// h: the highest ballot confirmed prepared, or accepted to commit.
    pub high: Option<Ballot>,
    /// c: the lowest ballot voted to commit.
    pub commit: Option<Ballot>,
    /// Is a quorum at our counter or above?
    pub heard_from_quorum: bool,
}

/// A ballot.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Ballot {
    /// The counter.
    pub counter: u32,
    /// SHA-256 of the value.
    pub value: String,
}

/// Timers that ran out in a slot.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SlotTimeouts {
    /// Nomination rounds given up.
    pub nomination: u32,
    /// Ballot counters given up.
    pub ballot: u32,
}

/// A rule that fired.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SlotStep {
    /// Milliseconds since the slot was opened.
    pub at_ms: u64,
    /// The rule's number in docs/protocol.md; `timeout` for a timer that ran out.
    pub rule: String,
    /// What it did: `vote_nominated`, `accept_nominated`, `confirm_nominated`, `bump`, `accept_prepared`,
    /// `confirm_prepared`, `accept_commit`, `confirm_commit`, `follow_blocking`, `heard_from_quorum`,
    /// `nomination_timeout` or `ballot_timeout`.
    pub step: String,
    /// The ballot's counter; `null` in nomination.
    pub counter: Option<u32>,
    /// SHA-256 of the value it is about; `null` for timers.
    pub value: Option<String>,
    /// Who made it fire; `null` where the rule needs nobody else.
    pub evidence: Option<Evidence>,
}

/// Who made a rule fire.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Evidence {
    /// `quorum` or `v_blocking`.
    pub kind: String,
    /// The nodes.
    pub nodes: Vec<String>,
}

/// What a node said last, in one of the two halves of a slot.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Statement {
    /// Who said it.
    pub node: String,
    /// About which slot.
    pub slot: u64,
    /// The hash of the quorum set it declares.
    pub quorum_set: String,
    /// What it says.
    #[serde(flatten)]
    pub pledge: Pledge,
}

/// The four kinds of statement. Values are given by their SHA-256.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Pledge {
    /// NOMINATE
    Nominate {
        /// X
        voted: Vec<String>,
        /// Y
        accepted: Vec<String>,
    },
    /// PREPARE
    Prepare {
        /// b
        ballot: Ballot,
        /// p
        prepared: Option<Ballot>,
        /// p'
        prepared_prime: Option<Ballot>,
        /// nC
        commit: u32,
        /// nH
        high: u32,
    },
    /// CONFIRM
    Confirm {
        /// b
        ballot: Ballot,
        /// nPrepared
        prepared: u32,
        /// nC
        commit: u32,
        /// nH
        high: u32,
    },
    /// EXTERNALIZE
    Externalize {
        /// c
        commit: Ballot,
        /// nH
        high: u32,
    },
}
