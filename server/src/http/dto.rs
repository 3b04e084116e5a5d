//! The JSON of the API: what docs/http.md shows, and what the commands read back.
//!
//! Sequence numbers and times are JSON numbers; amounts are decimal strings, because a browser's numbers end at 2^53;
//! keys are strkeys; hashes are lower-case hex. A field that has nothing to say is `null`, never left out.

mod peers;
mod proof;
mod slots;

pub use peers::{Ban, Departure, Peer, Peers};
pub use proof::{LedgerProof, Proof, ProofQuorumSet, ProofStatement};
pub use slots::{
    Ballot, BallotState, Evidence, NominationState, Pledge, SlotStep, SlotTimeouts, SlotTrace, SlotTraces, Statement,
};

use crate::http::view;
use crate::key::node_strkey;
use crate::ledger;
use fba_core::QuorumSet;
use serde::{Deserialize, Serialize};

/// `GET /v1/node`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Node {
    /// The node's public key.
    pub node: String,
    /// Its name.
    pub name: Option<String>,
    /// Its home domain.
    pub organization: Option<String>,
    /// SHA-256 of the network passphrase.
    pub network: String,
    /// Does it vote?
    pub validator: bool,
    /// Does it follow the network?
    pub sync: Sync,
    /// The last closed ledger.
    pub ledger: LastClosed,
    /// The slot being agreed on.
    pub slot: Slot,
    /// Links that are up.
    pub peers: u64,
    /// Transactions waiting.
    pub queued: u64,
    /// Milliseconds since the process started.
    pub uptime_ms: u64,
    /// The server's version.
    pub version: String,
    /// The network's parameters.
    pub parameters: Parameters,
    /// How the nodes of its quorum set stand, and how many more failures halt it.
    #[serde(default)]
    pub quorum: QuorumSummary,
    /// Its clock beside the network's.
    #[serde(default)]
    pub clock: Clock,
}

/// How the nodes of the quorum set stand to this one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct QuorumSummary {
    /// How many agree.
    pub agree: u64,
    /// How many are behind.
    pub delayed: u64,
    /// How many committed to something else.
    pub disagree: u64,
    /// How many are not heard.
    pub missing: u64,
    /// How many more of them must fail before this node halts; 0: it has halted; `null`: it needs nobody else.
    pub fail_at: Option<u64>,
    /// A smallest choice of such nodes.
    pub fail_with: Vec<NamedNode>,
}

/// A node with its name.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NamedNode {
    /// The node.
    pub node: String,
    /// Its name.
    pub name: Option<String>,
}

/// The node's clock beside those of the nodes it listens to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Clock {
    /// How far the clocks of recent proposers are ahead of this node's (median, milliseconds; negative: behind);
    /// `null` while too few have proposed.
    pub ahead_ms: Option<i64>,
    /// How many proposers that is from.
    pub proposers: u64,
    /// What is wrong and what to do, if the difference is too large.
    pub warning: Option<String>,
}

/// The network's parameters.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Parameters {
    /// Least time between two closes.
    pub close_interval_ms: u64,
    /// Longest time between two closes.
    pub heartbeat_ms: u64,
    /// Least balance of an account.
    pub minimum_balance: String,
    /// Fee asked of a transaction.
    pub base_fee: String,
    /// Most transactions in one ledger.
    pub tx_count_max: u32,
    /// Most bytes of transactions in one ledger.
    pub tx_bytes_max: u32,
}

impl From<&ledger::Parameters> for Parameters {
    fn from(parameters: &ledger::Parameters) -> Self {
        Self {
            close_interval_ms: parameters.close_interval_ms,
            heartbeat_ms: parameters.heartbeat_ms,
            minimum_balance: parameters.minimum_balance.to_string(),
            base_fee: parameters.base_fee.to_string(),
            tx_count_max: parameters.tx_count_max,
            tx_bytes_max: parameters.tx_bytes_max,
        }
    }
}

/// Does the node follow the network? Also the SSE event `sync`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Sync {
    /// `booting`, `joining`, `catching_up`, `synced`, `stuck`, `recovering` or `diverged`.
    pub state: String,
    /// Why, where that needs words.
    pub reason: Option<String>,
    /// What the open slot waits for, where that is why.
    pub waits: Option<Box<Waits>>,
    /// How far a node that lost its votes is from voting again, while it is `recovering`.
    pub recovery: Option<Recovery>,
    /// How far it has come, while it fetches ledgers it lacks.
    pub catch_up: Option<Box<CatchUp>>,
}

