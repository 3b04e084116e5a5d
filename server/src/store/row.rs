//! Rows with a checksum: how every row is written, and the only way any row is read.
//!
//! SQLite has no checksums of its own. A flipped bit in a balance would otherwise be served as the truth.

use super::error::{During, StoreError};
use fba_core::Hash;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row, params_from_iter};

/// A table whose last column is the checksum over the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    put: &'static str,
}

macro_rules! table {
    ($constant:ident, $verb:literal, $name:literal, $marks:literal) => {
        pub(crate) const $constant: Table =
            Table { name: $name, put: concat!($verb, " INTO ", $name, " VALUES (", $marks, ")") };
    };
}

// History is only added to: writing a ledger or a transaction a second time is an error, not a change.
table!(META, "REPLACE", "meta", "?,?,?,?,?,?,?");
table!(LAST_SIGNED, "REPLACE", "last_signed", "?,?,?,?,?");
table!(OVERRIDES, "REPLACE", "overrides", "?,?,?");
table!(VOTES, "REPLACE", "votes", "?,?,?,?,?,?");
table!(HEARD, "REPLACE", "heard", "?,?,?,?,?");
table!(QUORUM_SETS, "REPLACE", "quorum_sets", "?,?,?,?,?");
table!(TX_SETS, "REPLACE", "tx_sets", "?,?,?,?");
table!(LEDGERS, "INSERT", "ledgers", "?,?,?,?,?,?,?,?,?");
table!(TRANSACTIONS, "INSERT", "transactions", "?,?,?,?,?,?");
table!(PROOFS, "REPLACE", "proofs", "?,?,?,?");
table!(RETENTION, "REPLACE", "retention", "?,?,?");
table!(ACCOUNTS, "REPLACE", "accounts", "?,?,?");
table!(DATA_ENTRIES, "REPLACE", "data_entries", "?,?,?,?");
table!(STATE, "REPLACE", "state", "?,?,?,?");
table!(BANS, "REPLACE", "bans", "?,?,?,?,?,?");
table!(PEERS, "REPLACE", "peers", "?,?,?,?,?,?,?");

impl Table {
    /// Writes a row, its checksum behind it: over the one with the same key, except in history.
    pub(crate) fn put(self, connection: &Connection, columns: &[ValueRef<'_>]) -> Result<(), StoreError> {
        let sum = checksum(self.name, columns.iter().copied());
        let cells = columns.iter().copied().chain([ValueRef::Integer(sum)]).map(ToSqlOutput::Borrowed);
        let mut statement = connection.prepare_cached(self.put).during("write a row")?;
        statement.execute(params_from_iter(cells)).during("write a row")?;
        Ok(())
    }

    /// Deletes the rows `query` names.
    pub(crate) fn delete<P: Params>(
        self,
        connection: &Connection,
        query: &str,
        parameters: P,
    ) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(query).during("delete a row")?;
        statement.execute(parameters).during("delete a row")?;
        Ok(())
    }

    /// Reads every row `query` (a `SELECT *` from this table) gives.
    pub(crate) fn each<P: Params>(
        self,
        connection: &Connection,
        query: &str,
        parameters: P,
        mut row: impl FnMut(&Checked<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(query).during("prepare a query")?;
        let mut rows = statement.query(parameters).during("run a query")?;
        while let Some(found) = rows.next().during("read a row")? {
            row(&Checked::new(self.name, found)?)?;
        }
        Ok(())
    }

    /// Reads the first row `query` gives, if any.
    pub(crate) fn one<T, P: Params>(
        self,
        connection: &Connection,
        query: &str,
        parameters: P,
        read: impl FnOnce(&Checked<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = connection.prepare_cached(query).during("prepare a query")?;
        let mut rows = statement.query(parameters).during("run a query")?;
        match rows.next().during("read a row")? {
            Some(found) => read(&Checked::new(self.name, found)?).map(Some),
            None => Ok(None),
        }
    }

    /// The error for a row that should be there, or should be different.
    pub(crate) fn corrupt(self, key: impl ToString, rule: &'static str) -> StoreError {
        StoreError::Corrupt { table: self.name, key: key.to_string(), rule }
    }
}

/// The first 8 bytes of BLAKE3 over the table's name and the columns, each with its type and length in front, so that
/// no two different rows read alike.
fn checksum<'a>(table: &str, columns: impl Iterator<Item = ValueRef<'a>>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    let mut part = |kind: u8, bytes: &[u8]| {
        hasher.update(&[kind]).update(&(bytes.len() as u64).to_be_bytes()).update(bytes);
    };
    part(b'T', table.as_bytes());
    for column in columns {
        match column {
            ValueRef::Null => part(b'0', &[]),
            ValueRef::Integer(number) => part(b'i', &number.to_be_bytes()),
            ValueRef::Real(number) => part(b'r', &number.to_be_bytes()),
            ValueRef::Text(text) => part(b't', text),
            ValueRef::Blob(bytes) => part(b'b', bytes),
        }
    }
    let hash = hasher.finalize();
    i64::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// A row whose checksum is right.
pub(crate) struct Checked<'r> {
    table: &'static str,
    row: &'r Row<'r>,
}

impl<'r> Checked<'r> {
    fn new(table: &'static str, row: &'r Row<'r>) -> Result<Self, StoreError> {
        let checked = Self { table, row };
        let last = row.as_ref().column_count().saturating_sub(1);
        let mut columns = Vec::with_capacity(last);
        for index in 0..last {
            columns.push(checked.cell(index)?);
        }
        if checked.cell(last)? != ValueRef::Integer(checksum(table, columns.into_iter())) {
            return Err(checked.corrupt("its checksum is wrong"));
        }
        Ok(checked)
    }

