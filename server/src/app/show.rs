//! What the node shows: the herder's view and notices in the words of the HTTP side.

use crate::herder::{ClosedSummary, Herder, NodeState, Notice, Now, SyncState, TicketOutcome, View};
use crate::http::{
    self, Event, Events, KnownNode, LastClosed, NodeView, OpenSlot, Phase, Published, Refusal, Standing, SubmitOutcome,
    dto,
};
use crate::key::node_strkey;
use crate::ledger::TxRejection;
use crate::overlay::{Overlay, PeerInfo};
use crate::telemetry::Metrics;
use fba_core::NodeId;
use super::consensus::unix_ms;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// While something happens, the snapshot is at most this old.
const VIEW_EVERY: Duration = Duration::from_millis(100);

/// `phase` events at most this often.
const PHASE_EVERY: Duration = Duration::from_millis(100);

/// The first five characters of a node's strkey: enough for a log line.
pub(super) fn short(node: &NodeId) -> String {
    node_strkey(*node).chars().take(5).collect()
}

/// Publishes snapshots, events and metrics.
pub(super) struct Showing {
    published: Published,
    events: Events,
    metrics: Arc<Metrics>,
    shown: Option<Instant>,
    phase_told: Option<Instant>,
    last_close: Option<Instant>,
}

impl Showing {
    pub(super) fn new(published: Published, events: Events, metrics: Arc<Metrics>) -> Self {
        Self { published, events, metrics, shown: None, phase_told: None, last_close: None }
    }

    pub(super) fn committed(&self, took: Duration, synced: bool) {
        if synced {
            self.metrics.commits.inc();
            self.metrics.commit_seconds.observe(took.as_secs_f64());
        }
    }

    /// Tells listeners; a close or a change of sync state makes the next snapshot due.
    pub(super) fn notices(&mut self, notices: &[Notice]) {
        for notice in notices {
            match notice {
                Notice::Closed(closed) => self.closed(closed),
                Notice::Sync(state) => {
                    self.shown = None;
                    let (state, reason) = sync(state);
                    tracing::info!(state = state.name(), reason, "sync state");
                    self.events.publish(Event::Sync(dto::Sync { state: state.name().to_owned(), reason }));
                }
                Notice::Refused { peer, reason } => tracing::debug!(peer = %short(peer), reason, "refused"),
                Notice::Moved(moved) => tracing::trace!(?moved, "rule fired"),
                Notice::Ticket { .. } | Notice::Phase { .. } => {}
            }
        }
    }

    fn closed(&mut self, closed: &ClosedSummary) {
        self.shown = None;
        let metrics = &self.metrics;
        metrics.ledger_sequence.set(i64::try_from(closed.sequence).unwrap_or(i64::MAX));
        metrics.transactions.inc_by(u64::from(closed.transactions));
        metrics.transactions_failed.inc_by(u64::from(closed.failed));
        let now = Instant::now();
        if let Some(before) = self.last_close.replace(now) {
            metrics.close_interval_seconds.observe(now.duration_since(before).as_secs_f64());
        }
        tracing::debug!(sequence = closed.sequence, hash = %closed.hash, transactions = closed.transactions, "closed");
        self.events.publish(Event::Ledger(dto::LedgerClosed {
            sequence: closed.sequence,
            hash: closed.hash.to_string(),
            close_time_ms: closed.close_time_ms,
            transactions: u64::from(closed.transactions),
            failed: u64::from(closed.failed),
            nomination_ms: closed.nomination.map(millis),
            ballot_ms: closed.ballot.map(millis),
        }));
    }

    /// Publishes a new snapshot if one is due.
    pub(super) fn publish(&mut self, at: Now, herder: &Herder, overlay: &Overlay) {
        let now = Instant::now();
        if self.shown.is_some_and(|shown| now.duration_since(shown) < VIEW_EVERY) {
            return;
        }
        self.shown = Some(now);
        let view = node_view(&herder.view(at), &overlay.peers());
        self.metrics.peers.set(i64::try_from(view.peers.len()).unwrap_or(i64::MAX));
        self.metrics.queued_transactions.set(i64::try_from(view.queued).unwrap_or(i64::MAX));
        self.metrics.synced.set(i64::from(view.sync == http::SyncState::Synced));
        if self.phase_told.is_none_or(|told| now.duration_since(told) >= PHASE_EVERY) {
            self.phase_told = Some(now);
            self.events.publish(Event::Phase(dto::Slot {
                slot: view.slot.slot,
                phase: view.slot.phase.name().to_owned(),
                round: view.slot.round,
                counter: view.slot.counter,
            }));
        }
        self.published.publish(view);
    }
}

