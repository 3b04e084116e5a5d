//! Our wall clock beside those of the nodes we listen to: read off the close times they propose.

use super::{ClockView, Herder, Now};
use crate::ledger::LedgerValue;
use fba_core::{NodeId, Pledge, SlotIndex, Statement};
use std::collections::BTreeMap;

/// A proposer's clock counts if it proposed in one of this many last slots: about two minutes of one-second closes.
const RECENT_SLOTS: u64 = 128;
/// Most proposers remembered: as many as a quorum set may list.
const PROPOSERS_MAX: usize = 1_000;
/// Fewer proposers than this tell nothing: one of them may be the one that is wrong.
const PROPOSERS_MIN: usize = 2;

/// How far the clocks of proposers are ahead of ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// By proposer: the slot, and its close time minus our time when we heard of it, in milliseconds.
    samples: BTreeMap<NodeId, (SlotIndex, i64)>,
}

impl Clock {
    /// Only the first that is heard of a proposer in a slot tells something: what comes again comes late.
    fn note(&mut self, proposer: NodeId, slot: SlotIndex, ahead_ms: i64) {
        let known = self.samples.get(&proposer);
        if known.is_some_and(|(at, _)| *at >= slot) || (known.is_none() && self.samples.len() >= PROPOSERS_MAX) {
            return;
        }
        self.samples.insert(proposer, (slot, ahead_ms));
    }

    /// The median: a minority of wrong clocks does not move it beyond a right one.
    pub(crate) fn view(&self, open: SlotIndex) -> ClockView {
        let recent = |(slot, _): &&(SlotIndex, i64)| slot.0.saturating_add(RECENT_SLOTS) >= open.0;
        let mut ahead: Vec<i64> = self.samples.values().filter(recent).map(|(_, ahead_ms)| *ahead_ms).collect();
        ahead.sort_unstable();
        let proposers = ahead.len();
        let ahead_ms = ahead.get(proposers / 2).copied().filter(|_| proposers >= PROPOSERS_MIN);
        ClockView { ahead_ms, proposers }
    }
}

impl Herder {
    /// A node we listen to nominates a value of its own: its close time is what its clock says, unless it had to be
    /// later than the last one or than the heartbeat.
    pub(super) fn note_clock(&mut self, now: Now, statement: &Statement) {
        let Pledge::Nominate { voted, accepted } = &statement.pledge else { return };
        let listened_to = self.tracker.listens_to(statement.node);
        if statement.slot != self.open_slot() || !listened_to {
            return;
        }
        let last = self.ledger.close_time_ms();
        let forced = [last.saturating_add(1), last.saturating_add(self.ledger.parameters().heartbeat_ms)];
        for value in voted.iter().chain(accepted) {
            let Ok(LedgerValue::Proposed(proposed)) = LedgerValue::decode(value) else { continue };
            if proposed.proposer == statement.node && !forced.contains(&proposed.close_time_ms) {
                let ahead = i128::from(proposed.close_time_ms) - i128::from(now.unix_ms);
                let ahead_ms = i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX });
                self.clock.note(statement.node, statement.slot, ahead_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    #[test]
    fn the_median_of_recent_proposers_counts_and_one_alone_tells_nothing() {
        let mut clock = Clock::default();
        clock.note(node(1), SlotIndex(10), 300_000);
        assert_eq!(clock.view(SlotIndex(11)), ClockView { ahead_ms: None, proposers: 1 });
        clock.note(node(2), SlotIndex(11), -20);
        clock.note(node(3), SlotIndex(12), -30);
        assert_eq!(clock.view(SlotIndex(13)), ClockView { ahead_ms: Some(-20), proposers: 3 });
        clock.note(node(3), SlotIndex(12), 9_999);
        assert_eq!(clock.view(SlotIndex(13)).ahead_ms, Some(-20), "said again it comes late");
        assert_eq!(clock.view(SlotIndex(500)), ClockView::default(), "too long ago");
    }
}
