//! `fba config check`: what a configuration, or those of a whole network, come to.

use super::exit::{CliError, Exit, print};
use crate::config::safety::{self, Intersection, Safety};
use crate::config::{Config, ConfigErrors, Directory, Keys, QuorumSetOrigin, tree};
use crate::key::node_strkey;
use fba_core::{NodeId, QuorumSet};
use quorum_tools::generate::{Generated, Level};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The most files one call checks together.
const FILES_MAX: usize = 1000;

/// How deep folders are searched.
const DEPTH_MAX: usize = 4;

/// Explain configurations: the quorum set and how it came about, what halts it, what is unsafe
///
/// Several files, or a folder, are also checked together: does every two of their quorums share a node?
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configurations, or folders of them (every .toml file but genesis.toml).
    #[arg(required = true, value_name = "FILE|FOLDER")]
    pub paths: Vec<PathBuf>,
    /// Do not read seed files: each configuration must have `node_public_key`.
    #[arg(long)]
    pub no_keys: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// A wrong configuration (78), files that cannot be read (74, 77), quorums that do not intersect (1), no quorum (2), not
/// known within the budget (3).
pub fn run(args: &Args) -> Result<(), CliError> {
    let keys = if args.no_keys { Keys::Ignored } else { Keys::IfPresent };
    let report = Report::of(&args.paths, keys)?;
    print(&if args.json { report.json() } else { report.text() })?;
    report.verdict()
}

/// What was found.
struct Report {
    configs: Vec<Config>,
    errors: Vec<ConfigErrors>,
    together: Option<Together>,
}

/// Several configurations as one network.
struct Together {
    directory: Directory,
    safety: Safety,
    /// Nodes somebody lists whose configuration is not here.
    assumed: Vec<NodeId>,
}

impl Report {
    fn of(paths: &[PathBuf], keys: Keys) -> Result<Self, CliError> {
        let mut files = Vec::new();
        for path in paths {
            collect(path, 0, &mut files)?;
        }
        if files.is_empty() {
            let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            let message = format!("no configuration in {}: expected .toml files", paths.join(", "));
            return Err(CliError::new(Exit::Config, message));
        }
        let (mut configs, mut errors) = (Vec::new(), Vec::new());
        for file in files {
            match load(&file, keys) {
                Ok(config) => configs.push(config),
                Err(problems) => errors.push(problems),
            }
        }
        same_network(&configs)?;
        let together = (configs.len() > 1 && errors.is_empty()).then(|| Together::of(&configs));
        Ok(Self { configs, errors, together })
    }

    fn verdict(&self) -> Result<(), CliError> {
        if let Some(first) = self.errors.first() {
            let messages: Vec<_> = self.errors.iter().map(ToString::to_string).collect();
            return Err(CliError::new(first.exit(), messages.join("\n")));
        }
        let Some(Together { directory, safety, .. }) = &self.together else { return Ok(()) };
        match &safety.intersection {
            Intersection::Intersects => Ok(()),
            Intersection::Splits(a, b) => {
                let names = |nodes| tree::names(nodes, directory);
                let message = format!(
                    "these nodes can split: {} and {} are quorums without a common node and could agree on different \
                     things; let them list more of one another, or raise thresholds",
                    names(a),
                    names(b)
                );
                Err(CliError::new(Exit::No, message))
            }
            Intersection::NoQuorum => Err(CliError::new(
                Exit::NoQuorum,
                "these nodes have no quorum: none of them can ever find all it waits for; list nodes that exist",
            )),
            Intersection::Unknown => {
                Err(CliError::new(Exit::Unknown, "too many different quorum sets to tell within the budget"))
            }
        }
    }
}

fn load(file: &Path, keys: Keys) -> Result<Config, ConfigErrors> {
    let config = Config::load(file, keys)?;
    // Genesis may not be here yet; if it is, it has to fit.
    if config.genesis.exists() {
        config.load_genesis()?;
    }
    Ok(config)
}

/// The configurations under `path`, in the order of their names.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |error: &std::io::Error| {
        CliError::io(
            format_args!("{} cannot be read (name a configuration, or a folder of them)", path.display()),
            error,
        )
    };
    if !std::fs::metadata(path).map_err(|error| failed(&error))?.is_dir() {
        files.push(path.to_owned());
    } else if depth <= DEPTH_MAX {
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries: Vec<_> = entries.map_err(|error| failed(&error))?.iter().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            let config = entry.extension().is_some_and(|extension| extension == "toml")
                && entry.file_name().is_some_and(|name| name != "genesis.toml");
            if config || (entry.is_dir() && !entry.is_symlink()) {
                collect(&entry, depth.saturating_add(1), files)?;
            }
        }
    }
    if files.len() > FILES_MAX {
        return Err(CliError::new(Exit::Usage, format_args!("more than {FILES_MAX} files; check fewer at once")));
    }
    Ok(())
}

