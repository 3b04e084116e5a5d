//! HTTP load on one server of a real network: what it sustains, and what many times that does to the closes.

use fba_server::http::dto::Ledgers;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is asked in turn: what a dashboard and a status command ask.
const QUESTIONS: [&str; 4] = ["/v1/node", "/v1/ledgers?limit=20", "/v1/quorum", "/v1/slots/latest"];

/// Requests sent before the first answer is awaited, when more is offered than can be answered.
const PIPELINED: usize = 16;

/// How long an answer may take until it counts as none.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The largest answer a client takes.
const BODY_MAX: u64 = 64 << 20;

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections, each with a thread of its own.
    pub connections: usize,
    /// Requests a second all together; nothing: as fast as answers come, one at a time per connection.
    pub offered: Option<f64>,
    /// For how long.
    pub time: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections that were refused, reset or silent.
    pub broken: u64,
    /// How long it really took.
    pub took: Duration,
    /// How long each answer took; only where one is awaited at a time.
    pub latencies: Vec<Duration>,
}

impl Outcome {
    /// All answers.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Answers per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.answers() as f64 / self.took.as_secs_f64().max(0.001)
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.broken += other.broken;
        self.latencies.extend(other.latencies);
    }
}

/// Asks the server at `to`.
#[must_use]
pub fn ask(to: SocketAddr, load: Load) -> Outcome {
    let begun = Instant::now();
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..load.connections).map(|number| scope.spawn(move || one_client(to, load, number))).collect();
        for thread in threads {
            outcome.add(thread.join().expect("a client does not panic"));
        }
    });
    outcome.took = begun.elapsed();
    outcome
}

/// One client: connects anew whenever it was cut off.
fn one_client(to: SocketAddr, load: Load, number: usize) -> Outcome {
    let until = Instant::now() + load.time;
    let mut outcome = Outcome::default();
    while Instant::now() < until {
        if converse(to, load, number, until, &mut outcome).is_err() {
            outcome.broken += 1;
        }
    }
    outcome
}

fn converse(to: SocketAddr, load: Load, number: usize, until: Instant, outcome: &mut Outcome) -> io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let batch = if load.offered.is_some() { PIPELINED } else { 1 };
    let mut due = Instant::now();
    for turn in number.. {
        let now = Instant::now();
        if now >= until {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(now));
        due += pause(load, batch);
        let asked = Instant::now();
        stream.write_all(&requests(to, turn, batch))?;
        for _ in 0..batch {
            let status = read_answer(&mut answers)?;
            *outcome.statuses.entry(status).or_default() += 1;
        }
        if load.offered.is_none() {
            outcome.latencies.push(asked.elapsed());
        }
    }
    Ok(())
}

/// The time between two batches of one connection.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn pause(load: Load, batch: usize) -> Duration {
    load.offered.map_or(Duration::ZERO, |rate| {
        Duration::from_secs_f64(batch as f64 * load.connections as f64 / rate.max(0.001))
    })
}

fn requests(to: SocketAddr, turn: usize, batch: usize) -> Vec<u8> {
    let questions = QUESTIONS.iter().cycle().skip(turn % QUESTIONS.len());
    let one = |question: &&str| format!("GET {question} HTTP/1.1\r\nHost: {to}\r\n\r\n").into_bytes();
    questions.take(batch).flat_map(one).collect()
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<u16> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.get(9..12).and_then(|digits| digits.parse().ok()).ok_or_else(|| bad("no status line"))?;
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(bad("the head ended early"));
        }
        let field = line.trim_end();
        if field.is_empty() {
            break;
        }
        if let Some((name, value)) = field.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.parse().map_err(|_| bad("a length that is no number"))?;
        }
    }
    let read = io::copy(&mut stream.take(u64::min(length, BODY_MAX)), &mut io::sink())?;
    if read == length { Ok(status) } else { Err(bad("the body ended early")) }
}

/// Reads one event stream until `stop`; how many ledgers it told of. An error if it was refused or cut off before.
/// `answered` counts those that have been answered, one way or the other.
///
/// # Errors
/// When the server is not there or ends the stream.
pub fn watch(to: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) -> io::Result<u64> {
    let mut stream = TcpStream::connect(to)?;
    // The server gives a sign of life every ten seconds.
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: {to}\r\n\r\n")?;
    let mut lines = BufReader::new(stream);
    let (mut line, mut ledgers) = (String::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.starts_with("HTTP/1.1 ") {
            answered.fetch_add(1, Ordering::Relaxed);
        }
        if line.starts_with("HTTP/1.1 ") && !line.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(line.trim_end().to_owned()));
        }
        ledgers += u64::from(line.starts_with("event:ledger"));
    }
    Ok(ledgers)
}

/// The times between consecutive ledgers by their agreed close times, sorted.
#[must_use]
pub fn intervals(page: &Ledgers) -> Vec<Duration> {
    let pairs = page.ledgers.windows(2).filter_map(|pair| Some((pair.first()?, pair.last()?)));
    let between = pairs.map(|(newer, older)| newer.close_time_ms.saturating_sub(older.close_time_ms));
    let mut intervals: Vec<Duration> = between.map(Duration::from_millis).collect();
    intervals.sort_unstable();
    intervals
}

/// The value below which `share` of the sorted values are.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Resident memory of a process in KiB, where the system tells.
#[must_use]
pub fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_after_the_other() {
        let two = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n";
        let mut stream = BufReader::new(two.as_slice());
        assert_eq!(read_answer(&mut stream).unwrap(), 200);
        assert_eq!(read_answer(&mut stream).unwrap(), 429);
        assert!(read_answer(&mut stream).is_err());
        let short = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{}";
        assert!(read_answer(&mut BufReader::new(short.as_slice())).is_err());
    }

    #[test]
    fn a_quantile_of_few_values_is_one_of_them() {
        let values = [1, 2, 3, 4].map(Duration::from_secs);
        assert_eq!(quantile(&values, 0.5), Duration::from_secs(3));
        assert_eq!(quantile(&values, 0.99), Duration::from_secs(4));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
