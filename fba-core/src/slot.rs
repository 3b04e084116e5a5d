//! One agreement, from the first vote to the decision: nomination and balloting put together.

use crate::ballot::Balloting;
use crate::nomination::Nomination;
use crate::outlet::{Local, Outlet, Turn};
use crate::{Attested, Ballot, Driver, Effect, Input, NodeId, Phase, Rejected, SlotIndex, Statement, Timer, Value};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One agreement.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    local: Arc<Local>,
    nomination: Nomination,
    ballot: Balloting,
    out: Outlet,
}

/// What a slot looks like from outside. For logs, tests and the dashboard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SlotState {
    /// Where balloting stands.
    pub phase: Phase,
    /// b
    pub ballot: Option<Ballot>,
    /// p
    pub prepared: Option<Ballot>,
    /// p'
    pub prepared_prime: Option<Ballot>,
    /// h
    pub high: Option<Ballot>,
    /// c
    pub commit: Option<Ballot>,
    /// Is a quorum at our counter or above?
    pub heard_from_quorum: bool,
    /// Does the slot emit? False for a node that only watches, and for good after a value that was not current.
    pub fully_validated: bool,
    /// The decision, once there is one.
    pub externalized: Option<Value>,
    /// The nomination round, from 1; 0 before nomination is opened.
    pub nomination_round: u32,
    /// Are we still looking for candidates?
    pub nominating: bool,
    /// The leaders gathered over the rounds so far.
    pub leaders: BTreeSet<NodeId>,
    /// X
    pub voted: BTreeSet<Value>,
    /// Y
    pub accepted: BTreeSet<Value>,
    /// Z
    pub candidates: BTreeSet<Value>,
    /// The latest composite of the candidates.
    pub composite: Option<Value>,
}

impl Slot {
    pub(crate) fn new(index: SlotIndex, local: &Arc<Local>, first_counter: u32) -> Self {
        Self {
            nomination: Nomination::new(local),
            ballot: Balloting::new(local, first_counter),
            out: Outlet::new(index, local.is_validator),
            local: Arc::clone(local),
        }
    }

    /// One input in, its effects out. On `Err` nothing has changed.
    pub(crate) fn handle<D: Driver>(&mut self, input: Input, driver: &D) -> Result<Vec<Effect>, Rejected> {
        match input {
            Input::Nominate { timed_out: true, .. } if !self.nomination.is_started() => {}
            Input::Nominate { value, previous, timed_out, .. } => {
                let (nomination, mut turn) = self.nomination_turn(driver);
                let grew = nomination.open(value, previous, timed_out, &mut turn);
                self.say_nomination(grew, driver);
            }
            Input::Propose { value, .. } => {
                let (nomination, mut turn) = self.nomination_turn(driver);
                let grew = nomination.propose(value, &mut turn);
                self.say_nomination(grew, driver);
            }
            Input::Bump { value, .. } => {
                let (ballot, mut turn) = self.ballot_turn(driver);
                ballot.bump(value, &mut turn);
            }
            Input::Receive(attested) => self.receive(attested, driver)?,
            Input::TimerFired { timer, generation, .. } => self.time_out(timer, generation, driver)?,
            Input::StopNomination { .. } => self.nomination.stop(),
            Input::Restore { statement, nomination } => self.restore(statement, nomination, driver)?,
            Input::Remind(attested) => self.remind(&attested.statement, driver)?,
        }
        if self.ballot.take_just_decided() {
            self.nomination.stop(); // N11
        }
        Ok(self.out.take_effects())
    }

