//! The commands of `fba`, one file each.

pub mod exit;
