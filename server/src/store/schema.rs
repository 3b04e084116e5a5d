//! The schema and the steps that lead to it.

use super::error::{During, StoreError};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// Step n leads from schema n to n + 1. A step that was released is never changed.
const STEPS: [&str; 1] = [include_str!("schema.sql")];

/// Marks the file as ours (`PRAGMA application_id`): "fba" and a version of this very mark.
const APPLICATION_ID: i64 = 0x66_62_61_01;

/// The newest schema this build knows.
pub(crate) const SCHEMA: i64 = STEPS.len() as i64;

/// Is this database one of ours, of this very schema? Changes nothing.
///
/// # Errors
/// See [`migrate`]; a schema that is not there yet is [`StoreError::NotOurs`].
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let (found, path) = (pragma(connection, "user_version")?, path.to_owned());
    if pragma(connection, "application_id")? != APPLICATION_ID || found <= 0 {
        return Err(StoreError::NotOurs { path, found: "fba has written nothing into it".to_owned() });
    }
    if found > SCHEMA {
        return Err(StoreError::NewerSchema { path, found, known: SCHEMA });
    }
    if definitions(connection)? != expected()? {
        return Err(StoreError::Damaged { path, report: "its table definitions are not those fba made".to_owned() });
    }
    Ok(())
}

/// Brings the database to the newest schema, each step in a transaction of its own. Returns whether it was empty.
///
/// # Errors
/// [`StoreError::NewerSchema`], [`StoreError::NotOurs`], or [`StoreError::Damaged`] if the schema is not what the
/// steps make: a damaged table definition would read rows as something they are not.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<bool, StoreError> {
    let found = version(connection, path)?;
    let done = usize::try_from(found).unwrap_or_default();
    for (version, step) in STEPS.iter().enumerate().skip(done) {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).during("begin a migration")?;
        transaction.execute_batch(step).during("migrate the schema")?;
        transaction.pragma_update(None, "user_version", version as i64 + 1).during("migrate the schema")?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).during("migrate the schema")?;
        transaction.commit().during("migrate the schema")?;
    }
    as_made(connection, path)?;
    Ok(found == 0)
}

/// Is the database one that this version reads as it is? Changes nothing.
///
/// # Errors
/// As [`migrate`]; an older schema is none, it is migrated at the next start.
pub(crate) fn verify(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if version(connection, path)? == SCHEMA { as_made(connection, path) } else { Ok(()) }
}

/// The schema's version, if it is ours and known.
fn version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found = pragma(connection, "user_version")?;
    let tables = definitions(connection)?.len();
    if found == 0 && tables > 0 || found > 0 && pragma(connection, "application_id")? != APPLICATION_ID || found < 0 {
        let found = format!("it holds {tables} tables and indexes that fba did not make");
        return Err(StoreError::NotOurs { path: path.to_owned(), found });
    }
    if found > SCHEMA {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known: SCHEMA });
    }
    Ok(found)
}

fn as_made(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if definitions(connection)? == expected()? {
        return Ok(());
    }
    let report = "its table definitions are not those fba made".to_owned();
    Err(StoreError::Damaged { path: path.to_owned(), report })
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, StoreError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).during("read the schema version")
}

/// Every table and index as it was defined. Text that is not UTF-8 any more is compared as it is.
fn definitions(connection: &Connection) -> Result<Vec<Vec<u8>>, StoreError> {
    let what = "read the table definitions";
    let query = "SELECT CAST(type || ':' || name || ':' || tbl_name || ':' || coalesce(sql, '') AS BLOB) \
                 FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    let mut statement = connection.prepare(query).during(what)?;
    let rows = statement.query_map([], |row| row.get(0)).during(what)?;
    rows.collect::<Result<_, _>>().during(what)
}

/// The definitions a new database has.
fn expected() -> Result<Vec<Vec<u8>>, StoreError> {
    let connection = Connection::open_in_memory().during("open a database in memory")?;
    for step in STEPS {
        connection.execute_batch(step).during("make the schema in memory")?;
    }
    definitions(&connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> &'static Path {
        Path::new("fba.sqlite")
    }

    #[test]
    fn a_new_database_gets_the_newest_schema_and_keeps_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection, at()).unwrap());
        assert_eq!(pragma(&connection, "user_version").unwrap(), SCHEMA);
        assert!(!migrate(&mut connection, at()).unwrap());
    }

    #[test]
    fn newer_foreign_and_altered_databases_are_refused() {
        let mut newer = Connection::open_in_memory().unwrap();
        migrate(&mut newer, at()).unwrap();
        newer.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
        assert!(matches!(migrate(&mut newer, at()), Err(StoreError::NewerSchema { found, .. }) if found == SCHEMA + 1));

        let mut foreign = Connection::open_in_memory().unwrap();
        foreign.execute_batch("CREATE TABLE recipes (id INTEGER)").unwrap();
        assert!(matches!(migrate(&mut foreign, at()), Err(StoreError::NotOurs { .. })));
        foreign.pragma_update(None, "user_version", 1).unwrap();
        assert!(matches!(migrate(&mut foreign, at()), Err(StoreError::NotOurs { .. })));

        let mut altered = Connection::open_in_memory().unwrap();
        migrate(&mut altered, at()).unwrap();
        altered.execute_batch("DROP INDEX transactions_by_hash").unwrap();
        assert!(matches!(migrate(&mut altered, at()), Err(StoreError::Damaged { .. })));
    }
}
