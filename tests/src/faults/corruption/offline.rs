//! Damaged folders opened in this process, and asked everything.

use super::damage::{DAMAGES, Damage, Spares};
use super::questions::{self, Owner, Question};
use super::{Outcome, Outcomes};
use crate::faults::chance::Chance;
use crate::faults::stage::Stage;
use crate::faults::stored::{backup, copy_folder};
use fba_server::store::VoteStanding;
use fba_server::store::side_file::SIDE_FILE;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Ledgers closed before the older copies are made, and again before the newer ones are.
const LEDGERS: usize = 15;

/// Whose folders are tried: one of a server that stopped cleanly, one of a server that was killed.
const STOPPED: usize = 0;
const KILLED: usize = 1;
/// Whose files are put where they do not belong.
const OTHER: usize = 2;

/// Every so many cases are told of.
const TOLD_EVERY: usize = 50;

/// Good data folders to be damaged.
pub(super) struct Bases {
    bases: Vec<Base>,
    others: PathBuf,
}

struct Base {
    folder: PathBuf,
    older: PathBuf,
    owner: Owner,
    truth: Vec<(Question, String)>,
    votes: Vec<String>,
    last_ledger: u64,
}

impl Bases {
    /// Copies them from the servers of a running network, which run again when this returns.
    pub(super) fn take(stage: &mut Stage, folder: &Path) -> io::Result<Self> {
        stage.close_more(LEDGERS);
        let older = |index: usize| folder.join(format!("older-{index}"));
        for index in [STOPPED, KILLED, OTHER] {
            copy_of_a_running_server(&stage.data_folder(index), &older(index))?;
        }
        stage.close_more(LEDGERS);
        let _ = stage.await_phase(KILLED);
        stage.cluster.kill(KILLED);
        assert!(stage.cluster.stop(STOPPED), "it stops cleanly");
        let mut bases = Vec::new();
        for index in [STOPPED, KILLED] {
            let base = folder.join(format!("base-{index}"));
            copy_folder(&stage.data_folder(index), &base)?;
            let config = &stage.cluster.files.nodes.get(index).expect("a server of this network").config;
            let owner = Owner::of(config, &stage.cluster.files.genesis);
            bases.push(Base::of(base, older(index), owner, &folder.join("look"))?);
        }
        let back = [stage.start(KILLED), stage.start(STOPPED)];
        for returning in back {
            let _ = stage.await_vote(&returning);
        }
        Ok(Self { bases, others: older(OTHER) })
    }

    /// What a running server's files may be replaced by.
    pub(super) fn others(&self) -> &Path {
        &self.others
    }
}

/// The database by SQLite's own backup, and the side file.
pub(super) fn copy_of_a_running_server(data: &Path, to: &Path) -> io::Result<()> {
    backup(data, to);
    let _bytes = std::fs::copy(data.join(SIDE_FILE), to.join(SIDE_FILE))?;
    Ok(())
}

impl Base {
    fn of(folder: PathBuf, older: PathBuf, owner: Owner, look: &Path) -> io::Result<Self> {
        fresh_copy(&folder, look)?;
        let opened = owner.open(look).expect("a good data folder opens");
        assert_eq!(opened.standing, VoteStanding::Intact, "a good data folder");
        let ask = |question: Question| {
            let answer = question.ask(&opened.reader).expect("a good data folder");
            (question, answer)
        };
        let truth = questions::all(&opened.reader).into_iter().map(ask).collect();
        let votes = opened.votes.iter().map(|vote| format!("{vote:?}")).collect();
        let last_ledger = opened.reader.totals().expect("a good database").last_ledger;
        Ok(Self { folder, older, owner, truth, votes, last_ledger })
    }

    /// What a damaged copy leads to; the error is what must not be.
    fn judge(&self, damaged: &Path) -> Result<(Outcome, Option<String>), String> {
        let opened = match self.owner.open(damaged) {
            Ok(opened) => opened,
            Err(message) => return Ok((Outcome::Refused, Some(message))),
        };
        let votes: Vec<String> = opened.votes.iter().map(|vote| format!("{vote:?}")).collect();
        if !opened.standing.is_lost() && votes != self.votes {
            return Err(format!("{}, but votes are missing", opened.standing));
        }
        let (last, mut error) = match opened.reader.totals() {
            Ok(totals) => (totals.last_ledger, None),
            Err(error) => (self.last_ledger, Some(error.to_string())),
        };
        let older = last < self.last_ledger;
        // Of an older state, what is about ledgers it has must be right.
        let known = |question: &Question| question.ledger().map_or(!older, |ledger| ledger <= last);
        for (question, truth) in self.truth.iter().filter(|(question, _)| known(question)) {
            match question.ask(&opened.reader) {
                Ok(answer) if answer == *truth => {}
                Ok(answer) => return Err(format!("{question:?} is answered {answer}, and not {truth}")),
                Err(message) => error = Some(message),
            }
        }
        Ok(match (error, &opened.standing) {
            (Some(message), _) => (Outcome::AnswersErrors, Some(message)),
            (None, VoteStanding::Lost { reason }) => (Outcome::Recovering, Some(reason.clone())),
            (None, VoteStanding::Fresh | VoteStanding::Intact) => (Outcome::Unaffected, None),
        })
    }
}

pub(super) fn run(
    bases: &Bases,
    scratch: &Path,
    chance: &mut Chance,
    cases: usize,
    tell: &mut impl FnMut(&str),
) -> io::Result<Outcomes> {
    let mut outcomes = Outcomes::default();
    for case in 0..cases {
        let damage = DAMAGES.get(case % DAMAGES.len()).copied().unwrap_or(Damage::Bit);
        let base = bases.bases.get(case / DAMAGES.len() % bases.bases.len()).expect("an index of this list");
        fresh_copy(&base.folder, scratch)?;
        let spares = Spares { older: &base.older, others: &bases.others };
        let what = damage.strike(scratch, spares, chance)?;
        let judged = catch_unwind(AssertUnwindSafe(|| base.judge(scratch)));
        match judged {
            Ok(Ok((outcome, message))) => {
                let folder = scratch.display().to_string();
                let message = message.map(|message| message.replace(&folder, "DATA"));
                outcomes.add(damage, outcome, message.as_deref());
            }
            Ok(Err(wrong)) => outcomes.violations.push(format!("case {case}, {damage:?} ({what}): {wrong}")),
            Err(_) => outcomes.violations.push(format!("case {case}, {damage:?} ({what}): it panicked, see above")),
        }
        if (case + 1) % TOLD_EVERY == 0 {
            tell(&format!("{} of {cases} damaged folders opened", case + 1));
        }
    }
    Ok(outcomes)
}

fn fresh_copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    copy_folder(from, to)
}
