//! The small texts of a configuration, each a type that cannot be wrong.

use super::error::Problem;
use crate::key::node_from_strkey;
use std::fmt;
use std::net::IpAddr;

/// The word for this node in a quorum set by hand.
pub const OWN_NAME: &str = "self";

/// The home domain that names an organisation: lower case letters, digits, hyphens and dots.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct HomeDomain(String);

impl HomeDomain {
    /// Reads a home domain.
    ///
    /// # Errors
    /// [`Problem::NotAHomeDomain`] when it is none.
    pub fn new(text: &str) -> Result<Self, Problem> {
        Self::parse(text)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && label.bytes().all(allowed)
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::NotAHomeDomain(shortened(text)))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HomeDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a node is called in this file: an operator's word, not the node's own.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NodeName(String);

impl NodeName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`Problem::NotAName`] when it is none.
    pub fn new(text: &str) -> Result<Self, Problem> {
        Self::parse(text)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let sane = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        if sane && text != OWN_NAME && node_from_strkey(text).is_err() {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::NotAName(shortened(text)))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a peer is reached: a host name or IP address, and a port from 1.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// Reads `host:port`; an IPv6 address is in brackets.
    ///
    /// # Errors
    /// [`Problem::NotAHostPort`] when it is not that.
    pub fn new(text: &str) -> Result<Self, Problem> {
        Self::parse("address", text)
    }

    pub(super) fn parse(key: &'static str, text: &str) -> Result<Self, Problem> {
        let parsed = || {
            let (host, port) = text.rsplit_once(':')?;
            let port = port.parse().ok().filter(|port| *port > 0)?;
            let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let host = match bracketed {
                Some(host) => host.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
                None => host_name(host)?,
            };
            Some(Self { host, port })
        };
        parsed().ok_or_else(|| Problem::NotAHostPort { key, text: shortened(text) })
    }

    /// The host name or IP address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A host name or IPv4 address, in lower case.
pub(super) fn host_name(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let sane = (1..=253).contains(&text.len()) && text.bytes().all(allowed);
    // Digits and dots alone are meant as an address, so they have to be one.
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (sane && (!numeric || text.parse::<IpAddr>().is_ok())).then_some(text)
}

/// A name under which HTTP is served, without port.
pub(super) fn http_host(text: &str) -> Result<String, Problem> {
    let address = text.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|address| address.to_string());
    address.or_else(|| host_name(text)).ok_or_else(|| Problem::NotAHost(shortened(text)))
}

/// Enough of a text to recognise it in a message.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back() {
        for text in ["node.example:7001", "127.0.0.1:1", "[::1]:65535", "localhost:80"] {
            assert_eq!(HostPort::parse("k", text).unwrap().to_string(), text);
        }
        for text in
            ["", "node", "node:", ":1", "node:0", "node:65536", "::1:5", "http://x:1", "1.2.3:5", "[x]:1", "a b:1"]
        {
            assert!(HostPort::parse("k", text).is_err(), "{text}");
        }
    }

    #[test]
    fn home_domains_are_lower_case_labels() {
        for text in ["a", "sdf.example", "x-1.y"] {
            assert!(HomeDomain::parse(text).is_ok(), "{text}");
        }
        for text in ["", ".", "A.example", "a..b", "-a", "a b", "é"] {
            assert!(HomeDomain::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_neither_self_nor_a_key() {
        assert!(NodeName::parse("sdf-1").is_ok());
        for text in ["", "self", "a b", "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"] {
            assert!(NodeName::parse(text).is_err(), "{text}");
        }
    }
}
