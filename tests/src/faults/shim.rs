//! Faults of the system for one process: a sync that fails, a wall clock that is off.
//!
//! The server itself has no switch for either. A small C library put before the system's own (`LD_PRELOAD`) makes them;
//! it is compiled by the C compiler that SQLite needs anyway.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("shim.c");

/// The compiled library, in a folder of its own.
#[derive(Debug)]
pub struct Shim {
    folder: PathBuf,
}

/// A sync that has failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailedSync {
    /// Was it that of a folder, which makes names durable, and not that of a file?
    pub of_folder: bool,
    /// Was the same file or folder synced after all, later?
    pub again: bool,
}

/// A wall clock that can be set off while the process runs.
#[derive(Debug)]
pub struct ClockOffset(File);

impl Shim {
    /// Compiles the library into `folder`.
    ///
    /// # Errors
    /// When there is no C compiler (`CC`, else `cc`), or it fails.
    pub fn build(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
        std::fs::write(&source, SOURCE)?;
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(&compiler);
        command.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
        let output = command.output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("{compiler}: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// A program that is `program` with its `k`-th sync failing.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn failing_sync(&self, program: &Path, k: usize) -> io::Result<PathBuf> {
        let note = self.note(k).display().to_string();
        self.wrapper(&format!("sync-{k}"), program, &[("FAULTS_SYNC_AT", k.to_string()), ("FAULTS_SYNC_NOTE", note)])
    }

    /// What became of the `k`-th sync; nothing if it was not asked for yet.
    #[must_use]
    pub fn failed(&self, k: usize) -> Option<FailedSync> {
        let note = std::fs::read_to_string(self.note(k)).ok()?;
        let mut lines = note.lines();
        let of_folder = lines.next()?.starts_with("folder ");
        Some(FailedSync { of_folder, again: lines.next() == Some("again") })
    }

    /// A program that is `program` with a wall clock that can be set off, and what sets it. `name` tells several apart.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn clock(&self, program: &Path, name: &str) -> io::Result<(PathBuf, ClockOffset)> {
        let path = self.folder.join(format!("clock-of-{name}"));
        let offset = ClockOffset(File::options().write(true).create(true).truncate(true).open(&path)?);
        offset.set(0)?;
        let wrapper = self.wrapper(&format!("off-{name}"), program, &[("FAULTS_CLOCK", path.display().to_string())])?;
        Ok((wrapper, offset))
    }

    fn note(&self, k: usize) -> PathBuf {
        self.folder.join(format!("sync-{k}-failed"))
    }

    /// A script that becomes `program`, so that its process id is the program's.
    fn wrapper(&self, name: &str, program: &Path, environment: &[(&str, String)]) -> io::Result<PathBuf> {
        let variables: Vec<String> = environment.iter().map(|(key, value)| format!("{key}='{value}'")).collect();
        let (library, variables) = (self.folder.join("shim.so"), variables.join(" "));
        let (library, program) = (library.display(), program.display());
        let script = format!("#!/bin/sh\nexec env LD_PRELOAD='{library}' {variables} '{program}' \"$@\"\n");
        let path = self.folder.join(name);
        // By another process: a file that is open for writing here could not be executed, nor while a child that is
        // being started elsewhere has inherited it.
        let write = "printf '%s' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let status = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status()?;
        if status.success() { Ok(path) } else { Err(io::Error::other(format!("cannot write {}", path.display()))) }
    }
}

impl ClockOffset {
    /// Sets the clock off by so many milliseconds from now on.
    ///
    /// # Errors
    /// When the file that tells the process cannot be written.
    pub fn set(&self, milliseconds: i64) -> io::Result<()> {
        self.0.write_all_at(&milliseconds.to_ne_bytes(), 0)
    }
}
