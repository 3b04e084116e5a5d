//! Recordings: every statement a node received and sent, in a file, so that anyone can judge it later.
//!
//! A recording is a sequence of records, each a big-endian `u32` length and that many bytes of canonical CBOR:
//! `{at: milliseconds since the epoch, from: 32 bytes, signed: bytes}`, where `signed` is a signed statement as it
//! travels ([`wire::encode_statement`]). A process that was killed leaves at most one torn record, at the end; whoever
//! records on cuts it off.

use crate::cbor;
use crate::wire::{self, SignedStatement};
use fba_core::NodeId;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest record: a statement frame, and what is around it.
pub const RECORD_BYTES_MAX: usize = wire::VOTE_BYTES_MAX + 128;

/// Held back before it is written: what a crash of the process can cost.
const BUFFER_BYTES: usize = 64 * 1024;

/// And for how long at most, as long as something comes in or [`Recorder::flush`] is called.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// CBOR items of a record: a map of three.
const RECORD_ITEMS: usize = 7;

/// One statement, and how it got here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// When it was received, or sent if it is our own: milliseconds since the epoch.
    pub at_unix_ms: u64,
    /// The peer it came from, not always its author; ourselves for our own.
    pub from: NodeId,
    /// What was said.
    pub signed: SignedStatement,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RecordForm {
    at: u64,
    from: ByteArray<32>,
    signed: ByteBuf,
}

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file.
    #[error("recording {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The contents.
    #[error("recording {path}: no record at byte {offset}: {reason}; the file is damaged, or not a recording")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the bad record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Writes a recording. Blocks on the file; holds back at most 64 KiB.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: BufWriter<File>,
    flushed: Instant,
}

impl Recorder {
    /// Begins a recording, or goes on with one, cutting off a torn record at its end.
    ///
    /// # Errors
    /// When the file cannot be opened, or holds something else.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let failed = |source| RecordError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut records = Records::over(file, path);
        for record in &mut records {
            record?;
        }
        let end = records.offset;
        let mut file = records.file.into_inner();
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path: path.to_owned(), file, flushed: Instant::now() })
    }

    /// Records one statement.
    ///
    /// # Errors
    /// When the file cannot be written: the recording has a hole then, and must not be used as evidence.
    pub fn record(&mut self, record: &Record) -> Result<(), RecordError> {
        let bytes = cbor::encode(&RecordForm {
            at: record.at_unix_ms,
            from: ByteArray::new(record.from.0),
            signed: ByteBuf::from(wire::encode_statement(&record.signed)),
        });
        assert!(bytes.len() <= RECORD_BYTES_MAX, "a statement that came in a frame fits a record");
        self.file.write_all(&wire::frame(&bytes)).map_err(|source| self.failed(source))?;
        if self.flushed.elapsed() >= FLUSH_INTERVAL {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands everything to the system. To be called once a second, and at the end: dropping the recorder flushes too,
    /// and cannot say when that fails.
    ///
    /// # Errors
    /// As [`Recorder::record`].
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.flushed = Instant::now();
        self.file.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> RecordError {
        RecordError::Io { path: self.path.clone(), source }
    }
}

/// Reads a recording, record by record. Ends at the first error, and at a torn last record, which is no error.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    file: BufReader<File>,
    /// Where the next record begins.
    offset: u64,
    torn: u64,
    ended: bool,
}

