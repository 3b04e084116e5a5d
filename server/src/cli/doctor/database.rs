//! The database: does it open, is it whole, whose is it, and may its node vote?

use super::files::bytes;
use super::finding::Finding;
use crate::cli::text;
use crate::config::Config;
use crate::ledger::Genesis;
use crate::store::{Inspection, KeyMark, VoteStanding, inspect};

/// A log larger than this does not shrink: some reader keeps it, or nothing has moved it for long.
const LOG_BYTES_WARN: u64 = 256 << 20;

/// Bytes the database grows by in a day, if that can be told.
pub(super) fn check(config: &Config, genesis: Option<&Genesis>, findings: &mut Vec<Finding>) -> Option<f64> {
    let check = "database";
    // Without genesis it cannot be told whose network's it should be.
    let network = genesis?.network_id();
    let mark = KeyMark::beside(&config.node_seed_file);
    match inspect(&config.data_dir, network, config.node, &mark) {
        Ok(None) => {
            findings.push(Finding::ok(check, "none yet: the first start makes it"));
            votes_without_database(&mark, findings);
            None
        }
        Ok(Some(found)) => {
            findings.extend(judged(&found));
            found.bytes_per_day
        }
        Err(error) => {
            let fix =
                "stop the node and see docs/operators.md, lost disk; a backup brings the ledgers back, never the votes";
            findings.push(Finding::fail(check, error, fix));
            None
        }
    }
}

/// A key that has voted, in an empty data folder: it will keep silent.
fn votes_without_database(mark: &KeyMark, findings: &mut Vec<Finding>) {
    if mark.is_present().is_ok_and(|unused| !unused) {
        let says = "this key may have voted before, and its votes are not here: it will keep silent at first";
        findings.push(Finding::warn("votes", says, SILENCE));
    }
}

const SILENCE: &str = "nothing, if the network closes without this node: it votes again about a minute and ten ledgers after \
                       its start; `fba status` says how far it is. If nothing closes without it, see docs/operators.md, lost disk";

fn judged(found: &Inspection) -> Vec<Finding> {
    let newest = found.newest.map_or("no ledger yet".to_owned(), |(sequence, close_time_ms)| {
        format!("up to ledger {sequence}, closed {}", text::time(close_time_ms))
    });
    let growth = found.bytes_per_day.map_or(String::new(), |rate| format!(", growing by {} a day", bytes(rate as u64)));
    let mut findings = vec![Finding::ok("database", format!("whole, {newest}; {}{growth}", bytes(found.bytes)))];
    if found.log_bytes > LOG_BYTES_WARN {
        let says = format!("its log is {}, it should stay far below", bytes(found.log_bytes));
        let fix = "restart the node; if it grows again, look for a program that keeps the database open (a backup that hangs?)";
        findings.push(Finding::warn("database log", says, fix));
    }
    findings.push(match &found.standing {
        VoteStanding::Fresh | VoteStanding::Intact => Finding::ok("votes", &found.standing),
        VoteStanding::Lost { .. } => Finding::warn("votes", &found.standing, SILENCE),
    });
    if let Some((slot, at_ms)) = found.overrides.last() {
        let says = format!("an operator ended a silence at slot {slot}, {}", text::time(*at_ms));
        let fix = "nothing any more; if ledgers differ between nodes since then, compare them from that slot on";
        findings.push(Finding::warn("votes", says, fix));
    }
    findings
}
