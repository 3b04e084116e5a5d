//! Does a peer answer? One handshake with a key of its own, for `fba doctor`: no link comes of it.

use super::close::{Close, CloseCode};
use super::frames::Deadlines;
use super::handshake::{Channel, Identity};
use super::{PeerAddress, dial, endpoint, tls};
use crate::key::{NetworkId, SecretKey};
use crate::runtime;
use crate::wire::VersionRange;
use fba_core::NodeId;
use quinn::{Connection, Endpoint};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A peer that answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reached {
    /// The key it proved.
    pub node: NodeId,
    /// Where it answered.
    pub address: SocketAddr,
    /// Its newest closed ledger.
    pub ledger: u64,
}

/// Calls `peers` of `network`, all at once, each with a deadline of a few seconds, and hangs up after their hello.
/// In the order of `peers`: who answered, or why nobody did, in words.
#[must_use]
pub fn probe(network: NetworkId, peers: &[PeerAddress]) -> Vec<Result<Reached, String>> {
    let all = peers.iter().map(|peer| async move { one(network, peer).await.map_err(|close| close.to_string()) });
    runtime::block_on(futures::future::join_all(all))
}

async fn one(network: NetworkId, peer: &PeerAddress) -> Result<Reached, Close> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Close::violation)?;
    let secret = SecretKey::from_seed(&seed);
    let endpoint = bind(&secret)?;
    let mut failed = Close::violation("it has no address");
    for address in dial::resolve(&endpoint, &peer.address).await? {
        match call(network, &secret, &endpoint, address, peer.key).await {
            Ok(reached) => {
                // The goodbye is on its way before the socket goes.
                endpoint.wait_idle().await;
                return Ok(reached);
            }
            Err(close) => failed = close,
        }
    }
    Err(failed)
}

/// A socket that reaches both kinds of addresses, or only IPv4 where there is nothing else.
fn bind(secret: &SecretKey) -> Result<Endpoint, Close> {
    let bound = [SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))];
    let mut tried = bound.into_iter().map(|any| endpoint::bind(any, secret));
    let first = tried.next().and_then(Result::ok);
    let endpoint = match first {
        Some(bound) => bound,
        None => tried.next().expect("there are two").map_err(Close::violation)?,
    };
    Ok(endpoint.0)
}

async fn call(
    network: NetworkId,
    secret: &SecretKey,
    endpoint: &Endpoint,
    address: SocketAddr,
    key: Option<NodeId>,
) -> Result<Reached, Close> {
    let deadlines = Deadlines::default();
    let connection = dial::connect(endpoint, address, key, deadlines.handshake).await?;
    let greeted = runtime::timeout(deadlines.handshake, greet(network, secret, &connection, deadlines)).await;
    let greeted = greeted.unwrap_or_else(|_| Err(Close::timeout("no hello in time")));
    Close::new(CloseCode::Shutdown, "fba doctor was only looking").apply(&connection);
    let (node, ledger) = greeted?;
    Ok(Reached { node, address, ledger })
}

async fn greet(
    network: NetworkId,
    secret: &SecretKey,
    connection: &Connection,
    deadlines: Deadlines,
) -> Result<(NodeId, u64), Close> {
    let node = tls::peer_node(connection).ok_or_else(|| Close::violation("shows no node key"))?;
    let mut instance = [0; 16];
    getrandom::fill(&mut instance).map_err(Close::violation)?;
    let identity = Identity {
        node: secret.node_id(),
        network,
        versions: VersionRange::OURS,
        instance,
        ledger: Arc::new(AtomicU64::new(0)),
        // Nobody is to call back; 0 would be refused.
        port: 9,
        public: None,
    };
    let (send, receive) = connection.open_bi().await?;
    let (hello, _) = Channel { send, receive, deadlines }.greet(&identity, node, true).await?;
    Ok((node, hello.ledger))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::{OverlayConfig, Seats, start};

    #[test]
    fn a_peer_that_runs_tells_its_ledger_and_others_why_not() {
        let (network, secret) = (NetworkId::of_passphrase("probe"), SecretKey::from_seed(&[3; 32]));
        let config = OverlayConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            public: None,
            peers: Vec::new(),
            seats: Seats::default(),
            network,
            versions: VersionRange::OURS,
        };
        let (votes, _votes) = async_channel::bounded(1);
        let (rest, _rest) = async_channel::bounded(1);
        let overlay = start(config, &secret, Arc::new(AtomicU64::new(812)), votes, rest).unwrap();
        let peer = |key| PeerAddress { address: overlay.local_addr().to_string(), key };
        let other = SecretKey::from_seed(&[4; 32]).node_id();
        let peers = [peer(Some(secret.node_id())), peer(None), peer(Some(other))];
        let reached = Reached { node: secret.node_id(), address: overlay.local_addr(), ledger: 812 };
        let [known, any, wrong] = &*probe(network, &peers) else { panic!("one answer for each") };
        assert_eq!((known, any), (&Ok(reached), &Ok(reached)));
        assert!(wrong.is_err(), "{wrong:?}");
        let elsewhere = probe(NetworkId::of_passphrase("another"), &[peer(None)]);
        assert!(
            elsewhere.iter().all(|answer| answer.as_ref().is_err_and(|why| why.contains("network"))),
            "{elsewhere:?}"
        );
        runtime::block_on(overlay.close());
    }
}