    /// Every node's newest statements that may be passed on: nomination first. Our own only if they were for others.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Attested> {
        let local = self.local.node;
        let emits = self.out.emits();
        self.nomination
            .tally()
            .latest()
            .chain(self.ballot.tally().latest())
            .filter(move |attested| attested.statement.node != local || (emits && attested.statement.check().is_ok()))
    }

    pub(crate) fn own_latest(&self) -> (Option<&Statement>, Option<&Statement>) {
        let node = self.local.node;
        (self.nomination.tally().of(node), self.ballot.tally().of(node))
    }

    pub(crate) fn is_fully_validated(&self) -> bool {
        self.out.emits()
    }

    pub(crate) fn nomination_round(&self) -> u32 {
        self.nomination.round()
    }

    pub(crate) fn state(&self) -> SlotState {
        let state = self.ballot.state();
        SlotState {
            phase: state.phase,
            ballot: state.ballot.clone(),
            prepared: state.prepared.clone(),
            prepared_prime: state.prepared_prime.clone(),
            high: state.high.clone(),
            commit: state.commit.clone(),
            heard_from_quorum: self.ballot.has_heard_from_quorum(),
            fully_validated: self.out.emits(),
            externalized: self.ballot.externalized().cloned(),
            nomination_round: self.nomination.round(),
            nominating: self.nomination.is_started(),
            leaders: self.nomination.leaders().clone(),
            voted: self.nomination.voted().clone(),
            accepted: self.nomination.accepted().clone(),
            candidates: self.nomination.candidates().clone(),
            composite: self.ballot.composite().cloned(),
        }
    }

    fn receive<D: Driver>(&mut self, attested: Attested, driver: &D) -> Result<(), Rejected> {
        // R4: what others hold of ours must not overtake what we know we said.
        if attested.statement.node == self.local.node {
            return Err(Rejected::OwnStatement);
        }
        if attested.statement.pledge.is_nomination() {
            let hint = attested.statement.clone();
            self.nomination.receive(attested)?;
            self.advance_nomination(hint, None, driver);
            Ok(())
        } else {
            let (ballot, mut turn) = self.ballot_turn(driver);
            ballot.receive(attested, &mut turn)
        }
    }

    /// T1 to T3
    fn time_out<D: Driver>(&mut self, timer: Timer, generation: u64, driver: &D) -> Result<(), Rejected> {
        self.out.expire(timer, generation)?;
        match timer {
            Timer::Nomination => {
                let (nomination, mut turn) = self.nomination_turn(driver);
                let grew = nomination.time_out(&mut turn);
                self.say_nomination(grew, driver);
            }
            Timer::Ballot => {
                let (ballot, mut turn) = self.ballot_turn(driver);
                ballot.time_out(&mut turn);
            }
        }
        Ok(())
    }

    /// R1 to R3
    fn restore<D: Driver>(
        &mut self,
        attested: Attested,
        round: Option<(u32, Value)>,
        driver: &D,
    ) -> Result<(), Rejected> {
        let is_nomination = attested.statement.pledge.is_nomination();
        let touches_nomination = is_nomination || round.is_some();
        if attested.statement.node != self.local.node
            || (touches_nomination && !self.nomination.can_be_restored(is_nomination))
        {
            return Err(Rejected::AlreadyStarted);
        }
        attested.statement.check().map_err(Rejected::Malformed)?;
        if is_nomination {
            self.nomination.restore(attested)?;
        } else {
            self.ballot.restore(attested)?;
        }
        if let Some((round, previous)) = round {
            let (nomination, turn) = self.nomination_turn(driver);
            nomination.restore_round(round, previous, &turn);
        }
        Ok(())
    }

    /// R5
    fn remind<D: Driver>(&mut self, statement: &Statement, driver: &D) -> Result<(), Rejected> {
        if statement.node != self.local.node {
            return Err(Rejected::AlreadyStarted);
        }
        statement.check().map_err(Rejected::Malformed)?;
        let grew = self.nomination.remember(&statement.pledge);
        self.say_nomination(grew, driver);
        // With a vote from before a restart, what others said before nomination was opened may matter now.
        let heard: Vec<Statement> = self.nomination.tally().latest().map(|heard| heard.statement.clone()).collect();
        for hint in heard {
            self.advance_nomination(hint, None, driver);
        }
        Ok(())
    }

    fn say_nomination<D: Driver>(&mut self, grew: bool, driver: &D) {
        let (nomination, turn) = self.nomination_turn(driver);
        if grew && let Some(own) = nomination.say(&turn) {
            self.advance_nomination(own.clone(), Some(own), driver);
        }
    }

    /// N8 to N11: follows up a statement, then each statement of ours that follows from it; of these only the last is
    /// emitted. `own` is the last one made so far.
    fn advance_nomination<D: Driver>(&mut self, hint: Statement, own: Option<Statement>, driver: &D) {
        let (mut hint, mut own) = (hint, own);
        let mut found = false;
        // Ends because every round adds to X or Y a value that the newest statements mention.
        loop {
            let (nomination, mut turn) = self.nomination_turn(driver);
            let progress = nomination.consider(&hint, &mut turn);
            let next = if progress.grew { nomination.say(&turn) } else { None };
            if let Some(next) = next {
                found |= progress.candidate;
                hint = next.clone();
                own = Some(next);
                continue;
            }
            if progress.candidate {
                self.follow_candidates(driver);
            }
            if let Some(own) = own {
                self.out.emit(own);
            }
            if found {
                self.follow_candidates(driver);
            }
            return;
        }
    }

    /// N10
    fn follow_candidates<D: Driver>(&mut self, driver: &D) {
        if let Some(composite) = driver.combine(self.out.slot(), self.nomination.candidates()) {
            let (ballot, mut turn) = self.ballot_turn(driver);
            ballot.follow_composite(composite, &mut turn);
        }
    }

    fn nomination_turn<'a, D>(&'a mut self, driver: &'a D) -> (&'a mut Nomination, Turn<'a, D>) {
        (&mut self.nomination, Turn { local: &self.local, driver, out: &mut self.out })
    }

    fn ballot_turn<'a, D>(&'a mut self, driver: &'a D) -> (&'a mut Balloting, Turn<'a, D>) {
        (&mut self.ballot, Turn { local: &self.local, driver, out: &mut self.out })
    }
}
