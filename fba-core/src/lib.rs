//! The Stellar Consensus Protocol (SCP) as a pure state machine.
//!
//! `docs/protocol.md` states every rule with a number (`N1`…, `B1`…); the code cites the numbers. The crate knows no
//! sockets, files, clocks, signatures, JSON, ledgers, transactions or logging: inputs and outputs are data
//! ([`Node::handle`]), time is a number that comes back, and the few questions about values go to a [`Driver`].
#![cfg_attr(not(test), no_std)]
extern crate alloc;

mod ballot;
mod driver;
mod effect;
mod id;
mod node;
mod nomination;
mod outlet;
mod quorum_set;
mod slot;
mod statement;
mod tally;

pub use ballot::Phase;
pub use driver::{Driver, Purpose, Validity};
pub use effect::{Effect, Evidence, Input, Moved, Rejected, Rule, Timer};
pub use id::{Hash, NodeId, SlotIndex, Value};
pub use node::Node;
pub use nomination::leader;
pub use quorum_set::{DEPTH_MAX, Others, QuorumSet, QuorumSetError, VALIDATORS_MAX};
pub use slot::SlotState;
pub use statement::{Attested, Ballot, Malformed, Pledge, SenderSet, Statement};
pub use tally::quorum_among;