/// Files that are checked together must be of one network, and each node's only once.
fn same_network(configs: &[Config]) -> Result<(), CliError> {
    let Some(first) = configs.first() else { return Ok(()) };
    let mut nodes: BTreeMap<NodeId, &Path> = BTreeMap::new();
    for config in configs {
        let file = config.file.display();
        if config.network_passphrase != first.network_passphrase {
            let message = format!(
                "{file} is of the network {:?}, {} of {:?}: check each network by itself",
                config.network_passphrase,
                first.file.display(),
                first.network_passphrase
            );
            return Err(CliError::new(Exit::Config, message));
        }
        if let Some(other) = nodes.insert(config.node, &config.file) {
            let key = node_strkey(config.node);
            let message =
                format!("{} and {file} are both of the node {key}: give each node its own key", other.display());
            return Err(CliError::new(Exit::Config, message));
        }
    }
    Ok(())
}

impl Together {
    fn of(configs: &[Config]) -> Self {
        let mut directory = Directory::new();
        let mut sets: BTreeMap<NodeId, QuorumSet> = BTreeMap::new();
        for config in configs {
            for (node, known) in &config.trust.directory {
                directory.entry(*node).or_insert_with(|| known.clone());
            }
            sets.insert(config.node, config.trust.quorum_set.clone());
        }
        // A node whose file is not here is taken to use the set of the first that lists it.
        let mut assumed = Vec::new();
        for config in configs {
            for node in config.trust.quorum_set.nodes() {
                sets.entry(node).or_insert_with(|| {
                    assumed.push(node);
                    config.trust.quorum_set.clone()
                });
            }
        }
        Self { safety: safety::assess(sets, &directory), directory, assumed }
    }

    fn text(&self) -> String {
        let Self { directory, safety, assumed } = self;
        let mut text = String::from("All together\n");
        let (verdict, line) = match &safety.intersection {
            Intersection::Intersects => ("every two quorums share a node: they cannot split", String::new()),
            Intersection::Splits(a, b) => {
                ("THEY CAN SPLIT:", format!(" {} | {}", tree::names(a, directory), tree::names(b, directory)))
            }
            Intersection::NoQuorum => ("THERE IS NO QUORUM: nothing can close", String::new()),
            Intersection::Unknown => ("not known within the budget whether they can split", String::new()),
        };
        let _infallible = writeln!(text, "  {verdict}{line}");
        halting(safety, directory, &mut text);
        if !assumed.is_empty() {
            let names = tree::names(assumed, directory);
            let _infallible = writeln!(text, "  no file of {names}: taken to use the set of the first that lists it");
        }
        text
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = self.configs.iter().map(explain).collect::<Vec<_>>().join("\n");
        if let Some(together) = &self.together {
            let _infallible = write!(text, "\n{}", together.text());
        }
        text
    }

    fn json(&self) -> String {
        let problem = |errors: &ConfigErrors| -> Vec<Value> {
            let file = errors.file.display().to_string();
            let one = |located: &crate::config::Located| json!({ "file": file, "line": located.line, "message": located.problem.to_string() });
            errors.problems.iter().map(one).collect()
        };
        let together = self.together.as_ref().map(|Together { directory, safety, assumed }| {
            let mut value = safety_json(safety, directory);
            if let Some(object) = value.as_object_mut() {
                object.insert("assumed".to_owned(), names_json(assumed, directory));
            }
            value
        });
        let all = json!({
            "configurations": self.configs.iter().map(config_json).collect::<Vec<_>>(),
            "together": together,
            "problems": self.errors.iter().flat_map(problem).collect::<Vec<_>>(),
        });
        format!("{all:#}\n")
    }
}

/// Everything about one configuration.
fn explain(config: &Config) -> String {
    let Config { trust, safety, node, .. } = config;
    let role = if config.is_validator { "validator" } else { "watcher" };
    let domain = config.home_domain().map(|domain| format!(" of {domain}")).unwrap_or_default();
    let mut text =
        format!("{}\n  {role} {}{domain}, {}\n", config.file.display(), config.name(*node), node_strkey(*node));
    let _infallible = writeln!(text, "\n  Quorum set {}", trust.quorum_set.hash());
    text += &tree::tree(&trust.quorum_set, *node, &trust.directory, "    ");
    text += "\n  How it came about\n";
    for (step, line) in derivation(&trust.origin).iter().enumerate() {
        let _infallible = writeln!(text, "    {}. {line}", step.saturating_add(1));
    }
    text += "\n  If everybody in it uses the same\n";
    halting(safety, &trust.directory, &mut text);
    for warning in &config.warnings {
        let _infallible = writeln!(text, "\n  warning: {warning}");
    }
    text
}

