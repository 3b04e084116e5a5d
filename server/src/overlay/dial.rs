//! Dialling the configured peers, each by a task of its own: again and again, ever more rarely, never in step. One more
//! task dials nodes of the book while there are too few links.

use super::close::{Close, CloseCode};
use super::{Departing, KnownPeer, PeerAddress, Shared, link, lock, tls, unix_ms};
use crate::runtime;
use async_channel::Receiver;
use fba_core::NodeId;
use quinn::Endpoint;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause: after an outage of any length the network is whole again within this and one handshake.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// A link that lived so long was a success: the next pause is the first again.
const GOOD_LINK: Duration = Duration::from_secs(10);
/// Nodes of the book are chosen so often, jittered down to half.
const CHOOSE_EVERY: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried in one round.
const ADDRESSES_MAX: usize = 8;
/// A ban is looked at again so often: it may be lifted by the clock.
const BAN_LOOK: Duration = Duration::from_secs(60);
/// A name must be resolved so soon.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// The pauses between attempts: doubled after each failure, and jittered down to half.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, random: seed }
    }

    fn succeeded(&mut self) {
        self.failures = 0;
    }

    fn next(&mut self) -> Duration {
        let whole = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        half + half.mul_f64(self.unit())
    }

    /// The next number in 0..1 of SplitMix64.
    fn unit(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

/// Keeps a link to `peer` for as long as the node runs. `seats` rings whenever some link ends.
pub(super) async fn keep_dialling(
    shared: Arc<Shared>,
    endpoint: Endpoint,
    peer: PeerAddress,
    seats: Receiver<()>,
    mut backoff: Backoff,
) {
    let mut known = peer.key;
    loop {
        if known.is_some_and(|node| shared.is_linked(node)) {
            // It dialled us, or another address of it was dialled. Ends only with the node.
            if seats.recv().await.is_err() {
                return;
            }
            continue;
        }
        if let Some(left) = known.and_then(|node| shared.banned_for(node)) {
            // Whichever comes first: the end of the ban, or news of it.
            runtime::first(runtime::sleep(left.min(BAN_LOOK)), seats.recv()).await;
            runtime::sleep(backoff.next()).await;
            continue;
        }
        let begun = Instant::now();
        let reached = once(&shared, &endpoint, &peer).await;
        if reached.is_some() {
            known = peer.key.or(reached);
            if begun.elapsed() >= GOOD_LINK {
                backoff.succeeded();
            }
        }
        runtime::sleep(backoff.next()).await;
    }
}

/// Dials nodes of the book for as long as the node runs, so that there are enough links that no stranger has brought
/// about.
pub(super) async fn keep_target(shared: Arc<Shared>, endpoint: Endpoint, seats: Receiver<()>, mut backoff: Backoff) {
    loop {
        for known in shared.to_dial() {
            let marked = Dialling { shared: Arc::clone(&shared), node: known.node };
            shared.tasks.spawn(try_known(Arc::clone(&shared), endpoint.clone(), known, marked));
        }
        runtime::sleep(PAUSE_MIN).await;
        runtime::first(runtime::sleep(CHOOSE_EVERY.mul_f64(1.0 - backoff.unit() / 2.0)), seats.recv()).await;
    }
}

/// Marks a node of the book as being dialled, for as long as it lives.
struct Dialling {
    shared: Arc<Shared>,
    node: NodeId,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        lock(&self.shared.state).dialling.remove(&self.node);
    }
}

async fn try_known(shared: Arc<Shared>, endpoint: Endpoint, known: KnownPeer, marked: Dialling) {
    let address = known.address.to_string();
    let departing = Departing { node: Some(known.node), address: &address };
    let dialled = async {
        let connection = connect(&endpoint, known.address, Some(known.node), shared.deadlines.handshake).await?;
        link::establish(&shared, &connection, true).await
    };
    match dialled.await {
        Ok(established) => {
            // Counted as a link from here on.
            drop(marked);
            let begun = Instant::now();
            let close = established.serve(&shared).await;
            // One that accepts and hangs up at once is of no more use than one that does not answer.
            if begun.elapsed() < GOOD_LINK && close.code != Some(CloseCode::Duplicate) {
                lock(&shared.state).book.failed(known.address, unix_ms());
            }
        }
        Err(close) => {
            // Otherwise it has dialled us meanwhile.
            if close.code != Some(CloseCode::Duplicate) {
                lock(&shared.state).book.failed(known.address, unix_ms());
            }
            shared.depart(&departing, &close);
        }
    }
}

/// Dials `peer` and serves the link until it ends. The node that was reached, if a link came up.
async fn once(shared: &Arc<Shared>, endpoint: &Endpoint, peer: &PeerAddress) -> Option<NodeId> {
    let addresses = match resolve(endpoint, &peer.address).await {
        Ok(addresses) => addresses,
        Err(reason) => {
            shared.depart(&Departing { node: peer.key, address: &peer.address }, &reason);
            return None;
        }
    };
    for address in addresses {
        let departing = Departing { node: peer.key, address: &address.to_string() };
        let connection = match connect(endpoint, address, peer.key, shared.deadlines.handshake).await {
            Ok(connection) => connection,
            Err(close) => {
                shared.depart(&departing, &close);
                continue;
            }
        };
        match link::establish(shared, &connection, true).await {
            Ok(established) => {
                let node = tls::peer_node(&connection);
                established.serve(shared).await;
                return node;
            }
            Err(close) => shared.depart(&Departing { node: tls::peer_node(&connection), ..departing }, &close),
        }
    }
    None
}

pub(super) async fn connect(
    endpoint: &Endpoint,
    address: SocketAddr,
    expected: Option<NodeId>,
    within: Duration,
) -> Result<quinn::Connection, Close> {
    let connecting = endpoint
        .connect(address, &tls::server_name(expected))
        .map_err(|error| Close::violation(format!("cannot be dialled: {error}")))?;
    runtime::timeout(within, connecting)
        .await
        .map_err(|_| Close::timeout(format!("no answer within {within:?}")))?
        .map_err(Close::from)
}

/// The addresses of `name`, looked up anew, as far as our socket can reach them.
pub(super) async fn resolve(endpoint: &Endpoint, name: &str) -> Result<Vec<SocketAddr>, Close> {
    let found = runtime::timeout(RESOLVE_DEADLINE, runtime::resolve(name))
        .await
        .map_err(|_| Close::timeout(format!("{name:?} was not resolved within {RESOLVE_DEADLINE:?}")))?
        .map_err(|error| Close::violation(format!("{name:?} cannot be resolved: {error}")))?;
    let v6 = endpoint.local_addr().is_ok_and(|local| local.is_ipv6());
    let usable: Vec<SocketAddr> =
        found.into_iter().filter(|address| v6 || address.is_ipv4()).take(ADDRESSES_MAX).collect();
    if usable.is_empty() {
        return Err(Close::violation(format!("{name:?} has only IPv6 addresses, and this node listens on IPv4 only")));
    }
    Ok(usable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_with_jitter_and_begin_anew_after_success() {
        let mut backoff = Backoff::new(42);
        let pauses: Vec<Duration> = (0..50).map(|_| backoff.next()).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let whole = PAUSE_MIN.saturating_mul(1 << n.min(16)).min(PAUSE_MAX);
            assert!((whole / 2..=whole).contains(pause), "{n}: {pause:?}");
        }
        assert_ne!(pauses[40], pauses[41], "jittered");
        backoff.succeeded();
        assert!(backoff.next() <= PAUSE_MIN);
        assert_ne!(Backoff::new(1).next(), Backoff::new(2).next(), "not in step with others");
    }
}
