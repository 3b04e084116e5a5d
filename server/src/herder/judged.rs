//! What became of the statements peers sent, counted.

use super::Herder;
use fba_core::Pledge;
use std::collections::BTreeMap;

/// The four kinds of statement.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum StatementKind {
    /// NOMINATE
    Nominate,
    /// PREPARE
    Prepare,
    /// CONFIRM
    Confirm,
    /// EXTERNALIZE
    Externalize,
}

impl StatementKind {
    /// The kind of a pledge.
    #[must_use]
    pub const fn of(pledge: &Pledge) -> Self {
        match pledge {
            Pledge::Nominate { .. } => Self::Nominate,
            Pledge::Prepare { .. } => Self::Prepare,
            Pledge::Confirm { .. } => Self::Confirm,
            Pledge::Externalize { .. } => Self::Externalize,
        }
    }

    /// The word metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nominate => "nominate",
            Self::Prepare => "prepare",
            Self::Confirm => "confirm",
            Self::Externalize => "externalize",
        }
    }
}

/// What became of a statement on its way in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Judgement {
    /// News, genuine and complete: handed on.
    Accepted,
    /// News and genuine, but it names a quorum set or a transaction set that is not here yet.
    Pending,
    /// The same or a newer one is here already.
    Stale,
    /// Of a slot too old or too far ahead.
    OutOfWindow,
    /// Of a node outside the transitive quorum.
    Stranger,
    /// Malformed, badly signed, or naming what is no ledger value.
    Refused,
}

impl Judgement {
    /// The word metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Pending => "pending",
            Self::Stale => "stale",
            Self::OutOfWindow => "out_of_window",
            Self::Stranger => "stranger",
            Self::Refused => "refused",
        }
    }
}

/// How many of each there were since the start.
pub(crate) type Judged = BTreeMap<(StatementKind, Judgement), u64>;

impl Herder {
    /// How many statements of each kind were judged how, since the start.
    pub fn judged(&self) -> impl Iterator<Item = (&(StatementKind, Judgement), &u64)> {
        self.judged.iter()
    }

    /// How many statements wait for a quorum set or a transaction set.
    #[must_use]
    pub fn statements_waiting(&self) -> usize {
        self.pending.len()
    }
}
