//! The consensus thread: inputs in, batches out.
//!
//! It takes whatever has arrived, hands it to the herder, and carries out one batch: send what may leave, commit, send
//! the votes, tell whoever waits. While it commits, inputs pile up in bounded channels and share the next commit.

use super::AppError;
use super::memory;
use super::reads::LedgerReads;
use super::show::{self, Showing};
use crate::herder::{
    Batch, Commit, Divergence, Herder, Input, Notice, Now, Outgoing, OverrideRefused, StatementKind, Ticket,
    TicketOutcome,
};
use crate::http::{self, Away, Identity, NodeView, Request, Submission, SubmitOutcome};
use crate::overlay::{Event, Overlay};
use crate::record::{Record, Recorder};
use crate::runtime;
use crate::store::{Reader, Store};
use crate::wire::Message;
use async_channel::{Receiver, Sender};
use fba_core::SlotIndex;
use futures::{FutureExt, pin_mut, select_biased};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Inputs of each kind (votes, payload, requests) are handled for so long before a batch is carried out: bounds how
/// long our votes on the first of them wait. A time and not a number, because one message may hold hundreds of
/// transactions to verify; for each kind its own, so that a flood of one does not keep out the others.
const KIND_TIME_MAX: Duration = Duration::from_millis(3);

/// The thread wakes at least this often, so that what it shows is never older.
const IDLE_WAKEUP: Duration = Duration::from_millis(500);

/// Above so many waiting clients, those that have hung up are swept out first.
const TICKETS_SWEPT_AT: usize = 10_000;

/// Where inputs come from.
pub(super) struct Links {
    pub(super) votes: Receiver<Event>,
    pub(super) payload: Receiver<Event>,
    pub(super) requests: Receiver<Request>,
    pub(super) stopped: Receiver<()>,
}

/// What woke the thread.
#[expect(clippy::large_enum_variant, reason = "one at a time, taken apart as soon as it is made")]
enum Woken {
    Overlay(Event),
    Request(Request),
    Timer,
    Stop,
}

/// Everything the consensus thread owns.
pub(super) struct Consensus {
    herder: Herder,
    store: Store,
    reader: Reader,
    overlay: Arc<Overlay>,
    sequence: Arc<AtomicU64>,
    recorder: Option<Recorder>,
    data_dir: PathBuf,
    started: Instant,
    tickets: BTreeMap<Ticket, Sender<SubmitOutcome>>,
    next_ticket: u64,
    reads: LedgerReads,
    showing: Option<Showing>,
    /// When it was last written down what the overlay remembers.
    kept: Instant,
}

