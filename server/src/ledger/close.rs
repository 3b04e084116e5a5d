//! The ledger as a state machine: from genesis or from the store, one close at a time.
//!
//! Money is neither made nor lost: `total_supply` = what all accounts own + `fee_pool`, asserted at every close. Fees
//! go to the pool in the header, which nobody owns: no account's balance, and no proposer's interest, depends on them.

use super::account::{Account, AccountId, DataEntry};
use super::apply::{Applied, apply};
use super::entry::LedgerEntry;
use super::genesis::{Genesis, GenesisError};
use super::header::{Header, PROTOCOL_VERSION, value_hash};
use super::lattice::Lattice;
use super::merkle::{self, InclusionProof};
use super::parameters::Parameters;
use super::result::{Outcome, TxResult};
use super::state::{Changes, State};
use super::transaction::SignedTransaction;
use super::tx_set::{TxSet, VerifiedTxSet};
use super::validity::{InvalidValue, accepted};
use super::value::{LedgerValue, Proposed};
use crate::key::NetworkId;
use fba_core::{Hash, Value};
use std::sync::Arc;

/// One closed ledger, with everything the store keeps of it.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Its header.
    pub header: Header,
    /// The header's hash.
    pub hash: Hash,
    /// What the slot decided; the genesis bytes in ledger 1.
    pub value: Value,
    /// Its transactions, as they were agreed on.
    pub tx_set: Arc<TxSet>,
    /// Its transactions in the order they were applied: the leaves under `header.tx_root`.
    pub applied: Vec<Arc<SignedTransaction>>,
    /// What became of them, in the same order: the leaves under `header.results_root`.
    pub results: Vec<TxResult>,
    /// Accounts that changed, as they are now (accounts are never removed); sorted by id.
    pub changed_accounts: Vec<Account>,
    /// Data entries that changed, as they are now: account, key, value; `None` if deleted. Sorted.
    pub changed_data: Vec<(AccountId, Vec<u8>, Option<Vec<u8>>)>,
    /// The running hash over all entries.
    pub lattice: Lattice,
}

impl Closed {
    /// The ledger as peers are given it.
    #[must_use]
    pub fn entry(&self) -> LedgerEntry {
        LedgerEntry { header: self.header.clone(), value: self.value.clone(), tx_set: (*self.tx_set).clone() }
    }

    /// How many transactions had no effect.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.results.iter().filter(|result| result.outcome != Outcome::Success).count()
    }

    /// That transaction `index`, its [`SignedTransaction::bytes`], is under `header.tx_root`; `None` if there is none.
    #[must_use]
    pub fn prove_transaction(&self, index: usize) -> Option<InclusionProof> {
        merkle::prove(&tx_leaves(&self.applied), index)
    }

    /// That result `index`, its [`TxResult::to_bytes`], is under `header.results_root`; `None` if there is none.
    #[must_use]
    pub fn prove_result(&self, index: usize) -> Option<InclusionProof> {
        merkle::prove(&result_leaves(&self.results), index)
    }
}

/// Why a ledger cannot be taken up from what the store kept.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The genesis itself is not in order.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Written under rules this build does not know.
    #[error("ledger {sequence} has protocol version {found}; this build knows {PROTOCOL_VERSION}: use a newer one")]
    Protocol {
        /// Which ledger.
        sequence: u64,
        /// Its version.
        found: u32,
    },
    /// The kept header belongs to another genesis.
    #[error("ledger {sequence} has another {what} than the genesis file: this is not the same network")]
    OtherGenesis {
        /// Which ledger.
        sequence: u64,
        /// What differs.
        what: &'static str,
    },
    /// The kept lattice is not the header's.
    #[error("the kept state hash is {found}, the header of ledger {sequence} says {header}: the database is damaged")]
    StateHash {
        /// Which ledger.
        sequence: u64,
        /// Hash of the kept lattice.
        found: Hash,
        /// What the header says.
        header: Hash,
    },
    /// Balances and fee pool do not add up.
    #[error(
        "all accounts own {owned} and the fee pool {fee_pool}; together it must be {total_supply}: the database is damaged"
    )]
    Supply {
        /// What all accounts own.
        owned: u128,
        /// The header's fee pool.
        fee_pool: u64,
        /// The header's total.
        total_supply: u64,
    },
    /// Data entries and their count differ.
    #[error("account {account} does not have the data entries it counts: the database is damaged")]
    DataEntries {
        /// The account.
        account: AccountId,
    },
}

