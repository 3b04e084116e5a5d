//! The `fba` server: SCP over QUIC, a ledger in SQLite, an HTTP API.
//!
//! `ARCHITECTURE.md` at the top of the repository says which module knows what.

pub mod app;
pub mod audit;
pub mod cbor;
pub mod cli;
pub mod config;
pub mod demo;
pub mod herder;
pub mod history;
pub mod http;
pub mod key;
pub mod ledger;
pub mod overlay;
pub mod proof;
pub mod record;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod wire;
