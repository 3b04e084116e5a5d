//! What the node tells its operator about itself: metrics in Prometheus' text form, and the log.
//!
//! Names follow Prometheus' conventions: base units, `_total` for what only grows. docs/monitoring.md explains every
//! metric, which a test holds true.

mod log;
mod process;

pub use log::{LogControl, LogError, LogFormat, start_log};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A gauge of something that is no whole number.
pub type FloatGauge = Gauge<f64, AtomicU64>;

/// One label: its name and its value, both ours, so that their number is bounded.
pub type Label = [(&'static str, &'static str); 1];

/// Two labels.
pub type Labels = [(&'static str, &'static str); 2];

/// Histograms of one name, told apart by a label.
pub type Histograms = Family<Label, Histogram, fn() -> Histogram>;

/// Every metric of the node. All are cheap to update from any thread.
pub struct Metrics {
    /// Sequence number of the last closed ledger.
    pub ledger_sequence: Gauge,
    /// When the last ledger closed by the network's agreement, in seconds since the epoch.
    pub ledger_close_time_seconds: FloatGauge,
    /// The last close time minus this machine's clock when it closed.
    pub close_time_offset_seconds: FloatGauge,
    /// How far other proposers' clocks are ahead of this machine's.
    pub clock_ahead_seconds: FloatGauge,
    /// Seconds between one close and the next, as seen here.
    pub close_interval_seconds: Histogram,
    /// Seconds a slot spent in `nominate`, `prepare` and `confirm`, and in all of them (`total`).
    pub slot_phase_seconds: Histograms,
    /// Nomination rounds it took.
    pub nomination_rounds: Histogram,
    /// Ballot counter at which it was decided.
    pub ballot_counter: Histogram,
    /// Timers that ran out, by timer (`nomination`, `ballot`).
    pub timeouts: Family<Label, Counter>,
    /// Ledgers fetched instead of decided here.
    pub ledgers_caught_up: Counter,
    /// Transactions in closed ledgers.
    pub transactions: Counter,
    /// Transactions in closed ledgers that failed.
    pub transactions_failed: Counter,
    /// Durable commits of the store.
    pub commits: Counter,
    /// Seconds a commit takes, by `synced` (`true`, `false`).
    pub commit_seconds: Histograms,
    /// Statements received, by `kind` and `verdict`.
    pub statements: Family<Labels, Counter>,
    /// Statements sent, by `kind`: one for each peer it was sent to.
    pub statements_sent: Family<Label, Counter>,
    /// Statements that wait for a quorum set or a transaction set.
    pub statements_waiting: Gauge,
    /// Links that are up, by `direction` (`inbound`, `outbound`).
    pub peers: Family<Label, Gauge>,
    /// Bytes that wait to be sent to peers.
    pub overlay_waiting_bytes: Gauge,
    /// Messages not sent for want of room, on the links that are up.
    pub overlay_shed_messages: Gauge,
    /// Inputs that wait for the consensus thread, by `queue` (`votes`, `payload`, `requests`).
    pub inputs_waiting: Family<Label, Gauge>,
    /// Transactions waiting for a ledger.
    pub queued_transactions: Gauge,
    /// 1 while the node follows the network, else 0.
    pub synced: Gauge,
    /// 1 for the state the node is in, else 0.
    pub sync_state: Family<Label, Gauge>,
    /// Nodes of the transitive quorum, by `standing`.
    pub quorum_nodes: Family<Label, Gauge>,
    /// The smallest number of further failures that halts this node. Not there when it needs nobody else.
    pub quorum_failures_to_halt: Family<[(&'static str, &'static str); 0], Gauge>,
    /// Open HTTP connections.
    pub http_connections: Gauge,
    /// HTTP requests answered, by `status_class` (`2xx`, …).
    pub http_requests: Family<Label, Counter>,
    /// HTTP requests refused because of a limit, by `limit`.
    pub http_rejected: Family<Label, Counter>,
    /// Seconds until a request was answered; event streams count until they begin.
    pub http_request_seconds: Histogram,
    /// Open event streams.
    pub event_streams: Gauge,
    measured: process::Measured,
    data_dir: OnceLock<PathBuf>,
    uptime_seconds: Gauge,
    ledger_age_seconds: FloatGauge,
    started: Instant,
    registry: Registry,
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

/// A close takes from a few milliseconds (interval 0) to several heartbeats (a network in trouble).
fn close_buckets() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0])
}

/// A phase takes a few round trips, or several timeouts of a second and more.
fn phase_buckets() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

/// A sync takes what the disk takes.
fn commit_buckets() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
}

/// Rounds and counters: one is the rule.
fn count_buckets() -> Histogram {
    Histogram::new([1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0])
}

/// Makes metrics and registers them at once, so that none is forgotten.
struct Register(Registry);