/// Why a ledger from a peer was not applied. Its header must have been proven before.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Not our next ledger, or not valid on ours.
    #[error("ledger {sequence} does not follow ours: {reason}")]
    Invalid {
        /// Which ledger.
        sequence: u64,
        /// Why not.
        reason: InvalidValue,
    },
    /// Applied, it gives another header: one of the two nodes is wrong.
    #[error("ledger {sequence} applied here gives header {ours}, not {theirs}")]
    OtherHeader {
        /// Which ledger.
        sequence: u64,
        /// The hash we get.
        ours: Hash,
        /// The hash of the given header.
        theirs: Hash,
    },
}

/// The ledger after its last close, in memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ledger {
    network: NetworkId,
    parameters: Parameters,
    parameters_hash: Hash,
    header: Header,
    hash: Hash,
    state: State,
}

/// A close that is computed and not yet done.
struct Prepared {
    closed: Closed,
    changes: Changes,
    owned: u128,
}

impl Ledger {
    /// Ledger 1: the root account owns everything. With what the store shall keep of it.
    ///
    /// # Errors
    /// [`GenesisError`] if a rule of genesis is broken.
    pub fn genesis(genesis: &Genesis) -> Result<(Self, Closed), GenesisError> {
        genesis.check()?;
        let root = Account::new(genesis.root_account, genesis.total_supply);
        let mut changes = Changes::default();
        changes.accounts.insert(root.id, root);
        let mut state = State::empty();
        let (lattice, owned) = state.after(&changes);
        let tx_set = TxSet::empty(Hash::ZERO);
        let header = Header {
            sequence: 1,
            protocol_version: PROTOCOL_VERSION,
            previous: Hash::ZERO,
            value: genesis.hash(),
            close_time_ms: genesis.close_time_ms,
            tx_set: tx_set.hash(),
            tx_root: merkle::root(&[]),
            results_root: merkle::root(&[]),
            state_hash: lattice.hash(),
            total_supply: genesis.total_supply,
            fee_pool: 0,
            parameters: genesis.parameters.hash(),
        };
        let applied = Applied { order: Vec::new(), results: Vec::new(), changes, fees: 0 };
        let Prepared { closed, changes, owned } =
            prepared(header, genesis.value(), Arc::new(tx_set), applied, (lattice, owned));
        state.commit(changes, (closed.lattice.clone(), owned));
        Ok((Self::assemble(genesis, closed.header.clone(), state), closed))
    }

    /// The ledger from what the store kept. Checks that header, lattice, balances and counts agree with one another and
    /// with genesis; O(accounts), without hashing every entry again ([`Ledger::check_state`] does that).
    ///
    /// # Errors
    /// [`RestoreError`], naming what does not agree.
    pub fn restore(
        genesis: &Genesis,
        header: Header,
        accounts: impl IntoIterator<Item = Account>,
        data: impl IntoIterator<Item = DataEntry>,
        lattice: Lattice,
    ) -> Result<Self, RestoreError> {
        genesis.check()?;
        let sequence = header.sequence;
        if header.protocol_version != PROTOCOL_VERSION {
            return Err(RestoreError::Protocol { sequence, found: header.protocol_version });
        }
        if header.total_supply != genesis.total_supply {
            return Err(RestoreError::OtherGenesis { sequence, what: "total supply" });
        }
        if header.parameters != genesis.parameters.hash() {
            return Err(RestoreError::OtherGenesis { sequence, what: "parameters hash" });
        }
        let found = lattice.hash();
        if found != header.state_hash {
            return Err(RestoreError::StateHash { sequence, found, header: header.state_hash });
        }
        let state = State::restore(accounts, data, lattice);
        let Header { fee_pool, total_supply, .. } = header;
        if state.owned() + u128::from(fee_pool) != u128::from(total_supply) {
            return Err(RestoreError::Supply { owned: state.owned(), fee_pool, total_supply });
        }
        match state.miscounted() {
            Some(account) => Err(RestoreError::DataEntries { account }),
            None => Ok(Self::assemble(genesis, header, state)),
        }
    }

    fn assemble(genesis: &Genesis, header: Header, state: State) -> Self {
        let (parameters, parameters_hash) = (genesis.parameters.clone(), genesis.parameters.hash());
        let hash = header.hash();
        Self { network: genesis.network_id(), parameters, parameters_hash, header, hash, state }
    }

