//! Which stored ledgers a command reads: those of a configuration, or of a database that is named.

use crate::cli::exit::CliError;
use crate::cli::run::store_exit;
use crate::config::{Config, Keys};
use crate::store::{Archive, StoreError};
use std::path::PathBuf;

/// Where the ledgers are. Part of every command that reads them without asking a node.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// The node's configuration: says where the data folder is
    #[arg(long, value_name = "FILE", required_unless_present = "database")]
    config: Option<PathBuf>,
    /// Read this data folder, database or backup instead; the node may run meanwhile
    #[arg(long, visible_alias = "data", value_name = "PATH")]
    database: Option<PathBuf>,
}

impl SourceArgs {
    /// The configuration, if one is named.
    ///
    /// # Errors
    /// When it is wrong (78) or cannot be read (74, 77).
    pub(super) fn config(&self) -> Result<Option<Config>, CliError> {
        let load = |file| Config::load(file, Keys::IfPresent).map_err(|errors| CliError::new(errors.exit(), errors));
        self.config.as_deref().map(load).transpose()
    }

    /// The stored ledgers.
    ///
    /// # Errors
    /// When there are none (74, 77), or when they are damaged (65).
    pub(super) fn archive(&self, config: Option<&Config>) -> Result<Archive, CliError> {
        let named = self.database.clone().or_else(|| config.map(|config| config.data_dir.clone()));
        let path = named.expect("clap asks for one of the two");
        Archive::open(&path).map_err(failed)
    }
}

/// A store's error as a command's.
pub(super) fn failed(error: StoreError) -> CliError {
    CliError::new(store_exit(&error), error)
}
