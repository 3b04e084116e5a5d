//! The QUIC overlay: moves messages between this node and its peers.
//!
//! It decides nothing about consensus: what is flooded and fetched is the herder's business. It proves who the peer
//! is (`tls`, `handshake`), keeps one connection per pair and seats for those we depend on (`registry`), dials the
//! configured peers (`dial`) and, if those are few, others it has heard of (`book`), never lets votes wait behind
//! payload (`queue`, `link`), and keeps off those who knock too often (`knocks`) or break rules (`bans`).

mod bans;
mod book;
mod close;
mod dial;
mod endpoint;
mod frames;
mod handshake;
mod knocks;
mod link;
mod probe;
mod queue;
mod registry;
#[cfg(test)]
mod tests;
mod tls;

pub use bans::Ban;
pub use book::KnownPeer;
pub use probe::{Reached, probe};
pub use registry::{Departure, Seats};

use crate::key::{NetworkId, SecretKey, node_strkey};
use crate::runtime::{self, Tasks};
use crate::wire::{self, ADDRESS_BYTES_MAX, Message, PeerHint, VersionRange};
use async_channel::{Receiver, Sender};
use bans::Bans;
use book::Book;
use bytes::Bytes;
use close::{Close, CloseCode};
use fba_core::NodeId;
use frames::Deadlines;
use handshake::Identity;
use knocks::{Answer, Knocks};
use link::Link;
use queue::VoteKey;
use quinn::{Endpoint, Incoming, VarInt};
use registry::{LinkId, Registry};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Above so many handshakes at once a dialler must first prove its address (QUIC's Retry), which costs a spoofer.
const HALF_OPEN_RETRY: usize = 64;
/// Above so many, newcomers are refused.
const HALF_OPEN_MAX: usize = 256;
/// Told to the peers of a node that stops.
const GOODBYE: &str = "the node stops";
/// How long [`Overlay::close`] waits for goodbyes, and then for tasks.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// How this node takes part in the overlay.
#[derive(Clone, Debug)]
pub struct OverlayConfig {
    /// The UDP address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `host:port` under which others reach this node, told in the hello.
    pub public: Option<String>,
    /// The peers to dial. Those with a key have seats of their own.
    pub peers: Vec<PeerAddress>,
    /// The members of our own quorum set: not banned for long.
    pub trusted: BTreeSet<NodeId>,
    /// What [`Overlay::take_ban_changes`] gave an earlier process.
    pub bans: Vec<Ban>,
    /// What [`Overlay::take_book_changes`] gave an earlier process.
    pub known: Vec<KnownPeer>,
    /// If fewer links than this are to nodes we have dialled or depend on, others that are known are dialled.
    pub target_outbound: usize,
    /// Seats for nodes that are neither configured nor wanted.
    pub seats: Seats,
    /// Only nodes of this network are spoken to.
    pub network: NetworkId,
    /// The protocol versions this node speaks.
    pub versions: VersionRange,
}

/// A peer to dial.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerAddress {
    /// `host:port`; a name is looked up anew for every attempt.
    pub address: String,
    /// The key it must have.
    pub key: Option<NodeId>,
}

/// What the overlay reports.
///
/// [`Event::Up`] and [`Event::Down`] travel with the votes; so does `Event::Message` with a statement. A consumer that
/// empties the vote channel first sees a peer up before anything else of it. Other messages of a peer may be read
/// after its `Down`; answering them is a no-op.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A link is up: both sides have accepted the other's hello.
    Up {
        /// Who.
        peer: NodeId,
        /// Where.
        address: SocketAddr,
        /// Did it dial us?
        inbound: bool,
        /// What it said of itself.
        hello: HelloInfo,
    },
    /// A link has ended.
    Down {
        /// Whose.
        peer: NodeId,
        /// Why: escaped, short.
        reason: String,
    },
    /// A well-formed message. Signatures are not checked yet.
    Message {
        /// The peer that sent it, not necessarily its author.
        from: NodeId,
        /// What it says.
        message: Message,
    },
}

