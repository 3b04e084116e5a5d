//! The HTTP side: a read-only API, submission, an event stream, health, metrics and the dashboard.
//!
//! It runs on threads of its own, reads snapshots and the store, and asks consensus over a bounded channel:
//! consensus never waits for it. It is the only place in the server that writes JSON. docs/http.md is its manual.

pub mod admin;
mod assets;
mod bare;
mod convert;
pub mod dto;
mod endpoints;
mod error;
mod events;
mod explain;
mod gate;
mod history;
mod progress;
mod proof;
mod quorum;
mod rates;
mod routes;
mod seats;
mod server;
mod slots;
mod stall;
mod submit;
#[cfg(test)]
pub(crate) mod tests;
mod view;

pub use convert::{account, event_of, ledger, submit_outcome, transaction};
pub use endpoints::{ENDPOINTS, Endpoint};
pub use error::ApiError;
pub use events::{BACKFILL_MAX, Event, Events};
pub use gate::{HostNames, TARGET_BYTES_MAX};
pub use history::{Before, History, HistoryError};
pub use proof::proof;
pub use routes::PAGE_MAX;
pub use server::HttpHandle;
pub use slots::{SlotTrace, Slots, Step, Timeouts};
pub use submit::{Refusal, Request, Submission, SubmitOutcome, WAIT_MAX_MS};
pub use view::{
    Away, Identity, KnownNode, LastClosed, NodeName, NodeView, OpenSlot, Peer, Phase, Published, Standing, SyncState,
    stuck_after,
};

use crate::key::NetworkId;
use crate::telemetry::Metrics;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Where to listen, and to whom to answer.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host names this server answers to, besides the loopback names and the address itself.
    pub names: Vec<String>,
    /// What one side may ask of the other.
    pub limits: Limits,
}

/// What clients may ask of the server. The operator's part of it is `[http_limits]` in the configuration file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections at the same time; more wait.
    pub connections: usize,
    /// Connections from one address that is not loopback; more are closed.
    pub connections_per_address: usize,
    /// Event streams at the same time; one more is answered 503.
    pub event_streams: usize,
    /// Requests one address may make in a second, after twice as many at once.
    pub requests_per_second: NonZeroU32,
    /// Submissions among them.
    pub submissions_per_second: NonZeroU32,
    /// Do these rates hold for loopback addresses too?
    pub limit_loopback: bool,
    /// How long a client may take to send a request's head, and stay idle between two.
    pub header_read: Duration,
    /// How long a client may take to send a request's body.
    pub body_read: Duration,
    /// How long a client may take nothing of what is written to it.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_address: 32,
            event_streams: 64,
            requests_per_second: NonZeroU32::new(50).expect("not zero"),
            submissions_per_second: NonZeroU32::new(20).expect("not zero"),
            limit_loopback: false,
            header_read: Duration::from_secs(10),
            body_read: Duration::from_secs(10),
            write: Duration::from_secs(30),
        }
    }
}

/// What the HTTP side reads from and asks of the node.
pub struct HttpState {
    /// What never changes.
    pub identity: Identity,
    /// The newest snapshot.
    pub view: Published,
    /// What happened in the newest slots.
    pub slots: Slots,
    /// Closed ledgers.
    pub history: Arc<dyn History>,
    /// Questions to consensus; bounded.
    pub requests: async_channel::Sender<Request>,
    /// Where the node publishes what happens.
    pub events: Events,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
}

/// The HTTP side could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen for HTTP on {address}: {source}; choose another `http` address in the configuration file")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// No threads.
    #[error("cannot start the threads of the HTTP side: {0}")]
    Threads(#[source] std::io::Error),
}

/// Starts the HTTP side on threads of its own.
///
/// # Errors
/// See [`HttpError`]; nothing is left running then.
pub fn start(config: &HttpConfig, state: HttpState) -> Result<HttpHandle, HttpError> {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let reads = history::Reads::new(state.history);
    let seats = config.limits.event_streams;
    let site = routes::Site {
        streams: events::Streams::new(state.events.clone(), state.view.clone(), reads.clone(), seats),
        gateway: submit::Gateway {
            network: NetworkId(state.identity.network),
            requests: state.requests,
            reads: reads.clone(),
            view: state.view.clone(),
        },
        identity: state.identity,
        view: state.view,
        slots: state.slots,
        metrics: state.metrics,
        events: state.events,
        reads,
        body_read: config.limits.body_read,
        stop: Stop(stopped),
    };
    let served = server::Served {
        surface: endpoints::PUBLIC,
        metrics: Arc::clone(&site.metrics),
        stop: site.stop.clone(),
        routes: routes::routes(Arc::new(site)),
    };
    server::start(config, served, stop)
}

/// Becomes ready when the server is to stop.
#[derive(Clone)]
pub(crate) struct Stop(tokio::sync::watch::Receiver<bool>);

impl Stop {
    pub(crate) async fn wait(mut self) {
        // An error says that the handle was dropped: nobody could stop us later.
        drop(self.0.wait_for(|stop| *stop).await);
    }
}
