//! The side file `last-signed`: how far the key has voted, outside the database.
//!
//! A database restored from a backup looks perfectly healthy, and would make the node vote again where it has already
//! voted. So after every vote the position is written here too. Backups leave this file out. Older than the database is
//! normal, because the write is not synced; newer or missing means the database is not the one that voted.
//!
//! Votes that are written and not synced go with a power cut, and that is no loss. But while the system runs on they
//! must be there: SQLite takes a damaged end of its log for the end of the log, and says nothing. So the file holds two
//! positions, and the run of the system in which the second one counts.

use super::key_mark::sync_folder_of;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The name of the side file inside a data folder.
pub const SIDE_FILE: &str = "last-signed";

/// Bytes of the record: id 16, count 8, slot 8, written 8, run 8, checksum 8. Written in place and below one disk
/// sector, so that after a power cut the file holds the old record or the new one.
const RECORD_BYTES: usize = 56;

/// How far a key has voted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The random id of the database that voted.
    pub store: [u8; 16],
    /// How many commits with ballot votes there were: the order of positions.
    pub count: u64,
    /// The highest slot voted in, for messages.
    pub slot: u64,
}

/// What is remembered of how far a key has voted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Marks {
    /// How far votes are synced.
    pub synced: Position,
    /// How many commits with ballot votes are written, synced or not.
    pub written: u64,
    /// The run of the system they were written in.
    pub run: Run,
}

/// Names a run of the system, or does not know it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run([u8; 8]);

impl Run {
    const UNKNOWN: Self = Self([0; 8]);

    /// The run that the system calls `name`; empty where it has no names.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if name.is_empty() { Self::UNKNOWN } else { Self(checksum(name.as_bytes())) }
    }

    /// Is what was written in this run, and not synced, certainly still there in the run `now`?
    #[must_use]
    pub fn lasts_until(self, now: Self) -> bool {
        self == now && self != Self::UNKNOWN
    }
}

/// What the side file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recorded {
    /// There is none.
    Missing,
    /// There is one, but it does not hold a position.
    Unreadable,
    /// It holds this.
    At(Marks),
}

/// The side file of one data folder.
#[derive(Debug)]
pub struct SideFile {
    path: PathBuf,
    /// Opened at the first write.
    file: Option<File>,
}

impl SideFile {
    /// The side file of the data folder `folder`. Touches nothing.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(SIDE_FILE), file: None }
    }

    /// What it says.
    ///
    /// # Errors
    /// When the file is there but the system cannot read it.
    pub fn read(&self) -> io::Result<Recorded> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(decode(&bytes).map_or(Recorded::Unreadable, Recorded::At)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Recorded::Missing),
            Err(error) => Err(error),
        }
    }

    /// Makes the file with these marks, durably: before the first vote, or when voting begins again after a loss.
    ///
    /// # Errors
    /// When it cannot be written. The key must not vote then.
    pub fn create(&mut self, marks: Marks) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        file.write_all_at(&encode(marks), 0)?;
        file.set_len(RECORD_BYTES as u64)?;
        file.sync_all()?;
        sync_folder_of(&self.path)?;
        self.file = Some(file);
        Ok(())
    }

    /// Writes the marks over the old ones, unsynced: it survives a killed process, and may be lost with the power.
    ///
    /// # Errors
    /// When it cannot be written, or the file is gone.
    pub fn write(&mut self, marks: Marks) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().write(true).open(&self.path)?,
        };
        file.write_all_at(&encode(marks), 0)?;
        self.file = Some(file);
        Ok(())
    }
}

fn encode(marks: Marks) -> [u8; RECORD_BYTES] {
    let Marks { synced, written, run } = marks;
    let mut body = Vec::with_capacity(RECORD_BYTES);
    body.extend(synced.store);
    body.extend(synced.count.to_be_bytes());
    body.extend(synced.slot.to_be_bytes());
    body.extend(written.to_be_bytes());
    body.extend(run.0);
    body.extend(checksum(&body));
    body.try_into().expect("16 + 5 × 8 bytes")
}

fn decode(bytes: &[u8]) -> Option<Marks> {
    let (body, sum) = bytes.split_last_chunk::<8>()?;
    let (store, numbers) = body.split_first_chunk::<16>()?;
    let (count, numbers) = numbers.split_first_chunk::<8>()?;
    let (slot, numbers) = numbers.split_first_chunk::<8>()?;
    let (written, run) = numbers.split_first_chunk::<8>()?;
    let run = Run(run.try_into().ok()?);
    let synced = Position { store: *store, count: u64::from_be_bytes(*count), slot: u64::from_be_bytes(*slot) };
    (checksum(body) == *sum).then_some(Marks { synced, written: u64::from_be_bytes(*written), run })
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(body);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_named_run_keeps_what_was_not_synced() {
        let run = Run::named("a");
        assert!(run.lasts_until(Run::named("a")));
        assert!(!run.lasts_until(Run::named("b")));
        assert!(!Run::named("").lasts_until(Run::named("")));
    }

    #[test]
    fn marks_read_back_and_every_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut side = SideFile::in_folder(folder.path());
        assert_eq!(side.read().unwrap(), Recorded::Missing);
        let synced = Position { store: [3; 16], count: 1, slot: 9 };
        let mut marks = Marks { synced, written: 4, run: Run::named("run") };
        assert!(side.write(marks).is_err(), "only create makes the file");
        side.create(marks).unwrap();
        marks.synced.count = 2;
        side.write(marks).unwrap();
        assert_eq!(side.read().unwrap(), Recorded::At(marks));
        // As after a restart: the file is opened anew.
        let mut side = SideFile::in_folder(folder.path());
        marks.written = 5;
        side.write(marks).unwrap();
        assert_eq!(side.read().unwrap(), Recorded::At(marks));

        let path = folder.path().join(SIDE_FILE);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(side.read().unwrap(), Recorded::Unreadable, "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert_eq!(side.read().unwrap(), Recorded::Unreadable, "length {at}");
        }
    }
}