/// The herder's view and the overlay's links, as HTTP shows them.
pub(super) fn node_view(view: &View, peers: &[PeerInfo]) -> NodeView {
    let (sync, reason) = sync(&view.sync);
    NodeView {
        sync,
        reason,
        ledger: LastClosed {
            sequence: view.last_closed.sequence,
            hash: view.last_closed.hash,
            close_time_ms: view.last_closed.close_time_ms,
        },
        slot: open_slot(view),
        queued: view.queued as u64,
        quorum_set: Arc::clone(&view.quorum_set),
        quorum_set_hash: view.quorum_set.hash(),
        nodes: view.nodes.iter().map(known_node).collect(),
        peers: peers.iter().map(peer).collect(),
    }
}

fn open_slot(view: &View) -> OpenSlot {
    let slot = view.open_slot.0;
    let Some(open) = &view.open else {
        return OpenSlot { slot, phase: Phase::Idle, round: 0, counter: 0 };
    };
    let phase = match open.phase {
        fba_core::Phase::Prepare if open.ballot.is_some() => Phase::Prepare,
        fba_core::Phase::Prepare if open.nomination_round > 0 => Phase::Nominate,
        fba_core::Phase::Prepare => Phase::Idle,
        fba_core::Phase::Confirm => Phase::Confirm,
        fba_core::Phase::Externalize => Phase::Externalize,
    };
    let counter = open.ballot.as_ref().map_or(0, |ballot| ballot.counter);
    OpenSlot { slot, phase, round: open.nomination_round, counter }
}

fn known_node(node: &crate::herder::NodeView) -> KnownNode {
    KnownNode {
        node: node.id,
        quorum_set: node.quorum_set.clone(),
        standing: match node.state {
            NodeState::Agree => Standing::Agree,
            NodeState::Delayed => Standing::Delayed,
            NodeState::Disagree => Standing::Disagree,
            NodeState::Missing => Standing::Missing,
        },
        last_slot: node.last_slot.map(|slot| slot.0),
        distance: node.distance,
    }
}

fn sync(state: &SyncState) -> (http::SyncState, Option<String>) {
    let names = |nodes: &[NodeId]| nodes.iter().map(short).collect::<Vec<_>>().join(", ");
    match state {
        SyncState::Booting => (http::SyncState::Booting, None),
        SyncState::Joining => (http::SyncState::Joining, Some("nothing decided since this node started".into())),
        SyncState::CatchingUp { from, to } => {
            (http::SyncState::CatchingUp, Some(format!("fetching ledgers {from} to {to}")))
        }
        SyncState::Synced => (http::SyncState::Synced, None),
        SyncState::Stuck { seconds, missing, closest_v_blocking } => {
            let reason = format!(
                "no ledger closed for {seconds} s; not heard from: {}; blocked for good if these fail too: {}",
                names(missing),
                names(closest_v_blocking)
            );
            (http::SyncState::Stuck, Some(reason))
        }
        SyncState::Recovering => (
            http::SyncState::Recovering,
            Some("votes were lost: this node listens and stays silent until it cannot contradict itself".into()),
        ),
        SyncState::Diverged => {
            (http::SyncState::Diverged, Some("this node's ledger is not the network's: it has stopped voting".into()))
        }
    }
}

/// A submission's fate in the words of the API.
pub(super) fn submit_outcome(outcome: &TicketOutcome) -> SubmitOutcome {
    match outcome {
        TicketOutcome::Pending => SubmitOutcome::Pending,
        TicketOutcome::Closed { ledger, .. } => SubmitOutcome::Closed { ledger: *ledger },
        TicketOutcome::Refused(rejection) => refusal(rejection),
        TicketOutcome::BadSignature => {
            let message = "a signature is not genuine for this network and these bytes".to_owned();
            SubmitOutcome::Refused(Refusal { code: "bad_signature".to_owned(), message, conflict: false })
        }
        TicketOutcome::QueueFull => SubmitOutcome::QueueFull,
        TicketOutcome::Expired => SubmitOutcome::Expired,
    }
}

/// Refusals that another transaction or another time may cure are conflicts (409); the others are wrong by themselves.
fn refusal(rejection: &TxRejection) -> SubmitOutcome {
    let (code, conflict) = match rejection {
        TxRejection::NoAccount { .. } => ("no_account", false),
        TxRejection::Sequence { .. } => ("sequence", true),
        TxRejection::TooEarly { .. } => ("too_early", true),
        TxRejection::TooLate { .. } => ("too_late", true),
        TxRejection::Fee { .. } => ("fee_too_low", false),
        TxRejection::FeeNotCovered { .. } => ("fee_not_covered", true),
        TxRejection::Weight { .. } => ("not_enough_signatures", false),
        TxRejection::NotASigner { .. } => ("not_a_signer", false),
        _ => ("refused", false),
    };
    SubmitOutcome::Refused(Refusal { code: code.to_owned(), message: rejection.to_string(), conflict })
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
