//! Who is listened to in a round of nomination (N2 to N5).

use crate::{Driver, NodeId, Others, SlotIndex, Value};
use alloc::collections::{BTreeMap, BTreeSet};
use sha2::{Digest, Sha256};

/// Rounds one election may skip (N5). Reached only by a host whose priorities are 0 for every node in every round;
/// the next timeout then tries again.
const SKIPPED_ROUNDS_MAX: u32 = 1000;

/// What all nodes of one slot hash the same way.
struct Round<'a> {
    slot: SlotIndex,
    previous: &'a Value,
    round: u32,
}

/// The number by which `node` is ranked as a leader of the round (N2).
#[must_use]
pub fn priority(slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
    Round { slot, previous, round }.hash(Tag::Priority, &[&ED25519, &node.0])
}

/// The number a node's weight is held against (N2): at or below, it is in the neighbourhood of the round.
#[must_use]
pub fn neighborhood(slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
    Round { slot, previous, round }.hash(Tag::Neighborhood, &[&ED25519, &node.0])
}

/// The number by which one leader's values are ranked in the round (N7).
#[must_use]
pub fn value_hash(slot: SlotIndex, previous: &Value, round: u32, value: &Value) -> u64 {
    Round { slot, previous, round }.hash(Tag::Value, &[&length(value), value.as_bytes(), padding(value)])
}

/// The kind of key that stands before a node's key bytes.
const ED25519: [u8; 4] = [0; 4];

/// Keeps the three hashes from colliding (N2).
#[derive(Clone, Copy, Debug)]
enum Tag {
    Neighborhood = 1,
    Priority = 2,
    Value = 3,
}

impl Round<'_> {
    /// N2: the first eight bytes, big endian, of SHA-256 over slot, previous value, tag, round and subject.
    fn hash(&self, tag: Tag, subject: &[&[u8]]) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(self.slot.0.to_be_bytes());
        hasher.update(length(self.previous));
        hasher.update(self.previous.as_bytes());
        hasher.update(padding(self.previous));
        hasher.update((tag as u32).to_be_bytes());
        hasher.update(self.round.to_be_bytes());
        subject.iter().for_each(|part| hasher.update(part));
        let digest: [u8; 32] = hasher.finalize().into();
        digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

fn length(value: &Value) -> [u8; 4] {
    u32::try_from(value.as_bytes().len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Zeros up to the next multiple of four.
fn padding(value: &Value) -> &'static [u8] {
    match value.as_bytes().len() % 4 {
        0 => &[],
        1 => &[0; 3],
        2 => &[0; 2],
        _ => &[0],
    }
}

/// Adds the leaders of `round` to `leaders` (N4). Skips rounds that would add nobody (N5) and returns the round
/// it ended in.
pub(super) fn elect(
    slot: SlotIndex,
    previous: &Value,
    mut round: u32,
    local: NodeId,
    others: &Others,
    leaders: &mut BTreeSet<NodeId>,
    driver: &impl Driver,
) -> u32 {
    let weights = weights(local, others, driver);
    for _ in 0..SKIPPED_ROUNDS_MAX {
        // N5: with everybody leading already there is nobody to wait for.
        if leaders.len() >= weights.len() {
            break;
        }
        let before = leaders.len();
        let mut top = 0;
        let mut elected = BTreeSet::new();
        for (node, weight) in &weights {
            // N2, N4
            let near = driver.neighborhood(slot, previous, round, *node) <= *weight;
            let priority = if near { driver.priority(slot, previous, round, *node) } else { 0 };
            if priority > top {
                top = priority;
                elected.clear();
            }
            if priority == top && top > 0 {
                elected.insert(*node);
            }
        }
        leaders.append(&mut elected);
        if leaders.len() > before {
            break;
        }
        round = round.saturating_add(1);
    }
    round
}

/// N3: everybody whose weight is not 0.
fn weights(local: NodeId, others: &Others, driver: &impl Driver) -> BTreeMap<NodeId, u64> {
    let mut weights: BTreeMap<NodeId, u64> =
        others.nodes().into_iter().map(|node| (node, driver.weight(node, others))).collect();
    weights.insert(local, driver.own_weight());
    weights.retain(|_, weight| *weight > 0);
    weights
}