/// What keeps the open slot from closing, seen from this node's quorum set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Waits {
    /// The slot.
    pub slot: u64,
    /// As in [`Slot`].
    pub phase: String,
    /// Nomination round, from 1; 0 before nomination.
    pub round: u32,
    /// Ballot counter, from 1; 0 before the first ballot.
    pub counter: u32,
    /// Links that are up.
    pub peers: u64,
    /// What is needed next: nodes that are `heard`, have a value `nominated`, are `at_counter`, have it `prepared`, are
    /// `committing`, have `committed`; or the `tx_set` of the decided value.
    pub needs: String,
    /// Who is missing for that; `null`: nobody, it is a matter of time.
    pub missing: Option<MissingSet>,
}

/// One level of the quorum set that is not satisfied.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MissingSet {
    /// The home domain its nodes share, if they do.
    pub organization: Option<String>,
    /// How many members it wants.
    pub threshold: u32,
    /// How many are satisfied.
    pub heard: u32,
    /// How many members it has.
    pub members: u32,
    /// Nodes of this level that do not count.
    pub nodes: Vec<MissingNode>,
    /// Inner sets that are not satisfied.
    pub sets: Vec<MissingSet>,
}

/// A node that does not count yet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MissingNode {
    /// The node.
    pub node: String,
    /// Its name, or the beginning of its key.
    pub name: String,
    /// What it said last, in words.
    pub said: String,
}

/// How far a node that lost its votes is from voting again.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recovery {
    /// Slots it has watched close.
    pub watched: u32,
    /// How many it must have watched.
    pub wanted: u32,
    /// A ledger must close later than this.
    pub must_pass_ms: u64,
    /// About how long that takes; `null` while nothing closes or the clock is wrong.
    pub seconds_left: Option<u64>,
    /// How far its clock is behind the newest close time, if too far.
    pub clock_behind_ms: Option<u64>,
}

impl From<&view::NodeView> for Sync {
    fn from(view: &view::NodeView) -> Self {
        Self {
            state: view.sync.name().to_owned(),
            reason: view.reason.clone(),
            waits: view.waits.clone(),
            recovery: view.recovery.clone(),
            catch_up: view.catch_up.clone().map(Box::new),
        }
    }
}

/// How far a node that fetches ledgers has come.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CatchUp {
    /// The first ledger it lacked when it began.
    pub from: u64,
    /// The newest ledger it knows to be closed elsewhere.
    pub to: u64,
    /// How many it has applied since it began.
    pub applied: u64,
    /// While headers are checked, from the newest downwards: the lowest so far.
    pub headers_down_to: Option<u64>,
    /// Ledgers applied a second, of late.
    pub ledgers_per_second: Option<u64>,
    /// About how long the rest takes.
    pub seconds_left: Option<u64>,
    /// Peers that are asked at this moment.
    pub sources: u64,
}

/// The last closed ledger.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LastClosed {
    /// Sequence number.
    pub sequence: u64,
    /// Header hash.
    pub hash: String,
    /// Milliseconds since the epoch.
    pub close_time_ms: u64,
    /// Milliseconds since then by this node's clock; 0 if the close time is ahead of it.
    pub age_ms: u64,
}

/// Where the open slot stands. Also the SSE event `phase`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Slot {
    /// The slot.
    pub slot: u64,
    /// `idle`, `nominate`, `prepare`, `confirm` or `externalize`.
    pub phase: String,
    /// Nomination round, from 1; 0 before nomination.
    pub round: u32,
    /// Ballot counter, from 1; 0 before the first ballot.
    pub counter: u32,
}

impl From<&view::OpenSlot> for Slot {
    fn from(slot: &view::OpenSlot) -> Self {
        Self { slot: slot.slot, phase: slot.phase.name().to_owned(), round: slot.round, counter: slot.counter }
    }
}

/// `GET /v1/ledgers`, newest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Ledgers {
    /// The ledgers.
    pub ledgers: Vec<Ledger>,
}

/// `GET /v1/ledgers/{sequence|latest|hash}`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Ledger {
    /// Sequence number; genesis is 1.
    pub sequence: u64,
    /// Header hash.
    pub hash: String,
    /// Header hash of the ledger before.
    pub previous: String,
    /// Milliseconds since the epoch.
    pub close_time_ms: u64,
    /// How many transactions are in it.
    pub transactions: u64,
    /// How many of those failed.
    pub failed: u64,
    /// Hash of the transaction set.
    pub tx_set: String,
    /// Merkle root of the transactions.
    pub tx_root: String,
    /// Merkle root of the results.
    pub results_root: String,
    /// Hash of the state after it.
    pub state_hash: String,
    /// All money: what the accounts own, and the fee pool.
    pub total_supply: String,
    /// Fees charged since genesis.
    pub fee_pool: String,
    /// SHA-256 of the value the slot decided.
    pub value: String,
    /// Hash of the network parameters.
    pub parameters: String,
    /// The version of the ledger's rules.
    pub protocol_version: u32,
}