    /// The checksum itself.
    pub(crate) fn checksum(&self) -> Result<i64, StoreError> {
        self.integer(self.row.as_ref().column_count().saturating_sub(1))
    }

    pub(crate) fn integer(&self, index: usize) -> Result<i64, StoreError> {
        match self.cell(index)? {
            ValueRef::Integer(number) => Ok(number),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(self.unexpected()),
        }
    }

    /// A number that is never negative.
    pub(crate) fn number(&self, index: usize) -> Result<u64, StoreError> {
        u64::try_from(self.integer(index)?).map_err(|_| self.unexpected())
    }

    pub(crate) fn blob(&self, index: usize) -> Result<&'r [u8], StoreError> {
        match self.cell(index)? {
            ValueRef::Blob(bytes) => Ok(bytes),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Integer(_) => Err(self.unexpected()),
        }
    }

    pub(crate) fn text(&self, index: usize) -> Result<&'r str, StoreError> {
        match self.cell(index)? {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_err(|_| self.unexpected()),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) | ValueRef::Integer(_) => Err(self.unexpected()),
        }
    }

    /// A number that is never negative, or none.
    pub(crate) fn optional_number(&self, index: usize) -> Result<Option<u64>, StoreError> {
        if self.is_null(index)? { Ok(None) } else { self.number(index).map(Some) }
    }

    pub(crate) fn is_null(&self, index: usize) -> Result<bool, StoreError> {
        Ok(self.cell(index)? == ValueRef::Null)
    }

    pub(crate) fn array<const N: usize>(&self, index: usize) -> Result<[u8; N], StoreError> {
        self.blob(index)?.try_into().map_err(|_| self.unexpected())
    }

    pub(crate) fn hash(&self, index: usize) -> Result<Hash, StoreError> {
        self.array(index).map(Hash)
    }

    /// The error for this row.
    pub(crate) fn corrupt(&self, rule: &'static str) -> StoreError {
        let key = match self.row.get_ref(0) {
            Ok(ValueRef::Integer(number)) => number.to_string(),
            Ok(ValueRef::Blob(bytes)) => hex::encode(bytes.get(..8).unwrap_or(bytes)),
            Ok(ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_)) | Err(_) => "?".to_owned(),
        };
        StoreError::Corrupt { table: self.table, key, rule }
    }

    fn unexpected(&self) -> StoreError {
        self.corrupt("a column has an unexpected type or length")
    }

    fn cell(&self, index: usize) -> Result<ValueRef<'r>, StoreError> {
        self.row.get_ref(index).during("read a column")
    }
}

/// A sequence, slot or count as SQLite holds it.
pub(crate) fn integer(number: u64) -> ValueRef<'static> {
    ValueRef::Integer(to_i64(number))
}

/// See [`integer`].
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).expect("sequences, slots and counts go up one by one from 1: none reaches 2^63")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(table: &str, columns: &[ValueRef<'_>]) -> i64 {
        checksum(table, columns.iter().copied())
    }

    #[test]
    fn rows_that_differ_in_anything_have_different_checksums() {
        use ValueRef::{Blob, Integer, Null};
        let rows: [(&str, &[ValueRef<'_>]); 8] = [
            ("votes", &[Blob(b"ab"), Blob(b"c")]),
            ("votes", &[Blob(b"a"), Blob(b"bc")]),
            ("votes", &[Blob(b"abc")]),
            ("proof", &[Blob(b"ab"), Blob(b"c")]),
            ("votes", &[Integer(0)]),
            ("votes", &[Null]),
            ("votes", &[Blob(b"")]),
            ("votes", &[]),
        ];
        let sums: std::collections::BTreeSet<_> = rows.iter().map(|(table, row)| sum(table, row)).collect();
        assert_eq!(sums.len(), rows.len());
    }

    #[test]
    fn a_changed_column_is_noticed_when_the_row_is_read() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        PROOFS.put(&connection, &[integer(7), ValueRef::Blob(b"proof"), ValueRef::Blob(b"")]).unwrap();
        let read = || PROOFS.one(&connection, "SELECT * FROM proofs", [], |row| row.blob(1).map(<[u8]>::to_vec));
        assert_eq!(read().unwrap().unwrap(), b"proof");
        connection.execute("UPDATE proofs SET statements = x'00'", []).unwrap();
        let error = read().unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { table: "proofs", key, .. } if key == "7"), "{error}");
    }
}
