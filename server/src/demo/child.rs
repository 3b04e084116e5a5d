//! One server of the demo: a child process, its log file and its address.

use crate::cli::run::SERVING;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a server may take until it serves HTTP.
const START_WITHIN: Duration = Duration::from_secs(30);

/// How long a server may take to stop once its standard input is closed.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Why a server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// The process could not be made.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The log file could not be made.
    #[error("cannot write the log file {path}: {source}")]
    Log {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The process ended before it served.
    #[error("{name} stopped while starting ({status}); the end of its log {log}:\n{tail}")]
    Died {
        /// Which server.
        name: String,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The process runs but does not serve.
    #[error("{name} did not serve HTTP within {} s; see its log {log}", START_WITHIN.as_secs())]
    Late {
        /// Which server.
        name: String,
        /// Its log file.
        log: PathBuf,
    },
}

/// A running server process. Dropping it kills it: no process is left behind.
#[derive(Debug)]
pub struct NodeProcess {
    /// Its short name.
    pub name: String,
    /// The base URL of its HTTP API.
    pub url: String,
    /// Its log file (standard error).
    pub log: PathBuf,
    child: Child,
    // The server runs until this closes, so it also ends if we are killed.
    stdin: Option<ChildStdin>,
}

impl NodeProcess {
    /// Starts `program run CONFIG --until-stdin-closes` and waits until it serves HTTP.
    ///
    /// # Errors
    /// When it cannot be started, ends early or does not serve in time; the message holds the end of its log.
    pub fn spawn(program: &Path, name: &str, config: &Path, log: &Path, extra: &[&str]) -> Result<Self, ChildError> {
        let log_error = |source| ChildError::Log { path: log.to_owned(), source };
        let stderr = File::options().create(true).append(true).open(log).map_err(log_error)?;
        let mut child = Command::new(program)
            .arg("run")
            .arg(config)
            .arg("--until-stdin-closes")
            .args(extra)
            // Ctrl-C in the terminal is for us alone: we stop the servers, in our own order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|source| ChildError::Spawn { program: program.display().to_string(), source })?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut node = Self { name: name.to_owned(), url: String::new(), log: log.to_owned(), child, stdin };
        let lines = stdout.map(first_serving_line);
        match lines.map(|lines| lines.recv_timeout(START_WITHIN)) {
            Some(Ok(Some(url))) => {
                node.url = url;
                Ok(node)
            }
            Some(Ok(None)) => Err(node.died()),
            Some(Err(_)) | None => Err(ChildError::Late { name: name.to_owned(), log: log.to_owned() }),
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks the server to stop, without waiting.
    pub fn ask_to_stop(&mut self) {
        self.stdin = None;
    }

    /// Asks the server to stop and waits; kills it if it does not. `None` means it had to be killed.
    pub fn stop(mut self) -> Option<ExitStatus> {
        self.ask_to_stop();
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Kills the process at once (SIGKILL) and waits for its end.
    pub fn kill(mut self) {
        self.kill_and_reap();
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    fn died(&mut self) -> ChildError {
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        ChildError::Died { name: self.name.clone(), status, log: self.log.clone(), tail: self.log_tail() }
    }

    fn kill_and_reap(&mut self) {
        // Both fail only if the process is gone already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill_and_reap();
    }
}

/// Reads standard output to its end on a thread; sends the URL once, or `None` at the end of the stream.
fn first_serving_line(stdout: std::process::ChildStdout) -> mpsc::Receiver<Option<String>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            if let Some(url) = line.strip_prefix(SERVING) {
                // The receiver is gone once it has its line or its patience has run out.
                let _ = sender.send(Some(url.trim().to_owned()));
            }
        }
        let _ = sender.send(None);
    });
    receiver
}

/// Up to the last 2 KiB of a log, for error messages.
fn log_tail(path: &Path) -> String {
    const TAIL_BYTES: u64 = 2048;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(cannot read it: {error})"))
}
