//! Interface sketch; replaced by the herder's branch.

mod io;

pub use io::*;
