//! Real servers, and what may happen to one of them.
//!
//! Each file tries one fault again and again on a network under load ([`stage`]), and judges by what the others
//! recorded, by what clients were promised, and by what is on the disk. A seed decides who is struck, when and how.

#![expect(clippy::panic, reason = "what a network does not do in time fails the test")]

pub mod chance;
pub mod clock;
pub mod corruption;
pub mod fsync;
pub mod full_disk;
pub mod kills;
pub mod lost_votes;
pub mod pauses;
pub mod shim;
pub mod spread;
pub mod stage;
pub mod stored;
pub mod tail;

use std::collections::BTreeMap;
use std::fmt;

/// What a run shows.
pub trait Verdict: fmt::Display {
    /// Did everything hold that must?
    fn holds(&self) -> bool;
}

/// How often each message was printed, without what differs from case to case.
#[derive(Clone, Debug, Default)]
pub struct Messages(BTreeMap<String, usize>);

impl Messages {
    /// One more.
    pub fn add(&mut self, message: impl Into<String>) {
        *self.0.entry(message.into()).or_default() += 1;
    }

    /// How many were printed in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(message, count)| writeln!(f, "  {count:>4} × {message}"))
    }
}

/// Writes what must not be, a line for each.
fn violations(f: &mut fmt::Formatter<'_>, all: &[String]) -> fmt::Result {
    all.iter().try_for_each(|violation| writeln!(f, "VIOLATION: {violation}"))
}

/// A message with an N for each number: the same words for every case.
fn without_numbers(text: &str) -> String {
    let mut words = String::new();
    for character in text.chars() {
        match (character.is_ascii_digit(), words.ends_with('N')) {
            (true, true) => {}
            (true, false) => words.push('N'),
            (false, _) => words.push(character),
        }
    }
    words
}
