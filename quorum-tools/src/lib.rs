//! Analysis of quorum structures: who has to agree, what would halt a network, what could split it.
//!
//! Everything here works offline on a [`Network`]: the nodes with the quorum sets they declare. Questions that are
//! hard in general (they are NP-hard) take a [`Budget`] of steps and answer [`OutOfBudget`] rather than run for ever.

pub mod blocking;
pub mod format;
pub mod generate;
pub mod intersection;
pub mod quorum;

mod budget;
mod components;
mod network;
mod node_set;

pub use budget::{Budget, OutOfBudget};
pub use network::{Group, Network, NetworkError, NodeIndex};
pub use node_set::NodeSet;

#[cfg(test)]
mod brute;
