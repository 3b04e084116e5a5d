//! Balloting: agreeing on one value (B1 to B10).

mod step;

use crate::outlet::{Local, Turn};
use crate::tally::Tally;
use crate::{Attested, Ballot, Driver, Evidence, Malformed, Pledge, Purpose, Rejected, Rule, SenderSet, Statement};
use crate::{Timer, Validity, Value};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How many of our own statements are followed up one inside the other before the rest waits for the next input.
/// Honest networks need a handful; the bound keeps a hostile one from holding us up.
const NESTED_MAX: usize = 50;

/// Where balloting stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Looking for a ballot that can be committed.
    Prepare,
    /// A commit is accepted; the value is settled for us.
    Confirm,
    /// Decided.
    Externalize,
}

/// The balloting of one slot.
#[derive(Clone, Debug)]
pub(crate) struct Balloting {
    tally: Tally,
    state: State,
    /// The latest composite of the candidates.
    composite: Option<Value>,
    /// Is a quorum at our counter or above?
    heard: bool,
    /// The newest statement of ours that others may see.
    last: Option<Statement>,
    /// Is there something in `last` that was not emitted yet?
    unsent: bool,
    /// Decided in this call; taken by the slot.
    just_decided: bool,
    /// No ballot of ours, and no commit vote, has a lower counter (R6).
    first_counter: u32,
}

/// The ballots of B2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// b
    pub(crate) ballot: Option<Ballot>,
    /// p
    pub(crate) prepared: Option<Ballot>,
    /// p'
    pub(crate) prepared_prime: Option<Ballot>,
    /// h
    pub(crate) high: Option<Ballot>,
    /// c
    pub(crate) commit: Option<Ballot>,
    /// z: the value to go on with, once one was confirmed prepared.
    pub(crate) next_value: Option<Value>,
}

