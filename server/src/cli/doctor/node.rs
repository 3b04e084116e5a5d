//! The running node, if there is one: how it stands, its clock, and what its quorum can bear.

use super::finding::Finding;
use crate::cli::client::{Client, NodeArgs, reachable};
use crate::config::safety::{self, Intersection, Safety};
use crate::config::{Config, tree};
use crate::http::dto;
use crate::key::{node_from_strkey, node_strkey};
use crate::store::{KeyMark, inspect};
use fba_core::{NodeId, QuorumSet};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the running node says of itself.
pub(super) struct Running {
    node: dto::Node,
    quorum: dto::Quorum,
    peers: dto::Peers,
}

impl Running {
    /// The node of this configuration, if it answers.
    pub(super) fn find(config: &Config) -> Option<Self> {
        let args = NodeArgs { node: Some(reachable(config.http).to_string()), json: false };
        let client = Client::new(&args).ok()?;
        let node: dto::Node = client.get("/v1/node").ok()?;
        if node.node != node_strkey(config.node) {
            return None;
        }
        Some(Self { node, quorum: client.get("/v1/quorum").ok()?, peers: client.get("/v1/peers").ok()? })
    }

    /// The keys of the nodes it is linked with.
    pub(super) fn linked(&self) -> BTreeSet<String> {
        self.peers.peers.iter().map(|peer| peer.node.clone()).collect()
    }
}

pub(super) fn check(config: &Config, running: Option<&Running>, findings: &mut Vec<Finding>) {
    match running {
        Some(running) => {
            findings.push(state(&running.node));
            findings.push(version(&running.node));
            findings.push(clock(&running.node));
            findings.push(fail_at(&running.node));
            let sets = known_sets(&running.quorum);
            let says = format!("as {} known nodes declare them", sets.len());
            slices(&safety::assess(sets, &config.trust.directory), &says, config, findings);
        }
        None => {
            findings.push(Finding::warn(
                "node",
                format!("it does not run, or does not answer at http://{}", config.http),
                format!("start it: `fba run {}`", config.file.display()),
            ));
            findings.extend(clock_without_node(config));
            slices(&config.safety, "if everybody in it uses the same set", config, findings);
        }
    }
}

fn state(node: &dto::Node) -> Finding {
    let reason = node.sync.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let says = format!("{} at ledger {}{reason}", node.sync.state.replace('_', " "), node.ledger.sequence);
    let check = "state";
    match node.sync.state.as_str() {
        "synced" => Finding::ok(check, says),
        "booting" | "catching_up" => {
            Finding::warn(check, says, "wait: it goes on by itself; `fba status` shows how far it is")
        }
        "joining" => {
            Finding::warn(check, says, "it waits for the nodes named; if that lasts, see to peers and ports above")
        }
        "recovering" => Finding::warn(
            check,
            says,
            "wait, and see to the clock if it is named; if nothing closes without this node, see docs/operators.md, lost disk",
        ),
        "stuck" => Finding::fail(
            check,
            says,
            "ask the operators of the nodes named whether they run; if your own links are down, see to peers and ports above",
        ),
        _ => Finding::fail(
            check,
            says,
            "keep the data folder for whoever looks into it; a new key and an empty data folder fetch the network's ledger",
        ),
    }
}

fn version(node: &dto::Node) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    if node.version == ours {
        return Finding::ok("version", format!("{ours}, up {}", crate::cli::text::duration(node.uptime_ms)));
    }
    let says = format!("the running node is version {}, this program is {ours}", node.version);
    Finding::warn("version", says, "restart the node to run the version that is installed")
}

fn clock(node: &dto::Node) -> Finding {
    let dto::Clock { ahead_ms, proposers, warning } = &node.clock;
    match (warning, ahead_ms) {
        (Some(warning), _) => Finding::fail("clock", warning, "set it by NTP: `timedatectl set-ntp true`, or chrony"),
        (None, Some(ahead_ms)) => {
            let says =
                format!("within {} ms of the network's (median of {proposers} proposers)", ahead_ms.unsigned_abs());
            Finding::ok("clock", says)
        }
        (None, None) => Finding::ok("clock", "not compared yet: too few others have proposed since the start"),
    }
}

