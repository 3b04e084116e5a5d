//! What is to be handed on to peers: collected between flushes, so that many transactions share one message.

use crate::ledger::SignedTransaction;
use crate::wire::HASHES_MAX;
use fba_core::Hash;
use std::sync::Arc;
use std::time::Duration;

/// Adverts leave at once, but no more often than this. Under load most peers have shown by then that they got the
/// transaction from elsewhere, or it is in a ledger.
const ADVERTS_EVERY: Duration = Duration::from_millis(100);

/// Transactions and hashes on their way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handing {
    /// Our clients'. Bounded by the inputs between two flushes.
    pushed: Vec<Arc<SignedTransaction>>,
    /// Hashes of what peers brought: as many as one message holds, then they leave early.
    adverts: Vec<Hash>,
    adverts_due: Duration,
}

impl Handing {
    pub(crate) fn push(&mut self, transaction: Arc<SignedTransaction>) {
        self.pushed.push(transaction);
    }

    pub(crate) fn take_pushed(&mut self) -> Vec<Arc<SignedTransaction>> {
        std::mem::take(&mut self.pushed)
    }

    pub(crate) fn advertise(&mut self, hash: Hash) {
        self.adverts.push(hash);
    }

    /// The hashes to be told now: all of them, or none yet.
    pub(crate) fn take_adverts(&mut self, now: Duration) -> Vec<Hash> {
        if self.adverts.is_empty() || (now < self.adverts_due && self.adverts.len() < HASHES_MAX) {
            return Vec::new();
        }
        self.adverts_due = now + ADVERTS_EVERY;
        std::mem::take(&mut self.adverts)
    }

    /// When hashes that wait are to be told.
    pub(crate) fn due(&self) -> Option<Duration> {
        (!self.adverts.is_empty()).then_some(self.adverts_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_advert_leaves_at_once_and_those_behind_it_together() {
        let (mut handing, at) = (Handing::default(), Duration::from_millis);
        handing.advertise(Hash([1; 32]));
        assert_eq!(handing.take_adverts(at(1_000)), [Hash([1; 32])]);
        handing.advertise(Hash([2; 32]));
        handing.advertise(Hash([3; 32]));
        assert_eq!(handing.take_adverts(at(1_099)), []);
        assert_eq!(handing.due(), Some(at(1_100)));
        assert_eq!(handing.take_adverts(at(1_100)), [Hash([2; 32]), Hash([3; 32])]);
        assert_eq!(handing.due(), None);
    }

    #[test]
    fn a_full_message_of_hashes_does_not_wait() {
        let mut handing = Handing::default();
        handing.advertise(Hash::ZERO);
        handing.take_adverts(Duration::ZERO);
        (0..HASHES_MAX).for_each(|_| handing.advertise(Hash::ZERO));
        assert_eq!(handing.take_adverts(Duration::ZERO).len(), HASHES_MAX);
    }
}
