//! The newest statement of every node, and the two questions of federated voting asked about them.
//!
//! Nodes are numbered in the order they were first heard, and every quorum set in use is kept as bit sets over those
//! numbers, so that a vote is counted with a few machine words. Nodes that never spoke have no number: they can
//! be in no set that is asked about. Memory is bounded by the number of senders, which the host bounds.

use crate::{Attested, Evidence, Hash, NodeId, Pledge, QuorumSet, SenderSet, SlotIndex, Statement};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The newest statement of every node, of one protocol of one slot, seen from one node.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    numbers: BTreeMap<NodeId, usize>,
    /// By number.
    entries: Vec<Entry>,
    local: Counted,
    /// The sets that some entry uses. Unused places are taken again.
    sets: Vec<SharedSet>,
}

#[derive(Clone, Debug)]
struct Entry {
    attested: Attested,
    slices: Slices,
}

/// Which slices a sender has (F4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Slices {
    /// EXTERNALIZE: it needs nobody else any more.
    Alone,
    /// The set at this place of `Tally::sets`.
    Of(usize),
    /// Its set is not known: no slice is ever satisfied.
    Unknown,
}

#[derive(Clone, Debug)]
struct SharedSet {
    hash: Hash,
    counted: Counted,
    users: usize,
}

/// Why a vote may be accepted or confirmed; becomes [`Evidence`] when somebody wants to see it.
#[derive(Clone, Debug)]
pub(crate) enum Support {
    VBlocking(NodeSet),
    Quorum(NodeSet),
}

impl Tally {
    pub(crate) fn new(local: Arc<QuorumSet>) -> Self {
        Self {
            numbers: BTreeMap::new(),
            entries: Vec::new(),
            local: Counted::new(local, &BTreeMap::new()),
            sets: Vec::new(),
        }
    }

