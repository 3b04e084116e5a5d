//! What waits to be sent to one peer. Sans-IO: three lanes, each bounded in messages and in bytes.
//!
//! Votes never wait behind anything else and only the newest vote of a node about a slot is kept. When a lane is full:
//! votes make the peer a straggler, questions and answers are shed one by one (whoever asked asks again), and the
//! transaction lane is cleared whole, because what is left of it would be stale anyway.

use crate::wire::{Lane, Message};
use bytes::Bytes;
use fba_core::{NodeId, SlotIndex};
use std::collections::BTreeMap;

/// Which vote replaces which: of one node about one slot, nominations and ballots apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct VoteKey {
    node: NodeId,
    slot: SlotIndex,
    nomination: bool,
}

impl VoteKey {
    /// The key of a vote, `None` for every other message.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let Message::Statement(signed) = message else {
            return None;
        };
        let statement = &signed.statement;
        Some(Self { node: statement.node, slot: statement.slot, nomination: statement.pledge.is_nomination() })
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pushed {
    /// It waits.
    Queued,
    /// It waits in the place of an older vote, which is never sent.
    Superseded,
    /// It and everything that waited in its lane is gone: this many messages.
    Cleared(usize),
    /// It alone is gone.
    Shed,
    /// It is a vote and there is no room: the peer takes nothing.
    Straggler,
}

/// Room of one lane.
#[derive(Clone, Copy, Debug)]
struct Room {
    messages: usize,
    bytes: usize,
}

/// Enough for every vote of a hundred nodes in the slots a node keeps, and small against one process's memory.
const VOTES: Room = Room { messages: 8_192, bytes: 8 * 1024 * 1024 };
/// A few transaction sets or answers with ledgers at their largest.
const FETCH: Room = Room { messages: 1_024, bytes: 20 * 1024 * 1024 };
/// A few seconds of transactions.
const TRANSACTIONS: Room = Room { messages: 4_096, bytes: 8 * 1024 * 1024 };

/// Bytes handed to QUIC at once, if single frames are not longer: one wakeup for many small ones.
const BURST: usize = 64 * 1024;

const fn room(lane: Lane) -> Room {
    match lane {
        Lane::Votes => VOTES,
        Lane::Fetch => FETCH,
        Lane::Transactions => TRANSACTIONS,
    }
}

/// One of something for every lane.
#[derive(Debug, Default)]
pub(super) struct PerLane<T> {
    votes: T,
    fetch: T,
    transactions: T,
}

impl<T> PerLane<T> {
    /// Three made by `make`.
    pub(super) fn new(make: impl Fn() -> T) -> Self {
        Self { votes: make(), fetch: make(), transactions: make() }
    }

    /// The one of `lane`.
    pub(super) fn get(&self, lane: Lane) -> &T {
        match lane {
            Lane::Votes => &self.votes,
            Lane::Fetch => &self.fetch,
            Lane::Transactions => &self.transactions,
        }
    }

    fn get_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Votes => &mut self.votes,
            Lane::Fetch => &mut self.fetch,
            Lane::Transactions => &mut self.transactions,
        }
    }
}

/// One lane: frames in the order in which they will be sent.
#[derive(Debug, Default)]
struct Waiting {
    /// By order of arrival, so that a vote can be replaced where it stands.
    frames: BTreeMap<u64, (Option<VoteKey>, Bytes)>,
    bytes: usize,
    next: u64,
}

/// The queue of one peer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: PerLane<Waiting>,
    votes: BTreeMap<VoteKey, u64>,
}

impl Queue {
    /// Adds a frame. `key` is set for votes.
    pub(super) fn push(&mut self, lane: Lane, key: Option<VoteKey>, frame: Bytes) -> Pushed {
        let waiting = self.lanes.get_mut(lane);
        if let Some(place) = key.and_then(|key| self.votes.get(&key)) {
            let (_, old) = waiting.frames.get_mut(place).expect("every key in `votes` waits in the vote lane");
            let bytes = waiting.bytes - old.len() + frame.len();
            if bytes > VOTES.bytes {
                return Pushed::Straggler;
            }
            waiting.bytes = bytes;
            *old = frame;
            return Pushed::Superseded;
        }
        let room = room(lane);
        if waiting.frames.len() >= room.messages || waiting.bytes + frame.len() > room.bytes {
            return match lane {
                Lane::Votes => Pushed::Straggler,
                Lane::Fetch => Pushed::Shed,
                Lane::Transactions => Pushed::Cleared(std::mem::take(waiting).frames.len() + 1),
            };
        }
        waiting.bytes += frame.len();
        waiting.frames.insert(waiting.next, (key, frame));
        if let Some(key) = key {
            self.votes.insert(key, waiting.next);
        }
        waiting.next += 1;
        Pushed::Queued
    }

    /// The next frame of `lane` to send.
    pub(super) fn pop(&mut self, lane: Lane) -> Option<Bytes> {
        let waiting = self.lanes.get_mut(lane);
        let (_, (key, frame)) = waiting.frames.pop_first()?;
        waiting.bytes -= frame.len();
        if let Some(key) = key {
            self.votes.remove(&key);
        }
        Some(frame)
    }

