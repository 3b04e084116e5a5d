//! One process at a time: exclusive locks on the data folder and on the key.
//!
//! Two processes that vote with one key contradict themselves. The kernel holds the lock, so a killed process leaves
//! none behind; the lock file itself stays, and only says who had it last.

use fs4::fs_std::FileExt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The name of the lock file inside a data folder.
pub const LOCK_FILE: &str = "fba.lock";

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// Closing the file releases the lock.
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{path} is in use by {}: a key and its data folder serve one process at a time; \
         stop that process, or give this node a key and a data folder of its own",
        holder(*pid)
    )]
    Held {
        /// What is locked.
        path: PathBuf,
        /// The process that holds it, if the system tells.
        pid: Option<u32>,
    },
    /// The lock file cannot be made, or the file system cannot lock.
    #[error("cannot lock {path}: {source}; the data folder must be writable and on a file system with locks")]
    Io {
        /// What was to be locked.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl Lock {
    /// Locks the data folder `folder`, which must exist.
    ///
    /// # Errors
    /// [`LockError`]; `Held` names the process that has it.
    pub fn of_folder(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if !file.try_lock_exclusive().map_err(failed)? {
            let mut text = String::new();
            // Only for the message: what cannot be read is simply not said.
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(LockError::Held { path: folder.to_owned(), pid });
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// Locks the open key file `file`, found at `path`.
    ///
    /// # Errors
    /// [`LockError`]; `Held` names the process where the system lists its locks.
    pub fn of_key(file: File, path: &Path) -> Result<Self, LockError> {
        match file.try_lock_exclusive() {
            Ok(true) => Ok(Self { _file: file }),
            Ok(false) => Err(LockError::Held { path: path.to_owned(), pid: pid_from_kernel(&file) }),
            Err(source) => Err(LockError::Io { path: path.to_owned(), source }),
        }
    }
}

/// The process that holds a lock on `file`, from Linux's list of locks. A key file cannot hold a note beside the key.
fn pid_from_kernel(file: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 14253 fe:00:10010649 0 EOF`
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(4);
        let pid = fields.next()?.parse().ok()?;
        (fields.next()?.rsplit(':').next()? == inode).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_process_that_has_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::of_folder(folder.path()).unwrap();
        let error = Lock::of_folder(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::Held { pid: Some(pid), .. } if pid == std::process::id()));
        assert!(error.to_string().contains(&format!("process {}", std::process::id())));
        drop(first);
        Lock::of_folder(folder.path()).unwrap();
    }
}