/// The SSE event `ledger`; its id is the sequence number.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LedgerClosed {
    /// Sequence number.
    pub sequence: u64,
    /// Header hash.
    pub hash: String,
    /// Milliseconds since the epoch.
    pub close_time_ms: u64,
    /// How many transactions are in it.
    pub transactions: u64,
    /// How many of those failed.
    pub failed: u64,
    /// How long nomination took here; `null` for ledgers from before the stream was opened.
    pub nomination_ms: Option<u64>,
    /// How long balloting took here; `null` likewise.
    pub ballot_ms: Option<u64>,
}

impl From<&Ledger> for LedgerClosed {
    fn from(ledger: &Ledger) -> Self {
        Self {
            sequence: ledger.sequence,
            hash: ledger.hash.clone(),
            close_time_ms: ledger.close_time_ms,
            transactions: ledger.transactions,
            failed: ledger.failed,
            nomination_ms: None,
            ballot_ms: None,
        }
    }
}

/// The SSE event `lagged`: this reader was too slow. Ledgers are filled in, phases are lost.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Lagged {
    /// How many events were dropped.
    pub missed: u64,
}

/// The SSE event `reset`: the gap is too wide to be filled in; fetch the state anew.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Reset {
    /// The newest closed ledger.
    pub sequence: u64,
}

/// `GET /v1/ledgers/{sequence}/transactions` and `GET /v1/accounts/{account}/transactions`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Transactions {
    /// Of a ledger: in the order applied. Of an account: newest first.
    pub transactions: Vec<Transaction>,
}

/// `GET /v1/transactions/{hash}`, and what `POST /v1/transactions` answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TransactionStatus {
    /// Queued here; no promise.
    Pending {
        /// The transaction.
        hash: String,
    },
    /// In a closed ledger, durably.
    Closed(Box<Transaction>),
}

/// A transaction in a closed ledger.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Transaction {
    /// Its hash.
    pub hash: String,
    /// The ledger it is in.
    pub ledger: u64,
    /// Its position in that ledger, from 0.
    pub index: u32,
    /// What became of it.
    pub result: TxResult,
    /// The account that pays.
    pub source: String,
    /// That account's sequence number it used.
    pub sequence: u64,
    /// The most it offered to pay.
    pub fee: String,
    /// Not before this time.
    pub valid_after_ms: Option<u64>,
    /// Not after this time.
    pub valid_before_ms: Option<u64>,
    /// The memo.
    pub memo: Bytes,
    /// What it does, in order.
    pub operations: Vec<Operation>,
    /// Who signed it.
    pub signers: Vec<String>,
}

/// What became of a transaction.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TxResult {
    /// Did all operations succeed? If not, none had an effect.
    pub success: bool,
    /// What was charged, either way.
    pub fee_charged: String,
    /// The operation that failed, from 0.
    pub operation: Option<u32>,
    /// Why it failed: a word for programs.
    pub reason: Option<String>,
    /// The same as a sentence.
    pub message: Option<String>,
}

/// One operation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Operation {
    /// Makes a new account.
    CreateAccount {
        /// The new account.
        account: String,
        /// What it starts with.
        balance: String,
    },
    /// Moves an amount.
    Payment {
        /// To whom.
        to: String,
        /// How much.
        amount: String,
    },
    /// Sets a data entry of the source account.
    SetData {
        /// Key.
        key: Bytes,
        /// Value.
        value: Bytes,
    },
    /// Deletes a data entry of the source account.
    DeleteData {
        /// Key.
        key: Bytes,
    },
    /// Replaces the signers of the source account.
    SetSigners {
        /// The signers.
        signers: Vec<Signer>,
        /// The weight that must sign.
        threshold: u32,
    },
}

/// One signer of an account.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Signer {
    /// Its key.
    pub key: String,
    /// What it counts.
    pub weight: u32,
}

/// Bytes, as hex, and as text where they are printable UTF-8.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Bytes {
    /// Lower-case hex.
    pub hex: String,
    /// The same as text, if it is UTF-8 without control characters.
    pub text: Option<String>,
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
        Self { hex: hex::encode(bytes), text: text.map(str::to_owned) }
    }
}

