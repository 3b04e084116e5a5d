//! What crosses crates: trace replay, recordings judged.

pub mod recording;
pub mod replay;
