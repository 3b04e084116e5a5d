//! What may enter the queue, a set, a vote: every answer is a pure function of the ledger and the thing asked about.
//!
//! Two rules keep nodes from disagreeing about a value. What is valid in balloting is never more than what is valid
//! in nomination; and no value that was valid becomes invalid by time passing: the clock is asked in nomination only,
//! and only whether a close time is too far ahead.

use super::account::{Account, AccountId, Amount};
use super::close::Ledger;
use super::parameters::Parameters;
use super::transaction::{SignedTransaction, VerifiedTx};
use super::tx_set::{TxSet, VerifiedTxSet};
use super::value::{LedgerValue, Proposed, ValueError};
use crate::key::Signatures;
use fba_core::{Hash, Purpose, SlotIndex, Validity, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a transaction cannot be in the next ledger.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum TxRejection {
    /// No such source account.
    #[error("the source account {source_account} does not exist: someone must open it with create_account")]
    NoAccount {
        /// The account.
        source_account: AccountId,
    },
    /// Not the account's next sequence number.
    #[error("sequence is {found}; the account's next one is {expected}")]
    Sequence {
        /// What is next, those queued before included.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// Its time window has not begun.
    #[error("not valid before {valid_after_ms} ms; the ledger closes at {at_ms} ms")]
    TooEarly {
        /// The window's begin.
        valid_after_ms: u64,
        /// The time it was held against.
        at_ms: u64,
    },
    /// Its time window is over.
    #[error("expired at {valid_before_ms} ms; the ledger closes at {at_ms} ms: sign it again with a later end")]
    TooLate {
        /// The window's end.
        valid_before_ms: u64,
        /// The time it was held against.
        at_ms: u64,
    },
    /// The fee is too low.
    #[error("the fee is {found}; this network asks for at least {least}")]
    Fee {
        /// The least for this many operations.
        least: Amount,
        /// What it is.
        found: Amount,
    },
    /// The account cannot pay the fee.
    #[error("the fees need {needed}; the account can spend {spendable} above its minimum balance")]
    FeeNotCovered {
        /// Fees of this and of the account's transactions before it.
        needed: Amount,
        /// What the account may spend.
        spendable: Amount,
    },
    /// The signers' weights do not reach the threshold.
    #[error("the signatures weigh {found}; the account's threshold is {threshold}")]
    Weight {
        /// What all signers have together.
        found: u64,
        /// What is needed.
        threshold: u32,
    },
    /// Signed by a key that is no signer of the account.
    #[error("{key} is not a signer of the account: leave its signature out")]
    NotASigner {
        /// The key.
        key: AccountId,
    },
    /// Larger than what one ledger may hold.
    #[error("the transaction has {found} bytes; a ledger of this network holds {most}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
        /// `tx_bytes_max`.
        most: u32,
    },
}

/// Why a value, or a transaction set, cannot be the next ledger.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// Not the encoding of a value.
    #[error(transparent)]
    Encoding(#[from] ValueError),
    /// A kind of value this version does not accept.
    #[error("the value replaces a withheld transaction set; this version refuses that")]
    EmptyOf,
    /// The proposer did not sign it for this slot.
    #[error("the proposer's signature is not genuine for this slot, ledger, set and close time")]
    Signature,
    /// Builds on another ledger.
    #[error("builds on ledger {theirs}; ours is {ours}")]
    OtherLedger {
        /// Our last header hash.
        ours: Hash,
        /// The one it names.
        theirs: Hash,
    },
    /// Its close time is out of bounds.
    #[error("close time {found} ms is not within {least} to {most} ms")]
    CloseTime {
        /// What it is.
        found: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// Empty, before the heartbeat is due.
    #[error("an empty ledger closes at {found} ms; the heartbeat is due at {due} ms")]
    EmptyTooEarly {
        /// Its close time.
        found: u64,
        /// The earliest for an empty one.
        due: u64,
    },
    /// Its transaction set is not here.
    #[error("transaction set {0} is not here")]
    TxSetMissing(Hash),
    /// The set given is not the one it names.
    #[error("the value names transaction set {named}, given was {given}")]
    OtherTxSet {
        /// By the value.
        named: Hash,
        /// By the caller.
        given: Hash,
    },
    /// The set is larger than allowed.
    #[error("the set has {count} transactions with {bytes} bytes; {count_max} and {bytes_max} are allowed")]
    TooLarge {
        /// Transactions in the set.
        count: usize,
        /// Bytes of all of them.
        bytes: usize,
        /// `tx_count_max`.
        count_max: u32,
        /// `tx_bytes_max`.
        bytes_max: u32,
    },
    /// One of its transactions cannot be in the next ledger.
    #[error("transaction {hash}: {rejection}")]
    Transaction {
        /// Which.
        hash: Hash,
        /// Why not.
        rejection: TxRejection,
    },
}

impl InvalidValue {
    /// May the same value become valid without our ledger moving: when its set arrives, or our clock goes on? Every
    /// other verdict stands until the ledger moves, so callers may keep it.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        match self {
            Self::TxSetMissing(_) => true,
            Self::CloseTime { found, most, .. } => found > most,
            Self::Encoding(_)
            | Self::EmptyOf
            | Self::Signature
            | Self::OtherLedger { .. }
            | Self::EmptyTooEarly { .. }
            | Self::OtherTxSet { .. }
            | Self::TooLarge { .. }
            | Self::Transaction { .. } => false,
        }
    }
}