/// `GET /v1/accounts/{account}`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Account {
    /// The account.
    pub account: String,
    /// What it holds.
    pub balance: String,
    /// The last sequence number used.
    pub sequence: u64,
    /// The one the next transaction must have.
    pub next_sequence: u64,
    /// Its signers.
    pub signers: Vec<Signer>,
    /// The weight that must sign.
    pub threshold: u32,
    /// The keys of its data entries, at most 200 of them.
    pub data: Vec<Bytes>,
}

/// `GET /v1/accounts/{account}/data`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DataKeys {
    /// The account.
    pub account: String,
    /// The keys of its data entries, ascending.
    pub keys: Vec<Bytes>,
}

/// `GET /v1/accounts/{account}/data/{key}`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DataEntry {
    /// The account.
    pub account: String,
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

/// `GET /v1/quorum`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Quorum {
    /// This node.
    pub node: String,
    /// Whom it needs to hear from.
    pub quorum_set: QuorumSetTree,
    /// The hash of that set.
    pub quorum_set_hash: String,
    /// Every node it knows of.
    pub nodes: Vec<QuorumNode>,
    /// How many more nodes must fail before this one halts; 0: it has halted; `null`: it needs nobody else.
    pub fail_at: Option<u64>,
    /// A smallest choice of such nodes.
    #[serde(default)]
    pub fail_with: Vec<NamedNode>,
}

/// A quorum set as a tree.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct QuorumSetTree {
    /// How many members are needed.
    pub threshold: u32,
    /// Nodes at this level.
    pub validators: Vec<String>,
    /// Sets at this level.
    pub inner_sets: Vec<QuorumSetTree>,
}

impl From<&QuorumSet> for QuorumSetTree {
    fn from(set: &QuorumSet) -> Self {
        Self {
            threshold: set.threshold(),
            validators: set.validators().iter().copied().map(node_strkey).collect(),
            inner_sets: set.inner_sets().iter().map(Self::from).collect(),
        }
    }
}

/// What is known about one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct QuorumNode {
    /// The node.
    pub node: String,
    /// Its name.
    pub name: Option<String>,
    /// Its home domain.
    pub organization: Option<String>,
    /// `agree`, `delayed`, `disagree` or `missing`.
    pub state: String,
    /// The highest slot it was heard in.
    pub last_slot: Option<u64>,
    /// Steps of trust from this node: 0 itself, 1 its own set, 2 their sets.
    pub distance: u32,
    /// Its quorum set, where known.
    pub quorum_set: Option<QuorumSetTree>,
}

/// `GET /v1/quorum?transitive=true`: the form stellar-core's `quorum?transitive=true&fullkeys=true` has and its
/// `check-quorum-intersection` reads.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TransitiveQuorum {
    /// This node and everybody reached from it by quorum sets, nearest first.
    pub nodes: Vec<TransitiveNode>,
    /// Nodes that have said nothing lately.
    pub maybe_dead_nodes: Vec<String>,
}

/// One node of the transitive quorum.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TransitiveNode {
    /// The node's public key.
    pub node: String,
    /// Its name here. Ours: stellar-core does not have it.
    pub name: Option<String>,
    /// Its home domain. Ours, too.
    pub organization: Option<String>,
    /// Steps of trust: 0 is this node.
    pub distance: u32,
    /// Its quorum set; `null` while unknown.
    pub qset: Option<QuorumSetText>,
    /// `tracking`, `behind`, `missing` or `unknown` (its quorum set is not known). A node that speaks of a slot after
    /// the open one is `ahead`.
    pub status: String,
    /// The highest slot it was heard in.
    pub heard: Option<u64>,
    /// Does it work on the same value as this node? `null` where that is not known.
    pub agrees: Option<bool>,
}

/// A quorum set in the text form of stellar-core: threshold, and validators followed by inner sets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct QuorumSetText {
    /// How many members are needed.
    pub t: u32,
    /// The members.
    pub v: Vec<QuorumMember>,
}

/// A member of a quorum set: a key, or a set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum QuorumMember {
    /// A node's public key.
    Validator(String),
    /// A set.
    Set(QuorumSetText),
}

impl From<&QuorumSet> for QuorumSetText {
    fn from(set: &QuorumSet) -> Self {
        let validators = set.validators().iter().map(|node| QuorumMember::Validator(node_strkey(*node)));
        let inner = set.inner_sets().iter().map(|set| QuorumMember::Set(Self::from(set)));
        Self { t: set.threshold(), v: validators.chain(inner).collect() }
    }
}

/// The one form of every error.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ErrorDetail {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}
