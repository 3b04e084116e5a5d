//! Transactions: what an account signs, byte for byte.
//!
//! A transaction travels as the canonical CBOR map `{body: bytes, signatures: [[key, signature], …]}`; `body` is the
//! canonical CBOR of [`Transaction`]. What is signed is network id ‖ `fba:txn\0` ‖ body ([`signed_bytes`]), and the
//! SHA-256 of exactly that is the transaction's hash: signatures are not part of it, so adding one does not make
//! another transaction, and the same body has another hash on another network.

use super::account::{AccountId, Amount, SIGNERS_MAX};
use super::operation::Operation;
use crate::cbor::{self, CborError};
use crate::key::{Domain, NetworkId, SecretKey, Signature, Signatures, sha256, signed_bytes};
use fba_core::Hash;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Longest memo, in bytes.
pub const MEMO_MAX: usize = 64;
/// Most operations in one transaction.
pub const OPERATIONS_MAX: usize = 100;
/// Longest signed transaction, in bytes: sixteen full data entries, and a small part of a transaction set.
pub const TRANSACTION_BYTES_MAX: usize = 72 * 1024;
/// Most CBOR items in a body: 100 operations that replace 20 signers each.
const BODY_ITEMS_MAX: usize = 8_000;
/// Most CBOR items around the body: twenty signatures of three items each, and the map.
const ENVELOPE_ITEMS_MAX: usize = 80;

/// An ordered list of operations on behalf of one account: all of them happen, or none.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Whose account acts, pays and numbers.
    pub source: AccountId,
    /// The source account's last sequence number plus one. Used up even if the transaction fails.
    pub sequence: u64,
    /// What the source pays to have it closed, at least `base_fee` per operation. Charged even if it fails.
    pub fee: Amount,
    /// Not valid in a ledger that closes before this, in milliseconds since the epoch.
    pub valid_after_ms: Option<u64>,
    /// Not valid in a ledger that closes after this, in milliseconds since the epoch.
    pub valid_before_ms: Option<u64>,
    /// Up to 64 bytes that mean something to the sender or the receiver.
    #[serde(with = "serde_bytes")]
    pub memo: Vec<u8>,
    /// 1–100 operations.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// A transaction without fee, time window and memo.
    #[must_use]
    pub fn new(source: AccountId, sequence: u64, operations: Vec<Operation>) -> Self {
        Self { source, sequence, fee: 0, valid_after_ms: None, valid_before_ms: None, memo: Vec::new(), operations }
    }

    /// Everything about the transaction that can be judged without the ledger.
    ///
    /// # Errors
    /// [`TransactionError`], naming the rule.
    pub fn check(&self) -> Result<(), TransactionError> {
        let (memo, operations) = (self.memo.len(), self.operations.len());
        if memo > MEMO_MAX {
            return Err(TransactionError::Memo { found: memo });
        }
        if !(1..=OPERATIONS_MAX).contains(&operations) {
            return Err(TransactionError::OperationCount { found: operations });
        }
        if let (Some(after_ms), Some(before_ms)) = (self.valid_after_ms, self.valid_before_ms)
            && after_ms > before_ms
        {
            return Err(TransactionError::EmptyWindow { after_ms, before_ms });
        }
        self.operations.iter().enumerate().try_for_each(|(at, operation)| operation.check(at))
    }
}

/// Why bytes are not a transaction, whatever the ledger holds.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// Not the canonical CBOR of a transaction.
    #[error("not a transaction: {0}")]
    Encoding(#[from] CborError),
    /// Too long.
    #[error("the transaction has {found} bytes; {TRANSACTION_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// No or too many signatures.
    #[error("the transaction has {found} signatures; there must be 1 to {SIGNERS_MAX}")]
    SignatureCount {
        /// How many.
        found: usize,
    },
    /// Signatures out of order.
    #[error("the signatures must be sorted by key, no key twice")]
    SignatureOrder,
    /// Memo too long.
    #[error("the memo has {found} bytes; {MEMO_MAX} are allowed")]
    Memo {
        /// Its length in bytes.
        found: usize,
    },
    /// No or too many operations.
    #[error("the transaction has {found} operations; there must be 1 to {OPERATIONS_MAX}")]
    OperationCount {
        /// How many.
        found: usize,
    },
    /// A time window without a moment in it.
    #[error("valid after {after_ms} ms and before {before_ms} ms: the window is empty")]
    EmptyWindow {
        /// Its begin.
        after_ms: u64,
        /// Its end.
        before_ms: u64,
    },
    /// Nothing is moved.
    #[error("operation {operation} moves nothing: the amount must be at least 1")]
    ZeroAmount {
        /// Its place, from 0.
        operation: usize,
    },
    /// A data entry's name is empty or too long.
    #[error("operation {operation}: the key has {found} bytes; a data entry's key has 1 to 64")]
    DataKey {
        /// Its place, from 0.
        operation: usize,
        /// The key's length in bytes.
        found: usize,
    },
    /// A data entry's value is too long.
    #[error("operation {operation}: the value has {found} bytes; a data entry holds at most 4096")]
    DataValue {
        /// Its place, from 0.
        operation: usize,
        /// The value's length in bytes.
        found: usize,
    },
    /// Signers that cannot be.
    #[error("operation {operation}: {rule}")]
    Signers {
        /// Its place, from 0.
        operation: usize,
        /// The rule that is broken.
        rule: &'static str,
    },
}

