//! Two sides measured in turn by one client: a slice of time for one, a slice for the other, again and again. What else
//! the machine does falls on both alike, so the ratio holds where the times themselves do not.

use super::{median, ms};
use std::fmt;
use std::time::{Duration, Instant};

/// One turn of one side.
const SLICE: Duration = Duration::from_millis(600);

/// Turns of each side.
pub(super) const ROUNDS: usize = 8;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    /// Median of the first side's slice medians.
    first: Duration,
    second: Duration,
    /// Of the rounds' ratios.
    median: f64,
    min: f64,
    max: f64,
}

impl Ratio {
    /// Both columns: `12.34 / 5.60 ms`, and the ratio with its range.
    pub(super) fn cells(self) -> [String; 2] {
        [format!("{:.2} / {:.2} ms", ms(self.first), ms(self.second)), self.to_string()]
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} [{:.2}, {:.2}]", self.median, self.min, self.max)
    }
}

/// Runs both sides in turn; each call of a side is one operation.
pub(super) fn alternate(mut first: impl FnMut(), mut second: impl FnMut()) -> Ratio {
    let rounds: Vec<(Duration, Duration)> = (0..ROUNDS).map(|_| (slice(&mut first), slice(&mut second))).collect();
    let mut ratios: Vec<f64> = rounds.iter().map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
    let (mut firsts, mut seconds): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    let middle = median(&mut ratios);
    Ratio {
        first: median(&mut firsts),
        second: median(&mut seconds),
        median: middle,
        min: ratios.first().copied().unwrap_or_default(),
        max: ratios.last().copied().unwrap_or_default(),
    }
}

/// The median time of the operations that fit into one slice; at least one does.
fn slice(operation: &mut impl FnMut()) -> Duration {
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || begun.elapsed() < SLICE {
        let begun = Instant::now();
        operation();
        times.push(begun.elapsed());
    }
    median(&mut times)
}
