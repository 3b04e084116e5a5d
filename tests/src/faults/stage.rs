//! What every fault is tried on: four validators that close ledgers under an acknowledged load, and a follower,
//! connected to all of them and never harmed, that records every statement it hears.

use super::chance::Chance;
use super::tail::Tail;
use crate::acked::{AckedLoad, Broken, broken};
use crate::cluster::{Cluster, PATIENCE, Shape, node};
use crate::recording::{Judge, Report};
use fba_core::{NodeId, SlotIndex};
use fba_server::cli::client::Client;
use fba_server::cli::events::{EventStream, NoEvent};
use fba_server::demo::Payers;
use fba_server::http::dto::{self, Ledgers, Slot};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Validators of the network: the servers 0 to 3. The follower is number 4.
pub const VALIDATORS: usize = 4;

/// The phases of a slot in which a fault may strike.
const PHASES: [&str; 4] = ["nominate", "prepare", "confirm", "externalize"];

/// Phases waited for until the right one comes; a phase may pass unseen, because events are made after each batch.
const PHASES_WAITED: usize = 12;

/// How far the slot a killed node may have voted in is above the highest ledger anybody else has closed: it may have
/// closed the next one alone, and voted in the one after.
const AHEAD_MAX: u64 = 2;

/// How to set the stage.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The network; always of four validators.
    pub shape: Shape,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
    /// Decides what happens.
    pub seed: u64,
}

/// A network under load, and who watches it.
pub struct Stage {
    /// The servers.
    pub cluster: Cluster,
    /// What decides.
    pub chance: Chance,
    /// The recording, as far as it is read.
    pub tail: Tail,
    follower: usize,
    recording: PathBuf,
    // Taken at the end.
    load: Option<AckedLoad>,
}

/// A process that was started again.
#[derive(Clone, Copy, Debug)]
pub struct Returning {
    /// Which server.
    pub index: usize,
    /// Whose key.
    pub node: NodeId,
    /// When it was started.
    pub started: Instant,
    /// The same by the wall clock, in milliseconds since the epoch.
    pub started_unix_ms: u64,
    /// It has not voted in a slot above this one before.
    pub voted_at_most: SlotIndex,
}

/// What came of a whole run, whatever the fault.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Ledgers closed in all.
    pub ledgers: u64,
    /// Transactions that a server answered `closed` for.
    pub acknowledged: usize,
    /// Promises that a server's ledger does not keep, by server.
    pub lost: Vec<(String, Broken)>,
    /// Ledgers whose header hash is not the same on all servers.
    pub forks: Vec<u64>,
    /// The verdict over the recording.
    pub report: Report,
}

