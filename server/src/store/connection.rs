//! Opening SQLite so that what it calls committed is on the disk.

use super::error::{During, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Older ones can corrupt a database in WAL mode ("WAL-reset", fixed in 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Statements kept prepared per connection: more than there are in the code.
const STATEMENTS_MAX: usize = 64;

/// Up to this size the whole file is checked at start, indexes too: a few seconds at most. Beyond, without indexes.
const FULL_CHECK_BYTES_MAX: u64 = 512 << 20;

/// A pragma, what it is set to, and what must be read back.
type Setting = (&'static str, &'static str, &'static str);

/// How the one writer is set.
const WRITER: [Setting; 8] = [
    ("journal_mode", "WAL", "wal"),
    // Every commit is synced. In WAL mode NORMAL can lose the newest commits with the power: votes that were sent.
    ("synchronous", "FULL", "2"),
    ("foreign_keys", "ON", "1"),
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
    // A failing disk must give an error, not a signal.
    ("mmap_size", "0", "0"),
    ("busy_timeout", "5000", "5000"),
    // Never by itself: SQLite would go on as if nothing had happened when a sync of the log fails in it.
    ("wal_autocheckpoint", "0", "0"),
];

/// How readers are set.
const READER: [Setting; 5] = [
    ("query_only", "ON", "1"),
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
    ("mmap_size", "0", "0"),
    ("busy_timeout", "5000", "5000"),
];

/// Opens the writer, and checks the whole file if it is not new.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(StoreError::SqliteTooOld { found: rusqlite::version().to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).during("open the database")?;
    set(&connection, path, &WRITER)?;
    check(&connection, path)?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).during("open the database for reading")?;
    set(&connection, path, &READER)?;
    Ok(connection)
}

/// Switches whether commits are synced, and makes sure it took.
pub(crate) fn set_synced(connection: &Connection, path: &Path, synced: bool) -> Result<(), StoreError> {
    let setting = if synced { ("synchronous", "FULL", "2") } else { ("synchronous", "NORMAL", "1") };
    set(connection, path, &[setting])
}

/// How many pages of the log are not moved into the database yet.
pub(crate) fn pages_to_move(connection: &Connection) -> Result<i64, StoreError> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)", "look at the log")
}

/// Moves the log into the database, as far as no reader still needs it. How many pages are left.
pub(crate) fn move_log(connection: &Connection) -> Result<i64, StoreError> {
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)", "move the log into the database")
}

fn checkpoint(connection: &Connection, pragma: &str, what: &'static str) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached(pragma).during(what)?;
    let left = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
    statement.query_row([], left).during(what)
}

fn set(connection: &Connection, path: &Path, settings: &[Setting]) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    for &(name, value, wanted) in settings {
        connection.execute_batch(&format!("PRAGMA {name} = {value}")).during("set up the database")?;
        let read = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        let found = match connection.pragma_query_value(None, name, read).during("set up the database")? {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other @ (rusqlite::types::Value::Null
            | rusqlite::types::Value::Real(_)
            | rusqlite::types::Value::Blob(_)) => format!("{other:?}"),
        };
        if found != wanted {
            return Err(StoreError::Setting { path: path.to_owned(), name, wanted, found });
        }
    }
    Ok(())
}

/// SQLite's own check of the whole file; the rows have checksums besides. The full one also compares indexes with
/// their tables: a damaged index entry makes a row that is there look missing.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FULL_CHECK_BYTES_MAX);
    run_check(connection, path, if small { "PRAGMA integrity_check(1)" } else { "PRAGMA quick_check(1)" })
}

/// SQLite's quick check: the structure of the whole file, without comparing indexes.
pub(crate) fn quick_check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    run_check(connection, path, "PRAGMA quick_check(1)")
}

fn run_check(connection: &Connection, path: &Path, pragma: &str) -> Result<(), StoreError> {
    let what = "check the database";
    let mut statement = connection.prepare(pragma).during(what)?;
    let report: Vec<u8> = statement
        .query_row([], |row| {
            row.get_ref(0).map(|cell| cell.as_bytes_or_null().ok().flatten().unwrap_or_default().to_vec())
        })
        .during(what)?;
    if report == b"ok" {
        return Ok(());
    }
    // SQLite writes a heading, and the finding below it.
    let report = String::from_utf8_lossy(&report).trim().replace('\n', " ");
    Err(StoreError::Damaged { path: path.to_owned(), report })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_cannot_write_and_a_writer_can_switch_syncing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fba.sqlite");
        let writer = open_writer(&path).unwrap();
        writer.execute_batch("CREATE TABLE t (x INTEGER)").unwrap();
        let reader = open_reader(&path).unwrap();
        assert!(reader.execute_batch("INSERT INTO t VALUES (1)").is_err());
        set_synced(&writer, &path, false).unwrap();
        set_synced(&writer, &path, true).unwrap();
    }

    #[test]
    fn the_log_is_moved_into_the_database_when_asked_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let writer = open_writer(&folder.path().join("fba.sqlite")).unwrap();
        writer.execute_batch("CREATE TABLE t (x BLOB)").unwrap();
        for _ in 0..20 {
            writer.execute("INSERT INTO t VALUES (randomblob(1000000))", []).unwrap();
        }
        assert!(pages_to_move(&writer).unwrap() > 4_500, "SQLite would have done it at 1,000 by itself");
        assert_eq!(move_log(&writer).unwrap(), 0);
        assert_eq!(pages_to_move(&writer).unwrap(), 0);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fba.sqlite");
        std::fs::write(&path, [b'x'; 9000]).unwrap();
        assert!(matches!(open_writer(&path), Err(StoreError::Sqlite { .. })));
        assert!(matches!(open_writer(folder.path()), Err(StoreError::Sqlite { .. })));
    }
}
