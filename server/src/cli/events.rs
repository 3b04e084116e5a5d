//! A node's event stream, as its readers see it.

use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::http::dto;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// The node gives a sign of life every ten seconds; this long without one means the connection is dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest line of the stream that is taken.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Lines read ahead of what is taken.
const LINES_AHEAD: usize = 64;

/// One event: its name and its data, JSON.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeEvent {
    /// `ledger`, `phase`, `sync`, `lagged` or `reset`.
    pub name: String,
    /// Its JSON.
    pub data: String,
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoEvent {
    /// Nothing came in time; the stream is still there.
    Silence,
    /// The stream has ended.
    Ended,
}

/// An open stream. Reading happens on a thread of its own, so that silence can be noticed; the thread ends with the
/// stream, or when nobody takes its lines any more.
pub struct EventStream {
    lines: Receiver<String>,
    parser: Parser,
}

impl EventStream {
    /// Opens the stream of a node after ledger `since`.
    ///
    /// # Errors
    /// As [`Client::events`].
    pub fn open(client: &Client, since: Option<u64>) -> Result<Self, CliError> {
        Ok(Self { lines: in_background(client.events(since)?), parser: Parser::default() })
    }

    /// The next event, if one comes within `patience`.
    ///
    /// # Errors
    /// [`NoEvent`]
    pub fn next(&mut self, patience: Duration) -> Result<NodeEvent, NoEvent> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(event) = self.parser.line(&line) {
                        return Ok(event);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(NoEvent::Silence),
                Err(RecvTimeoutError::Disconnected) => return Err(NoEvent::Ended),
            }
        }
    }
}

/// Waits until the node has closed ledger `sequence`.
///
/// # Errors
/// [`Exit::Unavailable`] when the stream ends or `patience` does.
pub fn wait_for_ledger(client: &Client, sequence: u64, patience: Duration) -> Result<dto::Ledger, CliError> {
    let deadline = Instant::now() + patience;
    // Subscribed first, then looked: a close in between is seen by one of the two.
    let mut stream = EventStream::open(client, None)?;
    loop {
        if let Some(ledger) = client.find::<dto::Ledger>(&format!("/v1/ledgers/{sequence}"))? {
            return Ok(ledger);
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match stream.next(left) {
                Ok(event) if event.name == "phase" => {}
                Ok(_) => break,
                Err(NoEvent::Silence) => {
                    let message = format!("ledger {sequence} was not closed within {} s", patience.as_secs());
                    return Err(CliError::new(Exit::Unavailable, message));
                }
                Err(NoEvent::Ended) => {
                    return Err(CliError::new(Exit::Unavailable, "the node ended its event stream"));
                }
            }
        }
    }
}

fn in_background(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, taken) = sync_channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            match reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
                Ok(length) if length > 0 => {
                    if lines.send(line).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => return,
            }
        }
    });
    taken
}

/// Server-sent events, line by line.
#[derive(Default)]
struct Parser {
    name: String,
    data: String,
}

impl Parser {
    /// The event this line completes.
    fn line(&mut self, line: &str) -> Option<NodeEvent> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            let Self { name, data } = std::mem::take(self);
            return (!data.is_empty()).then_some(NodeEvent { name, data });
        }
        match line.split_once(':') {
            Some(("event", name)) => self.name = name.trim_start().to_owned(),
            Some(("data", data)) if self.data.len() as u64 <= LINE_BYTES_MAX => self.data.push_str(data.trim_start()),
            // A comment, an id or a retry time.
            Some(_) | None => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_comments_passed_over() {
        let mut parser = Parser::default();
        let lines = [":\n", "\n", "event:ledger\r\n", "id:5\r\n", "data:{\"a\":1}\r\n", "\r\n"];
        let events: Vec<_> = lines.iter().filter_map(|line| parser.line(line)).collect();
        assert_eq!(events, [NodeEvent { name: "ledger".to_owned(), data: "{\"a\":1}".to_owned() }]);
    }
}
