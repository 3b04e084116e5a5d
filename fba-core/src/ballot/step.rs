//! The four steps of balloting that a statement can set off (B3 to B6), one function each, tried in this order.
//!
//! Each takes the statement as a hint for where to look. What is decided depends on the newest statements of all nodes.

use super::{Balloting, Phase};
use crate::outlet::Turn;
use crate::tally::{Support, Tally};
use crate::{Ballot, Driver, Pledge, Purpose, Rule, Validity, Value};
use alloc::vec::Vec;

/// A step of balloting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    AcceptPrepared,
    ConfirmPrepared,
    AcceptCommit,
    ConfirmCommit,
}

/// B10: in protocol order.
pub(super) const STEPS: [Step; 4] =
    [Step::AcceptPrepared, Step::ConfirmPrepared, Step::AcceptCommit, Step::ConfirmCommit];

/// A ballot, borrowed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct At<'a> {
    counter: u32,
    value: &'a Value,
}

/// Counters from `low` to `high`, with what made them hold.
struct Range {
    low: u32,
    high: u32,
    support: Support,
}

impl Balloting {
    /// Tries one step. True if the state has moved, so that there is something to say.
    pub(super) fn attempt<D: Driver>(&mut self, step: Step, hint: &Pledge, turn: &mut Turn<'_, D>) -> bool {
        match (step, self.state.phase) {
            (Step::AcceptPrepared, Phase::Prepare | Phase::Confirm) => self.accept_prepared(hint, turn),
            (Step::ConfirmPrepared, Phase::Prepare) => self.confirm_prepared(hint, turn),
            (Step::AcceptCommit, Phase::Prepare | Phase::Confirm) => self.accept_commit(hint, turn),
            (Step::ConfirmCommit, Phase::Confirm) => self.confirm_commit(hint, turn),
            (Step::AcceptPrepared | Step::AcceptCommit, Phase::Externalize)
            | (Step::ConfirmPrepared, Phase::Confirm | Phase::Externalize)
            | (Step::ConfirmCommit, Phase::Prepare | Phase::Externalize) => false,
        }
    }

    /// B3
    fn accept_prepared<D: Driver>(&mut self, hint: &Pledge, turn: &mut Turn<'_, D>) -> bool {
        let found = prepare_candidates(&self.tally, hint)
            .into_iter()
            .rev()
            .filter(|ballot| self.may_become_prepared(*ballot))
            .find_map(|ballot| {
                let support = self
                    .tally
                    .accept(|pledge| votes_prepare(pledge, ballot), |pledge| accepts_prepare(pledge, ballot))?;
                Some((ballot.to_ballot(), support))
            });
        let Some((ballot, support)) = found else {
            return false;
        };
        let mut moved = self.set_prepared(&ballot);
        moved |= self.give_up_aborted_commit();
        if moved {
            let evidence = self.tally.evidence(&support);
            turn.out.moved(Rule::AcceptPrepared, ballot, Some(evidence));
        }
        moved
    }

    /// B3: could accepting it change p or p'?
    fn may_become_prepared(&self, ballot: At<'_>) -> bool {
        let state = &self.state;
        let settled = match state.phase {
            Phase::Prepare => true,
            // The value is settled: only a higher ballot of it is of interest.
            Phase::Confirm | Phase::Externalize => {
                let same = |other: &Ballot| other.value == *ballot.value;
                state.commit.as_ref().is_none_or(same)
                    && state.prepared.as_ref().is_none_or(|p| same(p) && p.counter <= ballot.counter)
            }
        };
        settled
            && state.prepared_prime.as_ref().is_none_or(|prime| ballot > At::of(prime))
            && state.prepared.as_ref().is_none_or(|p| !ballot.is_below_compatible(At::of(p)))
    }

    /// B3: p is the highest ballot accepted as prepared, p' the highest below it with another value.
    fn set_prepared(&mut self, ballot: &Ballot) -> bool {
        let state = &mut self.state;
        match &state.prepared {
            Some(prepared) if prepared > ballot => {
                let better =
                    state.prepared_prime.as_ref().is_none_or(|prime| prime < ballot && prepared.value != ballot.value);
                if better {
                    state.prepared_prime = Some(ballot.clone());
                }
                better
            }
            Some(prepared) if prepared == ballot => false,
            old => {
                if let Some(old) = old
                    && old.value != ballot.value
                {
                    state.prepared_prime = Some(old.clone());
                }
                state.prepared = Some(ballot.clone());
                true
            }
        }
    }