impl Register {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn seconds<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }

    fn bytes(&mut self, name: &str, help: &str) -> Gauge {
        let metric = Gauge::default();
        self.0.register_with_unit(name, help, Unit::Bytes, metric.clone());
        metric
    }

    fn counter(&mut self, name: &str, help: &str) -> Counter {
        self.add(name, help, Counter::default())
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    fn counters<L>(&mut self, name: &str, help: &str) -> Family<L, Counter>
    where
        L: Clone + fmt::Debug + EncodeLabelSet + Eq + std::hash::Hash + Send + Sync + 'static,
    {
        self.add(name, help, Family::default())
    }

    fn gauges<L>(&mut self, name: &str, help: &str) -> Family<L, Gauge>
    where
        L: Clone + fmt::Debug + EncodeLabelSet + Eq + std::hash::Hash + Send + Sync + 'static,
    {
        self.add(name, help, Family::default())
    }

    fn histograms(&mut self, name: &str, help: &str, buckets: fn() -> Histogram) -> Histograms {
        self.seconds(name, help, Family::new_with_constructor(buckets))
    }
}

impl Metrics {
    /// All metrics at zero; the uptime counts from now.
    #[must_use]
    pub fn new() -> Self {
        let mut r = Register(Registry::with_prefix("fba"));
        let build = r.gauges::<Label>("build_info", "Always 1; its label says which version runs");
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let metrics = Self {
            ledger_sequence: r.gauge("ledger_sequence", "Sequence number of the last closed ledger"),
            ledger_close_time_seconds: r.seconds("ledger_close_time", "Last agreed close time", FloatGauge::default()),
            ledger_age_seconds: r.seconds("ledger_age", "Time since the last agreed close time", FloatGauge::default()),
            close_time_offset_seconds: r.seconds(
                "close_time_offset",
                "Last close time minus the local clock then",
                FloatGauge::default(),
            ),
            clock_ahead_seconds: r.seconds("clock_ahead", "Others' clocks minus ours, median", FloatGauge::default()),
            close_interval_seconds: r.seconds("close_interval", "Time between closes", close_buckets()),
            slot_phase_seconds: r.histograms("slot_phase", "Time a slot spent in a phase", phase_buckets),
            nomination_rounds: r.add("nomination_rounds", "Nomination rounds of a slot", count_buckets()),
            ballot_counter: r.add("ballot_counter", "Ballot counter a slot was decided at", count_buckets()),
            timeouts: r.counters("timeouts", "Timers that ran out"),
            ledgers_caught_up: r.counter("ledgers_caught_up", "Ledgers fetched instead of decided here"),
            transactions: r.counter("transactions", "Transactions in closed ledgers"),
            transactions_failed: r.counter("transactions_failed", "Failed transactions in closed ledgers"),
            commits: r.counter("commits", "Durable commits of the store"),
            commit_seconds: r.histograms("commit", "Time of a commit", commit_buckets),
            statements: r.counters("statements", "Statements received"),
            statements_sent: r.counters("statements_sent", "Statements sent, once for each peer"),
            statements_waiting: r.gauge("statements_waiting", "Statements that wait for what they name"),
            peers: r.gauges("peers", "Links that are up"),
            overlay_waiting_bytes: r.bytes("overlay_waiting", "Bytes that wait to be sent to peers"),
            overlay_shed_messages: r
                .gauge("overlay_shed_messages", "Messages not sent for want of room, on live links"),
            inputs_waiting: r.gauges("inputs_waiting", "Inputs that wait for the consensus thread"),
            queued_transactions: r.gauge("queued_transactions", "Transactions waiting for a ledger"),
            synced: r.gauge("synced", "1 while the node follows the network"),
            sync_state: r.gauges("sync_state", "1 for the state the node is in"),
            quorum_nodes: r.gauges("quorum_nodes", "Nodes of the transitive quorum"),
            quorum_failures_to_halt: r.gauges("quorum_failures_to_halt", "Fewest further failures that halt this node"),
            http_connections: r.gauge("http_connections", "Open HTTP connections"),
            http_requests: r.counters("http_requests", "HTTP requests answered"),
            http_rejected: r.counters("http_rejected", "HTTP requests refused because of a limit"),
            http_request_seconds: r.seconds("http_request", "Time to answer an HTTP request", phase_buckets()),
            event_streams: r.gauge("event_streams", "Open event streams"),
            measured: process::Measured::register(&mut r),
            data_dir: OnceLock::new(),
            uptime_seconds: r.seconds("process_uptime", "Time since the process started", Gauge::default()),
            started: Instant::now(),
            registry: Registry::default(),
        };
        metrics.begin_at_zero();
        Self { registry: r.0, ..metrics }
    }

    /// What counts failures is there before the first: a rate needs something to begin from.
    fn begin_at_zero(&self) {
        for timer in ["nomination", "ballot"] {
            let _zero = self.timeouts.get_or_create(&[("timer", timer)]);
        }
        for limit in ["rate", "size", "time"] {
            let _zero = self.http_rejected.get_or_create(&[("limit", limit)]);
        }
        for direction in ["inbound", "outbound"] {
            let _zero = self.peers.get_or_create(&[("direction", direction)]);
        }
        for synced in ["true", "false"] {
            let _zero = self.commit_seconds.get_or_create(&[("synced", synced)]);
        }
    }

    /// Sizes of the database are those of this data folder from now on.
    pub fn watch(&self, data_dir: PathBuf) {
        // A second call is the same node's: the folder does not change.
        let _ = self.data_dir.set(data_dir);
    }

