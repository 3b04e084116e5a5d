//! The live table: one row a ledger, one column a server.

use crate::cli::client::Client;
use crate::cli::events::{EventStream, SILENCE_MAX};
use crate::cli::exit::CliError;
use crate::cli::text::say;
use crate::http::dto;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// A ledger that not all have closed is printed after this long anyway.
const ROW_WITHIN: Duration = Duration::from_secs(3);

/// Between two attempts to reach a server that is gone.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Rows kept for servers that come late.
const ROWS_MAX: usize = 1000;

/// Something a server was seen to do.
pub(super) enum Event {
    /// It closed a ledger.
    Closed { node: usize, ledger: dto::LedgerClosed },
    /// Its event stream ended.
    Lost { node: usize },
    /// Its event stream is there again.
    Back { node: usize },
}

/// Follows all servers, each on a thread of its own that ends when nobody listens.
pub(super) fn follow(clients: Vec<Client>) -> Receiver<Event> {
    let (sender, receiver) = channel();
    for (node, client) in clients.into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || follow_one(node, &client, &sender));
    }
    receiver
}

fn follow_one(node: usize, client: &Client, events: &Sender<Event>) {
    let mut since = None;
    loop {
        if let Ok(mut stream) = EventStream::open(client, since) {
            if events.send(Event::Back { node }).is_err() {
                return;
            }
            while let Ok(event) = stream.next(SILENCE_MAX) {
                if event.name != "ledger" {
                    continue;
                }
                let Ok(ledger) = serde_json::from_str::<dto::LedgerClosed>(&event.data) else { continue };
                since = Some(ledger.sequence);
                if events.send(Event::Closed { node, ledger }).is_err() {
                    return;
                }
            }
            if events.send(Event::Lost { node }).is_err() {
                return;
            }
        }
        std::thread::sleep(RETRY_EVERY);
    }
}

/// What all servers closed so far.
pub(super) struct Board {
    names: Vec<String>,
    up: Vec<bool>,
    rows: BTreeMap<u64, Row>,
    printed: u64,
    last_close_ms: Option<u64>,
    intervals_ms: Vec<u64>,
    complete: u64,
    differing: u64,
    transactions: u64,
}

struct Row {
    close_time_ms: u64,
    transactions: u64,
    hashes: Vec<Option<String>>,
    begun: Instant,
}

impl Board {
    pub(super) fn new(names: &[String]) -> Self {
        Self {
            names: names.to_vec(),
            up: vec![true; names.len()],
            rows: BTreeMap::new(),
            printed: 0,
            last_close_ms: None,
            intervals_ms: Vec::new(),
            complete: 0,
            differing: 0,
            transactions: 0,
        }
    }

    pub(super) fn heading(&self) -> String {
        let names: String = self.names.iter().map(|name| format!("  {name:<10}")).collect();
        format!("{:>8}  {:>10}  {:>5}{}", "ledger", "interval", "txs", names.trim_end())
    }

    pub(super) fn closed(&mut self, node: usize, ledger: &dto::LedgerClosed) {
        let count = self.names.len();
        let row = self.rows.entry(ledger.sequence).or_insert_with(|| Row {
            close_time_ms: ledger.close_time_ms,
            transactions: ledger.transactions,
            hashes: vec![None; count],
            begun: Instant::now(),
        });
        if let Some(hash) = row.hashes.get_mut(node) {
            *hash = Some(ledger.hash.clone());
        }
        while self.rows.len() > ROWS_MAX {
            self.rows.pop_first();
        }
    }

    pub(super) fn lost(&mut self, node: usize) -> Result<(), CliError> {
        self.mark(node, false, "is gone")
    }

    pub(super) fn back(&mut self, node: usize) -> Result<(), CliError> {
        self.mark(node, true, "is back")
    }

    fn mark(&mut self, node: usize, up: bool, word: &str) -> Result<(), CliError> {
        if let (Some(was), Some(name)) = (self.up.get_mut(node), self.names.get(node))
            && *was != up
        {
            *was = up;
            say(&format!("--- {name} {word}"))?;
        }
        Ok(())
    }

    /// Prints the rows that are complete, or have waited long enough, in order.
    pub(super) fn print_finished(&mut self) -> Result<(), CliError> {
        self.begin();
        while let Some((&sequence, row)) = self.rows.range(self.printed + 1..).next() {
            let complete = row.hashes.iter().zip(&self.up).all(|(hash, up)| hash.is_some() || !up);
            if !complete && row.begun.elapsed() < ROW_WITHIN {
                return Ok(());
            }
            self.printed = sequence;
            let line = self.finish(sequence);
            say(line.trim_end())?;
        }
        Ok(())
    }

    /// The first row is one that all streams have: ledgers closed while they were being opened are not late, but missed.
    fn begin(&mut self) {
        let full = |(_, row): &(&u64, &Row)| row.hashes.iter().all(Option::is_some);
        if self.printed == 0
            && let Some((sequence, _)) = self.rows.iter().find(full)
        {
            self.printed = sequence.saturating_sub(1);
        }
    }

