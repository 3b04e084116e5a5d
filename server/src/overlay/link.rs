//! One connection from its hello to its end.
//!
//! The stream of the handshake goes on as the vote stream, at the highest priority; each side opens one more stream
//! per payload lane and says with its first byte which. Every stream has a reader or writer task of its own, so a
//! payload that is waited for holds up no vote. Events go into bounded channels: a peer that floods is held back by
//! QUIC's flow control, lane by lane, not by our memory.

use super::close::{Close, CloseCode};
use super::frames::Deadlines;
use super::handshake::Channel;
use super::queue::{PerLane, Pushed, Queue, VoteKey};
use super::registry::{Candidate, Denied, LinkId};
use super::{Event, GOODBYE, HelloInfo, Shared, frames, lock, tls};
use crate::runtime;
use crate::wire::{self, Lane, Message, PeerHint};
use async_channel::{Receiver, Sender};
use bytes::Bytes;
use fba_core::NodeId;
use futures::future::Either;
use quinn::{Connection, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// Frames above this are decoded on a thread where they may take their time.
const DECODE_ASIDE_FROM: usize = 64 * 1024;

impl Lane {
    /// Of the stream: quinn sends what is higher first.
    const fn priority(self) -> i32 {
        match self {
            Self::Votes => 2,
            Self::Fetch => 1,
            Self::Transactions => 0,
        }
    }

    /// First byte of a one-way stream.
    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::Votes => 0,
            Self::Fetch => 1,
            Self::Transactions => 2,
        }
    }
}

const PAYLOAD_LANES: [Lane; 2] = [Lane::Fetch, Lane::Transactions];

/// One connection that has a seat.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) node: NodeId,
    pub(super) address: SocketAddr,
    pub(super) inbound: bool,
    pub(super) hello: HelloInfo,
    pub(super) since: Instant,
    pub(super) connection: Connection,
    /// Set once both sides have said welcome.
    pub(super) up: AtomicBool,
    deadlines: Deadlines,
    queue: Mutex<Queue>,
    /// Rung when something was added to an empty lane.
    bells: PerLane<(Sender<()>, Receiver<()>)>,
    /// Messages that were not sent for want of room.
    pub(super) shed: AtomicU64,
    /// Has it told us where others are? It may once.
    told: AtomicBool,
    /// Why the connection ends, as the first task to know says.
    verdict: OnceLock<Close>,
    /// Closed when the link is gone and its end was reported.
    ended: Receiver<()>,
}

/// What a link holds as long as it lives; dropping it frees the seat, however the task ends.
pub(super) struct Seat {
    shared: Arc<Shared>,
    node: NodeId,
    id: LinkId,
    _ended: Sender<()>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.vacate(self.node, self.id);
    }
}

/// A link whose handshake is done.
pub(super) struct Established {
    link: Arc<Link>,
    channel: Channel,
    seat: Seat,
}

/// Runs the application's handshake on `connection` and takes a seat.
pub(super) async fn establish(
    shared: &Arc<Shared>,
    connection: &Connection,
    dialled: bool,
) -> Result<Established, Close> {
    let within = shared.deadlines.handshake;
    // Outlives the refusal below: a stream that ended before the connection would hide the reason from the peer.
    let mut channel = None;
    let established = runtime::timeout(within, handshake(shared, connection, dialled, &mut channel))
        .await
        .unwrap_or_else(|_| Err(Close::timeout(format!("the hello took longer than {within:?}"))));
    established.inspect_err(|close| close.apply(connection))
}

async fn handshake(
    shared: &Arc<Shared>,
    connection: &Connection,
    dialled: bool,
    kept: &mut Option<Channel>,
) -> Result<Established, Close> {
    let node = tls::peer_node(connection).ok_or_else(|| Close::violation("shows no node key"))?;
    shared.refuse_banned(node)?;
    let streams = if dialled { connection.open_bi().await? } else { connection.accept_bi().await? };
    let channel = kept.insert(Channel { send: streams.0, receive: streams.1, deadlines: shared.deadlines });
    prioritise(&channel.send, Lane::Votes)?;
    let (hello, version) = channel.greet(&shared.identity, node, dialled).await?;
    let decides = lock(&shared.state).registry.decides(node);
    if !decides {
        channel.hear_welcome(version).await?;
    }
    let address = connection.remote_address();
    let candidate = Candidate { node, address: address.ip(), inbound: !dialled, instance: hello.instance };
    let info = HelloInfo { version, ledger: hello.ledger, port: hello.port, address: hello.address };
    let (link, seat, replaced) = take_seat(shared, connection, candidate, info)?;
    if let Some(old) = replaced {
        old.end(Close::new(CloseCode::Duplicate, "a newer connection takes its place"));
        // Nothing is ever sent there: the channel closes when the old link's end was reported.
        let _closed = old.ended.recv().await;
    }
    channel.say_welcome(version).await?;
    if decides {
        channel.hear_welcome(version).await?;
    }
    let channel = kept.take().expect("put there above");
    Ok(Established { link, channel, seat })
}

