//! How far catching up has come, and how fast it goes.

use std::collections::VecDeque;
use std::time::Duration;

/// The rate is that of the last seconds: one sample a second, so many of them.
const SAMPLES_MAX: usize = 10;
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// From the first ledger lacked on.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The first ledger that was lacking when it began.
    pub(crate) from: u64,
    /// When it began.
    pub(crate) since: Duration,
    /// Ledgers applied by then, at some moments, oldest first.
    samples: VecDeque<(Duration, u64)>,
}

impl Progress {
    pub(crate) fn begin(now: Duration, from: u64) -> Self {
        Self { from, since: now, samples: VecDeque::from([(now, from.saturating_sub(1))]) }
    }

    /// Ledger `last` is the newest now.
    pub(crate) fn note(&mut self, now: Duration, last: u64) {
        let is_due = self.samples.back().is_none_or(|(at, _)| *at + SAMPLE_EVERY <= now);
        if is_due {
            self.samples.push_back((now, last));
            if self.samples.len() > SAMPLES_MAX {
                self.samples.pop_front();
            }
        }
    }

    /// Ledgers a second lately; nothing before there is anything to go by.
    pub(crate) fn per_second(&self, now: Duration, last: u64) -> Option<u64> {
        let (at, then) = self.samples.front()?;
        let ms = u64::try_from(now.saturating_sub(*at).as_millis()).ok().filter(|ms| *ms > 0)?;
        let done = last.saturating_sub(*then);
        (done > 0).then(|| done.saturating_mul(1_000) / ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let at = Duration::from_secs;
        let mut progress = Progress::begin(at(0), 11);
        assert_eq!(progress.per_second(at(0), 10), None);
        (1..=20).for_each(|second| progress.note(at(second), 10 + second * 100));
        (21..=40).for_each(|second| progress.note(at(second), 2_010 + (second - 20) * 500));
        assert_eq!(progress.per_second(at(40), 12_010), Some(500));
    }
}