    /// Hashes every entry again and compares with the header: O(all), for self-checks.
    #[must_use]
    pub fn check_state(&self) -> bool {
        self.state.lattice_from_scratch().hash() == self.header.state_hash
    }

    /// Closes the next ledger with what the network externalised. Signatures of the value are not checked: a quorum
    /// did that.
    ///
    /// # Errors
    /// [`InvalidValue`] if it cannot be our next ledger; nothing has changed then. From an externalised value that
    /// means that this node, or the quorum it trusts, is wrong: see [`Ledger::is_divergent`].
    ///
    /// # Panics
    /// If money was made or lost: our own mistake, nothing may go on.
    pub fn close(&mut self, value: &Value, set: &VerifiedTxSet) -> Result<Closed, InvalidValue> {
        let prepared = self.prepare(value, set.shared())?;
        Ok(self.finish(prepared))
    }

    /// Closes a ledger a peer kept, whose header hash is proven ([`LedgerEntry::verify_chain`]).
    ///
    /// # Errors
    /// [`ReplayError`]; nothing has changed then.
    pub fn replay(&mut self, entry: &LedgerEntry) -> Result<Closed, ReplayError> {
        let sequence = entry.header.sequence;
        let prepared = self
            .prepare(&entry.value, &Arc::new(entry.tx_set.clone()))
            .map_err(|reason| ReplayError::Invalid { sequence, reason })?;
        let (ours, theirs) = (prepared.closed.hash, entry.header.hash());
        if ours != theirs {
            return Err(ReplayError::OtherHeader { sequence, ours, theirs });
        }
        Ok(self.finish(prepared))
    }

    fn prepare(&self, value: &Value, set: &Arc<TxSet>) -> Result<Prepared, InvalidValue> {
        let proposed: Proposed = accepted(LedgerValue::decode(value)?)?;
        self.check_next(&proposed, set)?;
        let applied = apply(&self.state, &self.parameters, set);
        let (lattice, owned) = self.state.after(&applied.changes);
        let last = &self.header;
        let header = Header {
            sequence: last.sequence + 1,
            protocol_version: PROTOCOL_VERSION,
            previous: self.hash,
            value: value_hash(value),
            close_time_ms: proposed.close_time_ms,
            tx_set: set.hash(),
            tx_root: merkle::root(&tx_leaves(&applied.order)),
            results_root: merkle::root(&result_leaves(&applied.results)),
            state_hash: lattice.hash(),
            total_supply: last.total_supply,
            fee_pool: last.fee_pool.checked_add(applied.fees).expect("fees come out of the total supply"),
            parameters: self.parameters_hash,
        };
        Ok(prepared(header, value.clone(), Arc::clone(set), applied, (lattice, owned)))
    }

    fn finish(&mut self, prepared: Prepared) -> Closed {
        let Prepared { closed, changes, owned } = prepared;
        let header = &closed.header;
        assert_eq!(header.sequence, self.header.sequence + 1, "ledgers close one after the other");
        assert_eq!(header.previous, self.hash, "a ledger closes on top of the last one");
        assert_eq!(
            owned + u128::from(header.fee_pool),
            u128::from(header.total_supply),
            "ledger {}: money was made or lost",
            header.sequence
        );
        self.state.commit(changes, (closed.lattice.clone(), owned));
        self.header = header.clone();
        self.hash = closed.hash;
        closed
    }

    /// The network's id.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The last closed ledger's header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The last closed ledger's hash.
    #[must_use]
    pub fn header_hash(&self) -> Hash {
        self.hash
    }

    /// The last closed ledger's number.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.header.sequence
    }

    /// When the last ledger closed, in milliseconds since the epoch.
    #[must_use]
    pub fn close_time_ms(&self) -> u64 {
        self.header.close_time_ms
    }

    /// The network's rules.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// An account, if it exists.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.state.account(id)
    }

    /// What a data entry holds, if it exists.
    #[must_use]
    pub fn data(&self, account: &AccountId, key: &[u8]) -> Option<&[u8]> {
        self.state.data(account, key)
    }

    /// Every account, sorted by id.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.state.accounts()
    }

    /// Every data entry, sorted by account and key: account, key, value.
    pub fn data_entries(&self) -> impl Iterator<Item = (&AccountId, &[u8], &[u8])> {
        self.state.data_entries()
    }

    /// The running hash over all entries.
    #[must_use]
    pub fn lattice(&self) -> &Lattice {
        self.state.lattice()
    }
}

