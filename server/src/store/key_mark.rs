//! The mark that says a key has never voted.
//!
//! `keygen` writes an empty file `KEY.unused` beside the key file `KEY`. It is removed, durably, before the key's first
//! vote. A key without its mark has voted somewhere: it may vote again only with the database that knows what it said.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Where the mark of one key is. The file is looked at when it is asked for, never remembered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyMark(PathBuf);

impl KeyMark {
    /// The mark beside the key file `key`.
    #[must_use]
    pub fn beside(key: &Path) -> Self {
        let mut name = key.as_os_str().to_owned();
        name.push(".unused");
        Self(PathBuf::from(name))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the mark, durably. Only whoever has just made the key may say so.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create(&self) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(&self.0)?.sync_all()?;
        sync_folder_of(&self.0)
    }

    /// Is the key still unused?
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn is_present(&self) -> io::Result<bool> {
        self.0.try_exists()
    }

    /// Removes the mark, durably: when this returns, no crash brings it back. Nothing to do if it is gone.
    ///
    /// # Errors
    /// When it cannot be removed, or not durably. The key must not vote then.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => sync_folder_of(&self.0),
        }
    }
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_made_once_and_removed_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let mark = KeyMark::beside(&folder.path().join("node.key"));
        assert!(mark.path().ends_with("node.key.unused"));
        assert!(!mark.is_present().unwrap());
        mark.create().unwrap();
        assert!(mark.is_present().unwrap());
        assert_eq!(mark.create().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        mark.remove().unwrap();
        mark.remove().unwrap();
        assert!(!mark.is_present().unwrap());
    }
}
