//! The first frames of a connection: who is there, on which network, in which versions.

use super::{HELLO_BYTES_MAX, WireError};
use crate::cbor;
use crate::key::NetworkId;
use fba_core::{Hash, NodeId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// Longest public address in a hello, in bytes: a DNS name (253), a colon and a port.
pub const ADDRESS_BYTES_MAX: usize = 259;

/// CBOR items in a hello.
const ITEMS_MAX: usize = 32;

/// The protocol versions a node speaks, both included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl VersionRange {
    /// The newest version both sides speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

/// What each side says first, before anything else is believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// The network: refused when it is not ours.
    pub network: NetworkId,
    /// The versions spoken.
    pub versions: VersionRange,
    /// Who the sender says it is: must be the key of its TLS handshake.
    pub node: NodeId,
    /// Whom the sender thinks it talks to: must be us.
    pub peer: NodeId,
    /// Drawn at random when the sender's process started: tells a restarted node from one that dials twice.
    pub instance: [u8; 16],
    /// The sender's newest closed ledger.
    pub ledger: u64,
    /// The UDP port the sender listens on.
    pub port: u16,
    /// `host:port` under which the sender wants to be known, if it said so; at most [`ADDRESS_BYTES_MAX`] bytes.
    pub address: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct HelloForm {
    network: ByteArray<32>,
    versions: VersionRange,
    node: ByteArray<32>,
    peer: ByteArray<32>,
    instance: ByteArray<16>,
    ledger: u64,
    port: u16,
    address: Option<String>,
}

impl Hello {
    /// Its canonical bytes, without the length in front.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&HelloForm {
            network: ByteArray::new(self.network.0.0),
            versions: self.versions,
            node: ByteArray::new(self.node.0),
            peer: ByteArray::new(self.peer.0),
            instance: ByteArray::new(self.instance),
            ledger: self.ledger,
            port: self.port,
            address: self.address.clone(),
        })
    }

    /// Reads what [`Hello::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`]; what it says is not judged here.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let what = "hello";
        let too_long = |bytes, allowed| Err(WireError::TooLong { what, bytes, allowed });
        if bytes.len() > HELLO_BYTES_MAX {
            return too_long(bytes.len(), HELLO_BYTES_MAX);
        }
        let form: HelloForm = cbor::decode(bytes, ITEMS_MAX).map_err(|source| WireError::Cbor { what, source })?;
        if let Some(address) = form.address.as_ref().filter(|address| address.len() > ADDRESS_BYTES_MAX) {
            return too_long(address.len(), ADDRESS_BYTES_MAX);
        }
        if form.address.iter().any(|address| !address.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(WireError::Payload { what, reason: "an address is printable ASCII".into() });
        }
        Ok(Self {
            network: NetworkId(Hash(form.network.into_array())),
            versions: form.versions,
            node: NodeId(form.node.into_array()),
            peer: NodeId(form.peer.into_array()),
            instance: form.instance.into_array(),
            ledger: form.ledger,
            port: form.port,
            address: form.address,
        })
    }
}
