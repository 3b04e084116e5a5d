//! Judges recordings of what nodes said: did any key contradict itself?
//!
//! A contradiction is two different ballot statements of one key about one slot, neither newer than the other; or two
//! of them that say CONFIRM or EXTERNALIZE for different values, which no honest node does whatever the order. Two
//! nominations never contradict one another; those that are out of order are counted apart.

mod report;

pub use report::Report;

use fba_core::{NodeId, Pledge, SlotIndex, Statement, Value};
use fba_server::key::{Domain, NetworkId, verify};
use fba_server::record::{RecordError, Records};
use fba_server::wire::{SignedStatement, statement_bytes};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Two statements of one key that no honest node makes both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contradiction {
    /// Whose.
    pub node: NodeId,
    /// About which slot.
    pub slot: SlotIndex,
    /// Which rule they break.
    pub rule: Rule,
    /// The one.
    pub one: Statement,
    /// The other.
    pub other: Statement,
}

/// The rule that a contradiction breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// They differ, and neither is newer than the other.
    NeitherIsNewer,
    /// Both are past PREPARE, for different values.
    TwoValues,
}

/// What one key said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyCounts {
    /// Records with a statement of this key; one statement may come from many peers.
    pub records: u64,
    /// Different nominations.
    pub nominations: u64,
    /// Pairs of nominations, neither newer than the other: no contradiction.
    pub unordered_nominations: u64,
    /// Different ballot statements.
    pub ballots: u64,
    /// Slots it cast ballot statements about: first and last.
    pub slots: Option<(u64, u64)>,
    /// Runs of slots between them that it said nothing about: first and last of each.
    pub gaps: Vec<(u64, u64)>,
}

/// Different statements by the bytes that were signed.
type Statements = BTreeMap<Vec<u8>, Statement>;

/// Collects recordings.
#[derive(Debug, Default)]
pub struct Judge {
    network: Option<NetworkId>,
    said: BTreeMap<NodeId, BTreeMap<SlotIndex, Statements>>,
    records: BTreeMap<NodeId, u64>,
    forged: u64,
    torn: Vec<(PathBuf, u64)>,
}

impl Judge {
    /// A judge who checks signatures if `network` is given, and else takes the recorder's word for them.
    #[must_use]
    pub fn new(network: Option<NetworkId>) -> Self {
        Self { network, ..Self::default() }
    }

    /// Takes in one recording.
    ///
    /// # Errors
    /// When it cannot be read to its end. A torn last record is tolerated and reported.
    pub fn read(&mut self, path: &Path) -> Result<(), RecordError> {
        let mut records = Records::open(path)?;
        for record in &mut records {
            self.hear(record?.signed);
        }
        if records.torn_bytes() > 0 {
            self.torn.push((path.to_owned(), records.torn_bytes()));
        }
        Ok(())
    }

    /// Takes in one statement.
    pub fn hear(&mut self, signed: SignedStatement) {
        let SignedStatement { statement, signature } = signed;
        let bytes = statement_bytes(&statement);
        let node = statement.node;
        let genuine = |network| verify(network, &node.0, Domain::Statement, &bytes, &signature);
        // A signature that is not genuine says nothing about the key.
        if !self.network.is_none_or(genuine) {
            self.forged += 1;
            return;
        }
        *self.records.entry(node).or_default() += 1;
        self.said.entry(node).or_default().entry(statement.slot).or_default().insert(bytes, statement);
    }

    /// The verdict over everything taken in.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report {
            signatures_checked: self.network.is_some(),
            forged: self.forged,
            torn: self.torn.clone(),
            keys: BTreeMap::new(),
            contradictions: Vec::new(),
        };
        for (node, slots) in &self.said {
            let mut counts =
                KeyCounts { records: self.records.get(node).copied().unwrap_or(0), ..KeyCounts::default() };
            for (slot, statements) in slots {
                let (nominations, ballots): (Vec<_>, Vec<_>) =
                    statements.values().partition(|statement| statement.pledge.is_nomination());
                counts.nominations += nominations.len() as u64;
                counts.unordered_nominations += unordered(nominations);
                counts.ballots += ballots.len() as u64;
                if !ballots.is_empty() {
                    counts.heard(slot.0);
                }
                report.contradictions.extend(contradictions(*node, *slot, ballots));
            }
            report.keys.insert(*node, counts);
        }
        report
    }
}

