//! Checks everything a store's ledgers claim, from what is stored alone: does each follow from the one before, is it
//! signed, does replaying it from genesis give the same, and did a quorum decide it?

use crate::key::{Ed25519, NetworkId, SecretKey};
use crate::ledger::{
    EntryError, Genesis, GenesisError, Ledger, LedgerEntry, LedgerValue, ReplayError, TxSet, merkle, value_hash,
};
use crate::proof::{self, Claim, Unproven};
use crate::store::{
    LedgerRow, Order, Proof, Reader, RestoredLedger, StoreError, TRANSACTIONS_PAGE_MAX, TransactionRow,
};
use fba_core::{Hash, QuorumSet, SlotIndex};
use rayon::prelude::*;
use serde::Serialize;

/// Ledgers read and checked at a time: enough for every core, little to hold in memory.
pub const PAGE: u64 = 256;

/// A ledger as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Itself.
    pub row: LedgerRow,
    /// Its transactions, as they were applied.
    pub transactions: Vec<TransactionRow>,
    /// What proves its value.
    pub proof: Option<Proof>,
}

/// Up to `count` (at most [`PAGE`]) stored ledgers from `from` on.
///
/// # Errors
/// [`StoreError`].
pub fn read(reader: &Reader, from: u64, count: u64) -> Result<Vec<Stored>, StoreError> {
    let rows = reader.ledgers(from, count.min(PAGE), Order::OldestFirst)?;
    rows.into_iter().map(|row| stored(reader, row)).collect()
}

fn stored(reader: &Reader, row: LedgerRow) -> Result<Stored, StoreError> {
    let sequence = row.header.sequence;
    let mut transactions = Vec::new();
    while (transactions.len() as u64) < row.transactions {
        let page = reader.transactions_of(sequence, transactions.len() as u64, TRANSACTIONS_PAGE_MAX)?;
        let page = page.unwrap_or_default();
        if page.is_empty() {
            break;
        }
        transactions.extend(page);
    }
    Ok(Stored { proof: reader.proof(sequence)?, row, transactions })
}

/// A ledger is not what it claims to be. Who holds such a ledger cannot rely on it, nor on any after it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// The genesis file describes no ledger.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Ledger 1 is another.
    #[error("ledger 1 has hash {found}, the genesis file gives {wanted}: it is of another network")]
    OtherGenesis {
        /// The stored hash.
        found: Hash,
        /// The hash of the first ledger by the genesis file.
        wanted: Hash,
    },
    /// There is no such ledger, though there is one before and one after.
    #[error("ledger {sequence} is missing")]
    Missing {
        /// Which.
        sequence: u64,
    },
    /// It names another header before it.
    #[error("ledger {sequence} names {named} as the header before it, which has hash {found}")]
    Chain {
        /// Which.
        sequence: u64,
        /// What it names.
        named: Hash,
        /// What there is.
        found: Hash,
    },
    /// Header, value and transactions do not belong together.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Something stored with the ledger is not what the header says.
    #[error("ledger {sequence}: {what} not what the header commits to")]
    Content {
        /// Which.
        sequence: u64,
        /// What, and a verb.
        what: &'static str,
    },
    /// A signature is not genuine.
    #[error("ledger {sequence}: the signature of {of} is not genuine")]
    Signature {
        /// Which.
        sequence: u64,
        /// On what.
        of: String,
    },
    /// Its proof is not in order.
    #[error("ledger {sequence}: its proof is none: {reason}")]
    Proof {
        /// Which.
        sequence: u64,
        /// Why.
        reason: Unproven,
    },
    /// Replayed, it gives something else.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Accounts and data are not those that replaying gives.
    #[error("the state stored after ledger {sequence} is not what replaying all ledgers gives: {reason}")]
    State {
        /// After which.
        sequence: u64,
        /// What differs.
        reason: String,
    },
}

/// What kept proofs showed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Proofs {
    /// A quorum that satisfies the given quorum set decided the value.
    pub hold: u64,
    /// All statements are genuine, but they are no quorum for the given quorum set.
    pub not_by_this_quorum_set: u64,
    /// The first ledger of those.
    pub first_not_by_this_quorum_set: Option<u64>,
    /// The last.
    pub last_not_by_this_quorum_set: Option<u64>,
    /// All statements are genuine; no quorum set was given to judge them by.
    pub genuine: u64,
    /// No proof of its own: fetched from peers, or not kept any more.
    pub none: u64,
    /// The newest ledger whose proof holds: the header chain proves every one before it too.
    pub newest: Option<u64>,
}

/// What was checked, and held.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Ledgers.
    pub ledgers: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Signatures of proposers, transactions and proofs.
    pub signatures: u64,
    /// Proofs.
    pub proofs: Proofs,
}

