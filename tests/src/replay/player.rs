//! Plays one trace and compares each step.

use super::driver::{Answers, Table};
use super::form::{
    Answer, BallotForm, Call, Decision, Envelope, Level, Outcome, PledgeForm, Returned, SelfLatest, SetForm, Step,
    TimerName, Trace,
};
use fba_core::{
    Attested, Ballot, Effect, Hash, Input, Node, NodeId, Pledge, QuorumSet, Rejected, Rule, SenderSet, SlotIndex,
    Statement, Timer, Value,
};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What differed, where.
#[derive(Clone, Debug)]
pub struct Difference {
    place: String,
    what: String,
}

impl Difference {
    pub(super) fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }

    pub(super) fn named(self, file: &Path, line: u64) -> Self {
        Self { place: format!("{}, line {line}: {}", file.display(), self.place), what: self.what }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.place, self.what)
    }
}

/// Plays a trace from its first step to its last.
///
/// # Errors
///
/// The first step that came out differently, or that could not be played.
pub fn play(trace: &Trace) -> Result<(), Difference> {
    let failed = |what| Difference::new(&trace.name, what);
    let mut player = Player::new(trace).map_err(failed)?;
    for (number, step) in trace.steps.iter().enumerate() {
        let place = || format!("{}, step {number}: {}", trace.name, step.get("do").unwrap_or(step));
        let ours = player.step(step).map_err(|what| Difference::new(place(), what))?;
        let theirs = serde_json::from_value(step.clone()).map_err(|error| Difference::new(place(), error))?;
        if let Some(what) = compare(&theirs, ours) {
            return Err(Difference::new(place(), what));
        }
    }
    // The reference gave up on this input. We only must not.
    if let Some(throws) = &trace.reference_throws {
        player.step(&throws.step).map_err(|what| Difference::new(format!("{}, reference_throws", trace.name), what))?;
    }
    Ok(())
}

struct Player<'a> {
    names: Names,
    trace: &'a Trace,
    local: NodeId,
    set: QuorumSet,
    answers: Answers,
    node: Node,
    /// The generation of each running timer.
    timers: BTreeMap<(SlotIndex, TimerName), u64>,
}

impl<'a> Player<'a> {
    fn new(trace: &'a Trace) -> Result<Self, String> {
        let names = Names::new(trace)?;
        let local = names.node(&trace.local.node)?;
        let named = trace.quorum_sets.get(&trace.local.quorum_set).ok_or("the local quorum set has no entry")?;
        let configured = trace.local.configured_quorum_set.as_ref().unwrap_or(named);
        let set = names.set(configured)?;
        let node = Node::new(local, trace.local.is_validator, set.clone());
        let expected = named.hash.clone().unwrap_or_default();
        if node.quorum_set().hash().to_string() != expected {
            return Err(format!("normalised local set hashes to {}, expected {expected}", node.quorum_set().hash()));
        }
        let answers = Answers::new(trace.hash_source, trace.combine, trace.timeouts);
        Ok(Self { names, trace, local, set, answers, node, timers: BTreeMap::new() })
    }

    fn step(&mut self, step: &serde_json::Value) -> Result<Outcome, String> {
        let parsed: Step = serde_json::from_value(step.clone()).map_err(|error| error.to_string())?;
        let call = match parsed {
            Step::Call(call) => call,
            Step::Answer(answer) => {
                self.change_answers(answer)?;
                return Ok(Outcome::default());
            }
        };
        let (returns, input) = self.input(call)?;
        let slot = input.slot();
        self.node.open(slot);
        let before = Snapshot::of(&self.node, slot);
        if let Input::TimerFired { timer, .. } = &input {
            self.timers.remove(&(slot, timer_name(*timer)));
        }
        let had: BTreeMap<TimerName, u64> =
            self.timers.iter().filter(|((of, _), _)| *of == slot).map(|((_, name), n)| (*name, *n)).collect();
        self.answers.combined.borrow_mut().clear();
        let result = self.node.handle(input, &self.answers);
        if let Some(question) = self.answers.unanswered.borrow_mut().take() {
            return Err(format!("asked for something the trace has no answer for: {question}"));
        }
        let mut outcome = self.outcome(&result, &had)?;
        outcome.returned = returned(returns, &result);
        outcome.combined = self.answers.combined.borrow().clone();
        self.note_changes(&mut outcome, &before, slot)?;
        Ok(outcome)
    }

