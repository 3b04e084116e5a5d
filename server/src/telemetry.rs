//! What the node tells its operator about itself: metrics in Prometheus' text form, and the log.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::{Duration, Instant};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

/// Every metric of the node. All are cheap to update from any thread.
pub struct Metrics {
    /// Sequence number of the last closed ledger.
    pub ledger_sequence: Gauge,
    /// Seconds between one close and the next, as seen here.
    pub close_interval_seconds: Histogram,
    /// Transactions in closed ledgers.
    pub transactions: Counter,
    /// Transactions in closed ledgers that failed.
    pub transactions_failed: Counter,
    /// Durable commits of the store.
    pub commits: Counter,
    /// Seconds one durable commit takes.
    pub commit_seconds: Histogram,
    /// Statements received, by kind and verdict.
    pub statements: Family<StatementLabels, Counter>,
    /// Links that are up.
    pub peers: Gauge,
    /// Transactions waiting for a ledger.
    pub queued_transactions: Gauge,
    /// 1 while the node follows the network, else 0.
    pub synced: Gauge,
    /// Open HTTP connections.
    pub http_connections: Gauge,
    /// HTTP requests answered, by class of status.
    pub http_requests: Family<HttpLabels, Counter>,
    /// Open event streams.
    pub event_streams: Gauge,
    uptime_seconds: Gauge,
    started: Instant,
    registry: Registry,
}

/// What a received statement was, and what became of it.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct StatementLabels {
    /// Its kind.
    pub kind: StatementKind,
    /// The verdict.
    pub verdict: Verdict,
}

/// The four kinds of statement.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum StatementKind {
    /// NOMINATE
    Nominate,
    /// PREPARE
    Prepare,
    /// CONFIRM
    Confirm,
    /// EXTERNALIZE
    Externalize,
}

/// What became of a statement.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// It moved something, or may yet.
    Accepted,
    /// The same or a newer one is here already.
    Stale,
    /// Waits for a quorum set or a transaction set.
    Pending,
    /// Outside the window of slots.
    OutOfWindow,
    /// Malformed, badly signed, or its value is invalid.
    Refused,
}

/// How requests ended.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct HttpLabels {
    /// First digit of the status: 2, 3, 4 or 5.
    pub status_class: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("ledger_sequence", &self.ledger_sequence.get()).finish_non_exhaustive()
    }
}

impl Metrics {
    /// All metrics at zero; the uptime counts from now.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            ledger_sequence: Gauge::default(),
            // A close takes from a few milliseconds (interval 0) to several heartbeats (a network in trouble).
            close_interval_seconds: Histogram::new([
                0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
            ]),
            transactions: Counter::default(),
            transactions_failed: Counter::default(),
            commits: Counter::default(),
            commit_seconds: Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]),
            statements: Family::default(),
            peers: Gauge::default(),
            queued_transactions: Gauge::default(),
            synced: Gauge::default(),
            http_connections: Gauge::default(),
            http_requests: Family::default(),
            event_streams: Gauge::default(),
            uptime_seconds: Gauge::default(),
            started: Instant::now(),
            registry: Registry::with_prefix("fba"),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("ledger_sequence", "Sequence number of the last closed ledger", self.ledger_sequence.clone());
        let close = self.close_interval_seconds.clone();
        r.register_with_unit("close_interval", "Time between closes", Unit::Seconds, close);
        r.register("transactions", "Transactions in closed ledgers", self.transactions.clone());
        r.register("transactions_failed", "Failed transactions in closed ledgers", self.transactions_failed.clone());
        r.register("commits", "Durable commits of the store", self.commits.clone());
        r.register_with_unit("commit", "Time of a durable commit", Unit::Seconds, self.commit_seconds.clone());
        r.register("statements", "Statements received", self.statements.clone());
        r.register("peers", "Links that are up", self.peers.clone());
        r.register("queued_transactions", "Transactions waiting for a ledger", self.queued_transactions.clone());
        r.register("synced", "1 while the node follows the network", self.synced.clone());
        r.register("http_connections", "Open HTTP connections", self.http_connections.clone());
        r.register("http_requests", "HTTP requests answered", self.http_requests.clone());
        r.register("event_streams", "Open event streams", self.event_streams.clone());
        let uptime = self.uptime_seconds.clone();
        r.register_with_unit("process_uptime", "Time since the process started", Unit::Seconds, uptime);
        self
    }

    /// How long the process has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// All metrics in the OpenMetrics text form.
    #[must_use]
    pub fn encode(&self) -> String {
        self.uptime_seconds.set(i64::try_from(self.uptime().as_secs()).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The log could not be set up.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error(
        "{filter:?} is not a log filter ({reason}): write a level such as `info`, or `info,fba_server::overlay=debug`"
    )]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a log already.
    #[error("the log was set up twice")]
    Twice,
    /// The log has ended.
    #[error("the log of this process has ended")]
    Gone,
}

/// Changes what a log that was started lets through.
#[derive(Clone)]
pub struct LogControl(reload::Handle<EnvFilter, tracing_subscriber::Registry>);

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogControl").field(&self.filter()).finish()
    }
}

impl LogControl {
    /// What it lets through now; `None` when the log is gone.
    #[must_use]
    pub fn filter(&self) -> Option<String> {
        self.0.with_current(ToString::to_string).ok()
    }

    /// Lets through what `filter` says from now on.
    ///
    /// # Errors
    /// [`LogError::Filter`] when it does not parse, [`LogError::Gone`] when there is no log any more.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let filter = parse(filter)?;
        self.0.reload(filter).map_err(|_| LogError::Gone)
    }
}

/// Sends the log to standard error, filtered as `filter` says (`info`, `fba_server::herder=debug`, …).
///
/// # Errors
/// See [`LogError`].
pub fn start_log(format: LogFormat, filter: &str) -> Result<LogControl, LogError> {
    let (filter, control) = reload::Layer::new(parse(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour());
    let log = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => log.with(lines).try_init(),
        LogFormat::Json => log.with(lines.json()).try_init(),
    };
    started.map(|()| LogControl(control)).map_err(|_| LogError::Twice)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(filter)
        .map_err(|error| LogError::Filter { filter: filter.to_owned(), reason: error.to_string() })
}

/// Escape codes are for terminals: in a log file they are noise.
fn colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_line_with_its_unit_and_labels() {
        let metrics = Metrics::new();
        metrics.ledger_sequence.set(7);
        metrics.close_interval_seconds.observe(0.3);
        let labels = StatementLabels { kind: StatementKind::Prepare, verdict: Verdict::Accepted };
        metrics.statements.get_or_create(&labels).inc();
        let text = metrics.encode();
        for line in [
            "fba_ledger_sequence 7",
            "fba_close_interval_seconds_bucket{le=\"0.5\"} 1",
            "fba_statements_total{kind=\"Prepare\",verdict=\"Accepted\"} 1",
            "fba_process_uptime_seconds ",
            "fba_commits_total 0",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_bad_log_filter_is_refused_with_a_way_out() {
        let error = start_log(LogFormat::Text, "a=b=c").unwrap_err();
        assert!(error.to_string().contains("info"), "{error}");
    }
}