/// What a peer said of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HelloInfo {
    /// The protocol version spoken with it.
    pub version: u32,
    /// Its newest closed ledger at that time.
    pub ledger: u64,
    /// The UDP port it listens on.
    pub port: u16,
    /// Where it wants to be known.
    pub address: Option<String>,
}

/// One link, for reports.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Who.
    pub node: NodeId,
    /// Where.
    pub address: SocketAddr,
    /// Did it dial us?
    pub inbound: bool,
    /// For how long.
    pub up_for: Duration,
    /// Estimated round trip.
    pub rtt: Duration,
    /// UDP payload bytes sent to it on this link.
    pub bytes_sent: u64,
    /// UDP payload bytes received from it on this link.
    pub bytes_received: u64,
    /// Messages that wait to be sent to it.
    pub waiting: usize,
    /// Bytes that wait to be sent to it.
    pub waiting_bytes: usize,
    /// Messages that were not sent to it for want of room.
    pub shed: u64,
    /// What it said of itself.
    pub hello: HelloInfo,
}

/// Why the overlay does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// The UDP socket.
    #[error("cannot listen on UDP {listen}: {source}; is another node running there? choose another `listen` address")]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The public address.
    #[error("public address {address:?} must be host:port in printable ASCII, at most {ADDRESS_BYTES_MAX} bytes long")]
    PublicAddress {
        /// As configured.
        address: String,
    },
    /// TLS.
    #[error("cannot set up TLS 1.3: {0}")]
    Tls(#[from] rustls::Error),
    /// No randomness.
    #[error("the operating system gave no randomness: {0}")]
    NoRandomness(String),
}

/// Behind the lock: never held across an await.
#[derive(Debug)]
struct State {
    registry: Registry,
    bans: Bans,
    book: Book,
    /// Those of the book that are being dialled.
    dialling: BTreeSet<NodeId>,
    knocks: Knocks,
    /// The link that has the seat of each node.
    links: BTreeMap<NodeId, Arc<Link>>,
    /// Rung whenever a link ends, so that diallers look again.
    bells: Vec<Sender<()>>,
}

/// What all tasks share.
struct Shared {
    identity: Identity,
    deadlines: Deadlines,
    state: Mutex<State>,
    votes: Sender<Event>,
    rest: Sender<Event>,
    tasks: Tasks,
    half_open: AtomicUsize,
    started: Instant,
    target_outbound: usize,
    /// Nobody that is not listed is dialled, told of others or believed about them.
    listed_only: bool,
    /// Can our socket reach IPv6 addresses?
    reaches_v6: bool,
}

/// Whom a failure is about.
#[derive(Clone, Copy)]
struct Departing<'a> {
    node: Option<NodeId>,
    address: &'a str,
}

/// Nothing of ours panics while it holds a lock, so what is behind one is whole in any case.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock; a clock before 1970 counts as 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl State {
    /// Lets every dialler look again.
    fn ring(&self) {
        for bell in &self.bells {
            // A full bell has been rung already.
            let _rung = bell.try_send(());
        }
    }
}

impl Shared {
    fn is_linked(&self, node: NodeId) -> bool {
        lock(&self.state).registry.is_linked(node)
    }

    fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        lock(&self.state).links.get(&node).cloned()
    }

    fn all_links(&self) -> Vec<Arc<Link>> {
        lock(&self.state).links.values().cloned().collect()
    }

    /// Frees the seat of a link that is gone.
    fn vacate(&self, node: NodeId, id: LinkId) {
        let mut state = lock(&self.state);
        state.registry.release(node, id);
        if !state.registry.is_linked(node) {
            state.links.remove(&node);
        }
        state.ring();
    }

    /// Keeps why a connection ended, and bans a peer that is proven to break rules.
    fn note(&self, node: Option<NodeId>, address: &str, close: &Close) {
        if let Some(node) = node.filter(|_| close.is_offence()) {
            self.offended(node, &close.to_string());
        }
        lock(&self.state).registry.note(Departure {
            at_ms: unix_ms(),
            reason: close.to_string(),
            times: 1,
            node,
            address: address.to_owned(),
        });
    }

    fn offended(&self, node: NodeId, reason: &str) {
        let mut state = lock(&self.state);
        let chosen = state.registry.is_chosen(node);
        let ban = state.bans.offence(node, unix_ms(), reason, chosen);
        drop(state);
        let peer = node_strkey(node);
        match ban {
            Some(Ban { until_ms, offences, .. }) => {
                tracing::warn!(%peer, reason, ?until_ms, offences, "banned a peer that breaks rules");
            }
            None => tracing::warn!(%peer, reason, "a peer breaks rules, and too many others do for one more ban"),
        }
    }

    fn refuse_banned(&self, node: NodeId) -> Result<(), Close> {
        let state = lock(&self.state);
        match state.bans.of(node, unix_ms()) {
            Some((ban, _)) => Err(Close::new(CloseCode::Banned, format!("banned: {}", ban.reason))),
            None => Ok(()),
        }
    }

    /// Writes down where the peer of a new link is, and says what to tell it of others.
    fn introduce(&self, link: &Link) -> Vec<PeerHint> {
        let (mut state, now_ms) = (lock(&self.state), unix_ms());
        let State { book, links, .. } = &mut *state;
        // Those that have been up for long are reached now, not when their links began.
        for other in links.values().filter(|other| other.up.load(Ordering::Relaxed)) {
            if let Some(address) = other.listening_at() {
                book.met(other.node, address, now_ms);
            }
        }
        if self.listed_only { Vec::new() } else { book.to_tell(link.node, link.address.ip(), now_ms) }
    }

    fn hear(&self, source: NodeId, at: IpAddr, hints: &[PeerHint]) {
        if !self.listed_only {
            let new = lock(&self.state).book.hear(source, at, hints);
            tracing::debug!(source = %node_strkey(source), told = hints.len(), new, "heard where other nodes are");
        }
    }

    /// Nodes of the book to dial now. Each is marked as being dialled.
    fn to_dial(&self) -> Vec<KnownPeer> {
        let (mut state, now_ms) = (lock(&self.state), unix_ms());
        let State { registry, bans, book, dialling, .. } = &mut *state;
        let missing = self.target_outbound.saturating_sub(registry.ours() + dialling.len());
        if missing == 0 || self.listed_only {
            return Vec::new();
        }
        let may_dial = |known: &KnownPeer| {
            let node = known.node;
            let taken = registry.is_linked(node) || registry.is_configured(node) || dialling.contains(&node);
            !taken && bans.of(node, now_ms).is_none() && (self.reaches_v6 || known.address.is_ipv4())
        };
        let chosen = book.to_dial(now_ms, missing, may_dial, |node| registry.is_wanted(node));
        dialling.extend(chosen.iter().map(|known| known.node));
        chosen
    }

    /// How long `node` must not be dialled.
    fn banned_for(&self, node: NodeId) -> Option<Duration> {
        lock(&self.state).bans.of(node, unix_ms()).map(|(_, left)| left)
    }

    /// Keeps why no link came up. Two nodes that dial each other expect one of the two to be turned away.
    fn depart(&self, who: &Departing<'_>, close: &Close) {
        tracing::debug!(node = ?who.node, address = who.address, reason = %close, "no link");
        if close.code != Some(CloseCode::Duplicate) {
            self.note(who.node, who.address, close);
        }
    }
}

/// The running overlay. Dropping it stops it; [`Overlay::close`] also waits until that is done.
pub struct Overlay {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    local: SocketAddr,
    /// Closed when the endpoint is gone for good.
    gone: Receiver<()>,
    stop: Stop,
}

/// Stops the overlay when dropped.
struct Stop(Arc<Shared>);

impl Drop for Stop {
    fn drop(&mut self) {
        // Before the tasks, whose end would look to the peers like streams that break off.
        for link in self.0.all_links() {
            link.end(Close::new(CloseCode::Shutdown, GOODBYE));
        }
        self.0.tasks.stop();
    }
}

