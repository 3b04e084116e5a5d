//! `/v1/events`: closes, phases and sync states as server-sent events.
//!
//! Consensus publishes and never waits: the broadcast is bounded, a slow reader loses events and is told so. A reader
//! that names the last ledger it has seen gets the ones it lacks from the store first.

use crate::http::error::ApiError;
use crate::http::history::Reads;
use crate::http::view::Published;
use crate::http::{Stop, dto};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::sse;

/// Events kept for readers that are behind.
const BUFFERED_MAX: usize = 256;
/// Ledgers filled in from the store; a wider gap is answered `reset`.
pub const BACKFILL_MAX: usize = 200;
/// A browser waits this long before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// Only a write finds out that a silent reader has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What the node tells those who watch it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A ledger closed and is durable.
    Ledger(dto::LedgerClosed),
    /// The open slot moved. The publisher sends at most ten a second of these.
    Phase(dto::Slot),
    /// The node's standing changed.
    Sync(dto::Sync),
}

/// Where the node publishes its events.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BUFFERED_MAX))
    }
}

impl Events {
    /// Tells every open stream. Never blocks; the oldest event makes room.
    pub fn publish(&self, event: Event) {
        // An error only says that nobody listens.
        drop(self.0.send(event));
    }

    /// How many streams are open.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.receiver_count()
    }
}

/// What one line of a stream can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Event(Event),
    Lagged(dto::Lagged),
    Reset(dto::Reset),
}

/// Opens streams, as long as there are seats.
#[derive(Clone)]
pub(crate) struct Streams {
    events: Events,
    view: Published,
    reads: Reads,
    seats: Arc<Semaphore>,
    seats_max: usize,
}

impl Streams {
    pub(crate) fn new(events: Events, view: Published, reads: Reads, seats_max: usize) -> Self {
        Self { events, view, reads, seats: Arc::new(Semaphore::new(seats_max)), seats_max }
    }

    /// A stream of everything after ledger `since`, or of everything from now on.
    pub(crate) async fn open(&self, since: Option<u64>) -> Result<Feed, ApiError> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| {
            ApiError::unavailable("too_many_streams", format!("all {} event streams are taken", self.seats_max))
        })?;
        // Subscribed before anything is read: what closes meanwhile comes twice and is dropped once.
        let live = self.events.0.subscribe();
        let view = self.view.load();
        let mut feed = Feed {
            live,
            reads: self.reads.clone(),
            view: self.view.clone(),
            last: since.unwrap_or(view.ledger.sequence),
            lines: VecDeque::new(),
            _seat: seat,
        };
        feed.lines.push_back(Line::Event(Event::Sync(dto::Sync::from(&*view))));
        feed.lines.push_back(Line::Event(Event::Phase(dto::Slot::from(&view.slot))));
        if since.is_some() {
            feed.backfill().await?;
        }
        Ok(feed)
    }
}

/// One reader's stream.
pub(crate) struct Feed {
    live: broadcast::Receiver<Event>,
    reads: Reads,
    view: Published,
    /// The newest ledger this reader has been told of.
    last: u64,
    lines: VecDeque<Line>,
    _seat: OwnedSemaphorePermit,
}

impl Feed {
    /// Queues the ledgers after `last` that are in the store, or a reset.
    async fn backfill(&mut self) -> Result<(), ApiError> {
        let since = self.last;
        let newest = self.view.load().ledger.sequence;
        let ledgers = self.reads.run(move |history| history.ledgers_after(since, BACKFILL_MAX + 1)).await?;
        // A reader ahead of us watched another network, or this one before its store was lost.
        let ahead = since > newest && ledgers.is_empty();
        if ahead || ledgers.len() > BACKFILL_MAX {
            self.last = newest;
            self.lines.push_back(Line::Reset(dto::Reset { sequence: newest }));
            return Ok(());
        }
        for ledger in &ledgers {
            self.last = ledger.sequence;
            self.lines.push_back(Line::Event(Event::Ledger(dto::LedgerClosed::from(ledger))));
        }
        Ok(())
    }

    /// The next line; `None` ends the stream.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            match self.live.recv().await {
                Ok(Event::Ledger(ledger)) if ledger.sequence <= self.last => {}
                Ok(Event::Ledger(ledger)) => {
                    self.last = ledger.sequence;
                    return Some(Line::Event(Event::Ledger(ledger)));
                }
                Ok(event @ (Event::Phase(_) | Event::Sync(_))) => return Some(Line::Event(event)),
                Err(RecvError::Lagged(missed)) => {
                    self.lines.push_back(Line::Lagged(dto::Lagged { missed }));
                    // If even the store does not answer, the reader comes back with `since`.
                    self.backfill().await.ok()?;
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// The answer: the stream, with a sign of life every ten seconds, until `stop`.
pub(crate) fn reply(feed: Feed, stop: Stop) -> warp::reply::Response {
    let first = stream::once(async { sse::Event::default().retry(RETRY).comment("fba events") });
    let rest = stream::unfold(feed, |mut feed| async move {
        let line = feed.next().await?;
        Some((written(&line), feed))
    });
    let lines = first.chain(rest).take_until(Box::pin(stop.wait())).map(Ok).boxed();
    let lines = Shareable(Mutex::new(lines));
    warp::Reply::into_response(sse::reply(sse::keep_alive().interval(KEEP_ALIVE).stream(lines)))
}

/// A stream that is `Sync`, as warp asks, because nobody can poll it through a shared reference. Never locked.
struct Shareable(Mutex<BoxStream<'static, Result<sse::Event, Infallible>>>);

impl Stream for Shareable {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(cx)
    }
}

fn written(line: &Line) -> sse::Event {
    match line {
        Line::Event(Event::Ledger(ledger)) => named("ledger", ledger).id(ledger.sequence.to_string()),
        Line::Event(Event::Phase(slot)) => named("phase", slot),
        Line::Event(Event::Sync(sync)) => named("sync", sync),
        Line::Lagged(lagged) => named("lagged", lagged),
        // With an id, so that a reader that reconnects does not ask for the same gap again.
        Line::Reset(reset) => named("reset", reset).id(reset.sequence.to_string()),
    }
}

fn named(name: &'static str, data: &impl Serialize) -> sse::Event {
    let event = sse::Event::default().event(name);
    event.json_data(data).expect("DTOs have string keys and no fallible serializer")
}