impl Stage {
    /// Makes a network in `folder` of `program`, the `fba` command, and puts it under load.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn set(program: &Path, folder: &Path, setting: Setting) -> Self {
        let recording = folder.join("recording");
        let mut cluster = Cluster::make(program, setting.shape, &folder.join("network"));
        let follower = cluster.add_follower("follower");
        let record = recording.display().to_string();
        cluster.try_start_node(follower, &["--record", &record]).expect("the follower starts");
        cluster.start_all();
        cluster.all_closed(2);
        let load = Some(start_load(&cluster, setting.payers));
        Self { tail: Tail::new(&recording), chance: Chance::of(setting.seed), cluster, follower, recording, load }
    }

    /// Transactions acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.load.as_ref().map_or(0, AckedLoad::count)
    }

    /// What a server is called.
    #[must_use]
    pub fn name(&self, index: usize) -> &str {
        self.cluster.files.nodes.get(index).map_or("", |node| &node.name)
    }

    /// A server's key.
    ///
    /// # Panics
    /// When there is no such server.
    #[must_use]
    pub fn node(&self, index: usize) -> NodeId {
        self.cluster.files.nodes.get(index).expect("a server of this network").node
    }

    /// A server's data folder.
    ///
    /// # Panics
    /// When there is no such server.
    #[must_use]
    pub fn data_folder(&self, index: usize) -> PathBuf {
        self.cluster.files.nodes.get(index).expect("a server of this network").folder.join("data")
    }

    /// A client of the follower.
    #[must_use]
    pub fn witness(&self) -> Client {
        self.cluster.client(self.follower)
    }

    /// The newest ledger of the follower.
    #[must_use]
    pub fn height(&self) -> u64 {
        node(&self.witness()).ledger.sequence
    }

    /// Waits until the network has closed so many more ledgers.
    pub fn close_more(&self, count: usize) {
        let _ = self.cluster.closed(self.follower, self.height() + count as u64);
    }

    /// Lets time pass while the network goes on.
    ///
    /// # Panics
    /// When the follower's stream ends.
    pub fn pass(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut events = EventStream::open(&self.witness(), None).expect("the follower answers");
        loop {
            match events.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(NoEvent::Silence) => return,
                Err(NoEvent::Ended) => panic!("the follower ended its event stream"),
            }
        }
    }

    /// Waits until a server is in a phase picked by chance; some phases are too short to be seen. The phase it is in.
    pub fn await_phase(&mut self, index: usize) -> String {
        let wanted = self.chance.one_of(&PHASES);
        let mut stream = EventStream::open(&self.cluster.client(index), None).expect("a running server answers");
        let mut seen = String::new();
        for _ in 0..PHASES_WAITED {
            seen = next_of::<Slot>(&mut stream, "phase").phase;
            if seen == wanted {
                break;
            }
        }
        seen
    }

    /// Starts a server that was killed.
    pub fn start(&mut self, index: usize) -> Returning {
        let returning = self.returning(index);
        self.cluster.start_node(index);
        returning
    }

    /// A server that is about to return now.
    #[must_use]
    pub fn returning(&self, index: usize) -> Returning {
        let running = (0..self.cluster.len()).filter(|other| *other != index && self.cluster.is_running(*other));
        let heights = running.map(|other| node(&self.cluster.client(other)).ledger.sequence);
        let voted_at_most = SlotIndex(heights.max().unwrap_or(0) + AHEAD_MAX);
        let (started, started_unix_ms) = (Instant::now(), unix_ms());
        Returning { index, node: self.node(index), started, started_unix_ms, voted_at_most }
    }

    /// Waits until it is in sync; how long that took.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn await_sync(&self, returning: &Returning) -> Duration {
        self.await_state(returning.index, "synced");
        returning.started.elapsed()
    }

    /// Waits until a server says that it is in this state; the reason it gives.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn await_state(&self, index: usize, state: &str) -> Option<String> {
        let client = self.cluster.client(index);
        let mut events = EventStream::open(&client, None).expect("a running server answers");
        let mut sync = node(&client).sync;
        while sync.state != state {
            sync = next_of::<dto::Sync>(&mut events, "sync");
        }
        sync.reason
    }

    /// Waits until the follower's recording holds a new vote of it; how long after the start it was heard.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn await_vote(&mut self, returning: &Returning) -> Duration {
        let Returning { index, node, started_unix_ms, voted_at_most, .. } = *returning;
        let what = format!("{} votes again after slot {voted_at_most}", self.name(index));
        let voted = self.until(&what, |tail| tail.vote_after(node, voted_at_most, started_unix_ms));
        Duration::from_millis(voted.saturating_sub(started_unix_ms))
    }

    /// As [`Stage::await_vote`]; `None` if its process ends instead.
    ///
    /// # Panics
    /// When neither happens in time.
    pub fn await_vote_or_end(&mut self, returning: &Returning) -> Option<Duration> {
        let Returning { index, node, started_unix_ms, voted_at_most, .. } = *returning;
        let mut voted = None;
        let look = |tail: &mut Tail| {
            voted = tail.vote_after(node, voted_at_most, started_unix_ms);
            voted.is_some()
        };
        let _ = self.await_or_end(index, "it votes", look);
        voted.map(|at| Duration::from_millis(at.saturating_sub(started_unix_ms)))
    }

    /// Waits until `look` says so; false if the server's process ends instead.
    ///
    /// # Panics
    /// When neither happens in time.
    pub fn await_or_end(&mut self, index: usize, what: &str, mut look: impl FnMut(&mut Tail) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut events = EventStream::open(&self.witness(), None).expect("the follower answers");
        loop {
            if look(&mut self.tail) {
                return true;
            }
            if self.cluster.has_ended(index) {
                return false;
            }
            assert!(Instant::now() < deadline, "{}: neither {what} nor does it end", self.name(index));
            // Any event will do to look again.
            let _ = events.next(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Waits until everything the follower heard before `unix_ms` is in the recording.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn await_recorded(&mut self, unix_ms: u64) {
        self.until("the recording goes on", |tail| (tail.newest_unix_ms() > unix_ms).then_some(()));
    }

    /// Waits for something in the recording. Any event of the follower will do to look again: the network goes on, so
    /// the recording grows.
    fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Tail) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut events = EventStream::open(&self.witness(), None).expect("the follower answers");
        loop {
            if let Some(found) = look(&mut self.tail) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let (Err(NoEvent::Silence | NoEvent::Ended), _) | (Ok(_), Duration::ZERO) = (events.next(left), left) {
                panic!("{what}: not within {} s", PATIENCE.as_secs());
            }
        }
    }

    /// Waits until a server ends by itself; how it ended. `None`: it had to be killed.
    ///
    /// # Panics
    /// When it goes on.
    pub fn await_end(&mut self, index: usize) -> Option<ExitStatus> {
        let process = self.cluster.take(index);
        let deadline = Instant::now() + PATIENCE;
        // A server that does not answer any more is about to end.
        if let Ok(mut events) = EventStream::open(&crate::cluster::client(&process.url), None) {
            loop {
                match events.next(deadline.saturating_duration_since(Instant::now())) {
                    Err(NoEvent::Ended) => break,
                    Ok(_) if Instant::now() < deadline => {}
                    Ok(_) | Err(NoEvent::Silence) => {
                        panic!("{} goes on for {} s", self.name(index), PATIENCE.as_secs())
                    }
                }
            }
        }
        process.stop()
    }

    /// Sends a signal to a running server: `-STOP`, `-CONT`.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, index: usize, name: &str) {
        let pid = self.cluster.pid(index).to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("the kill command");
        assert!(sent.success(), "kill {name} {pid}");
    }

    /// How long a server's log is.
    #[must_use]
    pub fn log_length(&self, index: usize) -> u64 {
        std::fs::metadata(self.log(index)).map_or(0, |log| log.len())
    }

    /// What a server has logged since its log was so long.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn logged_since(&self, index: usize, length: u64) -> String {
        let read = || {
            let mut log = std::fs::File::open(self.log(index))?;
            log.seek(SeekFrom::Start(length))?;
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes)?;
            std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().expect("a log that a server has written")
    }

    fn log(&self, index: usize) -> PathBuf {
        self.data_folder(index).with_file_name("node.log")
    }

    /// The last error a server printed since its log was so long, without the paths that differ from run to run.
    #[must_use]
    pub fn complaint(&self, index: usize, length: u64) -> Option<String> {
        let logged = self.logged_since(index, length);
        let error = logged.lines().rev().find_map(|line| line.strip_prefix("error: "))?;
        let folder = self.data_folder(index);
        Some(error.replace(&folder.display().to_string(), "DATA"))
    }

    /// Did a server panic since its log was so long? What it said then.
    #[must_use]
    pub fn panicked(&self, index: usize, length: u64) -> Option<String> {
        let logged = self.logged_since(index, length);
        logged.lines().find(|line| line.contains("panicked at")).map(str::to_owned)
    }

    /// Stops the load, waits until every server has everything that was promised, and judges.
    ///
    /// # Panics
    /// When somebody does not get that far.
    #[must_use]
    pub fn finish(self) -> Evidence {
        self.finish_then(|_| ())
    }

    /// As [`Stage::finish`], with something to be done once the servers are no longer asked.
    ///
    /// # Panics
    /// See there.
    #[must_use]
    pub fn finish_then(mut self, then: impl FnOnce(&mut Self)) -> Evidence {
        let promises = self.load.take().expect("the load runs until the end").stop();
        let promised = promises.iter().map(|promise| promise.ledger).max().unwrap_or(0);
        let ledgers = self.cluster.highest().max(promised);
        for index in 0..self.cluster.len() {
            let _ = self.cluster.closed(index, ledgers);
        }
        let names = self.cluster.files.nodes.iter().map(|node| node.name.clone());
        let lost = names
            .zip(self.cluster.clients())
            .flat_map(|(name, client)| broken(&promises, &client).into_iter().map(move |broken| (name.clone(), broken)))
            .collect();
        let forks = forks(&self.cluster.clients(), ledgers);
        then(&mut self);
        assert!(self.cluster.stop(self.follower), "the follower stops cleanly, its recording whole");
        let mut judge = Judge::new(Some(self.cluster.network()));
        judge.read(&self.recording).expect("the recording can be read");
        Evidence { ledgers, acknowledged: promises.len(), lost, forks, report: judge.report() }
    }
}

