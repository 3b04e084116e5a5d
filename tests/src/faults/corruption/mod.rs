//! Damaged files: bits flipped, files cut off, pages zeroed or swapped, copies of other times and other servers.
//!
//! Whatever happens to a data folder, a server either is not affected, or refuses it with a message, or knows that its
//! votes are lost and stays silent, or answers an error where a row is damaged. It never answers wrongly, never votes
//! without votes it has sent, and never panics.
//!
//! Most cases are tried in this process: the folder is opened as a server opens it, and asked everything. Some are
//! tried on servers of a running network.

mod damage;
mod live;
mod offline;
mod questions;

pub use damage::{DAMAGES, Damage};

use super::spread::Spread;
use super::stage::{Evidence, Setting, Stage};
use super::{Messages, Verdict, violations};
use crate::cluster::Shape;
use offline::Bases;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

/// Short, so that a server that lost its votes is back in seconds.
const CLOCK_SLIP_MS: u64 = 2_000;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Damaged folders opened in this process.
    pub offline: usize,
    /// Damaged folders given to servers of the running network.
    pub live: usize,
    /// Decides what is damaged, and how.
    pub seed: u64,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
}

/// What a damaged data folder leads to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// Everything is as in the good one.
    Unaffected,
    /// Votes are lost, the server knows it and stays silent.
    Recovering,
    /// The server does not start.
    Refused,
    /// The server runs, and answers an error where it is asked for what is damaged.
    AnswersErrors,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    counts: BTreeMap<Damage, BTreeMap<Outcome, usize>>,
    messages: Messages,
    violations: Vec<String>,
}

impl Outcomes {
    fn add(&mut self, damage: Damage, outcome: Outcome, message: Option<&str>) {
        *self.counts.entry(damage).or_default().entry(outcome).or_default() += 1;
        if let Some(message) = message {
            self.messages.add(format!("{outcome:?}: {}", super::without_numbers(message)));
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.counts.values().flat_map(BTreeMap::values).sum()
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [Outcome::Unaffected, Outcome::Recovering, Outcome::Refused, Outcome::AnswersErrors];
        violations(f, &self.violations)?;
        write!(f, "{:<16}", "")?;
        columns.iter().try_for_each(|outcome| write!(f, "{:>15}", format!("{outcome:?}")))?;
        for (damage, counts) in &self.counts {
            write!(f, "\n{:<16}", format!("{damage:?}"))?;
            columns.iter().try_for_each(|outcome| write!(f, "{:>15}", counts.get(outcome).unwrap_or(&0)))?;
        }
        writeln!(f)?;
        write!(f, "{} cases, {} violations; messages:\n{}", self.count(), self.violations.len(), self.messages)
    }
}

/// What both ways of trying show.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What was tried in this process.
    pub offline: Outcomes,
    /// What was tried on servers.
    pub live: Outcomes,
    /// From the start of a server until it was heard voting again, with its own files or new ones.
    pub voting: Spread,
    /// What holds for every fault.
    pub evidence: Evidence,
}

impl Verdict for Figures {
    fn holds(&self) -> bool {
        self.offline.violations.is_empty() && self.live.violations.is_empty() && self.evidence.holds()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offline, live, voting, evidence } = self;
        write!(f, "{evidence}")?;
        writeln!(f, "voting again after      {voting}")?;
        write!(f, "\nopened in this process:\n{offline}\non running servers:\n{live}")
    }
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of what happens.
///
/// # Errors
/// When files cannot be copied or damaged.
///
/// # Panics
/// When the network does not do what it must in time.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> io::Result<Figures> {
    let shape = Shape { clock_slip_ms: CLOCK_SLIP_MS, ..Shape::FOUR };
    let mut stage = Stage::set(program, folder, Setting { shape, payers: plan.payers, seed: plan.seed });
    let bases = Bases::take(&mut stage, &folder.join("bases"))?;
    let offline = offline::run(&bases, &folder.join("scratch"), &mut stage.chance, plan.offline, &mut tell)?;
    let (live, voting) = live::run(&mut stage, &bases, &folder.join("aside"), plan.live, &mut tell)?;
    Ok(Figures { offline, live, voting, evidence: stage.finish() })
}
