//! The file that holds a node's seed: a regular file, mode 0600, one strkey line.

use super::key_mark::{KeyMark, sync_folder_of};
use super::lock::{Lock, LockError};
use crate::key::{KeyError, SecretKey};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The most that is read of a key file: a seed is 56 characters and a line end.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Why a key file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("key file {path}: {source}{}", way_out(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There already is a file of this name; keys are never overwritten.
    #[error("{path} exists, and a key is never overwritten: choose another name, or move that file away yourself")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A link, folder, pipe or device.
    #[error(
        "key file {path} is not a regular file: links and devices are refused, so that nobody can swap the key; copy the key there"
    )]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error("key file {path} has mode {mode:04o}, but only its owner may read it: run `chmod 600 {path}`")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It does not hold a seed.
    #[error("key file {path}: {source}")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// Another process uses the key.
    #[error(transparent)]
    Lock(#[from] LockError),
}

fn way_out(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::NotFound {
        "; correct the name, or make a new key with `fba keygen`"
    } else if source.kind() == io::ErrorKind::PermissionDenied {
        "; it has to belong to the user who runs this, and only he may read it"
    } else {
        "" // the others say what they are
    }
}

/// A key this process alone uses: its lock and its mark. Keep it as long as the key is used.
#[derive(Debug)]
pub struct KeyHold {
    mark: KeyMark,
    _lock: Lock,
}

impl KeyHold {
    /// The mark of the held key.
    #[must_use]
    pub fn mark(&self) -> &KeyMark {
        &self.mark
    }
}

/// Reads a key without claiming it: to sign a transaction, or to show the public half.
///
/// # Errors
/// See [`KeyFileError`]; a message never shows the seed.
pub fn read(path: &Path) -> Result<SecretKey, KeyFileError> {
    read_open(&mut open_checked(path)?, path)
}

/// Reads a key and locks its file: what a node does before it opens anything else.
///
/// # Errors
/// See [`KeyFileError`].
pub fn hold(path: &Path) -> Result<(SecretKey, KeyHold), KeyFileError> {
    let mut file = open_checked(path)?;
    let key = read_open(&mut file, path)?;
    let lock = Lock::of_key(file, path)?;
    Ok((key, KeyHold { mark: KeyMark::beside(path), _lock: lock }))
}

/// Writes a new key file, durably, never over an existing one. With `mark` it is marked as never having voted: wanted
/// for the key of a node, pointless for the key of an account.
///
/// # Errors
/// See [`KeyFileError`].
pub fn create_new(path: &Path, key: &SecretKey, mark: bool) -> Result<(), KeyFileError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyFileError::Exists { path }
        } else {
            KeyFileError::Io { path, source }
        }
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(key.to_strkey().as_bytes()).map_err(failed)?;
    file.write_all(b"\n").map_err(failed)?;
    // The umask can only take permissions away; the owner must be able to read.
    file.set_permissions(PermissionsExt::from_mode(0o600)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    sync_folder_of(path).map_err(failed)?;
    if mark {
        let mark = KeyMark::beside(path);
        mark.create().map_err(|source| KeyFileError::Io { path: mark.path().to_owned(), source })?;
    }
    Ok(())
}

/// Opens `path` if it is a regular file only its owner can use, and was that very file before it was opened.
fn open_checked(path: &Path) -> Result<File, KeyFileError> {
    let failed = |source| KeyFileError::Io { path: path.to_owned(), source };
    let before = std::fs::symlink_metadata(path).map_err(failed)?;
    // Checked before opening too: opening a pipe would wait for a writer.
    if !before.is_file() {
        return Err(KeyFileError::NotRegular { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let opened = file.metadata().map_err(failed)?;
    if !same_file(&before, &opened) || !opened.is_file() {
        return Err(KeyFileError::NotRegular { path: path.to_owned() });
    }
    let mode = opened.permissions().mode() & 0o7777;
    if mode != 0o600 && mode != 0o400 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    Ok(file)
}

fn same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

fn read_open(file: &mut File, path: &Path) -> Result<SecretKey, KeyFileError> {
    let mut text = zeroize::Zeroizing::new(String::new());
    if let Err(source) = file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text) {
        let path = path.to_owned();
        // Not UTF-8: certainly not a seed.
        let not_text = source.kind() == io::ErrorKind::InvalidData;
        return Err(if not_text {
            KeyFileError::NotAKey { path, source: KeyError::NotASeed }
        } else {
            KeyFileError::Io { path, source }
        });
    }
    SecretKey::from_strkey(&text).map_err(|source| KeyFileError::NotAKey { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    #[test]
    fn a_key_reads_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        create_new(&path, &key(), true).unwrap();
        assert_eq!(read(&path).unwrap().node_id(), key().node_id());
        assert!(KeyMark::beside(&path).is_present().unwrap());
        assert!(matches!(create_new(&path, &key(), true), Err(KeyFileError::Exists { .. })));
    }

    #[test]
    fn a_key_others_may_read_a_link_a_folder_and_rubbish_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        create_new(&at("good"), &key(), false).unwrap();
        std::os::unix::fs::symlink(at("good"), at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        assert!(matches!(read(&at("link")), Err(KeyFileError::NotRegular { .. })));
        assert!(matches!(read(&at("folder")), Err(KeyFileError::NotRegular { .. })));
        assert!(matches!(read(&at("missing")), Err(KeyFileError::Io { .. })));
        for mode in [0o644, 0o640, 0o660, 0o700, 0o604] {
            std::fs::set_permissions(at("good"), PermissionsExt::from_mode(mode)).unwrap();
            let error = read(&at("good")).unwrap_err();
            assert!(matches!(&error, KeyFileError::Permissions { mode: found, .. } if *found == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        std::fs::set_permissions(at("good"), PermissionsExt::from_mode(0o600)).unwrap();
        for rubbish in [b"".as_slice(), b"SAAA", &[0xff; 56], &[b'S'; 5000]] {
            std::fs::write(at("good"), rubbish).unwrap();
            assert!(matches!(read(&at("good")), Err(KeyFileError::NotAKey { .. })));
        }
    }

    #[test]
    fn a_held_key_cannot_be_held_again_and_the_refusal_names_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        create_new(&path, &key(), true).unwrap();
        let held = hold(&path).unwrap();
        let error = hold(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Lock(LockError::Held { .. })), "{error}");
        #[cfg(target_os = "linux")]
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        // Signing a transaction needs no claim.
        read(&path).unwrap();
        drop(held);
        hold(&path).unwrap();
    }
}