    /// The newest statements, by node.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Attested> {
        self.numbers.values().filter_map(|number| self.entries.get(*number)).map(|entry| &entry.attested)
    }

    /// What the newest statements say, in no particular order.
    pub(crate) fn pledges(&self) -> impl Iterator<Item = &Pledge> {
        self.entries.iter().map(|entry| &entry.attested.statement.pledge)
    }

    pub(crate) fn of(&self, node: NodeId) -> Option<&Statement> {
        let number = self.numbers.get(&node)?;
        self.entries.get(*number).map(|entry| &entry.attested.statement)
    }

    /// S4: only what is newer than the last statement of the same node counts.
    pub(crate) fn is_news(&self, statement: &Statement) -> bool {
        self.of(statement.node).is_none_or(|old| statement.is_newer_than(old))
    }

    /// Replaces the sender's statement. The caller has asked [`Tally::is_news`].
    pub(crate) fn record(&mut self, attested: Attested) {
        let node = attested.statement.node;
        let known = self.numbers.get(&node).copied();
        let number = known.unwrap_or(self.entries.len());
        if known.is_none() {
            self.numbers.insert(node, number);
            self.local.admit(node, number);
            self.sets.iter_mut().for_each(|set| set.counted.admit(node, number));
        }
        let slices = self.slices_of(&attested);
        let entry = Entry { attested, slices };
        let old = match self.entries.get_mut(number) {
            Some(place) => core::mem::replace(place, entry).slices,
            None => {
                self.entries.push(entry);
                Slices::Unknown
            }
        };
        if let Slices::Of(place) = old
            && let Some(set) = self.sets.get_mut(place)
        {
            set.users = set.users.saturating_sub(1);
        }
    }

    /// F2: may what `accepted` describes be accepted?
    pub(crate) fn accept(
        &self,
        voted: impl Fn(&Pledge) -> bool,
        accepted: impl Fn(&Pledge) -> bool,
    ) -> Option<Support> {
        let acceptors = self.nodes_saying(&accepted);
        if self.local.is_v_blocking(&acceptors) {
            return Some(Support::VBlocking(acceptors));
        }
        let mut supporters = acceptors;
        for (number, pledge) in self.pledges().enumerate() {
            if !supporters.contains(number) && voted(pledge) {
                supporters.insert(number);
            }
        }
        self.quorum_within(supporters).map(Support::Quorum)
    }

    /// F3: is what `accepted` describes confirmed?
    pub(crate) fn confirm(&self, accepted: impl Fn(&Pledge) -> bool) -> Option<Support> {
        self.quorum_within(self.nodes_saying(accepted)).map(Support::Quorum)
    }

    /// Do the nodes of whom `says` is true meet every slice of ours?
    pub(crate) fn is_v_blocking(&self, says: impl Fn(&Pledge) -> bool) -> bool {
        self.local.is_v_blocking(&self.nodes_saying(says))
    }

    pub(crate) fn v_blocking_evidence(&self, says: impl Fn(&Pledge) -> bool) -> Evidence {
        self.evidence(&Support::VBlocking(self.nodes_saying(says)))
    }

    /// Puts names to the numbers.
    pub(crate) fn evidence(&self, support: &Support) -> Evidence {
        let names = |nodes: &NodeSet| -> BTreeSet<NodeId> {
            self.entries
                .iter()
                .enumerate()
                .filter(|(number, _)| nodes.contains(*number))
                .map(|(_, entry)| entry.attested.statement.node)
                .collect()
        };
        match support {
            Support::VBlocking(nodes) => Evidence::VBlocking(names(nodes)),
            Support::Quorum(nodes) => Evidence::Quorum(names(nodes)),
        }
    }

    /// F1: the greatest part of `nodes` in which everybody finds a slice, if it satisfies the local set. The local
    /// node need not be among them.
    fn quorum_within(&self, mut nodes: NodeSet) -> Option<NodeSet> {
        loop {
            // Nodes only leave, and so do slices: what fails here fails for every part.
            if !self.local.is_slice(&nodes) {
                return None;
            }
            // Many senders share a set: each set is looked at once.
            let mut satisfied = NodeSet::default();
            for (place, set) in self.sets.iter().enumerate() {
                if set.users > 0 && set.counted.is_slice(&nodes) {
                    satisfied.insert(place);
                }
            }
            let mut standing = nodes.clone();
            for (number, entry) in self.entries.iter().enumerate() {
                let finds_slice = match entry.slices {
                    Slices::Alone => true,
                    Slices::Of(place) => satisfied.contains(place),
                    Slices::Unknown => false,
                };
                if !finds_slice {
                    standing.remove(number);
                }
            }
            if standing == nodes {
                return Some(standing);
            }
            nodes = standing;
        }
    }

    fn nodes_saying(&self, says: impl Fn(&Pledge) -> bool) -> NodeSet {
        let mut nodes = NodeSet::default();
        for (number, pledge) in self.pledges().enumerate() {
            if says(pledge) {
                nodes.insert(number);
            }
        }
        nodes
    }

    /// F4
    fn slices_of(&mut self, attested: &Attested) -> Slices {
        let hash = attested.statement.quorum_set;
        match (&attested.statement.pledge, &attested.quorum_set) {
            (Pledge::Externalize { .. }, _) => Slices::Alone,
            (_, SenderSet::Unresolved) => Slices::Unknown,
            (_, SenderSet::Known(set)) => Slices::Of(self.share(hash, set)),
        }
    }

    fn share(&mut self, hash: Hash, set: &Arc<QuorumSet>) -> usize {
        let same = |shared: &SharedSet| {
            shared.hash == hash && (Arc::ptr_eq(&shared.counted.set, set) || shared.counted.set == *set)
        };
        if let Some(place) = self.sets.iter().position(same)
            && let Some(shared) = self.sets.get_mut(place)
        {
            shared.users = shared.users.saturating_add(1);
            return place;
        }
        let new = SharedSet { hash, counted: Counted::new(Arc::clone(set), &self.numbers), users: 1 };
        match self.sets.iter().position(|shared| shared.users == 0) {
            Some(place) => {
                if let Some(unused) = self.sets.get_mut(place) {
                    *unused = new;
                }
                place
            }
            None => {
                self.sets.push(new);
                self.sets.len().saturating_sub(1)
            }
        }
    }
}

/// A quorum set over numbers.
#[derive(Clone, Debug)]
struct Counted {
    set: Arc<QuorumSet>,
    level: Level,
}

#[derive(Clone, Debug)]
struct Level {
    threshold: u32,
    slack: u32,
    members: NodeSet,
    inner: Vec<Level>,
}

impl Counted {
    fn new(set: Arc<QuorumSet>, numbers: &BTreeMap<NodeId, usize>) -> Self {
        let level = Level::new(&set, numbers);
        Self { set, level }
    }

    /// A node has spoken for the first time and has got a number.
    fn admit(&mut self, node: NodeId, number: usize) {
        self.level.admit(&self.set, node, number);
    }

