//! The `fba` server: SCP over QUIC, a ledger in SQLite, an HTTP API.
//!
//! `ARCHITECTURE.md` at the top of the repository says which module knows what.

pub mod cbor;
pub mod herder;
pub mod key;
pub mod ledger;
pub mod overlay;
pub mod runtime;
pub mod wire;