    /// B3: h is aborted by what was just accepted, so no commit up to it can be voted for any more.
    fn give_up_aborted_commit(&mut self) -> bool {
        let state = &mut self.state;
        let Some(high) = &state.high else {
            return false;
        };
        let aborts = |ballot: &Option<Ballot>| ballot.as_ref().is_some_and(|ballot| high.is_below_incompatible(ballot));
        let aborted = state.phase == Phase::Prepare
            && state.commit.is_some()
            && (aborts(&state.prepared) || aborts(&state.prepared_prime));
        if aborted {
            state.commit = None;
        }
        aborted
    }

    /// B4
    fn confirm_prepared<D: Driver>(&mut self, hint: &Pledge, turn: &mut Turn<'_, D>) -> bool {
        if self.state.prepared.is_none() {
            return false;
        }
        let candidates = prepare_candidates(&self.tally, hint);
        let confirm = |ballot: At<'_>| self.tally.confirm(|pledge| accepts_prepare(pledge, ballot));
        let high = candidates
            .iter()
            .rev()
            .take_while(|ballot| self.state.high.as_ref().is_none_or(|high| **ballot > At::of(high)))
            .find_map(|ballot| Some((*ballot, confirm(*ballot)?)));
        let Some((high, support)) = high else {
            return false;
        };
        let mut commit = 0;
        if self.may_vote_commit(high) && has_payload(high.value, turn) {
            // From h down to b, as far as every step of the way is confirmed.
            for ballot in candidates.iter().rev().skip_while(|ballot| **ballot > high) {
                let below = self.state.ballot.as_ref().is_some_and(|current| *ballot < At::of(current));
                let forgotten = ballot.counter < self.first_counter; // R6
                if below || forgotten || (ballot.value == high.value && confirm(*ballot).is_none()) {
                    break;
                }
                if ballot.value == high.value {
                    commit = ballot.counter;
                }
            }
        }
        let evidence = self.tally.evidence(&support);
        let high = high.to_ballot();
        let moved = self.set_confirmed_prepared(commit, &high);
        if moved {
            turn.out.moved(Rule::ConfirmPrepared, high, Some(evidence));
        }
        moved
    }

    /// B4: no commit vote yet, and nothing accepted that aborts `high`.
    fn may_vote_commit(&self, high: At<'_>) -> bool {
        let aborts = |ballot: &Option<Ballot>| {
            ballot.as_ref().is_some_and(|ballot| ballot.value != *high.value && high <= At::of(ballot))
        };
        self.state.commit.is_none() && !aborts(&self.state.prepared) && !aborts(&self.state.prepared_prime)
    }

    /// B4: `commit` is the lowest counter to vote to commit, 0 for none.
    fn set_confirmed_prepared(&mut self, commit: u32, high: &Ballot) -> bool {
        let state = &mut self.state;
        state.next_value = Some(high.value.clone());
        let mut moved = false;
        // h and c belong to b's value; on another value only b itself moves.
        if state.ballot.as_ref().is_none_or(|ballot| ballot.value == high.value) {
            if state.high.as_ref().is_none_or(|old| high > old) {
                state.high = Some(high.clone());
                moved = true;
            }
            if commit != 0 {
                state.commit = Some(Ballot { counter: commit, value: high.value.clone() });
                moved = true;
            }
        }
        self.raise_ballot_to(high) || moved
    }

    /// B5
    fn accept_commit<D: Driver>(&mut self, hint: &Pledge, turn: &mut Turn<'_, D>) -> bool {
        let Some(value) = commit_value(hint) else {
            return false;
        };
        let state = &self.state;
        let is_settled = state.phase == Phase::Confirm;
        if is_settled && state.high.as_ref().is_some_and(|high| high.value != *value) {
            return false;
        }
        let range = highest_range(&commit_boundaries(&self.tally, value), |low, high| {
            self.tally.accept(
                |pledge| votes_commit(pledge, value, low, high),
                |pledge| accepts_commit(pledge, value, low, high),
            )
        });
        let higher = |range: &Range| !is_settled || state.high.as_ref().is_none_or(|h| range.high > h.counter);
        let Some(range) = range.filter(higher) else {
            return false;
        };
        let evidence = self.tally.evidence(&range.support);
        let high = Ballot { counter: range.high, value: value.clone() };
        self.set_accepted_commit(Ballot { counter: range.low, value: value.clone() }, &high);
        turn.out.moved(Rule::AcceptCommit, high, Some(evidence));
        true
    }

