//! What the core asks, answered from the ledger and the transaction sets at hand.

use super::payloads::{Payload, Payloads};
use crate::key::Signatures;
use crate::ledger::{Ledger, LedgerValue, combine};
use fba_core::{Driver, NodeId, Purpose, SlotIndex, Timer, Validity, Value, leader};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The longest any timeout gets, whatever the round.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Most answers remembered between two closes.
const VERDICTS_MAX: usize = 1_000;

/// Answers about values, kept until the ledger moves on. Values whose transaction set is missing are asked about again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdicts(RefCell<BTreeMap<Value, Verdict>>);

#[derive(Clone, Copy, Debug)]
struct Verdict {
    validity: Validity,
    close_time_ms: u64,
}

impl Verdicts {
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// The driver for one call into the core.
pub(crate) struct LedgerDriver<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) payloads: &'a Payloads,
    pub(crate) signatures: &'a dyn Signatures,
    pub(crate) verdicts: &'a Verdicts,
    pub(crate) unix_ms: u64,
}

impl LedgerDriver<'_> {
    fn judge(&self, slot: SlotIndex, value: &Value) -> Verdict {
        if let Some(verdict) = self.verdicts.0.borrow().get(value) {
            return *verdict;
        }
        let invalid = Verdict { validity: Validity::Invalid, close_time_ms: 0 };
        let Ok(LedgerValue::Proposed(proposed)) = LedgerValue::decode(value) else { return invalid };
        let set = match self.payloads.get(&proposed.tx_set) {
            Some(Payload::Genuine(set)) => set,
            // A missing set may still come: nothing to remember.
            Some(Payload::Forged(_)) | None => return invalid,
        };
        let (now, purpose) = (self.unix_ms, Purpose::Ballot);
        let checked = self.ledger.check_proposed(slot, &proposed, Some(set), purpose, now, self.signatures);
        let validity = checked.unwrap_or(Validity::Invalid);
        let verdict = Verdict { validity, close_time_ms: proposed.close_time_ms };
        let mut verdicts = self.verdicts.0.borrow_mut();
        if verdicts.len() < VERDICTS_MAX {
            verdicts.insert(value.clone(), verdict);
        }
        verdict
    }
}

impl Driver for LedgerDriver<'_> {
    /// The clock is asked in nomination only, so that nothing becomes invalid between voting and balloting.
    fn validate(&self, slot: SlotIndex, value: &Value, purpose: Purpose) -> Validity {
        let Verdict { validity, close_time_ms } = self.judge(slot, value);
        let most = self.unix_ms.saturating_add(self.ledger.parameters().clock_slip_ms);
        match purpose {
            Purpose::Nomination if close_time_ms > most => Validity::Invalid,
            Purpose::Nomination | Purpose::Ballot => validity,
        }
    }

    fn extract_valid(&self, _: SlotIndex, _: &Value) -> Option<Value> {
        None
    }

    fn combine(&self, _: SlotIndex, candidates: &BTreeSet<Value>) -> Option<Value> {
        let set_of = |value: &Value| {
            let decoded = LedgerValue::decode(value).ok()?;
            self.payloads.genuine(&decoded.proposed().tx_set)
        };
        combine(candidates.iter().filter_map(|value| Some((value, &**set_of(value)?)))).cloned()
    }

    fn priority(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
        leader::priority(slot, previous, round, node)
    }

    fn neighborhood(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
        leader::neighborhood(slot, previous, round, node)
    }

    fn value_hash(&self, slot: SlotIndex, previous: &Value, round: u32, value: &Value) -> u64 {
        leader::value_hash(slot, previous, round, value)
    }

    fn timeout(&self, timer: Timer, round: u32) -> Duration {
        let parameters = self.ledger.parameters();
        let (initial, increment) = match timer {
            Timer::Nomination => (parameters.nomination_initial_ms, parameters.nomination_increment_ms),
            Timer::Ballot => (parameters.ballot_initial_ms, parameters.ballot_increment_ms),
        };
        let more = increment.saturating_mul(u64::from(round.saturating_sub(1)));
        Duration::from_millis(initial.saturating_add(more)).min(TIMEOUT_MAX)
    }
}