impl Consensus {
    pub(super) fn new(
        herder: Herder,
        store: Store,
        overlay: Arc<Overlay>,
        sequence: Arc<AtomicU64>,
        recorder: Option<Recorder>,
        data_dir: PathBuf,
    ) -> Result<Self, AppError> {
        let reader = store.reader();
        let reads = LedgerReads::start(reader.clone(), Arc::clone(&overlay)).map_err(AppError::Thread)?;
        Ok(Self {
            data_dir,
            herder,
            reader,
            reads,
            store,
            overlay,
            sequence,
            recorder,
            started: Instant::now(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            showing: None,
            kept: Instant::now(),
        })
    }

    /// What the node looks like before it runs.
    pub(super) fn node_view(&self, identity: &Identity) -> NodeView {
        NodeView::of(&self.herder.view(self.now()), identity, Vec::new(), Away::default())
    }

    /// Reads of what this thread commits.
    pub(super) fn reader(&self) -> Reader {
        self.reader.clone()
    }

    pub(super) fn showing(mut self, showing: Showing) -> Self {
        self.showing = Some(showing);
        self
    }

    /// Runs until asked to stop, or until it must.
    pub(super) async fn run(mut self, links: Links) -> Result<(), AppError> {
        let now = self.now();
        self.herder.handle(now, Input::Start);
        self.overlay.set_wanted(self.herder.nearest_nodes());
        self.carry_out()?;
        loop {
            match self.wait(&links).await {
                Woken::Stop => break,
                Woken::Timer => self.store.maintain()?,
                Woken::Overlay(event) => self.overlay_event(event)?,
                Woken::Request(request) => self.request(request)?,
            }
            if let Some(showing) = &self.showing {
                showing.measure().waiting(links.votes.len(), links.payload.len(), links.requests.len());
            }
            self.take_what_is_there(&links)?;
            self.carry_out()?;
            if self.kept.elapsed() >= memory::KEEP_EVERY {
                self.kept = Instant::now();
                memory::keep(&self.overlay, &mut self.store)?;
            }
        }
        memory::keep_all(&self.overlay, &mut self.store)?;
        if let Some(recorder) = &mut self.recorder {
            recorder.flush()?;
        }
        Ok(())
    }

    /// Waits for the first input. Votes come before payload, payload before clients.
    async fn wait(&self, links: &Links) -> Woken {
        let timer = runtime::sleep(self.until_wakeup()).fuse();
        let (vote, payload) = (links.votes.recv().fuse(), links.payload.recv().fuse());
        let (request, stopped) = (links.requests.recv().fuse(), links.stopped.recv().fuse());
        pin_mut!(timer, vote, payload, request, stopped);
        select_biased! {
            _ = stopped => Woken::Stop,
            vote = vote => vote.map_or(Woken::Stop, Woken::Overlay),
            payload = payload => payload.map_or(Woken::Stop, Woken::Overlay),
            request = request => request.map_or(Woken::Stop, Woken::Request),
            () = timer => Woken::Timer,
        }
    }

    /// Votes first, but a flood of them must not keep out the payload they need, nor clients.
    fn take_what_is_there(&mut self, links: &Links) -> Result<(), AppError> {
        waiting(&links.votes).try_for_each(|event| self.overlay_event(event))?;
        waiting(&links.payload).try_for_each(|event| self.overlay_event(event))?;
        waiting(&links.requests).try_for_each(|request| self.request(request))?;
        self.wake();
        Ok(())
    }

    fn until_wakeup(&self) -> Duration {
        let now = self.now();
        let due = self.herder.next_wakeup(now).unwrap_or(Duration::MAX);
        due.saturating_sub(now.monotonic).min(IDLE_WAKEUP)
    }

    fn wake(&mut self) {
        let now = self.now();
        if self.herder.next_wakeup(now).is_some_and(|due| due <= now.monotonic) {
            self.herder.handle(now, Input::Wakeup);
        }
    }

    fn overlay_event(&mut self, event: Event) -> Result<(), AppError> {
        let input = match event {
            Event::Up { peer, .. } => Input::PeerUp { peer },
            Event::Down { peer, reason } => {
                tracing::info!(peer = %show::short(&peer), reason, "link is down");
                Input::PeerDown { peer }
            }
            Event::Message { from, message } => {
                if let (Message::Statement(statement), Some(recorder)) = (&message, &mut self.recorder) {
                    recorder.record(&Record { at_unix_ms: unix_ms(), from, signed: statement.clone() })?;
                }
                Input::Message { from, message }
            }
        };
        let now = self.now();
        self.herder.handle(now, input);
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), AppError> {
        match request {
            Request::IsPending { hash, reply } => {
                // Nobody waits any more if this fails.
                let _ = reply.try_send(self.herder.is_queued(&hash));
            }
            Request::Submit(Submission { transaction, reply }) => {
                let ticket = Ticket(self.next_ticket);
                self.next_ticket += 1;
                if self.tickets.len() >= TICKETS_SWEPT_AT {
                    self.tickets.retain(|_, reply| !reply.is_closed());
                }
                self.tickets.insert(ticket, reply);
                let now = self.now();
                self.herder.handle(now, Input::Submit { transaction, ticket });
            }
            Request::OverrideSilence { slot, reply } => {
                let outcome = self.override_silence(SlotIndex(slot))?;
                // Nobody waits any more if this fails; the log has it.
                let _ = reply.try_send(outcome);
            }
        }
        Ok(())
    }

    /// What an operator risked is in the store before any vote follows from it, and in the log.
    fn override_silence(&mut self, slot: SlotIndex) -> Result<Result<(), OverrideRefused>, AppError> {
        let now = self.now();
        let outcome = self.herder.override_silence(now, slot);
        match &outcome {
            Ok(()) => {
                self.store.note_override(slot, now.unix_ms)?;
                tracing::warn!(
                    %slot,
                    "an operator ended the silence after a loss of votes: if this key voted in this slot before, it may \
                     contradict itself now, and the network can fork"
                );
            }
            Err(refused) => tracing::warn!(%slot, %refused, "resuming votes was refused"),
        }
        Ok(outcome)
    }

    /// Carries out what the inputs so far ask for, in the order that keeps votes durable before they leave.
    fn carry_out(&mut self) -> Result<(), AppError> {
        let now = self.now();
        let Batch { first, commit, then, notices, reads, fatal } = self.herder.flush(now);
        if let Some(showing) = &mut self.showing {
            showing.take_down(now, &notices, &self.herder);
        }
        if let Some(divergence) = fatal {
            self.tell(&notices);
            let evidence = self.keep_evidence(&divergence);
            return Err(AppError::Diverged { divergence: Box::new(divergence), evidence });
        }
        self.send(first);
        // "Queued" and "refused" promise nothing, so they need not wait for the disk.
        self.answer(&notices, |outcome| !matches!(outcome, TicketOutcome::Closed { .. }));
        if let Some(commit) = commit {
            self.commit(&commit)?;
        }
        self.send(then);
        reads.into_iter().for_each(|read| self.reads.take(read));
        self.answer(&notices, |outcome| matches!(outcome, TicketOutcome::Closed { .. }));
        self.tell(&notices);
        Ok(())
    }

    /// Writes the statements that decided otherwise into a recording in the data folder.
    fn keep_evidence(&self, divergence: &Divergence) -> String {
        let path = self.data_dir.join(format!("diverged-{}.recording", divergence.slot));
        let kept = Recorder::open(&path).and_then(|mut recorder| {
            for signed in &divergence.evidence {
                let record = Record { at_unix_ms: unix_ms(), from: signed.statement.node, signed: signed.clone() };
                recorder.record(&record)?;
            }
            recorder.flush()
        });
        match kept {
            Ok(()) => format!("the statements that decided it are in {}", path.display()),
            Err(error) => format!("the statements that decided it could not be kept: {error}"),
        }
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), AppError> {
        if self.store.standing().is_lost() && !commit.votes.is_empty() {
            // The herder was silent for as long as it had to be.
            self.store.resume_voting();
        }
        let took = self.store.commit(commit)?;
        if let Some(close) = commit.closes.last() {
            self.sequence.store(close.closed.header.sequence, Ordering::Relaxed);
        }
        if let Some(showing) = &self.showing {
            showing.measure().committed(took, commit.sync);
        }
        Ok(())
    }

    fn send(&self, outgoing: Vec<Outgoing>) {
        for outgoing in outgoing {
            match outgoing {
                // Lost if a link is gone or its queue is full: flooding does not rely on one link.
                Outgoing::Send { to, message } => {
                    if let (Message::Statement(signed), Some(showing)) = (&message, &self.showing) {
                        showing.measure().sent(StatementKind::of(&signed.statement.pledge), to.len());
                    }
                    self.overlay.send_all(&to, &message);
                }
                Outgoing::DropPeer { peer, reason } => {
                    self.overlay.punish(peer, &reason);
                }
            }
        }
    }

    fn tell(&mut self, notices: &[Notice]) {
        if notices.iter().any(|notice| matches!(notice, Notice::Closed(_))) {
            self.overlay.set_wanted(self.herder.nearest_nodes());
        }
        let now = self.now();
        if let Some(showing) = &mut self.showing {
            showing.show(notices, now, &self.herder, &self.overlay);
        }
    }

    /// Answers those who wait for one of the outcomes `which` picks.
    fn answer(&mut self, notices: &[Notice], which: impl Fn(&TicketOutcome) -> bool) {
        for notice in notices {
            let Notice::Ticket { ticket, outcome } = notice else { continue };
            if !which(outcome) {
                continue;
            }
            let answer = http::submit_outcome(outcome);
            let last = !matches!(answer, SubmitOutcome::Pending);
            if let Some(reply) = self.tickets.get(ticket) {
                // Full or closed: whoever asked has stopped waiting.
                let _ = reply.try_send(answer);
            }
            if last {
                self.tickets.remove(ticket);
            }
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.started.elapsed(), unix_ms: unix_ms() }
    }
}

/// What waits in a queue, for as long as [`KIND_TIME_MAX`] allows. Nothing is taken out that is not handed on.
fn waiting<T>(queue: &Receiver<T>) -> impl Iterator<Item = T> {
    let begun = Instant::now();
    std::iter::from_fn(move || if begun.elapsed() < KIND_TIME_MAX { queue.try_recv().ok() } else { None })
}

/// The wall clock; a clock before 1970 counts as 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
