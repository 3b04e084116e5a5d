//! A server that stands still: SIGSTOP for seconds under load, then SIGCONT.
//!
//! It wakes up in the past. It must not fork, must not contradict itself, must notice that it was away if that was
//! long, and must come back and vote.

use super::spread::Spread;
use super::stage::{Evidence, Setting, Stage, VALIDATORS, next_of};
use super::{Messages, Verdict, violations, without_numbers};
use crate::cluster::{PATIENCE, Shape};
use fba_server::cli::events::EventStream;
use fba_server::http::dto;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The shortest and the longest pause.
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`PAUSE_MIN`].
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Without a close for so long a server of these networks calls itself stuck: two heartbeats and five seconds.
const STUCK_AFTER: Duration = Duration::from_secs(6);

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many times a server is stopped.
    pub cases: usize,
    /// The longest time it stands still; the shortest is a second.
    pub longest: Duration,
    /// Decides who stands still, and for how long.
    pub seed: u64,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// For how long servers stood still.
    pub pauses: Spread,
    /// Ledgers the others closed meanwhile, at most.
    pub missed_most: u64,
    /// From the signal to go on until it was in sync.
    pub in_sync: Spread,
    /// From the signal to go on until it was heard voting in a later slot.
    pub voting: Spread,
    /// The states it told of on the way, by pause.
    pub told: Messages,
    /// The reasons it gave for them.
    pub reasons: Messages,
    /// What must not be.
    pub violations: Vec<String>,
    /// What holds for every fault.
    pub evidence: Evidence,
}

impl Verdict for Figures {
    fn holds(&self) -> bool {
        self.violations.is_empty() && self.evidence.holds() && self.voting.len() == self.pauses.len()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pauses, missed_most, in_sync, voting, told, reasons, violations: broken, evidence } = self;
        violations(f, broken)?;
        write!(f, "{evidence}")?;
        writeln!(f, "stood still             {} times, {pauses}; {missed_most} ledgers missed at most", pauses.len())?;
        writeln!(f, "in sync again after     {in_sync}")?;
        writeln!(f, "voting again after      {voting}")?;
        write!(f, "states told on waking up:\n{told}reasons given:\n{reasons}")
    }
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of each case.
///
/// # Panics
/// When the network does not do what it must in time.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> Figures {
    let stage = Stage::set(program, folder, Setting { shape: Shape::FOUR, payers: plan.payers, seed: plan.seed });
    let mut pausing = Pausing {
        stage,
        pauses: Spread::default(),
        missed_most: 0,
        in_sync: Spread::default(),
        voting: Spread::default(),
        told: Messages::default(),
        reasons: Messages::default(),
        violations: Vec::new(),
    };
    for case in 1..=plan.cases {
        let told = pausing.case(plan.longest);
        tell(&format!("case {case} of {}: {told}", plan.cases));
    }
    let Pausing { stage, pauses, missed_most, in_sync, voting, told, reasons, violations } = pausing;
    Figures { pauses, missed_most, in_sync, voting, told, reasons, violations, evidence: stage.finish() }
}

struct Pausing {
    stage: Stage,
    pauses: Spread,
    missed_most: u64,
    in_sync: Spread,
    voting: Spread,
    told: Messages,
    reasons: Messages,
    violations: Vec<String>,
}

impl Pausing {
    fn case(&mut self, longest: Duration) -> String {
        let index = self.stage.chance.below(VALIDATORS);
        let pause = self.pause(longest);
        let phase = self.stage.await_phase(index);
        let mut events = EventStream::open(&self.stage.cluster.client(index), None).expect("a running server answers");
        // A stream begins with the state as it is.
        let _: dto::Sync = next_of(&mut events, "sync");
        let before = self.stage.height();
        self.stage.signal(index, "-STOP");
        self.stage.pass(pause);
        let height = self.stage.height();
        let missed = height.saturating_sub(before);
        self.stage.signal(index, "-CONT");
        let returning = self.stage.returning(index);
        let states = self.states_until(&mut events, height);
        self.in_sync.add(returning.started.elapsed());
        let voting = self.stage.await_vote(&returning);
        self.voting.add(voting);
        self.pauses.add(pause);
        self.missed_most = self.missed_most.max(missed);
        let name = self.stage.name(index).to_owned();
        let long = pause > STUCK_AFTER;
        if long && states.is_empty() {
            self.violations.push(format!("{name} was away for {pause:?} and told nobody"));
        }
        let states = states.join(", ");
        self.told.add(format!("{}: {states}", if long { "long pause" } else { "short pause" }));
        format!(
            "{name} stood still in {phase} for {:.1} s and {missed} ledgers, told: {states}; voting after {:.2} s",
            pause.as_secs_f64(),
            voting.as_secs_f64()
        )
    }

    /// Short pauses are as likely as long ones: chance decides between powers of two.
    fn pause(&mut self, longest: Duration) -> Duration {
        let longest = longest.max(PAUSE_MIN);
        let doublings = usize::try_from(longest.as_secs().max(1).ilog2()).unwrap_or(0);
        let base = PAUSE_MIN * 2u32.pow(u32::try_from(self.stage.chance.between(0, doublings)).unwrap_or(0));
        let more = u64::try_from(self.stage.chance.below(1000)).unwrap_or(0);
        (base + base.mul_f64(f64::from(u32::try_from(more).unwrap_or(0)) / 1000.0)).min(longest)
    }

    /// The sync states it tells of until it has closed ledger `height` and is in sync.
    fn states_until(&mut self, events: &mut EventStream, height: u64) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut states = Vec::new();
        let mut closed = 0;
        while closed < height || states.last().is_some_and(|state| state != "synced") {
            let Ok(event) = events.next(deadline.saturating_duration_since(Instant::now())) else {
                panic!("it does not get back to ledger {height}, told: {states:?}");
            };
            let data = &event.data;
            match event.name.as_str() {
                "ledger" => {
                    let ledger: dto::LedgerClosed = serde_json::from_str(data).expect("an event of the API");
                    closed = closed.max(ledger.sequence);
                }
                "sync" => {
                    let sync: dto::Sync = serde_json::from_str(data).expect("an event of the API");
                    if let Some(reason) = sync.reason {
                        self.reasons.add(format!("{}: {}", sync.state, without_numbers(&reason)));
                    }
                    states.push(sync.state);
                }
                _ => {}
            }
        }
        states
    }
}
