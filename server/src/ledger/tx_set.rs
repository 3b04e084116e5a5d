//! Transaction sets: what one ledger applies, and in which order.
//!
//! A set is written as the canonical CBOR map `{previous: bytes, transactions: [bytes, …]}`, transactions sorted by
//! hash, and named by the SHA-256 of that. They are *applied* in the order of SHA-256(set hash ‖ transaction hash),
//! except that each account's own transactions share the places they won in the order of their sequence numbers. The
//! set's name is over the list sorted by hash, so nothing is circular.
//!
//! What a proposer can still grind: it chooses which transactions are in its set, so it can try variants (leave one
//! out, add one of its own with another memo) until an order suits it, at one hash per transaction and try; and it
//! sees the others' transactions first. It cannot choose the order freely, and not after the set is named.

use super::account::AccountId;
use super::encoding;
use super::transaction::{SignedTransaction, TransactionError, VerifiedTx};
use crate::cbor::{self, CborError};
use crate::key::{NetworkId, Signatures, sha256};
use fba_core::Hash;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, VecDeque};
use std::{fmt, sync::Arc};

/// Longest canonical form of a set: with header and value around it, it still fits a frame of 4 MiB.
pub const TX_SET_BYTES_MAX: usize = (4 << 20) - (16 << 10);
/// Most transactions in any set, whatever the parameters say: none is shorter than 200 bytes.
pub const TX_SET_COUNT_MAX: usize = 20_000;

/// Why bytes, or a list of transactions, are not a transaction set.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TxSetError {
    /// Not the canonical CBOR of a set.
    #[error("not a transaction set: {0}")]
    Encoding(#[from] CborError),
    /// Too long.
    #[error("the transaction set has {found} bytes; {TX_SET_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// Out of order, or one twice.
    #[error("transaction {index} of the set is out of order: they must be sorted by hash, none twice")]
    Order {
        /// The place of the second of the two, from 0.
        index: usize,
    },
    /// One of them is not a transaction.
    #[error("transaction {index} of the set: {error}")]
    Transaction {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        error: TransactionError,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    #[serde(with = "encoding::hash")]
    previous: Hash,
    transactions: Vec<ByteBuf>,
}

#[derive(Serialize)]
struct Encoding<'a> {
    #[serde(with = "encoding::hash")]
    previous: Hash,
    transactions: Vec<&'a serde_bytes::Bytes>,
}

/// The transactions of one ledger, in canonical order (by hash). Cheap to clone.
#[derive(Clone)]
pub struct TxSet {
    previous: Hash,
    transactions: Vec<Arc<SignedTransaction>>,
    hash: Hash,
}

impl TxSet {
    /// A set on top of the ledger whose header hash is `previous`. Sorts, and drops doubles.
    ///
    /// # Panics
    /// If there are more than [`TX_SET_COUNT_MAX`] or more bytes than [`TX_SET_BYTES_MAX`]: the caller chose them.
    #[must_use]
    pub fn new(previous: Hash, mut transactions: Vec<Arc<SignedTransaction>>) -> Self {
        transactions.sort_unstable_by_key(|transaction| transaction.hash());
        transactions.dedup_by_key(|transaction| transaction.hash());
        assert!(transactions.len() <= TX_SET_COUNT_MAX, "the caller bounds the number of transactions");
        let bytes = encode(previous, &transactions);
        assert!(bytes.len() <= TX_SET_BYTES_MAX, "the caller bounds the bytes of the transactions");
        Self { previous, transactions, hash: sha256(&[&bytes]) }
    }

    /// The set without transactions on top of `previous`.
    #[must_use]
    pub fn empty(previous: Hash) -> Self {
        Self::new(previous, Vec::new())
    }