    /// The input a call stands for, and how its result is told.
    fn input(&self, call: Call) -> Result<(Returns, Input), String> {
        let names = &self.names;
        Ok(match call {
            Call::Nominate { slot, value, previous, timed_out } => {
                let (slot, value) = (SlotIndex(slot), Some(names.value(&value)?));
                let previous = names.value(&previous)?;
                (Returns::Voted, Input::Nominate { slot, value, previous, timed_out })
            }
            Call::Bump { slot, value } => {
                let (slot, value) = (SlotIndex(slot), names.value(&value)?);
                (Returns::Bumped, Input::Bump { slot, value })
            }
            Call::Receive { envelope } => (Returns::Validity, Input::Receive(names.attested(&envelope)?)),
            Call::FireTimer { slot, timer: name } => {
                let slot = SlotIndex(slot);
                let running = self.timers.get(&(slot, name));
                let generation = *running.ok_or("fires a timer that is not running here")?;
                let timer = match name {
                    TimerName::Ballot => Timer::Ballot,
                    TimerName::Nomination => Timer::Nomination,
                };
                (Returns::Nothing, Input::TimerFired { slot, timer, generation })
            }
            Call::Restore { envelope } => {
                let statement = names.attested(&envelope)?;
                (Returns::Nothing, Input::Restore { statement, nomination: None })
            }
            Call::StopNomination { slot } => (Returns::Nothing, Input::StopNomination { slot: SlotIndex(slot) }),
        })
    }

    fn change_answers(&mut self, answer: Answer) -> Result<(), String> {
        let names = &self.names;
        match answer {
            Answer::SetPriorities { priorities, default } => {
                let by_node = priorities.iter().map(|(name, n)| Ok((names.node(name)?, *n)));
                self.answers.priorities = (by_node.collect::<Result<_, String>>()?, default);
            }
            Answer::SetValueHashes { hashes, default } => {
                self.answers.value_hashes = (names.by_value(&hashes)?, default);
            }
            Answer::SetHashTable { slot, rounds } => {
                let tables = rounds.iter().map(|round| {
                    let table = Table::new(round, |name| names.node(name), |hex| names.value(hex))?;
                    Ok((round.round, table))
                });
                self.answers.tables.insert(SlotIndex(slot), tables.collect::<Result<_, String>>()?);
            }
            Answer::SetCandidates { composite } => {
                self.answers.composite = composite.map(|hex| names.value(&hex)).transpose()?;
            }
            Answer::SetValidation { levels, nomination_levels, default } => {
                self.answers.levels = names.by_value::<Level>(&levels)?;
                self.answers.nomination_levels = names.by_value(&nomination_levels)?;
                self.answers.default_level = default;
            }
            Answer::SetExtract { extract } => self.answers.extract = names.value_pairs(&extract)?,
            Answer::Restart => {
                self.node = Node::new(self.local, self.trace.local.is_validator, self.set.clone());
                self.timers.clear();
            }
            Answer::SetUpgrades { has_upgrades, stripped, timeout_limit } => {
                let upgraded = has_upgrades.iter().map(|hex| names.value(hex));
                self.answers.upgraded = upgraded.collect::<Result<_, String>>()?;
                self.answers.stripped = names.value_pairs(&stripped)?;
                self.answers.upgrade_timeouts = timeout_limit;
            }
            Answer::SetDownloadWaits { waits_ms } => self.answers.waits_ms = names.by_value(&waits_ms)?,
        }
        Ok(())
    }

