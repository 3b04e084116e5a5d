//! The commands of `fba`, one file each.

pub mod account;
pub mod client;
pub mod data;
pub mod exit;
pub mod ledger;
pub mod pay;
pub mod signing;
pub mod status;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tx;
pub mod watch;