/// Starts listening and dialling. `votes` and `rest` should be bounded: a full one holds back the peers, not the node.
///
/// # Errors
/// [`OverlayError`].
pub fn start(
    config: OverlayConfig,
    secret: &SecretKey,
    ledger_sequence: Arc<AtomicU64>,
    votes: Sender<Event>,
    rest: Sender<Event>,
) -> Result<Overlay, OverlayError> {
    start_with(config, secret, ledger_sequence, [votes, rest], Deadlines::default())
}

fn start_with(
    config: OverlayConfig,
    secret: &SecretKey,
    ledger_sequence: Arc<AtomicU64>,
    [votes, rest]: [Sender<Event>; 2],
    deadlines: Deadlines,
) -> Result<Overlay, OverlayError> {
    let OverlayConfig { listen, public, peers, trusted, bans, known, target_outbound, seats, network, versions } =
        config;
    let presentable = |address: &String| {
        address.len() <= ADDRESS_BYTES_MAX && address.contains(':') && address.bytes().all(|b| b.is_ascii_graphic())
    };
    if let Some(address) = public.as_ref().filter(|address| !presentable(address)) {
        return Err(OverlayError::PublicAddress { address: address.clone() });
    }
    let (instance, lots) = (random::<16>()?, random::<32>()?);
    let (endpoint, gone) = endpoint::bind(listen, secret)?;
    let local = endpoint.local_addr().map_err(|source| OverlayError::Bind { listen, source })?;
    let node = secret.node_id();
    // A list of all validators of a network may well name ourselves.
    let peers: Vec<PeerAddress> = peers.into_iter().filter(|peer| peer.key != Some(node)).collect();
    let configured = peers.iter().filter_map(|peer| peer.key).collect();
    // One for each peer, and one for the book.
    let (bells, bell_ends): (Vec<_>, Vec<Receiver<()>>) = (0..=peers.len()).map(|_| async_channel::bounded(1)).unzip();
    let registry = Registry::new(node, seats, configured, trusted);
    let identity = Identity { node, network, versions, instance, ledger: ledger_sequence, port: local.port(), public };
    let shared = Arc::new(Shared {
        identity,
        deadlines,
        state: Mutex::new(State {
            bans: Bans::new(bans, unix_ms(), |node| registry.is_chosen(node)),
            registry,
            book: Book::new(node, lots, known),
            dialling: BTreeSet::new(),
            knocks: Knocks::default(),
            links: BTreeMap::new(),
            bells,
        }),
        votes,
        rest,
        tasks: Tasks::new(),
        half_open: AtomicUsize::new(0),
        started: Instant::now(),
        target_outbound,
        listed_only: seats.listed_only,
        reaches_v6: local.is_ipv6(),
    });
    shared.tasks.spawn(accept(Arc::clone(&shared), endpoint.clone()));
    let seed = u64::from_be_bytes(random()?);
    let mut bell_ends = bell_ends.into_iter();
    for (n, (peer, bell)) in (1u64..).zip(peers.into_iter().zip(&mut bell_ends)) {
        let backoff = dial::Backoff::new(seed.wrapping_add(n));
        shared.tasks.spawn(dial::keep_dialling(Arc::clone(&shared), endpoint.clone(), peer, bell, backoff));
    }
    if let Some(bell) = bell_ends.next() {
        let backoff = dial::Backoff::new(seed);
        shared.tasks.spawn(dial::keep_target(Arc::clone(&shared), endpoint.clone(), bell, backoff));
    }
    tracing::info!(%local, "listening for peers");
    let stop = Stop(Arc::clone(&shared));
    Ok(Overlay { shared, endpoint, local, gone, stop })
}

fn random<const N: usize>() -> Result<[u8; N], OverlayError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| OverlayError::NoRandomness(error.to_string()))?;
    Ok(bytes)
}

/// Counts one handshake for as long as it lives.
struct HalfOpen(Arc<Shared>);

