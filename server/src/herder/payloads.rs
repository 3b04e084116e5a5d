//! Transaction sets at hand, by hash: what values stand for.

use super::tx_queue::TxQueue;
use crate::key::Signatures;
use crate::ledger::{SignedTransaction, TxSet, VerifiedTx, VerifiedTxSet};
use fba_core::{Hash, NodeId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Sets of this many closed ledgers are kept for peers that are a little behind: as long as statements are.
const CLOSED_MAX: usize = super::SLOTS_KEPT as usize;
/// Above this many sets, those that no statement refers to are dropped.
const SETS_MAX: usize = 64;
/// A set that nobody asked for is kept if it is at most this long: it saves a round trip.
pub(crate) const PUSHED_BYTES_MAX: usize = 64 * 1024;
/// Most such sets kept per peer, newest first.
const PUSHED_MAX: usize = 4;

/// A set whose signatures were checked.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// Every signature is genuine.
    Genuine(VerifiedTxSet),
    /// One is not: no value that names it is ever valid.
    Forged(Arc<TxSet>),
}

impl Payload {
    fn shared(&self) -> &Arc<TxSet> {
        match self {
            Self::Genuine(set) => set.shared(),
            Self::Forged(set) => set,
        }
    }
}

/// The sets at hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payloads {
    held: BTreeMap<Hash, Payload>,
    closed: VecDeque<Arc<TxSet>>,
    /// Sets that were nominated and not decided: a node that is behind needs all that a nomination names.
    passed_over: VecDeque<Arc<TxSet>>,
    pushed: BTreeMap<NodeId, VecDeque<Arc<TxSet>>>,
    /// Did one come that statements may wait for?
    fresh: bool,
}

impl Payloads {
    pub(crate) fn get(&self, hash: &Hash) -> Option<&Payload> {
        self.held.get(hash)
    }

    pub(crate) fn genuine(&self, hash: &Hash) -> Option<&VerifiedTxSet> {
        match self.held.get(hash) {
            Some(Payload::Genuine(set)) => Some(set),
            Some(Payload::Forged(_)) | None => None,
        }
    }

    /// `transaction`, if its signatures were checked with a set at hand.
    pub(crate) fn verified(&self, transaction: &SignedTransaction) -> Option<VerifiedTx> {
        self.held.values().find_map(|payload| match payload {
            Payload::Genuine(set) => set.verified(transaction),
            Payload::Forged(_) => None,
        })
    }

    /// For a peer that asks.
    pub(crate) fn serve(&self, hash: &Hash) -> Option<Arc<TxSet>> {
        let old = || self.closed.iter().chain(&self.passed_over);
        let closed = || old().find(|set| set.hash() == *hash).cloned();
        self.held.get(hash).map(|payload| Arc::clone(payload.shared())).or_else(closed)
    }

    /// Takes a set that a statement waits for. Transactions that are in the queue with the same bytes were checked.
    pub(crate) fn add(&mut self, set: Arc<TxSet>, queue: &TxQueue, signatures: &dyn Signatures) {
        let known = |transaction: &SignedTransaction| {
            queue.get(&transaction.hash()).is_some_and(|queued| queued.bytes() == transaction.bytes())
        };
        let payload = match VerifiedTxSet::verify(Arc::clone(&set), signatures, known) {
            Ok(verified) => Payload::Genuine(verified),
            Err(_) => Payload::Forged(set),
        };
        self.fresh = true;
        self.held.insert(payload.shared().hash(), payload);
    }

    pub(crate) fn add_own(&mut self, set: VerifiedTxSet) {
        self.fresh = true;
        self.held.insert(set.hash(), Payload::Genuine(set));
    }

    /// Has a set come since the last time this was asked?
    pub(crate) fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// A set that came without being asked for. Not looked into unless it is wanted later.
    pub(crate) fn push(&mut self, from: NodeId, set: Arc<TxSet>) {
        if set.transaction_bytes() > PUSHED_BYTES_MAX {
            return;
        }
        let pushed = self.pushed.entry(from).or_default();
        pushed.push_front(set);
        pushed.truncate(PUSHED_MAX);
    }

    /// Finds a pushed set, if it is there.
    pub(crate) fn take_pushed(&mut self, hash: &Hash) -> Option<Arc<TxSet>> {
        let pushed = self.pushed.values().flatten();
        pushed.into_iter().find(|set| set.hash() == *hash).cloned()
    }

    pub(crate) fn forget_peer(&mut self, peer: NodeId) {
        self.pushed.remove(&peer);
    }

    pub(crate) fn is_crowded(&self) -> bool {
        self.held.len() > SETS_MAX
    }

    pub(crate) fn retain(&mut self, needed: &BTreeSet<Hash>) {
        self.held.retain(|hash, _| needed.contains(hash));
    }

    /// A ledger closed on top of which the next sets must build: older ones are over.
    pub(crate) fn close(&mut self, set: Arc<TxSet>, header: Hash) {
        self.closed.push_front(set);
        self.closed.truncate(CLOSED_MAX);
        let over = |payload: &Payload| payload.shared().previous() != header;
        for payload in self.held.values().filter(|payload| over(payload)) {
            self.passed_over.push_front(Arc::clone(payload.shared()));
        }
        self.passed_over.truncate(CLOSED_MAX);
        self.held.retain(|_, payload| !over(payload));
    }

    /// A set of a closed ledger, for peers.
    pub(crate) fn restore_closed(&mut self, set: Arc<TxSet>) {
        self.closed.push_front(set);
        self.closed.truncate(CLOSED_MAX);
    }
}
