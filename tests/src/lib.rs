//! What crosses crates: trace replay, recordings judged, real processes.

pub mod acked;
pub mod cluster;
pub mod http_load;
pub mod kills;
pub mod recording;
pub mod replay;
pub mod sim;
