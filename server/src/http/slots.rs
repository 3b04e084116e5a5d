//! What happened in the newest slots, and why: kept by `app`, shown here.

use crate::http::dto;
use crate::http::view::{Phase, phase_of};
use crate::key::{node_strkey, sha256};
use crate::wire::SignedStatement;
use fba_core::{Ballot, Evidence, Moved, NodeId, Pledge, Rule, SlotState, Statement, Timer, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Timers that ran out in a slot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timeouts {
    /// Nomination rounds given up.
    pub nomination: u32,
    /// Ballot counters given up.
    pub ballot: u32,
}

/// Something that happened in a slot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// A rule fired.
    Moved(Moved),
    /// A timer ran out.
    TimedOut(Timer),
}

/// One slot as this node saw it.
#[derive(Clone, Debug)]
pub struct SlotTrace {
    /// The slot.
    pub slot: u64,
    /// Milliseconds since the epoch at which it was opened here.
    pub opened_ms: u64,
    /// From then to the close.
    pub closed_after: Option<Duration>,
    /// The state of the core when it was last looked at: of a closed slot, just before the close.
    pub state: Option<SlotState>,
    /// Timers that ran out.
    pub timeouts: Timeouts,
    /// What happened, in order, with the time since the slot was opened.
    pub steps: Vec<(Duration, Arc<Step>)>,
    /// Steps after those that were not kept.
    pub steps_left_out: u64,
    /// The newest statements of every node.
    pub statements: Vec<SignedStatement>,
    /// Statements that were not kept.
    pub statements_left_out: u64,
}

/// The newest slots, behind a lock that is only ever held to copy or replace one pointer. Oldest first.
#[derive(Clone, Debug, Default)]
pub struct Slots(Arc<RwLock<Arc<[Arc<SlotTrace>]>>>);

impl Slots {
    /// Replaces them all.
    pub fn publish(&self, slots: Arc<[Arc<SlotTrace>]>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = slots;
    }

    /// Those of this moment.
    #[must_use]
    pub fn load(&self) -> Arc<[Arc<SlotTrace>]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `GET /v1/slots`: without statements.
pub(crate) fn list(slots: &Slots, limit: usize) -> dto::SlotTraces {
    let newest = slots.load();
    dto::SlotTraces { slots: newest.iter().rev().take(limit).map(|trace| one(trace, false)).collect() }
}

/// `GET /v1/slots/{slot}`; `None`: the newest one.
pub(crate) fn find(slots: &Slots, slot: Option<u64>) -> Option<dto::SlotTrace> {
    let newest = slots.load();
    let found = newest.iter().rev().find(|trace| slot.is_none_or(|slot| trace.slot == slot))?;
    Some(one(found, true))
}

fn one(trace: &SlotTrace, with_statements: bool) -> dto::SlotTrace {
    let state = trace.state.as_ref();
    let phase = if trace.closed_after.is_some() { Phase::Externalize } else { phase_of(state) };
    dto::SlotTrace {
        slot: trace.slot,
        opened_ms: trace.opened_ms,
        closed_after_ms: trace.closed_after.map(millis),
        phase: phase.name().to_owned(),
        speaks: state.is_some_and(|state| state.fully_validated),
        nomination: nomination(state),
        ballot: state.map(balloting).unwrap_or_default(),
        timeouts: dto::SlotTimeouts { nomination: trace.timeouts.nomination, ballot: trace.timeouts.ballot },
        steps: trace.steps.iter().map(|(at, what)| step(*at, what)).collect(),
        steps_left_out: trace.steps_left_out,
        statements: with_statements
            .then(|| trace.statements.iter().map(|signed| statement(&signed.statement)).collect()),
        statements_left_out: trace.statements_left_out,
    }
}

fn nomination(state: Option<&SlotState>) -> dto::NominationState {
    let values = |pick: fn(&SlotState) -> &BTreeSet<Value>| -> Vec<String> {
        state.map(|state| pick(state).iter().map(value).collect()).unwrap_or_default()
    };
    dto::NominationState {
        round: state.map_or(0, |state| state.nomination_round),
        leaders: state.map(|state| keys(&state.leaders)).unwrap_or_default(),
        voted: values(|state| &state.voted),
        accepted: values(|state| &state.accepted),
        candidates: values(|state| &state.candidates),
        composite: state.and_then(|state| state.composite.as_ref()).map(value),
    }
}

fn balloting(state: &SlotState) -> dto::BallotState {
    let ballot = |of: &Option<Ballot>| of.as_ref().map(ballot);
    dto::BallotState {
        current: ballot(&state.ballot),
        prepared: ballot(&state.prepared),
        prepared_prime: ballot(&state.prepared_prime),
        high: ballot(&state.high),
        commit: ballot(&state.commit),
        heard_from_quorum: state.heard_from_quorum,
    }
}

fn step(at: Duration, step: &Step) -> dto::SlotStep {
    let at_ms = millis(at);
    match step {
        Step::TimedOut(timer) => {
            let name = match timer {
                Timer::Nomination => "nomination_timeout",
                Timer::Ballot => "ballot_timeout",
            };
            let rule = "timeout".to_owned();
            dto::SlotStep { at_ms, rule, step: name.to_owned(), counter: None, value: None, evidence: None }
        }
        Step::Moved(moved) => {
            let (rule, name) = rule(moved.rule);
            dto::SlotStep {
                at_ms,
                rule: rule.to_owned(),
                step: name.to_owned(),
                counter: Some(moved.ballot.counter).filter(|counter| *counter > 0),
                value: Some(value(&moved.ballot.value)),
                evidence: moved.evidence.as_ref().map(evidence),
            }
        }
    }
}

/// The rule's number in docs/protocol.md, and its name.
fn rule(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::VoteNominated => ("N6", "vote_nominated"),
        Rule::AcceptNominated => ("N8", "accept_nominated"),
        Rule::ConfirmNominated => ("N9", "confirm_nominated"),
        Rule::AcceptPrepared => ("B3", "accept_prepared"),
        Rule::ConfirmPrepared => ("B4", "confirm_prepared"),
        Rule::AcceptCommit => ("B5", "accept_commit"),
        Rule::ConfirmCommit => ("B6", "confirm_commit"),
        Rule::Bump => ("B7", "bump"),
        Rule::FollowBlocking => ("B8", "follow_blocking"),
        Rule::HeardFromQuorum => ("B9", "heard_from_quorum"),
        // The core may learn rules before this table does.
        _ => ("?", "unknown"),
    }
}