impl Balloting {
    pub(crate) fn new(local: &Local, first_counter: u32) -> Self {
        Self {
            first_counter,
            tally: Tally::new(Arc::clone(&local.set)),
            state: State {
                phase: Phase::Prepare,
                ballot: None,
                prepared: None,
                prepared_prime: None,
                high: None,
                commit: None,
                next_value: None,
            },
            composite: None,
            heard: false,
            last: None,
            unsent: false,
            just_decided: false,
        }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn composite(&self) -> Option<&Value> {
        self.composite.as_ref()
    }

    pub(crate) fn has_heard_from_quorum(&self) -> bool {
        self.heard
    }

    pub(crate) fn externalized(&self) -> Option<&Value> {
        match self.state.phase {
            Phase::Prepare | Phase::Confirm => None,
            Phase::Externalize => self.state.commit.as_ref().map(|commit| &commit.value),
        }
    }

    /// True once, after the call that decided.
    pub(crate) fn take_just_decided(&mut self) -> bool {
        core::mem::replace(&mut self.just_decided, false)
    }

    /// Takes in somebody's statement. On `Err` nothing has changed.
    pub(crate) fn receive<D: Driver>(&mut self, attested: Attested, turn: &mut Turn<'_, D>) -> Result<(), Rejected> {
        let statement = &attested.statement;
        // S1: whose slices are unknown cannot be counted; EXTERNALIZE needs no slices (F4).
        match (&statement.pledge, &attested.quorum_set) {
            (Pledge::Externalize { .. }, _) => {}
            (_, SenderSet::Known(set)) if set.is_sane() => {}
            (_, SenderSet::Known(_) | SenderSet::Unresolved) => {
                return Err(Rejected::QuorumSetUnresolved);
            }
        }
        statement.check().map_err(Rejected::Malformed)?;
        if !self.tally.is_news(statement) {
            return Err(Rejected::Stale);
        }
        match (validity(statement, turn), self.externalized()) {
            (Validity::Invalid, _) => return Err(Rejected::InvalidValue),
            // V1
            (Validity::PayloadMissing, _) if !matches!(statement.pledge, Pledge::Prepare { .. }) => {
                return Err(Rejected::InvalidValue);
            }
            // S6
            (_, Some(decided)) => {
                let same = statement.working_ballot().is_some_and(|ballot| ballot.value == *decided);
                if !same {
                    return Err(Rejected::OtherValueExternalized);
                }
                self.tally.record(attested);
                return Ok(());
            }
            (Validity::NotCurrent, None) => turn.out.mute(), // S5
            (Validity::PayloadMissing | Validity::Valid, None) => {}
        }
        let hint = statement.pledge.clone();
        self.tally.record(attested);
        self.advance(hint, turn);
        self.flush(turn);
        Ok(())
    }

    /// N10: a new composite. Starts balloting on it unless that has begun.
    pub(crate) fn follow_composite<D: Driver>(&mut self, composite: Value, turn: &mut Turn<'_, D>) {
        self.composite = Some(composite.clone());
        if self.state.ballot.is_none() {
            self.bump(composite, turn);
        }
    }

    /// B7: starts the first ballot or the next one.
    pub(crate) fn bump<D: Driver>(&mut self, value: Value, turn: &mut Turn<'_, D>) {
        // A counter that cannot grow stays where it is: wrapping would take back everything said (B7).
        let counter =
            self.state.ballot.as_ref().map_or(Some(self.first_counter), |ballot| ballot.counter.checked_add(1));
        if let Some(counter) = counter
            && self.move_on(value, counter, turn)
        {
            self.report(Rule::Bump, None, turn);
            if let Some(own) = self.say(turn) {
                self.advance(own, turn);
            }
            self.check_heard(turn);
        }
        self.flush(turn);
    }

    /// B7, T3: the ballot has lasted long enough.
    pub(crate) fn time_out<D: Driver>(&mut self, turn: &mut Turn<'_, D>) {
        if let Some(value) = self.abandoned_value() {
            self.bump(value, turn);
        }
    }

    /// R1, R2: takes back what we said before a restart.
    pub(crate) fn restore(&mut self, attested: Attested) -> Result<(), Rejected> {
        // Before the first ballot something may have been accepted as prepared already.
        if self.state.ballot.is_some() || self.state.prepared.is_some() {
            return Err(Rejected::AlreadyStarted);
        }
        let state = State::said(&attested.statement.pledge);
        let Some(state) = state.filter(|state| state.broken_rule().is_none()) else {
            return Err(Rejected::Malformed(Malformed::CounterOrder));
        };
        self.state = state;
        self.last = Some(attested.statement.clone());
        self.tally.record(attested);
        Ok(())
    }

    /// B10: the steps, then catching up with the others' counters, then the timer.
    fn advance<D: Driver>(&mut self, hint: Pledge, turn: &mut Turn<'_, D>) {
        self.settle(hint, turn);
        while self.follow_blocking(turn) {}
        self.check_heard(turn);
        debug_assert_eq!(self.state.broken_rule(), None, "B2");
    }

    /// B10: tries the steps on a statement, and on each statement of ours that follows from it, depth first.
    fn settle<D: Driver>(&mut self, hint: Pledge, turn: &mut Turn<'_, D>) {
        let mut work = Vec::from([(hint, step::STEPS.iter())]);
        while let Some((hint, steps)) = work.last_mut() {
            let Some(step) = steps.next() else {
                work.pop();
                continue;
            };
            if self.attempt(*step, hint, turn)
                && let Some(own) = self.say(turn)
                && work.len() < NESTED_MAX
            {
                work.push((own, step::STEPS.iter()));
            }
        }
    }

    /// B8: if a v-blocking set is ahead, goes to the lowest counter at which none is. True if it moved.
    fn follow_blocking<D: Driver>(&mut self, turn: &mut Turn<'_, D>) -> bool {
        if self.state.phase == Phase::Externalize {
            return false;
        }
        let ours = self.state.ballot.as_ref().map_or(0, |ballot| ballot.counter);
        if !self.is_blocking_ahead_of(ours) {
            return false;
        }
        let mut counters: Vec<u32> = self.tally.pledges().map(Pledge::counter).filter(|n| *n > ours).collect();
        counters.sort_unstable();
        counters.dedup();
        let Some(target) = counters.into_iter().find(|n| !self.is_blocking_ahead_of(*n)) else {
            return false;
        };
        let Some(value) = self.abandoned_value() else {
            return false;
        };
        let moved = self.move_on(value, target.max(self.first_counter), turn);
        if moved {
            let evidence = self.tally.v_blocking_evidence(|pledge| pledge.counter() > ours);
            self.report(Rule::FollowBlocking, Some(evidence), turn);
            if let Some(own) = self.say(turn) {
                self.settle(own, turn);
            }
            self.check_heard(turn);
        }
        moved
    }

    fn is_blocking_ahead_of(&self, counter: u32) -> bool {
        self.tally.is_v_blocking(|pledge| pledge.counter() > counter)
    }

    fn report<D>(&self, rule: Rule, evidence: Option<Evidence>, turn: &mut Turn<'_, D>) {
        if let Some(ballot) = &self.state.ballot {
            turn.out.moved(rule, ballot.clone(), evidence);
        }
    }

    /// B7: what to go on with when the present ballot is given up.
    fn abandoned_value(&self) -> Option<Value> {
        // A commit we voted for binds us (B7); after a restart it is all that is known of z.
        let bound = self.state.commit.as_ref().map(|ballot| ballot.value.clone());
        bound
            .or_else(|| self.composite.clone())
            .or_else(|| self.state.ballot.as_ref().map(|ballot| ballot.value.clone()))
    }

    /// B7: to `counter`, with the value locked in if there is one. False if that is no step forward.
    fn move_on<D: Driver>(&mut self, value: Value, counter: u32, turn: &Turn<'_, D>) -> bool {
        let value = self.state.next_value.clone().unwrap_or(value);
        let value = self.with_payload(value, turn);
        let target = Ballot { counter, value };
        let allowed = match (&self.state.phase, &self.state.ballot, &self.state.commit) {
            (Phase::Externalize, _, _) => false,
            (_, Some(current), _) if *current >= target => false,
            // A commit we voted for binds us to its value.
            (_, Some(_), Some(commit)) => commit.value == target.value,
            (_, _, _) => true,
        };
        if allowed {
            self.move_to(target);
        }
        allowed
    }

    /// V2: the value, or what stands for it once its payload is given up.
    fn with_payload<D: Driver>(&self, value: Value, turn: &Turn<'_, D>) -> Value {
        let slot = turn.out.slot();
        match turn.driver.validate(slot, &value, Purpose::Ballot) {
            Validity::PayloadMissing => turn.driver.without_payload(slot, &value).unwrap_or(value),
            Validity::Invalid | Validity::NotCurrent | Validity::Valid => value,
        }
    }

    /// Sets b, and clears what b must agree with (B2).
    fn move_to(&mut self, ballot: Ballot) {
        // B9: heard is about one counter.
        if self.state.ballot.as_ref().is_none_or(|current| current.counter != ballot.counter) {
            self.heard = false;
        }
        if self.state.high.as_ref().is_some_and(|high| high.value != ballot.value) {
            self.state.high = None;
            self.state.commit = None;
        }
        self.state.ballot = Some(ballot);
    }

    /// B2: b is never below h.
    fn raise_ballot_to(&mut self, high: &Ballot) -> bool {
        let below = self.state.ballot.as_ref().is_none_or(|ballot| ballot < high);
        if below {
            let counter = high.counter.max(self.first_counter);
            self.move_to(Ballot { counter, value: high.value.clone() });
        }
        below
    }

    /// B9, T3: the timer of a counter runs once a quorum is there, and only then.
    fn check_heard<D: Driver>(&mut self, turn: &mut Turn<'_, D>) {
        let Some(ballot) = &self.state.ballot else {
            return;
        };
        let counter = ballot.counter;
        let there = |pledge: &Pledge| match pledge {
            Pledge::Prepare { ballot, .. } => ballot.counter >= counter,
            Pledge::Confirm { .. } | Pledge::Externalize { .. } => true,
            Pledge::Nominate { .. } => false,
        };
        let support = self.tally.confirm(there);
        let decided = self.state.phase == Phase::Externalize;
        match support {
            None => {
                self.heard = false;
                turn.out.stop(Timer::Ballot);
            }
            Some(support) => {
                if !self.heard {
                    self.heard = true;
                    let evidence = self.tally.evidence(&support);
                    turn.out.moved(Rule::HeardFromQuorum, ballot.clone(), Some(evidence));
                    if !decided {
                        turn.out.start(Timer::Ballot, turn.driver.timeout(Timer::Ballot, counter));
                    }
                }
                if decided {
                    turn.out.stop(Timer::Ballot);
                }
            }
        }
    }

    /// Records what we say now and returns it as the next hint. `None` if there is nothing new to say, or if it must not
    /// be said.
    fn say<D: Driver>(&mut self, turn: &mut Turn<'_, D>) -> Option<Pledge> {
        let statement = turn.local.statement(turn.out.slot(), self.state.pledge());
        // S7: not well-formed, not newer or not valid: only a host that changed its mind, or a network in which quorums
        // no longer intersect, leads here. Saying nothing is always safe.
        let is_sound = turn.local.set.is_sane() && statement.pledge.check_prepare().is_ok();
        if !is_sound || !self.tally.is_news(&statement) {
            return None;
        }
        match validity(&statement, turn) {
            Validity::Invalid => return None,
            Validity::NotCurrent if self.state.phase != Phase::Externalize => turn.out.mute(), // S5
            Validity::NotCurrent | Validity::PayloadMissing | Validity::Valid => {}
        }
        let quorum_set = SenderSet::Known(Arc::clone(&turn.local.set));
        self.tally.record(Attested { statement: statement.clone(), quorum_set });
        let hint = statement.pledge.clone();
        // A PREPARE without a ballot is for our own tally only.
        let is_newer = self.last.as_ref().is_none_or(|last| statement.is_newer_than(last));
        if self.state.ballot.is_some() && is_newer {
            self.last = Some(statement);
            self.unsent = true;
        }
        (self.state.phase != Phase::Externalize).then_some(hint)
    }

    /// B10: of everything said during one input, only the last is emitted.
    fn flush<D>(&mut self, turn: &mut Turn<'_, D>) {
        if self.unsent
            && turn.out.emits()
            && let Some(last) = &self.last
        {
            turn.out.emit(last.clone());
            self.unsent = false;
        }
    }
}

impl State {
    /// R2: the ballots behind a statement of ours.
    fn said(pledge: &Pledge) -> Option<Self> {
        let at = |counter: u32, value: &Value| Some(Ballot { counter, value: value.clone() });
        let some = |counter: u32, value: &Value| {
            if counter == 0 { None } else { at(counter, value) }
        };
        let state = match pledge {
            Pledge::Nominate { .. } => return None,
            Pledge::Prepare { ballot, prepared, prepared_prime, commit, high } => Self {
                phase: Phase::Prepare,
                ballot: Some(ballot.clone()),
                prepared: prepared.clone(),
                prepared_prime: prepared_prime.clone(),
                high: some(*high, &ballot.value),
                commit: some(*commit, &ballot.value),
                next_value: None,
            },
            Pledge::Confirm { ballot, prepared, commit, high } => Self {
                phase: Phase::Confirm,
                ballot: Some(ballot.clone()),
                prepared: at(*prepared, &ballot.value),
                prepared_prime: None,
                high: at(*high, &ballot.value),
                commit: at(*commit, &ballot.value),
                next_value: None,
            },
            Pledge::Externalize { commit, high } => Self {
                phase: Phase::Externalize,
                ballot: at(u32::MAX, &commit.value),
                prepared: at(u32::MAX, &commit.value),
                prepared_prime: None,
                high: at(*high, &commit.value),
                commit: Some(commit.clone()),
                next_value: None,
            },
        };
        Some(state)
    }

