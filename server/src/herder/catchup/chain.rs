//! Hashes of headers that follow from a decision: an unbroken run, extended from its proven end downwards.

use fba_core::Hash;
use std::collections::VecDeque;

/// Hashes remembered at once: 32 MiB, twelve days of one-second ledgers. A longer gap is closed in stages.
const HASHES_MAX: usize = 1 << 20;

/// The proven run. Of a gap longer than it may remember it keeps the lower end, and of what is above one hash in
/// `stage`: after the lower end is applied, the next stage begins at the lowest of those.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    most: usize,
    /// The sequence of the first of `hashes`.
    low: u64,
    hashes: VecDeque<Hash>,
    /// Proven headers above `hashes`, highest first.
    stages: Vec<(u64, Hash)>,
    /// Does our last ledger lie below `low`, as the header of `low` says?
    joined: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self::holding(HASHES_MAX)
    }
}

impl Chain {
    /// An empty chain that remembers at most so many hashes, at least two.
    pub(crate) fn holding(most: usize) -> Self {
        Self { most: most.max(2), low: 0, hashes: VecDeque::new(), stages: Vec::new(), joined: false }
    }

    /// Begins anew with one proven header.
    pub(crate) fn begin(&mut self, sequence: u64, hash: Hash) {
        (self.low, self.joined) = (sequence, false);
        self.hashes = VecDeque::from([hash]);
    }

    /// Takes up the next stage, if there is one.
    pub(crate) fn next_stage(&mut self) -> bool {
        let next = self.stages.pop();
        if let Some((sequence, hash)) = next {
            self.begin(sequence, hash);
        }
        next.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The lowest header proven: the next to be asked for, until the chain is joined.
    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    /// The highest header of this stage.
    pub(crate) fn high(&self) -> u64 {
        (self.low + self.hashes.len() as u64).saturating_sub(1)
    }

    /// Is the whole run from our last ledger up proven?
    pub(crate) fn is_joined(&self) -> bool {
        self.joined
    }

    pub(crate) fn join(&mut self) {
        self.joined = true;
    }

    pub(crate) fn hash_of(&self, sequence: u64) -> Option<Hash> {
        let index = usize::try_from(sequence.checked_sub(self.low)?).ok()?;
        self.hashes.get(index).copied()
    }

    /// `page` holds the hashes of headers up to the lowest proven one, each named by the next, lowest first. False if
    /// it does not end in what is proven.
    pub(crate) fn extend(&mut self, page: &[Hash]) -> bool {
        let Some((last, below)) = page.split_last() else { return false };
        if self.hashes.front() != Some(last) {
            return false;
        }
        for hash in below.iter().rev() {
            self.low = self.low.saturating_sub(1);
            self.hashes.push_front(*hash);
            self.forget_the_highest();
        }
        true
    }

    fn forget_the_highest(&mut self) {
        let (high, stage) = (self.high(), (self.most / 2) as u64);
        if self.hashes.len() <= self.most {
            return;
        }
        if let Some(hash) = self.hashes.pop_back()
            && high.is_multiple_of(stage)
        {
            self.stages.push((high, hash));
        }
    }

    /// Ledger `sequence` is closed here: what is at or below it needs no proof any more.
    pub(crate) fn closed(&mut self, sequence: u64) {
        while self.low <= sequence && self.hashes.pop_front().is_some() {
            self.low += 1;
        }
        while self.stages.last().is_some_and(|(lowest, _)| *lowest <= sequence) {
            self.stages.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(sequence: u64) -> Hash {
        crate::key::sha256(&[&sequence.to_be_bytes()])
    }

    fn page(from: u64, to: u64) -> Vec<Hash> {
        (from..=to).map(hash).collect()
    }

    #[test]
    fn a_page_that_does_not_end_in_what_is_proven_is_refused() {
        let mut chain = Chain::default();
        chain.begin(100, hash(100));
        assert!(!chain.extend(&page(50, 99)) && !chain.extend(&[]));
        assert!(chain.extend(&page(90, 100)));
        assert_eq!((chain.low(), chain.high(), chain.hash_of(95)), (90, 100, Some(hash(95))));
        assert_eq!((chain.hash_of(89), chain.hash_of(101)), (None, None));
    }

    #[test]
    fn a_gap_longer_than_may_be_remembered_is_closed_in_stages() {
        let mut chain = Chain::holding(10);
        chain.begin(100, hash(100));
        let mut walked = 0;
        let mut closed = 0;
        while closed < 100 {
            while chain.low() > closed {
                let from = chain.low().saturating_sub(7).max(closed);
                walked += chain.low() - from;
                assert!(chain.extend(&page(from, chain.low())));
                assert!(chain.hashes.len() <= 10);
            }
            chain.join();
            let high = chain.high();
            assert!((chain.low()..=high).all(|at| chain.hash_of(at) == Some(hash(at))));
            chain.closed(high);
            closed = high;
            assert!(chain.is_empty());
            assert_eq!(chain.next_stage(), closed < 100, "{closed}");
        }
        assert!(walked <= 3 * 100, "{walked}");
    }
}
