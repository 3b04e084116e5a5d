//! The seam between agreement and what is agreed on. The built-in ledger is one implementation; another application
//! can be linked in by implementing this.

use super::close::{Closed, Ledger};
use super::combine::combine;
use super::tx_set::VerifiedTxSet;
use super::validity::InvalidValue;
use crate::key::Signatures;
use fba_core::{Hash, Purpose, SlotIndex, Validity, Value};
use std::collections::BTreeMap;

/// A deterministic state machine that agreed values drive. Every answer is a pure function of the state and the
/// arguments: two nodes in the same state must say the same.
pub trait Application {
    /// What a value stands for, fetched by the hash in it.
    type Payload;
    /// What a step leaves to be stored.
    type Closed;
    /// Why a value is refused.
    type Refused: std::error::Error;

    /// How far can `value` be checked for `slot`? A value that is valid once never becomes invalid by time passing, and
    /// every value valid for nomination is valid for a ballot.
    ///
    /// # Errors
    /// Why the value is invalid.
    fn validate(
        &self,
        slot: SlotIndex,
        value: &Value,
        payload: Option<&Self::Payload>,
        purpose: Purpose,
        now_unix_ms: u64,
        signatures: &dyn Signatures,
    ) -> Result<Validity, Self::Refused>;

    /// One value from the candidates, depending on nothing but the set of them; `None` without candidates.
    fn combine(&self, candidates: &BTreeMap<Value, Self::Payload>) -> Option<Value>;

    /// Takes the next step. All or nothing.
    ///
    /// # Errors
    /// Why the value cannot be the next step; nothing has changed then.
    fn apply(&mut self, value: &Value, payload: &Self::Payload) -> Result<Self::Closed, Self::Refused>;

    /// A hash over the whole state: equal states, equal hashes.
    fn state_hash(&self) -> Hash;
}

impl Application for Ledger {
    type Payload = VerifiedTxSet;
    type Closed = Closed;
    type Refused = InvalidValue;

    fn validate(
        &self,
        slot: SlotIndex,
        value: &Value,
        payload: Option<&VerifiedTxSet>,
        purpose: Purpose,
        now_unix_ms: u64,
        signatures: &dyn Signatures,
    ) -> Result<Validity, InvalidValue> {
        self.check_value(slot, value, payload, purpose, now_unix_ms, signatures)
    }

    fn combine(&self, candidates: &BTreeMap<Value, VerifiedTxSet>) -> Option<Value> {
        combine(candidates.iter().map(|(value, set)| (value, &**set))).cloned()
    }

    fn apply(&mut self, value: &Value, payload: &VerifiedTxSet) -> Result<Closed, InvalidValue> {
        self.close(value, payload)
    }

    fn state_hash(&self) -> Hash {
        self.header().state_hash
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{act, pay, populated, propose, set_of, signer};
    use super::*;

    /// One slot, decided alone, by the trait's door only.
    fn step<A: Application>(app: &mut A, slot: SlotIndex, candidates: &BTreeMap<Value, A::Payload>) -> Hash {
        for (value, payload) in candidates {
            let verdict = app.validate(slot, value, Some(payload), Purpose::Nomination, 2_000_000, &signer());
            assert_eq!(verdict.unwrap(), Validity::Valid);
        }
        let composite = app.combine(candidates).unwrap();
        app.apply(&composite, &candidates[&composite]).unwrap();
        app.state_hash()
    }

    #[test]
    fn the_ledger_can_be_driven_as_any_application() {
        let mut ledger = populated(2);
        let sets =
            [vec![act(&ledger, 1, 1, pay(2, 1))], vec![act(&ledger, 1, 1, pay(2, 1)), act(&ledger, 2, 1, pay(1, 5))]];
        let candidates = sets.map(|transactions| {
            let set = set_of(&ledger, transactions);
            (propose(&ledger, &set, 1).to_value(), set)
        });
        let (slot, before) = (SlotIndex(ledger.sequence() + 1), ledger.state_hash());
        let after = step(&mut ledger, slot, &candidates.into());
        assert_ne!(after, before);
        assert_eq!((after, ledger.sequence()), (ledger.header().state_hash, slot.0));
    }
}