/// How a signed transaction is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    body: serde_bytes::ByteBuf,
    signatures: Vec<(AccountId, Signature)>,
}

/// A transaction with signatures, well-formed. The signatures are *not* known to be genuine: see [`VerifiedTx`].
#[derive(Clone, Eq, PartialEq)]
pub struct SignedTransaction {
    bytes: Vec<u8>,
    body: Vec<u8>,
    transaction: Transaction,
    signatures: Vec<(AccountId, Signature)>,
    hash: Hash,
}

impl SignedTransaction {
    /// Reads the bytes `POST /v1/transactions` carries. Checks their form and every bound, no signature.
    ///
    /// # Errors
    /// [`TransactionError`], naming the rule.
    pub fn from_bytes(network: NetworkId, bytes: &[u8]) -> Result<Self, TransactionError> {
        if bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(TransactionError::TooLong { found: bytes.len() });
        }
        let envelope: Envelope = cbor::decode(bytes, ENVELOPE_ITEMS_MAX)?;
        check_signatures(&envelope.signatures)?;
        let body = envelope.body.into_vec();
        let transaction: Transaction = cbor::decode(&body, BODY_ITEMS_MAX)?;
        transaction.check()?;
        let hash = hash_of(network, &body);
        Ok(Self { bytes: bytes.to_vec(), body, transaction, signatures: envelope.signatures, hash })
    }

    /// Puts signatures made elsewhere beside what they sign. Sorts them.
    ///
    /// # Errors
    /// [`TransactionError`], naming the rule.
    pub fn assemble(
        network: NetworkId,
        transaction: Transaction,
        mut signatures: Vec<(AccountId, Signature)>,
    ) -> Result<Self, TransactionError> {
        transaction.check()?;
        signatures.sort_unstable_by_key(|(key, _)| *key);
        check_signatures(&signatures)?;
        let body = cbor::encode(&transaction);
        let envelope = Envelope { body: serde_bytes::ByteBuf::from(body.clone()), signatures };
        let bytes = cbor::encode(&envelope);
        if bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(TransactionError::TooLong { found: bytes.len() });
        }
        let hash = hash_of(network, &body);
        Ok(Self { bytes, body, transaction, signatures: envelope.signatures, hash })
    }

    /// Signs `transaction` with every key of `signers`.
    ///
    /// # Errors
    /// [`TransactionError`], naming the rule.
    pub fn build(
        network: NetworkId,
        transaction: Transaction,
        signers: &[&SecretKey],
    ) -> Result<Self, TransactionError> {
        let body = cbor::encode(&transaction);
        let sign = |key: &&SecretKey| (AccountId::of(key), key.sign(network, Domain::Transaction, &body));
        let signatures = signers.iter().map(sign).collect();
        Self::assemble(network, transaction, signatures)
    }

    /// A signed payment from the account of `key`, without fee.
    ///
    /// # Errors
    /// [`TransactionError::ZeroAmount`].
    pub fn payment(
        network: NetworkId,
        key: &SecretKey,
        sequence: u64,
        to: AccountId,
        amount: Amount,
    ) -> Result<Self, TransactionError> {
        let operations = vec![Operation::Payment { to, amount }];
        Self::build(network, Transaction::new(AccountId::of(key), sequence, operations), &[key])
    }

    /// A signed transaction that opens `account` with money from the account of `key`, without fee.
    ///
    /// # Errors
    /// [`TransactionError::ZeroAmount`].
    pub fn create_account(
        network: NetworkId,
        key: &SecretKey,
        sequence: u64,
        account: AccountId,
        balance: Amount,
    ) -> Result<Self, TransactionError> {
        let operations = vec![Operation::CreateAccount { account, balance }];
        Self::build(network, Transaction::new(AccountId::of(key), sequence, operations), &[key])
    }

    /// The whole signed thing, as it travels and is stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical bytes of the transaction alone: what signatures cover.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What is signed.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Who signed, sorted by key.
    #[must_use]
    pub fn signatures(&self) -> &[(AccountId, Signature)] {
        &self.signatures
    }

    /// SHA-256 of what is signed; the transaction's name.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The account that acts.
    #[must_use]
    pub fn source(&self) -> AccountId {
        self.transaction.source
    }

    /// Is every signature genuine? Says nothing about whether they suffice.
    #[must_use]
    pub fn signatures_valid(&self, signatures: &dyn Signatures) -> bool {
        let genuine = |(key, signature): &(AccountId, Signature)| {
            signatures.verify(&key.0, Domain::Transaction, &self.body, signature)
        };
        self.signatures.iter().all(genuine)
    }
}

