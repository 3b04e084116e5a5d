//! Files that hold a secret: regular files that only their owner can use, and that nobody swaps while they are opened.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Why a file is not trusted with a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A link, folder, pipe or device.
    #[error("it is not a regular file: links and devices are refused, so that nobody can swap it")]
    NotRegular,
    /// Others may read or write it.
    #[error("it has mode {0:04o}, but only its owner may read it")]
    Permissions(u32),
}

/// Opens `path` if it is a regular file only its owner can use, and was that very file before it was opened.
pub(crate) fn open(path: &Path) -> Result<File, Untrusted> {
    let before = std::fs::symlink_metadata(path)?;
    // Checked before opening too: opening a pipe would wait for a writer.
    if !before.is_file() {
        return Err(Untrusted::NotRegular);
    }
    let file = File::open(path)?;
    let opened = file.metadata()?;
    if !same_file(&before, &opened) || !opened.is_file() {
        return Err(Untrusted::NotRegular);
    }
    let mode = opened.permissions().mode() & 0o7777;
    if mode != 0o600 && mode != 0o400 {
        return Err(Untrusted::Permissions(mode));
    }
    Ok(file)
}

fn same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}