impl HalfOpen {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.half_open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.0.half_open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn accept(shared: Arc<Shared>, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        match judge(&shared, &incoming) {
            Answer::Welcome => {
                let counted = HalfOpen::begin(&shared);
                shared.tasks.spawn(answer(Arc::clone(&shared), incoming, counted));
            }
            Answer::Prove => {
                if let Err(error) = incoming.retry() {
                    error.into_incoming().refuse();
                }
            }
            Answer::Refuse => incoming.refuse(),
        }
    }
}

fn judge(shared: &Shared, incoming: &Incoming) -> Answer {
    let half_open = shared.half_open.load(Ordering::Relaxed);
    if half_open >= HALF_OPEN_MAX {
        return Answer::Refuse;
    }
    if half_open >= HALF_OPEN_RETRY && incoming.may_retry() {
        return Answer::Prove;
    }
    let (address, proven) = (incoming.remote_address().ip(), incoming.remote_address_validated());
    lock(&shared.state).knocks.answer(shared.started.elapsed(), address, proven)
}

/// One connection somebody else dialled, from its first packet to its end.
async fn answer(shared: Arc<Shared>, incoming: Incoming, counted: HalfOpen) {
    let address = incoming.remote_address().to_string();
    let stranger = Departing { node: None, address: &address };
    let tls = runtime::timeout(shared.deadlines.handshake, incoming.into_future()).await;
    let connection = match tls {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return shared.depart(&stranger, &error.into()),
        Err(_) => return shared.depart(&stranger, &Close::timeout("the TLS handshake took too long")),
    };
    let established = link::establish(&shared, &connection, false).await;
    drop(counted);
    match established {
        Ok(established) => {
            established.serve(&shared).await;
        }
        Err(close) => shared.depart(&Departing { node: tls::peer_node(&connection), ..stranger }, &close),
    }
}

impl Overlay {
    /// Queues `message` for `peer`. Never blocks. `false`: the peer is not up, its queue has no room, or the message is
    /// longer than its kind may be.
    pub fn send(&self, peer: NodeId, message: &Message) -> bool {
        let Some(link) = self.shared.link(peer) else {
            return false;
        };
        encode(message).is_some_and(|frame| link.send(message.lane(), VoteKey::of(message), frame))
    }

    /// Queues `message` for each of `peers`, encoded once; what [`Overlay::send`] says of one holds for each.
    pub fn send_all(&self, peers: &[NodeId], message: &Message) {
        if peers.is_empty() {
            return;
        }
        let Some(frame) = encode(message) else { return };
        let (lane, key) = (message.lane(), VoteKey::of(message));
        for link in peers.iter().filter_map(|peer| self.shared.link(*peer)) {
            // What cannot be queued is counted by the link.
            let _queued = link.send(lane, key, frame.clone());
        }
    }

    /// Ends the link to `peer`, if there is one. The reason is told to the peer and kept.
    pub fn drop_peer(&self, peer: NodeId, reason: &str) {
        if let Some(link) = self.shared.link(peer) {
            link.end(Close::new(CloseCode::Dropped, reason));
        }
    }

    /// Ends the link to `peer`, which is proven to have broken a rule, and bans it for a while: the longer the more often
    /// it does so, and never for long if it is configured or a member of our own quorum set. The reason is told to the
    /// peer and kept.
    pub fn punish(&self, peer: NodeId, reason: &str) {
        self.shared.offended(peer, reason);
        self.drop_peer(peer, reason);
    }

    /// The operator bans `node`, for ever if `for_` is none, in the place of any other ban of it. Its link ends; it is
    /// neither admitted nor dialled until then.
    pub fn ban(&self, node: NodeId, for_: Option<Duration>, reason: &str) {
        let ban = lock(&self.shared.state).bans.ban(node, unix_ms(), for_, reason);
        tracing::info!(peer = %node_strkey(node), reason, until_ms = ?ban.until_ms, "banned by the operator");
        if let Some(link) = self.shared.link(node) {
            link.end(Close::new(CloseCode::Banned, format!("banned: {reason}")));
        }
    }

