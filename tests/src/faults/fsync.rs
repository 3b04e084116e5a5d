//! A sync that fails: the k-th of a server's life, for k from 1 on.
//!
//! After a failed sync nobody knows what is on the disk. The server must end, with an error that says so, before it
//! says anything that relies on that sync: whatever the others heard from it must be in its database. Started again on
//! a disk that works, it must come back and vote.
//!
//! One failure goes unnoticed: SQLite syncs the folder when it has made its log, and ignores it if that fails. The store
//! syncs the folder itself afterwards, so a server may go on if, and only if, that sync of a folder was repeated.

use super::shim::{FailedSync, Shim};
use super::spread::Spread;
use super::stage::{Evidence, Setting, Stage, VALIDATORS, unix_ms};
use super::stored::StoredVotes;
use super::{Messages, Verdict, violations};
use crate::cluster::Shape;
use fba_core::SlotIndex;
use std::fmt;
use std::io;
use std::path::Path;

/// What a server said just before its end may still be on its way to the follower.
const ON_ITS_WAY_MS: u64 = 500;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first sync to fail.
    pub from: usize,
    /// The last.
    pub to: usize,
    /// Decides whose disk fails.
    pub seed: u64,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Syncs that failed.
    pub failed: usize,
    /// Those that failed before the server served.
    pub while_starting: usize,
    /// Those of a folder that were repeated, and did not end the server.
    pub repeated: usize,
    /// Slots whose newest ballot statement was looked for in a database.
    pub looked_for: usize,
    /// From the start on a disk that works until it was heard voting again.
    pub voting: Spread,
    /// With what the servers ended.
    pub messages: Messages,
    /// What must not be.
    pub violations: Vec<String>,
    /// What holds for every fault.
    pub evidence: Evidence,
}

impl Verdict for Figures {
    fn holds(&self) -> bool {
        let all = self.voting.len() == self.failed && self.messages.count() + self.repeated == self.failed;
        self.violations.is_empty() && self.evidence.holds() && all
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failed, while_starting, repeated, looked_for, voting, messages, violations: broken, evidence } =
            self;
        violations(f, broken)?;
        write!(f, "{evidence}")?;
        writeln!(f, "syncs failed            {failed}, {while_starting} of them while starting")?;
        writeln!(f, "of a folder, repeated   {repeated}")?;
        writeln!(f, "votes looked for        {looked_for} slots, all violations above: {}", broken.len())?;
        writeln!(f, "voting again after      {voting}")?;
        write!(f, "exit code and message:\n{messages}")
    }
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of each case.
///
/// # Errors
/// When the library that makes a sync fail cannot be built.
///
/// # Panics
/// When the network does not do what it must in time.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> io::Result<Figures> {
    let shim = Shim::build(&folder.join("shim"))?;
    let stage = Stage::set(program, folder, Setting { shape: Shape::FOUR, payers: plan.payers, seed: plan.seed });
    let mut failing = Failing {
        stage,
        shim,
        while_starting: 0,
        repeated: 0,
        looked_for: 0,
        voting: Spread::default(),
        messages: Messages::default(),
        violations: Vec::new(),
    };
    for k in plan.from..=plan.to {
        let told = failing.case(k)?;
        tell(&format!("sync {k} of {}: {told}", plan.to));
    }
    let Failing { stage, while_starting, repeated, looked_for, voting, messages, violations, .. } = failing;
    let (failed, evidence) = (plan.to + 1 - plan.from, stage.finish());
    Ok(Figures { failed, while_starting, repeated, looked_for, voting, messages, violations, evidence })
}

struct Failing {
    stage: Stage,
    shim: Shim,
    while_starting: usize,
    repeated: usize,
    looked_for: usize,
    voting: Spread,
    messages: Messages,
    violations: Vec<String>,
}

impl Failing {
    fn case(&mut self, k: usize) -> io::Result<String> {
        let index = self.stage.chance.below(VALIDATORS);
        let program = self.shim.failing_sync(self.stage.cluster.program(), k)?;
        // Killed half of the time: a start then has more to sync.
        if self.stage.chance.below(2) == 0 {
            self.stage.cluster.kill(index);
        } else if !self.stage.cluster.stop(index) {
            self.violations.push(format!("{} does not stop cleanly before sync {k}", self.stage.name(index)));
        }
        let length = self.stage.log_length(index);
        let started = self.stage.cluster.try_start_node_of(&program, index, &[]);
        let told = match started {
            Ok(()) => {
                let told = if self.goes_on(index, k) {
                    self.stage.cluster.kill(index);
                    self.repeated += 1;
                    "went on, for the sync of the folder was repeated"
                } else {
                    let status = self.stage.await_end(index);
                    self.ended(index, k, status.and_then(|status| status.code()), length);
                    "failed while running"
                };
                self.look_for_votes(index, k);
                told
            }
            Err(died) => {
                self.while_starting += 1;
                let code = died.split("exit status: ").nth(1).and_then(|rest| rest.split(')').next());
                self.ended(index, k, code.and_then(|code| code.parse().ok()), length);
                "failed while starting"
            }
        };
        let returning = self.stage.start(index);
        let voting = self.stage.await_vote(&returning);
        self.voting.add(voting);
        Ok(format!("{} {told}, voting again after {:.2} s", self.stage.name(index), voting.as_secs_f64()))
    }

    /// Does it go on although the sync has failed? Waits until it has ended, or has voted later.
    fn goes_on(&mut self, index: usize, k: usize) -> bool {
        let failed = |shim: &Shim| shim.failed(k);
        let shim = &self.shim;
        if !self.stage.await_or_end(index, "the sync fails", |_| failed(shim).is_some()) {
            return false;
        }
        let since = self.stage.returning(index);
        let Some(_) = self.stage.await_vote_or_end(&since) else { return false };
        match self.shim.failed(k) {
            Some(FailedSync { of_folder: true, again: true }) => {}
            failed => {
                let name = self.stage.name(index).to_owned();
                self.violations.push(format!("{name} goes on after sync {k}: {failed:?}"));
            }
        }
        true
    }

    /// It must have failed, have ended by itself with an error, and have said why.
    fn ended(&mut self, index: usize, k: usize, code: Option<i32>, length: u64) {
        let name = self.stage.name(index).to_owned();
        if self.shim.failed(k).is_none() {
            self.violations.push(format!("{name} ended before sync {k} was asked for"));
        }
        if let Some(panicked) = self.stage.panicked(index, length) {
            self.violations.push(format!("{name} at sync {k}: {panicked}"));
        }
        match (code, self.stage.complaint(index, length)) {
            (Some(code @ 1..), Some(complaint)) => self.messages.add(format!("{code}: {complaint}")),
            (code, complaint) => self.violations.push(format!("{name} at sync {k}: exit {code:?}, {complaint:?}")),
        }
    }

    /// Whatever the follower heard from it must be in its database.
    fn look_for_votes(&mut self, index: usize, k: usize) {
        self.stage.await_recorded(unix_ms() + ON_ITS_WAY_MS);
        let heard = self.stage.tail.ballots_of(self.stage.node(index));
        let stored = StoredVotes::read(&self.stage.data_folder(index));
        self.looked_for += heard.range(SlotIndex(stored.last_ledger)..).count();
        for statement in stored.forgotten(&heard) {
            let name = self.stage.name(index);
            self.violations.push(format!("{name} at sync {k} said what is not in its database: {statement:?}"));
        }
    }
}