fn prepared(header: Header, value: Value, tx_set: Arc<TxSet>, applied: Applied, after: (Lattice, u128)) -> Prepared {
    let Applied { order, results, changes, fees: _ } = applied;
    let changed =
        |((account, key), value): (&(AccountId, Vec<u8>), &Option<Vec<u8>>)| (*account, key.clone(), value.clone());
    let (lattice, owned) = after;
    let closed = Closed {
        hash: header.hash(),
        header,
        value,
        tx_set,
        applied: order,
        results,
        changed_accounts: changes.accounts.values().cloned().collect(),
        changed_data: changes.data.iter().map(changed).collect(),
        lattice,
    };
    Prepared { closed, changes, owned }
}

pub(super) fn tx_leaves(applied: &[Arc<SignedTransaction>]) -> Vec<Hash> {
    applied.iter().map(|transaction| merkle::leaf_hash(transaction.bytes())).collect()
}

fn result_leaves(results: &[TxResult]) -> Vec<Hash> {
    results.iter().map(|result| merkle::leaf_hash(&result.to_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{SUPPLY, act, close, genesis, id, ledger, pay, populated, propose, set_of};
    use super::super::operation::Operation;
    use super::*;

    fn busy() -> (Ledger, Closed) {
        let mut ledger = populated(3);
        let data = vec![Operation::SetData { key: b"k".to_vec(), value: b"v".to_vec() }];
        let transactions = vec![
            act(&ledger, 1, 1, pay(2, 5)),
            act(&ledger, 1, 2, pay(9, 5)),
            act(&ledger, 2, 1, data),
            act(&ledger, 3, 1, pay(1, 5)),
        ];
        let closed = close(&mut ledger, transactions);
        (ledger, closed)
    }

    fn kept(ledger: &Ledger) -> (Vec<Account>, Vec<DataEntry>) {
        let entry = |(account, key, value): (&AccountId, &[u8], &[u8])| DataEntry {
            account: *account,
            key: key.to_vec(),
            value: value.to_vec(),
        };
        (ledger.accounts().cloned().collect(), ledger.data_entries().map(entry).collect())
    }

    fn restored(ledger: &Ledger) -> Result<Ledger, RestoreError> {
        let (accounts, data) = kept(ledger);
        Ledger::restore(&genesis(), ledger.header().clone(), accounts, data, ledger.lattice().clone())
    }

    #[test]
    fn genesis_gives_everything_to_the_root_account() {
        let (ledger, closed) = Ledger::genesis(&genesis()).unwrap();
        assert_eq!((ledger.sequence(), ledger.close_time_ms()), (1, 1_000_000));
        assert_eq!(closed.changed_accounts, [Account::new(id(0), SUPPLY)]);
        assert_eq!(value_hash(&closed.value), closed.header.value);
        assert!(ledger.check_state());
    }

    #[test]
    fn headers_form_a_chain() {
        let mut ledger = ledger();
        let mut last = ledger.header().clone();
        for _ in 0..3 {
            let closed = close(&mut ledger, vec![]);
            assert_eq!(closed.header.previous, last.hash());
            assert_eq!(closed.header.sequence, last.sequence + 1);
            assert_eq!(closed.header.state_hash, last.state_hash, "nothing happened");
            last = closed.header;
        }
        assert_eq!(ledger.header(), &last);
    }

    /// Pins every encoding and the order of application: whoever changes one of them changes what was agreed on.
    #[test]
    fn the_same_history_gives_the_same_header_on_every_build() {
        assert_eq!(busy().1.hash.to_string(), include_str!("vectors/busy_header_hash.hex").trim());
    }

    #[test]
    fn a_transaction_and_what_it_changed_are_proven_against_the_header() {
        let (_, closed) = busy();
        assert_eq!((closed.results.len(), closed.failed()), (4, 1));
        for (index, (transaction, result)) in closed.applied.iter().zip(&closed.results).enumerate() {
            assert_eq!(transaction.hash(), result.hash);
            let (proof, other) = (closed.prove_transaction(index).unwrap(), closed.prove_result(index).unwrap());
            assert!(merkle::verify(closed.header.tx_root, transaction.bytes(), &proof));
            assert!(merkle::verify(closed.header.results_root, &result.to_bytes(), &other));
            let richer = TxResult { fee_charged: 1, ..result.clone() };
            assert!(!merkle::verify(closed.header.results_root, &richer.to_bytes(), &other));
            assert_eq!(TxResult::from_bytes(&result.to_bytes()), Ok(result.clone()));
        }
        assert_eq!(closed.prove_result(4), None);
    }

    #[test]
    fn a_restored_ledger_is_the_same_and_goes_on_the_same() {
        let (mut one, _) = busy();
        let mut two = restored(&one).unwrap();
        assert_eq!(one, two);
        let next = act(&one, 1, 1, pay(3, 50));
        assert_eq!(close(&mut one, vec![next.clone()]).hash, close(&mut two, vec![next]).hash);
        assert_eq!(one, two);
    }

    #[test]
    fn a_damaged_or_foreign_store_is_refused_with_what_is_wrong() {
        let (ledger, _) = busy();
        let (accounts, data) = kept(&ledger);
        let restore =
            |genesis: &Genesis, header: Header, accounts: &[Account], data: &[DataEntry], lattice: Lattice| {
                Ledger::restore(genesis, header, accounts.to_vec(), data.to_vec(), lattice).unwrap_err()
            };
        let (header, lattice) = (ledger.header().clone(), ledger.lattice().clone());
        let other = Genesis { total_supply: 5_000, ..genesis() };
        let refused = restore(&other, header.clone(), &accounts, &data, lattice.clone());
        assert!(matches!(refused, RestoreError::OtherGenesis { what: "total supply", .. }));
        let other = Genesis { parameters: Parameters { base_fee: 1, ..genesis().parameters }, ..genesis() };
        let refused = restore(&other, header.clone(), &accounts, &data, lattice.clone());
        assert!(matches!(refused, RestoreError::OtherGenesis { what: "parameters hash", .. }));
        let newer = Header { protocol_version: 2, ..header.clone() };
        let refused = restore(&genesis(), newer, &accounts, &data, lattice.clone());
        assert_eq!(refused, RestoreError::Protocol { sequence: 3, found: 2 });
        let refused = restore(&genesis(), header.clone(), &accounts, &data, Lattice::empty());
        assert!(matches!(refused, RestoreError::StateHash { .. }));
        let refused = restore(&genesis(), header.clone(), &accounts[1..], &data, lattice.clone());
        assert!(matches!(refused, RestoreError::Supply { .. }));
        let refused = restore(&genesis(), header, &accounts, &[], lattice);
        assert_eq!(refused, RestoreError::DataEntries { account: id(2) });
    }

    #[test]
    fn a_changed_entry_that_the_sums_do_not_show_is_found_by_the_state_check() {
        let (ledger, _) = busy();
        let (accounts, mut data) = kept(&ledger);
        data[0].value = b"forged".to_vec();
        let header = ledger.header().clone();
        let restored = Ledger::restore(&genesis(), header, accounts, data, ledger.lattice().clone()).unwrap();
        assert!(ledger.check_state());
        assert!(!restored.check_state());
    }

    #[test]
    fn a_node_that_was_away_replays_what_it_missed() {
        let mut behind = ledger();
        let mut ahead = behind.clone();
        let open = act(&ahead, 0, 1, vec![Operation::CreateAccount { account: id(1), balance: 500 }]);
        let entries = [close(&mut ahead, vec![open]).entry(), close(&mut ahead, vec![]).entry()];
        LedgerEntry::verify_chain(&entries, ahead.header_hash()).unwrap();
        let skipped = behind.replay(&entries[1]);
        assert!(matches!(skipped, Err(ReplayError::Invalid { sequence: 3, .. })));
        for entry in &entries {
            let closed = behind.replay(entry).unwrap();
            assert_eq!(&closed.entry(), entry);
        }
        assert_eq!(behind, ahead);
    }

    #[test]
    fn a_replay_with_another_result_changes_nothing() {
        let mut ledger = populated(1);
        let set = set_of(&ledger, vec![act(&ledger, 1, 1, pay(0, 1))]);
        let value = propose(&ledger, &set, 1).to_value();
        let mut entry = ledger.clone().close(&value, &set).unwrap().entry();
        entry.header.state_hash = Hash::ZERO;
        let before = ledger.clone();
        assert!(matches!(ledger.replay(&entry), Err(ReplayError::OtherHeader { sequence: 3, .. })));
        assert_eq!(ledger, before);
    }
}
