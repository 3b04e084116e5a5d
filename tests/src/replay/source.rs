//! Finds and reads the files of a replay.

use super::form::Trace;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The most one trace or case may hold, unpacked.
const UNIT_BYTES_MAX: u64 = 64 << 20;

/// One thing to replay or check.
#[derive(Debug)]
pub enum Unit {
    /// A trace.
    Trace(Box<Trace>),
    /// A case of a file of vectors.
    Vector {
        /// The file it is in.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The file's nodes: name and key in hexadecimal.
        nodes: BTreeMap<String, String>,
        /// The case.
        case: Value,
    },
}

/// Why data could not be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not in the format.
    #[error("{path}, line {line}: not a trace or a case of vectors: {what}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

/// All `.json` and `.jsonl.gz` files under the paths, in order.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = left.pop() {
        let failed = |source| SourceError::Io { path: path.clone(), source };
        if fs::metadata(&path).map_err(failed)?.is_dir() {
            let mut entries = Vec::new();
            for entry in fs::read_dir(&path).map_err(failed)? {
                entries.push(entry.map_err(failed)?.path());
            }
            entries.sort();
            left.extend(entries.into_iter().rev().filter(|entry| entry.is_dir() || is_data(entry)));
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_data(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".json") || name.ends_with(".jsonl.gz")
}

/// Hands over the units of one file, one after the other.
pub(super) fn for_each_unit(
    path: &Path,
    mut each: impl FnMut(Unit) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let io = |source| SourceError::Io { path: path.to_path_buf(), source };
    let format = |line: u64, what: String| SourceError::Format { path: path.to_path_buf(), line, what };
    let file = File::open(path).map_err(io)?;
    if !path.to_string_lossy().ends_with(".gz") {
        let mut text = String::new();
        file.take(UNIT_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
        let value = serde_json::from_str(&text).map_err(|error| format(error.line() as u64, error.to_string()))?;
        return each(trace(value).map_err(|what| format(1, what))?);
    }
    let mut reader = BufReader::new(MultiGzDecoder::new(file));
    let mut nodes = None;
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        if reader.by_ref().take(UNIT_BYTES_MAX).read_line(&mut text).map_err(io)? == 0 {
            break;
        }
        let value: Value = serde_json::from_str(&text).map_err(|error| format(line, error.to_string()))?;
        match value.get("format").and_then(Value::as_str) {
            Some("scp-vectors/1") => nodes = Some(node_names(&value).map_err(|what| format(line, what))?),
            Some(_) => each(trace(value).map_err(|what| format(line, what))?)?,
            None => {
                let nodes =
                    nodes.clone().ok_or_else(|| format(line, "a case before the line with the nodes".into()))?;
                each(Unit::Vector { file: path.to_path_buf(), line, nodes, case: value })?;
            }
        }
    }
    Ok(())
}

fn trace(value: Value) -> Result<Unit, String> {
    match value.get("format").and_then(Value::as_str) {
        Some("scp-trace/1") => {
            serde_json::from_value(value).map(|trace| Unit::Trace(Box::new(trace))).map_err(|error| error.to_string())
        }
        other => Err(format!("format is {other:?}, expected \"scp-trace/1\"")),
    }
}

fn node_names(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let nodes = value.get("nodes").cloned().ok_or("no nodes in the first line")?;
    serde_json::from_value(nodes).map_err(|error| error.to_string())
}
