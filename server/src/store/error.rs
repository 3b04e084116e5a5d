//! What can be wrong with a store. Each message says what, where, which rule, and the way out.

use super::lock::LockError;
use std::io;
use std::path::PathBuf;

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The data folder, or a file in it other than the database, cannot be used.
    #[error(
        "{path}: cannot {what}: {source}; data_dir has to be a folder that this user may write, on a disk with space"
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process uses the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// SQLite failed: disk full, disk broken, file damaged.
    #[error("database: cannot {what}: {source}{}", way_out(source))]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The SQLite library is too old to be safe.
    #[error("SQLite {found} can corrupt databases in WAL mode; 3.51.3 or newer is needed: build with the bundled one")]
    SqliteTooOld {
        /// Its version.
        found: String,
    },
    /// A setting did not take.
    #[error(
        "{path}: SQLite did not take the setting {name} = {wanted} (it is {found}), without which votes are not safe; \
         is the database on a network file system, or in use by another program?"
    )]
    Setting {
        /// The database.
        path: PathBuf,
        /// The pragma.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// Not a database of ours.
    #[error("{path} is not a database of fba: {found}; name another data folder, or move that file away")]
    NotOurs {
        /// The database.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// A copy is never made over something.
    #[error("{path} exists, and a backup never overwrites: choose another name, or move that file away")]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// Written by a newer version.
    #[error("{path} has schema {found}, this version of fba knows up to {known}: start the newer fba again")]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this build knows.
        known: i64,
    },
    /// Belongs to another network.
    #[error(
        "{path} belongs to the network {found}, the configuration says {wanted}: \
         check network_passphrase, or use a data folder of its own for each network"
    )]
    OtherNetwork {
        /// The database.
        path: PathBuf,
        /// Its network's id.
        found: String,
        /// Our network's id.
        wanted: String,
    },
    /// Belongs to another node.
    #[error(
        "{path} belongs to the node {found}, the key is that of {wanted}: \
         check node_seed_file, or use a data folder of its own for each node"
    )]
    OtherNode {
        /// The database.
        path: PathBuf,
        /// Its node.
        found: String,
        /// Our node.
        wanted: String,
    },
    /// A check at start failed.
    #[error(
        "{path} is damaged: {report}; move the data folder away and start again: the node fetches the ledgers from its \
         peers, and does not vote until that is safe"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What the check says.
        report: String,
    },
    /// A row is not what was written.
    #[error(
        "database: {table} {key} is damaged ({rule}); stop the node, check the disk and move the data folder away: the \
         node fetches the ledgers from its peers, and does not vote until that is safe"
    )]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row.
        key: String,
        /// What does not hold.
        rule: &'static str,
    },
    /// An earlier commit failed, so nobody knows what is on the disk.
    #[error("an earlier write to the database failed, and what is on the disk is not known: start the node again")]
    Poisoned,
    /// A vote by a key that may have voted differently before.
    #[error("this node must not vote: {reason}")]
    MayNotVote {
        /// Why.
        reason: String,
    },
}

/// What to do about a failure of SQLite, where that is known.
fn way_out(source: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            "; what is in data_dir is not a node's database: name another data folder, or move that file away"
        }
        Some(ErrorCode::DiskFull) => "; free some space on that disk and start the node again",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "; this user must be able to write every file in data_dir"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "; move the data folder away and start again: the node fetches the ledgers from its peers, and does not vote \
             until that is safe"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "; the disk fails, and what is on it is not known: check it, then start the node again, which has said \
             nothing that was not stored"
        }
        // The others say what they are.
        _ => "",
    }
}

/// Says what was tried when SQLite fails.
pub(crate) trait During<T> {
    fn during(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, rusqlite::Error> {
    fn during(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Sqlite { what, source })
    }
}
