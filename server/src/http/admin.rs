//! The admin side: what changes a running node. A listener of its own, on the loopback interface unless the
//! configuration accepts more in words, with a token, and without any page a browser could be lured to.
//!
//! It uses the same connections, limits, headers and form of errors as the public side ([`crate::http::start`]).

pub mod dto;
mod routes;
#[cfg(test)]
pub(crate) mod tests;
mod token;

pub use routes::ENDPOINTS;
pub use token::{TOKEN_BYTES, Token, TokenError};

use super::{HttpConfig, HttpError, HttpHandle, Limits, Stop, server};
use crate::http::submit::Request;
use crate::http::view::Identity;
use crate::telemetry::{LogControl, Metrics};
use fba_core::NodeId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where every admin address begins.
pub const PREFIX: &str = "/admin/v1/";

/// Where to listen, and which token opens it.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Further names it answers to, as on the public side.
    pub names: Vec<String>,
    /// The file with the token; made if there is none.
    pub token_file: PathBuf,
}

/// What the admin side knows of the node, and what it may do to it.
pub struct AdminState {
    /// What never changes.
    pub identity: Identity,
    /// Questions to consensus; bounded.
    pub requests: async_channel::Sender<Request>,
    /// The links.
    pub links: Arc<dyn Links>,
    /// What the log lets through; `None` where the process has no log of ours.
    pub log: Option<LogControl>,
    /// A message stops the node; room for one.
    pub shutdown: async_channel::Sender<()>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
}

/// The overlay as the admin side sees it, so that neither knows the other.
pub trait Links: Send + Sync {
    /// The links, and why others ended. Names are filled in by the admin side.
    fn peers(&self) -> dto::Peers;
    /// Ends the link to `node`; false if there is none.
    fn drop_peer(&self, node: NodeId, reason: &str) -> bool;
    /// Keeps `node` away, for so long or until it is let in again, and ends the link to it.
    fn ban(&self, node: NodeId, time: Option<Duration>, reason: &str);
    /// Lets `node` in again; false if it was not banned.
    fn unban(&self, node: NodeId) -> bool;
    /// The bans in force.
    fn bans(&self) -> Vec<dto::Ban>;
}

/// The admin side could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The address is taken, or not ours.
    #[error("cannot listen for administration on {address}: {source}; choose another address as admin.listen")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// No threads.
    #[error("cannot start the threads of the admin side: {0}")]
    Threads(#[source] std::io::Error),
}

impl From<HttpError> for AdminError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Bind { address, source } => Self::Bind { address, source },
            HttpError::Threads(source) => Self::Threads(source),
        }
    }
}

/// Starts the admin side on threads of its own, so that no load on the public side keeps the operator out.
///
/// # Errors
/// See [`AdminError`]; nothing is left running then.
pub fn start(config: &AdminConfig, state: AdminState) -> Result<HttpHandle, AdminError> {
    token::ensure(&config.token_file)?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let http = HttpConfig { listen: config.listen, names: config.names.clone(), limits: Limits::default() };
    let served = server::Served {
        surface: routes::ADMIN,
        metrics: Arc::clone(&state.metrics),
        stop: Stop(stopped),
        routes: routes::routes(routes::Site::new(token::Guard::new(config.token_file.clone()), state)),
    };
    Ok(server::start(&http, served, stop)?)
}