    /// Lifts the ban of `node`, and forgets what led to it. Was it banned?
    #[must_use = "it says whether there was a ban"]
    pub fn unban(&self, node: NodeId) -> bool {
        let mut state = lock(&self.shared.state);
        let was = state.bans.unban(node, unix_ms());
        state.ring();
        was
    }

    /// The bans in force, ordered by key.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        lock(&self.shared.state).bans.in_force(unix_ms())
    }

    /// At most `most` bans that changed since they were last taken, to be kept for the next process; `None`: it need not
    /// be kept any more.
    #[must_use]
    pub fn take_ban_changes(&self, most: usize) -> Vec<(NodeId, Option<Ban>)> {
        lock(&self.shared.state).bans.take_changes(most)
    }

    /// The transitive quorum, nearest first: the first few hundred have seats of their own, besides the configured peers
    /// and the members of our own quorum set, and are dialled before others.
    pub fn set_wanted(&self, nearest: impl IntoIterator<Item = NodeId>) {
        lock(&self.shared.state).registry.set_wanted(nearest);
    }

    /// How many addresses of nodes are known.
    #[must_use]
    pub fn known_addresses(&self) -> usize {
        lock(&self.shared.state).book.len()
    }

    /// At most `most` addresses that changed since they were last taken, to be kept for the next process; `None`: it need
    /// not be kept any more.
    #[must_use]
    pub fn take_book_changes(&self, most: usize) -> Vec<(SocketAddr, Option<KnownPeer>)> {
        lock(&self.shared.state).book.take_changes(most)
    }

    /// The links that are up, ordered by key.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        let links = self.shared.all_links();
        links.iter().filter(|link| link.up.load(Ordering::Acquire)).map(|link| self.describe(link)).collect()
    }

    /// Links that ended or never came up, with their reasons: of configured and wanted nodes the last few each, of all
    /// others the last few in all.
    #[must_use]
    pub fn departures(&self) -> Vec<Departure> {
        lock(&self.shared.state).registry.departures()
    }

    /// The address listened on, with the port that was taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Says goodbye to all peers and waits, for a few seconds at most, until every task has ended and the port is free.
    pub async fn close(self) {
        let Self { shared, endpoint, local, gone, stop } = self;
        drop(stop);
        endpoint.close(VarInt::from(CloseCode::Shutdown as u8), GOODBYE.as_bytes());
        if runtime::timeout(CLOSE_DEADLINE, endpoint.wait_idle()).await.is_err() {
            tracing::debug!("some peers did not confirm the goodbye");
        }
        let tasks = shared.tasks.clone();
        drop((shared, endpoint));
        if tasks.ended(CLOSE_DEADLINE).await.is_err() {
            tracing::warn!("some overlay tasks did not end in time");
        }
        if runtime::timeout(CLOSE_DEADLINE, gone.recv()).await.is_err() {
            tracing::warn!(%local, "the UDP port is not free yet");
        }
    }

    fn describe(&self, link: &Link) -> PeerInfo {
        let stats = link.connection.stats();
        let (waiting, waiting_bytes) = link.waiting();
        PeerInfo {
            node: link.node,
            address: link.address,
            inbound: link.inbound,
            up_for: link.since.elapsed(),
            rtt: link.connection.rtt(),
            bytes_sent: stats.udp_tx.bytes,
            bytes_received: stats.udp_rx.bytes,
            waiting,
            waiting_bytes,
            shed: link.shed.load(Ordering::Relaxed),
            hello: link.hello.clone(),
        }
    }
}

/// `None` if it is longer than any peer takes: a mistake of ours that must not cost the links to those who asked for it.
fn encode(message: &Message) -> Option<Bytes> {
    match wire::encode_frame(message) {
        Ok(frame) => Some(frame.into()),
        Err(error) => {
            tracing::error!(%error, "a message of our own is too long and is not sent");
            None
        }
    }
}