impl fmt::Debug for SignedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transaction {:?} of {:?} #{}", self.hash, self.source(), self.transaction.sequence)
    }
}

fn hash_of(network: NetworkId, body: &[u8]) -> Hash {
    sha256(&[&signed_bytes(network, Domain::Transaction, body)])
}

fn check_signatures(signatures: &[(AccountId, Signature)]) -> Result<(), TransactionError> {
    let found = signatures.len();
    if !(1..=SIGNERS_MAX).contains(&found) {
        return Err(TransactionError::SignatureCount { found });
    }
    if !signatures.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Err(TransactionError::SignatureOrder);
    }
    Ok(())
}

/// A transaction whose every signature has been checked and is genuine. Can be made in no other way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedTx(Arc<SignedTransaction>);

impl VerifiedTx {
    /// Checks every signature; `None` if one is not genuine.
    #[must_use]
    pub fn verify(transaction: Arc<SignedTransaction>, signatures: &dyn Signatures) -> Option<Self> {
        transaction.signatures_valid(signatures).then_some(Self(transaction))
    }

    /// One of a [`super::VerifiedTxSet`].
    pub(super) fn of_verified_set(transaction: Arc<SignedTransaction>) -> Self {
        Self(transaction)
    }

    /// The transaction, to share.
    #[must_use]
    pub fn shared(&self) -> &Arc<SignedTransaction> {
        &self.0
    }
}

impl std::ops::Deref for VerifiedTx {
    type Target = SignedTransaction;

