//! `fba watch`: ledgers as they close.

use crate::cli::client::{Client, NodeArgs};
use crate::cli::events::{EventStream, SILENCE_MAX};
use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::http::dto;
use std::time::Duration;

/// Between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Attempts to connect again before giving up.
const RECONNECTS_MAX: u32 = 30;

/// Print ledgers as they close, until stopped
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Begin after this ledger instead of now
    #[arg(long, value_name = "SEQUENCE")]
    since: Option<u64>,
    /// Stop after so many ledgers
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Prints until the count is reached or the node is gone for good.
///
/// # Errors
/// [`Exit::Unavailable`] when the node does not answer, or no longer for half a minute.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let client = Client::new(&args.node)?;
    let mut watch = Watch { args, last: args.since, last_close_ms: None, printed: 0 };
    if !args.node.json {
        text::say(HEADINGS)?;
    }
    let mut failures = 0;
    loop {
        match EventStream::open(&client, watch.last) {
            Ok(stream) => {
                failures = 0;
                if watch.follow(stream)? {
                    return Ok(Exit::Good);
                }
                eprintln!("the stream ended; connecting again");
            }
            // Somebody who has seen nothing yet should be told at once.
            Err(error) if watch.printed == 0 || failures >= RECONNECTS_MAX => return Err(error),
            Err(_) => failures += 1,
        }
        std::thread::sleep(RECONNECT_PAUSE);
    }
}

const HEADINGS: &str = "    LEDGER  CLOSED                    INTERVAL     TX  FAILED  NOMINATE    BALLOT  HASH";

struct Watch<'a> {
    args: &'a Args,
    /// The newest ledger printed: where to go on after a break.
    last: Option<u64>,
    last_close_ms: Option<u64>,
    printed: u64,
}

impl Watch<'_> {
    /// Prints what the stream says until it ends (`false`) or enough has been printed (`true`).
    fn follow(&mut self, mut stream: EventStream) -> Result<bool, CliError> {
        while let Ok(event) = stream.next(SILENCE_MAX) {
            if self.show(&event.name, &event.data)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn show(&mut self, name: &str, data: &str) -> Result<bool, CliError> {
        match name {
            "ledger" => self.show_ledger(&read(data)?)?,
            "sync" if !self.args.node.json => {
                let sync: dto::Sync = read(data)?;
                let reason = sync.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                eprintln!("node is {}{reason}", sync.state);
            }
            "reset" => {
                let reset: dto::Reset = read(data)?;
                self.last = Some(reset.sequence);
                eprintln!("too far behind to fill in; going on after ledger {}", reset.sequence);
            }
            _ => {}
        }
        Ok(self.args.count.is_some_and(|count| self.printed >= count))
    }

    fn show_ledger(&mut self, ledger: &dto::LedgerClosed) -> Result<(), CliError> {
        let interval = self.last_close_ms.map(|before| ledger.close_time_ms.saturating_sub(before));
        self.last = Some(ledger.sequence);
        self.last_close_ms = Some(ledger.close_time_ms);
        self.printed += 1;
        if self.args.node.json {
            let line = serde_json::to_string(ledger).map_err(|error| CliError::new(Exit::Data, error))?;
            return text::say(&line);
        }
        text::say(&row(ledger, interval, text::colour()))
    }
}

fn read<T: serde::de::DeserializeOwned>(data: &str) -> Result<T, CliError> {
    serde_json::from_str(data)
        .map_err(|error| CliError::new(Exit::Data, format!("the event is not understood: {error}")))
}

fn row(ledger: &dto::LedgerClosed, interval: Option<u64>, colour: bool) -> String {
    let ms = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), text::duration);
    let failed = format!("{:>6}", ledger.failed);
    let failed = if colour && ledger.failed > 0 { format!("\x1b[31m{failed}\x1b[0m") } else { failed };
    format!(
        "{:>10}  {}  {:>8}  {:>5}  {failed}  {:>8}  {:>8}  {}",
        ledger.sequence,
        text::time(ledger.close_time_ms),
        ms(interval),
        ledger.transactions,
        ms(ledger.nomination_ms),
        ms(ledger.ballot_ms),
        text::short(&ledger.hash),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_lines_up_with_its_heading() {
        let ledger = dto::LedgerClosed {
            sequence: 7,
            hash: "ab".repeat(32),
            close_time_ms: 0,
            transactions: 3,
            failed: 1,
            nomination_ms: None,
            ballot_ms: Some(12),
        };
        let row = row(&ledger, Some(1000), false);
        assert_eq!(row.find("abab"), HEADINGS.find("HASH"), "\n{HEADINGS}\n{row}");
        assert!(row.contains("1.0 s") && row.contains("12 ms"), "{row}");
        assert!(!row.contains('\x1b'));
    }
}