    /// B5
    fn set_accepted_commit(&mut self, commit: Ballot, high: &Ballot) {
        let state = &mut self.state;
        state.next_value = Some(high.value.clone());
        state.commit = Some(commit);
        state.high = Some(high.clone());
        if state.phase == Phase::Prepare {
            state.phase = Phase::Confirm;
            state.prepared_prime = None;
            // The value is settled now, even against what b stood for.
            if state.ballot.as_ref().is_some_and(|ballot| !high.is_below_compatible(ballot)) {
                self.move_to(high.clone());
            }
        }
        self.raise_ballot_to(high);
    }

    /// B6
    fn confirm_commit<D: Driver>(&mut self, hint: &Pledge, turn: &mut Turn<'_, D>) -> bool {
        let value = match hint {
            Pledge::Nominate { .. } | Pledge::Prepare { .. } => return false,
            Pledge::Confirm { ballot, .. } => &ballot.value,
            Pledge::Externalize { commit, .. } => &commit.value,
        };
        if self.state.commit.as_ref().is_none_or(|commit| commit.value != *value) {
            return false;
        }
        let range = highest_range(&commit_boundaries(&self.tally, value), |low, high| {
            self.tally.confirm(|pledge| accepts_commit(pledge, value, low, high))
        });
        let Some(range) = range else {
            return false;
        };
        let evidence = self.tally.evidence(&range.support);
        let high = Ballot { counter: range.high, value: value.clone() };
        self.state.commit = Some(Ballot { counter: range.low, value: value.clone() });
        self.state.high = Some(high.clone());
        self.raise_ballot_to(&high);
        self.state.phase = Phase::Externalize;
        self.just_decided = true;
        turn.out.moved(Rule::ConfirmCommit, high, Some(evidence));
        turn.out.externalize(value.clone());
        true
    }
}

impl<'a> At<'a> {
    fn of(ballot: &'a Ballot) -> Self {
        Self { counter: ballot.counter, value: &ballot.value }
    }

    fn is_below_compatible(self, other: Self) -> bool {
        self.counter <= other.counter && self.value == other.value
    }

    fn to_ballot(self) -> Ballot {
        Ballot { counter: self.counter, value: self.value.clone() }
    }
}

/// V1: nobody votes to commit what nobody may be able to apply.
fn has_payload<D: Driver>(value: &Value, turn: &Turn<'_, D>) -> bool {
    turn.driver.validate(turn.out.slot(), value, Purpose::Ballot) != Validity::PayloadMissing
}

