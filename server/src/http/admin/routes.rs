//! What may be done to a running node: the table of routes, and what each does.

use super::token::Guard;
use super::{AdminState, PREFIX, dto};
use crate::herder::OverrideRefused;
use crate::http::endpoints::{Endpoint, Surface, delete, get, post, put};
use crate::http::error::{ApiError, json};
use crate::http::routes::declared_length;
use crate::http::submit::{ANSWER_TIMEOUT, Request, next_answer, read_body, stopping};
use crate::key::node_from_strkey;
use async_channel::TrySendError;
use bytes::{Buf, Bytes};
use fba_core::NodeId;
use futures::Stream;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::path::FullPath;
use warp::reply::Response;

/// Every address of the admin side.
pub const ENDPOINTS: [Endpoint; 9] = [
    get("/admin/v1/peers"),
    post("/admin/v1/peers/{node}/drop"),
    get("/admin/v1/bans"),
    post("/admin/v1/bans/{node}"),
    delete("/admin/v1/bans/{node}"),
    get("/admin/v1/log"),
    put("/admin/v1/log"),
    post("/admin/v1/shutdown"),
    post("/admin/v1/resume-voting"),
];

/// There is nothing else: no pages, no files.
pub(super) const ADMIN: Surface = Surface { endpoints: &ENDPOINTS, reserved: &[""] };

/// No question of the admin side is longer.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// How long one may take to arrive.
const BODY_READ: Duration = Duration::from_secs(5);
/// Longest ban with an end: ten years. One without end says so.
const BAN_SECONDS_MAX: u64 = 10 * 366 * 24 * 3600;
/// Longest reason an operator may give.
const REASON_CHARS_MAX: usize = 200;

/// Everything the handlers need.
pub(super) struct Site {
    guard: Guard,
    state: AdminState,
}

/// A request, as far as it has been read.
struct Asked {
    method: Method,
    path: FullPath,
    headers: HeaderMap,
}

/// One filter for all: who is let in is decided before anything else is looked at.
pub(super) fn routes(site: Site) -> BoxedFilter<(Response,)> {
    let site = Arc::new(site);
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method, path, headers: HeaderMap, body| {
            let site = Arc::clone(&site);
            async move {
                let asked = Asked { method, path, headers };
                let answer: Result<Response, ApiError> = site.answer(&asked, body).await;
                answer.unwrap_or_else(refusal)
            }
        })
        .boxed()
}

