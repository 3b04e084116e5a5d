//! What is on the disk of a server that does not run, read from a copy so that looking changes nothing.

use fba_core::{SlotIndex, Statement};
use fba_server::store::DATABASE_FILE;
use fba_server::wire::decode_statement;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// How many closed slots' votes a server keeps.
const CLOSED_SLOTS_KEPT: u64 = 12;

/// The votes in a database.
#[derive(Clone, Debug)]
pub struct StoredVotes {
    /// The newest closed ledger.
    pub last_ledger: u64,
    /// The newest ballot statement about each slot.
    pub ballots: BTreeMap<SlotIndex, Statement>,
}

impl StoredVotes {
    /// Those in a data folder.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let copy = tempfile::tempdir().expect("a temporary folder");
        copy_folder(folder, copy.path()).expect("a data folder can be copied");
        let connection = Connection::open(copy.path().join(DATABASE_FILE)).expect("a database");
        let last: Option<i64> =
            connection.query_row("SELECT max(sequence) FROM ledgers", [], |row| row.get(0)).expect("its ledgers");
        let mut query = connection.prepare("SELECT statement FROM votes WHERE protocol = 1").expect("its votes");
        let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("its votes");
        let ballots = rows
            .map(|bytes| decode_statement(&bytes.expect("a row")).expect("a statement").statement)
            .map(|statement| (statement.slot, statement))
            .collect();
        let last = u64::try_from(last.unwrap_or(0)).expect("sequences are not negative");
        Self { last_ledger: last, ballots }
    }

    /// The statements among `heard` that this database does not know, of slots whose votes it would still keep.
    #[must_use]
    pub fn forgotten(&self, heard: &BTreeMap<SlotIndex, Statement>) -> Vec<Statement> {
        let kept_from = SlotIndex(self.last_ledger.saturating_sub(CLOSED_SLOTS_KEPT));
        let knows = |statement: &Statement| {
            self.ballots.get(&statement.slot).is_some_and(|own| own == statement || own.is_newer_than(statement))
        };
        heard.range(kept_from..).map(|(_, statement)| statement).filter(|heard| !knows(heard)).cloned().collect()
    }
}

/// Copies the files of a folder.
///
/// # Errors
/// When one cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in files(from)? {
        if let Some(name) = file.file_name() {
            let _bytes = std::fs::copy(&file, to.join(name))?;
        }
    }
    Ok(())
}

/// The files of a folder that belong to its database.
///
/// # Errors
/// When the folder cannot be read.
pub fn database_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let of_database = |file: &PathBuf| file.file_name().is_some_and(|name| is_of_database(&name.to_string_lossy()));
    Ok(files(folder)?.into_iter().filter(of_database).collect())
}

fn is_of_database(name: &str) -> bool {
    name.starts_with(DATABASE_FILE)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// A copy of a database made while a server uses it, with SQLite's own backup: what an operator keeps.
///
/// # Panics
/// When it cannot be made.
pub fn backup(folder: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder for the copy");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let live = Connection::open_with_flags(folder.join(DATABASE_FILE), flags).expect("a running server's database");
    let whole: Option<fn(rusqlite::backup::Progress)> = None;
    live.backup("main", to.join(DATABASE_FILE), whole).expect("a running server's database can be backed up");
}