/// An account's transactions that stand before the one asked about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Before {
    /// How many.
    pub count: u64,
    /// Their fees together.
    pub fees: Amount,
}

impl Before {
    /// These, and `transaction`.
    #[must_use]
    pub fn and(self, transaction: &SignedTransaction) -> Self {
        Self { count: self.count.saturating_add(1), fees: self.fees.saturating_add(transaction.transaction().fee) }
    }
}

impl Ledger {
    /// How far can we check `proposed` for `slot`? Asked about every value of every statement: callers keep the answer
    /// per value until the ledger moves, unless it [`InvalidValue::is_provisional`].
    ///
    /// `now_unix_ms` is our clock; it counts in nomination only. `set` must be the one the value names.
    ///
    /// # Errors
    /// Why the value is invalid ([`Validity::Invalid`] is never returned).
    pub fn check_proposed(
        &self,
        slot: SlotIndex,
        proposed: &Proposed,
        set: Option<&VerifiedTxSet>,
        purpose: Purpose,
        now_unix_ms: u64,
        signatures: &dyn Signatures,
    ) -> Result<Validity, InvalidValue> {
        let ahead = slot.0.saturating_sub(self.sequence());
        let most = match purpose {
            Purpose::Nomination => now_unix_ms.saturating_add(self.parameters().clock_slip_ms).min(CLOSE_TIME_MAX),
            Purpose::Ballot => CLOSE_TIME_MAX,
        };
        // Close times rise by at least one per ledger; of the past we no longer know every one.
        let least = if ahead == 0 { 0 } else { self.close_time_ms().saturating_add(ahead) };
        let found = proposed.close_time_ms;
        if !(least..=most).contains(&found) {
            return Err(InvalidValue::CloseTime { found, least, most });
        }
        if !proposed.check_signature(slot, signatures) {
            return Err(InvalidValue::Signature);
        }
        if ahead != 1 {
            return Ok(Validity::NotCurrent);
        }
        self.check_next(proposed, set.ok_or(InvalidValue::TxSetMissing(proposed.tx_set))?)?;
        Ok(Validity::Valid)
    }

    /// As [`Ledger::check_proposed`], from the bytes of an SCP value.
    ///
    /// # Errors
    /// Why the value is invalid.
    pub fn check_value(
        &self,
        slot: SlotIndex,
        value: &Value,
        set: Option<&VerifiedTxSet>,
        purpose: Purpose,
        now_unix_ms: u64,
        signatures: &dyn Signatures,
    ) -> Result<Validity, InvalidValue> {
        let proposed = accepted(LedgerValue::decode(value)?)?;
        self.check_proposed(slot, &proposed, set, purpose, now_unix_ms, signatures)
    }

