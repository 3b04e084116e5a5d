//! The log: lines on standard error, filtered, and a handle that changes the filter while the process runs.

use std::fmt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

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
    let wrong = |reason: String| LogError::Filter { filter: filter.to_owned(), reason };
    // To `EnvFilter` a mistyped level is a module of that name, and everything else would fall silent.
    let bare = filter.split(',').filter(|part| !part.contains(['=', '[']));
    if let Some(part) = bare.filter(|part| !part.is_empty()).find(|part| part.parse::<LevelFilter>().is_err()) {
        return Err(wrong(format!("{part:?} is not a level: off, error, warn, info, debug or trace")));
    }
    EnvFilter::try_new(filter).map_err(|error| wrong(error.to_string()))
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
    fn a_bad_log_filter_is_refused_with_a_way_out() {
        for bad in ["a=b=c", "debgu", "info,fba_server::overlay", "fba_server=debgu"] {
            let error = parse(bad).unwrap_err();
            assert!(error.to_string().contains("fba_server::overlay=debug"), "{error}");
        }
        for good in ["", "off", "INFO", "warn,fba_server::herder=debug", "info,[http]=trace"] {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_filter_of_a_running_log_can_be_changed_and_a_bad_one_changes_nothing() {
        let (_layer, handle) = reload::Layer::<EnvFilter, tracing_subscriber::Registry>::new(parse("info").unwrap());
        let control = LogControl(handle);
        control.set("warn,fba_server::overlay=debug").unwrap();
        assert!(control.set("a=b=c").is_err());
        assert_eq!(control.filter().as_deref(), Some("fba_server::overlay=debug,warn"));
    }
}
