//! Looking at a data folder from outside, without a lock and without changing it: the node may run beside it.

use super::error::{During, StoreError};
use super::key_mark::KeyMark;
use super::row::{META, OVERRIDES};
use super::side_file::{Position, Run, SideFile};
use super::standing::{Facts, VoteStanding, judge};
use super::{DATABASE_FILE, boot, connection, io, ledgers, load_votes, schema};
use crate::key::{NetworkId, node_strkey};
use fba_core::NodeId;
use rusqlite::Connection;
use std::path::Path;

/// So many of the newest ledgers tell how fast the database grows.
const GROWTH_LEDGERS: u64 = 1_000;

/// What a data folder holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Bytes of the database and its log.
    pub bytes: u64,
    /// Bytes of its log alone, which a running node moves into the database by and by.
    pub log_bytes: u64,
    /// Sequence and close time of the newest ledger.
    pub newest: Option<(u64, u64)>,
    /// Bytes it grows by in a day, by its newest ledgers; `None` where there are too few.
    pub bytes_per_day: Option<f64>,
    /// May its node vote?
    pub standing: VoteStanding,
    /// Each time an operator ended a silence: the slot, and when, in milliseconds since the epoch.
    pub overrides: Vec<(u64, u64)>,
}

/// Looks at the data folder of `node` on `network`; `None` if there is no database yet. Checks the structure of the whole
/// file, which takes seconds where it is large.
///
/// # Errors
/// [`StoreError`]: what [`super::Store::open`] would refuse too, except that another process has the folder.
pub fn inspect(
    folder: &Path,
    network: NetworkId,
    node: NodeId,
    mark: &KeyMark,
) -> Result<Option<Inspection>, StoreError> {
    let path = folder.join(DATABASE_FILE);
    if !path.try_exists().map_err(io("look for the database", &path))? {
        return Ok(None);
    }
    // Before the database: a node that runs writes it after.
    let recorded = SideFile::in_folder(folder).read().map_err(io("read the side file", folder))?;
    let unused = mark.is_present().map_err(io("look for the mark of the key", mark.path()))?;
    let connection = connection::open_reader(&path)?;
    connection::quick_check(&connection, &path)?;
    schema::verify(&connection, &path)?;
    // A running node commits meanwhile: what belongs together is read as of one moment.
    let moment = connection.unchecked_transaction().during("begin to read")?;
    let id = whose(&moment, &path, network, node)?;
    let (database, _) = load_votes(&moment, network, id)?;
    let database: Result<Position, String> = database;
    let log_bytes = size(&folder.join(format!("{DATABASE_FILE}-wal")));
    let bytes = size(&path).saturating_add(log_bytes);
    Ok(Some(Inspection {
        bytes,
        log_bytes,
        newest: newest(&moment)?,
        bytes_per_day: growth(&moment, bytes)?,
        standing: judge(Facts { unused, recorded, run: Run::named(&boot::current()), database }),
        overrides: overrides(&moment)?,
    }))
}

/// A file that is not there takes no room.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn whose(connection: &Connection, path: &Path, network: NetworkId, node: NodeId) -> Result<[u8; 16], StoreError> {
    let found = META.one(connection, "SELECT * FROM meta", [], |row| {
        Ok((NetworkId(row.hash(1)?), NodeId(row.array(2)?), row.array(3)?))
    })?;
    let Some((its_network, its_node, id)) = found else { return Err(META.corrupt(1, "it is missing")) };
    if its_network != network {
        let (found, wanted) = (its_network.0.to_string(), network.0.to_string());
        return Err(StoreError::OtherNetwork { path: path.to_owned(), found, wanted });
    }
    if its_node != node {
        let (found, wanted) = (node_strkey(its_node), node_strkey(node));
        return Err(StoreError::OtherNode { path: path.to_owned(), found, wanted });
    }
    Ok(id)
}

fn newest(connection: &Connection) -> Result<Option<(u64, u64)>, StoreError> {
    let Some((_, last)) = ledgers::bounds(connection)? else { return Ok(None) };
    Ok(ledgers::ledger(connection, last)?.map(|row| (row.header.sequence, row.header.close_time_ms)))
}

/// Bytes of a ledger so far, times how many there are in a day of late. Genesis is left out: it may be much older.
fn growth(connection: &Connection, bytes: u64) -> Result<Option<f64>, StoreError> {
    let Some((first, last)) = ledgers::bounds(connection)? else { return Ok(None) };
    let from = last.saturating_sub(GROWTH_LEDGERS).max(first.saturating_add(1));
    let ends = (ledgers::ledger(connection, from)?, ledgers::ledger(connection, last)?);
    let (Some(from), Some(to)) = ends else { return Ok(None) };
    let count = to.header.sequence.saturating_sub(from.header.sequence);
    let ms = to.header.close_time_ms.saturating_sub(from.header.close_time_ms);
    if count < GROWTH_LEDGERS / 10 || ms == 0 {
        return Ok(None);
    }
    let per_ledger = bytes as f64 / last.saturating_sub(first).saturating_add(1) as f64;
    Ok(Some(per_ledger * count as f64 * 86_400_000.0 / ms as f64))
}

fn overrides(connection: &Connection) -> Result<Vec<(u64, u64)>, StoreError> {
    let mut found = Vec::new();
    OVERRIDES.each(connection, "SELECT * FROM overrides ORDER BY at_ms, slot", [], |row| {
        found.push((row.number(0)?, row.number(1)?));
        Ok(())
    })?;
    Ok(found)
}