impl KeyCounts {
    /// Slots come ascending.
    fn heard(&mut self, slot: u64) {
        match &mut self.slots {
            None => self.slots = Some((slot, slot)),
            Some((_, last)) => {
                if last.saturating_add(1) < slot {
                    self.gaps.push((*last + 1, slot - 1));
                }
                *last = slot;
            }
        }
    }
}

fn age(one: &Statement, other: &Statement) -> Ordering {
    match (one.is_newer_than(other), other.is_newer_than(one)) {
        (true, _) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => Ordering::Equal,
    }
}

/// "Newer" orders the ballot statements of a slot in a line, so only neighbours in it need to be compared.
fn contradictions(node: NodeId, slot: SlotIndex, mut ballots: Vec<&Statement>) -> Vec<Contradiction> {
    ballots.sort_by(|one, other| age(one, other));
    let neighbours = || ballots.iter().zip(ballots.iter().skip(1));
    let ties = neighbours().filter(|(one, other)| age(one, other) == Ordering::Equal);
    let decided: Vec<_> = ballots.iter().filter_map(|statement| Some((statement, decided(statement)?))).collect();
    let split = decided.iter().zip(decided.iter().skip(1)).filter(|((_, one), (_, other))| one != other);
    let found = |rule| {
        move |(one, other): (&&Statement, &&Statement)| Contradiction {
            node,
            slot,
            rule,
            one: (*one).clone(),
            other: (*other).clone(),
        }
    };
    let split = split.map(|((one, _), (other, _))| (*one, *other)).map(found(Rule::TwoValues));
    ties.map(found(Rule::NeitherIsNewer)).chain(split).collect()
}

/// The value a node has bound itself to for good.
fn decided(statement: &Statement) -> Option<&Value> {
    match &statement.pledge {
        Pledge::Confirm { ballot, .. } => Some(&ballot.value),
        Pledge::Externalize { commit, .. } => Some(&commit.value),
        Pledge::Nominate { .. } | Pledge::Prepare { .. } => None,
    }
}

