//! kill -9, again and again, under load: no acknowledged transaction may be lost, no key may contradict itself, and
//! everybody must come back and vote.
//!
//! In each round validators chosen by a seed are killed at a moment chosen by the seed: one, sometimes two (the rest
//! then halts), sometimes all. The others go on for some ledgers, the dead are started again, and the next round waits
//! until each of them is in sync and is heard voting in a later slot.

use super::Verdict;
use super::spread::Spread;
use super::stage::{Evidence, Returning, Setting, Stage, VALIDATORS};
use crate::cluster::Shape;
use std::fmt;
use std::path::Path;

/// Every so many rounds, all validators die at once.
const ALL_DIE_EVERY: usize = 10;

/// In one of so many of the other rounds, two die at once.
const TWO_DIE_ONE_IN: usize = 5;

/// Ledgers the others close while the dead are away.
const AWAY_MIN: usize = 2;
const AWAY_MAX: usize = 5;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many times a process is killed, in all.
    pub kills: usize,
    /// Decides who is killed when, and how long it stays away.
    pub seed: u64,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Processes killed.
    pub kills: usize,
    /// Rounds it took.
    pub rounds: usize,
    /// From the start of a process until it was in sync.
    pub in_sync: Spread,
    /// From the start of a process until the follower heard it vote in a later slot.
    pub voting: Spread,
    /// What holds for every fault.
    pub evidence: Evidence,
}

impl Verdict for Figures {
    fn holds(&self) -> bool {
        self.evidence.holds() && self.voting.len() == self.kills
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, rounds, in_sync, voting, evidence } = self;
        write!(f, "{evidence}")?;
        writeln!(f, "kills                   {kills} in {rounds} rounds")?;
        writeln!(f, "back in sync after      {in_sync}")?;
        write!(f, "voting again after      {voting}")
    }
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of each round.
///
/// # Panics
/// When the network does not do what it must in time: something does not close, or somebody does not come back.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> Figures {
    let setting = Setting { shape: Shape::FOUR, payers: plan.payers, seed: plan.seed };
    let stage = Stage::set(program, folder, setting);
    let mut killing = Killing { stage, in_sync: Spread::default(), voting: Spread::default() };
    let (mut kills, mut rounds) = (0, 0);
    while kills < plan.kills {
        rounds += 1;
        let victims = killing.victims(rounds, plan.kills - kills);
        kills += victims.len();
        let told = killing.round(&victims);
        let acknowledged = killing.stage.acknowledged();
        tell(&format!("round {rounds}: {told}; {kills} of {} kills, {acknowledged} acknowledged", plan.kills));
    }
    tell("checking every server's ledgers, and the recording");
    let Killing { stage, in_sync, voting } = killing;
    Figures { kills, rounds, in_sync, voting, evidence: stage.finish() }
}

struct Killing {
    stage: Stage,
    in_sync: Spread,
    voting: Spread,
}

impl Killing {
    /// Who dies in this round: at most `most`, in an order by chance.
    fn victims(&mut self, round: usize, most: usize) -> Vec<usize> {
        let many = match (round % ALL_DIE_EVERY, self.stage.chance.below(TWO_DIE_ONE_IN)) {
            (0, _) => VALIDATORS,
            (_, 0) => 2,
            (_, _) => 1,
        };
        self.stage.chance.order(VALIDATORS).into_iter().take(many.min(most)).collect()
    }

    /// Kills, waits, starts again, waits until all are back. What happened, for people.
    fn round(&mut self, victims: &[usize]) -> String {
        let first = victims.first().copied().expect("somebody dies in each round");
        let phase = self.stage.await_phase(first);
        victims.iter().for_each(|index| self.stage.cluster.kill(*index));
        let names: Vec<String> = victims.iter().map(|index| self.stage.name(*index).to_owned()).collect();
        let away = self.stage.chance.between(AWAY_MIN, AWAY_MAX);
        let back = match victims {
            [one] => {
                self.stage.close_more(away);
                vec![self.stage.start(*one)]
            }
            // Two of four halt: one comes back, and only then ledgers close again.
            [first, second] => {
                let first = self.stage.start(*first);
                self.stage.close_more(away);
                vec![first, self.stage.start(*second)]
            }
            all => self.start_again_by_chance(all),
        };
        let times: Vec<String> = back.iter().map(|returning| self.await_return(returning)).collect();
        let (names, times) = (names.join(", "), times.join(", "));
        match back.len() {
            VALIDATORS => format!("killed {names} in {phase}, voting after {times}"),
            _ => format!("killed {names} in {phase}, {away} ledgers without, voting after {times}"),
        }
    }

    fn start_again_by_chance(&mut self, all: &[usize]) -> Vec<Returning> {
        let order = self.stage.chance.order(VALIDATORS);
        order.iter().filter(|index| all.contains(index)).map(|index| self.stage.start(*index)).collect()
    }

    /// Those started together are waited for one after the other: an upper bound for all but the first.
    fn await_return(&mut self, returning: &Returning) -> String {
        self.in_sync.add(self.stage.await_sync(returning));
        let voting = self.stage.await_vote(returning);
        self.voting.add(voting);
        format!("{:.2} s", voting.as_secs_f64())
    }
}
