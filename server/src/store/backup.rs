//! Copies of the database of a node that runs or not, made by SQLite itself.
//!
//! A copy holds one moment: the reader's snapshot is held from the first page to the last, so that the node's commits in
//! between neither show nor make the copy begin again. They pile up in the log meanwhile, which is moved into the database
//! afterwards.

use super::archive::Archive;
use super::connection::{self, open_reader};
use super::error::{During, StoreError};
use super::key_mark::sync_folder_of;
use super::{ledgers, restore};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::io;
use std::path::Path;
use tempfile::NamedTempFile;

/// Pages copied before progress is told: 4 MiB.
const PAGES_PER_STEP: i32 = 1024;

/// What a copy holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Copied {
    /// The newest ledger in it; 0 if there is none.
    pub last_ledger: u64,
    /// How large it is.
    pub bytes: u64,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CopyProgress {
    /// Pages copied.
    pub done: u64,
    /// Pages in all.
    pub total: u64,
}

impl Archive {
    /// Copies the database into the new file `to`, which appears there when it is whole, checked and on the disk.
    ///
    /// # Errors
    /// [`StoreError`]; there is no file `to` then, unless there was one before.
    pub fn back_up(&self, to: &Path, progress: impl FnMut(CopyProgress)) -> Result<Copied, StoreError> {
        let failed = |what: &'static str| {
            let path = to.to_owned();
            move |source: io::Error| StoreError::Io { what, path, source }
        };
        if to.symlink_metadata().is_ok() {
            return Err(StoreError::Exists { path: to.to_owned() });
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = tempfile::Builder::new().prefix(".fba-backup-").suffix(".partial").tempfile_in(folder);
        let copy = made.map_err(failed("make a file beside"))?;
        let last_ledger = self.copy_into(&copy, progress)?;
        copy.as_file().sync_all().map_err(failed("sync the copy for"))?;
        let bytes = copy.as_file().metadata().map_err(failed("look at the copy for"))?.len();
        copy.persist_noclobber(to).map_err(|error| {
            let exists = error.error.kind() == io::ErrorKind::AlreadyExists;
            if exists { StoreError::Exists { path: to.to_owned() } } else { failed("put the copy at")(error.error) }
        })?;
        sync_folder_of(to).map_err(failed("sync the folder of"))?;
        Ok(Copied { last_ledger, bytes })
    }

    /// Copies page by page and checks what came out. Returns the newest ledger.
    fn copy_into(&self, file: &NamedTempFile, mut progress: impl FnMut(CopyProgress)) -> Result<u64, StoreError> {
        let what = "copy the database";
        let source = open_reader(self.path())?;
        let moment = source.unchecked_transaction().during(what)?;
        // A transaction begins with its first read.
        ledgers::bounds(&moment)?;
        let mut copy = Connection::open(file.path()).during(what)?;
        let backup = Backup::new(&moment, &mut copy).during(what)?;
        loop {
            let step = backup.step(PAGES_PER_STEP).during(what)?;
            let pages = backup.progress();
            let number = |pages: i32| u64::try_from(pages).unwrap_or(0);
            let total = number(pages.pagecount);
            progress(CopyProgress { done: total.saturating_sub(number(pages.remaining)), total });
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else knows the copy, and readers of a database with a log wait for nobody.
                StepResult::Busy | StepResult::Locked | _ => {
                    let source = io::Error::other("it is locked by another program");
                    return Err(StoreError::Io { what, path: self.path().to_owned(), source });
                }
            }
        }
        drop(backup);
        // One file, readable without writing: a log is begun again when a node opens it.
        copy.pragma_update(None, "journal_mode", "DELETE").during("finish the copy")?;
        connection::check(&copy, file.path())?;
        let newest = restore::load(&copy)?;
        copy.close().map_err(|(_, error)| error).during("finish the copy")?;
        Ok(newest.map_or(0, |(ledger, _)| ledger.header.sequence))
    }
}

#[cfg(test)]
mod tests;
