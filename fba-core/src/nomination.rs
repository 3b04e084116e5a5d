//! Nomination: finding values that everybody may ballot on (N1 to N11).

pub mod leader;

use crate::outlet::{Local, Turn};
use crate::tally::Tally;
use crate::{Attested, Ballot, Driver, Evidence, Malformed, NodeId, Pledge, Purpose, Rejected, Rule, SenderSet};
use crate::{Statement, Timer, Validity, Value};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The nomination of one slot.
#[derive(Clone, Debug)]
pub(crate) struct Nomination {
    tally: Tally,
    started: bool,
    round: u32,
    timeouts: u32,
    leaders: BTreeSet<NodeId>,
    /// Our own value, if we have one.
    own: Option<Value>,
    /// The value of the slot before; known once nomination is opened.
    previous: Option<Value>,
    /// X
    voted: BTreeSet<Value>,
    /// Y
    accepted: BTreeSet<Value>,
    /// Z
    candidates: BTreeSet<Value>,
}

/// What looking at one statement led to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// X or Y grew: there is something new to say.
    pub(crate) grew: bool,
    /// Z grew: there is a new composite.
    pub(crate) candidate: bool,
}

impl Nomination {
    pub(crate) fn new(local: &Local) -> Self {
        Self {
            tally: Tally::new(Arc::clone(&local.set)),
            started: false,
            round: 0,
            timeouts: 0,
            leaders: BTreeSet::new(),
            own: None,
            previous: None,
            voted: BTreeSet::new(),
            accepted: BTreeSet::new(),
            candidates: BTreeSet::new(),
        }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    pub(crate) fn leaders(&self) -> &BTreeSet<NodeId> {
        &self.leaders
    }

    pub(crate) fn voted(&self) -> &BTreeSet<Value> {
        &self.voted
    }

    pub(crate) fn accepted(&self) -> &BTreeSet<Value> {
        &self.accepted
    }

    pub(crate) fn candidates(&self) -> &BTreeSet<Value> {
        &self.candidates
    }

    /// N11: no new votes from now on; what comes in is still recorded.
    pub(crate) fn stop(&mut self) {
        self.started = false;
    }

    /// N1: opens nomination or its next round. True if we voted for something new.
    pub(crate) fn open<D: Driver>(
        &mut self,
        value: Option<Value>,
        previous: Value,
        timed_out: bool,
        turn: &mut Turn<'_, D>,
    ) -> bool {
        if timed_out {
            if !self.started {
                return false;
            }
            self.timeouts = self.timeouts.saturating_add(1);
        }
        if !self.candidates.is_empty() {
            return false;
        }
        self.started = true;
        self.own = value.or_else(|| self.own.take());
        self.round = leader::elect(
            turn.out.slot(),
            &previous,
            self.round.saturating_add(1),
            turn.local.node,
            &turn.local.others,
            &mut self.leaders,
            turn.driver,
        );
        self.previous = Some(previous);
        // N6: one new value of every leader heard, and our own if we lead and have voted for nothing at all.
        let heard: Vec<Statement> = self.leaders.iter().filter_map(|leader| self.tally.of(*leader)).cloned().collect();
        let mut grew = false;
        for statement in &heard {
            grew |= self.follow(&statement.pledge, turn);
        }
        grew |= self.vote_own(turn);
        turn.out.start(Timer::Nomination, turn.driver.timeout(Timer::Nomination, self.round)); // T2
        grew
    }

    /// N1: the round has lasted long enough. Nothing to do once nomination has stopped.
    pub(crate) fn time_out<D: Driver>(&mut self, turn: &mut Turn<'_, D>) -> bool {
        match self.previous.clone() {
            Some(previous) => self.open(None, previous, true, turn),
            None => false,
        }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    /// N6: our own value has come at last. True if we voted for it.
    pub(crate) fn propose<D: Driver>(&mut self, value: Value, turn: &mut Turn<'_, D>) -> bool {
        self.own = Some(value);
        self.started && self.candidates.is_empty() && self.vote_own(turn)
    }

    /// S1, S3, S4: checks a statement and records it.
    pub(crate) fn receive(&mut self, attested: Attested) -> Result<(), Rejected> {
        if !self.tally.is_news(&attested.statement) {
            return Err(Rejected::Stale);
        }
        attested.statement.check().map_err(Rejected::Malformed)?;
        self.tally.record(attested);
        Ok(())
    }

    /// Draws the consequences of a statement that was just recorded.
    pub(crate) fn consider<D: Driver>(&mut self, hint: &Statement, turn: &mut Turn<'_, D>) -> Progress {
        let mut progress = Progress::default();
        // Never vote in a slot we have not opened: its values cannot be judged yet.
        if !self.started {
            return progress;
        }
        if let Pledge::Nominate { voted, .. } = &hint.pledge {
            for value in voted {
                progress.grew |= self.accept(value, turn);
            }
        }
        progress.candidate = self.confirm(turn);
        if self.candidates.is_empty() && self.leaders.contains(&hint.node) {
            progress.grew |= self.follow(&hint.pledge, turn);
        }
        progress
    }

    /// Records what we say now. `None` if there is nothing newer to say than what is on record as ours.
    pub(crate) fn say<D>(&mut self, turn: &Turn<'_, D>) -> Option<Statement> {
        let pledge = Pledge::Nominate {
            voted: self.voted.iter().cloned().collect(),
            accepted: self.accepted.iter().cloned().collect(),
        };
        let statement = turn.local.statement(turn.out.slot(), pledge);
        // S7
        if statement.check().is_err() || !self.tally.is_news(&statement) {
            return None;
        }
        let quorum_set = SenderSet::Known(Arc::clone(&turn.local.set));
        self.tally.record(Attested { statement: statement.clone(), quorum_set });
        Some(statement)
    }

    /// R1: only before nomination is opened; votes only once.
    pub(crate) fn can_be_restored(&self, votes: bool) -> bool {
        !self.started && self.round == 0 && (!votes || (self.voted.is_empty() && self.accepted.is_empty()))
    }

    /// R1, R2: takes back what we said before a restart.
    pub(crate) fn restore(&mut self, attested: Attested) -> Result<(), Rejected> {
        let Pledge::Nominate { voted, accepted } = &attested.statement.pledge else {
            return Err(Rejected::Malformed(Malformed::Empty));
        };
        self.voted.extend(voted.iter().cloned());
        self.accepted.extend(accepted.iter().cloned());
        self.tally.record(attested);
        Ok(())
    }

    /// R5: says again what we said before, whatever we have said since. True if that is anything new.
    pub(crate) fn remember(&mut self, pledge: &Pledge) -> bool {
        let Pledge::Nominate { voted, accepted } = pledge else {
            return false;
        };
        let before = self.voted.len().saturating_add(self.accepted.len());
        self.voted.extend(voted.iter().cloned());
        self.accepted.extend(accepted.iter().cloned());
        self.voted.len().saturating_add(self.accepted.len()) > before
    }

    /// R3: goes back to just before `round`, with the leaders gathered until then.
    pub(crate) fn restore_round<D: Driver>(&mut self, round: u32, previous: Value, turn: &Turn<'_, D>) {
        self.leaders.clear();
        self.round = 0;
        while self.round.saturating_add(1) < round {
            let mut leaders = self.leaders.clone();
            let next = leader::elect(
                turn.out.slot(),
                &previous,
                self.round.saturating_add(1),
                turn.local.node,
                &turn.local.others,
                &mut leaders,
                turn.driver,
            );
            if next >= round {
                break;
            }
            // Everybody leads: the rounds left add nothing.
            let done = leaders.len() == self.leaders.len();
            self.round = if done { round.saturating_sub(1) } else { next };
            self.leaders = leaders;
        }
        self.previous = Some(previous);
    }

    /// N8
    fn accept<D: Driver>(&mut self, value: &Value, turn: &mut Turn<'_, D>) -> bool {
        if self.accepted.contains(value) {
            return false;
        }
        let Some(support) = self.tally.accept(|pledge| votes(pledge, value), |pledge| accepts(pledge, value)) else {
            return false;
        };
        match turn.driver.validate(turn.out.slot(), value, Purpose::Nomination) {
            Validity::PayloadMissing | Validity::Valid => {
                let evidence = self.tally.evidence(&support);
                turn.out.moved(Rule::AcceptNominated, nominated(value), Some(evidence));
                self.voted.insert(value.clone());
                self.accepted.insert(value.clone())
            }
            // It made it far without us: perhaps a variant of it is valid here.
            Validity::Invalid | Validity::NotCurrent => {
                turn.driver.extract_valid(turn.out.slot(), value).is_some_and(|variant| self.vote(variant, turn))
            }
        }
    }

    /// N9
    fn confirm<D: Driver>(&mut self, turn: &mut Turn<'_, D>) -> bool {
        let confirmed: Vec<(Value, Evidence)> = self
            .accepted
            .difference(&self.candidates)
            .filter_map(|value| {
                let support = self.tally.confirm(|pledge| accepts(pledge, value))?;
                Some((value.clone(), self.tally.evidence(&support)))
            })
            .collect();
        let found = !confirmed.is_empty();
        for (value, evidence) in confirmed {
            turn.out.moved(Rule::ConfirmNominated, nominated(&value), Some(evidence));
            self.candidates.insert(value);
        }
        if found {
            turn.out.stop(Timer::Nomination); // T2
        }
        found
    }

    /// N6: votes for the best value of a leader that we have not voted for yet.
    fn follow<D: Driver>(&mut self, pledge: &Pledge, turn: &mut Turn<'_, D>) -> bool {
        self.best_of(pledge, turn).is_some_and(|value| self.vote(value, turn))
    }

    /// N6, N12
    fn vote_own<D: Driver>(&mut self, turn: &mut Turn<'_, D>) -> bool {
        if !self.leaders.contains(&turn.local.node) {
            return false;
        }
        let Some(own) = self.own.clone() else {
            return false;
        };
        let slot = turn.out.slot();
        let strips = self.timeouts >= turn.driver.upgrade_timeouts()
            && self.voted.iter().all(|value| turn.driver.strip_upgrades(slot, value).is_some());
        if strips {
            let plain = turn.driver.strip_upgrades(slot, &own).unwrap_or(own);
            self.own = Some(plain.clone());
            self.vote(plain, turn)
        } else {
            self.voted.is_empty() && self.vote(own, turn)
        }
    }

    fn vote<D>(&mut self, value: Value, turn: &mut Turn<'_, D>) -> bool {
        let new = self.voted.insert(value.clone());
        if new {
            turn.out.moved(Rule::VoteNominated, nominated(&value), None);
        }
        new
    }

    /// N7: accepted values go before voted ones; among the values left the highest hash wins, then the larger value.
    fn best_of<D: Driver>(&self, pledge: &Pledge, turn: &Turn<'_, D>) -> Option<Value> {
        let Pledge::Nominate { voted, accepted } = pledge else {
            return None;
        };
        let usable =
            |values: &[Value]| -> Vec<Value> { values.iter().filter_map(|value| usable(value, turn)).collect() };
        let mut values = usable(accepted);
        if values.is_empty() {
            values = usable(voted);
        }
        let previous = self.previous.as_ref()?;
        values
            .into_iter()
            .filter(|value| !self.voted.contains(value))
            .max_by_key(|value| turn.driver.value_hash(turn.out.slot(), previous, self.round, value))
    }
}

/// The value itself if it is valid, else a valid one made from it.
fn usable<D: Driver>(value: &Value, turn: &Turn<'_, D>) -> Option<Value> {
    match turn.driver.validate(turn.out.slot(), value, Purpose::Nomination) {
        Validity::PayloadMissing | Validity::Valid => Some(value.clone()),
        Validity::Invalid | Validity::NotCurrent => turn.driver.extract_valid(turn.out.slot(), value),
    }
}

fn votes(pledge: &Pledge, value: &Value) -> bool {
    matches!(pledge, Pledge::Nominate { voted, .. } if voted.binary_search(value).is_ok())
}

fn accepts(pledge: &Pledge, value: &Value) -> bool {
    matches!(pledge, Pledge::Nominate { accepted, .. } if accepted.binary_search(value).is_ok())
}

/// Nomination rules are reported with counter 0.
fn nominated(value: &Value) -> Ballot {
    Ballot { counter: 0, value: value.clone() }
}
