//! The commands of `fba`, one file each.

pub mod config_check;
pub mod exit;
pub mod keygen;
pub mod network_init;
