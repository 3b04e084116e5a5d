//! What crosses crates: trace replay, recordings judged, real processes and what may happen to them.

pub mod acked;
pub mod bench;
pub mod cluster;
pub mod faults;
pub mod history;
pub mod http_load;
pub mod liar;
pub mod recording;
pub mod replay;
pub mod returning;
pub mod sim;