/// B3: every ballot somebody mentions that is at or below, with the same value, one the hint mentions. Increasing.
fn prepare_candidates<'a>(tally: &'a Tally, hint: &'a Pledge) -> Vec<At<'a>> {
    let mut candidates = Vec::new();
    for top in hinted(hint).into_iter().flatten() {
        for pledge in tally.pledges() {
            let mentioned = match pledge {
                Pledge::Nominate { .. } => [None; 3],
                Pledge::Prepare { ballot, prepared, prepared_prime, .. } => {
                    [Some(At::of(ballot)), prepared.as_ref().map(At::of), prepared_prime.as_ref().map(At::of)]
                }
                Pledge::Confirm { ballot, prepared, .. } => {
                    let value = &ballot.value;
                    [Some(At { counter: top.counter, value }), Some(At { counter: *prepared, value }), None]
                }
                Pledge::Externalize { commit, .. } => {
                    [Some(At { counter: top.counter, value: &commit.value }), None, None]
                }
            };
            for ballot in mentioned.into_iter().flatten() {
                // Neighbours mostly say the same: leaving that out here keeps the list short.
                if ballot.is_below_compatible(top) && candidates.last() != Some(&ballot) {
                    candidates.push(ballot);
                }
            }
        }
    }
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// The ballots at the top of what the hint votes for or accepts as prepared.
fn hinted(hint: &Pledge) -> [Option<At<'_>>; 3] {
    match hint {
        Pledge::Nominate { .. } => [None; 3],
        Pledge::Prepare { ballot, prepared, prepared_prime, .. } => [
            Some(At::of(ballot)),
            prepared.as_ref().filter(|p| *p != ballot).map(At::of),
            prepared_prime.as_ref().map(At::of),
        ],
        Pledge::Confirm { ballot, prepared, .. } => {
            let value = &ballot.value;
            [Some(At { counter: *prepared, value }), Some(At { counter: u32::MAX, value }), None]
        }
        Pledge::Externalize { commit, .. } => [Some(At { counter: u32::MAX, value: &commit.value }), None, None],
    }
}

/// B1: does it vote to prepare the ballot?
fn votes_prepare(pledge: &Pledge, at: At<'_>) -> bool {
    match pledge {
        Pledge::Nominate { .. } => false,
        Pledge::Prepare { ballot, .. } => at.is_below_compatible(At::of(ballot)),
        Pledge::Confirm { ballot, .. } => ballot.value == *at.value,
        Pledge::Externalize { commit, .. } => commit.value == *at.value,
    }
}

/// B1: does it accept the ballot as prepared?
fn accepts_prepare(pledge: &Pledge, at: At<'_>) -> bool {
    match pledge {
        Pledge::Nominate { .. } => false,
        Pledge::Prepare { prepared, prepared_prime, .. } => {
            [prepared, prepared_prime].into_iter().flatten().any(|ballot| at.is_below_compatible(At::of(ballot)))
        }
        Pledge::Confirm { ballot, prepared, .. } => at.counter <= *prepared && ballot.value == *at.value,
        Pledge::Externalize { commit, .. } => commit.value == *at.value,
    }
}

/// B1: does it vote to commit the value at every counter of the range?
fn votes_commit(pledge: &Pledge, value: &Value, low: u32, high: u32) -> bool {
    match pledge {
        Pledge::Nominate { .. } => false,
        Pledge::Prepare { ballot, commit, high: top, .. } => {
            *commit != 0 && *commit <= low && high <= *top && ballot.value == *value
        }
        Pledge::Confirm { ballot, commit, .. } => *commit <= low && ballot.value == *value,
        Pledge::Externalize { commit, .. } => commit.counter <= low && commit.value == *value,
    }
}

/// B1: does it accept the value as committed at every counter of the range?
fn accepts_commit(pledge: &Pledge, value: &Value, low: u32, high: u32) -> bool {
    match pledge {
        Pledge::Nominate { .. } | Pledge::Prepare { .. } => false,
        Pledge::Confirm { ballot, commit, high: top, .. } => *commit <= low && high <= *top && ballot.value == *value,
        Pledge::Externalize { commit, .. } => commit.counter <= low && commit.value == *value,
    }
}

/// The value a statement votes to commit.
fn commit_value(hint: &Pledge) -> Option<&Value> {
    match hint {
        Pledge::Nominate { .. } | Pledge::Prepare { commit: 0, .. } => None,
        Pledge::Prepare { ballot, .. } | Pledge::Confirm { ballot, .. } => Some(&ballot.value),
        Pledge::Externalize { commit, .. } => Some(&commit.value),
    }
}

/// B5: the counters at which anybody's vote to commit `value` begins or ends. Decreasing.
fn commit_boundaries(tally: &Tally, value: &Value) -> Vec<u32> {
    let mut counters = Vec::new();
    for pledge in tally.pledges() {
        match pledge {
            Pledge::Prepare { ballot, commit, high, .. } if *commit != 0 && ballot.value == *value => {
                counters.extend([*commit, *high]);
            }
            Pledge::Confirm { ballot, commit, high, .. } if ballot.value == *value => {
                counters.extend([*commit, *high]);
            }
            Pledge::Externalize { commit, high } if commit.value == *value => {
                counters.extend([commit.counter, *high, u32::MAX]);
            }
            Pledge::Nominate { .. } | Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. } => {}
        }
    }
    counters.sort_unstable_by(|a, b| b.cmp(a));
    counters.dedup();
    counters
}

/// B5: the highest counter at which the commit holds, extended downwards while it still holds for the whole range.
/// A range that reaches down to counter 0, which is no ballot's, is not taken at all.
fn highest_range(boundaries: &[u32], holds: impl Fn(u32, u32) -> Option<Support>) -> Option<Range> {
    let mut found: Option<Range> = None;
    for counter in boundaries.iter().copied() {
        let high = found.as_ref().map_or(counter, |range| range.high);
        match (holds(counter, high), &found) {
            (Some(support), _) => found = Some(Range { low: counter, high, support }),
            (None, Some(_)) => break,
            (None, None) => {}
        }
    }
    found.filter(|range| range.low != 0)
}
