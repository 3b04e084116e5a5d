//! One slot at a glance: what was said in it, and where the core stands.

use super::Herder;
use crate::wire::SignedStatement;
use fba_core::{SlotIndex, SlotState};

/// What this node holds about one slot.
#[derive(Clone, Debug, Default)]
pub struct SlotView {
    /// The state of the core; nothing for a slot that is not open.
    pub state: Option<SlotState>,
    /// The newest nomination and ballot statement of every node, by node.
    pub statements: Vec<SignedStatement>,
    /// Statements that would have gone beyond the bound.
    pub left_out: u64,
}

impl Herder {
    /// The slot's state, and its statements up to about `bytes_max` bytes together.
    #[must_use]
    pub fn slot_view(&self, slot: SlotIndex, bytes_max: usize) -> SlotView {
        let mut view = SlotView { state: self.scp.slot_state(slot), ..SlotView::default() };
        let mut bytes = 0_usize;
        for entry in self.book.of_slot(slot) {
            bytes = bytes.saturating_add(entry.signed.bytes_at_most());
            if bytes <= bytes_max {
                view.statements.push(entry.signed.clone());
            } else {
                view.left_out += 1;
            }
        }
        view
    }
}
