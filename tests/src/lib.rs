//! What crosses crates: trace replay, simulator, real processes.

pub mod replay;
pub mod sim;