/// What one proof showed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Holds,
    NotByThisSet,
    Genuine,
    None,
}

/// A ledger that is in order by itself.
struct Alone {
    entry: LedgerEntry,
    signatures: u64,
    verdict: Verdict,
}

/// See the module. Ledgers are given to it one after the other.
pub struct Auditor {
    network: NetworkId,
    first: Hash,
    signatures: Ed25519,
    quorum_set: Option<QuorumSet>,
    /// The ledger so far, if it is replayed.
    replay: Option<Ledger>,
    /// Below this, ledgers are only replayed.
    from: u64,
    /// Sequence, header hash and number of transactions of the last.
    last: Option<(u64, Hash, u64)>,
    tally: Tally,
}

impl Auditor {
    /// Begins with ledger 1. Ledgers below `from` are replayed, and checked no further. Proofs are judged by
    /// `quorum_set`, if it is given.
    ///
    /// # Errors
    /// [`Wrong::Genesis`].
    pub fn replaying(genesis: &Genesis, quorum_set: Option<QuorumSet>, from: u64) -> Result<Self, Wrong> {
        let (ledger, closed) = Ledger::genesis(genesis)?;
        Ok(Self { replay: Some(ledger), ..Self::new(genesis.network_id(), closed.hash, quorum_set, from) })
    }

    /// Checks without replaying, from the ledger after `before`, which is taken for granted; `None` for ledger 1.
    ///
    /// # Errors
    /// [`Wrong::Genesis`].
    pub fn quick(genesis: &Genesis, quorum_set: Option<QuorumSet>, before: Option<&LedgerRow>) -> Result<Self, Wrong> {
        let (_, closed) = Ledger::genesis(genesis)?;
        let last = before.map(|row| (row.header.sequence, row.hash, row.total_transactions));
        Ok(Self { last, ..Self::new(genesis.network_id(), closed.hash, quorum_set, 1) })
    }

    fn new(network: NetworkId, first: Hash, quorum_set: Option<QuorumSet>, from: u64) -> Self {
        // It only checks; the key never signs.
        let signatures = Ed25519::new(network, SecretKey::from_seed(&[0; 32]));
        Self { network, first, signatures, quorum_set, replay: None, from, last: None, tally: Tally::default() }
    }

