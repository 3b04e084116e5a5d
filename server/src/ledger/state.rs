//! All entries of the ledger, in memory, with their running hash.

use super::account::{Account, AccountId, Amount, DataEntry};
use super::lattice::{EntryKind, Lattice};
use crate::cbor;
use serde::Serialize;
use std::collections::BTreeMap;

/// Entries that differ from what is below them.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) data: BTreeMap<(AccountId, Vec<u8>), Option<Vec<u8>>>,
}

impl Changes {
    pub(super) fn merge(&mut self, newer: Self) {
        self.accounts.extend(newer.accounts);
        self.data.extend(newer.data);
    }
}

/// Every account and data entry after the last closed ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct State {
    accounts: BTreeMap<AccountId, Account>,
    data: BTreeMap<AccountId, BTreeMap<Vec<u8>, Vec<u8>>>,
    lattice: Lattice,
    /// What all accounts own together.
    owned: u128,
}

impl State {
    pub(super) fn empty() -> Self {
        Self { accounts: BTreeMap::new(), data: BTreeMap::new(), lattice: Lattice::empty(), owned: 0 }
    }

    /// The state with these entries, whose lattice is known. The last of several entries of one name counts.
    pub(super) fn restore(
        accounts: impl IntoIterator<Item = Account>,
        data: impl IntoIterator<Item = DataEntry>,
        lattice: Lattice,
    ) -> Self {
        let mut state = Self { lattice, ..Self::empty() };
        state.accounts = accounts.into_iter().map(|account| (account.id, account)).collect();
        state.owned = state.accounts.values().map(|account| u128::from(account.balance)).sum();
        for DataEntry { account, key, value } in data {
            state.data.entry(account).or_default().insert(key, value);
        }
        state
    }

    pub(super) fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    pub(super) fn data(&self, account: &AccountId, key: &[u8]) -> Option<&[u8]> {
        self.data.get(account)?.get(key).map(Vec::as_slice)
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub(super) fn data_entries(&self) -> impl Iterator<Item = (&AccountId, &[u8], &[u8])> {
        self.data.iter().flat_map(|(account, entries)| {
            entries.iter().map(move |(key, value)| (account, key.as_slice(), value.as_slice()))
        })
    }

    pub(super) fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// What all accounts own together.
    pub(super) fn owned(&self) -> u128 {
        self.owned
    }

    /// The lattice and the sum of balances after `changes`: what a close may compute before it commits.
    pub(super) fn after(&self, changes: &Changes) -> (Lattice, u128) {
        let (mut lattice, mut owned) = (self.lattice.clone(), self.owned);
        for (id, new) in &changes.accounts {
            let old = self.account(id);
            if old == Some(new) {
                continue;
            }
            if let Some(old) = old {
                lattice.remove(EntryKind::Account, &cbor::encode(old));
            }
            lattice.add(EntryKind::Account, &cbor::encode(new));
            let before = old.map_or(0, |old| u128::from(old.balance));
            owned = owned + u128::from(new.balance) - before;
        }
        for ((account, key), new) in &changes.data {
            let old = self.data(account, key);
            if old == new.as_deref() {
                continue;
            }
            if let Some(old) = old {
                lattice.remove(EntryKind::Data, &data_bytes(account, key, old));
            }
            if let Some(new) = new {
                lattice.add(EntryKind::Data, &data_bytes(account, key, new));
            }
        }
        (lattice, owned)
    }

    /// Makes `changes` the truth, with what [`State::after`] said about them.
    pub(super) fn commit(&mut self, changes: Changes, (lattice, owned): (Lattice, u128)) {
        (self.lattice, self.owned) = (lattice, owned);
        self.accounts.extend(changes.accounts);
        for ((account, key), value) in changes.data {
            let entries = self.data.entry(account).or_default();
            match value {
                Some(value) => drop(entries.insert(key, value)),
                None => drop(entries.remove(&key)),
            }
            if entries.is_empty() {
                self.data.remove(&account);
            }
        }
    }

    /// The lattice computed from every entry, for a check of the running one: O(all).
    pub(super) fn lattice_from_scratch(&self) -> Lattice {
        let mut lattice = Lattice::empty();
        self.accounts().for_each(|account| lattice.add(EntryKind::Account, &cbor::encode(account)));
        self.data_entries().for_each(|(account, key, value)| {
            lattice.add(EntryKind::Data, &data_bytes(account, key, value));
        });
        lattice
    }

    /// The first account whose count of data entries is not the number it has, or data entry without an account.
    pub(super) fn miscounted(&self) -> Option<AccountId> {
        let count = |id: &AccountId| self.data.get(id).map_or(0, BTreeMap::len);
        let wrong = |account: &&Account| usize::try_from(account.data_entries) != Ok(count(&account.id));
        let orphan = || self.data.keys().find(|id| !self.accounts.contains_key(id)).copied();
        self.accounts.values().find(wrong).map(|account| account.id).or_else(orphan)
    }
}

/// The canonical CBOR of a [`DataEntry`], without owning its parts.
fn data_bytes(account: &AccountId, key: &[u8], value: &[u8]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        account: &'a AccountId,
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        value: &'a [u8],
    }
    cbor::encode(&Borrowed { account, key, value })
}

/// The state of the last closed ledger under what the transactions of the next have changed so far.
pub(super) struct View<'a> {
    below: &'a State,
    pub(super) changes: Changes,
}

impl<'a> View<'a> {
    pub(super) fn new(below: &'a State) -> Self {
        Self { below, changes: Changes::default() }
    }

    pub(super) fn account(&self, id: &AccountId) -> Option<&Account> {
        self.changes.accounts.get(id).or_else(|| self.below.account(id))
    }

    pub(super) fn has_data(&self, name: &(AccountId, Vec<u8>)) -> bool {
        match self.changes.data.get(name) {
            Some(changed) => changed.is_some(),
            None => self.below.data(&name.0, &name.1).is_some(),
        }
    }

    /// Takes `amount` from an account that is known to own it.
    pub(super) fn charge(&mut self, id: &AccountId, amount: Amount) {
        let mut account = self.account(id).expect("checked with the set: the account exists").clone();
        account.balance = account.balance.checked_sub(amount).expect("checked with the set: the fees are there");
        self.changes.accounts.insert(*id, account);
    }
}

/// What one transaction changes on top of a [`View`]: dropped if it fails.
pub(super) struct Step<'a> {
    below: &'a View<'a>,
    pub(super) changes: Changes,
}

impl<'a> Step<'a> {
    pub(super) fn new(below: &'a View<'a>, changes: Changes) -> Self {
        Self { below, changes }
    }

    pub(super) fn account(&self, id: &AccountId) -> Option<&Account> {
        self.changes.accounts.get(id).or_else(|| self.below.account(id))
    }

    pub(super) fn put(&mut self, account: Account) {
        self.changes.accounts.insert(account.id, account);
    }

    pub(super) fn has_data(&self, name: &(AccountId, Vec<u8>)) -> bool {
        self.changes.data.get(name).map_or_else(|| self.below.has_data(name), Option::is_some)
    }

    pub(super) fn put_data(&mut self, name: (AccountId, Vec<u8>), value: Option<Vec<u8>>) {
        self.changes.data.insert(name, value);
    }
}
