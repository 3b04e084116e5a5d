//! What a node says about a slot, and which of two statements is newer.

use crate::{Hash, NodeId, QuorumSet, SlotIndex, Value};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// A ballot ⟨n, x⟩, ordered by counter and then by value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ballot {
    /// n. `u32::MAX` stands for infinity but compares as an ordinary number.
    pub counter: u32,
    /// x
    pub value: Value,
}

/// What a node says about one slot. The signature, if there is one, is the host's business.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// Who says it.
    pub node: NodeId,
    /// About which slot.
    pub slot: SlotIndex,
    /// The hash of the quorum set the sender declares with it.
    /// In [`Pledge::Externalize`] it is for reports only: such a statement counts with its sender's singleton set.
    pub quorum_set: Hash,
    /// What is said.
    pub pledge: Pledge,
}

/// The four kinds of statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pledge {
    /// Values voted for and accepted as nominated. Lists as on the wire; well-formed only if strictly increasing.
    Nominate {
        /// X
        voted: Vec<Value>,
        /// Y
        accepted: Vec<Value>,
    },
    /// PREPARE.
    Prepare {
        /// b
        ballot: Ballot,
        /// p
        prepared: Option<Ballot>,
        /// p'
        prepared_prime: Option<Ballot>,
        /// nC: the lowest counter voted to commit, 0 for none.
        commit: u32,
        /// nH: the highest counter confirmed prepared, 0 for none.
        high: u32,
    },
    /// CONFIRM.
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
    /// EXTERNALIZE.
    Externalize {
        /// c
        commit: Ballot,
        /// nH
        high: u32,
    },
}

/// The quorum set a sender declares, as far as it is known here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SenderSet {
    /// At hand and sane.
    Known(Arc<QuorumSet>),
    /// Not to be had, or not sane. NOMINATE is recorded but satisfies no slice; PREPARE and CONFIRM are refused.
    Unresolved,
}

/// A statement whose signature was checked, with the quorum set its sender declares.
/// The host makes these; nothing else can enter the core.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attested {
    /// The checked statement.
    pub statement: Statement,
    /// The quorum set behind `statement.quorum_set`.
    pub quorum_set: SenderSet,
}

/// The rule a statement breaks that every honest statement obeys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Malformed {
    /// NOMINATE with neither votes nor accepted values.
    Empty,
    /// A list of values that is not strictly increasing.
    Unsorted,
    /// A ballot with counter 0.
    CounterZero,
    /// p' that is not below p, or has p's value.
    PreparedPrime,
    /// nC, nH and the counters they refer to are out of order.
    CounterOrder,
}

impl Ballot {
    /// ≤ and the same value: what is prepared here is prepared there.
    #[must_use]
    pub fn is_below_compatible(&self, other: &Self) -> bool {
        self.value == other.value && self.counter <= other.counter
    }

    /// ≤ and another value: preparing `other` aborts this one.
    #[must_use]
    pub fn is_below_incompatible(&self, other: &Self) -> bool {
        self.value != other.value && self <= other
    }
}

impl Statement {
    /// Does this statement replace `old`, of the same node and slot? (S2, S3)
    ///
    /// A nomination and a ballot statement never replace one another.
    #[must_use]
    pub fn is_newer_than(&self, old: &Self) -> bool {
        self.pledge.is_newer_than(&old.pledge)
    }

    /// Is it a statement an honest node can make? (S1)
    ///
    /// # Errors
    ///
    /// The first rule it breaks.
    pub fn check(&self) -> Result<(), Malformed> {
        self.pledge.check()
    }

    /// The ballot the statement works on: b, or the lowest committed ballot. `None` for NOMINATE.
    #[must_use]
    pub fn working_ballot(&self) -> Option<Ballot> {
        match &self.pledge {
            Pledge::Nominate { .. } => None,
            Pledge::Prepare { ballot, .. } => Some(ballot.clone()),
            Pledge::Confirm { ballot, commit, .. } => Some(Ballot { counter: *commit, value: ballot.value.clone() }),
            Pledge::Externalize { commit, .. } => Some(commit.clone()),
        }
    }
}

impl Pledge {
    /// Does this belong to nomination, rather than to balloting?
    #[must_use]
    pub fn is_nomination(&self) -> bool {
        matches!(self, Self::Nominate { .. })
    }

