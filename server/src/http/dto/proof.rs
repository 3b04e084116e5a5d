//! `GET /v1/ledgers/{ledger}/proof`

use super::{QuorumSetTree, Statement};
use serde::{Deserialize, Serialize};

/// Why a ledger's value is what it is, for anybody to check again. docs/http.md says how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LedgerProof {
    /// SHA-256 of the network passphrase: part of what is signed.
    pub network: String,
    /// The node whose quorum set the statements satisfy, unless there are none.
    pub node: String,
    /// The rest.
    #[serde(flatten)]
    pub proof: Proof,
}

/// What is stored of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Proof {
    /// The ledger; also the slot the statements are about.
    pub sequence: u64,
    /// Header hash.
    pub hash: String,
    /// The canonical bytes of the header, in hex; SHA-256 of them is `hash`.
    pub header: String,
    /// The value the slot decided, in hex; SHA-256 of it is the header's field `value`.
    pub value: String,
    /// CONFIRM and EXTERNALIZE statements of a quorum. Empty for genesis, and for a ledger that was fetched in
    /// catch-up: it is proven by a later one, through the header chain.
    pub statements: Vec<ProofStatement>,
    /// Every quorum set the statements name.
    pub quorum_sets: Vec<ProofQuorumSet>,
}

/// One statement with what its signature covers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProofStatement {
    /// The canonical bytes of the statement, in hex: the signature covers network id, `fba:stmt` and these.
    pub bytes: String,
    /// The ed25519 signature, in hex.
    pub signature: String,
    /// What the bytes say.
    pub statement: Statement,
}

/// One quorum set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProofQuorumSet {
    /// Its hash, as statements name it.
    pub hash: String,
    /// Its canonical bytes, in hex.
    pub bytes: String,
    /// What the bytes say.
    pub quorum_set: QuorumSetTree,
}
