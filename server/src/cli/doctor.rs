//! `fba doctor`: everything that can be checked of a node and the machine it runs on, and what to do about what is wrong.
//! Works whether the node runs or not, and changes nothing.

mod database;
mod files;
mod finding;
mod network;
mod node;

use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::config::{Config, Keys};
use comfy_table::Table;
use finding::{Finding, Verdict};
use node::Running;
use std::path::{Path, PathBuf};

/// Check a node, running or not: configuration, key, data folder, database, ports, peers, clock, quorum
///
/// Exit code 0 if nothing fails, 1 if something does. Warnings do not fail.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The node's configuration file
    #[arg(default_value = "node.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks, and prints what it found.
///
/// # Errors
/// Only if that cannot be printed. What is wrong with the node is in the exit code: [`Exit::No`].
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let findings = examine(&args.config);
    let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    if args.json {
        text::say_json(&serde_json::json!({ "verdict": verdict, "findings": findings }))?;
    } else {
        text::say(&shown(&findings))?;
    }
    Ok(if verdict == Verdict::Fail { Exit::No } else { Exit::Good })
}

/// Every check, in the order in which one thing depends on another.
fn examine(file: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(config) = configuration(file, &mut findings) else { return findings };
    let genesis = files::genesis(&config, &mut findings);
    files::key(&config, &mut findings);
    let growth = database::check(&config, genesis.as_ref(), &mut findings);
    files::data_folder(&config, growth, &mut findings);
    let running = Running::find(&config);
    network::ports(&config, running.as_ref(), &mut findings);
    network::peers(&config, genesis.as_ref(), running.as_ref(), &mut findings);
    node::check(&config, running.as_ref(), &mut findings);
    findings
}

fn configuration(file: &Path, findings: &mut Vec<Finding>) -> Option<Config> {
    let check = "configuration";
    match Config::load(file, Keys::IfPresent) {
        Ok(config) => {
            findings.push(Finding::ok(check, format!("{} is sound", file.display())));
            let fix = "see docs/configuration.md, What is unsafe; `fba config check` explains the quorum set";
            findings.extend(config.warnings.iter().map(|warning| Finding::warn(check, warning, fix)));
            Some(config)
        }
        Err(errors) => {
            let fix = format!("mend {}, then run `fba doctor` again: nothing else can be checked", file.display());
            for located in &errors.problems {
                let line = located.line.map(|line| format!("line {line}: ")).unwrap_or_default();
                findings.push(Finding::fail(check, format!("{line}{}", located.problem), &fix));
            }
            None
        }
    }
}

/// A table, then what to do.
fn shown(findings: &[Finding]) -> String {
    let mut table: Table = text::table(&["", "check", "found"]);
    for finding in findings {
        table.add_row([finding.verdict.word(), finding.check, &finding.says]);
    }
    let mut shown = table.to_string();
    let todo: Vec<&Finding> = findings.iter().filter(|finding| finding.fix.is_some()).collect();
    if todo.is_empty() {
        shown.push_str("\nNothing to do.");
        return shown;
    }
    shown.push_str("\nWhat to do:");
    for (number, finding) in todo.iter().enumerate() {
        let fix = finding.fix.as_deref().unwrap_or_default();
        shown.push_str(&format!("\n{}. {} ({}): {fix}", number + 1, finding.check, finding.verdict.word()));
    }
    shown
}

#[cfg(test)]
mod tests;
