//! Transactions waiting for a ledger: bounded per account and in all, fair across accounts.

use super::io::{Ticket, TicketOutcome};
use crate::ledger::{AccountId, Before, Closed, Ledger, TxRejection, TxResult, VerifiedTx};
use fba_core::{Hash, NodeId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
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
/// Closed transactions are remembered for this many ledgers: they need not be asked for again, and whoever submits one
/// again is told that it closed. Whatever closed since the last flush is remembered too: the store cannot tell yet.
const CLOSED_LEDGERS: usize = 4;

#[derive(Clone, Debug)]
struct Queued {
    transaction: VerifiedTx,
    since: Duration,
    knows: BTreeSet<NodeId>,
    tickets: Vec<Ticket>,
}

/// What closed in one ledger: the place and the result of every transaction.
#[derive(Clone, Debug)]
struct ClosedLedger {
    sequence: u64,
    places: BTreeMap<Hash, (u32, Arc<TxResult>)>,
}

impl ClosedLedger {
    fn of(closed: &Closed) -> Self {
        let place = |(result, index): (&TxResult, u32)| (result.hash, (index, Arc::new(result.clone())));
        Self { sequence: closed.header.sequence, places: closed.results.iter().zip(0..).map(place).collect() }
    }

    fn outcome(&self, hash: &Hash) -> Option<TicketOutcome> {
        let (index, result) = self.places.get(hash)?;
        Some(TicketOutcome::Closed { ledger: self.sequence, index: *index, result: Arc::clone(result) })
    }
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
    /// Newest first.
    closed: VecDeque<ClosedLedger>,
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
        self.by_hash.contains_key(hash) || self.closed.iter().any(|ledger| ledger.places.contains_key(hash))
    }

    /// What became of a transaction that closed not long ago.
    pub(crate) fn closed(&self, hash: &Hash) -> Option<TicketOutcome> {
        self.closed.iter().find_map(|ledger| ledger.outcome(hash))
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

    /// A ledger closed: drops what is in it and what can never follow it, such as another transaction with the same
    /// sequence. Returns what those who waited are to be told.
    pub(crate) fn close(&mut self, ledger: &Ledger, closed: &Closed) -> Vec<(Ticket, TicketOutcome)> {
        self.closed.push_front(ClosedLedger::of(closed));
        let sources: BTreeSet<AccountId> = closed.applied.iter().map(|transaction| transaction.source()).collect();
        let mut settled = Vec::new();
        for source in sources {
            let last = ledger.account(&source).map_or(u64::MAX, |account| account.sequence);
            let queued = self.accounts.get(&source).into_iter().flat_map(|account| account.range(..=last));
            let over: Vec<Hash> = queued.map(|(_, queued)| queued.transaction.hash()).collect();
            for hash in over {
                let Some(queued) = self.remove(&hash) else { continue };
                let outcome = self.closed(&hash).unwrap_or_else(|| {
                    let found = queued.transaction.transaction().sequence;
                    TicketOutcome::Refused(TxRejection::Sequence { expected: last.saturating_add(1), found })
                });
                settled.extend(queued.tickets.into_iter().map(|ticket| (ticket, outcome.clone())));
            }
        }
        settled
    }

    /// The host stores what closed so far before it hands over anything else.
    pub(crate) fn flushed(&mut self) {
        self.closed.truncate(CLOSED_LEDGERS);
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