    fn deref(&self) -> &SignedTransaction {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{id, key, network, signer};
    use super::*;

    fn pay(sequence: u64) -> Transaction {
        Transaction::new(id(1), sequence, vec![Operation::Payment { to: id(2), amount: 300 }])
    }

    fn signed() -> SignedTransaction {
        let transaction =
            Transaction { fee: 100, memo: b"lunch".to_vec(), valid_before_ms: Some(1_767_225_600_000), ..pay(7) };
        SignedTransaction::build(network(), transaction, &[&key(1)]).unwrap()
    }

    #[test]
    fn the_bytes_of_a_transaction_are_frozen() {
        let signed = signed();
        assert_eq!(hex::encode(signed.body()), include_str!("vectors/transaction_body.hex").trim());
        assert_eq!(hex::encode(signed.bytes()), include_str!("vectors/transaction.hex").trim());
        assert_eq!(signed.hash().to_string(), include_str!("vectors/transaction_hash.hex").trim());
    }

    #[test]
    fn a_transaction_reads_back_and_its_hash_is_its_networks() {
        let signed = signed();
        assert_eq!(SignedTransaction::from_bytes(network(), signed.bytes()), Ok(signed.clone()));
        let elsewhere = SignedTransaction::from_bytes(NetworkId::of_passphrase("other"), signed.bytes()).unwrap();
        assert_ne!(elsewhere.hash(), signed.hash());
    }

    #[test]
    fn a_signature_covers_every_byte_of_the_body() {
        let good = signed();
        assert!(good.signatures_valid(&signer()));
        assert!(VerifiedTx::verify(Arc::new(good.clone()), &signer()).is_some());
        let other = Transaction { memo: b"Lunch".to_vec(), ..good.transaction().clone() };
        let forged = SignedTransaction::assemble(network(), other, good.signatures().to_vec()).unwrap();
        assert!(VerifiedTx::verify(Arc::new(forged), &signer()).is_none());
    }

    #[test]
    fn another_signature_does_not_make_another_transaction() {
        let (one, two) = (SignedTransaction::build(network(), pay(1), &[&key(1)]).unwrap(), [&key(2), &key(1)]);
        let both = SignedTransaction::build(network(), pay(1), &two).unwrap();
        assert_eq!(one.hash(), both.hash());
        assert_ne!(one.bytes(), both.bytes());
        assert!(both.signatures().is_sorted_by_key(|(key, _)| *key));
    }

    #[test]
    fn what_breaks_a_rule_of_form_is_refused_by_that_rule() {
        let with = |operation: Operation| Transaction { operations: vec![operation], ..pay(1) };
        let signers = |signers: Vec<(AccountId, u32)>, threshold| with(Operation::SetSigners { signers, threshold });
        let (low, high) = if id(1) < id(2) { (id(1), id(2)) } else { (id(2), id(1)) };
        let many = Operation::Payment { to: id(2), amount: 1 };
        let cases: [(Transaction, &str); 14] = [
            (Transaction { operations: vec![], ..pay(1) }, "0 operations"),
            (Transaction { operations: vec![many; 101], ..pay(1) }, "101 operations"),
            (Transaction { memo: vec![0; 65], ..pay(1) }, "memo has 65"),
            (Transaction { valid_after_ms: Some(2), valid_before_ms: Some(1), ..pay(1) }, "window is empty"),
            (with(Operation::Payment { to: id(2), amount: 0 }), "moves nothing"),
            (with(Operation::CreateAccount { account: id(2), balance: 0 }), "moves nothing"),
            (with(Operation::SetData { key: vec![], value: vec![] }), "key has 0"),
            (with(Operation::SetData { key: vec![0; 65], value: vec![] }), "key has 65"),
            (with(Operation::SetData { key: vec![0], value: vec![0; 4097] }), "value has 4097"),
            (with(Operation::DeleteData { key: vec![] }), "key has 0"),
            (signers(vec![], 1), "1 to 20 signers"),
            (signers(vec![(high, 1), (low, 1)], 1), "sorted by key"),
            (signers(vec![(low, 0)], 1), "weight must be at least 1"),
            (signers(vec![(low, 1), (high, 1)], 3), "locked for ever"),
        ];
        for (transaction, rule) in cases {
            let refused = SignedTransaction::build(network(), transaction, &[&key(1)]).unwrap_err().to_string();
            assert!(refused.contains(rule), "{refused} should say {rule}");
        }
    }

    #[test]
    fn signatures_are_bounded_sorted_and_single() {
        let (count, order) = (|found| TransactionError::SignatureCount { found }, TransactionError::SignatureOrder);
        let build = |signers: &[&SecretKey]| SignedTransaction::build(network(), pay(1), signers).unwrap_err();
        assert_eq!(build(&[]), count(0));
        let keys: Vec<SecretKey> = (0..21).map(key).collect();
        assert_eq!(build(&keys.iter().collect::<Vec<_>>()), count(21));
        assert_eq!(build(&[&key(1), &key(1)]), order);
        let good = SignedTransaction::build(network(), pay(1), &[&key(1), &key(2)]).unwrap();
        let mut signatures = good.signatures().to_vec();
        signatures.reverse();
        let bytes = cbor::encode(&Envelope { body: serde_bytes::ByteBuf::from(good.body()), signatures });
        assert_eq!(SignedTransaction::from_bytes(network(), &bytes), Err(order));
    }

    #[test]
    fn a_transaction_beyond_the_byte_limit_is_refused_both_ways() {
        let data = |n: u8| Operation::SetData { key: vec![n], value: vec![0; 4096] };
        let transaction = |n| Transaction { operations: (0..n).map(data).collect(), ..pay(1) };
        assert!(SignedTransaction::build(network(), transaction(16), &[&key(1)]).is_ok());
        let found = SignedTransaction::build(network(), transaction(18), &[&key(1)]);
        assert!(matches!(found, Err(TransactionError::TooLong { found: 73_000.. })));
        let long = vec![0; TRANSACTION_BYTES_MAX + 1];
        assert!(matches!(SignedTransaction::from_bytes(network(), &long), Err(TransactionError::TooLong { .. })));
    }
}
