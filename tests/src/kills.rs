//! kill -9, again and again, under load: no acknowledged transaction may be lost, no key may contradict itself, and
//! everybody must come back and vote.
//!
//! Four validators close ledgers under an acknowledged load. A follower, connected to all of them and never killed,
//! records every statement it hears. In each round validators chosen by a seed are killed at a moment chosen by the
//! seed: one, sometimes two (the rest then halts), sometimes all. The others go on for some ledgers, the dead are
//! started again, and the next round waits until each of them is in sync and is heard voting in a later slot.

#![expect(clippy::panic, reason = "what a network does not do in time fails the test")]

mod tail;

use crate::acked::{AckedLoad, Acknowledged, Broken, broken};
use crate::cluster::{Cluster, PATIENCE, Shape};
use crate::recording::{Judge, Report};
use fba_core::{NodeId, SlotIndex};
use fba_server::cli::client::Client;
use fba_server::cli::events::{EventStream, NoEvent};
use fba_server::demo::Payers;
use fba_server::http::dto::{self, Ledgers, Slot};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tail::Tail;

/// Validators of the network.
const VALIDATORS: usize = 4;

/// Every so many rounds, all validators die at once.
const ALL_DIE_EVERY: usize = 10;

/// In one of so many of the other rounds, two die at once.
const TWO_DIE_ONE_IN: usize = 5;

/// Ledgers the others close while the dead are away.
const AWAY_MIN: usize = 2;
const AWAY_MAX: usize = 5;

/// The phases of a slot in which a validator may be killed.
const PHASES: [&str; 4] = ["nominate", "prepare", "confirm", "externalize"];

/// Phases waited for until the right one comes; a phase may pass unseen, because events are made after each batch.
const PHASES_WAITED: usize = 12;

/// How far the slot a killed node may have voted in is above the highest ledger anybody else has closed: it may have
/// closed the next one alone, and voted in the one after.
const AHEAD_MAX: u64 = 2;

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
    /// Ledgers closed in all.
    pub ledgers: u64,
    /// Transactions that a server answered `closed` for.
    pub acknowledged: usize,
    /// Promises that a server's ledger does not keep, by server.
    pub lost: Vec<(String, Broken)>,
    /// Ledgers whose header hash is not the same on all servers.
    pub forks: Vec<u64>,
    /// From the start of a process until it was in sync, ascending.
    pub in_sync: Vec<Duration>,
    /// From the start of a process until the follower heard it vote in a later slot, ascending.
    pub voting: Vec<Duration>,
    /// The verdict over the recording.
    pub report: Report,
}

impl Figures {
    /// Did everything hold?
    #[must_use]
    pub fn hold(&self) -> bool {
        let Report { contradictions, forged, torn, .. } = &self.report;
        let recording = contradictions.is_empty() && *forged == 0 && torn.is_empty();
        self.lost.is_empty() && self.forks.is_empty() && recording && self.acknowledged > 0
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, rounds, ledgers, acknowledged, lost, forks, in_sync, voting, report } = self;
        let statements: u64 = report.keys.values().map(|counts| counts.ballots + counts.nominations).sum();
        let records: u64 = report.keys.values().map(|counts| counts.records).sum();
        for (server, Broken { promise, found }) in lost {
            let (hash, ledger) = (&promise.hash, promise.ledger);
            writeln!(f, "LOST on {server}: {hash} was acknowledged in ledger {ledger}, and stands in {found:?}")?;
        }
        writeln!(f, "{report}")?;
        writeln!(f, "kills                   {kills} in {rounds} rounds, {ledgers} ledgers")?;
        writeln!(f, "acknowledged            {acknowledged}, lost or doubled: {}", lost.len())?;
        match forks.as_slice() {
            [] => writeln!(f, "header hashes           equal on all servers")?,
            forks => writeln!(f, "header hashes           FORKS at {forks:?}")?,
        }
        writeln!(f, "statements recorded     {records}, {statements} different")?;
        writeln!(f, "contradictions          {}", report.contradictions.len())?;
        writeln!(f, "back in sync after      {}", spread(in_sync))?;
        write!(f, "voting again after      {}", spread(voting))
    }
}

