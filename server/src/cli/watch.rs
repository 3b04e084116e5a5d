//! `fba watch`: ledgers as they close; on a terminal with the node's state below them, redrawn as it changes.

use crate::cli::client::{Client, NodeArgs};
use crate::cli::events::{EventStream, SILENCE_MAX};
use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::http::dto;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Between two questions for what the stream does not tell (peers, queue).
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Longest line of the state: one that wraps could not be redrawn in place.
const STATE_CHARS_MAX: usize = 79;
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
    let live = !args.node.json && std::io::stdout().is_terminal();
    let live = live.then(|| Live::new(client.clone()));
    let mut watch = Watch { args, live, last: args.since, last_close_ms: None, printed: 0 };
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

/// The node's state, drawn below the ledgers.
struct Live {
    client: Client,
    sync: Option<dto::Sync>,
    slot: Option<dto::Slot>,
    node: Option<dto::Node>,
    asked: Option<Instant>,
    /// Lines on the screen that are replaced next time.
    drawn: usize,
}

impl Live {
    fn new(client: Client) -> Self {
        Self { client, sync: None, slot: None, node: None, asked: None, drawn: 0 }
    }

    /// Prints `row`, if there is one, above the state, and the state anew.
    fn draw(&mut self, row: Option<&str>) -> Result<(), CliError> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            self.asked = Some(Instant::now());
            // What cannot be had is left out: the stream notices when the node is gone.
            self.node = self.client.get("/v1/node").ok();
        }
        let erase = if self.drawn > 0 { format!("\x1b[{}F\x1b[J", self.drawn) } else { String::new() };
        let state = state(self.sync.as_ref(), self.slot.as_ref(), self.node.as_ref(), text::colour());
        self.drawn = state.len();
        let row = row.map(|row| format!("{row}\n")).unwrap_or_default();
        text::say(&format!("{erase}{row}{}", state.join("\n")))
    }
}

/// Two lines: how the node stands, and what it is at.
fn state(sync: Option<&dto::Sync>, slot: Option<&dto::Slot>, node: Option<&dto::Node>, colour: bool) -> Vec<String> {
    let short = |text: String| text.chars().take(STATE_CHARS_MAX).collect::<String>();
    let word = sync.map_or("…", |sync| sync.state.as_str());
    let reason = sync.and_then(|sync| sync.reason.as_ref()).map(|reason| format!(": {reason}")).unwrap_or_default();
    let name = node.and_then(|node| node.name.as_deref()).unwrap_or("node");
    let standing = short(format!("{name} is {}{reason}", word.replace('_', " ")));
    let paint = if word == "synced" { "\x1b[32m" } else { "\x1b[33m" };
    let standing = if colour { format!("{paint}{standing}\x1b[0m") } else { standing };
    let slot = slot.map_or_else(String::new, |slot| {
        format!("slot {}: {}, round {}, counter {}", slot.slot, slot.phase, slot.round, slot.counter)
    });
    let rest = node.map_or_else(String::new, |node| format!("; {} peers, {} queued", node.peers, node.queued));
    vec![standing, short(format!("{slot}{rest}"))]
}

struct Watch<'a> {
    args: &'a Args,
    live: Option<Live>,
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
            "sync" if self.live.is_some() => {
                let sync = read(data)?;
                if let Some(live) = &mut self.live {
                    live.sync = Some(sync);
                    live.draw(None)?;
                }
            }
            "phase" => {
                if let Some(live) = &mut self.live {
                    live.slot = Some(read(data)?);
                    live.draw(None)?;
                }
            }
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
        let row = row(ledger, interval, text::colour());
        match &mut self.live {
            Some(live) => live.draw(Some(&row)),
            None => text::say(&row),
        }
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
    fn the_state_fits_on_two_lines_and_is_coloured_only_where_asked() {
        let sync = dto::Sync {
            state: "catching_up".into(),
            reason: Some("fetching ledgers 1 to 100000 ".repeat(5)),
            ..dto::Sync::default()
        };
        let slot = dto::Slot { slot: 813, phase: "prepare".into(), round: 1, counter: 2 };
        let lines = state(Some(&sync), Some(&slot), None, false);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= STATE_CHARS_MAX), "{lines:?}");
        assert!(lines[0].starts_with("node is catching up: fetching"), "{lines:?}");
        assert_eq!(lines[1], "slot 813: prepare, round 1, counter 2");
        assert!(state(Some(&sync), None, None, true)[0].starts_with("\x1b[33m"));
    }

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
