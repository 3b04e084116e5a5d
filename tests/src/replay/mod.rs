//! Replays recorded lives of one node, call by call, and compares everything that comes out.
//!
//! The format is `scp-trace/1`: one JSON object per trace, in `.json` files or, one per line, in `.jsonl.gz` files.
//! Files of `scp-vectors/1` (inputs and results of pure functions) are checked too.

mod driver;
mod form;
mod player;
mod source;
mod vector;

pub use player::{Difference, play};
pub use source::{SourceError, Unit};

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What to replay.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Folders, searched recursively, and files.
    pub paths: Vec<PathBuf>,
    /// Only traces with all of these tags.
    pub tags: Vec<String>,
    /// No traces with any of these tags.
    pub skip_tags: Vec<String>,
}

/// How a replay went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Traces replayed.
    pub traces: u64,
    /// Traces in which nothing differed.
    pub identical: u64,
    /// Steps of all traces.
    pub steps: u64,
    /// Cases of vectors checked.
    pub cases: u64,
    /// Cases of vectors in which nothing differed.
    pub cases_identical: u64,
    /// Traces and identical traces by tag.
    pub by_tag: BTreeMap<String, (u64, u64)>,
    /// What differed, first difference of each trace or case.
    pub differences: Vec<Difference>,
}

impl Report {
    /// Was there nothing that differed?
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.traces == self.identical && self.cases == self.cases_identical
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            writeln!(f, "{difference}\n")?;
        }
        writeln!(f, "{:<24} {:>8} {:>10}", "tag", "traces", "identical")?;
        for (tag, (traces, identical)) in &self.by_tag {
            writeln!(f, "{tag:<24} {traces:>8} {identical:>10}")?;
        }
        writeln!(f, "{} steps", self.steps)?;
        if self.cases > 0 {
            writeln!(f, "{} of {} vectors identical", self.cases_identical, self.cases)?;
        }
        write!(f, "{} of {} traces identical", self.identical, self.traces)
    }
}

/// Replays everything the request names.
///
/// # Errors
///
/// A path that cannot be read, or data that is not in the format.
pub fn run(request: &Request) -> Result<Report, SourceError> {
    let mut report = Report::default();
    for file in source::files(&request.paths)? {
        source::for_each_unit(&file, |unit| {
            match unit {
                Unit::Trace(trace) => add_trace(&mut report, request, &trace),
                Unit::Vector { file, line, nodes, case } => {
                    report.cases += 1;
                    match vector::check(&nodes, &case) {
                        Ok(()) => report.cases_identical += 1,
                        Err(what) => report.differences.push(what.named(&file, line)),
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(report)
}

fn add_trace(report: &mut Report, request: &Request, trace: &form::Trace) {
    let has = |tag: &String| trace.tags.contains(tag);
    if !request.tags.iter().all(has) || request.skip_tags.iter().any(has) {
        return;
    }
    let outcome = play(trace);
    let identical = u64::from(outcome.is_ok());
    report.traces += 1;
    report.identical += identical;
    report.steps += trace.steps.len() as u64;
    for tag in &trace.tags {
        let count = report.by_tag.entry(tag.clone()).or_default();
        count.0 += 1;
        count.1 += identical;
    }
    if let Err(difference) = outcome {
        report.differences.push(difference);
    }
}