fn spread(ascending: &[Duration]) -> String {
    let seconds = |time: Option<&Duration>| time.copied().unwrap_or_default().as_secs_f64();
    let median = ascending.get(ascending.len() / 2);
    format!("median {:.2} s, max {:.2} s", seconds(median), seconds(ascending.last()))
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of each round.
///
/// # Panics
/// When the network does not do what it must in time: something does not close, or somebody does not come back.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> Figures {
    let recording = folder.join("recording");
    let mut cluster = Cluster::make(program, Shape::FOUR, &folder.join("network"));
    let follower = cluster.add_follower("follower");
    let record = recording.display().to_string();
    cluster.try_start_node(follower, &["--record", &record]).expect("the follower starts");
    cluster.start_all();
    cluster.all_closed(2);
    let load = start_load(&cluster, plan);
    let mut killing = Killing {
        chance: Chance(ChaCha8Rng::seed_from_u64(plan.seed)),
        tail: Tail::new(&recording),
        cluster,
        follower,
        in_sync: Vec::new(),
        voting: Vec::new(),
    };
    let (mut kills, mut rounds) = (0, 0);
    while kills < plan.kills {
        rounds += 1;
        let victims = killing.victims(rounds, plan.kills - kills);
        kills += victims.len();
        let told = killing.round(&victims);
        tell(&format!("round {rounds}: {told}; {kills} of {} kills, {} acknowledged", plan.kills, load.count()));
    }
    tell("checking every server's ledgers, and the recording");
    killing.finish(&recording, &load.stop(), kills, rounds)
}

fn start_load(cluster: &Cluster, plan: Plan) -> AckedLoad {
    let (network, root) = (cluster.network(), cluster.root_key());
    let payers = Payers::open(&cluster.client(0), network, &root, plan.payers, 0).expect("accounts");
    let urls: Vec<String> =
        cluster.files.nodes.iter().take(VALIDATORS).map(|node| format!("http://{}", node.http)).collect();
    AckedLoad::start(network, &payers, &urls)
}

/// The one source of chance.
struct Chance(ChaCha8Rng);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        let next = usize::try_from(self.0.next_u32()).unwrap_or(0);
        next.checked_rem(bound).unwrap_or(0)
    }

    /// The validators in an order by chance.
    fn order(&mut self) -> Vec<usize> {
        let mut left: Vec<usize> = (0..VALIDATORS).collect();
        (0..VALIDATORS).map(|_| left.remove(self.below(left.len()))).collect()
    }
}

/// A process that was started again.
struct Returning {
    index: usize,
    node: NodeId,
    started: Instant,
    started_unix_ms: u64,
    /// It has not voted in a slot above this one before.
    voted_at_most: SlotIndex,
}

struct Killing {
    cluster: Cluster,
    follower: usize,
    chance: Chance,
    tail: Tail,
    in_sync: Vec<Duration>,
    voting: Vec<Duration>,
}

impl Killing {
    /// Who dies in this round: at most `most`, in an order by chance.
    fn victims(&mut self, round: usize, most: usize) -> Vec<usize> {
        let many = match (round % ALL_DIE_EVERY, self.chance.below(TWO_DIE_ONE_IN)) {
            (0, _) => VALIDATORS,
            (_, 0) => 2,
            (_, _) => 1,
        };
        self.chance.order().into_iter().take(many.min(most)).collect()
    }

