//! What the open slot waits for, and whose loss would halt us: read off our quorum set and what was heard.

use super::{FailAt, Herder, Missing, MissingNode, Need, Said, Waits};
use crate::ledger::LedgerValue;
use fba_core::{NodeId, Phase, Pledge, QuorumSet, SlotState, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// What was heard in the open slot: the newest nomination and ballot statement of each node.
type Heard<'a> = BTreeMap<NodeId, Vec<&'a Statement>>;

impl Herder {
    /// What keeps the open slot from closing.
    pub(super) fn waits(&self) -> Waits {
        let state = self.scp.slot_state(self.open_slot());
        let phase = state.as_ref().map_or(Phase::Prepare, |state| state.phase);
        let counter = state.as_ref().and_then(|state| state.ballot.as_ref()).map_or(0, |ballot| ballot.counter);
        let (need, missing) = self.need(state.as_ref(), counter);
        Waits {
            slot: self.open_slot(),
            phase,
            round: state.as_ref().map_or(0, |state| state.nomination_round),
            counter,
            peers: self.peers.ids().len(),
            need,
            missing,
        }
    }

    /// The first step that lacks somebody; the last step where none does.
    fn need(&self, state: Option<&SlotState>, counter: u32) -> (Need, Option<Missing>) {
        if let Some(value) = &self.slot.decided
            && let Ok(LedgerValue::Proposed(proposed)) = LedgerValue::decode(value)
        {
            return (Need::TxSet(proposed.tx_set), None);
        }
        let heard = self.heard();
        let steps = steps(state.map_or(Phase::Prepare, |state| state.phase), counter);
        let lacking = steps.iter().find_map(|need| Some((*need, self.lacking(*need, counter, &heard)?)));
        match (lacking, steps.last()) {
            (Some((need, missing)), _) => (need, Some(missing)),
            (None, Some(need)) => (*need, None),
            (None, None) => (Need::Heard, None),
        }
    }

    fn heard(&self) -> Heard<'_> {
        let mut heard = Heard::new();
        for entry in self.book.of_slot(self.open_slot()) {
            heard.entry(entry.signed.statement.node).or_default().push(&entry.signed.statement);
        }
        heard
    }

    /// Who is missing for a step, if our set is not satisfied by those who have taken it; or, where it is, who of them
    /// waits for others itself (F1).
    fn lacking(&self, need: Need, counter: u32, heard: &Heard<'_>) -> Option<Missing> {
        let takes =
            |statements: &Vec<&Statement>| statements.iter().any(|statement| has_taken(need, counter, statement));
        let took: BTreeSet<NodeId> = heard.iter().filter(|(_, said)| takes(said)).map(|(node, _)| *node).collect();
        let said = |node: NodeId| if took.contains(&node) { Said::WaitsItself } else { self.said(node, heard) };
        let set = self.config.quorum_set.normalized();
        missing(&set, &took, &said).or_else(|| missing(&set, &self.quorum_among(&took, heard), &said))
    }

    /// F1: without those who find no slice of their own among the others. One who has decided needs nobody; whose set
    /// is not known is never satisfied.
    fn quorum_among(&self, took: &BTreeSet<NodeId>, heard: &Heard<'_>) -> BTreeSet<NodeId> {
        let decided = |node: &NodeId| {
            let pledges = heard.get(node).into_iter().flatten().map(|statement| &statement.pledge);
            pledges.into_iter().any(|pledge| matches!(pledge, Pledge::Externalize { .. }))
        };
        let mut left = took.clone();
        loop {
            let stands =
                |node: &NodeId| decided(node) || self.tracker.set_of(*node).is_some_and(|set| set.is_slice(&left));
            let next: BTreeSet<NodeId> = left.iter().copied().filter(stands).collect();
            if next.len() == left.len() {
                return left;
            }
            left = next;
        }
    }

    fn said(&self, node: NodeId, heard: &Heard<'_>) -> Said {
        if node == self.local && !self.votes() {
            return Said::Silent;
        }
        let open = self.open_slot();
        let newest = heard.get(&node).into_iter().flatten().map(|statement| &statement.pledge);
        let rank = |pledge: &Pledge| match pledge {
            Pledge::Nominate { .. } => (0, Said::Nominates),
            Pledge::Prepare { ballot, .. } => (1, Said::Prepares(ballot.counter)),
            Pledge::Confirm { .. } => (2, Said::Confirms),
            Pledge::Externalize { .. } => (3, Said::Externalized),
        };
        if let Some((_, said)) = newest.map(rank).max_by_key(|(rank, _)| *rank) {
            return said;
        }
        match self.book.last_slot_of(node) {
            None => Said::Nothing,
            Some(slot) if slot > open => Said::Later(slot),
            Some(slot) => Said::Earlier(slot),
        }
    }

    /// The smallest further set of nodes whose loss leaves us no slice, if only `agreeing` are up.
    pub(super) fn fail_at(&self, agreeing: &BTreeSet<NodeId>) -> FailAt {
        let set = self.config.quorum_set.normalized();
        closest_blocking(&set, agreeing, self.local).map_or(FailAt::Never, FailAt::Nodes)
    }
}

