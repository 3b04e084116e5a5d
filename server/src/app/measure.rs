//! Metrics of consensus: counted from notices, and set from each snapshot.

use super::consensus::unix_ms;
use crate::herder::{ClosedSummary, Herder, Judgement, Notice, StatementKind};
use crate::http::{NodeView, Standing, SyncState};
use crate::overlay::PeerInfo;
use crate::telemetry::{Metrics, whole};
use fba_core::{Phase, SlotIndex, Timer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The states a node can be in, as the API names them.
const STATES: [&str; 7] = [
    SyncState::Booting.name(),
    SyncState::Joining.name(),
    SyncState::CatchingUp.name(),
    SyncState::Synced.name(),
    SyncState::Stuck.name(),
    SyncState::Recovering.name(),
    SyncState::Diverged.name(),
];

/// What is known of the open slot so far.
#[derive(Clone, Copy, Debug)]
struct Slot {
    index: SlotIndex,
    rounds: u32,
    counter: u32,
    confirming: Option<Instant>,
}

impl Slot {
    fn new(index: SlotIndex) -> Self {
        Self { index, rounds: 1, counter: 1, confirming: None }
    }
}

/// Keeps the metrics of one node.
pub(super) struct Measure {
    pub(super) metrics: Arc<Metrics>,
    slot: Slot,
    last_close: Option<Instant>,
    /// What the herder had judged when it was counted last.
    judged: BTreeMap<(StatementKind, Judgement), u64>,
}

impl Measure {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, slot: Slot::new(SlotIndex(0)), last_close: None, judged: BTreeMap::new() }
    }

    pub(super) fn committed(&self, took: Duration, synced: bool) {
        if synced {
            self.metrics.commits.inc();
        }
        let label = [("synced", if synced { "true" } else { "false" })];
        self.metrics.commit_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// So many inputs of each kind wait for the consensus thread.
    pub(super) fn waiting(&self, votes: usize, payload: usize, requests: usize) {
        for (queue, length) in [("votes", votes), ("payload", payload), ("requests", requests)] {
            self.metrics.inputs_waiting.get_or_create(&[("queue", queue)]).set(whole(length));
        }
    }

    /// A statement goes to so many peers.
    pub(super) fn sent(&self, kind: StatementKind, peers: usize) {
        self.metrics.statements_sent.get_or_create(&[("kind", kind.name())]).inc_by(peers as u64);
    }

    pub(super) fn note(&mut self, notice: &Notice) {
        match notice {
            Notice::Closed(closed) => self.closed(closed),
            Notice::TimedOut { slot, timer } => {
                let name = match timer {
                    Timer::Nomination => "nomination",
                    Timer::Ballot => "ballot",
                };
                self.metrics.timeouts.get_or_create(&[("timer", name)]).inc();
                if *timer == Timer::Nomination {
                    let slot = self.slot(*slot);
                    slot.rounds = slot.rounds.saturating_add(1);
                }
            }
            Notice::Moved(moved) => {
                let slot = self.slot(moved.slot);
                slot.counter = slot.counter.max(moved.ballot.counter);
            }
            Notice::Phase { slot, phase: Phase::Confirm } => self.slot(*slot).confirming = Some(Instant::now()),
            Notice::Phase { .. }
            | Notice::Ticket { .. }
            | Notice::Sync(_)
            | Notice::Refused { .. }
            | Notice::SilenceOverridden { .. } => {}
        }
    }

    fn slot(&mut self, index: SlotIndex) -> &mut Slot {
        if self.slot.index != index {
            self.slot = Slot::new(index);
        }
        &mut self.slot
    }

    fn closed(&mut self, closed: &ClosedSummary) {
        let (metrics, now) = (Arc::clone(&self.metrics), Instant::now());
        metrics.ledger_sequence.set(whole(closed.sequence));
        metrics.transactions.inc_by(u64::from(closed.transactions));
        metrics.transactions_failed.inc_by(u64::from(closed.failed));
        metrics.ledger_close_time_seconds.set(seconds(closed.close_time_ms));
        if closed.caught_up {
            // Its interval and phases were others'.
            self.last_close = None;
            metrics.ledgers_caught_up.inc();
            return;
        }
        metrics.close_time_offset_seconds.set(seconds(closed.close_time_ms) - seconds(unix_ms()));
        if let Some(before) = self.last_close.replace(now) {
            metrics.close_interval_seconds.observe(now.duration_since(before).as_secs_f64());
        }
        let slot = *self.slot(SlotIndex(closed.sequence));
        let confirm = slot.confirming.map(|since| now.duration_since(since)).unwrap_or_default();
        let (nominate, ballot) = (closed.nomination.unwrap_or_default(), closed.ballot.unwrap_or_default());
        let confirm = confirm.min(ballot);
        let phases = [
            ("nominate", nominate),
            ("prepare", ballot.saturating_sub(confirm)),
            ("confirm", confirm),
            ("total", nominate.saturating_add(ballot)),
        ];
        for (phase, took) in phases {
            metrics.slot_phase_seconds.get_or_create(&[("phase", phase)]).observe(took.as_secs_f64());
        }
        metrics.nomination_rounds.observe(f64::from(slot.rounds));
        // CONFIRM stands at the highest counter there is, which says nothing about how often balloting began anew.
        if slot.counter < u32::MAX {
            metrics.ballot_counter.observe(f64::from(slot.counter));
        }
    }

    /// What a snapshot shows.
    pub(super) fn show(&mut self, view: &NodeView, herder: &Herder, links: &[PeerInfo]) {
        let metrics = &self.metrics;
        let inbound = links.iter().filter(|link| link.inbound).count();
        metrics.peers.get_or_create(&[("direction", "inbound")]).set(whole(inbound));
        metrics.peers.get_or_create(&[("direction", "outbound")]).set(whole(links.len().saturating_sub(inbound)));
        metrics.overlay_waiting_bytes.set(whole(links.iter().map(|link| link.waiting_bytes).sum::<usize>()));
        metrics.overlay_shed_messages.set(whole(links.iter().map(|link| link.shed).sum::<u64>()));
        metrics.queued_transactions.set(whole(view.queued));
        metrics.statements_waiting.set(whole(herder.statements_waiting()));
        metrics.ledger_sequence.set(whole(view.ledger.sequence));
        metrics.ledger_close_time_seconds.set(seconds(view.ledger.close_time_ms));
        metrics.synced.set(i64::from(view.sync == SyncState::Synced));
        metrics.set_state(view.sync.name(), &STATES);
        for standing in [Standing::Agree, Standing::Delayed, Standing::Disagree, Standing::Missing] {
            let nodes = view.nodes.iter().filter(|node| node.standing == standing).count();
            metrics.quorum_nodes.get_or_create(&[("standing", standing.name())]).set(whole(nodes));
        }
        match view.quorum.fail_at {
            Some(failures) => {
                metrics.quorum_failures_to_halt.get_or_create(&[]).set(whole(failures));
            }
            None => metrics.quorum_failures_to_halt.clear(),
        }
        if let Some(ahead_ms) = view.clock.ahead_ms {
            metrics.clock_ahead_seconds.set(ahead_ms as f64 / 1000.0);
        }
        self.count_judged(herder);
    }

    fn count_judged(&mut self, herder: &Herder) {
        for (what, total) in herder.judged() {
            let counted = self.judged.entry(*what).or_default();
            let labels = [("kind", what.0.name()), ("verdict", what.1.name())];
            self.metrics.statements.get_or_create(&labels).inc_by(total.saturating_sub(*counted));
            *counted = *total;
        }
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
