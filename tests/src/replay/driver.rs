//! Answers the core's questions as the trace says.

use super::form::{Combine, Combined, Growth, HashSource, Level, RoundForm, Timeouts};
use fba_core::{Driver, NodeId, Purpose, SlotIndex, Timer, Validity, Value, leader};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a payload is waited for in every trace.
const DOWNLOAD_TIMEOUT_MS: u64 = 5000;

/// The answers in force, and what was asked that leaves a mark.
pub(super) struct Answers {
    pub(super) hash_source: HashSource,
    pub(super) combine: Combine,
    pub(super) timeouts: Timeouts,
    pub(super) priorities: (BTreeMap<NodeId, u64>, u64),
    pub(super) value_hashes: (BTreeMap<Value, u64>, u64),
    pub(super) tables: BTreeMap<SlotIndex, BTreeMap<u32, Table>>,
    pub(super) composite: Option<Value>,
    pub(super) levels: BTreeMap<Value, Level>,
    pub(super) nomination_levels: BTreeMap<Value, Level>,
    pub(super) default_level: Level,
    pub(super) extract: BTreeMap<Value, Value>,
    pub(super) waits_ms: BTreeMap<Value, u64>,
    pub(super) upgraded: BTreeSet<Value>,
    pub(super) stripped: BTreeMap<Value, Value>,
    pub(super) upgrade_timeouts: u32,
    pub(super) combined: RefCell<Vec<Combined>>,
    /// A question the trace has no answer for.
    pub(super) unanswered: RefCell<Option<String>>,
}

/// The answers of one round.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    priority: BTreeMap<NodeId, u64>,
    neighborhood: BTreeMap<NodeId, u64>,
    value_hashes: BTreeMap<Value, u64>,
}

impl Answers {
    pub(super) fn new(hash_source: HashSource, combine: Combine, timeouts: Timeouts) -> Self {
        Self {
            hash_source,
            combine,
            timeouts,
            priorities: Default::default(),
            value_hashes: Default::default(),
            tables: BTreeMap::new(),
            composite: None,
            levels: BTreeMap::new(),
            nomination_levels: BTreeMap::new(),
            default_level: Level::FullyValidated,
            extract: BTreeMap::new(),
            waits_ms: BTreeMap::new(),
            upgraded: BTreeSet::new(),
            stripped: BTreeMap::new(),
            upgrade_timeouts: u32::MAX,
            combined: RefCell::default(),
            unanswered: RefCell::default(),
        }
    }

    fn tabled<K: Ord>(
        &self,
        slot: SlotIndex,
        round: u32,
        what: &str,
        key: &K,
        column: impl Fn(&Table) -> &BTreeMap<K, u64>,
    ) -> u64 {
        let answer = self.tables.get(&slot).and_then(|rounds| rounds.get(&round)).and_then(|t| column(t).get(key));
        answer.copied().unwrap_or_else(|| {
            *self.unanswered.borrow_mut() = Some(format!("{what} of round {round} in slot {slot}"));
            0
        })
    }
}

impl Table {
    pub(super) fn new(
        round: &RoundForm,
        node: impl Fn(&str) -> Result<NodeId, String>,
        value: impl Fn(&str) -> Result<Value, String>,
    ) -> Result<Self, String> {
        let nodes = |column: &BTreeMap<String, u64>| -> Result<BTreeMap<NodeId, u64>, String> {
            column.iter().map(|(name, n)| Ok((node(name)?, *n))).collect()
        };
        Ok(Self {
            priority: nodes(&round.priority)?,
            neighborhood: nodes(&round.neighborhood)?,
            value_hashes: round
                .value_hashes
                .iter()
                .map(|(hex, n)| Ok((value(hex)?, *n)))
                .collect::<Result<_, String>>()?,
        })
    }
}

impl Driver for Answers {
    fn validate(&self, _: SlotIndex, value: &Value, purpose: Purpose) -> Validity {
        let stricter = match purpose {
            Purpose::Nomination => self.nomination_levels.get(value),
            Purpose::Ballot => None,
        };
        match stricter.or_else(|| self.levels.get(value)).unwrap_or(&self.default_level) {
            Level::Invalid => Validity::Invalid,
            Level::MaybeValidNotCurrent => Validity::NotCurrent,
            Level::StructurallyValid => Validity::PayloadMissing,
            Level::FullyValidated => Validity::Valid,
        }
    }

    fn extract_valid(&self, _: SlotIndex, value: &Value) -> Option<Value> {
        self.extract.get(value).cloned()
    }

    fn combine(&self, _: SlotIndex, candidates: &BTreeSet<Value>) -> Option<Value> {
        let composite = match self.combine {
            Combine::SetCandidates => self.composite.clone(),
            Combine::LexicographicMax => candidates.last().cloned(),
        };
        self.combined.borrow_mut().push(Combined {
            candidates: candidates.iter().map(|value| hex::encode(value.as_bytes())).collect(),
            composite: composite.as_ref().map(|value| hex::encode(value.as_bytes())),
        });
        composite
    }

    fn priority(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
        match self.hash_source {
            HashSource::Steps => self.priorities.0.get(&node).copied().unwrap_or(self.priorities.1),
            HashSource::Table => self.tabled(slot, round, "priority", &node, |table| &table.priority),
            HashSource::StellarSha256 => leader::priority(slot, previous, round, node),
        }
    }

    fn neighborhood(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
        match self.hash_source {
            HashSource::Steps => 0,
            HashSource::Table => self.tabled(slot, round, "neighborhood", &node, |table| &table.neighborhood),
            HashSource::StellarSha256 => leader::neighborhood(slot, previous, round, node),
        }
    }

    fn value_hash(&self, slot: SlotIndex, previous: &Value, round: u32, value: &Value) -> u64 {
        match self.hash_source {
            HashSource::Steps => self.value_hashes.0.get(value).copied().unwrap_or(self.value_hashes.1),
            HashSource::Table => self.tabled(slot, round, "value hash", value, |table| &table.value_hashes),
            HashSource::StellarSha256 => leader::value_hash(slot, previous, round, value),
        }
    }

    fn without_payload(&self, _: SlotIndex, value: &Value) -> Option<Value> {
        let waits = self.waits_ms.get(value).is_some_and(|ms| *ms < DOWNLOAD_TIMEOUT_MS);
        (!waits).then(|| Value::new(&[b"EMPTY:", value.as_bytes()].concat()))
    }

    fn strip_upgrades(&self, _: SlotIndex, value: &Value) -> Option<Value> {
        let stripped = || self.stripped.get(value).unwrap_or(value).clone();
        self.upgraded.contains(value).then(stripped)
    }

    fn upgrade_timeouts(&self) -> u32 {
        self.upgrade_timeouts
    }

    fn timeout(&self, timer: Timer, round: u32) -> Duration {
        let Growth { initial_ms, increment_ms } = match timer {
            Timer::Nomination => self.timeouts.nomination,
            Timer::Ballot => self.timeouts.ballot,
        };
        let rounds_before = u64::from(round.saturating_sub(1));
        let grown = initial_ms.saturating_add(rounds_before.saturating_mul(increment_ms));
        Duration::from_millis(grown.min(self.timeouts.max_ms))
    }
}
