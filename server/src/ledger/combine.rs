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