    /// Counts an answered HTTP request.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = match status {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        self.http_requests.get_or_create(&[("status_class", class)]).inc();
        self.http_request_seconds.observe(took.as_secs_f64());
        let limit = match status {
            429 => "rate",
            413 | 414 | 431 => "size",
            408 => "time",
            _ => return,
        };
        self.http_rejected.get_or_create(&[("limit", limit)]).inc();
    }

    /// Of all `values` of a label, the one that holds is 1 and the others are 0.
    pub fn set_state(&self, holds: &str, values: &[&'static str]) {
        for value in values {
            self.sync_state.get_or_create(&[("state", value)]).set(i64::from(*value == holds));
        }
    }

    /// How long the process has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// All metrics in the OpenMetrics text form. What is measured on demand is measured now: call it where waiting for a
    /// file system is no harm.
    #[must_use]
    pub fn encode(&self) -> String {
        self.uptime_seconds.set(whole(self.uptime().as_secs()));
        let closed = self.ledger_close_time_seconds.get();
        if closed > 0.0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.ledger_age_seconds.set((now.as_secs_f64() - closed).max(0.0));
        }
        self.measured.measure(self.data_dir.get().map(PathBuf::as_path));
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

/// A number as a gauge shows it.
#[must_use]
pub fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every family with something in it, so that all are written.
    fn full() -> Metrics {
        let metrics = Metrics::new();
        metrics.slot_phase_seconds.get_or_create(&[("phase", "total")]).observe(0.2);
        metrics.statements.get_or_create(&[("kind", "prepare"), ("verdict", "accepted")]).inc();
        metrics.statements_sent.get_or_create(&[("kind", "prepare")]).inc();
        metrics.inputs_waiting.get_or_create(&[("queue", "votes")]).set(1);
        metrics.set_state("synced", &["synced", "stuck"]);
        metrics.quorum_nodes.get_or_create(&[("standing", "agree")]).set(4);
        metrics.quorum_failures_to_halt.get_or_create(&[]).set(2);
        metrics.answered(200, Duration::from_millis(3));
        metrics.answered(429, Duration::from_millis(1));
        metrics
    }

    /// The names a query uses: `_total` for counters.
    pub(crate) fn names(text: &str) -> BTreeSet<String> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        types.map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() }).collect()
    }

    fn read(path: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Every `fba_…` word in a text.
    fn mentioned(text: &str) -> BTreeSet<String> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        text.split(|c: char| !word(c)).filter(|word| word.starts_with("fba_")).map(str::to_owned).collect()
    }

    /// The family a name in a query belongs to.
    fn family(name: &str) -> String {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    }

    #[test]
    fn metrics_have_their_units_labels_and_values() {
        let metrics = full();
        metrics.ledger_sequence.set(7);
        metrics.close_interval_seconds.observe(0.3);
        let text = metrics.encode();
        for line in [
            "fba_ledger_sequence 7",
            "fba_close_interval_seconds_bucket{le=\"0.5\"} 1",
            "fba_statements_total{kind=\"prepare\",verdict=\"accepted\"} 1",
            "fba_timeouts_total{timer=\"ballot\"} 0",
            "fba_sync_state{state=\"stuck\"} 0",
            "fba_sync_state{state=\"synced\"} 1",
            "fba_quorum_failures_to_halt{} 2",
            "fba_http_requests_total{status_class=\"4xx\"} 1",
            "fba_http_rejected_total{limit=\"rate\"} 1",
            "fba_commit_seconds_count{synced=\"true\"} 0",
            "fba_process_uptime_seconds ",
            "fba_commits_total 0",
            "fba_build_info{version=",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn every_metric_is_documented_and_every_documented_one_exists() {
        let there = names(&full().encode());
        let documented = read("docs/monitoring.md");
        let rows = documented.lines().filter_map(|line| line.strip_prefix("| `fba_")?.split_once('`'));
        let rows: BTreeSet<String> = rows.map(|(name, _)| format!("fba_{name}")).collect();
        assert_eq!(rows, there, "docs/monitoring.md has one row for each metric");
    }

    #[test]
    fn the_example_dashboard_and_alerts_ask_for_metrics_there_are() {
        let there = names(&full().encode());
        let dashboard = read("examples/monitoring/grafana-dashboard.json");
        let alerts = read("examples/monitoring/alerts.yml");
        serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
        let rules: serde_yaml_ng::Value = serde_yaml_ng::from_str(&alerts).unwrap();
        let groups = rules["groups"].as_sequence().unwrap();
        for rule in groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap()) {
            assert!(rule["expr"].is_string() && rule["annotations"]["summary"].is_string(), "{rule:?}");
        }
        let config: serde_yaml_ng::Value =
            serde_yaml_ng::from_str(&read("examples/monitoring/prometheus.yml")).unwrap();
        assert_eq!(config["rule_files"][0], "alerts.yml");
        for name in mentioned(&dashboard).into_iter().chain(mentioned(&alerts)) {
            assert!(there.contains(&family(&name)), "{name} is asked for, but there is no such metric");
        }
    }
}
