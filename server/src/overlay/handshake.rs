//! The application's own handshake, on the stream that later carries the votes.
//!
//! Both sides say [`Hello`] (the dialler first). Then the deciding side (see `registry`) gives the link its seat and
//! says welcome; the other side does the same and answers with its own welcome. Only then is the link up: TLS 1.3
//! lets a dialler believe it is connected before the other end has even looked at its key.

use super::close::{Close, CloseCode};
use super::frames::{self, Deadlines};
use crate::cbor;
use crate::key::{NetworkId, node_strkey};
use crate::wire::{self, HELLO_BYTES_MAX, Hello, VersionRange};
use fba_core::NodeId;
use quinn::{RecvStream, SendStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What we say of ourselves.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) network: NetworkId,
    pub(super) versions: VersionRange,
    pub(super) instance: [u8; 16],
    pub(super) ledger: Arc<AtomicU64>,
    pub(super) port: u16,
    pub(super) public: Option<String>,
}

impl Identity {
    /// Our hello to `peer`.
    pub(super) fn hello(&self, peer: NodeId) -> Hello {
        Hello {
            network: self.network,
            versions: self.versions,
            node: self.node,
            peer,
            instance: self.instance,
            ledger: self.ledger.load(Ordering::Relaxed),
            port: self.port,
            address: self.public.clone(),
        }
    }

    /// Judges the hello of the node that proved the key `proven`: the protocol version to speak, or why not.
    pub(super) fn judge(&self, hello: &Hello, proven: NodeId) -> Result<u32, Close> {
        let refuse = |code, text: String| Err(Close::new(code, text));
        if hello.network != self.network {
            let (theirs, ours) = (hello.network.0, self.network.0);
            return refuse(
                CloseCode::WrongNetwork,
                format!("network id {theirs:?} is not {ours:?}: is the network passphrase the same?"),
            );
        }
        let Some(version) = self.versions.common(hello.versions) else {
            let (theirs, ours) = (hello.versions, self.versions);
            return refuse(
                CloseCode::Version,
                format!(
                    "protocol versions {}..={} and {}..={} have none in common",
                    theirs.min, theirs.max, ours.min, ours.max
                ),
            );
        };
        if proven == self.node {
            return refuse(
                CloseCode::WrongNode,
                "this is my own key: I have called myself, or the key is in use twice".into(),
            );
        }
        if hello.node != proven {
            let claimed = node_strkey(hello.node);
            return Err(Close::offence(format!("claims to be {claimed} but holds another key")));
        }
        if hello.peer != self.node {
            return refuse(CloseCode::WrongNode, format!("takes me for {}", node_strkey(hello.peer)));
        }
        if hello.port == 0 {
            return Err(Close::offence("hello with port 0"));
        }
        Ok(version)
    }
}

/// The two halves of the stream the handshake runs on.
pub(super) struct Channel {
    pub(super) send: SendStream,
    pub(super) receive: RecvStream,
    pub(super) deadlines: Deadlines,
}

impl Channel {
    /// Both hellos; `ours` goes first if we dialled. The peer's, and the version to speak.
    pub(super) async fn greet(
        &mut self,
        identity: &Identity,
        proven: NodeId,
        dialled: bool,
    ) -> Result<(Hello, u32), Close> {
        if dialled {
            self.say(&identity.hello(proven).encode()).await?;
        }
        let bytes = frames::read(&mut self.receive, HELLO_BYTES_MAX, self.deadlines).await?;
        let hello = Hello::decode(&bytes).map_err(Close::offence)?;
        let version = identity.judge(&hello, proven)?;
        if !dialled {
            self.say(&identity.hello(proven).encode()).await?;
        }
        Ok((hello, version))
    }

    /// Says that the link has its seat here, and will speak `version`.
    pub(super) async fn say_welcome(&mut self, version: u32) -> Result<(), Close> {
        self.say(&cbor::encode(&version)).await
    }

    /// Waits for the peer's welcome.
    pub(super) async fn hear_welcome(&mut self, version: u32) -> Result<(), Close> {
        let bytes = frames::read(&mut self.receive, HELLO_BYTES_MAX, self.deadlines).await?;
        let theirs: u32 = cbor::decode(&bytes, 1).map_err(|error| Close::offence(format!("welcome: {error}")))?;
        if theirs == version {
            Ok(())
        } else {
            Err(Close::offence(format!("welcome in protocol version {theirs} where {version} was agreed")))
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Close> {
        frames::write(&mut self.send, wire::Lane::Votes, &mut [wire::frame(bytes).into()], self.deadlines).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(node: u8) -> Identity {
        Identity {
            node: NodeId([node; 32]),
            network: NetworkId::of_passphrase("test"),
            versions: VersionRange { min: 2, max: 3 },
            instance: [node; 16],
            ledger: Arc::new(AtomicU64::new(7)),
            port: 11_625,
            public: None,
        }
    }

    fn judged(change: impl Fn(&mut Hello)) -> Result<u32, Option<CloseCode>> {
        let mut hello = identity(2).hello(NodeId([1; 32]));
        change(&mut hello);
        identity(1).judge(&hello, NodeId([2; 32])).map_err(|close| close.code)
    }

    #[test]
    fn a_hello_is_judged_by_network_versions_and_keys() {
        assert_eq!(judged(|_| ()), Ok(3));
        assert_eq!(judged(|hello| hello.versions = VersionRange { min: 0, max: 2 }), Ok(2));
        let refused = |code| Err(Some(code));
        assert_eq!(judged(|hello| hello.versions = VersionRange { min: 4, max: 9 }), refused(CloseCode::Version));
        assert_eq!(judged(|hello| hello.versions = VersionRange { min: 3, max: 2 }), refused(CloseCode::Version));
        assert_eq!(judged(|hello| hello.network = NetworkId::of_passphrase("x")), refused(CloseCode::WrongNetwork));
        assert_eq!(judged(|hello| hello.node = NodeId([3; 32])), refused(CloseCode::Violation));
        assert_eq!(judged(|hello| hello.peer = NodeId([3; 32])), refused(CloseCode::WrongNode));
        assert_eq!(judged(|hello| hello.port = 0), refused(CloseCode::Violation));
        let own = identity(1);
        assert_eq!(own.judge(&own.hello(own.node), own.node).unwrap_err().code, Some(CloseCode::WrongNode));
    }
}
