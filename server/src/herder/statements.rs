//! Signed statements by slot, node and protocol: only the newest of each, and which peers know it.

use crate::wire::SignedStatement;
use fba_core::{NodeId, SlotIndex, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// The two halves of a slot. A node has one newest statement in each.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Protocol {
    Nomination,
    Ballot,
}

impl Protocol {
    pub(crate) fn of(statement: &Statement) -> Self {
        if statement.pledge.is_nomination() { Self::Nomination } else { Self::Ballot }
    }
}

/// A statement, and who has it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) signed: SignedStatement,
    /// Peers that sent it to us or were sent it: they need not be told.
    pub(crate) knows: BTreeSet<NodeId>,
    /// Is it in a commit already?
    pub(crate) stored: bool,
}

impl Entry {
    pub(crate) fn heard(signed: SignedStatement, peer: NodeId) -> Self {
        Self { signed, knows: BTreeSet::from([peer]), stored: false }
    }

    pub(crate) fn own(signed: SignedStatement) -> Self {
        Self { signed, knows: BTreeSet::new(), stored: false }
    }

    /// Somebody's, from before a restart.
    pub(crate) fn restored(signed: SignedStatement) -> Self {
        Self { signed, knows: BTreeSet::new(), stored: true }
    }

    pub(crate) fn slot(&self) -> SlotIndex {
        self.signed.statement.slot
    }
}

/// How a statement compares with what is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Novelty {
    /// Newer than what is held, or the first.
    News,
    /// Exactly what is held.
    Held,
    /// Older than what is held.
    Stale,
    /// Neither: a nomination of a node that has forgotten one.
    Forgetful,
}

type Slot = BTreeMap<(NodeId, Protocol), Entry>;

/// At most one nomination and one ballot statement per node and slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statements {
    slots: BTreeMap<SlotIndex, Slot>,
}

impl Statements {
    pub(crate) fn novelty(&self, signed: &SignedStatement) -> Novelty {
        match self.get(&signed.statement) {
            None => Novelty::News,
            Some(entry) if entry.signed == *signed => Novelty::Held,
            Some(entry) if signed.statement.is_newer_than(&entry.signed.statement) => Novelty::News,
            Some(entry) if entry.signed.statement.is_newer_than(&signed.statement) => Novelty::Stale,
            Some(_) => Novelty::Forgetful,
        }
    }

    /// What is held of the same slot, node and protocol.
    pub(crate) fn get(&self, like: &Statement) -> Option<&Entry> {
        self.slots.get(&like.slot)?.get(&(like.node, Protocol::of(like)))
    }

    pub(crate) fn get_mut(&mut self, like: &Statement) -> Option<&mut Entry> {
        self.slots.get_mut(&like.slot)?.get_mut(&(like.node, Protocol::of(like)))
    }

    /// Replaces what was held of the same slot, node and protocol.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let statement = &entry.signed.statement;
        let key = (statement.node, Protocol::of(statement));
        self.slots.entry(statement.slot).or_default().insert(key, entry);
    }

    pub(crate) fn remove(&mut self, like: &Statement) -> Option<Entry> {
        let slot = self.slots.get_mut(&like.slot)?;
        let entry = slot.remove(&(like.node, Protocol::of(like)));
        if slot.is_empty() {
            self.slots.remove(&like.slot);
        }
        entry
    }

    pub(crate) fn of_slot(&self, slot: SlotIndex) -> impl Iterator<Item = &Entry> {
        self.slots.get(&slot).into_iter().flat_map(BTreeMap::values)
    }

    /// Marks everything others said in `slot` as stored; returns what was not.
    pub(crate) fn store_heard(&mut self, slot: SlotIndex, local: NodeId) -> Vec<SignedStatement> {
        let entries = self.slots.get_mut(&slot).into_iter().flat_map(BTreeMap::values_mut);
        let unstored = entries.filter(|entry| !entry.stored && entry.signed.statement.node != local);
        unstored
            .map(|entry| {
                entry.stored = true;
                entry.signed.clone()
            })
            .collect()
    }

    pub(crate) fn take_slot(&mut self, slot: SlotIndex) -> Vec<Entry> {
        self.slots.remove(&slot).map(|slot| slot.into_values().collect()).unwrap_or_default()
    }

    /// Takes out everything below `floor`.
    pub(crate) fn take_below(&mut self, floor: SlotIndex) -> Vec<Entry> {
        let rest = self.slots.split_off(&floor);
        std::mem::replace(&mut self.slots, rest).into_values().flat_map(BTreeMap::into_values).collect()
    }

    /// Everything, lowest slot first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.values().flat_map(BTreeMap::values)
    }

    /// Everything from `slot` on, lowest slot first.
    pub(crate) fn since(&self, slot: SlotIndex) -> impl Iterator<Item = &Entry> {
        self.slots.range(slot..).flat_map(|(_, slot)| slot.values())
    }

    /// What is held of a node's balloting in a slot.
    pub(crate) fn ballot_of(&self, slot: SlotIndex, node: NodeId) -> Option<&Entry> {
        self.slots.get(&slot)?.get(&(node, Protocol::Ballot))
    }

    /// How much is held of a slot.
    pub(crate) fn held_of(&self, slot: SlotIndex) -> usize {
        self.slots.get(&slot).map_or(0, BTreeMap::len)
    }

    /// The highest slot a node spoke of.
    pub(crate) fn last_slot_of(&self, node: NodeId) -> Option<SlotIndex> {
        let speaks = |slot: &Slot| {
            slot.contains_key(&(node, Protocol::Ballot)) || slot.contains_key(&(node, Protocol::Nomination))
        };
        self.slots.iter().rev().find(|(_, slot)| speaks(slot)).map(|(index, _)| *index)
    }

    /// In how many slots above `floor` a node's word is held.
    pub(crate) fn slots_of_above(&self, node: NodeId, floor: SlotIndex) -> usize {
        self.slots.range(floor.next()..).filter(|(_, slot)| slot.keys().any(|(of, _)| *of == node)).count()
    }

    /// Keeps a node's slots above `floor` to the `most` highest, so that naming far-away slots costs nobody memory.
    pub(crate) fn limit_slots_of(&mut self, node: NodeId, floor: SlotIndex, most: usize) {
        let held: Vec<SlotIndex> = self
            .slots
            .range(floor.next()..)
            .filter(|(_, slot)| slot.keys().any(|(of, _)| *of == node))
            .map(|(index, _)| *index)
            .collect();
        for index in held.iter().take(held.len().saturating_sub(most)) {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.retain(|(of, _), _| *of != node);
            }
        }
        self.slots.retain(|_, slot| !slot.is_empty());
    }

    /// Drops every slot below `floor`.
    pub(crate) fn prune(&mut self, floor: SlotIndex) {
        self.slots = self.slots.split_off(&floor);
    }

    /// A peer is gone; when it comes back it may have forgotten.
    pub(crate) fn forget_peer(&mut self, peer: NodeId) {
        for entry in self.slots.values_mut().flat_map(BTreeMap::values_mut) {
            entry.knows.remove(&peer);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.values().map(BTreeMap::len).sum()
    }
}
