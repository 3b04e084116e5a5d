//! In sync or not, and what is done about it: saying things again, asking others what they know.

use super::statements::Protocol;
use super::trigger::stuck_after;
use super::{Herder, Now, Recovery, SyncState};
use crate::wire::Message;
use fba_core::{NodeId, SlotIndex};
use std::time::Duration;

/// An open slot in which we have spoken is spoken of again this often: the cheapest repair there is.
const REPEAT_EVERY: Duration = Duration::from_secs(3);
/// While a slot does not close, peers are asked this often what they know; within what they allow.
const ASK_EVERY: Duration = Duration::from_secs(7);
/// How many peers are asked.
const ASK_PEERS: usize = 2;
/// Peers are asked for statements from this many slots before the open one.
const ASK_BACK: u64 = 3;
/// How often transactions that waited too long are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);

/// Where this node stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracking {
    started: bool,
    synced: bool,
    diverged: bool,
    repeat_at: Duration,
    ask_at: Duration,
    expire_at: Duration,
    turn: u64,
    useless_queue: Option<u64>,
}

/// [`SyncState`] without the reasons: cheap to ask at every flush.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stance {
    Booting,
    Joining,
    CatchingUp,
    Synced,
    Stuck,
    Recovering,
    Diverged,
}

impl Tracking {
    pub(crate) fn start(&mut self, now: Duration) {
        self.started = true;
        self.repeat_at = now + REPEAT_EVERY;
        self.ask_at = now + ASK_EVERY;
        self.expire_at = now + EXPIRE_EVERY;
    }

    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.synced
    }

    /// We said something at this time: there is nothing to repeat for a while.
    pub(crate) fn said(&mut self, at: Duration) {
        self.repeat_at = self.repeat_at.max(at + REPEAT_EVERY);
    }

    pub(crate) fn closed_live(&mut self, now: Duration) {
        self.synced = true;
        self.useless_queue = None;
        self.ask_at = now + ASK_EVERY;
    }

    pub(crate) fn lost_sync(&mut self) {
        self.synced = false;
    }

    pub(crate) fn diverged(&mut self) {
        self.diverged = true;
    }

    /// The version of the queue from which no valid set could be made on the present ledger.
    pub(crate) fn useless_queue(&self) -> Option<u64> {
        self.useless_queue
    }

    pub(crate) fn set_useless_queue(&mut self, version: u64) {
        self.useless_queue = Some(version);
    }

    pub(crate) fn forget_useless_queue(&mut self) {
        self.useless_queue = None;
    }
}

impl Herder {
    pub(super) fn start(&mut self, now: Now) {
        self.tracking.start(now.monotonic);
        if let Some(silence) = self.silence.as_mut() {
            silence.start(now);
        }
        self.slot.since = now.monotonic;
        let slot = self.open_slot();
        self.open_in_core(slot);
        self.restore_slot(now, slot);
        self.restore_heard(now);
    }

    /// Everything that only time brings about.
    pub(super) fn tick(&mut self, now: Now) {
        if !self.tracking.started {
            return;
        }
        self.take_up_waiting(now);
        self.fire_timers(now);
        self.trigger(now);
        self.take_up_waiting(now);
        self.ask_for_missing(now);
        self.demand_elsewhere(now);
        self.catch_up(now);
        self.repeat(now);
        if self.tracking.expire_at <= now.monotonic {
            self.tracking.expire_at = now.monotonic + EXPIRE_EVERY;
            self.tracking.forget_useless_queue();
            self.expire_transactions(now);
        }
    }

    /// Transaction sets have come, by whatever way: statements may have waited for them.
    fn take_up_waiting(&mut self, now: Now) {
        while self.payloads.take_fresh() {
            self.readmit(now);
            self.try_close(now);
        }
    }

    /// When [`super::Input::Wakeup`] is wanted, on the monotonic clock of [`Now`]; may lie in the past. `None` before the start.
    #[must_use]
    pub fn next_wakeup(&self, now: Now) -> Option<Duration> {
        if !self.tracking.started {
            return None;
        }
        let timers = self.slot.timers.values().map(|(deadline, _)| *deadline);
        let fixed = [self.tracking.repeat_at, self.tracking.ask_at, self.tracking.expire_at];
        let maybe = [
            self.trigger_due(now),
            self.fetches.next_deadline(),
            self.demands.next_deadline(),
            self.catchup_due(),
            self.handing.due(),
        ];
        timers.chain(fixed).chain(maybe.into_iter().flatten()).min()
    }