fn evidence(evidence: &Evidence) -> dto::Evidence {
    let (kind, nodes) = match evidence {
        Evidence::VBlocking(nodes) => ("v_blocking", nodes),
        Evidence::Quorum(nodes) => ("quorum", nodes),
    };
    dto::Evidence { kind: kind.to_owned(), nodes: keys(nodes) }
}

/// A statement in the API's shape.
pub(crate) fn statement(statement: &Statement) -> dto::Statement {
    dto::Statement {
        node: node_strkey(statement.node),
        slot: statement.slot.0,
        quorum_set: statement.quorum_set.to_string(),
        pledge: pledge(&statement.pledge),
    }
}

fn pledge(pledge: &Pledge) -> dto::Pledge {
    let optional = |of: &Option<Ballot>| of.as_ref().map(ballot);
    match pledge {
        Pledge::Nominate { voted, accepted } => dto::Pledge::Nominate {
            voted: voted.iter().map(value).collect(),
            accepted: accepted.iter().map(value).collect(),
        },
        Pledge::Prepare { ballot: current, prepared, prepared_prime, commit, high } => dto::Pledge::Prepare {
            ballot: ballot(current),
            prepared: optional(prepared),
            prepared_prime: optional(prepared_prime),
            commit: *commit,
            high: *high,
        },
        Pledge::Confirm { ballot: current, prepared, commit, high } => {
            dto::Pledge::Confirm { ballot: ballot(current), prepared: *prepared, commit: *commit, high: *high }
        }
        Pledge::Externalize { commit, high } => dto::Pledge::Externalize { commit: ballot(commit), high: *high },
    }
}

fn ballot(of: &Ballot) -> dto::Ballot {
    dto::Ballot { counter: of.counter, value: value(&of.value) }
}

fn value(of: &Value) -> String {
    sha256(&[of.as_bytes()]).to_string()
}

fn keys(nodes: &BTreeSet<NodeId>) -> Vec<String> {
    nodes.iter().copied().map(node_strkey).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
