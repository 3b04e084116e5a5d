//! What goes wrong, and how often it did.

use super::rng::Rng;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// How often each kind of fault happened.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64),+ }

        impl Counts {
            /// Adds another run's.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            /// Name and number of each kind.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

counts! {
    /// Messages lost.
    lost,
    /// Messages delivered twice.
    doubled,
    /// Messages held back for long, so that later ones overtook them.
    held_back,
    /// Messages that a partition swallowed.
    partitioned,
    /// Partitions.
    partitions,
    /// Links that went down and came up again.
    flaps,
    /// Nodes that crashed.
    crashes,
    /// Crashes in the middle of a commit.
    torn_commits,
    /// Crashes that lost something written and not synced.
    unsynced_lost,
    /// Nodes that lost their whole disk.
    disks_lost,
    /// Of those, nodes that were ahead of all others then.
    lost_ahead,
    /// Clocks far off.
    skewed_clocks,
    /// Clocks that jumped by up to an hour, and back.
    clock_jumps,
}

/// How bad it gets in one run.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    pub(super) loss_permille: u64,
    pub(super) double_permille: u64,
    pub(super) hold_permille: u64,
    /// Microseconds.
    pub(super) latency: (u64, u64),
    /// Microseconds.
    pub(super) commit: (u64, u64),
    /// Chance of each per second.
    pub(super) crash_permille: u64,
    pub(super) partition_permille: u64,
    pub(super) flap_permille: u64,
    pub(super) clock_permille: u64,
    /// Milliseconds between two transactions, on average; 0 for none.
    pub(super) load_every_ms: u64,
}

impl Mix {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let mut sometimes = |likely: u64, most: u64| if rng.chance(likely) { rng.between(1, most) } else { 0 };
        let (loss_permille, double_permille, hold_permille) =
            (sometimes(500, 250), sometimes(400, 200), sometimes(400, 50));
        let (crash_permille, partition_permille) = (sometimes(600, 200), sometimes(400, 100));
        let (flap_permille, clock_permille) = (sometimes(300, 200), sometimes(300, 100));
        let load_every_ms = sometimes(800, 2_000);
        let low = rng.between(50, 20_000);
        Self {
            loss_permille,
            double_permille,
            hold_permille,
            latency: (low, low + rng.between(0, 200_000)),
            commit: (rng.between(10, 5_000), rng.between(5_000, 50_000)),
            crash_permille,
            partition_permille,
            flap_permille,
            clock_permille,
            load_every_ms,
        }
    }

    /// Nothing goes wrong any more; transactions go on.
    pub(super) fn heal(&mut self) {
        *self = Self {
            loss_permille: 0,
            double_permille: 0,
            hold_permille: 0,
            latency: (1_000, 20_000),
            commit: (10, 2_000),
            crash_permille: 0,
            partition_permille: 0,
            flap_permille: 0,
            clock_permille: 0,
            load_every_ms: self.load_every_ms,
        };
    }
}
