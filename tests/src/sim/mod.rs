//! A deterministic simulator over core, herder and ledger: everything but QUIC, SQLite and HTTP.
//!
//! One `u64` decides everything: who trusts whom, how messages are delayed, lost, doubled and reordered, which links
//! and nodes fail and when, what the clocks show, what clients submit. Time is a number; nothing waits. After a phase of
//! faults everything is healed, and everybody must close further ledgers. The same seed gives the same trace.

mod disk;
mod faults;
mod load;
mod network;
mod node;
mod oracle;
mod rng;
mod signer;
mod topology;
mod world;

pub use faults::Counts;
pub use topology::Topology;
pub use world::{Failure, Forgetting, Options, Outcome, run, run_forgetting};
