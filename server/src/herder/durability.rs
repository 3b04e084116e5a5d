//! How durable an own statement must be before it may leave. The one place where this is decided; docs/protocol.md,
//! Durability, says why it is enough.

use fba_core::{Ballot, Pledge, Statement, Value};

/// The counter of every first ballot. Ballots with it are not synced, so that after a power cut the slot is taken up
/// above it ([`COUNTER_AFTER_LOSS`]).
const FIRST_COUNTER: u32 = 1;

/// Where the counters of a slot begin in which first ballots may have been forgotten.
pub(super) const COUNTER_AFTER_LOSS: u32 = FIRST_COUNTER + 1;

/// What must happen to a statement before it is sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Durability {
    /// Nothing: it is synced already.
    None,
    /// It is written with the next commit, whenever that is. It need not wait for it.
    Later,
    /// It is written: it survives the end of the process, but perhaps not a power cut.
    Write,
    /// It is on disk, synced.
    Sync,
}

/// How durable must `statement` be? `synced` is the newest statement of the same slot and protocol that is synced.
#[must_use]
pub fn durability(synced: Option<&Statement>, statement: &Statement) -> Durability {
    if synced == Some(statement) {
        return Durability::None;
    }
    let bound_to = synced.and_then(|synced| commit_vote(&synced.pledge));
    match &statement.pledge {
        Pledge::Nominate { .. } => Durability::Later,
        Pledge::Prepare { ballot, prepared, prepared_prime, commit: 0, .. } if bound_to.is_none() => {
            let ballots = [Some(ballot), prepared.as_ref(), prepared_prime.as_ref()];
            let is_first = |ballot: &Ballot| ballot.counter <= FIRST_COUNTER;
            if ballots.into_iter().flatten().all(is_first) { Durability::Write } else { Durability::Sync }
        }
        Pledge::Confirm { ballot, .. } if bound_to == Some(&ballot.value) => Durability::Write,
        Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. } => Durability::Sync,
    }
}

/// The value a statement votes to commit, if it does.
fn commit_vote(pledge: &Pledge) -> Option<&Value> {
    match pledge {
        Pledge::Nominate { .. } | Pledge::Prepare { commit: 0, .. } => None,
        Pledge::Prepare { ballot, .. } | Pledge::Confirm { ballot, .. } => Some(&ballot.value),
        Pledge::Externalize { commit, .. } => Some(&commit.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fba_core::{Hash, NodeId, SlotIndex};

    fn statement(pledge: Pledge) -> Statement {
        Statement { node: NodeId([1; 32]), slot: SlotIndex(2), quorum_set: Hash::ZERO, pledge }
    }

    fn ballot(counter: u32, value: &[u8]) -> Ballot {
        Ballot { counter, value: Value::new(value) }
    }

    fn prepare(counter: u32, prepared: u32, commit: u32) -> Statement {
        statement(Pledge::Prepare {
            ballot: ballot(counter, b"x"),
            prepared: (prepared > 0).then(|| ballot(prepared, b"x")),
            prepared_prime: None,
            commit,
            high: commit,
        })
    }

    fn confirm(value: &[u8]) -> Statement {
        statement(Pledge::Confirm { ballot: ballot(1, value), prepared: 1, commit: 1, high: 1 })
    }

    #[test]
    fn of_an_undisturbed_slot_only_the_commit_vote_and_the_decision_are_synced() {
        let nominate = statement(Pledge::Nominate { voted: vec![Value::new(b"x")], accepted: vec![] });
        assert_eq!(durability(None, &nominate), Durability::Later);
        assert_eq!(durability(None, &prepare(1, 0, 0)), Durability::Write);
        assert_eq!(durability(None, &prepare(1, 1, 0)), Durability::Write);
        let vote = prepare(1, 1, 1);
        assert_eq!(durability(None, &vote), Durability::Sync);
        assert_eq!(durability(Some(&vote), &vote), Durability::None);
        assert_eq!(durability(Some(&vote), &confirm(b"x")), Durability::Write);
        let externalize = statement(Pledge::Externalize { commit: ballot(1, b"x"), high: 1 });
        assert_eq!(durability(Some(&vote), &externalize), Durability::Sync);
    }

    #[test]
    fn whatever_could_be_contradicted_after_a_power_cut_is_synced() {
        let vote = prepare(1, 1, 1);
        assert_eq!(durability(None, &prepare(2, 0, 0)), Durability::Sync, "a ballot above the first");
        assert_eq!(durability(None, &prepare(1, 2, 0)), Durability::Sync, "accepted above the first");
        assert_eq!(durability(Some(&vote), &prepare(1, 1, 0)), Durability::Sync, "a commit vote taken back");
        assert_eq!(durability(None, &confirm(b"x")), Durability::Sync, "no commit vote is synced");
        assert_eq!(durability(Some(&vote), &confirm(b"y")), Durability::Sync, "the commit vote is for another value");
    }
}
