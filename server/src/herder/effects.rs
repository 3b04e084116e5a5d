//! Carrying out what the core asks for, and closing the ledger when a slot is decided.

use super::decision::Onlooker;
use super::fetch::Item;
use super::statements::Protocol;
use super::trigger::lateness;
use super::{Divergence, Herder, Notice, Now, SLOTS_KEPT};
use crate::ledger::{Closed, LedgerValue};
use fba_core::{Effect, Hash, Input, Node, Phase, Rule, SlotIndex, Statement, Timer, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// The slot after the last closed ledger, seen from outside the core.
#[derive(Clone, Debug)]
pub(crate) struct OpenSlot {
    pub(crate) index: SlotIndex,
    /// When the ledger before it closed here.
    pub(crate) since: Duration,
    /// How much later that was than its agreed close time; see [`super::trigger::lateness`].
    pub(crate) late: Duration,
    pub(crate) timers: BTreeMap<Timer, (Duration, u64)>,
    /// When nomination was opened.
    pub(crate) nominating_since: Option<Duration>,
    pub(crate) balloting_since: Option<Duration>,
    /// What we propose, if we do.
    pub(crate) own: Option<OwnProposal>,
    pub(crate) phase: Phase,
    /// Decided, but its transaction set is not here.
    pub(crate) decided: Option<Value>,
    pub(crate) undelivered: Option<Hash>,
    /// Follows statements that do not fit our ledger.
    pub(crate) contrary: Option<Onlooker>,
    /// The newest own statement of each protocol that is synced.
    pub(crate) durable: BTreeMap<Protocol, Statement>,
}

#[derive(Clone, Debug)]
pub(crate) struct OwnProposal {
    pub(crate) value: Value,
    pub(crate) tx_set: Hash,
    pub(crate) is_empty: bool,
    pub(crate) pushed: bool,
}

impl OpenSlot {
    pub(crate) fn new(index: SlotIndex, since: Duration, late: Duration) -> Self {
        Self {
            index,
            since,
            late,
            timers: BTreeMap::new(),
            nominating_since: None,
            balloting_since: None,
            own: None,
            phase: Phase::Prepare,
            decided: None,
            undelivered: None,
            contrary: None,
            durable: BTreeMap::new(),
        }
    }
}

impl Herder {
    pub(super) fn perform(&mut self, now: Now, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Emit(statement) => self.emit(now, statement),
                Effect::StartTimer { timer, generation, after, .. } => {
                    self.slot.timers.insert(timer, (now.monotonic + after, generation));
                }
                Effect::StopTimer { timer, .. } => {
                    self.slot.timers.remove(&timer);
                }
                Effect::Externalize { value, .. } => self.slot.decided = Some(value),
                Effect::Moved(moved) => {
                    if moved.rule == Rule::Bump {
                        self.slot.balloting_since.get_or_insert(now.monotonic);
                    }
                    self.out.notice(Notice::Moved(moved));
                }
            }
        }
        self.note_phase();
        self.try_close(now);
    }

    fn emit(&mut self, now: Now, statement: Statement) {
        self.push_own_set(&statement);
        self.tracking.said(now.monotonic);
        self.out.emit(statement);
    }

    fn note_phase(&mut self) {
        let slot = self.open_slot();
        let Some(state) = self.scp.slot_state(slot) else { return };
        if state.phase != self.slot.phase {
            self.slot.phase = state.phase;
            self.out.notice(Notice::Phase { slot, phase: state.phase });
        }
    }

    /// Fires the timers of the open slot that are due.
    pub(super) fn fire_timers(&mut self, now: Now) {
        let due: Vec<(Timer, u64)> = self
            .slot
            .timers
            .iter()
            .filter(|(_, (deadline, _))| *deadline <= now.monotonic)
            .map(|(timer, (_, generation))| (*timer, *generation))
            .collect();
        let slot = self.open_slot();
        for (timer, generation) in due {
            // A timer before this one may have closed the slot, or have started this one again.
            if slot != self.open_slot()
                || self.slot.timers.get(&timer).is_none_or(|(_, running)| *running != generation)
            {
                continue;
            }
            self.slot.timers.remove(&timer);
            self.out.notice(Notice::TimedOut { slot, timer });
            let (scp, driver) = self.core(now);
            // Late timers are refused, and that is all.
            let effects = scp.handle(Input::TimerFired { slot, timer, generation }, &driver).unwrap_or_default();
            self.perform(now, effects);
        }
    }

    /// Closes the open slot if it is decided and its transaction set is here.
    pub(super) fn try_close(&mut self, now: Now) {
        let Some(value) = self.slot.decided.clone() else { return };
        let Ok(LedgerValue::Proposed(proposed)) = LedgerValue::decode(&value) else {
            return self.diverged("a quorum decided what is no ledger value here");
        };
        let Some(set) = self.payloads.genuine(&proposed.tx_set).cloned() else {
            self.slot.undelivered = Some(proposed.tx_set);
            return self.fetches.want(now.monotonic, Item::TxSet(proposed.tx_set), None);
        };
        match self.ledger.close(&value, &set) {
            Ok(closed) => {
                self.tracking.closed_live(now.monotonic);
                self.note_watched(now, closed.header.close_time_ms);
                self.out.close(closed.clone(), true, self.timing(now));
                self.next_slot(now, &closed);
            }
            Err(reason) => self.diverged(&format!("a quorum decided what is not valid on our ledger: {reason}")),
        }
    }

    fn timing(&self, now: Now) -> (Option<Duration>, Option<Duration>) {
        let since = |start: Option<Duration>, end: Duration| Some(end.saturating_sub(start?));
        let first_ballot = self.slot.balloting_since.unwrap_or(now.monotonic);
        (since(self.slot.nominating_since, first_ballot), since(self.slot.balloting_since, now.monotonic))
    }

    /// The ledger has moved on: the slot after it is open.
    pub(super) fn next_slot(&mut self, now: Now, closed: &Closed) {
        self.leave_slot(now, closed);
        self.enter_slot(now);
    }

    /// Everything that was about the slot that closed is over. What follows must be [`Herder::enter_slot`], or the next
    /// close.
    pub(super) fn leave_slot(&mut self, now: Now, closed: &Closed) {
        let old = self.open_slot();
        self.scp.close(old);
        let next = SlotIndex(closed.header.sequence).next();
        let late = lateness(now.unix_ms, closed.header.close_time_ms, self.ledger.parameters());
        self.slot = OpenSlot::new(next, now.monotonic, late);
        self.verdicts.clear();
        self.contrary = super::Statements::default();
        self.payloads.close(std::sync::Arc::clone(&closed.tx_set), closed.hash);
        self.catchup.closed(closed.header.sequence);
        self.settle_transactions(closed);
    }

    /// Listens to the open slot, beginning with what was said of it early.
    pub(super) fn enter_slot(&mut self, now: Now) {
        let next = self.open_slot();
        self.book.prune(SlotIndex(next.0.saturating_sub(SLOTS_KEPT)));
        if self.scp.is_validator() != self.votes() {
            self.scp = Node::new(self.local, self.votes(), self.config.quorum_set.clone());
        }
        // Statements that came early, and those that waited, are looked at as if they came now.
        let mut early = self.pending.take_slot(next);
        early.extend(self.book.take_slot(next));
        let late = self.pending.take_below(next);
        self.open_in_core(next);
        self.restore_slot(now, next);
        for entry in late {
            if self.sets.contains_key(&entry.signed.statement.quorum_set) {
                self.book.insert(entry);
            }
        }
        self.look_ahead_again();
        self.drop_needless_fetches();
        self.forget_unused_sets();
        for entry in early {
            self.admit(now, entry);
        }
    }

    /// The core follows a statement that does not fit our ledger? Then our ledger is not the network's.
    pub(super) fn check_divergence(&mut self, statement: &Statement) {
        if !super::catchup::settles(statement) {
            return;
        }
        let slot = self.open_slot();
        let decided = match &mut self.slot.contrary {
            Some(onlooker) => onlooker.hear(statement, &self.sets),
            None => {
                let mut onlooker = Onlooker::new(self.local, &self.config.quorum_set, slot);
                let mut held = self.contrary.of_slot(slot).map(|entry| &entry.signed.statement);
                let decided = held.find_map(|held| onlooker.hear(held, &self.sets));
                self.slot.contrary = Some(onlooker);
                decided
            }
        };
        let Some(value) = decided else { return };
        let Ok(decoded) = LedgerValue::decode(&value) else {
            return self.diverged("a quorum decided what is no ledger value here");
        };
        if self.ledger.is_divergent(slot, &value) {
            let previous = decoded.proposed().previous;
            self.diverged(&format!("a quorum built on header {previous}, which is not ours"));
        } else {
            self.diverged("a quorum decided a value that is not valid on our ledger");
        }
    }

    pub(super) fn diverged(&mut self, reason: &str) {
        let slot = self.open_slot();
        let evidence = self.contrary.of_slot(slot).chain(self.book.of_slot(slot));
        self.tracking.diverged();
        self.out.fatal(Divergence {
            slot,
            sequence: self.ledger.sequence(),
            header: self.ledger.header_hash(),
            reason: reason.to_owned(),
            evidence: evidence.map(|entry| entry.signed.clone()).collect(),
        });
    }

    /// Quorum sets that nobody declares any more.
    pub(super) fn forget_unused_sets(&mut self) {
        let named: std::collections::BTreeSet<Hash> =
            self.book.iter().chain(self.pending.iter()).map(|entry| entry.signed.statement.quorum_set).collect();
        let current: std::collections::BTreeSet<Hash> = self.tracker.sets().map(|set| set.hash()).collect();
        self.sets.retain(|hash, _| named.contains(hash) || current.contains(hash));
        self.sets_needed = self.sets.len();
    }
}