    /// Whose network's ledgers are checked.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The next ledger it wants.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.last.map_or(1, |(sequence, ..)| sequence.saturating_add(1))
    }

    /// Sequence and header hash of the last ledger it was given.
    #[must_use]
    pub fn last(&self) -> Option<(u64, Hash)> {
        self.last.map(|(sequence, hash, _)| (sequence, hash))
    }

    /// What was checked so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Checks the ledgers that follow.
    ///
    /// # Errors
    /// [`Wrong`] for the first that is.
    pub fn check(&mut self, ledgers: &[Stored]) -> Result<(), Wrong> {
        let alone: Vec<Result<Alone, Wrong>> = ledgers.par_iter().map(|stored| self.check_alone(stored)).collect();
        ledgers.iter().zip(alone).try_for_each(|(stored, alone)| self.follow(stored, alone?))
    }

    /// Everything but what the ledgers before it have to do with.
    fn check_alone(&self, stored: &Stored) -> Result<Alone, Wrong> {
        let Stored { row, transactions, proof } = stored;
        let sequence = row.header.sequence;
        let applied = || transactions.iter().map(|row| &row.transaction);
        let tx_set = TxSet::new(row.header.previous, applied().cloned().collect());
        let entry = LedgerEntry { header: row.header.clone(), value: row.value.clone(), tx_set };
        if sequence <= 1 || sequence < self.from {
            return Ok(Alone { entry, signatures: 0, verdict: Verdict::None });
        }
        entry.check()?;
        let leaves = |bytes: &mut dyn Iterator<Item = Hash>| merkle::root(&bytes.collect::<Vec<_>>());
        let tx_root = leaves(&mut applied().map(|transaction| merkle::leaf_hash(transaction.bytes())));
        let results_root = leaves(&mut transactions.iter().map(|row| merkle::leaf_hash(&row.result.to_bytes())));
        let failed = transactions.iter().filter(|row| row.result.outcome != crate::ledger::Outcome::Success).count();
        let rules = [
            ("the order of its transactions is", tx_root == row.header.tx_root),
            ("its results are", results_root == row.header.results_root),
            ("the number of its transactions is", row.transactions == transactions.len() as u64),
            ("the number of its failed transactions is", row.failed == failed as u64),
        ];
        if let Some((what, _)) = rules.into_iter().find(|(_, holds)| !holds) {
            return Err(Wrong::Content { sequence, what });
        }
        let mut signatures = self.check_signatures(&entry)?;
        let verdict = match proof {
            None => Verdict::None,
            Some(proof) => self.judge(row, proof)?,
        };
        signatures += proof.as_ref().map_or(0, |proof| proof.statements.len() as u64);
        Ok(Alone { entry, signatures, verdict })
    }

    fn check_signatures(&self, entry: &LedgerEntry) -> Result<u64, Wrong> {
        let sequence = entry.header.sequence;
        let forged = |of: String| Wrong::Signature { sequence, of };
        let value = LedgerValue::decode(&entry.value).map_err(EntryError::from)?;
        if !value.proposed().check_signature(SlotIndex(sequence), &self.signatures) {
            return Err(forged("the proposer".to_owned()));
        }
        let mut checked = 1;
        for transaction in entry.tx_set.transactions() {
            if !transaction.signatures_valid(&self.signatures) {
                return Err(forged(format!("transaction {}", transaction.hash())));
            }
            checked += transaction.signatures().len() as u64;
        }
        Ok(checked)
    }

    fn judge(&self, row: &LedgerRow, proof: &Proof) -> Result<Verdict, Wrong> {
        let sequence = row.header.sequence;
        let claim = Claim { slot: SlotIndex(sequence), value: &row.value };
        let Proof { statements, quorum_sets } = proof;
        let checked = match &self.quorum_set {
            Some(set) => proof::check(statements, quorum_sets, claim, set, &self.signatures).map(|_| Verdict::Holds),
            None => proof::check_form(statements, quorum_sets, claim, &self.signatures).map(|()| Verdict::Genuine),
        };
        match checked {
            Err(reason) if reason.is_matter_of_trust() => Ok(Verdict::NotByThisSet),
            checked => checked.map_err(|reason| Wrong::Proof { sequence, reason }),
        }
    }

    /// That it follows from the ledger before, and gives what it says when it is replayed.
    fn follow(&mut self, stored: &Stored, alone: Alone) -> Result<(), Wrong> {
        let row = &stored.row;
        let (header, expected) = (&row.header, self.next());
        let sequence = header.sequence;
        if sequence != expected {
            return Err(Wrong::Missing { sequence: expected });
        }
        let (named, found) = (header.previous, self.last.map_or(Hash::ZERO, |(_, hash, _)| hash));
        if named != found {
            return Err(Wrong::Chain { sequence, named, found });
        }
        let total = self.last.map_or(0, |(.., total)| total).saturating_add(row.transactions);
        if header.hash() != row.hash || value_hash(&row.value) != header.value || row.total_transactions != total {
            return Err(Wrong::Content { sequence, what: "hash, value or the number of all transactions is" });
        }
        if sequence == 1 && row.hash != self.first {
            return Err(Wrong::OtherGenesis { found: row.hash, wanted: self.first });
        }
        if let Some(ledger) = self.replay.as_mut().filter(|_| sequence > 1) {
            ledger.replay(&alone.entry)?;
        }
        self.last = Some((sequence, row.hash, total));
        if sequence >= self.from {
            self.tally.add(row, &alone);
        }
        Ok(())
    }

    /// That what is stored as the state after the last ledger is what replaying gave. Nothing to check without replay.
    ///
    /// # Errors
    /// [`Wrong::State`].
    pub fn check_state(&self, genesis: &Genesis, state: RestoredLedger) -> Result<(), Wrong> {
        let Some(replayed) = &self.replay else { return Ok(()) };
        let sequence = state.header.sequence;
        let wrong = |reason: String| Wrong::State { sequence, reason };
        let stored = Ledger::restore(genesis, state.header, state.accounts, state.data, state.lattice)
            .map_err(|error| wrong(error.to_string()))?;
        if stored == *replayed { Ok(()) } else { Err(wrong("accounts or data entries differ".to_owned())) }
    }
}

impl Tally {
    fn add(&mut self, row: &LedgerRow, alone: &Alone) {
        let sequence = row.header.sequence;
        self.ledgers += 1;
        self.transactions += row.transactions;
        self.signatures += alone.signatures;
        let proofs = &mut self.proofs;
        match alone.verdict {
            Verdict::Holds => {
                proofs.hold += 1;
                proofs.newest = Some(sequence);
            }
            Verdict::NotByThisSet => {
                proofs.not_by_this_quorum_set += 1;
                proofs.first_not_by_this_quorum_set.get_or_insert(sequence);
                proofs.last_not_by_this_quorum_set = Some(sequence);
            }
            Verdict::Genuine => proofs.genuine += 1,
            Verdict::None => proofs.none += 1,
        }
    }
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Auditor at ledger {}", self.next())
    }
}

#[cfg(test)]
mod tests;
