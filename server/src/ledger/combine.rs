//! Folding the candidates of a slot into one value.

use super::tx_set::TxSet;
use crate::key::sha256;
use fba_core::{Hash, Value};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The best of the candidates: most operations, then highest fees, then fewest bytes, then a tie-break nobody can aim
/// at alone (smallest hash XOR the hashes of all). Set, close time and signature come from this one candidate.
///
/// A pure function of the *set* of candidates: neither their order nor repetition matters. `None` without candidates.
pub fn combine<'a>(candidates: impl IntoIterator<Item = (&'a Value, &'a TxSet)>) -> Option<&'a Value> {
    let candidates: BTreeMap<&Value, &TxSet> = candidates.into_iter().collect();
    let hash = |value: &Value| sha256(&[value.as_bytes()]);
    let all = candidates.keys().map(|value| hash(value)).fold(Hash::ZERO, xor);
    let rank = |(value, set): &(&Value, &TxSet)| {
        let bytes = set.transaction_bytes();
        (set.operations(), set.fees(), Reverse(bytes), Reverse(xor(hash(value), all)))
    };
    candidates.into_iter().max_by_key(rank).map(|(value, _)| value)
}

fn xor(Hash(mut one): Hash, Hash(other): Hash) -> Hash {
    one.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
    Hash(one)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{act, act_with, pay, populated, propose, set_of};
    use super::super::tx_set::VerifiedTxSet;
    use super::*;

    fn candidates() -> Vec<(Value, VerifiedTxSet)> {
        let ledger = populated(3);
        let sets = [
            vec![],
            vec![act(&ledger, 1, 1, pay(2, 1))],
            vec![act_with(&ledger, 1, 1, pay(2, 1), |one| one.fee = 7)],
            vec![act(&ledger, 1, 1, [pay(2, 1), pay(2, 2)].concat())],
        ];
        let candidate = |transactions| {
            let set = set_of(&ledger, transactions);
            (propose(&ledger, &set, 5_000).to_value(), set)
        };
        sets.into_iter().map(candidate).collect()
    }

    fn best(candidates: &[(Value, VerifiedTxSet)]) -> Option<Value> {
        combine(candidates.iter().map(|(value, set)| (value, &**set))).cloned()
    }

    #[test]
    fn most_operations_win_then_highest_fees() {
        let all = candidates();
        assert_eq!(best(&all), Some(all[3].0.clone()));
        assert_eq!(best(&all[..3]), Some(all[2].0.clone()));
        assert_eq!(best(&all[..2]), Some(all[1].0.clone()));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn neither_order_nor_repetition_matters_not_even_in_a_tie() {
        let ledger = populated(3);
        let set = set_of(&ledger, vec![act(&ledger, 1, 1, pay(2, 1))]);
        let mut tied: Vec<_> = (1..6).map(|ms| (propose(&ledger, &set, ms).to_value(), set.clone())).collect();
        let winner = best(&tied);
        for _ in 0..tied.len() {
            tied.rotate_left(1);
            assert_eq!(best(&tied), winner);
            let twice = [tied.as_slice(), &tied[..2]].concat();
            assert_eq!(best(&twice), winner);
        }
        tied.reverse();
        assert_eq!(best(&tied), winner);
    }
}
