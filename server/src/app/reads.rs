//! Closed ledgers for peers that catch up: read and sent by a thread of their own, one question after the other, so
//! that however many peers catch up, they cost a voting node at most one core and never the consensus thread.

use super::show;
use crate::herder::{LedgerPart, ReadLedgers};
use crate::overlay::Overlay;
use crate::store::{Reader, StoreError};
use crate::wire::Message;
use fba_core::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Questions that wait. An answer takes some ten milliseconds to read, at most a hundred: the last of these waits for less
/// than a peer's patience.
const WAITING_MAX: usize = 16;

/// Questions of one peer that wait: it needs no more than one at a time, and one that it has given up.
const PER_PEER_MAX: usize = 2;

/// The questions at hand, and the thread that answers them.
pub(super) struct LedgerReads {
    questions: Option<SyncSender<ReadLedgers>>,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What both sides know.
struct Desk {
    reader: Reader,
    overlay: Arc<Overlay>,
    waiting: Mutex<Waiting>,
    stopped: AtomicBool,
}

/// How many questions of each peer wait.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<NodeId, usize>);

impl Waiting {
    /// One more of this peer, if it may.
    fn admit(&mut self, peer: NodeId) -> bool {
        let of_peer = self.0.entry(peer).or_default();
        let admits = *of_peer < PER_PEER_MAX;
        *of_peer += usize::from(admits);
        admits
    }

    /// One less.
    fn done(&mut self, peer: NodeId) {
        let left = self.0.get(&peer).map_or(0, |of_peer| of_peer.saturating_sub(1));
        if left == 0 {
            self.0.remove(&peer);
        } else {
            self.0.insert(peer, left);
        }
    }
}

impl LedgerReads {
    /// Starts the thread.
    pub(super) fn start(reader: Reader, overlay: Arc<Overlay>) -> io::Result<Self> {
        let (questions, asked) = sync_channel(WAITING_MAX);
        let desk = Desk { reader, overlay, waiting: Mutex::default(), stopped: AtomicBool::new(false) };
        let desk = Arc::new(desk);
        let run = {
            let desk = Arc::clone(&desk);
            move || desk.run(&asked)
        };
        let thread = std::thread::Builder::new().name("ledger-reads".into()).spawn(run)?;
        Ok(Self { questions: Some(questions), desk, thread: Some(thread) })
    }

    /// Takes a question, or says at once that there is no time for it: the peer then asks somebody else.
    pub(super) fn take(&self, read: ReadLedgers) {
        let Some(questions) = &self.questions else { return };
        if self.desk.waiting().admit(read.peer) {
            if questions.try_send(read).is_ok() {
                return;
            }
            self.desk.waiting().done(read.peer);
        }
        tracing::debug!(peer = %show::short(&read.peer), "too many questions for ledgers wait: answered with nothing");
        self.desk.overlay.send(read.peer, &read.part.nothing());
    }
}

impl Drop for LedgerReads {
    fn drop(&mut self) {
        self.desk.stopped.store(true, Ordering::Relaxed);
        self.questions = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads ledgers for peers has panicked");
        }
    }
}

impl Desk {
    fn run(&self, asked: &Receiver<ReadLedgers>) {
        for read in asked {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let answer = self.answer(read).unwrap_or_else(|error| {
                tracing::error!(%error, from = read.from, "cannot read ledgers for a peer");
                read.part.nothing()
            });
            // Lost if the link is gone or its queue is full: the peer asks again.
            self.overlay.send(read.peer, &answer);
            self.waiting().done(read.peer);
        }
    }

    fn answer(&self, ReadLedgers { from, count, part, .. }: ReadLedgers) -> Result<Message, StoreError> {
        let count = u64::from(count);
        Ok(match part {
            LedgerPart::Headers => Message::Headers(self.reader.headers(from, count)?),
            LedgerPart::Whole => Message::Ledgers(self.reader.ledger_entries(from, count)?),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Counts are right at every point a panic could come from.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_asks_on_and_on_leaves_room_for_others() {
        let (mut waiting, [one, other]) = (Waiting::default(), [NodeId([1; 32]), NodeId([2; 32])]);
        assert_eq!((0..9).filter(|_| waiting.admit(one)).count(), PER_PEER_MAX);
        assert!(waiting.admit(other));
        waiting.done(one);
        assert!(waiting.admit(one) && !waiting.admit(one));
        [one, one, other].into_iter().for_each(|peer| waiting.done(peer));
        assert!(waiting.0.is_empty(), "nothing is kept of who is gone");
    }
}
