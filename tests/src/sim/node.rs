//! One simulated node: the real herder on a simulated disk.

use super::disk::Disk;
use super::signer::StandIn;
use super::topology::Member;
use fba_server::herder::{Batch, Herder, HerderConfig, Input, Now, Standing};
use fba_server::ledger::Ledger;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Where clocks start, in milliseconds since the epoch.
pub(super) const EPOCH_MS: u64 = 1_700_000_000_000;

/// One node.
pub(super) struct SimNode {
    pub(super) member: Member,
    pub(super) disk: Disk,
    /// The running process, if it runs.
    pub(super) herder: Option<Herder>,
    /// Counts starts: what belongs to an earlier one is void.
    pub(super) epoch: u64,
    pub(super) skew_ms: i64,
    pub(super) standing: Standing,
    /// While the disk is busy: what follows, and what came meanwhile.
    pub(super) committing: Option<Batch>,
    pub(super) inbox: VecDeque<Input>,
    /// The last wake-up asked for; earlier ones are void.
    pub(super) wakeup: u64,
}

impl SimNode {
    pub(super) fn new(member: Member, ledger: Ledger) -> Self {
        Self {
            member,
            disk: Disk::new(ledger),
            herder: None,
            epoch: 0,
            skew_ms: 0,
            standing: Standing::Intact,
            committing: None,
            inbox: VecDeque::new(),
            wakeup: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.herder.is_some()
    }

    /// The node's clocks at simulated time `at`, in microseconds.
    pub(super) fn now(&self, at: u64) -> Now {
        let unix_ms = (EPOCH_MS + at / 1_000).saturating_add_signed(self.skew_ms);
        Now { monotonic: Duration::from_micros(at), unix_ms }
    }

    pub(super) fn start(&mut self) {
        let config = HerderConfig {
            quorum_set: self.member.quorum_set.clone(),
            is_validator: self.member.is_validator,
            leader_weights: None,
        };
        let contents = &self.disk.synced;
        let signer = Arc::new(StandIn(self.member.id));
        let restored = contents.restored(self.standing);
        self.herder = Some(Herder::new(config, signer, contents.ledger.clone(), restored));
        self.epoch += 1;
        self.inbox.clear();
        self.committing = None;
    }

    pub(super) fn stop(&mut self) {
        self.herder = None;
        self.committing = None;
        self.inbox.clear();
        self.epoch += 1;
    }
}
