//! What crosses crates: recordings judged.

pub mod recording;
