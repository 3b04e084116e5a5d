//! A key without its votes: the database deleted, or replaced by an older copy, while the key is kept.
//!
//! The server must notice, follow silently until the network has certainly moved past every slot it may have voted in,
//! and then vote again. What the key said before and after is in one recording, and must not contradict itself.

use super::Verdict;
use super::spread::Spread;
use super::stage::{Evidence, Returning, Setting, Stage, VALIDATORS};
use super::stored::{backup, copy_folder, database_files};
use super::{Messages, violations, without_numbers};
use crate::cluster::Shape;
use fba_server::http::dto::Ledger;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// The network's clock slip: how long a silent server waits at least. Short, so that a case takes seconds.
const CLOCK_SLIP_MS: u64 = 2_000;

/// Ledgers closed between the copy, or the last case, and the loss.
const BEFORE_MIN: usize = 10;
const BEFORE_MAX: usize = 40;

/// Ledgers the others close at most before the server is started again. Mostly none or few: what its dead process
/// said last is what it is most likely to contradict.
const AWAY_MAX: usize = 3;

/// What is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Loss {
    /// The whole data folder.
    Folder,
    /// The database; the file that says how far the key has voted is still there.
    Database,
    /// What was written since a backup.
    SinceBackup,
}

const LOSSES: [Loss; 3] = [Loss::Folder, Loss::Database, Loss::SinceBackup];

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many times votes are lost.
    pub cases: usize,
    /// Decides who loses what, and when.
    pub seed: u64,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// How many times votes were lost.
    pub cases: usize,
    /// From the start of the process until it was heard voting again.
    pub voting: Spread,
    /// Slots that it was still silent in after it might have spoken.
    pub late: Vec<u64>,
    /// What it said while it was silent, without numbers.
    pub reasons: Messages,
    /// What must not be: a server that spoke too early.
    pub violations: Vec<String>,
    /// What holds for every fault.
    pub evidence: Evidence,
}

impl Verdict for Figures {
    fn holds(&self) -> bool {
        self.violations.is_empty() && self.evidence.holds() && self.voting.len() == self.cases
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, voting, late, reasons, violations: broken, evidence } = self;
        violations(f, broken)?;
        write!(f, "{evidence}")?;
        writeln!(f, "votes lost              {cases} times; clock slip {CLOCK_SLIP_MS} ms")?;
        writeln!(f, "spoke too early         {}", broken.len())?;
        writeln!(f, "silent longer than due  at most {} slots", late.iter().max().unwrap_or(&0))?;
        writeln!(f, "voting again after      {voting}")?;
        write!(f, "what they said meanwhile:\n{reasons}")
    }
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of each case.
///
/// # Panics
/// When the network does not do what it must in time.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> Figures {
    let shape = Shape { clock_slip_ms: CLOCK_SLIP_MS, ..Shape::FOUR };
    let stage = Stage::set(program, folder, Setting { shape, payers: plan.payers, seed: plan.seed });
    let mut losing = Losing {
        stage,
        voting: Spread::default(),
        late: Vec::new(),
        reasons: Messages::default(),
        violations: Vec::new(),
    };
    for case in 1..=plan.cases {
        let told = losing.case(&folder.join(format!("copy-{case}")), case);
        tell(&format!("case {case} of {}: {told}", plan.cases));
    }
    let Losing { stage, voting, late, reasons, violations } = losing;
    Figures { cases: plan.cases, voting, late, reasons, violations, evidence: stage.finish() }
}

struct Losing {
    stage: Stage,
    voting: Spread,
    late: Vec<u64>,
    reasons: Messages,
    violations: Vec<String>,
}

impl Losing {
    fn case(&mut self, copy: &Path, number: usize) -> String {
        let index = self.stage.chance.below(VALIDATORS);
        let loss = LOSSES.get(number % LOSSES.len()).copied().unwrap_or(Loss::Folder);
        let data = self.stage.data_folder(index);
        if loss == Loss::SinceBackup {
            backup(&data, copy);
        }
        let before = self.stage.chance.between(BEFORE_MIN, BEFORE_MAX);
        self.stage.close_more(before);
        let phase = self.stage.await_phase(index);
        self.stage.cluster.kill(index);
        let away = self.stage.chance.below(AWAY_MAX + 1);
        self.stage.close_more(away);
        lose(loss, &data, copy);
        let returning = self.stage.start(index);
        let reason = self.stage.await_state(index, "recovering");
        self.reasons.add(without_numbers(&reason.unwrap_or_else(|| "recovering, no reason given".to_owned())));
        let voting = self.stage.await_vote(&returning);
        self.voting.add(voting);
        let silent = self.silent_until(&returning);
        let name = self.stage.name(index);
        format!(
            "{name} lost {loss:?} in {phase}, {away} ledgers without, voting after {:.2} s, silent {silent} slots \
             longer than due",
            voting.as_secs_f64()
        )
    }

    /// Holds what it said first against the rule: the ledger before has a close time later than its start and the
    /// slip. How many slots it might have spoken in before.
    fn silent_until(&mut self, returning: &Returning) -> u64 {
        let spoke = self.stage.tail.spoke_after(returning.node, returning.voted_at_most);
        let spoke = spoke.expect("it was heard voting").0;
        let allowed_ms = returning.started_unix_ms + CLOCK_SLIP_MS;
        let witness = self.stage.witness();
        let close_time = |sequence: u64| {
            let ledger: Ledger = witness.get(&format!("/v1/ledgers/{sequence}")).expect("the follower answers");
            ledger.close_time_ms
        };
        if close_time(spoke - 1) <= allowed_ms {
            let wait = Duration::from_millis(allowed_ms.saturating_sub(close_time(spoke - 1)));
            let name = self.stage.name(returning.index);
            self.violations.push(format!("{name} spoke of slot {spoke}, {wait:?} too early"));
        }
        let late = (1..spoke).rev().take_while(|sequence| close_time(*sequence) > allowed_ms).count() as u64;
        let late = late.saturating_sub(1);
        self.late.push(late);
        late
    }
}

fn lose(loss: Loss, data: &Path, copy: &Path) {
    let lost = match loss {
        Loss::Folder => std::fs::remove_dir_all(data),
        Loss::Database | Loss::SinceBackup => {
            database_files(data).and_then(|files| files.iter().try_for_each(std::fs::remove_file))
        }
    };
    lost.expect("a server's files can be removed");
    if loss == Loss::SinceBackup {
        copy_folder(copy, data).expect("a copy can be put back");
    }
}