    fn outcome(
        &mut self,
        result: &Result<Vec<Effect>, Rejected>,
        had: &BTreeMap<TimerName, u64>,
    ) -> Result<Outcome, String> {
        let mut outcome = Outcome::default();
        for effect in result.iter().flatten() {
            match effect {
                Effect::Emit(statement) => outcome.emits.push(self.names.envelope(statement)?),
                Effect::StartTimer { slot, timer, generation, after } => {
                    let name = timer_name(*timer);
                    self.timers.insert((*slot, name), *generation);
                    let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                    outcome.timers.insert(name, Some(ms));
                }
                Effect::StopTimer { slot, timer } => {
                    let name = timer_name(*timer);
                    self.timers.remove(&(*slot, name));
                    outcome.timers.remove(&name);
                    if had.contains_key(&name) {
                        outcome.timers.insert(name, None);
                    }
                }
                Effect::Externalize { slot, value } => {
                    outcome.externalized = Some(Decision { slot: slot.0, value: hex::encode(value.as_bytes()) });
                }
                Effect::Moved(moved) if moved.rule == Rule::HeardFromQuorum => {
                    outcome.heard_from_quorum.push(ballot_form(&moved.ballot));
                }
                Effect::Moved(_) => {}
            }
        }
        Ok(outcome)
    }

    /// The parts of a step that are differences between before and after.
    fn note_changes(&self, outcome: &mut Outcome, before: &Snapshot, slot: SlotIndex) -> Result<(), String> {
        let after = Snapshot::of(&self.node, slot);
        if after.leaders != before.leaders {
            outcome.leaders = Some(after.leaders.iter().map(|node| self.names.node_name(*node)).collect());
        }
        if after.fully_validated != before.fully_validated {
            outcome.fully_validated = Some(after.fully_validated);
        }
        let form = |before: &Option<Statement>, after: &Option<Statement>, emits: &[Envelope]| {
            let Some(statement) = after.as_ref().filter(|_| before != after) else {
                return Ok(None);
            };
            let ours = self.names.envelope(statement)?;
            let is_nomination = statement.pledge.is_nomination();
            let same_protocol = |emitted: &&Envelope| {
                matches!(emitted.pledge, PledgeForm::Nominate { .. }) == is_nomination && emitted.slot == slot.0
            };
            let last = emits.iter().rev().find(same_protocol);
            Ok::<_, String>((last != Some(&ours)).then_some(ours))
        };
        let latest = SelfLatest {
            nomination: form(&before.own.0, &after.own.0, &outcome.emits)?,
            ballot: form(&before.own.1, &after.own.1, &outcome.emits)?,
        };
        if latest != SelfLatest::default() {
            outcome.self_latest = Some(latest);
        }
        Ok(())
    }
}

/// How a call's `returned` is found.
#[derive(Clone, Copy)]
enum Returns {
    Nothing,
    Voted,
    Bumped,
    Validity,
}

fn returned(returns: Returns, result: &Result<Vec<Effect>, Rejected>) -> Option<Returned> {
    let moved = |rule| {
        let is = |effect: &Effect| matches!(effect, Effect::Moved(moved) if moved.rule == rule);
        Some(Returned::Flag(result.iter().flatten().any(is)))
    };
    match returns {
        Returns::Nothing => None,
        Returns::Voted => moved(Rule::VoteNominated),
        Returns::Bumped => moved(Rule::Bump),
        Returns::Validity => {
            let state = if result.is_ok() { "valid" } else { "invalid" };
            Some(Returned::State(state.into()))
        }
    }
}

struct Snapshot {
    leaders: Vec<NodeId>,
    own: (Option<Statement>, Option<Statement>),
    fully_validated: bool,
}

impl Snapshot {
    fn of(node: &Node, slot: SlotIndex) -> Self {
        let leaders = node.slot_state(slot).map(|state| state.leaders.into_iter().collect()).unwrap_or_default();
        Self { leaders, own: node.own_latest(slot), fully_validated: node.is_fully_validated(slot) }
    }
}

/// Names to things and back.
pub(super) struct Names {
    nodes: BTreeMap<String, NodeId>,
    node_names: BTreeMap<NodeId, String>,
    sets: BTreeMap<String, (Hash, SenderSet)>,
    set_names: BTreeMap<Hash, String>,
}