/// The steps from where we are to the decision, in order.
fn steps(phase: Phase, counter: u32) -> &'static [Need] {
    match (phase, counter) {
        (Phase::Prepare, 0) => &[Need::Heard, Need::Nominated],
        (Phase::Prepare, _) => &[Need::Heard, Need::AtCounter, Need::Prepared, Need::Committing],
        (Phase::Confirm | Phase::Externalize, _) => &[Need::Heard, Need::Committed],
    }
}

/// Has its author taken this step?
fn has_taken(need: Need, ours: u32, statement: &Statement) -> bool {
    match (&statement.pledge, need) {
        (_, Need::Heard | Need::TxSet(_)) => true,
        (Pledge::Nominate { accepted, .. }, Need::Nominated) => !accepted.is_empty(),
        (Pledge::Nominate { .. }, Need::AtCounter | Need::Prepared | Need::Committing | Need::Committed) => false,
        (Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. }, Need::Nominated) => true,
        (Pledge::Prepare { ballot, .. }, Need::AtCounter) => ballot.counter >= ours,
        (Pledge::Prepare { prepared, .. }, Need::Prepared) => prepared.is_some(),
        (Pledge::Prepare { commit, .. }, Need::Committing) => *commit > 0,
        (Pledge::Prepare { .. }, Need::Committed) => false,
        (
            Pledge::Confirm { .. } | Pledge::Externalize { .. },
            Need::AtCounter | Need::Prepared | Need::Committing | Need::Committed,
        ) => true,
    }
}

/// What `set` lacks beyond `counts`; `None` if it is satisfied.
fn missing(set: &QuorumSet, counts: &BTreeSet<NodeId>, said: &impl Fn(NodeId) -> Said) -> Option<Missing> {
    if set.is_slice(counts) {
        return None;
    }
    let absent = set.validators().iter().filter(|node| !counts.contains(node));
    let nodes: Vec<MissingNode> = absent.map(|node| MissingNode { node: *node, said: said(*node) }).collect();
    let sets: Vec<Missing> = set.inner_sets().iter().filter_map(|inner| missing(inner, counts, said)).collect();
    let lacking = u32::try_from(nodes.len().saturating_add(sets.len())).unwrap_or(u32::MAX);
    Some(Missing {
        threshold: set.threshold(),
        members: set.members(),
        heard: set.members().saturating_sub(lacking),
        validators: set.validators().to_vec(),
        nodes,
        sets,
    })
}

