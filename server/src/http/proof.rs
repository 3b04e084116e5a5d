//! What proves a ledger, in the API's shapes.

use crate::http::dto;
use crate::http::slots::statement;
use crate::ledger::Header;
use crate::wire::{SignedStatement, encode_quorum_set, statement_bytes};
use fba_core::{QuorumSet, Value};

/// The proof of the ledger with this header, whose slot decided `value`.
#[must_use]
pub fn proof(header: &Header, value: &Value, statements: &[SignedStatement], sets: &[QuorumSet]) -> dto::Proof {
    dto::Proof {
        sequence: header.sequence,
        hash: header.hash().to_string(),
        header: hex::encode(header.to_bytes()),
        value: hex::encode(value.as_bytes()),
        statements: statements.iter().map(signed).collect(),
        quorum_sets: sets.iter().map(quorum_set).collect(),
    }
}

fn signed(signed: &SignedStatement) -> dto::ProofStatement {
    dto::ProofStatement {
        bytes: hex::encode(statement_bytes(&signed.statement)),
        signature: hex::encode(signed.signature.0.as_slice()),
        statement: statement(&signed.statement),
    }
}

fn quorum_set(set: &QuorumSet) -> dto::ProofQuorumSet {
    dto::ProofQuorumSet {
        hash: set.hash().to_string(),
        bytes: hex::encode(encode_quorum_set(set)),
        quorum_set: dto::QuorumSetTree::from(set),
    }
}
