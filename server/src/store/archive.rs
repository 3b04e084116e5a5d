//! A store that is only read, by whoever looks into it from outside: that of a node that runs, of one that does not, or
//! a backup. Nothing is locked and nothing is changed.

use super::connection::open_reader;
use super::error::{During, StoreError};
use super::reader::Reader;
use super::restore::{self, RestoredLedger};
use super::row::META;
use super::{DATABASE_FILE, proofs, schema};
use crate::key::NetworkId;
use fba_core::NodeId;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    network: NetworkId,
    node: NodeId,
    reader: Reader,
}

impl Archive {
    /// Opens a database file, or the one in a data folder.
    ///
    /// # Errors
    /// [`StoreError`] if there is none, if it is not one of ours, or if it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let path = if path.is_dir() { path.join(DATABASE_FILE) } else { path.to_owned() };
        if let Err(source) = std::fs::File::open(&path) {
            return Err(StoreError::Io { what: "open the database", path, source });
        }
        let connection = open_reader(&path)?;
        schema::check(&connection, &path)?;
        let meta = META
            .one(&connection, "SELECT * FROM meta", [], |row| Ok((NetworkId(row.hash(1)?), NodeId(row.array(2)?))))?;
        let (network, node) = meta.ok_or_else(|| META.corrupt(1, "it is missing"))?;
        let reader = Reader::open(path.clone(), network)?;
        Ok(Self { path, network, node, reader })
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose network's ledgers they are.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// Which node keeps them.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Reads its ledgers.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The newest ledger with everything of its state, at one moment; nothing if there is no ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn state(&self) -> Result<Option<RestoredLedger>, StoreError> {
        let connection = open_reader(&self.path)?;
        let moment = connection.unchecked_transaction().during("begin to read")?;
        Ok(restore::load(&moment)?.map(|(ledger, _)| ledger))
    }

    /// The first ledger whose proof is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn proofs_from(&self) -> Result<u64, StoreError> {
        proofs::kept_from(&open_reader(&self.path)?)
    }
}
