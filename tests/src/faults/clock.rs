//! A wall clock that jumps: minutes ahead or back on one server, and back again.
//!
//! Close times are bounded by clocks, so the others refuse what a server with a fast clock proposes, and a server with a
//! slow clock refuses what the others propose. Nothing may fork, the network must go on, the server must follow it and
//! warn of its clock, and with the clock right again it must vote, and take the warning back.

use super::shim::{ClockOffset, Shim};
use super::spread::Spread;
use super::stage::{Evidence, Setting, Stage, VALIDATORS};
use super::{Messages, Verdict, violations};
use crate::cluster::{Shape, node};
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Instant;

/// How far the clock jumps, in milliseconds: five minutes, five times the slip that close times are allowed.
const JUMP_MS: i64 = 300_000;

/// Ledgers closed while the clock is off.
const OFF_MIN: usize = 10;
const OFF_MAX: usize = 30;

/// Ledgers closed at most until the server has heard enough proposers to know that its clock is off, or right again.
const WARNED_WITHIN: usize = 200;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many times a clock jumps: ahead and back in turn.
    pub cases: usize,
    /// Decides whose clock, and for how long.
    pub seed: u64,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// How many times a clock jumped.
    pub cases: usize,
    /// How long a ledger took while a clock was ahead: the mean of each case.
    pub ahead: Spread,
    /// How long a ledger took while a clock was behind.
    pub behind: Spread,
    /// From the jump until the server warned of its clock.
    pub warned: Spread,
    /// From the clock being right again until the server was heard voting in a later slot.
    pub voting: Spread,
    /// What the servers said while their clock was off.
    pub told: Messages,
    /// What must not be.
    pub violations: Vec<String>,
    /// What holds for every fault.
    pub evidence: Evidence,
}

impl Verdict for Figures {
    fn holds(&self) -> bool {
        let all = self.voting.len() == self.cases && self.warned.len() == self.cases;
        self.violations.is_empty() && self.evidence.holds() && all
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, ahead, behind, warned, voting, told, violations: broken, evidence } = self;
        violations(f, broken)?;
        write!(f, "{evidence}")?;
        writeln!(f, "clock jumped            {cases} times by {} s", JUMP_MS / 1000)?;
        writeln!(f, "a ledger took           {ahead} with one clock ahead; {behind} with one behind")?;
        writeln!(f, "warned of the clock     {warned} after the jump")?;
        writeln!(f, "voting again after      {voting}")?;
        write!(f, "what they said meanwhile:\n{told}")
    }
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of each case.
///
/// # Errors
/// When the library that sets clocks off cannot be built.
///
/// # Panics
/// When the network does not do what it must in time.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> io::Result<Figures> {
    let shim = Shim::build(&folder.join("shim"))?;
    let stage = Stage::set(program, folder, Setting { shape: Shape::FOUR, payers: plan.payers, seed: plan.seed });
    let mut jumping = Jumping {
        stage,
        clocks: Vec::new(),
        ahead: Spread::default(),
        behind: Spread::default(),
        warned: Spread::default(),
        voting: Spread::default(),
        told: Messages::default(),
        violations: Vec::new(),
    };
    jumping.give_clocks(&shim)?;
    for case in 1..=plan.cases {
        let told = jumping.case(if case % 2 == 0 { -JUMP_MS } else { JUMP_MS })?;
        tell(&format!("case {case} of {}: {told}", plan.cases));
    }
    let Jumping { stage, ahead, behind, warned, voting, told, violations, .. } = jumping;
    Ok(Figures { cases: plan.cases, ahead, behind, warned, voting, told, violations, evidence: stage.finish() })
}

struct Jumping {
    stage: Stage,
    clocks: Vec<ClockOffset>,
    ahead: Spread,
    behind: Spread,
    warned: Spread,
    voting: Spread,
    told: Messages,
    violations: Vec<String>,
}

impl Jumping {
    /// Starts every validator again with a clock that can be set off.
    fn give_clocks(&mut self, shim: &Shim) -> io::Result<()> {
        for index in 0..VALIDATORS {
            let (program, clock) = shim.clock(self.stage.cluster.program(), self.stage.name(index))?;
            self.clocks.push(clock);
            assert!(self.stage.cluster.stop(index), "{} stops cleanly", self.stage.name(index));
            let returning = self.stage.returning(index);
            let started = self.stage.cluster.try_start_node_of(&program, index, &[]);
            started.map_err(io::Error::other)?;
            let _ = self.stage.await_vote(&returning);
        }
        Ok(())
    }

    fn case(&mut self, jump_ms: i64) -> io::Result<String> {
        let index = self.stage.chance.below(VALIDATORS);
        let count = self.stage.chance.between(OFF_MIN, OFF_MAX);
        let phase = self.stage.await_phase(index);
        let (length, began) = (self.stage.log_length(index), Instant::now());
        self.set(index, jump_ms)?;
        self.stage.close_more(count);
        let per_ledger = began.elapsed() / u32::try_from(count).unwrap_or(u32::MAX);
        if jump_ms > 0 {
            self.ahead.add(per_ledger)
        } else {
            self.behind.add(per_ledger)
        }
        // It follows what it would not have proposed.
        let _ = self.stage.cluster.closed(index, self.stage.height());
        if let Some(warning) = self.await_warning(index, true) {
            self.warned.add(began.elapsed());
            let (state, logged) =
                (node(&self.stage.cluster.client(index)).sync.state, self.logs_of_the_clock(index, length));
            let log = if logged { "and logged" } else { "NOT logged" };
            self.told.add(format!("{state}, {log}: {}", super::without_numbers(&warning)));
        }
        self.set(index, 0)?;
        let returning = self.stage.returning(index);
        let _ = self.stage.await_sync(&returning);
        let voting = self.stage.await_vote(&returning);
        self.voting.add(voting);
        let _ = self.await_warning(index, false);
        if let Some(panicked) = self.stage.panicked(index, length) {
            self.violations.push(format!("{}: {panicked}", self.stage.name(index)));
        }
        Ok(format!(
            "{} jumped by {} s in {phase}, {count} ledgers at {:.2} s each; voting after {:.2} s",
            self.stage.name(index),
            jump_ms / 1000,
            per_ledger.as_secs_f64(),
            voting.as_secs_f64()
        ))
    }

    fn set(&self, index: usize, offset_ms: i64) -> io::Result<()> {
        self.clocks.get(index).expect("every validator has a clock").set(offset_ms)
    }

    /// Waits until it warns of its clock, or does no longer; the warning.
    fn await_warning(&mut self, index: usize, wanted: bool) -> Option<String> {
        for _ in 0..WARNED_WITHIN {
            let clock = node(&self.stage.cluster.client(index)).clock;
            if clock.warning.is_some() == wanted {
                return clock.warning;
            }
            self.stage.close_more(1);
        }
        let name = self.stage.name(index);
        let what = if wanted { "does not warn of its clock" } else { "still warns of its clock" };
        self.violations.push(format!("{name} {what} after {WARNED_WITHIN} ledgers"));
        None
    }

    fn logs_of_the_clock(&self, index: usize, length: u64) -> bool {
        self.stage.logged_since(index, length).lines().any(|line| line.contains("clock"))
    }
}