    /// Everything that must hold for `proposed` with `set` to be the next ledger, but signatures and our clock.
    pub(super) fn check_next(&self, proposed: &Proposed, set: &TxSet) -> Result<(), InvalidValue> {
        let (ours, theirs) = (self.header_hash(), proposed.previous);
        if ours != theirs {
            return Err(InvalidValue::OtherLedger { ours, theirs });
        }
        let (found, least) = (proposed.close_time_ms, self.close_time_ms().saturating_add(1));
        if !(least..=CLOSE_TIME_MAX).contains(&found) {
            return Err(InvalidValue::CloseTime { found, least, most: CLOSE_TIME_MAX });
        }
        if set.hash() != proposed.tx_set {
            return Err(InvalidValue::OtherTxSet { named: proposed.tx_set, given: set.hash() });
        }
        let due = self.close_time_ms().saturating_add(self.parameters().heartbeat_ms);
        if set.is_empty() && found < due {
            return Err(InvalidValue::EmptyTooEarly { found, due });
        }
        self.check_tx_set(set, found)
    }

    /// May the next ledger consist of `set` and close at `close_time_ms`? Signatures are not checked: the caller has a
    /// [`VerifiedTxSet`].
    ///
    /// # Errors
    /// Why not, naming the transaction.
    pub fn check_tx_set(&self, set: &TxSet, close_time_ms: u64) -> Result<(), InvalidValue> {
        let (ours, theirs) = (self.header_hash(), set.previous());
        if ours != theirs {
            return Err(InvalidValue::OtherLedger { ours, theirs });
        }
        let (count, bytes) = (set.len(), set.transaction_bytes());
        let Parameters { tx_count_max: count_max, tx_bytes_max: bytes_max, .. } = *self.parameters();
        if exceeds(count, count_max) || exceeds(bytes, bytes_max) {
            return Err(InvalidValue::TooLarge { count, bytes, count_max, bytes_max });
        }
        let mut by_account: Vec<&SignedTransaction> = set.transactions().iter().map(Arc::as_ref).collect();
        by_account.sort_unstable_by_key(|transaction| (transaction.source(), transaction.transaction().sequence));
        for of_account in by_account.chunk_by(|one, next| one.source() == next.source()) {
            let mut before = Before::default();
            for transaction in of_account {
                self.check_transaction(transaction, before, close_time_ms)
                    .map_err(|rejection| InvalidValue::Transaction { hash: transaction.hash(), rejection })?;
                before = before.and(transaction);
            }
        }
        Ok(())
    }

    /// May `transaction` be in the next ledger, behind those of its account that are counted in `before`, if it closes
    /// at `at_ms`? Signatures' genuineness is not checked here ([`VerifiedTx`]), only that they suffice.
    ///
    /// # Errors
    /// Why not.
    pub fn check_transaction(
        &self,
        transaction: &SignedTransaction,
        before: Before,
        at_ms: u64,
    ) -> Result<(), TxRejection> {
        let source_account = transaction.source();
        let account = self.account(&source_account).ok_or(TxRejection::NoAccount { source_account })?;
        let body = transaction.transaction();
        let expected = account.sequence.saturating_add(before.count).saturating_add(1);
        if body.sequence != expected {
            return Err(TxRejection::Sequence { expected, found: body.sequence });
        }
        match (body.valid_after_ms, body.valid_before_ms) {
            (Some(valid_after_ms), _) if at_ms < valid_after_ms => {
                return Err(TxRejection::TooEarly { valid_after_ms, at_ms });
            }
            (_, Some(valid_before_ms)) if at_ms > valid_before_ms => {
                return Err(TxRejection::TooLate { valid_before_ms, at_ms });
            }
            _ => {}
        }
        let (found, most) = (transaction.bytes().len(), self.parameters().tx_bytes_max);
        if exceeds(found, most) {
            return Err(TxRejection::TooLong { found, most });
        }
        check_fee(account, self.parameters(), transaction, before)?;
        check_signers(account, transaction)
    }

