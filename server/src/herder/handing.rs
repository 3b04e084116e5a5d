//! What is to be handed on to peers: collected, so that under load many transactions share one message.

use crate::ledger::SignedTransaction;
use crate::wire::{HASHES_MAX, TRANSACTIONS_MAX};
use fba_core::Hash;
use std::sync::Arc;
use std::time::Duration;

/// Under load our clients' transactions leave this often: little against a close, much against a message each.
const PUSH_EVERY: Duration = Duration::from_millis(5);

/// Under load hashes leave this often. Most peers have shown by then that they got the transaction from elsewhere, or
/// it is in a ledger.
const ADVERTISE_EVERY: Duration = Duration::from_millis(100);

/// Transactions and hashes on their way out.
#[derive(Clone, Debug)]
pub(crate) struct Handing {
    /// Our clients' transactions, for every peer.
    pub(crate) pushes: Paced<Arc<SignedTransaction>>,
    /// Hashes of what peers brought, for those who do not have it.
    pub(crate) adverts: Paced<Hash>,
}

impl Default for Handing {
    fn default() -> Self {
        Self { pushes: Paced::new(PUSH_EVERY, TRANSACTIONS_MAX), adverts: Paced::new(ADVERTISE_EVERY, HASHES_MAX) }
    }
}

impl Handing {
    /// When something that waits is to leave.
    pub(crate) fn due(&self) -> Option<Duration> {
        [self.pushes.due(), self.adverts.due()].into_iter().flatten().min()
    }
}

/// Things that leave at once, but no more often than every so often, unless they fill a message.
#[derive(Clone, Debug)]
pub(crate) struct Paced<T> {
    waiting: Vec<T>,
    every: Duration,
    full: usize,
    next: Duration,
}

impl<T> Paced<T> {
    fn new(every: Duration, full: usize) -> Self {
        Self { waiting: Vec::new(), every, full, next: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, one: T) {
        self.waiting.push(one);
    }

    /// What is to leave now: everything, or nothing yet. Called with every flush, which bounds what waits.
    pub(crate) fn take(&mut self, now: Duration) -> Vec<T> {
        if self.waiting.is_empty() || (now < self.next && self.waiting.len() < self.full) {
            return Vec::new();
        }
        self.next = now + self.every;
        std::mem::take(&mut self.waiting)
    }

    fn due(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_leaves_at_once_and_those_behind_it_together() {
        let at = Duration::from_millis;
        let mut paced = Paced::new(at(100), 10);
        assert_eq!((paced.due(), paced.take(at(0))), (None, vec![]));
        paced.add(1);
        assert_eq!(paced.take(at(1_000)), [1]);
        paced.add(2);
        paced.add(3);
        assert_eq!((paced.take(at(1_099)), paced.due()), (vec![], Some(at(1_100))));
        assert_eq!((paced.take(at(1_100)), paced.due()), (vec![2, 3], None));
    }

    #[test]
    fn a_full_message_does_not_wait() {
        let mut paced = Paced::new(Duration::from_secs(1), 3);
        paced.add(0);
        paced.take(Duration::ZERO);
        (0..3).for_each(|one| paced.add(one));
        assert_eq!(paced.take(Duration::ZERO), [0, 1, 2]);
    }
}