impl Records {
    /// Opens a recording.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let file = File::open(path).map_err(|source| RecordError::Io { path: path.to_owned(), source })?;
        Ok(Self::over(file, path))
    }

    /// Opens a recording that may still grow, after what was read of it before: from where [`Records::offset`] said.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open_at(path: &Path, offset: u64) -> Result<Self, RecordError> {
        let failed = |source| RecordError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Self { offset, ..Self::over(file, path) })
    }

    /// Where the next record begins: after the last one that was read whole.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn over(file: File, path: &Path) -> Self {
        Self { path: path.to_owned(), file: BufReader::new(file), offset: 0, torn: 0, ended: false }
    }

    /// How many bytes of a torn record there were at the end. Known when the iterator has ended.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.torn
    }

    fn read(&mut self) -> Result<Option<Record>, RecordError> {
        let mut length = [0; 4];
        if !self.fill(&mut length, 0)? {
            return Ok(None);
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > RECORD_BYTES_MAX {
            return Err(self.damaged(format!("it would have {length} bytes, at most {RECORD_BYTES_MAX} are allowed")));
        }
        let mut bytes = vec![0; length];
        if !self.fill(&mut bytes, 4)? {
            return Ok(None);
        }
        let form: RecordForm = cbor::decode(&bytes, RECORD_ITEMS).map_err(|error| self.damaged(error.to_string()))?;
        let signed = wire::decode_statement(&form.signed).map_err(|error| self.damaged(error.to_string()))?;
        self.offset += 4 + length as u64;
        Ok(Some(Record { at_unix_ms: form.at, from: NodeId(form.from.into_array()), signed }))
    }

    /// Fills `bytes`; false at the end of the file, `before` bytes of the record being read already.
    fn fill(&mut self, bytes: &mut [u8], before: u64) -> Result<bool, RecordError> {
        let wanted = bytes.len() as u64;
        let mut found = Vec::with_capacity(bytes.len());
        let read = (&mut self.file).take(wanted).read_to_end(&mut found);
        read.map_err(|source| RecordError::Io { path: self.path.clone(), source })?;
        if found.len() as u64 != wanted {
            self.torn = before + found.len() as u64;
            return Ok(false);
        }
        bytes.copy_from_slice(&found);
        Ok(true)
    }

    fn damaged(&self, reason: String) -> RecordError {
        RecordError::Damaged { path: self.path.clone(), offset: self.offset, reason }
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Ed25519, NetworkId, SecretKey};
    use fba_core::{Ballot, Hash, Pledge, SlotIndex, Statement, Value};

    fn record(slot: u64) -> Record {
        let key = SecretKey::from_seed(&[7; 32]);
        let pledge = Pledge::Externalize { commit: Ballot { counter: 1, value: Value::new(b"value") }, high: 1 };
        let statement = Statement { node: key.node_id(), slot: SlotIndex(slot), quorum_set: Hash([3; 32]), pledge };
        let signatures = Ed25519::new(NetworkId::of_passphrase("recordings"), key);
        Record { at_unix_ms: slot, from: NodeId([4; 32]), signed: SignedStatement::sign(statement, &signatures) }
    }

    fn read(path: &Path) -> (Vec<Record>, u64) {
        let mut records = Records::open(path).unwrap();
        let all = (&mut records).map(Result::unwrap).collect();
        (all, records.torn_bytes())
    }

    #[test]
    fn what_was_recorded_reads_back_and_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        for slot in 1..4 {
            let mut recorder = Recorder::open(&path).unwrap();
            recorder.record(&record(slot)).unwrap();
            recorder.flush().unwrap();
        }
        assert_eq!(read(&path), ((1..4).map(record).collect(), 0));
    }

    #[test]
    fn a_torn_end_is_tolerated_wherever_it_is_torn_and_cut_off_by_the_next_recorder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let mut recorder = Recorder::open(&path).unwrap();
        (1..3).for_each(|slot| recorder.record(&record(slot)).unwrap());
        drop(recorder);
        let whole = std::fs::read(&path).unwrap();
        let first = whole.len() / 2;
        for end in first + 1..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(read(&path), (vec![record(1)], (end - first) as u64));
        }
        Recorder::open(&path).unwrap().record(&record(9)).unwrap();
        assert_eq!(read(&path), (vec![record(1), record(9)], 0));
    }

    #[test]
    fn damage_is_an_error_that_names_the_place_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let mut recorder = Recorder::open(&path).unwrap();
        (1..3).for_each(|slot| recorder.record(&record(slot)).unwrap());
        drop(recorder);
        let whole = std::fs::read(&path).unwrap();
        let second = whole.len() / 2;
        let mut bad = whole.clone();
        bad[second + 4] ^= 0x40;
        let mut long = whole;
        long[second] = 0xff;
        for bytes in [bad, long] {
            std::fs::write(&path, &bytes).unwrap();
            let last = Records::open(&path).unwrap().last().unwrap();
            assert!(matches!(last, Err(RecordError::Damaged { offset, .. }) if offset == second as u64));
            assert!(matches!(Recorder::open(&path), Err(RecordError::Damaged { .. })));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
