//! The shapes of a trace, as they stand in the file.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One trace.
#[derive(Clone, Debug, Deserialize)]
pub struct Trace {
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    pub(super) nodes: BTreeMap<String, String>,
    pub(super) quorum_sets: BTreeMap<String, SetForm>,
    pub(super) local: LocalForm,
    pub(super) timeouts: Timeouts,
    pub(super) hash_source: HashSource,
    pub(super) combine: Combine,
    #[serde(default)]
    pub(super) reference_throws: Option<Throws>,
    pub(super) steps: Vec<serde_json::Value>,
}

/// A step that made the reference fail.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Throws {
    pub(super) step: serde_json::Value,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SetForm {
    pub(super) threshold: u32,
    pub(super) validators: Vec<String>,
    pub(super) inner_sets: Vec<SetForm>,
    #[serde(default)]
    pub(super) hash: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct LocalForm {
    pub(super) node: String,
    pub(super) is_validator: bool,
    pub(super) quorum_set: String,
    #[serde(default)]
    pub(super) configured_quorum_set: Option<SetForm>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Timeouts {
    pub(super) ballot: Growth,
    pub(super) nomination: Growth,
    pub(super) max_ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Growth {
    pub(super) initial_ms: u64,
    pub(super) increment_ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) enum HashSource {
    #[serde(rename = "steps")]
    Steps,
    #[serde(rename = "table")]
    Table,
    #[serde(rename = "stellar-sha256")]
    StellarSha256,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) enum Combine {
    #[serde(rename = "set_candidates")]
    SetCandidates,
    #[serde(rename = "lexicographic-max")]
    LexicographicMax,
}

/// What a step does.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    Answer(Answer),
    Call(Call),
}

/// A change of the driver's answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Answer {
    SetPriorities {
        priorities: BTreeMap<String, u64>,
        default: u64,
    },
    SetValueHashes {
        hashes: BTreeMap<String, u64>,
        default: u64,
    },
    SetHashTable {
        slot: u64,
        rounds: Vec<RoundForm>,
    },
    SetCandidates {
        composite: Option<String>,
    },
    SetValidation {
        levels: BTreeMap<String, Level>,
        #[serde(default)]
        nomination_levels: BTreeMap<String, Level>,
        default: Level,
    },
    SetDownloadWaits {
        waits_ms: BTreeMap<String, u64>,
    },
    SetExtract {
        extract: BTreeMap<String, String>,
    },
    SetUpgrades {
        has_upgrades: Vec<String>,
        stripped: BTreeMap<String, String>,
        timeout_limit: u32,
    },
    Restart,
}

/// A call into the node.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Call {
    Nominate { slot: u64, value: String, previous: String, timed_out: bool },
    Bump { slot: u64, value: String },
    Receive { envelope: Envelope },
    FireTimer { slot: u64, timer: TimerName },
    Restore { envelope: Envelope },
    StopNomination { slot: u64 },
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RoundForm {
    pub(super) round: u32,
    pub(super) priority: BTreeMap<String, u64>,
    pub(super) neighborhood: BTreeMap<String, u64>,
    pub(super) value_hashes: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Invalid,
    MaybeValidNotCurrent,
    StructurallyValid,
    FullyValidated,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimerName {
    Ballot,
    Nomination,
}

/// What came out of a step.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(super) struct Outcome {
    #[serde(default)]
    pub(super) returned: Option<Returned>,
    #[serde(default)]
    pub(super) emits: Vec<Envelope>,
    #[serde(default)]
    pub(super) externalized: Option<Decision>,
    #[serde(default)]
    pub(super) heard_from_quorum: Vec<BallotForm>,
    #[serde(default)]
    pub(super) timers: BTreeMap<TimerName, Option<u64>>,
    #[serde(default)]
    pub(super) combined: Vec<Combined>,
    #[serde(default)]
    pub(super) leaders: Option<Vec<String>>,
    #[serde(default)]
    pub(super) self_latest: Option<SelfLatest>,
    #[serde(default)]
    pub(super) fully_validated: Option<bool>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
pub(super) enum Returned {
    Flag(bool),
    State(String),
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Decision {
    pub(super) slot: u64,
    pub(super) value: String,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Combined {
    pub(super) candidates: Vec<String>,
    pub(super) composite: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(super) struct SelfLatest {
    #[serde(default)]
    pub(super) nomination: Option<Envelope>,
    #[serde(default)]
    pub(super) ballot: Option<Envelope>,
}

/// A counter and a value in hexadecimal.
pub(super) type BallotForm = (u32, String);

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Envelope {
    pub(super) node: String,
    pub(super) slot: u64,
    pub(super) quorum_set: String,
    #[serde(flatten)]
    pub(super) pledge: PledgeForm,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum PledgeForm {
    Nominate { votes: Vec<String>, accepted: Vec<String> },
    Prepare { ballot: BallotForm, prepared: Option<BallotForm>, prepared_prime: Option<BallotForm>, c: u32, h: u32 },
    Confirm { ballot: BallotForm, prepared: u32, commit: u32, h: u32 },
    Externalize { commit: BallotForm, h: u32 },
}