    fn is_slice(&self, nodes: &NodeSet) -> bool {
        self.level.is_slice(nodes)
    }

    fn is_v_blocking(&self, nodes: &NodeSet) -> bool {
        self.level.is_v_blocking(nodes)
    }
}

impl Level {
    fn new(set: &QuorumSet, numbers: &BTreeMap<NodeId, usize>) -> Self {
        let mut members = NodeSet::default();
        set.validators().iter().filter_map(|node| numbers.get(node)).for_each(|number| members.insert(*number));
        Self {
            threshold: set.threshold(),
            slack: set.slack(),
            members,
            inner: set.inner_sets().iter().map(|inner| Self::new(inner, numbers)).collect(),
        }
    }

    fn admit(&mut self, set: &QuorumSet, node: NodeId, number: usize) {
        if set.validators().contains(&node) {
            self.members.insert(number);
        }
        for (level, inner) in self.inner.iter_mut().zip(set.inner_sets()) {
            level.admit(inner, node, number);
        }
    }

    /// Q1
    fn is_slice(&self, nodes: &NodeSet) -> bool {
        if self.threshold == 0 {
            return false;
        }
        let direct = self.members.common(nodes);
        let wanted = self.threshold.saturating_sub(direct);
        wanted == 0 || reaches(wanted, self.inner.iter().filter(|level| level.is_slice(nodes)))
    }

    /// Q2
    fn is_v_blocking(&self, nodes: &NodeSet) -> bool {
        if self.threshold == 0 {
            return false;
        }
        let direct = self.members.common(nodes);
        let wanted = self.slack.saturating_add(1).saturating_sub(direct);
        wanted == 0 || reaches(wanted, self.inner.iter().filter(|level| level.is_v_blocking(nodes)))
    }
}

/// Are there at least `wanted` of them? `wanted` is not 0.
fn reaches<T>(wanted: u32, mut those: impl Iterator<Item = T>) -> bool {
    those.nth(wanted.saturating_sub(1) as usize).is_some()
}

/// A set of numbers. The first 64 need no allocation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct NodeSet {
    first: u64,
    rest: Vec<u64>,
}

impl NodeSet {
    fn insert(&mut self, number: usize) {
        let bit = 1u64 << (number % 64);
        let Some(word) = (number / 64).checked_sub(1) else {
            self.first |= bit;
            return;
        };
        if self.rest.len() <= word {
            self.rest.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.rest.get_mut(word) {
            *word |= bit;
        }
    }

    fn remove(&mut self, number: usize) {
        let bit = 1u64 << (number % 64);
        let word = match (number / 64).checked_sub(1) {
            None => Some(&mut self.first),
            Some(word) => self.rest.get_mut(word),
        };
        if let Some(word) = word {
            *word &= !bit;
        }
    }

    fn contains(&self, number: usize) -> bool {
        let word = match (number / 64).checked_sub(1) {
            None => self.first,
            Some(word) => self.rest.get(word).copied().unwrap_or(0),
        };
        word & (1u64 << (number % 64)) != 0
    }

    /// How many numbers are in both.
    fn common(&self, other: &Self) -> u32 {
        let rest = self.rest.iter().zip(&other.rest).map(|(a, b)| (a & b).count_ones());
        rest.fold((self.first & other.first).count_ones(), u32::saturating_add)
    }
}

/// The greatest quorum among `senders`, each judged by its own set, if it satisfies `local` (F1). A sender that counts
/// with its singleton set, as after EXTERNALIZE, is given that set.
#[must_use]
pub fn quorum_among(local: &QuorumSet, senders: &BTreeMap<NodeId, SenderSet>) -> Option<BTreeSet<NodeId>> {
    let mut tally = Tally::new(Arc::new(local.clone()));
    for (node, quorum_set) in senders {
        let hash = match quorum_set {
            SenderSet::Known(set) => set.hash(),
            SenderSet::Unresolved => Hash::ZERO,
        };
        let pledge = Pledge::Nominate { voted: Vec::new(), accepted: Vec::new() };
        let statement = Statement { node: *node, slot: SlotIndex::default(), quorum_set: hash, pledge };
        tally.record(Attested { statement, quorum_set: quorum_set.clone() });
    }
    match tally.confirm(|_| true).map(|support| tally.evidence(&support))? {
        Evidence::Quorum(nodes) | Evidence::VBlocking(nodes) => Some(nodes),
    }
}