type Seated = (Arc<Link>, Seat, Option<Arc<Link>>);

fn take_seat(
    shared: &Arc<Shared>,
    connection: &Connection,
    candidate: Candidate,
    hello: HelloInfo,
) -> Result<Seated, Close> {
    let mut state = lock(&shared.state);
    let admitted = state.registry.admit(candidate).map_err(|denied| {
        let code = match denied {
            Denied::Duplicate => CloseCode::Duplicate,
            Denied::Full(_) | Denied::NetworkFull(_) | Denied::NotListed => CloseCode::NoSeat,
        };
        Close::new(code, denied)
    })?;
    let (sender, ended) = async_channel::bounded(1);
    let remote = connection.remote_address();
    let link = Arc::new(Link {
        node: candidate.node,
        address: SocketAddr::new(remote.ip().to_canonical(), remote.port()),
        inbound: candidate.inbound,
        hello,
        since: Instant::now(),
        connection: connection.clone(),
        up: AtomicBool::new(false),
        deadlines: shared.deadlines,
        queue: Mutex::default(),
        bells: PerLane::new(|| async_channel::bounded(1)),
        shed: AtomicU64::new(0),
        told: AtomicBool::new(false),
        verdict: OnceLock::new(),
        ended,
    });
    let replaced = state.links.insert(candidate.node, Arc::clone(&link));
    assert_eq!(replaced.is_some(), admitted.replaces.is_some(), "registry and links name the same connections");
    drop(state);
    let seat = Seat { shared: Arc::clone(shared), node: candidate.node, id: admitted.id, _ended: sender };
    Ok((link, seat, replaced))
}

impl Established {
    /// Carries messages until the connection ends, and reports its beginning and end. Returns why it ended.
    pub(super) async fn serve(self, shared: &Arc<Shared>) -> Close {
        let Self { link, channel, seat } = self;
        link.up.store(true, Ordering::Release);
        let (peer, address, inbound, hello) = (link.node, link.address, link.inbound, link.hello.clone());
        tracing::info!(?peer, %address, inbound, version = hello.version, ledger = hello.ledger, "peer is up");
        if shared.votes.send(Event::Up { peer, address, inbound, hello }).await.is_err() {
            link.end(Close::new(CloseCode::Shutdown, GOODBYE));
        }
        let readers = link.start(shared, channel);
        link.introduce(shared);
        let closed = link.connection.closed().await;
        // A message must not be reported after the end of its link.
        for reader in readers {
            reader.await;
        }
        link.up.store(false, Ordering::Release);
        let close = link.verdict.get().cloned().unwrap_or_else(|| closed.into());
        tracing::info!(?peer, %address, reason = %close, "peer is down");
        shared.note(Some(peer), &address.to_string(), &close);
        // Fails only when nobody listens any more.
        let _nobody_listens = shared.votes.send(Event::Down { peer, reason: close.to_string() }).await;
        drop(seat);
        close
    }
}

impl Link {
    /// Adds a message to the queue; `key` is set for votes. `false`: it was not, or will not be, sent.
    pub(super) fn send(&self, lane: Lane, key: Option<VoteKey>, frame: Bytes) -> bool {
        if !self.up.load(Ordering::Acquire) {
            return false;
        }
        let pushed = lock(&self.queue).push(lane, key, frame);
        let lost = match pushed {
            Pushed::Queued | Pushed::Superseded => {
                // A full bell has been rung already.
                let _rung = self.bells.get(lane).0.try_send(());
                return true;
            }
            Pushed::Cleared(messages) => messages,
            Pushed::Shed => 1,
            Pushed::Straggler => {
                self.end(Close::new(
                    CloseCode::Straggler,
                    "too many votes wait for this peer: it takes them too slowly",
                ));
                1
            }
        };
        self.shed.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        false
    }

    /// Messages and bytes that wait to be sent.
    pub(super) fn waiting(&self) -> (usize, usize) {
        lock(&self.queue).waiting()
    }

    /// Ends the connection. The first reason given is the one that is kept.
    pub(super) fn end(&self, close: Close) {
        self.verdict.get_or_init(|| close).apply(&self.connection);
    }

    fn end_if_failed(&self, result: Result<(), Close>) {
        if let Err(close) = result {
            self.end(close);
        }
    }

    /// Where the peer listens, if that is certain: one socket of a node both listens and dials.
    pub(super) fn listening_at(&self) -> Option<SocketAddr> {
        (!self.inbound || self.address.port() == self.hello.port).then_some(self.address)
    }

