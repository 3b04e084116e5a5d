//! Many times in one line.

use std::fmt;
use std::time::Duration;

/// Times measured, shown as their median and their maximum.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<Duration>);

impl Spread {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        let at = self.0.partition_point(|other| *other <= time);
        self.0.insert(at, time);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.get(self.0.len() / 2), self.0.last()) {
            (Some(median), Some(worst)) => {
                write!(f, "median {:.2} s, worst {:.2} s", median.as_secs_f64(), worst.as_secs_f64())
            }
            (_, _) => f.write_str("nothing measured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_worst_are_shown_whatever_the_order() {
        let mut spread = Spread::default();
        assert_eq!(spread.to_string(), "nothing measured");
        [3, 1, 9].iter().for_each(|seconds| spread.add(Duration::from_secs(*seconds)));
        assert_eq!((spread.to_string().as_str(), spread.len()), ("median 3.00 s, worst 9.00 s", 3));
    }
}
