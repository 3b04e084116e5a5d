//! Networks as other programs write them.

pub mod stellar_core;
