//! Networks to start from (`networks/`), and programs that use the public API (`src/bin/`).

use std::path::PathBuf;

/// The folder of example networks.
#[must_use]
pub fn networks() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "networks"].iter().collect()
}
