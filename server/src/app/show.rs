//! What the node shows: snapshots, events and metrics, a few times a second and never in the way.

use super::consensus::unix_ms;
use super::links;
use super::measure::Measure;
use super::slots::SlotLog;
use crate::herder::{ClosedSummary, Herder, Notice, Now};
use crate::http::{self, Away, Event, Events, Identity, NodeView, Published, SyncState, dto};
use crate::key::node_strkey;
use crate::overlay::{Overlay, PeerInfo};
use crate::telemetry::Metrics;
use fba_core::{NodeId, SlotIndex};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// While something happens, the snapshot is at most this old.
const VIEW_EVERY: Duration = Duration::from_millis(100);

/// Bans and departures can be more than a thousand each, and a peer can make them so: they are not looked at for every
/// snapshot.
const AWAY_EVERY: Duration = Duration::from_secs(1);

/// `phase` events at most this often.
const PHASE_EVERY: Duration = Duration::from_millis(100);

/// How often progress of catching up is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);

/// The first five characters of a node's strkey: enough for a log line.
pub(super) fn short(node: &NodeId) -> String {
    node_strkey(*node).chars().take(5).collect()
}

/// Publishes snapshots, events and metrics.
pub(super) struct Showing {
    published: Published,
    slots: SlotLog,
    events: Events,
    measure: Measure,
    identity: Identity,
    /// Was the clock warned of?
    clock_told: bool,
    shown: Option<Instant>,
    /// Who is not linked, and when that was looked at.
    away: Option<(Instant, Away)>,
    phase_told: Option<Instant>,
    /// While ledgers are fetched: when that was last told, and the first that was lacking.
    catching: Option<(Instant, u64)>,
}

impl Showing {
    pub(super) fn new(
        published: Published,
        slots: SlotLog,
        events: Events,
        metrics: Arc<Metrics>,
        identity: Identity,
    ) -> Self {
        Self {
            published,
            slots,
            events,
            measure: Measure::new(metrics),
            identity,
            clock_told: false,
            shown: None,
            away: None,
            phase_told: None,
            catching: None,
        }
    }

    /// Takes down what happened, before it is carried out, so that the times are those at which it happened.
    pub(super) fn take_down(&mut self, now: Now, notices: &[Notice], herder: &Herder) {
        self.slots.note(now, notices, herder);
    }

    /// What counts.
    pub(super) fn measure(&self) -> &Measure {
        &self.measure
    }

    /// Counts and logs what happened, publishes a new snapshot if one is due, and tells listeners.
    pub(super) fn show(&mut self, notices: &[Notice], at: Now, herder: &Herder, overlay: &Overlay) {
        notices.iter().for_each(|notice| self.note(notice));
        self.publish(at, herder, overlay);
        let view = self.published.load();
        let now = Instant::now();
        for notice in notices {
            if matches!(notice, Notice::Phase { .. }) {
                if self.phase_told.is_some_and(|told| now.duration_since(told) < PHASE_EVERY) {
                    continue;
                }
                self.phase_told = Some(now);
            }
            if matches!(notice, Notice::Sync(_)) {
                log_sync(&view);
            }
            if let Some(event) = http::event_of(notice, &view) {
                self.events.publish(event);
            }
        }
    }

    fn note(&mut self, notice: &Notice) {
        self.measure.note(notice);
        match notice {
            Notice::Closed(ClosedSummary { sequence, hash, transactions, caught_up, .. }) => {
                // Ledgers that are fetched close by the thousand: they need no snapshot each.
                if !caught_up {
                    self.shown = None;
                }
                tracing::debug!(sequence, %hash, transactions, "closed");
            }
            // Logged with its reason once the snapshot has it.
            Notice::Sync(_) => self.shown = None,
            Notice::Refused { peer, reason } => tracing::debug!(peer = %short(peer), reason, "refused"),
            Notice::Moved(moved) => tracing::trace!(?moved, "rule fired"),
            Notice::Ticket { .. }
            | Notice::Phase { .. }
            | Notice::TimedOut { .. }
            | Notice::SilenceOverridden { .. } => {}
        }
    }

    /// Publishes a new snapshot if one is due.
    fn publish(&mut self, at: Now, herder: &Herder, overlay: &Overlay) {
        let now = Instant::now();
        if self.shown.is_some_and(|shown| now.duration_since(shown) < VIEW_EVERY) {
            return;
        }
        self.shown = Some(now);
        let links = overlay.peers();
        let away = self.away(now, overlay);
        let view = NodeView::of(&herder.view(at), &self.identity, links.iter().map(peer).collect(), away);
        self.tell_clock(&view);
        self.tell_progress(&view, now);
        self.measure.show(&view, herder, &links);
        self.slots.publish(at, SlotIndex(view.slot.slot), herder);
        self.published.publish(view);
    }

    /// Who is not linked, as of a second ago at most.
    fn away(&mut self, now: Instant, overlay: &Overlay) -> Away {
        if let Some((at, away)) = &self.away
            && now.duration_since(*at) < AWAY_EVERY
        {
            return away.clone();
        }
        let away = links::away(overlay.bans(), overlay.departures(), &self.identity);
        self.away = Some((now, away.clone()));
        away
    }

    /// Every few seconds while ledgers are fetched, and once when all are here.
    fn tell_progress(&mut self, view: &NodeView, now: Instant) {
        match (&view.catch_up, &self.catching) {
            (Some(progress), told) => {
                if told.as_ref().is_none_or(|(at, _)| now.duration_since(*at) >= PROGRESS_EVERY) {
                    tracing::info!("catching up: {progress}");
                    self.events.publish(Event::Sync(dto::Sync::from(view)));
                    self.catching = Some((now, progress.from));
                }
            }
            (None, Some((_, from))) => {
                tracing::info!(from, to = view.ledger.sequence, "caught up");
                self.catching = None;
            }
            (None, None) => {}
        }
    }

    /// Once when the clock goes wrong, once when it is right again.
    fn tell_clock(&mut self, view: &NodeView) {
        match (&view.clock.warning, self.clock_told) {
            (Some(warning), false) => tracing::warn!(ahead_ms = view.clock.ahead_ms, "{warning}"),
            (None, true) => tracing::info!("the clock agrees with the network's again"),
            (Some(_), true) | (None, false) => {}
        }
        self.clock_told = view.clock.warning.is_some();
    }
}

/// Good news and what is normal at a start, or something to look into.
fn log_sync(view: &NodeView) {
    let (state, reason) = (view.sync.name(), view.reason.as_deref().unwrap_or_default());
    match view.sync {
        SyncState::Booting | SyncState::Joining | SyncState::CatchingUp | SyncState::Synced => {
            tracing::info!(state, reason, "sync state");
        }
        SyncState::Stuck | SyncState::Recovering => tracing::warn!(state, reason, "sync state"),
        SyncState::Diverged => tracing::error!(state, reason, "sync state"),
    }
}

fn peer(info: &PeerInfo) -> http::Peer {
    http::Peer {
        node: info.node,
        address: info.address.to_string(),
        inbound: info.inbound,
        since_ms: unix_ms().saturating_sub(millis(info.up_for)),
        rtt_us: Some(u64::try_from(info.rtt.as_micros()).unwrap_or(u64::MAX)),
        bytes_in: info.bytes_received,
        bytes_out: info.bytes_sent,
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