    /// Kills, waits, starts again, waits until all are back. What happened, for people.
    fn round(&mut self, victims: &[usize]) -> String {
        let phase = self.await_phase(victims);
        victims.iter().for_each(|index| self.cluster.kill(*index));
        let names: Vec<String> = victims.iter().map(|index| self.name(*index).to_owned()).collect();
        let away = AWAY_MIN + self.chance.below(AWAY_MAX - AWAY_MIN + 1);
        let back = match victims {
            [one] => {
                self.close_more(away);
                vec![self.start(*one)]
            }
            // Two of four halt: one comes back, and only then ledgers close again.
            [first, second] => {
                let first = self.start(*first);
                self.close_more(away);
                vec![first, self.start(*second)]
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
        let order = self.chance.order();
        order.iter().filter(|index| all.contains(index)).map(|index| self.start(*index)).collect()
    }

    fn name(&self, index: usize) -> &str {
        self.cluster.files.nodes.get(index).map_or("", |node| &node.name)
    }

    /// Waits until the first victim is in a phase picked by chance; some phases are too short to be seen.
    fn await_phase(&mut self, victims: &[usize]) -> String {
        let wanted = PHASES.get(self.chance.below(PHASES.len())).copied().unwrap_or_default();
        let first = victims.first().copied().expect("somebody dies in each round");
        let mut stream = EventStream::open(&self.cluster.client(first), None).expect("a running server answers");
        let mut seen = String::new();
        for _ in 0..PHASES_WAITED {
            seen = next_of::<Slot>(&mut stream, "phase").phase;
            if seen == wanted {
                break;
            }
        }
        seen
    }

    /// Waits until the running ones have closed so many more ledgers.
    fn close_more(&self, count: usize) {
        let until = self.cluster.highest() + count as u64;
        let _ = self.cluster.closed(self.follower, until);
    }

    fn start(&mut self, index: usize) -> Returning {
        let node = self.cluster.files.nodes.get(index).expect("a server of this network").node;
        let voted_at_most = SlotIndex(self.cluster.highest() + AHEAD_MAX);
        let (started, started_unix_ms) = (Instant::now(), unix_ms());
        self.cluster.start_node(index);
        Returning { index, node, started, started_unix_ms, voted_at_most }
    }

    /// Waits until it is in sync, and until the follower's recording holds a new vote of it.
    fn await_return(&mut self, returning: &Returning) -> String {
        let Returning { index, node, started, started_unix_ms, voted_at_most } = returning;
        let mut events = EventStream::open(&self.cluster.client(*index), None).expect("a running server answers");
        while next_of::<dto::Sync>(&mut events, "sync").state != "synced" {}
        // Those started together are waited for one after the other: an upper bound for all but the first.
        let in_sync = started.elapsed();
        let mut closes = EventStream::open(&self.cluster.client(self.follower), None).expect("the follower answers");
        let deadline = *started + PATIENCE;
        let voted_unix_ms = loop {
            if let Some(at) = self.tail.vote_after(*node, *voted_at_most, *started_unix_ms) {
                break at;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // Any event will do: the network goes on, so the recording grows.
            if let Err(NoEvent::Silence | NoEvent::Ended) = closes.next(left) {
                panic!("{} does not vote again after slot {voted_at_most}", self.name(*index));
            }
        };
        let voting = Duration::from_millis(voted_unix_ms.saturating_sub(*started_unix_ms));
        self.in_sync.push(in_sync);
        self.voting.push(voting);
        format!("{:.2} s", voting.as_secs_f64())
    }

    fn finish(mut self, recording: &Path, promises: &[Acknowledged], kills: usize, rounds: usize) -> Figures {
        let promised = promises.iter().map(|promise| promise.ledger).max().unwrap_or(0);
        let ledgers = self.cluster.highest().max(promised);
        self.cluster.all_closed(ledgers);
        let hashes: Vec<_> = self.cluster.clients().iter().map(|client| headers(client, ledgers)).collect();
        let differ = |sequence: &u64| {
            hashes.windows(2).any(|pair| match pair {
                [one, other] => one.get(sequence).is_none() || one.get(sequence) != other.get(sequence),
                _ => false,
            })
        };
        let forks = (1..=ledgers).filter(differ).collect();
        let names: Vec<String> = (0..self.cluster.len()).map(|index| self.name(index).to_owned()).collect();
        let lost = names
            .iter()
            .zip(self.cluster.clients())
            .flat_map(|(name, client)| broken(promises, &client).into_iter().map(|broken| (name.clone(), broken)))
            .collect();
        assert!(self.cluster.stop(self.follower), "the follower stops cleanly, its recording whole");
        let mut judge = Judge::new(Some(self.cluster.network()));
        judge.read(recording).expect("the recording can be read");
        self.in_sync.sort_unstable();
        self.voting.sort_unstable();
        let Self { in_sync, voting, .. } = self;
        let (acknowledged, report) = (promises.len(), judge.report());
        Figures { kills, rounds, ledgers, acknowledged, lost, forks, in_sync, voting, report }
    }
}

/// The next event of this name.
fn next_of<T: serde::de::DeserializeOwned>(stream: &mut EventStream, name: &str) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match stream.next(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) if event.name == name => return serde_json::from_str(&event.data).expect("an event of the API"),
            Ok(_) => {}
            Err(NoEvent::Silence) => panic!("no {name} event within {} s", PATIENCE.as_secs()),
            Err(NoEvent::Ended) => panic!("the server ended its event stream"),
        }
    }
}

/// Header hashes of a server's ledgers up to `last`.
fn headers(client: &Client, last: u64) -> BTreeMap<u64, String> {
    const PAGE: u64 = 200;
    let mut found = BTreeMap::new();
    let mut before = last + 1;
    while before > 1 {
        let page: Ledgers =
            client.get(&format!("/v1/ledgers?limit={PAGE}&before={before}")).expect("the server answers");
        let Some(oldest) = page.ledgers.last() else { break };
        before = oldest.sequence;
        found.extend(page.ledgers.into_iter().map(|ledger| (ledger.sequence, ledger.hash)));
    }
    found
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