/// Sets of values need not form a line; neighbours by size show where they do not.
fn unordered(mut nominations: Vec<&Statement>) -> u64 {
    nominations.sort_by_key(|statement| statement.pledge.values().count());
    let pairs = nominations.iter().zip(nominations.iter().skip(1));
    pairs.filter(|(one, other)| age(one, other) == Ordering::Equal).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use fba_core::{Ballot, Hash};
    use fba_server::key::{Ed25519, SecretKey};
    use fba_server::record::{Record, Recorder};

    fn network() -> NetworkId {
        NetworkId::of_passphrase("recordings")
    }

    fn ballot(counter: u32, value: &str) -> Ballot {
        Ballot { counter, value: Value::new(value.as_bytes()) }
    }

    fn prepare(counter: u32, value: &str, commit: u32) -> Pledge {
        let prepared = (commit > 0).then(|| ballot(counter, value));
        Pledge::Prepare { ballot: ballot(counter, value), prepared, prepared_prime: None, commit, high: commit }
    }

    fn confirm(counter: u32, value: &str) -> Pledge {
        Pledge::Confirm { ballot: ballot(counter, value), prepared: counter, commit: 1, high: counter }
    }

    fn externalize(value: &str) -> Pledge {
        Pledge::Externalize { commit: ballot(1, value), high: 1 }
    }

    fn nominate(values: &[&str]) -> Pledge {
        let voted = values.iter().map(|value| Value::new(value.as_bytes())).collect();
        Pledge::Nominate { voted, accepted: Vec::new() }
    }

    fn sign(seed: u8, slot: u64, pledge: Pledge) -> SignedStatement {
        let key = SecretKey::from_seed(&[seed; 32]);
        let statement = Statement { node: key.node_id(), slot: SlotIndex(slot), quorum_set: Hash([3; 32]), pledge };
        SignedStatement::sign(statement, &Ed25519::new(network(), key))
    }

    fn judged(statements: impl IntoIterator<Item = SignedStatement>) -> Report {
        let mut judge = Judge::new(Some(network()));
        statements.into_iter().for_each(|signed| judge.hear(signed));
        judge.report()
    }

    /// The rules broken by these pledges of one key about one slot, in any order.
    fn broken(pledges: &[Pledge]) -> Vec<Rule> {
        let forth = judged(pledges.iter().map(|pledge| sign(1, 5, pledge.clone())));
        let back = judged(pledges.iter().rev().map(|pledge| sign(1, 5, pledge.clone())));
        assert_eq!(forth, back);
        forth.contradictions.iter().map(|found| found.rule).collect()
    }

    #[test]
    fn an_honest_node_is_acquitted() {
        let honest = [
            nominate(&["a"]),
            nominate(&["a", "b"]),
            prepare(1, "a", 0),
            prepare(1, "b", 0),
            prepare(2, "b", 1),
            confirm(2, "b"),
            confirm(3, "b"),
            externalize("b"),
        ];
        assert_eq!(broken(&honest), []);
    }

    #[test]
    fn planted_contradictions_are_found() {
        use Rule::{NeitherIsNewer, TwoValues};
        assert_eq!(broken(&[externalize("a"), externalize("b")]), [NeitherIsNewer, TwoValues]);
        assert_eq!(broken(&[confirm(1, "a"), prepare(1, "a", 1), confirm(2, "b")]), [TwoValues]);
        assert_eq!(broken(&[confirm(1, "a"), externalize("b")]), [TwoValues]);
        let one = Pledge::Confirm { ballot: ballot(3, "a"), prepared: 3, commit: 1, high: 3 };
        let other = Pledge::Confirm { ballot: ballot(3, "a"), prepared: 3, commit: 2, high: 3 };
        assert_eq!(broken(&[one, other]), [NeitherIsNewer]);
    }

    #[test]
    fn other_keys_and_other_slots_contradict_nobody() {
        let report = judged([sign(1, 5, externalize("a")), sign(2, 5, externalize("b")), sign(1, 6, externalize("b"))]);
        assert!(report.contradictions.is_empty());
        assert_eq!(report.keys.len(), 2);
    }

    #[test]
    fn nominations_are_reported_apart() {
        let report = judged([sign(1, 5, nominate(&["a", "b"])), sign(1, 5, nominate(&["a", "c"]))]);
        assert!(report.contradictions.is_empty());
        let counts = report.keys.values().next().unwrap();
        assert_eq!((counts.nominations, counts.unordered_nominations, counts.ballots), (2, 1, 0));
    }

    #[test]
    fn counts_and_gaps_are_per_key() {
        let said = [2, 3, 3, 7, 9].map(|slot| sign(1, slot, externalize("a")));
        let report = judged(said);
        let counts = report.keys.values().next().unwrap();
        assert_eq!((counts.records, counts.ballots, counts.slots), (5, 4, Some((2, 9))));
        assert_eq!(counts.gaps, [(4, 6), (8, 8)]);
    }

    #[test]
    fn a_forged_statement_convicts_nobody_and_is_counted() {
        let mut forged = sign(1, 5, externalize("a"));
        forged.statement.pledge = externalize("b");
        let report = judged([sign(1, 5, externalize("a")), forged.clone()]);
        assert_eq!((report.contradictions.len(), report.forged), (0, 1));
        let mut trusting = Judge::new(None);
        trusting.hear(sign(1, 5, externalize("a")));
        trusting.hear(forged);
        assert_eq!(trusting.report().contradictions.len(), 2);
    }

    #[test]
    fn several_files_with_torn_ends_are_judged_together() {
        let folder = tempfile::tempdir().unwrap();
        let mut judge = Judge::new(Some(network()));
        for (name, value) in [("one", "a"), ("two", "b")] {
            let path = folder.path().join(name);
            let mut recorder = Recorder::open(&path).unwrap();
            let signed = sign(1, 5, externalize(value));
            recorder.record(&Record { at_unix_ms: 1, from: NodeId([4; 32]), signed }).unwrap();
            recorder.flush().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.extend([0, 0, 1]);
            std::fs::write(&path, bytes).unwrap();
            judge.read(&path).unwrap();
        }
        let report = judge.report();
        assert_eq!((report.contradictions.len(), report.torn.len()), (2, 2));
        assert!(report.to_string().contains("contradicts itself"), "{report}");
    }
}
