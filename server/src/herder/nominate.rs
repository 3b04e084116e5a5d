//! Opening nomination, with a value of our own or to follow the leaders, and handing the set behind it around.

use super::effects::OwnProposal;
use super::payloads::PUSHED_BYTES_MAX;
use super::trigger::{self, Circumstances, Proposal};
use super::{Herder, Now};
use crate::ledger::{Proposed, VerifiedTxSet};
use crate::wire::Message;
use fba_core::{Driver, Input, Pledge, Purpose, Statement, Validity, Value};
use std::sync::Arc;
use std::time::Duration;

impl Herder {
    /// Starts nomination if it is time to.
    pub(super) fn trigger(&mut self, now: Now) {
        if !self.votes() || !self.tracking.is_started() || self.is_behind() {
            return;
        }
        match trigger::proposal(self.circumstances(now), self.ledger.parameters()) {
            Proposal::Wait => {}
            Proposal::Transactions => self.propose_transactions(now),
            Proposal::Heartbeat => self.propose_heartbeat(now),
        }
    }

    fn circumstances(&self, now: Now) -> Circumstances {
        Circumstances {
            since_close: now.monotonic.saturating_sub(self.slot.since),
            late: self.slot.late,
            has_transactions: self.has_new_transactions(),
        }
    }

    /// Transactions that were not found useless in this slot already.
    fn has_new_transactions(&self) -> bool {
        let proposed = self.slot.own.as_ref().is_some_and(|own| !own.is_empty);
        !proposed && !self.queue.is_empty() && self.tracking.useless_queue() != Some(self.queue.version())
    }

    pub(super) fn trigger_due(&self, now: Now) -> Option<Duration> {
        if !self.votes() || !self.tracking.is_started() || self.is_behind() {
            return None;
        }
        let circumstances = self.circumstances(now);
        if self.slot.own.is_some() && !circumstances.has_transactions {
            return None;
        }
        Some(self.slot.since + trigger::due(circumstances, self.ledger.parameters()))
    }

    fn propose_transactions(&mut self, now: Now) {
        let close_time_ms = self.ledger.next_close_time(now.unix_ms);
        let most = usize::try_from(self.ledger.parameters().tx_count_max).unwrap_or(usize::MAX).saturating_mul(2);
        let candidates = self.queue.candidates(self.ledger.header_hash(), most);
        let set = self.ledger.build_tx_set(candidates, close_time_ms);
        if set.is_empty() {
            self.tracking.set_useless_queue(self.queue.version());
            return;
        }
        self.propose(now, set, close_time_ms);
    }

    /// A heartbeat's close time is never before it is due, so that a proposer whose clock is late does not hold up
    /// everybody.
    fn propose_heartbeat(&mut self, now: Now) {
        if self.slot.own.is_some() {
            return;
        }
        let due = self.ledger.close_time_ms().saturating_add(self.ledger.parameters().heartbeat_ms);
        let set = self.ledger.build_tx_set(Vec::new(), due);
        self.propose(now, set, self.ledger.next_close_time(now.unix_ms).max(due));
    }

    fn propose(&mut self, now: Now, set: VerifiedTxSet, close_time_ms: u64) {
        let previous = self.ledger.header_hash();
        let proposed = Proposed::sign(self.open_slot(), previous, set.hash(), close_time_ms, &*self.signatures);
        let value = proposed.to_value();
        self.slot.own =
            Some(OwnProposal { value: value.clone(), tx_set: set.hash(), is_empty: set.is_empty(), pushed: false });
        self.payloads.add_own(set);
        self.nominate(now, Some(value));
    }

    /// Opens nomination, or brings our value into the one that is open.
    fn nominate(&mut self, now: Now, value: Option<Value>) {
        let slot = self.open_slot();
        let input = match (self.slot.nominating_since, value) {
            (Some(_), Some(value)) => Input::Propose { slot, value },
            (Some(_), None) => return,
            (None, value) => {
                self.slot.nominating_since = Some(now.monotonic);
                Input::Nominate { slot, value, previous: self.election_seed(), timed_out: false }
            }
        };
        let (scp, driver) = self.core(now);
        let effects = scp.handle(input, &driver).unwrap_or_default();
        self.perform(now, effects);
    }

    /// Leader election is seeded with what nobody knew before the last ledger closed: its header hash.
    pub(super) fn election_seed(&self) -> Value {
        Value::new(&self.ledger.header_hash().0)
    }

    /// A node we listen to nominates what is valid now: so it is time, though we have nothing of our own.
    pub(super) fn follow_nominee(&mut self, now: Now, statement: &Statement) {
        let Pledge::Nominate { voted, accepted } = &statement.pledge else { return };
        let listened_to = self.tracker.listens_to(statement.node);
        let slot = self.open_slot();
        // What followed from the statement may have closed its slot already.
        let is_ours_to_join = self.votes() && !self.is_behind() && self.slot.nominating_since.is_none();
        if slot != statement.slot || !is_ours_to_join || !listened_to {
            return;
        }
        let (_, driver) = self.core(now);
        let valid = |value: &Value| driver.validate(slot, value, Purpose::Nomination) == Validity::Valid;
        if !voted.iter().chain(accepted).any(valid) {
            return;
        }
        if self.has_new_transactions() {
            self.propose_transactions(now);
        }
        if self.open_slot() == slot {
            self.nominate(now, None);
        }
    }

    /// The first statement for our own value takes its set along: peers need not ask for it.
    pub(super) fn push_own_set(&mut self, statement: &Statement) {
        let Some(own) = self.slot.own.as_mut().filter(|own| !own.pushed) else { return };
        if !statement.pledge.values().any(|value| *value == own.value) {
            return;
        }
        own.pushed = true;
        if let Some(set) = self.payloads.genuine(&own.tx_set)
            && set.transaction_bytes() <= PUSHED_BYTES_MAX
        {
            let peers = self.peers.ids().iter().copied().collect();
            self.out.send(peers, Message::TxSet(Arc::clone(set.shared())));
        }
    }
}
