//! The HTTP side: a read-only API, submission, an event stream, health, metrics and the dashboard.
//!
//! It runs on threads of its own, reads snapshots and the store, and asks consensus over a bounded channel:
//! consensus never waits for it. It is the only place in the server that writes JSON. docs/http.md is its manual.

pub mod admin;
mod assets;
mod convert;
pub mod dto;
mod error;
mod events;
mod gate;
mod history;
mod quorum;
mod routes;
mod seats;
mod server;
mod stall;
mod submit;
#[cfg(test)]
pub(crate) mod tests;
mod view;

pub use convert::{account, event_of, ledger, submit_outcome, transaction};
pub use error::ApiError;
pub use events::{BACKFILL_MAX, Event, Events, STREAMS_MAX};
pub use gate::{HostNames, TARGET_BYTES_MAX};
pub use history::{Before, History, HistoryError};
pub use routes::PAGE_MAX;
pub use server::HttpHandle;
pub use submit::{Refusal, Request, Submission, SubmitOutcome, WAIT_MAX_MS};
pub use view::{
    Identity, KnownNode, LastClosed, NodeName, NodeView, OpenSlot, Peer, Phase, Published, Standing, SyncState,
    stuck_after,
};

use crate::key::NetworkId;
use crate::telemetry::Metrics;
use std::net::SocketAddr;
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

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time; more wait.
    pub connections: usize,
    /// Connections from one address that is not loopback; more are closed.
    pub connections_per_address: usize,
    /// How long a client may take to send a request's head, and stay idle between two.
    pub header_read: Duration,
    /// How long a client may take nothing of what is written to it.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_address: 32,
            header_read: Duration::from_secs(15),
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
    let site = routes::Site {
        streams: events::Streams::new(state.events.clone(), state.view.clone(), reads.clone()),
        gateway: submit::Gateway {
            network: NetworkId(state.identity.network),
            requests: state.requests,
            reads: reads.clone(),
            view: state.view.clone(),
        },
        identity: state.identity,
        view: state.view,
        metrics: state.metrics,
        events: state.events,
        reads,
        stop: Stop(stopped),
    };
    let served = server::Served {
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