fn start_load(cluster: &Cluster, payers: usize) -> AckedLoad {
    let (network, root) = (cluster.network(), cluster.root_key());
    let payers = Payers::open(&cluster.client(0), network, &root, payers, 0).expect("accounts");
    let urls: Vec<String> =
        cluster.files.nodes.iter().take(VALIDATORS).map(|node| format!("http://{}", node.http)).collect();
    AckedLoad::start(network, &payers, &urls)
}

/// The next event of this name.
///
/// # Panics
/// When none comes in time.
pub fn next_of<T: DeserializeOwned>(stream: &mut EventStream, name: &str) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match stream.next(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) if event.name == name => return serde_json::from_str(&event.data).expect("an event of the API"),
            Ok(_) if Instant::now() < deadline => {}
            Ok(_) | Err(NoEvent::Silence) => panic!("no {name} event within {} s", PATIENCE.as_secs()),
            Err(NoEvent::Ended) => panic!("the server ended its event stream"),
        }
    }
}

/// The ledgers up to `last` whose header hash is not the same everywhere.
fn forks(clients: &[Client], last: u64) -> Vec<u64> {
    let hashes: Vec<_> = clients.iter().map(|client| headers(client, last)).collect();
    let differ = |sequence: &u64| {
        hashes.windows(2).any(|pair| match pair {
            [one, other] => one.get(sequence).is_none() || one.get(sequence) != other.get(sequence),
            _ => false,
        })
    };
    (1..=last).filter(differ).collect()
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

/// The wall clock, in milliseconds since the epoch.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Evidence {
    /// Is nothing lost, nothing forked, nobody contradicted by himself?
    #[must_use]
    pub fn holds(&self) -> bool {
        let Report { contradictions, forged, torn, .. } = &self.report;
        let recording = contradictions.is_empty() && *forged == 0 && torn.is_empty();
        self.lost.is_empty() && self.forks.is_empty() && recording && self.acknowledged > 0
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ledgers, acknowledged, lost, forks, report } = self;
        let statements: u64 = report.keys.values().map(|counts| counts.ballots + counts.nominations).sum();
        let records: u64 = report.keys.values().map(|counts| counts.records).sum();
        for (server, Broken { promise, found }) in lost {
            let (hash, ledger) = (&promise.hash, promise.ledger);
            writeln!(f, "LOST on {server}: {hash} was acknowledged in ledger {ledger}, and stands in {found:?}")?;
        }
        writeln!(f, "{report}")?;
        writeln!(f, "ledgers                 {ledgers}")?;
        writeln!(f, "acknowledged            {acknowledged}, lost or doubled: {}", lost.len())?;
        match forks.as_slice() {
            [] => writeln!(f, "header hashes           equal on all servers")?,
            forks => writeln!(f, "header hashes           FORKS at {forks:?}")?,
        }
        writeln!(f, "statements recorded     {records}, {statements} different")?;
        writeln!(f, "contradictions          {}", report.contradictions.len())
    }
}