    /// Reads a set of this network. Checks form, order and bounds of it and of every transaction; no signature.
    ///
    /// # Errors
    /// [`TxSetError`], naming the transaction and the rule.
    pub fn from_bytes(network: NetworkId, bytes: &[u8]) -> Result<Self, TxSetError> {
        if bytes.len() > TX_SET_BYTES_MAX {
            return Err(TxSetError::TooLong { found: bytes.len() });
        }
        // The map, its two keys, the hash, the array, and then one item per transaction: this bounds their number.
        let Encoded { previous, transactions } = cbor::decode(bytes, TX_SET_COUNT_MAX + 5)?;
        let read = |(index, bytes): (usize, ByteBuf)| {
            let transaction = SignedTransaction::from_bytes(network, &bytes);
            transaction.map(Arc::new).map_err(|error| TxSetError::Transaction { index, error })
        };
        let transactions = transactions.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut pairs = transactions.iter().zip(transactions.iter().skip(1));
        if let Some(at) = pairs.position(|(one, next)| one.hash() >= next.hash()) {
            return Err(TxSetError::Order { index: at + 1 });
        }
        Ok(Self { previous, transactions, hash: sha256(&[bytes]) })
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self.previous, &self.transactions)
    }

    /// SHA-256 of the canonical bytes: the set's name.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The header hash of the ledger it builds on.
    #[must_use]
    pub fn previous(&self) -> Hash {
        self.previous
    }

    /// The transactions, sorted by hash.
    #[must_use]
    pub fn transactions(&self) -> &[Arc<SignedTransaction>] {
        &self.transactions
    }

    /// How many transactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// No transactions?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// How many bytes all signed transactions have together: what `tx_bytes_max` bounds.
    #[must_use]
    pub fn transaction_bytes(&self) -> usize {
        self.transactions.iter().map(|transaction| transaction.bytes().len()).sum()
    }

    /// How many operations all transactions have together.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.transactions.iter().map(|transaction| transaction.transaction().operations.len()).sum()
    }

    /// The fees all transactions offer together.
    #[must_use]
    pub fn fees(&self) -> u128 {
        self.transactions.iter().map(|transaction| u128::from(transaction.transaction().fee)).sum()
    }

    /// The transactions in the order in which they are applied.
    #[must_use]
    pub fn apply_order(&self) -> Vec<Arc<SignedTransaction>> {
        let place = |transaction: &Arc<SignedTransaction>| sha256(&[&self.hash.0, &transaction.hash().0]);
        let mut places: Vec<(Hash, AccountId)> =
            self.transactions.iter().map(|transaction| (place(transaction), transaction.source())).collect();
        places.sort_unstable();
        let mut by_account: BTreeMap<AccountId, VecDeque<&Arc<SignedTransaction>>> = BTreeMap::new();
        let mut by_sequence: Vec<_> = self.transactions.iter().collect();
        by_sequence.sort_by_key(|transaction| transaction.transaction().sequence);
        for transaction in by_sequence {
            by_account.entry(transaction.source()).or_default().push_back(transaction);
        }
        let next = |(_, account): &(Hash, AccountId)| by_account.get_mut(account)?.pop_front().cloned();
        places.iter().filter_map(next).collect()
    }
}

impl PartialEq for TxSet {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for TxSet {}

impl fmt::Debug for TxSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TxSet {:?} of {} on {:?}", self.hash, self.len(), self.previous)
    }
}

fn encode(previous: Hash, transactions: &[Arc<SignedTransaction>]) -> Vec<u8> {
    let transactions = transactions.iter().map(|transaction| serde_bytes::Bytes::new(transaction.bytes())).collect();
    cbor::encode(&Encoding { previous, transactions })
}

/// A set in which every signature is known to be genuine, or vouched for by a quorum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedTxSet(Arc<TxSet>);

impl VerifiedTxSet {
    /// A set of transactions that were checked one by one.
    ///
    /// # Panics
    /// As [`TxSet::new`].
    #[must_use]
    pub fn new(previous: Hash, transactions: impl IntoIterator<Item = VerifiedTx>) -> Self {
        let transactions = transactions.into_iter().map(|transaction| Arc::clone(transaction.shared())).collect();
        Self(Arc::new(TxSet::new(previous, transactions)))
    }

    /// Checks every signature, except of transactions that are `known`. `known` must say yes only to a transaction
    /// whose *bytes* equal those of a [`VerifiedTx`]: the hash does not cover signatures, so an equal hash is not enough.
    ///
    /// # Errors
    /// The index of the first transaction with a signature that is not genuine.
    pub fn verify(
        set: Arc<TxSet>,
        signatures: &dyn Signatures,
        known: impl Fn(&SignedTransaction) -> bool,
    ) -> Result<Self, usize> {
        let forged =
            |transaction: &Arc<SignedTransaction>| !known(transaction) && !transaction.signatures_valid(signatures);
        match set.transactions.iter().position(forged) {
            Some(index) => Err(index),
            None => Ok(Self(set)),
        }
    }

    /// What a quorum of liars would close.
    #[cfg(test)]
    pub(crate) fn unchecked(set: Arc<TxSet>) -> Self {
        Self(set)
    }