    fn repeat(&mut self, now: Now) {
        if self.tracking.repeat_at <= now.monotonic {
            self.tracking.repeat_at = now.monotonic + REPEAT_EVERY;
            self.repeat_own(&self.peers.ids().iter().copied().collect::<Vec<_>>());
            if let (Some(own), _) = self.scp.own_latest(self.open_slot()) {
                self.remember(now, own);
            }
        }
        if self.tracking.ask_at <= now.monotonic {
            self.tracking.ask_at = now.monotonic + ASK_EVERY;
            if self.is_overdue(now) {
                self.tracking.lost_sync();
            }
            self.tracking.turn = self.tracking.turn.wrapping_add(1);
            let peers = self.peers.some(self.tracking.turn, ASK_PEERS);
            self.ask_state(peers);
        }
    }

    /// Our own newest statements of the open slot, and what we decided in the last one: durable already, if in the book.
    pub(super) fn repeat_own(&mut self, to: &[NodeId]) {
        let open = self.open_slot();
        let last = SlotIndex(open.0.saturating_sub(1));
        let own = |entry: &&super::statements::Entry| entry.signed.statement.node == self.local;
        let decided = self
            .book
            .of_slot(last)
            .filter(own)
            .filter(|entry| Protocol::of(&entry.signed.statement) == Protocol::Ballot);
        let messages: Vec<Message> = decided
            .chain(self.book.of_slot(open).filter(own))
            .map(|entry| Message::Statement(entry.signed.clone()))
            .collect();
        for message in messages {
            self.out.send(to.to_vec(), message);
        }
    }

    pub(super) fn ask_state(&mut self, to: Vec<NodeId>) {
        self.out.send(to, Message::GetScpState { from: self.open_slot().0.saturating_sub(ASK_BACK) });
    }

    /// Should the open slot have closed by now?
    pub(super) fn is_overdue(&self, now: Now) -> bool {
        now.monotonic.saturating_sub(self.slot.since) >= stuck_after(self.ledger.parameters())
    }

    /// A slot was closed by our own slices: one more that a silent node has watched.
    pub(super) fn note_watched(&mut self, now: Now, close_time_ms: u64) {
        let slip = self.ledger.parameters().clock_slip_ms;
        if let Some(silence) = self.silence.as_mut()
            && silence.watched(now, close_time_ms, slip)
        {
            self.silence = None;
        }
    }

    /// How we stand, with what keeps us from standing better.
    pub(super) fn sync_state(&self, now: Now) -> SyncState {
        match self.stance(now) {
            Stance::Diverged => SyncState::Diverged,
            Stance::Booting => SyncState::Booting,
            Stance::CatchingUp => {
                let (from, to) = self.gap().expect("it is a gap that makes a node catch up");
                SyncState::CatchingUp { from, to }
            }
            Stance::Recovering => SyncState::Recovering(self.recovery(now)),
            Stance::Stuck => {
                let seconds = now.monotonic.saturating_sub(self.slot.since).as_secs();
                SyncState::Stuck { seconds, waits: Box::new(self.waits()) }
            }
            Stance::Synced => SyncState::Synced,
            Stance::Joining => SyncState::Joining { waits: Box::new(self.waits()) },
        }
    }

    /// How we stand: the first that applies.
    pub(super) fn stance(&self, now: Now) -> Stance {
        if self.tracking.diverged {
            Stance::Diverged
        } else if !self.tracking.started {
            Stance::Booting
        } else if self.gap().is_some() {
            Stance::CatchingUp
        } else if self.silence.is_some() && self.config.is_validator {
            Stance::Recovering
        } else if self.is_overdue(now) {
            Stance::Stuck
        } else if self.tracking.synced {
            Stance::Synced
        } else {
            Stance::Joining
        }
    }

    fn recovery(&self, now: Now) -> Recovery {
        let waits = self.is_overdue(now).then(|| Box::new(self.waits()));
        let silence = self.silence.as_ref().expect("it is its silence that makes a node recover");
        silence.recovery(now, self.ledger.parameters(), waits)
    }
}
