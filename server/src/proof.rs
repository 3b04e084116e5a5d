//! Does a proof show that a quorum externalised a value? Sans-IO, for whoever keeps ledgers and for auditors.
//!
//! A node that says CONFIRM accepts that the value is committed, for the counters from `commit` to `high`; EXTERNALIZE
//! accepts it for every counter from `commit` on, and stands for its sender alone. A value is externalised when a
//! quorum accepts one and the same counter (docs/protocol.md, F3 and B6). So a proof holds for a quorum set when for some
//! counter the greatest quorum among the senders that accept it satisfies that set.

use crate::key::{Signatures, node_strkey};
use crate::wire::SignedStatement;
use fba_core::{Hash, NodeId, Pledge, QuorumSet, SlotIndex, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A proof of more statements is made smaller in steps of several: it need not be minimal, but is made on the consensus
/// thread.
const TRIES_MAX: usize = 64;

/// What a proof is to show.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Which slot decided.
    pub slot: SlotIndex,
    /// What it decided.
    pub value: &'a Value,
}

/// Why a proof shows nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// Of another slot.
    #[error("a statement of {} is about slot {found}", node_strkey(*node))]
    OtherSlot {
        /// Whose.
        node: NodeId,
        /// Which slot.
        found: SlotIndex,
    },
    /// For another value.
    #[error("a statement of {} is for another value", node_strkey(*node))]
    OtherValue {
        /// Whose.
        node: NodeId,
    },
    /// NOMINATE or PREPARE: neither accepts that anything is committed.
    #[error("a statement of {} is neither CONFIRM nor EXTERNALIZE", node_strkey(*node))]
    OtherKind {
        /// Whose.
        node: NodeId,
    },
    /// Not a statement an honest node makes.
    #[error("a statement of {} is malformed", node_strkey(*node))]
    Malformed {
        /// Whose.
        node: NodeId,
    },
    /// Two statements of one node.
    #[error("{} has two statements", node_strkey(*node))]
    Twice {
        /// Whose.
        node: NodeId,
    },
    /// Not signed by its sender, or for another network.
    #[error("the signature of {} is not genuine on this network", node_strkey(*node))]
    Forged {
        /// Whose.
        node: NodeId,
    },
    /// A quorum set is named that is not there: none with this hash is.
    #[error("the quorum set {hash} that {} names is not there", node_strkey(*node))]
    NoSet {
        /// Whose.
        node: NodeId,
        /// The hash it names.
        hash: Hash,
    },
    /// All of that is in order, but who signed is no quorum.
    #[error("{signers} nodes signed, and they are no quorum that satisfies the quorum set {set}")]
    NoQuorum {
        /// How many signed.
        signers: usize,
        /// Hash of the quorum set to be satisfied.
        set: Hash,
    },
}

impl Unproven {
    /// Is every statement in order, so that another quorum set may be satisfied by them?
    #[must_use]
    pub fn is_matter_of_trust(&self) -> bool {
        matches!(self, Self::NoQuorum { .. })
    }
}

/// Shows that a quorum that satisfies `quorum_set` externalised the claimed value: the nodes of the quorum. Every
/// statement must be in order, not only those of the quorum. `signatures` are of the network in question.
///
/// # Errors
/// [`Unproven`], the first thing that is wrong.
pub fn check(
    statements: &[SignedStatement],
    quorum_sets: &[QuorumSet],
    claim: Claim<'_>,
    quorum_set: &QuorumSet,
    signatures: &dyn Signatures,
) -> Result<BTreeSet<NodeId>, Unproven> {
    let sets: BTreeMap<Hash, &QuorumSet> = quorum_sets.iter().map(|set| (set.hash(), set)).collect();
    check_statements(statements, &sets, claim, signatures)?;
    let votes = Votes::read(statements, |hash| sets.get(hash).copied());
    votes.quorum(quorum_set).ok_or_else(|| Unproven::NoQuorum { signers: votes.0.len(), set: quorum_set.hash() })
}

/// Is every statement in order, whether or not they are a quorum?
///
/// # Errors
/// [`Unproven`], the first thing that is wrong; never [`Unproven::NoQuorum`].
pub fn check_form(
    statements: &[SignedStatement],
    quorum_sets: &[QuorumSet],
    claim: Claim<'_>,
    signatures: &dyn Signatures,
) -> Result<(), Unproven> {
    let sets: BTreeMap<Hash, &QuorumSet> = quorum_sets.iter().map(|set| (set.hash(), set)).collect();
    check_statements(statements, &sets, claim, signatures)
}

fn check_statements(
    statements: &[SignedStatement],
    sets: &BTreeMap<Hash, &QuorumSet>,
    claim: Claim<'_>,
    signatures: &dyn Signatures,
) -> Result<(), Unproven> {
    let mut seen = BTreeSet::new();
    for signed in statements {
        let statement = &signed.statement;
        let (node, hash) = (statement.node, statement.quorum_set);
        let (value, _) = accepted(&statement.pledge).ok_or(Unproven::OtherKind { node })?;
        let alone = matches!(statement.pledge, Pledge::Externalize { .. });
        let known = alone || sets.get(&hash).is_some_and(|set| set.is_sane());
        // Read as a table: what must hold, and what it is called when it does not.
        let rules = [
            (statement.slot == claim.slot, Unproven::OtherSlot { node, found: statement.slot }),
            (value == claim.value, Unproven::OtherValue { node }),
            (statement.check().is_ok(), Unproven::Malformed { node }),
            (seen.insert(node), Unproven::Twice { node }),
            (known, Unproven::NoSet { node, hash }),
        ];
        if let Some((_, broken)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(broken);
        }
        if !signed.is_signed(signatures) {
            return Err(Unproven::Forged { node });
        }
    }
    Ok(())
}