fn refusal(error: ApiError) -> Response {
    let unauthorized = error.status == StatusCode::UNAUTHORIZED;
    let mut response = Response::from(error);
    if unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl Site {
    pub(super) fn new(guard: Guard, state: AdminState) -> Self {
        Self { guard, state }
    }

    async fn answer<B: Buf>(
        &self,
        asked: &Asked,
        body: impl Stream<Item = Result<B, warp::Error>>,
    ) -> Result<Response, ApiError> {
        not_a_browser(&asked.headers)?;
        self.guard.check(&asked.headers, Instant::now())?;
        let path = asked.path.as_str().strip_prefix(PREFIX).unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        if matches!(asked.method, Method::POST | Method::PUT) {
            is_json(&asked.headers)?;
        }
        let body = read_body(BODY_BYTES_MAX, declared_length(&asked.headers), body, BODY_READ).await?;
        match (asked.method.as_str(), segments.as_slice()) {
            ("GET", ["peers"]) => Ok(self.peers()),
            ("POST", ["peers", node, "drop"]) => self.drop_peer(node, &parse(&body)?),
            ("GET", ["bans"]) => Ok(self.bans()),
            ("POST", ["bans", node]) => self.ban(node, &parse(&body)?),
            ("DELETE", ["bans", node]) => self.unban(node),
            ("GET", ["log"]) => self.log(),
            ("PUT", ["log"]) => self.set_log(&parse(&body)?),
            ("POST", ["shutdown"]) => self.shutdown(&parse(&body)?),
            ("POST", ["resume-voting"]) => self.resume_voting(&parse(&body)?).await,
            // The gate lets nothing through that is not in the table.
            _ => Err(ApiError::internal()),
        }
    }

    fn peers(&self) -> Response {
        let mut all = self.state.links.peers();
        all.peers.iter_mut().for_each(|peer| peer.name = self.name(&peer.node));
        all.departures.iter_mut().for_each(|gone| gone.name = gone.node.as_ref().and_then(|node| self.name(node)));
        json(StatusCode::OK, &all)
    }

    fn drop_peer(&self, text: &str, asked: &dto::DropPeer) -> Result<Response, ApiError> {
        let node = self.node(text)?;
        let reason = reason(asked.reason.as_deref())?;
        if !self.state.links.drop_peer(node, &reason) {
            return Err(ApiError::not_found(format!("there is no link to {text}")));
        }
        tracing::info!(peer = text, reason, "a peer is dropped by the operator");
        Ok(done(format!("dropped {text}; it may come back: a ban keeps it away")))
    }

    fn bans(&self) -> Response {
        let mut bans = self.state.links.bans();
        bans.iter_mut().for_each(|ban| ban.name = self.name(&ban.node));
        json(StatusCode::OK, &dto::Bans { bans })
    }

    fn ban(&self, text: &str, asked: &dto::BanPeer) -> Result<Response, ApiError> {
        let (node, reason) = (self.node(text)?, reason(asked.reason.as_deref())?);
        if node == self.state.identity.node {
            return Err(ApiError::bad_request("bad_node", "that is this node itself"));
        }
        if asked.seconds.is_some_and(|seconds| !(1..=BAN_SECONDS_MAX).contains(&seconds)) {
            let message =
                format!("a ban lasts 1 to {BAN_SECONDS_MAX} seconds, or without `seconds` until it is lifted");
            return Err(ApiError::bad_request("bad_seconds", message));
        }
        self.state.links.ban(node, asked.seconds.map(Duration::from_secs), &reason);
        let until = asked.seconds.map_or_else(|| "until it is let in again".to_owned(), |s| format!("for {s} s"));
        Ok(done(format!("{text} is kept away {until}")))
    }

    fn unban(&self, text: &str) -> Result<Response, ApiError> {
        if !self.state.links.unban(self.node(text)?) {
            return Err(ApiError::not_found(format!("{text} is not banned")));
        }
        tracing::info!(peer = text, "a ban is lifted by the operator");
        Ok(done(format!("{text} may connect again")))
    }

    fn log(&self) -> Result<Response, ApiError> {
        let filter = self.state.log.as_ref().and_then(crate::telemetry::LogControl::filter).ok_or_else(no_log)?;
        Ok(json(StatusCode::OK, &dto::Log { filter }))
    }

    fn set_log(&self, asked: &dto::Log) -> Result<Response, ApiError> {
        let log = self.state.log.as_ref().ok_or_else(no_log)?;
        log.set(&asked.filter).map_err(|error| ApiError::bad_request("bad_filter", error.to_string()))?;
        tracing::info!(filter = asked.filter, "the log filter is changed by the operator");
        self.log()
    }

    fn shutdown(&self, _: &dto::Nothing) -> Result<Response, ApiError> {
        if self.state.shutdown.is_closed() {
            return Err(stopping());
        }
        // Full: it is stopping already, which is what was asked for.
        let _ = self.state.shutdown.try_send(());
        tracing::info!("the node is stopped by the operator");
        Ok(json(StatusCode::ACCEPTED, &dto::Done { done: "the node stops".to_owned() }))
    }

    async fn resume_voting(&self, asked: &dto::ResumeVoting) -> Result<Response, ApiError> {
        let (reply, answer) = async_channel::bounded(1);
        self.ask(Request::OverrideSilence { slot: asked.slot, reply })?;
        let outcome: Result<(), OverrideRefused> = next_answer(&answer, ANSWER_TIMEOUT).await?;
        outcome.map_err(|refused| ApiError::new(StatusCode::CONFLICT, "override_refused", refused.to_string()))?;
        Ok(done(format!("the node votes again from slot {}; its older votes are given up", asked.slot)))
    }

    fn ask(&self, request: Request) -> Result<(), ApiError> {
        self.state.requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => ApiError::unavailable("busy", "the node did not answer in time; ask again"),
            TrySendError::Closed(_) => stopping(),
        })
    }

    /// A node by key, or by its name in the configuration.
    fn node(&self, text: &str) -> Result<NodeId, ApiError> {
        let named = || self.state.identity.names.iter().find(|(_, name)| name.name == text).map(|(node, _)| *node);
        node_from_strkey(text).ok().or_else(named).ok_or_else(|| {
            let message = "name the node by its key (G…) or by its name in the node's configuration";
            ApiError::bad_request("bad_node", message)
        })
    }

    fn name(&self, key: &str) -> Option<String> {
        let node = node_from_strkey(key).ok()?;
        self.state.identity.names.get(&node).map(|name| name.name.clone())
    }
}

/// There are no pages here: whatever a browser sends, it was lured to.
fn not_a_browser(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        let message = "the admin side has no pages and answers no browser; use `fba admin` or curl";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", message));
    }
    Ok(())
}

/// A page can make a browser send forms and text without asking first, but not this.
fn is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let essence = |value: &HeaderValue| {
        let text = value.to_str().ok()?;
        Some(text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json"))
    };
    if types.next().and_then(essence) == Some(true) && types.next().is_none() {
        return Ok(());
    }
    let message = "send application/json";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message))
}

/// An empty body is an empty object.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(|error| ApiError::bad_request("bad_body", format!("the body: {error}")))
}

/// Why a peer has to go: shown in logs and told to it, so it is short and plain.
fn reason(given: Option<&str>) -> Result<String, ApiError> {
    let text = given.unwrap_or("by the operator");
    if text.is_empty() || text.chars().count() > REASON_CHARS_MAX || text.chars().any(char::is_control) {
        let message = format!("a reason has 1 to {REASON_CHARS_MAX} characters, none of them a control character");
        return Err(ApiError::bad_request("bad_reason", message));
    }
    Ok(text.to_owned())
}

fn done(what: String) -> Response {
    json(StatusCode::OK, &dto::Done { done: what })
}

fn no_log() -> ApiError {
    ApiError::unavailable("no_log", "this process has not set up a log that can be changed")
}
