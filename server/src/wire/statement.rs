//! Statements and quorum sets as CBOR. The core knows no serde, so each has a mirror here.

use super::WireError;
use crate::cbor;
use crate::key::{Domain, Signature, Signatures, sha256};
use fba_core::{Ballot, Hash, NodeId, Pledge, QuorumSet, SlotIndex, Statement, Value};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteArray, ByteBuf};
use std::fmt;

/// CBOR items in one statement: room for about a thousand nominated values, and the frame limit ends it before that.
const STATEMENT_ITEMS_MAX: usize = 1_100;

/// CBOR items in one quorum set: 1000 validators, each at worst alone in a set of its own at the fourth level.
pub(super) const QUORUM_SET_ITEMS_MAX: usize = 32_000;

/// CBOR items around a signed statement: a map of two byte strings.
pub(super) const SIGNED_ITEMS_MAX: usize = 5;

/// A statement with its sender's signature over the canonical bytes of the statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedStatement {
    /// What is said.
    pub statement: Statement,
    /// By whom it is signed: always `statement.node`.
    pub signature: Signature,
}

impl SignedStatement {
    /// Signs `statement` with our own key.
    #[must_use]
    pub fn sign(statement: Statement, signatures: &dyn Signatures) -> Self {
        let signature = signatures.sign(Domain::Statement, &statement_bytes(&statement));
        Self { statement, signature }
    }

    /// Is the signature its sender's? Checked over the bytes that were received: a statement has one encoding, and
    /// [`decode_statement`] refuses all others.
    #[must_use]
    pub fn is_signed(&self, signatures: &dyn Signatures) -> bool {
        let bytes = statement_bytes(&self.statement);
        signatures.verify(&self.statement.node.0, Domain::Statement, &bytes, &self.signature)
    }

    /// An upper bound of the length of [`encode_statement`], without encoding it.
    #[must_use]
    pub fn bytes_at_most(&self) -> usize {
        /// Keys, hashes, slot, counters, signature and the names of the fields.
        const FRAME: usize = 512;
        /// The head of a value and the counter of its ballot.
        const PER_VALUE: usize = 64;
        self.statement.pledge.values().fold(FRAME, |sum, value| sum + value.as_bytes().len() + PER_VALUE)
    }

    /// SHA-256 of statement and signature: what duplicates are recognised by.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&[&statement_bytes(&self.statement), self.signature.0.as_slice()])
    }
}

/// The canonical bytes of a statement: what is signed, in [`Domain::Statement`].
#[must_use]
pub fn statement_bytes(statement: &Statement) -> Vec<u8> {
    cbor::encode(&StatementForm::from(statement))
}

/// The canonical bytes of a signed statement: `{statement: bytes, signature: bytes}`.
#[must_use]
pub fn encode_statement(signed: &SignedStatement) -> Vec<u8> {
    cbor::encode(&SignedForm::from(signed))
}

/// Reads what [`encode_statement`] wrote. Does not check the signature.
///
/// # Errors
/// [`WireError::Cbor`] for anything but the one canonical encoding.
pub fn decode_statement(bytes: &[u8]) -> Result<SignedStatement, WireError> {
    let what = "statement";
    let form: SignedForm = cbor::decode(bytes, SIGNED_ITEMS_MAX).map_err(|source| WireError::Cbor { what, source })?;
    let inner: StatementForm =
        cbor::decode(&form.statement, STATEMENT_ITEMS_MAX).map_err(|source| WireError::Cbor { what, source })?;
    Ok(SignedStatement { statement: inner.into(), signature: form.signature })
}

/// The canonical bytes of a quorum set, its members in their own order.
#[must_use]
pub fn encode_quorum_set(set: &QuorumSet) -> Vec<u8> {
    cbor::encode(&QuorumSetForm::from(set))
}

/// Reads what [`encode_quorum_set`] wrote, and checks every rule of a sane quorum set again.
///
/// # Errors
/// [`WireError::Cbor`] or [`WireError::QuorumSet`].
pub fn decode_quorum_set(bytes: &[u8]) -> Result<QuorumSet, WireError> {
    let form: QuorumSetForm =
        cbor::decode(bytes, QUORUM_SET_ITEMS_MAX).map_err(|source| WireError::Cbor { what: "quorum set", source })?;
    form.build().map_err(|error| WireError::QuorumSet(format!("{error:?}")))
}

/// A value as a byte string, without a copy on the way out.
struct ValueForm(Value);