    /// The set to propose for a ledger that closes at `close_time_ms`: of `candidates`, earlier ones first, what is
    /// valid and fits. An account's transactions come in the order of their sequence numbers, whatever their places.
    #[must_use]
    pub fn build_tx_set(&self, candidates: impl IntoIterator<Item = VerifiedTx>, close_time_ms: u64) -> VerifiedTxSet {
        let candidates: Vec<VerifiedTx> = candidates.into_iter().collect();
        let places: Vec<AccountId> = candidates.iter().map(|transaction| transaction.source()).collect();
        let mut queues: BTreeMap<AccountId, BTreeMap<u64, VerifiedTx>> = BTreeMap::new();
        for transaction in candidates {
            let sequence = transaction.transaction().sequence;
            queues.entry(transaction.source()).or_default().entry(sequence).or_insert(transaction);
        }
        let Parameters { tx_count_max, tx_bytes_max, .. } = *self.parameters();
        let (mut chosen, mut bytes) = (Vec::new(), 0usize);
        let mut before: BTreeMap<AccountId, Before> = BTreeMap::new();
        let mut stopped = BTreeSet::new();
        for account in places {
            if exceeds(chosen.len() + 1, tx_count_max) {
                break;
            }
            let Some((_, next)) = queues.get_mut(&account).and_then(BTreeMap::pop_first) else { continue };
            let so_far = before.entry(account).or_default();
            let fits = !exceeds(bytes + next.bytes().len(), tx_bytes_max);
            if stopped.contains(&account) || !fits || self.check_transaction(&next, *so_far, close_time_ms).is_err() {
                // What follows has a later sequence number: without this one it cannot be valid.
                stopped.insert(account);
                continue;
            }
            *so_far = so_far.and(&next);
            bytes += next.bytes().len();
            chosen.push(next);
        }
        VerifiedTxSet::new(self.header_hash(), chosen)
    }

    /// Does `value`, which the network externalised for `slot`, show that our own ledger is wrong? True if the slot is
    /// our next one and the value builds on another header than ours.
    #[must_use]
    pub fn is_divergent(&self, slot: SlotIndex, value: &Value) -> bool {
        let builds_on = |value: LedgerValue| value.proposed().previous;
        slot.0 == self.sequence().saturating_add(1)
            && LedgerValue::decode(value).is_ok_and(|value| builds_on(value) != self.header_hash())
    }

    /// The close time to propose when our clock says `now_unix_ms`: now, but after the last ledger.
    #[must_use]
    pub fn next_close_time(&self, now_unix_ms: u64) -> u64 {
        now_unix_ms.max(self.close_time_ms().saturating_add(1))
    }
}

/// No later close time is ever valid: SQLite's integers end here.
pub(super) const CLOSE_TIME_MAX: u64 = i64::MAX.unsigned_abs();

/// The proposal in a value of an accepted kind.
pub(super) fn accepted(value: LedgerValue) -> Result<Proposed, InvalidValue> {
    match value {
        LedgerValue::Proposed(proposed) => Ok(proposed),
        LedgerValue::EmptyOf(_) => Err(InvalidValue::EmptyOf),
    }
}

/// The weight of all of the transaction's signers in `account`.
pub(super) fn signed_weight(account: &Account, transaction: &SignedTransaction) -> u64 {
    transaction.signatures().iter().filter_map(|(key, _)| account.weight(key)).map(u64::from).sum()
}

fn check_fee(
    account: &Account,
    parameters: &Parameters,
    transaction: &SignedTransaction,
    before: Before,
) -> Result<(), TxRejection> {
    let body = transaction.transaction();
    let least = parameters.base_fee.saturating_mul(body.operations.len() as u64);
    if body.fee < least {
        return Err(TxRejection::Fee { least, found: body.fee });
    }
    let (needed, spendable) = (before.fees.saturating_add(body.fee), account.spendable(parameters));
    if needed > spendable {
        return Err(TxRejection::FeeNotCovered { needed, spendable });
    }
    Ok(())
}

fn check_signers(account: &Account, transaction: &SignedTransaction) -> Result<(), TxRejection> {
    if let Some((key, _)) = transaction.signatures().iter().find(|(key, _)| account.weight(key).is_none()) {
        return Err(TxRejection::NotASigner { key: *key });
    }
    let found = signed_weight(account, transaction);
    if found < u64::from(account.threshold) {
        return Err(TxRejection::Weight { found, threshold: account.threshold });
    }
    Ok(())
}

