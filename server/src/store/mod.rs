//! What survives a restart: SQLite, one writer, many readers.

pub mod key_file;
pub mod key_mark;
pub mod lock;
pub mod side_file;

pub use key_file::{KeyFileError, KeyHold};
pub use key_mark::KeyMark;
