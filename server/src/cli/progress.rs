//! How far long work is: one line on a terminal that is written over, nothing where nobody looks.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A line that changed more often could not be read.
const SHOWN_EVERY: Duration = Duration::from_millis(200);

/// Progress of one piece of work, on standard error.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    unit: &'static str,
    begun: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    /// Work whose parts are counted in `unit`, such as "ledgers".
    #[must_use]
    pub fn new(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, begun: Instant::now(), shown: None, terminal: io::stderr().is_terminal() }
    }

    /// `done` of `total` parts are done.
    pub fn at(&mut self, done: u64, total: u64) {
        if !self.terminal || self.shown.is_some_and(|shown| shown.elapsed() < SHOWN_EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let line = line(self.what, self.unit, done, total, self.begun.elapsed());
        let mut out = io::stderr().lock();
        // Nobody to tell if even that cannot be written.
        let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
    }

    /// Parts per second so far.
    #[must_use]
    pub fn rate(&self, done: u64) -> f64 {
        done as f64 / self.begun.elapsed().as_secs_f64().max(0.001)
    }

    /// Seconds so far.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            // As above.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, unit: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = total.saturating_sub(done) as f64 / rate.max(0.001);
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    format!("{what}: {done} of {total} {unit} ({percent} %), {rate:.0}/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let shown = line("checking", "ledgers", 50, 200, Duration::from_secs(5));
        assert_eq!(shown, "checking: 50 of 200 ledgers (25 %), 10/s, 15 s left");
    }
}