    /// The next frames of `lane` to send: at least one if there is one, and as many more as fit [`BURST`] bytes. Votes go
    /// one by one, so that each can be superseded as long as possible.
    pub(super) fn pop_burst(&mut self, lane: Lane) -> Vec<Bytes> {
        let mut burst: Vec<Bytes> = self.pop(lane).into_iter().collect();
        let mut bytes: usize = burst.iter().map(Bytes::len).sum();
        while lane != Lane::Votes
            && let Some((_, (_, next))) = self.lanes.get(lane).frames.first_key_value()
            && bytes + next.len() <= BURST
        {
            bytes += next.len();
            burst.extend(self.pop(lane));
        }
        burst
    }

    /// How many messages wait, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        Lane::ALL.into_iter().fold((0, 0), |(messages, bytes), lane| {
            let waiting = self.lanes.get(lane);
            (messages + waiting.frames.len(), bytes + waiting.bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(node: u8, slot: u64, nomination: bool) -> Option<VoteKey> {
        Some(VoteKey { node: NodeId([node; 32]), slot: SlotIndex(slot), nomination })
    }

    fn frame(tag: u8, length: usize) -> Bytes {
        Bytes::from(vec![tag; length])
    }

    #[test]
    fn a_newer_vote_takes_the_place_of_the_older_one() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(Lane::Votes, key(1, 5, false), frame(1, 10)), Pushed::Queued);
        assert_eq!(queue.push(Lane::Votes, key(2, 5, false), frame(2, 10)), Pushed::Queued);
        assert_eq!(queue.push(Lane::Votes, key(1, 5, true), frame(3, 10)), Pushed::Queued);
        assert_eq!(queue.push(Lane::Votes, key(1, 5, false), frame(4, 20)), Pushed::Superseded);
        assert_eq!(queue.waiting(), (3, 40));
        let sent: Vec<u8> = std::iter::from_fn(|| queue.pop(Lane::Votes)).map(|frame| frame[0]).collect();
        assert_eq!(sent, [4, 2, 3]);
        assert_eq!(queue.push(Lane::Votes, key(1, 5, false), frame(5, 1)), Pushed::Queued);
    }

    #[test]
    fn a_full_lane_sheds_as_its_class_says_and_touches_no_other() {
        let mut queue = Queue::default();
        for slot in 0..VOTES.messages as u64 {
            assert_eq!(queue.push(Lane::Votes, key(1, slot, false), frame(0, 1)), Pushed::Queued);
        }
        assert_eq!(queue.push(Lane::Votes, key(2, 0, false), frame(0, 1)), Pushed::Straggler);
        assert_eq!(queue.push(Lane::Votes, key(1, 0, false), frame(0, 1)), Pushed::Superseded);
        assert_eq!(queue.push(Lane::Fetch, None, frame(0, FETCH.bytes)), Pushed::Queued);
        assert_eq!(queue.push(Lane::Fetch, None, frame(0, 1)), Pushed::Shed);
        assert_eq!(queue.push(Lane::Transactions, None, frame(0, 1)), Pushed::Queued);
        assert_eq!(queue.push(Lane::Transactions, None, frame(0, TRANSACTIONS.bytes)), Pushed::Cleared(2));
        assert_eq!(queue.waiting(), (VOTES.messages + 1, VOTES.messages + FETCH.bytes));
    }

    #[test]
    fn small_payload_frames_leave_together_and_votes_one_by_one() {
        let mut queue = Queue::default();
        for lane in [Lane::Votes, Lane::Fetch] {
            for tag in 0..3 {
                queue.push(lane, None, frame(tag, BURST / 2));
            }
        }
        let sizes = |burst: Vec<Bytes>| burst.len();
        assert_eq!([(); 3].map(|()| sizes(queue.pop_burst(Lane::Fetch))), [2, 1, 0]);
        assert_eq!([(); 4].map(|()| sizes(queue.pop_burst(Lane::Votes))), [1, 1, 1, 0]);
        queue.push(Lane::Fetch, None, frame(0, 2 * BURST));
        assert_eq!(sizes(queue.pop_burst(Lane::Fetch)), 1, "a long frame leaves too");
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_frames(
            steps in prop::collection::vec((0usize..3, 0u8..3, 0u64..3, any::<bool>(), 0usize..50, any::<bool>()), 0..200)
        ) {
            let mut queue = Queue::default();
            for (lane, node, slot, nomination, length, pop) in steps {
                let lane = Lane::ALL[lane];
                if pop {
                    queue.pop(lane);
                } else {
                    let key = if lane == Lane::Votes { key(node, slot, nomination) } else { None };
                    queue.push(lane, key, frame(node, length));
                }
                prop_assert_eq!(queue.votes.len(), queue.lanes.votes.frames.len());
                let bytes: usize = Lane::ALL
                    .into_iter()
                    .flat_map(|lane| queue.lanes.get(lane).frames.values())
                    .map(|(_, frame)| frame.len())
                    .sum();
                prop_assert_eq!(queue.waiting().1, bytes);
            }
        }
    }
}