impl Names {
    fn new(trace: &Trace) -> Result<Self, String> {
        let mut names = Self::of_nodes(&trace.nodes)?;
        for (name, form) in &trace.quorum_sets {
            let hash = hash(form.hash.as_deref().ok_or("a quorum set without its hash")?)?;
            let set = names.set(form)?;
            if set.hash() != hash {
                return Err(format!("{name} hashes to {}, expected {hash}", set.hash()));
            }
            names.sets.insert(name.clone(), (hash, SenderSet::Known(Arc::new(set))));
            names.set_names.insert(hash, name.clone());
        }
        Ok(names)
    }

    pub(super) fn of_nodes(nodes: &BTreeMap<String, String>) -> Result<Self, String> {
        let nodes: BTreeMap<String, NodeId> =
            nodes.iter().map(|(name, key)| Ok((name.clone(), NodeId(bytes32(key)?)))).collect::<Result<_, String>>()?;
        let node_names = nodes.iter().map(|(name, node)| (*node, name.clone())).collect();
        Ok(Self { nodes, node_names, sets: BTreeMap::new(), set_names: BTreeMap::new() })
    }

    pub(super) fn node(&self, name: &str) -> Result<NodeId, String> {
        self.nodes.get(name).copied().ok_or_else(|| format!("no node is named {name}"))
    }

    fn node_name(&self, node: NodeId) -> String {
        self.node_names.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    pub(super) fn value(&self, text: &str) -> Result<Value, String> {
        hex::decode(text).map(|bytes| Value::new(&bytes)).map_err(|error| format!("value {text}: {error}"))
    }

    fn by_value<T: Clone>(&self, column: &BTreeMap<String, T>) -> Result<BTreeMap<Value, T>, String> {
        column.iter().map(|(hex, answer)| Ok((self.value(hex)?, answer.clone()))).collect()
    }

    fn value_pairs(&self, pairs: &BTreeMap<String, String>) -> Result<BTreeMap<Value, Value>, String> {
        let pairs = pairs.iter();
        pairs.map(|(from, to)| Ok((self.value(from)?, self.value(to)?))).collect()
    }

    /// The set as declared, sane or not.
    pub(super) fn set(&self, form: &SetForm) -> Result<QuorumSet, String> {
        let validators = form.validators.iter().map(|name| self.node(name)).collect::<Result<Vec<_>, _>>()?;
        let inner = form.inner_sets.iter().map(|set| self.set(set)).collect::<Result<Vec<_>, _>>()?;
        Ok(QuorumSet::unchecked(form.threshold, validators, inner))
    }

    fn attested(&self, envelope: &Envelope) -> Result<Attested, String> {
        let (hash, quorum_set) = match envelope.quorum_set.strip_prefix("unknown:") {
            Some(unknown) => (hash(unknown)?, SenderSet::Unresolved),
            None => {
                self.sets.get(&envelope.quorum_set).cloned().ok_or_else(|| format!("no set {}", envelope.quorum_set))?
            }
        };
        Ok(Attested { statement: self.statement(envelope, hash)?, quorum_set })
    }

    pub(super) fn statement(&self, envelope: &Envelope, quorum_set: Hash) -> Result<Statement, String> {
        let ballot = |(counter, value): &BallotForm| -> Result<Ballot, String> {
            Ok(Ballot { counter: *counter, value: self.value(value)? })
        };
        let values = |list: &[String]| list.iter().map(|value| self.value(value)).collect::<Result<Vec<_>, _>>();
        let pledge = match &envelope.pledge {
            PledgeForm::Nominate { votes, accepted } => {
                Pledge::Nominate { voted: values(votes)?, accepted: values(accepted)? }
            }
            PledgeForm::Prepare { ballot: b, prepared, prepared_prime, c, h } => Pledge::Prepare {
                ballot: ballot(b)?,
                prepared: prepared.as_ref().map(ballot).transpose()?,
                prepared_prime: prepared_prime.as_ref().map(ballot).transpose()?,
                commit: *c,
                high: *h,
            },
            PledgeForm::Confirm { ballot: b, prepared, commit, h } => {
                Pledge::Confirm { ballot: ballot(b)?, prepared: *prepared, commit: *commit, high: *h }
            }
            PledgeForm::Externalize { commit, h } => Pledge::Externalize { commit: ballot(commit)?, high: *h },
        };
        let node = self.node(&envelope.node)?;
        Ok(Statement { node, slot: SlotIndex(envelope.slot), quorum_set, pledge })
    }

    fn envelope(&self, statement: &Statement) -> Result<Envelope, String> {
        let values = |list: &[Value]| list.iter().map(|value| hex::encode(value.as_bytes())).collect();
        let pledge = match &statement.pledge {
            Pledge::Nominate { voted, accepted } => {
                PledgeForm::Nominate { votes: values(voted), accepted: values(accepted) }
            }
            Pledge::Prepare { ballot, prepared, prepared_prime, commit, high } => PledgeForm::Prepare {
                ballot: ballot_form(ballot),
                prepared: prepared.as_ref().map(ballot_form),
                prepared_prime: prepared_prime.as_ref().map(ballot_form),
                c: *commit,
                h: *high,
            },
            Pledge::Confirm { ballot, prepared, commit, high } => {
                PledgeForm::Confirm { ballot: ballot_form(ballot), prepared: *prepared, commit: *commit, h: *high }
            }
            Pledge::Externalize { commit, high } => PledgeForm::Externalize { commit: ballot_form(commit), h: *high },
        };
        let hash = statement.quorum_set;
        let unnamed = || format!("unknown:{hash}");
        Ok(Envelope {
            node: self.node_name(statement.node),
            slot: statement.slot.0,
            quorum_set: self.set_names.get(&hash).cloned().unwrap_or_else(unnamed),
            pledge,
        })
    }
}

fn ballot_form(ballot: &Ballot) -> BallotForm {
    (ballot.counter, hex::encode(ballot.value.as_bytes()))
}

fn timer_name(timer: Timer) -> TimerName {
    match timer {
        Timer::Ballot => TimerName::Ballot,
        Timer::Nomination => TimerName::Nomination,
    }
}

fn bytes32(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|error| format!("{text}: {error}"))?;
    Ok(bytes)
}