/// The statements that are needed for a quorum that satisfies `quorum_set`: of those not needed none is left, or, of more
/// than [`TRIES_MAX`], few. What was given, if that is no quorum. EXTERNALIZE, which names no quorum set, is kept rather
/// than CONFIRM. The same statements give the same proof, in whatever order they come.
pub(crate) fn minimal(
    mut statements: Vec<SignedStatement>,
    sets: &BTreeMap<Hash, Arc<QuorumSet>>,
    quorum_set: &QuorumSet,
) -> Vec<SignedStatement> {
    let stands_alone = |signed: &SignedStatement| matches!(signed.statement.pledge, Pledge::Externalize { .. });
    statements.sort_by_key(|signed| (stands_alone(signed), signed.statement.node));
    let mut votes = Votes::read(&statements, |hash| sets.get(hash).map(|set| &**set));
    if votes.quorum(quorum_set).is_none() {
        return statements;
    }
    let nodes: Vec<NodeId> = statements.iter().map(|signed| signed.statement.node).collect();
    // What contains a quorum still does when something is added: so each needs to be tried once.
    for some in nodes.chunks(nodes.len().div_ceil(TRIES_MAX).max(1)) {
        let without = votes.without(some);
        if without.quorum(quorum_set).is_some() {
            votes = without;
        }
    }
    statements.retain(|signed| votes.0.contains_key(&signed.statement.node));
    statements.sort_by_key(|signed| signed.statement.node);
    statements
}

/// Which value a pledge accepts as committed, and for which counters.
fn accepted(pledge: &Pledge) -> Option<(&Value, RangeInclusive<u32>)> {
    match pledge {
        Pledge::Nominate { .. } | Pledge::Prepare { .. } => None,
        Pledge::Confirm { ballot, commit, high, .. } => Some((&ballot.value, *commit..=*high)),
        Pledge::Externalize { commit, .. } => Some((&commit.value, commit.counter..=u32::MAX)),
    }
}

/// Who accepts which counters, and by whose word: a set (`None`: not there), or its own alone.
#[derive(Clone, Debug)]
struct Votes<'a>(BTreeMap<NodeId, (RangeInclusive<u32>, Backing<'a>)>);

#[derive(Clone, Copy, Debug)]
enum Backing<'a> {
    Alone,
    Set(Hash, Option<&'a QuorumSet>),
}

impl<'a> Votes<'a> {
    fn read(statements: &[SignedStatement], set: impl Fn(&Hash) -> Option<&'a QuorumSet>) -> Self {
        let vote = |signed: &SignedStatement| {
            let statement = &signed.statement;
            let (_, counters) = accepted(&statement.pledge)?;
            let backing = match statement.pledge {
                Pledge::Externalize { .. } => Backing::Alone,
                Pledge::Confirm { .. } | Pledge::Nominate { .. } | Pledge::Prepare { .. } => {
                    Backing::Set(statement.quorum_set, set(&statement.quorum_set))
                }
            };
            Some((statement.node, (counters, backing)))
        };
        Self(statements.iter().filter_map(vote).collect())
    }

    fn without(&self, nodes: &[NodeId]) -> Self {
        let mut left = self.clone();
        left.0.retain(|node, _| !nodes.contains(node));
        left
    }

    /// The greatest quorum that accepts one counter and satisfies `quorum_set`. A counter that a quorum accepts is
    /// also accepted where its last interval begins.
    fn quorum(&self, quorum_set: &QuorumSet) -> Option<BTreeSet<NodeId>> {
        let counters: BTreeSet<u32> = self.0.values().map(|(counters, _)| *counters.start()).collect();
        counters.into_iter().find_map(|counter| {
            let quorum = self.greatest(counter);
            quorum_set.is_slice(&quorum).then_some(quorum)
        })
    }

    /// The greatest quorum that accepts `counter`. Many nodes share few sets; a set is judged once, and again when one of
    /// its members has gone.
    fn greatest(&self, counter: u32) -> BTreeSet<NodeId> {
        let accepts = self.0.iter().filter(|(_, (counters, _))| counters.contains(&counter));
        let mut left: BTreeSet<NodeId> = BTreeSet::new();
        let mut users: BTreeMap<Hash, (Option<&QuorumSet>, Vec<NodeId>)> = BTreeMap::new();
        for (node, (_, backing)) in accepts {
            left.insert(*node);
            if let Backing::Set(hash, set) = backing {
                users.entry(*hash).or_insert_with(|| (*set, Vec::new())).1.push(*node);
            }
        }
        let mut named: BTreeMap<NodeId, Vec<Hash>> = BTreeMap::new();
        for (hash, (set, _)) in &users {
            let members = set.map(QuorumSet::nodes).unwrap_or_default();
            members.into_iter().for_each(|member| named.entry(member).or_default().push(*hash));
        }
        let mut unjudged: BTreeSet<Hash> = users.keys().copied().collect();
        while let Some(hash) = unjudged.pop_first() {
            let Some((set, _)) = users.get(&hash) else { continue };
            if set.is_some_and(|set| set.is_slice(&left)) {
                continue;
            }
            let (_, gone) = users.remove(&hash).expect("looked up above");
            for node in gone {
                left.remove(&node);
                unjudged.extend(named.get(&node).into_iter().flatten().copied());
            }
        }
        left
    }
}

#[cfg(test)]
mod tests;
