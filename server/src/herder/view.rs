//! The herder at a glance.

use super::{Herder, LastClosed, NodeState, NodeView, Now, View};
use fba_core::{NodeId, Pledge, SlotIndex, Value};
use std::sync::Arc;

impl Herder {
    /// Plain data for dashboards and commands.
    #[must_use]
    pub fn view(&self, now: Now) -> View {
        let mut nodes: Vec<NodeView> =
            self.tracker.nodes().map(|(node, distance)| self.node_view(now, node, distance)).collect();
        nodes.sort_by_key(|node| (node.distance, node.id));
        let agreeing = nodes.iter().filter(|node| node.state == NodeState::Agree).map(|node| node.id).collect();
        View {
            node: self.local,
            is_validator: self.config.is_validator,
            quorum_set: Arc::new(self.config.quorum_set.normalized()),
            sync: self.sync_state(now),
            last_closed: LastClosed {
                sequence: self.ledger.sequence(),
                hash: self.ledger.header_hash(),
                close_time_ms: self.ledger.close_time_ms(),
            },
            open_slot: self.open_slot(),
            open: self.scp.slot_state(self.open_slot()),
            queued: self.queue.len(),
            peers: self.peers.ids().len(),
            waiting: self.pending.len(),
            nodes,
            catch_up: self.catch_up_view(now),
            unproven: self.unproven(),
            fail_at: self.fail_at(&agreeing),
            clock: self.clock.view(self.open_slot()),
        }
    }

    fn node_view(&self, now: Now, id: NodeId, distance: u32) -> NodeView {
        let last_slot = self.book.last_slot_of(id);
        NodeView {
            id,
            quorum_set: self.tracker.set_of(id).cloned(),
            distance,
            state: if id == self.local { NodeState::Agree } else { self.node_state(now, id, last_slot) },
            last_slot,
            value: self.value_of(id, self.open_slot()).cloned(),
        }
    }

    /// Judged by the last decided slot: what was said of it, or that nothing was. When the open slot should have closed
    /// by now, whoever has said nothing about it is missing, or nodes that failed all at once would seem to agree.
    fn node_state(&self, now: Now, id: NodeId, last_slot: Option<SlotIndex>) -> NodeState {
        let closed = SlotIndex(self.ledger.sequence());
        let ours = self.value_of(self.local, closed);
        match last_slot {
            None => NodeState::Missing,
            Some(slot) if slot < self.open_slot() && self.is_overdue(now) => NodeState::Missing,
            Some(slot) if slot.0.saturating_add(2) < closed.0 => NodeState::Missing,
            Some(slot) if slot < closed => NodeState::Delayed,
            Some(_) => match (self.value_of(id, closed), ours) {
                (Some(theirs), Some(ours)) if theirs != ours => NodeState::Disagree,
                _ => NodeState::Agree,
            },
        }
    }

    /// The value a node works on in a slot.
    fn value_of(&self, id: NodeId, slot: SlotIndex) -> Option<&Value> {
        match &self.book.ballot_of(slot, id)?.signed.statement.pledge {
            Pledge::Nominate { .. } => None,
            Pledge::Prepare { ballot, .. } | Pledge::Confirm { ballot, .. } => Some(&ballot.value),
            Pledge::Externalize { commit, .. } => Some(&commit.value),
        }
    }
}