pub(super) fn hash(text: &str) -> Result<Hash, String> {
    bytes32(text).map(Hash)
}

/// The two sides, where they differ.
fn compare(theirs: &Outcome, mut ours: Outcome) -> Option<String> {
    let mut theirs = theirs.clone();
    // The reference combines the same candidates again on its way out of a nested call.
    theirs.combined.dedup();
    ours.combined.dedup();
    let mut lines = Vec::new();
    let mut line = |what: &str, theirs: &dyn fmt::Debug, ours: &dyn fmt::Debug, same: bool| {
        if !same {
            lines.push(format!("  {what}\n    expected {theirs:?}\n    got      {ours:?}"));
        }
    };
    line("returned", &theirs.returned, &ours.returned, theirs.returned == ours.returned);
    line("emits", &theirs.emits, &ours.emits, theirs.emits == ours.emits);
    line("externalized", &theirs.externalized, &ours.externalized, theirs.externalized == ours.externalized);
    let (heard, our_heard) = (&theirs.heard_from_quorum, &ours.heard_from_quorum);
    line("heard_from_quorum", heard, our_heard, heard == our_heard);
    line("timers", &theirs.timers, &ours.timers, theirs.timers == ours.timers);
    line("combined", &theirs.combined, &ours.combined, theirs.combined == ours.combined);
    line("leaders", &theirs.leaders, &ours.leaders, theirs.leaders == ours.leaders);
    line("self_latest", &theirs.self_latest, &ours.self_latest, theirs.self_latest == ours.self_latest);
    let (validated, our_validated) = (&theirs.fully_validated, &ours.fully_validated);
    line("fully_validated", validated, our_validated, validated == our_validated);
    if lines.is_empty() { None } else { Some(lines.join("\n")) }
}
