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

/// Characters of a key as it is shown.
const KEY_CHARACTERS: usize = 56;

/// A message without what differs from case to case: KEY for each key, N for each number.
fn without_numbers(text: &str) -> String {
    let (mut without, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let plain = |character: char| character.is_ascii_alphanumeric() == first.is_ascii_alphanumeric();
        let end = rest.find(|character| !plain(character)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        match word.len() {
            KEY_CHARACTERS => without.push_str("KEY"),
            _ => without.push_str(&numbers_as_n(word)),
        }
    }
    without
}

fn numbers_as_n(word: &str) -> String {
    let mut marked = word.replace(|character: char| character.is_ascii_digit(), "\u{0}");
    while marked.contains("\u{0}\u{0}") {
        marked = marked.replace("\u{0}\u{0}", "\u{0}");
    }
    marked.replace('\u{0}', "N")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_numbers_are_left_out_of_messages() {
        let key = "GAJMNNXUIIRZ7AEIAQUBUTIELF4OBI3FAMOB7GAN3SBDEMI2JDVMCMCZ";
        assert_eq!(without_numbers(&format!("node {key}, slot 812 of N1")), "node KEY, slot N of NN");
    }
}
