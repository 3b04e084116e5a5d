//! What crosses crates: trace replay, recordings judged, real processes.

pub mod acked;
pub mod bench;
pub mod cluster;
pub mod history;
pub mod kills;
pub mod liar;
pub mod recording;
pub mod replay;
pub mod returning;
pub mod sim;
