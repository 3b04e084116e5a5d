//! The JSON of the admin side, both ways. Conventions are those of [`crate::http::dto`].

pub use crate::http::dto::{Ban, Departure};
use serde::{Deserialize, Serialize};

/// Links, and why others ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Peers {
    /// Links that are up.
    pub peers: Vec<Peer>,
    /// Links that ended or never came up, the last ones, with their reasons.
    pub departures: Vec<Departure>,
}

/// One link.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Peer {
    /// Its key.
    pub node: String,
    /// Its name in this node's configuration.
    pub name: Option<String>,
    /// Where it is, `ip:port`.
    pub address: String,
    /// Did it dial us?
    pub inbound: bool,
    /// When the link came up, in milliseconds since the epoch.
    pub since_ms: u64,
    /// Round-trip time in microseconds.
    pub rtt_us: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Messages waiting to be sent to it.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Messages not sent to it for want of room.
    pub shed: u64,
    /// The protocol version spoken with it.
    pub version: u32,
    /// Its newest ledger when the link came up.
    pub ledger: u64,
    /// Where it wants to be called.
    pub public_address: Option<String>,
}

/// `POST …/peers/{node}/drop`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DropPeer {
    /// Told to the peer, and kept.
    pub reason: Option<String>,
}

/// Who is kept away.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Bans {
    /// The bans in force.
    pub bans: Vec<Ban>,
}

/// `POST …/bans/{node}`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BanPeer {
    /// For how long; without it, until the operator lets it in.
    pub seconds: Option<u64>,
    /// Told to the peer, and kept.
    pub reason: Option<String>,
}

/// What the log lets through.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level, or levels by module.
    pub filter: String,
}

/// `POST …/resume-voting`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeVoting {
    /// The open slot, typed in by whoever has looked.
    pub slot: u64,
}

/// `POST …/shutdown` takes nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What was done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Done {
    /// In words.
    pub done: String,
}
