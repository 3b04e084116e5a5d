//! The text of a configuration file, and where in it a thing stands.

use super::error::{ConfigErrors, Located, Problem};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The most that is read of a configuration: a thousand validators fit several times.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file that was read.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Source {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let failed = |problem| ConfigErrors::whole_file(path, problem);
        let unreadable = |error: std::io::Error| failed(Problem::Unreadable(error.kind(), error.to_string()));
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(failed(Problem::TooLarge(FILE_BYTES_MAX)));
        }
        let text = String::from_utf8(text).map_err(|_| failed(Problem::NotUtf8))?;
        Ok(Self { path: path.to_owned(), text })
    }

    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ConfigErrors> {
        toml::from_str(&self.text).map_err(|error| ConfigErrors {
            file: self.path.clone(),
            problems: vec![Located {
                line: error.span().map(|span| self.line(&span)),
                problem: Problem::Toml(error.message().to_owned()),
            }],
        })
    }

    /// The line a span begins on, from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
    }

    /// `path` as written in this file: relative to the file's folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// What is wrong with a file, gathered so that one run names it all.
pub(super) struct Problems<'s> {
    source: &'s Source,
    list: Vec<Located>,
}

impl<'s> Problems<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { source, list: Vec::new() }
    }

    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.source.line(span)
    }

    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.source.resolve(path)
    }

    /// Something about the file as a whole.
    pub(super) fn add(&mut self, problem: Problem) {
        self.list.push(Located { line: None, problem });
    }

    pub(super) fn at(&mut self, span: &Range<usize>, problem: Problem) {
        let line = Some(self.line(span));
        self.list.push(Located { line, problem });
    }

    /// Keeps the value, or notes why there is none.
    pub(super) fn keep<T>(&mut self, span: &Range<usize>, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.at(span, problem)).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_errors(mut self) -> ConfigErrors {
        self.list.sort_by_key(|located| located.line);
        ConfigErrors { file: self.source.path.clone(), problems: self.list }
    }
}