    /// `transaction` as verified, if it is in the set with exactly these bytes.
    #[must_use]
    pub fn verified(&self, transaction: &SignedTransaction) -> Option<VerifiedTx> {
        let transactions = self.0.transactions();
        let place = transactions.binary_search_by_key(&transaction.hash(), |one| one.hash()).ok()?;
        let same = transactions.get(place).filter(|one| one.bytes() == transaction.bytes())?;
        Some(VerifiedTx::of_verified_set(Arc::clone(same)))
    }

    /// The set, to share.
    #[must_use]
    pub fn shared(&self) -> &Arc<TxSet> {
        &self.0
    }
}

impl std::ops::Deref for VerifiedTxSet {
    type Target = TxSet;

    fn deref(&self) -> &TxSet {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{id, key, network, signer};
    use super::*;

    fn transaction(account: u8, sequence: u64) -> Arc<SignedTransaction> {
        Arc::new(SignedTransaction::payment(network(), &key(account), sequence, id(9), 1).unwrap())
    }

    fn some() -> Vec<Arc<SignedTransaction>> {
        (1..6).flat_map(|account| (1..5).map(move |sequence| transaction(account, sequence))).collect()
    }

    #[test]
    fn a_set_is_the_same_whatever_order_it_was_made_in_and_reads_back() {
        let set = TxSet::new(Hash([7; 32]), some());
        let mut reversed = some();
        reversed.reverse();
        reversed.push(transaction(1, 1));
        assert_eq!(TxSet::new(Hash([7; 32]), reversed), set);
        let read = TxSet::from_bytes(network(), &set.to_bytes()).unwrap();
        assert_eq!((read.hash(), read.len(), read.previous()), (set.hash(), 20, Hash([7; 32])));
        assert_ne!(TxSet::new(Hash([8; 32]), some()).hash(), set.hash());
    }

    #[test]
    fn each_accounts_transactions_apply_in_sequence_and_the_rest_by_a_hash_of_the_set() {
        let set = TxSet::new(Hash::ZERO, some());
        let order = set.apply_order();
        assert_eq!(order.len(), 20);
        for account in 1..6 {
            let of = order.iter().filter(|transaction| transaction.source() == id(account));
            let sequences: Vec<u64> = of.map(|transaction| transaction.transaction().sequence).collect();
            assert_eq!(sequences, [1, 2, 3, 4]);
        }
        let accounts = |set: &TxSet| set.apply_order().iter().map(|one| one.source()).collect::<Vec<_>>();
        assert_ne!(accounts(&set), accounts(&TxSet::new(Hash([1; 32]), some())), "another set, another order");
    }

    #[test]
    fn a_set_out_of_order_or_with_a_double_is_refused() {
        let mut transactions = TxSet::new(Hash::ZERO, some()).transactions().to_vec();
        transactions.swap(3, 4);
        let order = |index| Err(TxSetError::Order { index });
        assert_eq!(TxSet::from_bytes(network(), &encode(Hash::ZERO, &transactions)), order(4));
        transactions.swap(3, 4);
        transactions.insert(8, Arc::clone(&transactions[7]));
        assert_eq!(TxSet::from_bytes(network(), &encode(Hash::ZERO, &transactions)), order(8));
        let encoded = Encoded { previous: Hash::ZERO, transactions: vec![ByteBuf::from([0])] };
        let refused = TxSet::from_bytes(network(), &cbor::encode(&encoded));
        assert!(matches!(refused, Err(TxSetError::Transaction { index: 0, .. })));
    }

    #[test]
    fn a_set_with_one_forged_signature_is_not_verified_unless_the_caller_vouches_for_that_transaction() {
        let good = transaction(1, 1);
        let mut signatures = good.signatures().to_vec();
        signatures[0].1 = transaction(1, 2).signatures()[0].1;
        let forged = SignedTransaction::assemble(network(), good.transaction().clone(), signatures).unwrap();
        let set = Arc::new(TxSet::new(Hash::ZERO, vec![Arc::new(forged)]));
        assert_eq!(VerifiedTxSet::verify(Arc::clone(&set), &signer(), |_| false), Err(0));
        assert_eq!(VerifiedTxSet::verify(Arc::clone(&set), &signer(), |one| one.bytes() == good.bytes()), Err(0));
        assert!(VerifiedTxSet::verify(set, &signer(), |_| true).is_ok());
        let honest = Arc::new(TxSet::new(Hash::ZERO, vec![good]));
        assert!(VerifiedTxSet::verify(honest, &signer(), |_| false).is_ok());
    }

    #[test]
    fn no_transaction_is_so_short_that_a_full_set_would_exceed_the_count() {
        assert!(transaction(1, 1).bytes().len() * TX_SET_COUNT_MAX > TX_SET_BYTES_MAX);
    }
}