    /// Notes where the peer is, and tells one that dialled us where others are.
    fn introduce(&self, shared: &Shared) {
        let hints = shared.introduce(self);
        if self.inbound && !hints.is_empty() {
            let message = Message::Peers(hints);
            // Nothing else waits in the lane yet.
            let _queued = super::encode(&message).is_some_and(|frame| self.send(message.lane(), None, frame));
        }
    }

    /// The peer says where others are.
    fn hear(&self, shared: &Shared, hints: &[PeerHint]) -> Result<(), Close> {
        if self.inbound || self.told.swap(true, Ordering::Relaxed) {
            return Err(Close::offence("sent addresses of peers twice, or to the side that was dialled"));
        }
        shared.hear(self.node, self.address.ip(), hints);
        Ok(())
    }

    /// Starts all tasks of the link; the readers are returned.
    fn start(self: &Arc<Self>, shared: &Arc<Shared>, channel: Channel) -> Vec<runtime::Task<()>> {
        let link = Arc::clone(self);
        shared.tasks.spawn(async move { link.end_if_failed(link.write(Lane::Votes, channel.send).await) });
        for lane in PAYLOAD_LANES {
            let link = Arc::clone(self);
            shared.tasks.spawn(async move { link.end_if_failed(link.write_payload(lane).await) });
        }
        let (link, owner) = (Arc::clone(self), Arc::clone(shared));
        let votes = async move { link.end_if_failed(link.read(&owner, Lane::Votes, channel.receive).await) };
        let (link, owner) = (Arc::clone(self), Arc::clone(shared));
        let payload = async move { link.end_if_failed(link.accept_payload(&owner).await) };
        [shared.tasks.spawn(votes), shared.tasks.spawn(payload)].into_iter().flatten().collect()
    }

    async fn write_payload(&self, lane: Lane) -> Result<(), Close> {
        let mut stream = self.connection.open_uni().await?;
        prioritise(&stream, lane)?;
        frames::write(&mut stream, lane, &mut [Bytes::copy_from_slice(&[lane.tag()])], self.deadlines).await?;
        self.write(lane, stream).await
    }

    async fn write(&self, lane: Lane, mut stream: SendStream) -> Result<(), Close> {
        loop {
            loop {
                // The lock is not held across an await.
                let mut burst = lock(&self.queue).pop_burst(lane);
                if burst.is_empty() {
                    break;
                }
                frames::write(&mut stream, lane, &mut burst, self.deadlines).await?;
            }
            let rung = runtime::first(self.bells.get(lane).1.recv(), self.connection.closed()).await;
            if let Either::Right(closed) = rung {
                return Err(closed.into());
            }
        }
    }

    /// Takes the peer's payload streams, one per lane, and reads them side by side.
    async fn accept_payload(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<(), Close> {
        let mut open = Vec::new();
        let mut readers = Vec::new();
        for _ in PAYLOAD_LANES {
            let mut stream = self.connection.accept_uni().await?;
            let tag = runtime::timeout(shared.deadlines.frame, frames::read_tag(&mut stream))
                .await
                .map_err(|_| Close::timeout("a stream was opened and left empty"))??;
            let lane = PAYLOAD_LANES.into_iter().find(|lane| lane.tag() == tag && !open.contains(lane));
            let lane =
                lane.ok_or_else(|| Close::offence(format!("a stream for lane {tag}: unknown or open already")))?;
            open.push(lane);
            let (link, owner) = (Arc::clone(self), Arc::clone(shared));
            let reader = async move { link.end_if_failed(link.read(&owner, lane, stream).await) };
            readers.extend(shared.tasks.spawn(reader));
        }
        for reader in readers {
            reader.await;
        }
        Ok(())
    }

    async fn read(&self, shared: &Shared, lane: Lane, mut stream: RecvStream) -> Result<(), Close> {
        let events = match lane {
            Lane::Votes => &shared.votes,
            Lane::Fetch | Lane::Transactions => &shared.rest,
        };
        let network = shared.identity.network;
        loop {
            let bytes = frames::read(&mut stream, lane.bytes_max(), shared.deadlines).await?;
            let decoded = if bytes.len() < DECODE_ASIDE_FROM {
                wire::decode(network, lane, &bytes)
            } else {
                runtime::spawn_blocking(move || wire::decode(network, lane, &bytes)).await
            };
            let message: Message = decoded.map_err(Close::offence)?;
            if let Message::Peers(hints) = &message {
                self.hear(shared, hints)?;
                continue;
            }
            let event = Event::Message { from: self.node, message };
            match runtime::first(events.send(event), self.connection.closed()).await {
                Either::Left(Ok(())) => {}
                Either::Left(Err(_)) => return Err(Close::new(CloseCode::Shutdown, GOODBYE)),
                Either::Right(closed) => return Err(closed.into()),
            }
        }
    }
}

fn prioritise(stream: &SendStream, lane: Lane) -> Result<(), Close> {
    stream.set_priority(lane.priority()).map_err(|_| Close::violation("the stream is closed already"))
}
