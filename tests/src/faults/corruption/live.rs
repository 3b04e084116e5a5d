//! Damaged folders given to servers of a running network.

use super::damage::{DAMAGES, Damage, Spares};
use super::offline::{Bases, copy_of_a_running_server};
use super::{Outcome, Outcomes};
use crate::cluster::node;
use crate::faults::spread::Spread;
use crate::faults::stage::{Returning, Stage, VALIDATORS};
use crate::faults::stored::copy_folder;
use fba_server::http::dto::{Ledger, Transactions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ledgers closed between the copy that files may be replaced by, and the damage.
const LEDGERS: usize = 10;

/// Transactions in one page of the API.
const PAGE: usize = 200;

pub(super) fn run(
    stage: &mut Stage,
    bases: &Bases,
    aside: &Path,
    cases: usize,
    tell: &mut impl FnMut(&str),
) -> io::Result<(Outcomes, Spread)> {
    let mut trying = Trying { stage, bases, outcomes: Outcomes::default(), voting: Spread::default() };
    for case in 0..cases {
        // Neither the kinds nor who is struck come in a fixed order here: there are fewer cases than kinds.
        let damage = trying.stage.chance.one_of(&DAMAGES);
        let told = trying.case(damage, aside.join(format!("case-{case}")))?;
        tell(&format!("live {} of {cases}: {told}", case + 1));
    }
    let Trying { outcomes, voting, .. } = trying;
    Ok((outcomes, voting))
}

struct Trying<'a> {
    stage: &'a mut Stage,
    bases: &'a Bases,
    outcomes: Outcomes,
    voting: Spread,
}

impl Trying<'_> {
    fn case(&mut self, damage: Damage, aside: PathBuf) -> io::Result<String> {
        let index = self.stage.chance.below(VALIDATORS);
        let (data, older, good) = (self.stage.data_folder(index), aside.join("older"), aside.join("good"));
        copy_of_a_running_server(&data, &older)?;
        self.stage.close_more(LEDGERS);
        let phase = self.stage.await_phase(index);
        if self.stage.chance.below(2) == 0 {
            self.stage.cluster.kill(index);
        } else {
            assert!(self.stage.cluster.stop(index), "{} stops cleanly", self.stage.name(index));
        }
        copy_folder(&data, &good)?;
        let spares = Spares { older: &older, others: self.bases.others() };
        let what = damage.strike(&data, spares, &mut self.stage.chance)?;
        let length = self.stage.log_length(index);
        let returning = self.stage.returning(index);
        let outcome = match self.stage.cluster.try_start_node(index, &[]) {
            Ok(()) => self.runs(damage, &returning, length)?,
            Err(_) => {
                // It has said nothing since: its own files, put back, are what they were.
                let message = self.stage.complaint(index, length).unwrap_or_else(|| "NOTHING".to_owned());
                self.outcomes.add(damage, Outcome::Refused, Some(&message));
                put_back(&good, &data)?;
                let _ = self.votes_again(index);
                Outcome::Refused
            }
        };
        if let Some(panicked) = self.stage.panicked(index, length) {
            self.outcomes.violations.push(format!("{damage:?} ({what}): {panicked}"));
        }
        Ok(format!("{}, in {phase}: {what}: {outcome:?}", self.stage.name(index)))
    }

    /// It started: it must vote again, or end with an error.
    fn runs(&mut self, damage: Damage, returning: &Returning, length: u64) -> io::Result<Outcome> {
        let index = returning.index;
        // Two seconds of silence at least, so it is seen.
        let recovering = node(&self.stage.cluster.client(index)).sync;
        let lost = self.stage.logged_since(index, length).contains("must not vote") || recovering.state == "recovering";
        let Some(voting) = self.stage.await_vote_or_end(returning) else {
            let _ = self.stage.await_end(index);
            let message = self.stage.complaint(index, length).unwrap_or_else(|| "NOTHING".to_owned());
            self.outcomes.add(damage, Outcome::Refused, Some(&format!("after it had started: {message}")));
            self.begin_anew(index)?;
            return Ok(Outcome::Refused);
        };
        self.voting.add(voting);
        let outcome = match self.compare(index)? {
            Some(message) => {
                self.outcomes.add(damage, Outcome::AnswersErrors, Some(&message));
                self.stage.cluster.kill(index);
                self.begin_anew(index)?;
                Outcome::AnswersErrors
            }
            None => {
                let outcome = if lost { Outcome::Recovering } else { Outcome::Unaffected };
                self.outcomes.add(damage, outcome, recovering.reason.as_deref().filter(|_| lost));
                outcome
            }
        };
        Ok(outcome)
    }

    /// It may have voted since, so its old files would be a loss that nobody notices: as operators are told, the data
    /// folder is moved away.
    fn begin_anew(&mut self, index: usize) -> io::Result<()> {
        std::fs::remove_dir_all(self.stage.data_folder(index))?;
        let _ = self.votes_again(index);
        Ok(())
    }

    fn votes_again(&mut self, index: usize) -> Duration {
        let returning = self.stage.start(index);
        let voting = self.stage.await_vote(&returning);
        self.voting.add(voting);
        voting
    }

    /// Asks for every ledger what the follower answers too. The first error it answers.
    fn compare(&mut self, index: usize) -> io::Result<Option<String>> {
        let (one, other) = (self.stage.cluster.client(index), self.stage.witness());
        let height = self.stage.height().min(node(&one).ledger.sequence);
        let mut error = None;
        for sequence in 1..=height {
            let ledger = format!("/v1/ledgers/{sequence}");
            let transactions = format!("/v1/ledgers/{sequence}/transactions?limit={PAGE}");
            match (one.get::<Ledger>(&ledger), other.get::<Ledger>(&ledger)) {
                (Ok(found), Ok(truth)) if found == truth => {}
                (Err(found), Ok(_)) => error = Some(found.to_string()),
                (found, truth) => self.outcomes.violations.push(format!("{ledger}: {found:?}, and not {truth:?}")),
            }
            match (one.get::<Transactions>(&transactions), other.get::<Transactions>(&transactions)) {
                (Ok(found), Ok(truth)) if found == truth => {}
                (Err(found), Ok(_)) => error = Some(found.to_string()),
                (found, truth) => {
                    self.outcomes.violations.push(format!("{transactions}: {found:?}, and not {truth:?}"))
                }
            }
        }
        Ok(error)
    }
}

fn put_back(good: &Path, data: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(data)?;
    copy_folder(good, data)
}
