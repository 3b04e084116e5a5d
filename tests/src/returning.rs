//! A new server that joins a network with a long past: how fast it catches up, and whether it goes on after kill -9.

use crate::cluster::{Cluster, node};
use crate::liar::{Liar, Lie};
use ed25519_dalek::{Signer, SigningKey};
use fba_server::http::dto;
use fba_server::ledger::AccountId;
use std::time::{Duration, Instant};

/// How often the follower is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Catching up may stand still for so long before it is given up.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);

/// What a server shows may be so many ledgers ahead of what it has stored.
const SHOWN_EARLY: u64 = 200;

/// What to do on the way.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// kill -9 at these fractions of the way, in thousandths, ascending; started again at once.
    pub kills: Vec<u64>,
    /// Liars among the peers of the follower.
    pub lies: Vec<Lie>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Ledgers the network had when the follower began.
    pub ledgers: u64,
    /// From the start of the follower until it was there, kills included.
    pub took: Duration,
    /// From its start to its first ledger: connecting, hearing a quorum, headers.
    pub until_first: Duration,
    /// For each kill: the ledger it was at, and the first one it showed after it was started again.
    pub resumed: Vec<(u64, u64)>,
    /// Lies sent to it.
    pub lies: u64,
    /// Is its header of the last ledger the network's?
    pub same: bool,
    /// Did it ever show progress with a rate?
    pub showed_progress: bool,
}

impl Figures {
    /// Ledgers a second, from the first applied on.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.ledgers as f64 / self.took.saturating_sub(self.until_first).as_secs_f64().max(0.001)
    }

    /// Did everything hold that must?
    #[must_use]
    pub fn hold(&self) -> bool {
        self.same && self.resumed.iter().all(|(before, after)| after.saturating_add(SHOWN_EARLY) >= *before)
    }
}

/// Adds a follower called `name` to a network that runs, and watches it until it has caught up.
///
/// # Panics
/// When it does not get there.
#[must_use]
pub fn join(cluster: &mut Cluster, name: &str, way: &Way) -> Figures {
    let follower = cluster.add_follower(name);
    let ledgers = cluster.highest();
    let (network, files) = (cluster.network(), &cluster.files.nodes);
    let (victim, honest) = (files.get(follower), files.first());
    let (victim, honest) = victim.zip(honest).expect("a follower and a validator");
    let (victim, honest) = ((victim.node, victim.listen), (honest.node, honest.listen));
    let begun = Instant::now();
    cluster.start_node(follower);
    // Now that it listens, or their first call would be in vain.
    let liars: Vec<Liar> =
        way.lies.iter().map(|lie| Liar::start(network, *lie, victim, honest).expect("a liar can listen")).collect();
    let mut watch = Watch { begun, last: 0, moved: begun, until_first: None, showed_progress: false };
    let mut resumed = Vec::new();
    for kill in &way.kills {
        let before = watch.until(cluster, follower, (ledgers * kill / 1_000).max(2));
        cluster.kill(follower);
        cluster.start_node(follower);
        resumed.push((before, node(&cluster.client(follower)).ledger.sequence));
    }
    watch.until(cluster, follower, ledgers);
    let took = begun.elapsed();
    let hash = |index: usize| {
        let ledger: Result<dto::Ledger, _> = cluster.client(index).get(&format!("/v1/ledgers/{ledgers}"));
        ledger.expect("a ledger that is closed").hash
    };
    Figures {
        ledgers,
        took,
        until_first: watch.until_first.unwrap_or_default(),
        resumed,
        lies: liars.iter().map(Liar::told).sum(),
        same: hash(follower) == hash(0),
        showed_progress: watch.showed_progress,
    }
}

struct Watch {
    begun: Instant,
    last: u64,
    moved: Instant,
    until_first: Option<Duration>,
    showed_progress: bool,
}

impl Watch {
    /// Until the follower has closed `goal`; where it is then.
    fn until(&mut self, cluster: &Cluster, follower: usize, goal: u64) -> u64 {
        let client = cluster.client(follower);
        loop {
            let seen = node(&client);
            let at = seen.ledger.sequence;
            let progress = seen.sync.catch_up.as_ref();
            self.showed_progress |= progress.is_some_and(|progress| progress.ledgers_per_second.is_some());
            if at != self.last {
                (self.last, self.moved) = (at, Instant::now());
            }
            if at > 1 {
                self.until_first.get_or_insert(self.begun.elapsed());
            }
            if at >= goal {
                return at;
            }
            assert!(self.moved.elapsed() < STANDSTILL_MAX, "it stands still at ledger {at}: {:?}", seen.sync);
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// How long one strict check of a signature takes here.
#[must_use]
pub fn signature_check() -> Duration {
    const CHECKS: u32 = 2_000;
    let key = SigningKey::from_bytes(&[7; 32]);
    let (message, account) = ([1; 200], AccountId(key.verifying_key().to_bytes()));
    let signature = key.sign(&message);
    let public = ed25519_dalek::VerifyingKey::from_bytes(&account.0).expect("a key's own bytes");
    let begun = Instant::now();
    let good = (0..CHECKS).filter(|_| public.verify_strict(&message, &signature).is_ok()).count();
    assert_eq!(good, CHECKS as usize, "a genuine signature is genuine each time");
    begun.elapsed() / CHECKS
}
