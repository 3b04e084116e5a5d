//! What stands in front of every route: whom the request was addressed to, how long its target is, whether there is
//! such an address, who sent it; and what is written on every answer.

use crate::http::endpoints::Surface;
use crate::http::error::ApiError;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use warp::http::header::{self, HeaderName, HeaderValue};
use warp::http::{HeaderMap, Method, Request, StatusCode, Uri, uri::Authority};

/// Longest request target, in bytes.
pub const TARGET_BYTES_MAX: usize = 2048;

/// On every answer. The policy lets the dashboard load its own files and talk to its own server, nothing else.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Names one request, on its answer and in the log.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The number of a request, after a number of the process, so that two logs are not mixed up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RequestId {
    process: u32,
    request: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:x}", self.process, self.request)
    }
}

/// Gives out request ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u32,
    last: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        // Ids need not be secret, only different from those before a restart; without randomness the process id will do.
        let process = getrandom::u32().unwrap_or_else(|_| std::process::id());
        Self { process, last: AtomicU64::new(0) }
    }
}

impl RequestIds {
    pub(crate) fn next(&self) -> RequestId {
        RequestId { process: self.process, request: self.last.fetch_add(1, Ordering::Relaxed).saturating_add(1) }
    }
}

/// Writes the request's id and the security headers, and forbids keeping what did not say otherwise.
pub(crate) fn seal(headers: &mut HeaderMap, id: &RequestId) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let id = HeaderValue::try_from(id.to_string()).expect("hexadecimal digits and a dash");
    headers.insert(HeaderName::from_static(REQUEST_ID), id);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The names this server answers to. A page of another site whose name was made to point here (DNS rebinding) sends
/// that site's name and is refused.
#[derive(Clone, Debug)]
pub struct HostNames(BTreeSet<String>);

impl HostNames {
    /// The loopback names, the address listened on, and those configured (without port).
    #[must_use]
    pub fn new(listen: SocketAddr, configured: &[String]) -> Self {
        let bound = Some(listen.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let names = loopback.into_iter().chain(bound).chain(configured.iter().cloned());
        Self(names.map(|name| canonical(&name)).collect())
    }

    fn allows(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        // Nothing but a port follows the host, and nothing precedes it: `user@host` names no host of ours.
        let port_or_nothing = authority.as_str().strip_prefix(authority.host());
        let plain = port_or_nothing.is_some_and(|rest| rest.is_empty() || authority.port_u16().is_some());
        plain && self.0.contains(&canonical(authority.host()))
    }
}

/// One form per name: lower case, no trailing dot, IPv6 without brackets and in its shortest form.
fn canonical(name: &str) -> String {
    let bare = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(name);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return ip.to_string();
    }
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

/// May this request go on to its route?
pub(crate) fn check<B>(request: &Request<B>, names: &HostNames, surface: &Surface) -> Result<(), ApiError> {
    let (uri, headers) = (request.uri(), request.headers());
    if target_bytes(uri) > TARGET_BYTES_MAX {
        let message = format!("the request target is longer than {TARGET_BYTES_MAX} bytes");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, "target_too_long", message));
    }
    // `CONNECT host:port` and `OPTIONS *` are for proxies and whole servers.
    if !uri.path().starts_with('/') {
        return Err(ApiError::bad_request("bad_target", "a request target begins with a slash"));
    }
    check_host(uri, headers, names)?;
    surface.check(request.method(), uri.path())?;
    // Nothing is changed by a GET, so only the others could be misused by another site's page.
    if request.method() != Method::GET && request.method() != Method::HEAD {
        check_sender(headers, names)?;
    }
    Ok(())
}

fn target_bytes(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |target| target.as_str().len())
}

fn check_host(uri: &Uri, headers: &HeaderMap, names: &HostNames) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(ApiError::bad_request("bad_host", "a request has exactly one Host header"));
    };
    let host_is_ours = host.to_str().is_ok_and(|host| names.allows(host));
    let target_is_ours = uri.authority().is_none_or(|authority| names.allows(authority.as_str()));
    if host_is_ours && target_is_ours {
        return Ok(());
    }
    let message = "this server does not answer to that Host; add the name to the node's configuration if it should";
    Err(ApiError::new(StatusCode::FORBIDDEN, "host_not_allowed", message))
}

/// A browser says who sent it: nothing is changed for another site's page.
fn check_sender(headers: &HeaderMap, names: &HostNames) -> Result<(), ApiError> {
    let own_origin = |origin: &HeaderValue| {
        let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let ours = |uri: Uri| uri.authority().is_some_and(|authority| names.allows(authority.as_str()));
        // An origin has a scheme; without one, what is before the colon could be read as a host.
        uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https"))).is_some_and(ours)
    };
    let own_site = |site: &HeaderValue| site == "same-origin" || site == "none";
    let origin_ok = headers.get(header::ORIGIN).is_none_or(own_origin);
    let site_ok = headers.get("sec-fetch-site").is_none_or(own_site);
    if origin_ok && site_ok {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", "another site's page may not change anything here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> HostNames {
        HostNames::new("0.0.0.0:8001".parse().unwrap(), &["Node.Example.org.".into(), "fd00::0001".into()])
    }

    #[test]
    fn own_names_are_allowed_in_every_spelling() {
        for host in [
            "localhost",
            "LOCALHOST:8001",
            "localhost.",
            "127.0.0.1:1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]:8001",
            "node.example.ORG:80",
            "node.example.org.:80",
            "[fd00::1]",
        ] {
            assert!(names().allows(host), "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "localhost@evil.example",
            "evil.example@localhost",
            "0.0.0.0",
            "[::2]",
            "localhost:port",
            "local host",
            "localhost..",
        ] {
            assert!(!names().allows(host), "{host}");
        }
    }

    #[test]
    fn the_address_listened_on_is_a_name_unless_it_is_all_of_them() {
        let bound = HostNames::new("10.1.2.3:80".parse().unwrap(), &[]);
        assert!(bound.allows("10.1.2.3:80"));
        assert!(!names().allows("10.1.2.3"));
    }
}
