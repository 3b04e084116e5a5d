//! How durable an own statement must be before it may leave. The one place where this is decided.

use fba_core::{Pledge, Statement};

/// What must happen to a statement before it is sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Durability {
    /// Nothing.
    None,
    /// It is written with the next commit, whenever that is.
    Write,
    /// It is on disk, synced.
    Sync,
}

/// How durable must `statement` be? `previous_durable` is the newest statement of the same slot and protocol that is
/// already synced.
///
/// Two nominations of one node never contradict one another: after a restart it may vote for other values, which a
/// node that never crashed may do as well. A ballot statement is a promise not to say certain things later, so it must
/// not be forgotten.
#[must_use]
pub fn durability(previous_durable: Option<&Statement>, statement: &Statement) -> Durability {
    match &statement.pledge {
        Pledge::Nominate { .. } => Durability::Write,
        Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. }
            if previous_durable == Some(statement) =>
        {
            Durability::None
        }
        Pledge::Prepare { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. } => Durability::Sync,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fba_core::{Ballot, Hash, NodeId, SlotIndex, Value};

    #[test]
    fn ballots_are_synced_once_and_nominations_never_on_their_own() {
        let statement =
            |pledge| Statement { node: NodeId([1; 32]), slot: SlotIndex(2), quorum_set: Hash::ZERO, pledge };
        let value = Value::new(b"x");
        let nominate = statement(Pledge::Nominate { voted: vec![value.clone()], accepted: vec![] });
        let externalize = statement(Pledge::Externalize { commit: Ballot { counter: 1, value }, high: 1 });
        assert_eq!(durability(None, &nominate), Durability::Write);
        assert_eq!(durability(None, &externalize), Durability::Sync);
        assert_eq!(durability(Some(&externalize), &externalize), Durability::None);
    }
}