    /// The values it refers to; one may come several times. A ballot with counter 0 refers to nothing.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let (lists, ballots): ([&[Value]; 2], [Option<&Ballot>; 3]) = match self {
            Self::Nominate { voted, accepted } => ([voted, accepted], [None; 3]),
            Self::Prepare { ballot, prepared, prepared_prime, .. } => (
                [&[]; 2],
                [Some(ballot).filter(|ballot| ballot.counter > 0), prepared.as_ref(), prepared_prime.as_ref()],
            ),
            Self::Confirm { ballot, .. } => ([&[]; 2], [Some(ballot), None, None]),
            Self::Externalize { commit, .. } => ([&[]; 2], [Some(commit), None, None]),
        };
        let ballots = ballots.into_iter().flatten().map(|ballot| &ballot.value);
        lists.into_iter().flatten().chain(ballots)
    }

    /// The counter a ballot statement stands at; EXTERNALIZE stands at infinity, NOMINATE nowhere (B8).
    pub(crate) fn counter(&self) -> u32 {
        match self {
            Self::Nominate { .. } => 0,
            Self::Prepare { ballot, .. } | Self::Confirm { ballot, .. } => ballot.counter,
            Self::Externalize { .. } => u32::MAX,
        }
    }

    fn is_newer_than(&self, old: &Self) -> bool {
        match (old, self) {
            // S3
            (Self::Nominate { voted: old_voted, accepted: old_accepted }, Self::Nominate { voted, accepted }) => {
                includes(voted, old_voted)
                    && includes(accepted, old_accepted)
                    && (voted.len() > old_voted.len() || accepted.len() > old_accepted.len())
            }
            (Self::Nominate { .. }, _) | (_, Self::Nominate { .. }) => false,
            // S2. nC is left out on purpose: it follows from the rest.
            (
                Self::Prepare { ballot: b0, prepared: p0, prepared_prime: q0, high: h0, .. },
                Self::Prepare { ballot, prepared, prepared_prime, high, .. },
            ) => (b0, p0, q0, h0) < (ballot, prepared, prepared_prime, high),
            (
                Self::Confirm { ballot: b0, prepared: p0, high: h0, .. },
                Self::Confirm { ballot, prepared, high, .. },
            ) => (b0, p0, h0) < (ballot, prepared, high),
            (Self::Prepare { .. }, Self::Confirm { .. } | Self::Externalize { .. })
            | (Self::Confirm { .. }, Self::Externalize { .. }) => true,
            (Self::Confirm { .. }, Self::Prepare { .. }) | (Self::Externalize { .. }, _) => false,
        }
    }

    /// S1
    fn check(&self) -> Result<(), Malformed> {
        match self {
            Self::Nominate { voted, accepted } => match (voted.as_slice(), accepted.as_slice()) {
                ([], []) => Err(Malformed::Empty),
                (voted, accepted) if is_increasing(voted) && is_increasing(accepted) => Ok(()),
                _ => Err(Malformed::Unsorted),
            },
            Self::Prepare { ballot, .. } if ballot.counter == 0 => Err(Malformed::CounterZero),
            Self::Prepare { .. } => self.check_prepare(),
            Self::Confirm { ballot, .. } if ballot.counter == 0 => Err(Malformed::CounterZero),
            Self::Confirm { ballot, commit, high, .. } => in_order(*high <= ballot.counter && commit <= high),
            Self::Externalize { commit, .. } if commit.counter == 0 => Err(Malformed::CounterZero),
            Self::Externalize { commit, high } => in_order(*high >= commit.counter),
        }
    }

    /// S1 for PREPARE, without the rule on counter 0, which our own unsent statements may break.
    pub(crate) fn check_prepare(&self) -> Result<(), Malformed> {
        let Self::Prepare { ballot, prepared, prepared_prime, commit, high } = self else {
            return Ok(());
        };
        if let (Some(prime), Some(prepared)) = (prepared_prime, prepared)
            && !prime.is_below_incompatible(prepared)
        {
            return Err(Malformed::PreparedPrime);
        }
        let high_is_prepared = prepared.as_ref().is_some_and(|p| *high <= p.counter);
        let commit_is_covered = *high != 0 && commit <= high && *high <= ballot.counter;
        in_order((*high == 0 || high_is_prepared) && (*commit == 0 || commit_is_covered))
    }
}

fn in_order(is: bool) -> Result<(), Malformed> {
    if is { Ok(()) } else { Err(Malformed::CounterOrder) }
}

fn is_increasing(values: &[Value]) -> bool {
    values.is_sorted_by(|a, b| a < b)
}

/// Is every value of `small` in `large`? One pass over two increasing lists; lists that are not increasing were
/// never recorded, and the answer for them only has to be an answer.
fn includes(large: &[Value], small: &[Value]) -> bool {
    let mut rest = large.iter();
    small.len() <= large.len() && small.iter().all(|value| rest.any(|other| other == value))
}

impl core::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "NOMINATE without any value: it must vote for or accept at least one",
            Self::Unsorted => "NOMINATE with a list of values that is not strictly increasing",
            Self::CounterZero => "a ballot with counter 0: counters begin at 1",
            Self::PreparedPrime => "p' must be below p and have another value",
            Self::CounterOrder => "counters out of order: nC ≤ nH ≤ the ballot's and the prepared ballot's counter",
        })
    }
}
