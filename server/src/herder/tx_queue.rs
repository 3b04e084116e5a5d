//! Transactions waiting for a ledger: bounded per account and in all, fair across accounts.

use super::io::Ticket;
use crate::ledger::{AccountId, Before, Ledger, TxRejection, VerifiedTx};
use fba_core::{Hash, NodeId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Most transactions of one account: nobody can fill the queue alone.
const PER_ACCOUNT_MAX: usize = 256;
/// Most transactions in all: ten full ledgers.
const QUEUE_MAX: usize = 50_000;
/// Most bytes in all.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// How long a transaction may wait.
const AGE_MAX: Duration = Duration::from_secs(300);
/// Most clients that wait for one transaction.
const TICKETS_MAX: usize = 16;
/// Hashes of closed transactions remembered for this many ledgers: they need not be asked for again.
const CLOSED_LEDGERS: usize = 4;

#[derive(Clone, Debug)]
struct Queued {
    transaction: VerifiedTx,
    since: Duration,
    knows: BTreeSet<NodeId>,
    tickets: Vec<Ticket>,
}

/// Why a transaction was not queued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NotQueued {
    /// It is there already.
    Known,
    /// The queue, or the account's share, is full.
    Full,
    /// The ledger refuses it.
    Rejected(TxRejection),
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct TxQueue {
    accounts: BTreeMap<AccountId, BTreeMap<u64, Queued>>,
    by_hash: BTreeMap<Hash, (AccountId, u64)>,
    bytes: usize,
    closed: VecDeque<BTreeSet<Hash>>,
    /// Counts changes, so that nobody builds the same set twice.
    version: u64,
}

impl TxQueue {
    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, hash: &Hash) -> Option<&VerifiedTx> {
        let (account, sequence) = self.by_hash.get(hash)?;
        Some(&self.accounts.get(account)?.get(sequence)?.transaction)
    }

    fn queued_mut(&mut self, hash: &Hash) -> Option<&mut Queued> {
        let (account, sequence) = self.by_hash.get(hash)?;
        self.accounts.get_mut(account)?.get_mut(sequence)
    }

    /// Is it queued, or closed not long ago?
    pub(crate) fn is_known(&self, hash: &Hash) -> bool {
        self.by_hash.contains_key(hash) || self.closed.iter().any(|ledger| ledger.contains(hash))
    }

    /// Could it be queued, if its signatures are genuine? Cheap: comes before they are checked.
    pub(crate) fn check(
        &self,
        ledger: &Ledger,
        transaction: &crate::ledger::SignedTransaction,
        unix_ms: u64,
    ) -> Result<(), NotQueued> {
        if self.by_hash.contains_key(&transaction.hash()) {
            return Err(NotQueued::Known);
        }
        let queued = self.accounts.get(&transaction.source());
        let sequence = transaction.transaction().sequence;
        let before = queued
            .into_iter()
            .flat_map(|account| account.range(..sequence))
            .fold(Before::default(), |before, (_, queued)| before.and(&queued.transaction));
        let at = ledger.next_close_time(unix_ms);
        ledger.check_transaction(transaction, before, at).map_err(NotQueued::Rejected)?;
        let taken = queued.is_some_and(|account| account.contains_key(&sequence));
        if taken {
            let expected = sequence.saturating_add(1);
            return Err(NotQueued::Rejected(TxRejection::Sequence { expected, found: sequence }));
        }
        let full = queued.is_some_and(|account| account.len() >= PER_ACCOUNT_MAX)
            || self.by_hash.len() >= QUEUE_MAX
            || self.bytes.saturating_add(transaction.bytes().len()) > QUEUE_BYTES_MAX;
        if full { Err(NotQueued::Full) } else { Ok(()) }
    }

    /// Takes a transaction that passed [`TxQueue::check`] since the last change.
    pub(crate) fn insert(&mut self, transaction: VerifiedTx, now: Duration, from: Option<NodeId>) {
        let (hash, account) = (transaction.hash(), transaction.source());
        let sequence = transaction.transaction().sequence;
        self.bytes = self.bytes.saturating_add(transaction.bytes().len());
        self.version = self.version.wrapping_add(1);
        self.by_hash.insert(hash, (account, sequence));
        let queued = Queued { transaction, since: now, knows: from.into_iter().collect(), tickets: Vec::new() };
        self.accounts.entry(account).or_default().insert(sequence, queued);
    }

    /// Tells `ticket` what becomes of a queued transaction. False if too many wait already.
    pub(crate) fn watch(&mut self, hash: &Hash, ticket: Ticket) -> bool {
        let Some(queued) = self.queued_mut(hash).filter(|queued| queued.tickets.len() < TICKETS_MAX) else {
            return false;
        };
        queued.tickets.push(ticket);
        true
    }

    /// Marks that `peer` has it. True if that is new.
    pub(crate) fn note_peer(&mut self, hash: &Hash, peer: NodeId) -> bool {
        self.queued_mut(hash).is_some_and(|queued| queued.knows.insert(peer))
    }

    /// Everything queued, one transaction of each account in turn, beginning behind `seed`: no account is always last.
    pub(crate) fn candidates(&self, seed: Hash, most: usize) -> Vec<VerifiedTx> {
        let start = AccountId(seed.0);
        let order = || self.accounts.range(start..).chain(self.accounts.range(..start));
        let mut turns: Vec<_> = order().map(|(_, account)| account.values()).collect();
        let mut chosen = Vec::new();
        while !turns.is_empty() && chosen.len() < most {
            turns.retain_mut(|account| match account.next() {
                Some(queued) => {
                    chosen.push(queued.transaction.clone());
                    true
                }
                None => false,
            });
        }
        chosen
    }

    /// Hashes a peer does not have yet, at most `most`; counts as told.
    pub(crate) fn advertise(&mut self, peer: NodeId, most: usize) -> Vec<Hash> {
        let unknown = |queued: &&mut Queued| !queued.knows.contains(&peer);
        let mut hashes = Vec::new();
        for queued in self.accounts.values_mut().flat_map(BTreeMap::values_mut).filter(unknown).take(most) {
            queued.knows.insert(peer);
            hashes.push(queued.transaction.hash());
        }
        hashes
    }

    /// A ledger closed: drops what is in it and what can never follow it. Returns who waits for what was closed.
    pub(crate) fn close(&mut self, ledger: &Ledger, closed: &[Hash]) -> BTreeMap<Hash, Vec<Ticket>> {
        let mut waiting = BTreeMap::new();
        let mut dropped = Vec::new();
        let sources: BTreeSet<AccountId> =
            closed.iter().filter_map(|hash| self.by_hash.get(hash)).map(|(account, _)| *account).collect();
        for hash in closed {
            if let Some(queued) = self.queued_mut(hash) {
                waiting.insert(*hash, std::mem::take(&mut queued.tickets));
            }
        }
        for source in sources {
            let last = ledger.account(&source).map_or(u64::MAX, |account| account.sequence);
            if let Some(account) = self.accounts.get(&source) {
                dropped.extend(account.range(..=last).map(|(_, queued)| queued.transaction.hash()));
            }
        }
        for hash in dropped {
            self.remove(&hash);
        }
        self.closed.push_front(closed.iter().copied().collect());
        self.closed.truncate(CLOSED_LEDGERS);
        waiting
    }

    /// Drops what has waited too long or can never be valid again. Returns who waited for it.
    pub(crate) fn expire(&mut self, ledger: &Ledger, now: Duration) -> Vec<Ticket> {
        let closed_at = ledger.close_time_ms();
        let mut over = Vec::new();
        for (account, queued) in &self.accounts {
            let last = ledger.account(account).map_or(0, |account| account.sequence);
            for (sequence, queued) in queued {
                let late = queued.transaction.transaction().valid_before_ms.is_some_and(|end| end <= closed_at);
                if late || *sequence <= last || queued.since + AGE_MAX <= now {
                    over.push(queued.transaction.hash());
                }
            }
        }
        over.iter().filter_map(|hash| self.remove(hash)).flat_map(|queued| queued.tickets).collect()
    }

    fn remove(&mut self, hash: &Hash) -> Option<Queued> {
        let (account, sequence) = self.by_hash.remove(hash)?;
        let queue = self.accounts.get_mut(&account)?;
        let queued = queue.remove(&sequence)?;
        if queue.is_empty() {
            self.accounts.remove(&account);
        }
        self.bytes = self.bytes.saturating_sub(queued.transaction.bytes().len());
        self.version = self.version.wrapping_add(1);
        Some(queued)
    }

    pub(crate) fn forget_peer(&mut self, peer: NodeId) {
        for queued in self.accounts.values_mut().flat_map(BTreeMap::values_mut) {
            queued.knows.remove(&peer);
        }
    }
}
