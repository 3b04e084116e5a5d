//! The links of a node, and who has none and why.

use serde::{Deserialize, Serialize};

/// `GET /v1/peers`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Peers {
    /// Links that are up.
    pub peers: Vec<Peer>,
    /// The bans in force.
    pub bans: Vec<Ban>,
    /// Links that ended or never came up, the last ones, with their reasons.
    pub departures: Vec<Departure>,
}

/// One link.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Peer {
    /// The other node.
    pub node: String,
    /// Its name.
    pub name: Option<String>,
    /// Its address.
    pub address: String,
    /// Did the other node dial?
    pub inbound: bool,
    /// Milliseconds since the epoch at which the link came up.
    pub since_ms: u64,
    /// Round-trip time in microseconds.
    pub rtt_us: Option<u64>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// One node that is kept away.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ban {
    /// Its key.
    pub node: String,
    /// Its name in this node's configuration.
    pub name: Option<String>,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
    /// Until when; `null`: until the operator lets it in.
    pub until_ms: Option<u64>,
    /// Why.
    pub reason: String,
    /// Broken rules that led to it; 0: the operator did.
    pub offences: u32,
}

/// A link that ended or never came up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Departure {
    /// The other's key, if it was proven or expected.
    pub node: Option<String>,
    /// Its name in this node's configuration.
    pub name: Option<String>,
    /// Where it was.
    pub address: String,
    /// When it last happened, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
    /// How many times in a row.
    pub times: u32,
}