impl Serialize for ValueForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for ValueForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = ValueForm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<ValueForm, E> {
                Ok(ValueForm(Value::new(bytes)))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SignedForm {
    statement: ByteBuf,
    signature: Signature,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StatementForm {
    node: ByteArray<32>,
    slot: u64,
    quorum_set: ByteArray<32>,
    pledge: PledgeForm,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BallotForm {
    counter: u32,
    value: ValueForm,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum PledgeForm {
    Nominate {
        voted: Vec<ValueForm>,
        accepted: Vec<ValueForm>,
    },
    Prepare {
        ballot: BallotForm,
        prepared: Option<BallotForm>,
        prepared_prime: Option<BallotForm>,
        commit: u32,
        high: u32,
    },
    Confirm {
        ballot: BallotForm,
        prepared: u32,
        commit: u32,
        high: u32,
    },
    Externalize {
        commit: BallotForm,
        high: u32,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct QuorumSetForm {
    threshold: u32,
    validators: Vec<ByteArray<32>>,
    inner_sets: Vec<QuorumSetForm>,
}

impl QuorumSetForm {
    // Recursion is bounded by `cbor::DEPTH_MAX`.
    fn build(self) -> Result<QuorumSet, fba_core::QuorumSetError> {
        let validators = self.validators.into_iter().map(|node| NodeId(node.into_array())).collect();
        let inner_sets = self.inner_sets.into_iter().map(Self::build).collect::<Result<_, _>>()?;
        QuorumSet::new(self.threshold, validators, inner_sets)
    }
}

impl From<&QuorumSet> for QuorumSetForm {
    fn from(set: &QuorumSet) -> Self {
        Self {
            threshold: set.threshold(),
            validators: set.validators().iter().map(|node| ByteArray::new(node.0)).collect(),
            inner_sets: set.inner_sets().iter().map(Self::from).collect(),
        }
    }
}

impl From<&SignedStatement> for SignedForm {
    fn from(signed: &SignedStatement) -> Self {
        Self { statement: ByteBuf::from(statement_bytes(&signed.statement)), signature: signed.signature }
    }
}

impl From<&Ballot> for BallotForm {
    fn from(ballot: &Ballot) -> Self {
        Self { counter: ballot.counter, value: ValueForm(ballot.value.clone()) }
    }
}

impl From<BallotForm> for Ballot {
    fn from(form: BallotForm) -> Self {
        Self { counter: form.counter, value: form.value.0 }
    }
}

fn forms(values: &[Value]) -> Vec<ValueForm> {
    values.iter().cloned().map(ValueForm).collect()
}

fn values(forms: Vec<ValueForm>) -> Vec<Value> {
    forms.into_iter().map(|form| form.0).collect()
}

impl From<&Pledge> for PledgeForm {
    fn from(pledge: &Pledge) -> Self {
        match pledge {
            Pledge::Nominate { voted, accepted } => Self::Nominate { voted: forms(voted), accepted: forms(accepted) },
            Pledge::Prepare { ballot, prepared, prepared_prime, commit, high } => Self::Prepare {
                ballot: ballot.into(),
                prepared: prepared.as_ref().map(Into::into),
                prepared_prime: prepared_prime.as_ref().map(Into::into),
                commit: *commit,
                high: *high,
            },
            Pledge::Confirm { ballot, prepared, commit, high } => {
                Self::Confirm { ballot: ballot.into(), prepared: *prepared, commit: *commit, high: *high }
            }
            Pledge::Externalize { commit, high } => Self::Externalize { commit: commit.into(), high: *high },
        }
    }
}

impl From<PledgeForm> for Pledge {
    fn from(form: PledgeForm) -> Self {
        match form {
            PledgeForm::Nominate { voted, accepted } => {
                Self::Nominate { voted: values(voted), accepted: values(accepted) }
            }
            PledgeForm::Prepare { ballot, prepared, prepared_prime, commit, high } => Self::Prepare {
                ballot: ballot.into(),
                prepared: prepared.map(Into::into),
                prepared_prime: prepared_prime.map(Into::into),
                commit,
                high,
            },
            PledgeForm::Confirm { ballot, prepared, commit, high } => {
                Self::Confirm { ballot: ballot.into(), prepared, commit, high }
            }
            PledgeForm::Externalize { commit, high } => Self::Externalize { commit: commit.into(), high },
        }
    }
}

impl From<&Statement> for StatementForm {
    fn from(statement: &Statement) -> Self {
        Self {
            node: ByteArray::new(statement.node.0),
            slot: statement.slot.0,
            quorum_set: ByteArray::new(statement.quorum_set.0),
            pledge: (&statement.pledge).into(),
        }
    }
}

impl From<StatementForm> for Statement {
    fn from(form: StatementForm) -> Self {
        Self {
            node: NodeId(form.node.into_array()),
            slot: SlotIndex(form.slot),
            quorum_set: Hash(form.quorum_set.into_array()),
            pledge: form.pledge.into(),
        }
    }
}