/// A clock before the newest ledger is certainly wrong; whether it is right only the network can tell.
fn clock_without_node(config: &Config) -> Option<Finding> {
    let network = config.load_genesis().ok()?.network_id();
    let mark = KeyMark::beside(&config.node_seed_file);
    let (sequence, close_time_ms) = inspect(&config.data_dir, network, config.node, &mark).ok()??.newest?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let behind_s = close_time_ms.saturating_sub(now_ms) / 1_000;
    Some(if behind_s > 0 {
        let says = format!("it is {behind_s} s before the close time of ledger {sequence}, which is in the database");
        Finding::fail("clock", says, "set it by NTP before the node starts: `timedatectl set-ntp true`, or chrony")
    } else {
        Finding::ok(
            "clock",
            format!("after the close time of ledger {sequence}; compared with others only while the node runs"),
        )
    })
}

fn fail_at(node: &dto::Node) -> Finding {
    let dto::QuorumSummary { agree, delayed, disagree, missing, fail_at, fail_with } = &node.quorum;
    let name = |named: &dto::NamedNode| named.name.clone().unwrap_or_else(|| named.node.clone());
    let with = fail_with.iter().map(name).collect::<Vec<_>>().join(", ");
    let counts = format!("{agree} agree, {delayed} delayed, {disagree} disagree, {missing} missing");
    let check = "quorum";
    match fail_at {
        None => Finding::ok(check, format!("{counts}; it needs nobody else")),
        Some(0) => {
            let says = format!("{counts}: too few for any of its slices, nothing closes");
            Finding::fail(check, says, "get the missing nodes back; `fba status` names them")
        }
        Some(1) => {
            let says = format!("{counts}; one more failure halts this node: {with}");
            Finding::warn(
                check,
                says,
                "get missing nodes back before any maintenance; more validators per organisation bear more",
            )
        }
        Some(count) => {
            Finding::ok(check, format!("{counts}; {count} more failures halt this node, for example {with}"))
        }
    }
}

/// The quorum sets that are known, of nodes whose keys and sets can be read.
fn known_sets(quorum: &dto::Quorum) -> BTreeMap<NodeId, QuorumSet> {
    let known = |node: &dto::QuorumNode| Some((node_from_strkey(&node.node).ok()?, set_of(node.quorum_set.as_ref()?)?));
    quorum.nodes.iter().filter_map(known).collect()
}

fn set_of(tree: &dto::QuorumSetTree) -> Option<QuorumSet> {
    let validators = tree.validators.iter().map(|key| node_from_strkey(key).ok()).collect::<Option<_>>()?;
    let inner = tree.inner_sets.iter().map(set_of).collect::<Option<_>>()?;
    QuorumSet::new(tree.threshold, validators, inner).ok()
}

fn slices(safety: &Safety, of: &str, config: &Config, findings: &mut Vec<Finding>) {
    let check = "slices";
    let names = |nodes: &[NodeId]| tree::names(nodes, &config.trust.directory);
    findings.push(match &safety.intersection {
        Intersection::Intersects => Finding::ok(check, format!("every two quorums share a node, {of}")),
        Intersection::Splits(a, b) => Finding::fail(
            check,
            format!("the network can fork: {} and {} are quorums without a common node, {of}", names(a), names(b)),
            "talk to those operators now: list more of one another, or raise thresholds; `fba config check` tries it out",
        ),
        Intersection::NoQuorum => Finding::warn(
            check,
            format!("the sets that are known make no quorum, {of}"),
            "wait until more nodes are heard; if it stays, quorum sets name nodes that do not exist",
        ),
        Intersection::Unknown => Finding::warn(
            check,
            format!("too many different quorum sets to tell within the budget whether they intersect, {of}"),
            "check the network's configurations together offline with `fba config check FOLDER`",
        ),
    });
    if let Some([only]) = safety.halting_organizations.as_deref()
        && safety.organizations > 1
    {
        let says = format!("{only} alone can halt the network, {of}");
        let fix =
            "four organisations of equal quality can spare one: add organisations, or lower what depends on this one";
        findings.push(Finding::warn(check, says, fix));
    }
}