    /// B1: what these ballots say.
    fn pledge(&self) -> Pledge {
        let counter = |ballot: &Option<Ballot>| ballot.as_ref().map_or(0, |ballot| ballot.counter);
        let ballot = || self.ballot.clone().unwrap_or_else(|| Ballot { counter: 0, value: Value::new(&[]) });
        match self.phase {
            Phase::Prepare => Pledge::Prepare {
                ballot: ballot(),
                prepared: self.prepared.clone(),
                prepared_prime: self.prepared_prime.clone(),
                commit: counter(&self.commit),
                high: counter(&self.high),
            },
            Phase::Confirm => Pledge::Confirm {
                ballot: ballot(),
                prepared: counter(&self.prepared),
                commit: counter(&self.commit),
                high: counter(&self.high),
            },
            Phase::Externalize => {
                Pledge::Externalize { commit: self.commit.clone().unwrap_or_else(ballot), high: counter(&self.high) }
            }
        }
    }

    /// B2: the rule these ballots break, if any.
    fn broken_rule(&self) -> Option<&'static str> {
        let below = |low: &Option<Ballot>, high: &Option<Ballot>| match (low, high) {
            (Some(low), Some(high)) => low.is_below_compatible(high),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let prime_is_below = match (&self.prepared_prime, &self.prepared) {
            (Some(prime), Some(prepared)) => prime.is_below_incompatible(prepared),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let is_settled = self.ballot.is_some() && self.high.is_some() && self.commit.is_some();
        let rules = [
            (self.ballot.as_ref().is_none_or(|ballot| ballot.counter > 0), "b has no counter 0"),
            (below(&self.commit, &self.high), "c is at or below h, with its value"),
            (self.commit.is_none() || below(&self.high, &self.ballot), "h is at or below b, with its value"),
            (prime_is_below, "p' is below p, with another value"),
            (self.phase == Phase::Prepare || is_settled, "from CONFIRM on b, h and c are set"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
    }
}

/// S5: the worst answer for any value the statement refers to.
fn validity<D: Driver>(statement: &Statement, turn: &Turn<'_, D>) -> Validity {
    let mut worst = Validity::Valid;
    let mut last: Option<&Value> = None;
    for value in statement.pledge.values() {
        if last.replace(value) != Some(value) {
            worst = worst.min(turn.driver.validate(turn.out.slot(), value, Purpose::Ballot));
        }
    }
    worst
}