/// The smallest part of `up` without `local` whose loss, on top of everybody outside `up`, leaves no slice of `set`.
/// Empty if there is none already; `None` if the loss of others alone cannot bring that about.
///
/// Exact: no node is twice in a set, so the members that are cheapest to bring down are the ones to choose.
fn closest_blocking(set: &QuorumSet, up: &BTreeSet<NodeId>, local: NodeId) -> Option<Vec<NodeId>> {
    let mut firm = usize::from(set.validators().contains(&local));
    let others = set.validators().iter().filter(|node| **node != local && up.contains(node));
    let mut standing: Vec<Vec<NodeId>> = others.map(|node| vec![*node]).collect();
    for inner in set.inner_sets() {
        match closest_blocking(inner, up, local) {
            None => firm += 1,
            Some(nodes) if nodes.is_empty() => {}
            Some(nodes) => standing.push(nodes),
        }
    }
    standing.sort_by_key(Vec::len);
    let stand = firm.saturating_add(standing.len());
    let Some(spare) = stand.checked_sub(set.threshold() as usize) else { return Some(Vec::new()) };
    let wanted = spare.saturating_add(1);
    (wanted <= standing.len()).then(|| standing.into_iter().take(wanted).flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    fn set(threshold: u32, nodes: &[u8], inner: Vec<QuorumSet>) -> QuorumSet {
        QuorumSet::new(threshold, nodes.iter().copied().map(node).collect(), inner).unwrap()
    }

    fn up(nodes: &[u8]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(node).collect()
    }

    /// Three organisations of three; node 1 is of the first.
    fn three_by_three() -> QuorumSet {
        let organisation = |first: u8| set(2, &[first, first + 1, first + 2], vec![]);
        set(3, &[], vec![organisation(1), organisation(4), organisation(7)])
    }

    #[test]
    fn what_is_missing_follows_the_shape_of_the_set() {
        let said = |_: NodeId| Said::Nothing;
        let found = missing(&three_by_three(), &up(&[1, 2, 4, 7, 8]), &said).unwrap();
        assert_eq!((found.threshold, found.heard, found.members), (3, 2, 3));
        let [inner] = &*found.sets else { panic!("one organisation lacks somebody: {found:?}") };
        assert_eq!((inner.threshold, inner.heard), (2, 1));
        assert_eq!(inner.nodes.iter().map(|missing| missing.node).collect::<Vec<_>>(), [node(5), node(6)]);
        assert_eq!(missing(&three_by_three(), &up(&[1, 2, 4, 5, 7, 8]), &said), None);
    }

    #[test]
    fn the_fewest_further_losses_that_halt_us_do_not_count_ourselves() {
        let all = up(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let of = |up: &BTreeSet<NodeId>| closest_blocking(&three_by_three(), up, node(1)).map(|nodes| nodes.len());
        assert_eq!(of(&all), Some(2), "two of one organisation");
        assert_eq!(of(&up(&[1, 2, 3, 4, 5, 7, 8])), Some(1));
        assert_eq!(of(&up(&[1, 2, 3, 4, 7, 8])), Some(0), "no slice stands already");
        assert_eq!(closest_blocking(&set(1, &[1], vec![]), &all, node(1)), None, "nobody else is needed");
        assert_eq!(
            closest_blocking(&set(3, &[1, 2, 3, 4], vec![]), &up(&[1, 2, 3, 4]), node(1)).map(|n| n.len()),
            Some(2)
        );
    }

    /// By trying all of them.
    #[test]
    fn no_smaller_choice_halts_us() {
        let shapes = [
            three_by_three(),
            set(2, &[1, 2, 3], vec![set(1, &[4, 5], vec![]), set(2, &[6, 7, 8], vec![set(1, &[9], vec![])])]),
            set(4, &[1, 2, 3], vec![set(2, &[4, 5, 6], vec![]), set(3, &[7, 8, 9], vec![])]),
        ];
        for shape in shapes {
            for mask in 0u32..512 {
                let chosen = |mask: u32| (1..=9u8).filter(move |byte| mask & (1 << (byte - 1)) != 0);
                let standing: BTreeSet<NodeId> = chosen(mask | 1).map(node).collect();
                let halts = |lost: u32| {
                    let left = chosen((mask | 1) & !lost).map(node).collect();
                    !shape.is_slice(&left)
                };
                let least = (0u32..512).filter(|lost| lost & 1 == 0 && lost & !mask == 0 && halts(*lost));
                let least = least.map(u32::count_ones).min();
                let found = closest_blocking(&shape, &standing, node(1)).map(|nodes| nodes.len() as u32);
                assert_eq!(found, least, "{shape:?} with {mask:b}");
            }
        }
    }
}