fn halting(safety: &Safety, directory: &Directory, text: &mut String) {
    let mut line = |what: &str, names: Option<Vec<String>>, all: usize| {
        let _infallible = match names {
            None => writeln!(text, "  not known within the budget how many {what} must stop to halt it"),
            Some(names) => {
                let (count, spare) = (names.len(), names.len().saturating_sub(1));
                writeln!(text, "    any {spare} of {all} {what} may stop; {count} can halt it: {}", names.join(", "))
            }
        };
    };
    line("organisation(s)", safety.halting_organizations.clone(), safety.organizations);
    let names = |nodes: &Vec<NodeId>| nodes.iter().map(|node| tree::name(*node, directory)).collect();
    line("node(s)", safety.halting_nodes.as_ref().map(names), safety.nodes);
}

/// The derivation, a line to a step.
fn derivation(origin: &QuorumSetOrigin) -> Vec<String> {
    match origin {
        QuorumSetOrigin::Generated(generated) => steps(generated),
        QuorumSetOrigin::ByHand(None) => vec!["written by hand as [quorum_set]".to_owned()],
        QuorumSetOrigin::ByHand(Some(generated)) => {
            let mut lines = vec!["written by hand as [quorum_set]; the organisations would give:".to_owned()];
            lines.extend(steps(generated));
            lines
        }
    }
}

fn steps(generated: &Generated) -> Vec<String> {
    let mut lines = Vec::new();
    for level in &generated.levels {
        lines.extend(level.organizations.iter().map(|organization| {
            let quorum_tools::generate::Majority { home_domain, threshold, validators } = organization;
            format!("{home_domain} ({}): {threshold} of its {validators} validator(s), ⌊n/2⌋ + 1", level.quality)
        }));
        lines.push(level_step(level));
    }
    lines.push("normalised: a set of one member is that member; members in order".to_owned());
    lines
}

fn level_step(level: &Level) -> String {
    let Level { quality, organizations, lower, threshold } = level;
    let members = level.members();
    let lower = lower.map(|lower| format!(", {lower} and below together as one more")).unwrap_or_default();
    let rule = match quality {
        quorum_tools::generate::Quality::Critical => "all, because CRITICAL",
        quorum_tools::generate::Quality::High
        | quorum_tools::generate::Quality::Medium
        | quorum_tools::generate::Quality::Low => "n − ⌊(n − 1)/3⌋",
    };
    format!("{quality}: {} organisation(s){lower}: {threshold} of {members}, {rule}", organizations.len())
}

fn config_json(config: &Config) -> Value {
    let Config { trust, safety, node, .. } = config;
    json!({
        "file": config.file.display().to_string(),
        "name": config.name(*node),
        "public_key": node_strkey(*node),
        "home_domain": config.home_domain().map(ToString::to_string),
        "is_validator": config.is_validator,
        "quorum_set": set_json(&trust.quorum_set, &trust.directory),
        "quorum_set_hash": trust.quorum_set.hash().to_string(),
        "derivation": derivation(&trust.origin),
        "safety": safety_json(safety, &trust.directory),
        "warnings": config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn set_json(set: &QuorumSet, directory: &Directory) -> Value {
    let validator = |node: &NodeId| json!({ "name": tree::name(*node, directory), "public_key": node_strkey(*node) });
    json!({
        "threshold": set.threshold(),
        "validators": set.validators().iter().map(validator).collect::<Vec<_>>(),
        "inner_sets": set.inner_sets().iter().map(|set| set_json(set, directory)).collect::<Vec<_>>(),
    })
}

fn safety_json(safety: &Safety, directory: &Directory) -> Value {
    let (verdict, split) = match &safety.intersection {
        Intersection::Intersects => ("intersects", Value::Null),
        Intersection::Splits(a, b) => ("splits", json!([names_json(a, directory), names_json(b, directory)])),
        Intersection::NoQuorum => ("no_quorum", Value::Null),
        Intersection::Unknown => ("unknown", Value::Null),
    };
    json!({
        "intersection": verdict,
        "split": split,
        "organizations": safety.organizations,
        "halting_organizations": safety.halting_organizations,
        "nodes": safety.nodes,
        "halting_nodes": safety.halting_nodes.as_deref().map(|nodes| names_json(nodes, directory)),
    })
}

fn names_json(nodes: &[NodeId], directory: &Directory) -> Value {
    nodes.iter().map(|node| Value::String(tree::name(*node, directory))).collect()
}

#[cfg(test)]
mod tests;