    fn finish(&mut self, sequence: u64) -> String {
        let Some(row) = self.rows.get(&sequence) else { return String::new() };
        let interval = self.last_close_ms.map(|before| row.close_time_ms.saturating_sub(before));
        let mut seen: Vec<&String> = row.hashes.iter().flatten().collect();
        seen.dedup();
        let equal = seen.len() <= 1;
        let cells: String = row
            .hashes
            .iter()
            .zip(&self.up)
            .map(|(hash, up)| match (hash, up) {
                (Some(hash), _) => format!("  {:<10}", hash.chars().take(8).collect::<String>()),
                (None, true) => format!("  {:<10}", "…"),
                (None, false) => format!("  {:<10}", "-"),
            })
            .collect();
        let mark = if equal { "" } else { "  DIFFERENT" };
        let shown = interval.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        let line = format!("{sequence:>8}  {shown:>10}  {:>5}{cells}{mark}", row.transactions);
        self.last_close_ms = Some(row.close_time_ms);
        self.intervals_ms.extend(interval);
        self.transactions += row.transactions;
        self.complete += u64::from(equal && row.hashes.iter().all(Option::is_some));
        self.differing += u64::from(!equal);
        line
    }

    pub(super) fn summary(&self) -> Summary {
        // Rows that were printed before a late server closed them count too.
        let rows = self.rows.range(..=self.printed);
        let same = |row: &Row| row.hashes.windows(2).all(|pair| pair.first() == pair.last());
        let complete = rows.filter(|(_, row)| row.hashes.iter().all(Option::is_some) && same(row)).count() as u64;
        let mut intervals = self.intervals_ms.clone();
        intervals.sort_unstable();
        Summary {
            complete: self.complete.max(complete),
            differing: self.differing,
            transactions: self.transactions,
            median_interval_ms: intervals.get(intervals.len() / 2).copied(),
            all_up: self.up.iter().all(|up| *up),
        }
    }
}

/// The whole run in a few numbers.
pub(super) struct Summary {
    /// Ledgers that every server closed, with one header hash.
    pub(super) complete: u64,
    /// Ledgers closed with different headers: a fork.
    pub(super) differing: u64,
    /// Transactions in the ledgers shown.
    pub(super) transactions: u64,
    /// The median of the differences between close times.
    pub(super) median_interval_ms: Option<u64>,
    /// Are all servers there at the end?
    pub(super) all_up: bool,
}

impl Summary {
    pub(super) fn median_interval_text(&self) -> String {
        self.median_interval_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"))
    }

    pub(super) fn hashes_text(&self) -> String {
        match (self.differing, self.all_up) {
            (0, true) => "equal on all servers".to_owned(),
            (0, false) => "equal on all servers that are there".to_owned(),
            (differing, _) => format!("DIFFERENT in {differing} ledgers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(sequence: u64, hash: &str) -> dto::LedgerClosed {
        dto::LedgerClosed {
            sequence,
            hash: hash.to_owned(),
            close_time_ms: sequence * 1000,
            transactions: 2,
            failed: 0,
            nomination_ms: None,
            ballot_ms: None,
        }
    }

    #[test]
    fn ledgers_all_have_closed_alike_are_counted_and_a_fork_is_seen() {
        let mut board = Board::new(&["a".to_owned(), "b".to_owned()]);
        for node in 0..2 {
            board.closed(node, &closed(2, "aaaaaaaaaa"));
            board.closed(node, &closed(3, if node == 0 { "bbbbbbbbbb" } else { "cccccccccc" }));
        }
        board.print_finished().unwrap();
        let summary = board.summary();
        assert_eq!((summary.complete, summary.differing, summary.transactions), (1, 1, 4));
        assert_eq!(summary.median_interval_ms, Some(1000));
    }

    #[test]
    fn rows_begin_with_the_first_ledger_that_every_stream_has() {
        let mut board = Board::new(&["a".to_owned(), "b".to_owned()]);
        board.closed(0, &closed(2, "aaaaaaaaaa"));
        board.print_finished().unwrap();
        for node in 0..2 {
            board.closed(node, &closed(3, "bbbbbbbbbb"));
        }
        board.print_finished().unwrap();
        assert_eq!((board.printed, board.summary().transactions), (3, 2));
    }

    #[test]
    fn a_server_that_is_gone_does_not_hold_up_the_rows() {
        let mut board = Board::new(&["a".to_owned(), "b".to_owned()]);
        board.lost(1).unwrap();
        board.closed(0, &closed(2, "aaaaaaaaaa"));
        board.print_finished().unwrap();
        assert_eq!((board.printed, board.summary().complete), (2, 0));
        board.back(1).unwrap();
        board.closed(1, &closed(2, "aaaaaaaaaa"));
        assert_eq!(board.summary().complete, 1);
    }
}