fn exceeds(found: usize, most: u32) -> bool {
    u64::try_from(found).is_ok_and(|found| found > u64::from(most))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{
        act, act_with, close, id, key, ledger, network, pay, populated, propose, set_of, signer, verified,
    };
    use super::super::operation::Operation;
    use super::super::transaction::Transaction;
    use super::*;

    const NOW: u64 = 2_000_000;

    #[test]
    fn a_transaction_is_refused_for_the_first_rule_it_breaks() {
        let ledger = populated(2);
        let (none, now) = (Before::default(), 1_500_000);
        let refusal = |transaction: &VerifiedTx| ledger.check_transaction(transaction, none, now);
        let with = |with: &dyn Fn(&mut Transaction)| act_with(&ledger, 1, 1, pay(2, 1), with);
        assert_eq!(refusal(&with(&|_| ())), Ok(()));
        assert_eq!(refusal(&act(&ledger, 9, 1, pay(2, 1))), Err(TxRejection::NoAccount { source_account: id(9) }));
        assert_eq!(refusal(&act(&ledger, 1, 2, pay(2, 1))), Err(TxRejection::Sequence { expected: 1, found: 2 }));
        let early = TxRejection::TooEarly { valid_after_ms: now + 1, at_ms: now };
        assert_eq!(refusal(&with(&|one| one.valid_after_ms = Some(now + 1))), Err(early));
        let late = TxRejection::TooLate { valid_before_ms: now - 1, at_ms: now };
        assert_eq!(refusal(&with(&|one| one.valid_before_ms = Some(now - 1))), Err(late));
        let window = with(&|one| (one.valid_after_ms, one.valid_before_ms) = (Some(now), Some(now)));
        assert_eq!(refusal(&window), Ok(()));
        let poor = TxRejection::FeeNotCovered { needed: 991, spendable: 990 };
        assert_eq!(refusal(&with(&|one| one.fee = 991)), Err(poor));
        assert_eq!(refusal(&with(&|one| one.fee = 990)), Ok(()));
    }

    #[test]
    fn queued_transactions_of_the_account_count_with_sequence_and_fees() {
        let ledger = populated(2);
        let fee = |one: &mut Transaction| one.fee = 500;
        let (first, second) = (act_with(&ledger, 1, 1, pay(2, 1), fee), act_with(&ledger, 1, 2, pay(2, 1), fee));
        let poor = TxRejection::FeeNotCovered { needed: 1_000, spendable: 990 };
        assert_eq!(ledger.check_transaction(&second, Before::default().and(&first), NOW), Err(poor));
    }

    #[test]
    fn signatures_must_suffice_and_none_may_be_a_strangers() {
        let mut ledger = populated(2);
        let mut signers = vec![(id(1), 1), (id(5), 1), (id(6), 1)];
        signers.sort_unstable();
        let change = act(&ledger, 1, 1, vec![Operation::SetSigners { signers, threshold: 2 }]);
        close(&mut ledger, vec![change]);
        let signed = |keys: &[&crate::key::SecretKey]| {
            let transaction = Transaction::new(id(1), 2, pay(2, 1));
            let signed = verified(SignedTransaction::build(network(), transaction, keys).unwrap());
            ledger.check_transaction(&signed, Before::default(), NOW)
        };
        assert_eq!(signed(&[&key(1)]), Err(TxRejection::Weight { found: 1, threshold: 2 }));
        assert_eq!(signed(&[&key(5), &key(6)]), Ok(()));
        assert_eq!(signed(&[&key(1), &key(5), &key(6)]), Ok(()));
        assert_eq!(signed(&[&key(1), &key(5), &key(7)]), Err(TxRejection::NotASigner { key: id(7) }));
    }

    #[test]
    fn fees_are_per_operation() {
        let mut genesis = super::super::fixture::genesis();
        genesis.parameters.base_fee = 3;
        let (ledger, _) = Ledger::genesis(&genesis).unwrap();
        let twice = |fee| act_with(&ledger, 0, 1, [pay(0, 1), pay(0, 1)].concat(), |one| one.fee = fee);
        let check = |fee| ledger.check_transaction(&twice(fee), Before::default(), NOW);
        assert_eq!(check(5), Err(TxRejection::Fee { least: 6, found: 5 }));
        assert_eq!(check(6), Ok(()));
    }

    fn check(ledger: &Ledger, proposed: &Proposed, set: Option<&VerifiedTxSet>) -> Result<Validity, InvalidValue> {
        let slot = SlotIndex(ledger.sequence() + 1);
        ledger.check_proposed(slot, proposed, set, Purpose::Nomination, NOW, &signer())
    }

    #[test]
    fn a_value_is_refused_for_the_first_rule_it_breaks() {
        let ledger = populated(2);
        let set = set_of(&ledger, vec![act(&ledger, 1, 1, pay(2, 1))]);
        let good = propose(&ledger, &set, 1);
        assert_eq!(check(&ledger, &good, Some(&set)), Ok(Validity::Valid));
        assert_eq!(check(&ledger, &good, None), Err(InvalidValue::TxSetMissing(set.hash())));
        let unsigned = Proposed { close_time_ms: good.close_time_ms + 1, ..good.clone() };
        assert_eq!(check(&ledger, &unsigned, Some(&set)), Err(InvalidValue::Signature));
        let not_after = check(&ledger, &propose(&ledger, &set, 0), Some(&set));
        assert!(matches!(not_after, Err(InvalidValue::CloseTime { .. })));
        let slip = NOW + ledger.parameters().clock_slip_ms - ledger.close_time_ms();
        assert_eq!(check(&ledger, &propose(&ledger, &set, slip), Some(&set)), Ok(Validity::Valid));
        let ahead = check(&ledger, &propose(&ledger, &set, slip + 1), Some(&set));
        assert!(matches!(ahead, Err(InvalidValue::CloseTime { .. })));
        let empty = set_of(&ledger, vec![]);
        assert_eq!(
            check(&ledger, &good, Some(&empty)),
            Err(InvalidValue::OtherTxSet { named: set.hash(), given: empty.hash() })
        );
        let too_early = check(&ledger, &propose(&ledger, &empty, 4_999), Some(&empty));
        assert!(matches!(too_early, Err(InvalidValue::EmptyTooEarly { .. })));
        assert_eq!(check(&ledger, &propose(&ledger, &empty, 5_000), Some(&empty)), Ok(Validity::Valid));
        let withheld = LedgerValue::EmptyOf(good).encode();
        let slot = SlotIndex(ledger.sequence() + 1);
        let refused = ledger.check_value(slot, &withheld, Some(&set), Purpose::Ballot, NOW, &signer());
        assert_eq!(refused, Err(InvalidValue::EmptyOf));
    }

    #[test]
    fn a_value_on_another_ledger_is_invalid_and_once_externalised_shows_divergence() {
        let (mut ours, theirs) = (populated(2), populated(3));
        let set = set_of(&theirs, vec![act(&theirs, 1, 1, pay(2, 1))]);
        let proposed = propose(&theirs, &set, 1);
        let other = InvalidValue::OtherLedger { ours: ours.header_hash(), theirs: theirs.header_hash() };
        assert_eq!(check(&ours, &proposed, Some(&set)), Err(other.clone()));
        let (slot, value) = (SlotIndex(ours.sequence() + 1), proposed.to_value());
        assert!(ours.is_divergent(slot, &value));
        assert!(!theirs.is_divergent(slot, &value));
        assert!(!ours.is_divergent(slot.next(), &value), "about later slots nothing is known");
        let before = ours.clone();
        assert_eq!(ours.close(&value, &set).unwrap_err(), other);
        assert_eq!(ours, before);
    }

    #[test]
    fn other_slots_are_followed_silently_if_signature_and_time_are_plausible() {
        let ledger = populated(2);
        let propose = |slot, after: u64| {
            Proposed::sign(SlotIndex(slot), Hash::ZERO, Hash::ZERO, ledger.close_time_ms() + after, &signer())
        };
        let check = |slot, proposed: &Proposed| {
            ledger.check_proposed(SlotIndex(slot), proposed, None, Purpose::Ballot, NOW, &signer())
        };
        assert_eq!(check(9, &propose(9, 7)), Ok(Validity::NotCurrent));
        assert!(matches!(check(9, &propose(9, 6)), Err(InvalidValue::CloseTime { .. })));
        assert_eq!(check(9, &propose(8, 7)), Err(InvalidValue::Signature));
        assert_eq!(check(1, &propose(1, 0)), Ok(Validity::NotCurrent));
    }

    #[test]
    fn the_clock_is_asked_in_nomination_only_and_time_never_makes_a_value_invalid() {
        let ledger = populated(2);
        let set = set_of(&ledger, vec![act(&ledger, 1, 1, pay(2, 1))]);
        let proposed = propose(&ledger, &set, 500_000);
        let slot = SlotIndex(ledger.sequence() + 1);
        let valid = |purpose, now| ledger.check_proposed(slot, &proposed, Some(&set), purpose, now, &signer()).is_ok();
        let mut was_valid = false;
        for now in (0..4_000_000).step_by(50_000) {
            let nominated = valid(Purpose::Nomination, now);
            assert!(valid(Purpose::Ballot, now));
            assert!(nominated || !was_valid, "valid before, invalid at {now}");
            was_valid = nominated;
        }
        assert!(was_valid);
    }

    #[test]
    fn a_set_is_refused_for_its_size_its_ledger_or_one_bad_transaction() {
        let mut genesis = super::super::fixture::genesis();
        genesis.parameters.tx_count_max = 2;
        let (ledger, _) = Ledger::genesis(&genesis).unwrap();
        let sets = |count| set_of(&ledger, (1..=count).map(|nth| act(&ledger, 0, nth, pay(0, 1))).collect());
        assert_eq!(ledger.check_tx_set(&sets(2), NOW), Ok(()));
        assert!(matches!(ledger.check_tx_set(&sets(3), NOW), Err(InvalidValue::TooLarge { count: 3, .. })));
        let elsewhere = VerifiedTxSet::new(Hash::ZERO, []);
        assert!(matches!(ledger.check_tx_set(&elsewhere, NOW), Err(InvalidValue::OtherLedger { .. })));
        let gap = set_of(&ledger, vec![act(&ledger, 0, 1, pay(0, 1)), act(&ledger, 0, 3, pay(0, 1))]);
        let rejection = TxRejection::Sequence { expected: 2, found: 3 };
        let refused = ledger.check_tx_set(&gap, NOW).unwrap_err();
        assert!(matches!(refused, InvalidValue::Transaction { rejection: why, .. } if why == rejection));
    }

    #[test]
    fn a_built_set_is_valid_bounded_and_keeps_each_accounts_order() {
        let mut genesis = super::super::fixture::genesis();
        genesis.parameters.tx_count_max = 4;
        let (mut ledger, _) = Ledger::genesis(&genesis).unwrap();
        let open = (1..4).map(|n| Operation::CreateAccount { account: id(n), balance: 1_000 }).collect();
        let open = act(&ledger, 0, 1, open);
        close(&mut ledger, vec![open]);
        let candidates = vec![
            act(&ledger, 1, 3, pay(2, 1)),
            act(&ledger, 1, 1, pay(2, 1)),
            act(&ledger, 2, 2, pay(1, 1)), // nothing before it: left out
            act_with(&ledger, 3, 1, pay(1, 1), |one| one.valid_before_ms = Some(1)),
            act(&ledger, 3, 2, pay(1, 1)), // what it follows has expired
            act(&ledger, 1, 2, pay(2, 1)),
            act(&ledger, 0, 1, pay(2, 1)),
            act(&ledger, 0, 2, pay(2, 1)),
        ];
        let set = ledger.build_tx_set(candidates, NOW);
        let mut chosen: Vec<_> =
            set.transactions().iter().map(|one| (one.source(), one.transaction().sequence)).collect();
        chosen.sort_by_key(|(source, sequence)| (*source != id(1), *sequence));
        assert_eq!(chosen, [(id(1), 1), (id(1), 2), (id(1), 3), (id(0), 2)]);
        assert_eq!(ledger.check_tx_set(&set, NOW), Ok(()));
    }

    #[test]
    fn the_next_close_time_is_now_but_after_the_last() {
        let ledger = ledger();
        assert_eq!(ledger.next_close_time(5), ledger.close_time_ms() + 1);
        assert_eq!(ledger.next_close_time(NOW), NOW);
    }
}
