//! `fba network init`: keys, configurations and genesis of a whole network on this machine.

use super::exit::{CliError, Exit, print};
use super::keygen;
use crate::config::{Config, Keys};
use crate::key::{SecretKey, node_strkey};
use crate::ledger::{AccountId, Genesis, Parameters};
use fba_core::NodeId;
use quorum_tools::generate::{HIGH_VALIDATORS_MIN, Quality};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The most nodes one machine is asked to run.
pub const NODES_MAX: usize = 100;

/// Everything there is, owned by the root account at first.
pub const TOTAL_SUPPLY: u64 = 1_000_000_000_000_000_000;

/// The first port for peers, unless told otherwise.
pub const BASE_PORT: u16 = 7001;

/// HTTP ports begin this far above the ports for peers.
const HTTP_PORT_OFFSET: u16 = 1000;

/// Organisations are called so as long as the names last.
const ORGANIZATION_NAMES: [&str; 26] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima", "mike",
    "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray", "yankee",
    "zulu",
];

/// Make keys, configurations and genesis for a network of N organisations with M validators each, on this machine.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// How many organisations.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub orgs: usize,
    /// How many validators each has.
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub validators: usize,
    /// The folder to make. Must be new or empty.
    #[arg(long, value_name = "FOLDER", default_value = "network")]
    pub dir: PathBuf,
    /// The network's passphrase; a new one unless given.
    #[arg(long)]
    pub passphrase: Option<String>,
    /// Milliseconds between ledgers; 0 closes as soon as there is something.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub interval: u64,
    /// Peers are listened to on this port and those after it, HTTP 1000 above.
    #[arg(long, value_name = "PORT", default_value_t = BASE_PORT)]
    pub base_port: u16,
    /// MEDIUM, HIGH or CRITICAL; HIGH with three validators or more each, else MEDIUM.
    #[arg(long, value_parser = quality)]
    pub quality: Option<Quality>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn quality(text: &str) -> Result<Quality, String> {
    let quality = Quality::from_name(&text.to_ascii_uppercase()).filter(|quality| *quality != Quality::Low);
    quality.ok_or_else(|| "a network of equal organisations is MEDIUM, HIGH or CRITICAL".to_owned())
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many organisations, from 1.
    pub organizations: usize,
    /// How many validators each has, from 1.
    pub validators: usize,
    /// The folder to make: new or empty.
    pub folder: PathBuf,
    /// The network's passphrase.
    pub passphrase: String,
    /// The rules of the network.
    pub parameters: Parameters,
    /// Close time of the first ledger, in milliseconds since the epoch: not after now.
    pub genesis_close_time_ms: u64,
    /// The quality of every organisation; chosen by the number of validators if not given.
    pub quality: Option<Quality>,
    /// Where the nodes listen.
    pub ports: Ports,
}

/// Ports on the loopback interface.
#[derive(Clone, Debug)]
pub enum Ports {
    /// Peers from this one on, HTTP 1000 above.
    From(u16),
    /// (peers, HTTP) for each node, in order.
    Given(Vec<(u16, u16)>),
}

/// What was made.
#[derive(Clone, Debug)]
pub struct NetworkFiles {
    /// The genesis file.
    pub genesis: PathBuf,
    /// The seed of the root account.
    pub root_key: PathBuf,
    /// The passphrase.
    pub passphrase: String,
    /// The nodes, organisation by organisation.
    pub nodes: Vec<NodeFiles>,
}

/// One node of it.
#[derive(Clone, Debug)]
pub struct NodeFiles {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub home_domain: String,
    /// Its key.
    pub node: NodeId,
    /// Its folder.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Where it listens to peers.
    pub listen: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
}

impl NetworkFiles {
    /// The network that was made in `folder` before; `None` if there is none.
    ///
    /// # Errors
    /// When its files cannot be read any more.
    pub fn open(folder: &Path) -> Result<Option<Self>, CliError> {
        let genesis = folder.join("genesis.toml");
        if !genesis.exists() {
            return Ok(None);
        }
        let reading = |error| CliError::io(format_args!("reading {}", folder.display()), &error);
        let mut folders = std::fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
            .map_err(reading)?;
        folders.sort();
        let mut passphrase = None;
        let mut nodes = Vec::new();
        for folder in folders {
            let file = folder.join("node.toml");
            if file.is_file() {
                let config = load(&file)?;
                nodes.push(NodeFiles {
                    name: config.name(config.node),
                    home_domain: config.home_domain().map(ToString::to_string).unwrap_or_default(),
                    node: config.node,
                    folder,
                    config: file,
                    listen: config.listen,
                    http: config.http,
                });
                passphrase = Some(config.network_passphrase);
            }
        }
        let Some(passphrase) = passphrase else {
            let message = format!("{} has a genesis file but no */node.toml", folder.display());
            return Err(CliError::new(Exit::Data, message));
        };
        Ok(Some(Self { genesis, root_key: folder.join("root.key"), passphrase, nodes }))
    }
}

fn load(file: &Path) -> Result<Config, CliError> {
    Config::load(file, Keys::Required).map_err(|errors| CliError::new(errors.exit(), errors))
}

/// Runs the command.
///
/// # Errors
/// A plan that cannot be (64), a folder that cannot be written (74, 77).
pub fn run(args: &Args) -> Result<(), CliError> {
    let plan = Plan::of(args)?;
    let made = network_init(&plan)?;
    let warnings = check(&made)?;
    print(&if args.json { json(&made) } else { text(&plan, &made, &warnings) })
}

impl Plan {
    /// The plan these arguments ask for, with genesis now.
    ///
    /// # Errors
    /// When there is no randomness (69) for a passphrase, or the clock is before 1970 (69).
    pub fn of(args: &Args) -> Result<Self, CliError> {
        let unavailable = |error: &dyn std::fmt::Display| CliError::new(Exit::Unavailable, error);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| unavailable(&error))?;
        let passphrase = match &args.passphrase {
            Some(passphrase) => passphrase.clone(),
            // A network of its own each time: statements of one are nothing in another.
            None => {
                let random = SecretKey::generate().map_err(|error| unavailable(&error))?.node_id();
                format!("fba network {}", hex::encode(random.0.get(..8).unwrap_or_default()))
            }
        };
        Ok(Self {
            organizations: args.orgs,
            validators: args.validators,
            folder: args.dir.clone(),
            passphrase,
            parameters: Parameters { close_interval_ms: args.interval, ..Parameters::default() },
            genesis_close_time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            quality: args.quality,
            ports: Ports::From(args.base_port),
        })
    }

    fn check(&self) -> Result<(), CliError> {
        let usage = |message: String| Err(CliError::new(Exit::Usage, message));
        let (organizations, validators) = (self.organizations, self.validators);
        let nodes = organizations.saturating_mul(validators);
        if nodes == 0 {
            return usage(format!(
                "{organizations} organisation(s) of {validators} validator(s) are no network: ask for at least 1 of 1"
            ));
        }
        if nodes > NODES_MAX {
            return usage(format!("{nodes} nodes on one machine: at most {NODES_MAX}; ask for fewer"));
        }
        let quality = self.quality();
        if validators < quality.validators_min() {
            let min = quality.validators_min();
            return usage(format!(
                "{quality} needs at least {min} validators in each organisation, not {validators}; leave out --quality"
            ));
        }
        match &self.ports {
            Ports::From(base) if self.port(*base, nodes).is_none() => {
                usage(format!("--base-port {base}: {nodes} nodes need ports from 1 up to at most 65535"))
            }
            Ports::Given(ports) if ports.len() != nodes => {
                usage(format!("{} pairs of ports for {nodes} nodes: give one pair for each", ports.len()))
            }
            Ports::From(_) | Ports::Given(_) => Ok(()),
        }
    }

    /// The port for HTTP of the node before this one: the highest of all.
    fn port(&self, base: u16, nodes: usize) -> Option<u16> {
        let last = u16::try_from(nodes).ok()?.checked_sub(1)?;
        base.checked_add(last)?.checked_add(HTTP_PORT_OFFSET).filter(|_| base > 0)
    }

    fn quality(&self) -> Quality {
        let fitting = if self.validators < HIGH_VALIDATORS_MIN { Quality::Medium } else { Quality::High };
        self.quality.unwrap_or(fitting)
    }

    fn ports_of(&self, index: usize) -> (SocketAddr, SocketAddr) {
        let (listen, http) = match &self.ports {
            Ports::Given(ports) => ports.get(index).copied().expect("as many pairs as nodes were checked to be given"),
            Ports::From(base) => {
                let offset = u16::try_from(index).expect("at most NODES_MAX nodes");
                let listen = base.checked_add(offset).expect("checked against 65535");
                (listen, listen.checked_add(HTTP_PORT_OFFSET).expect("checked against 65535"))
            }
        };
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        (loopback(listen), loopback(http))
    }
}

/// Makes the network's files. Nothing existing is overwritten; what was made when a later step fails stays there.
///
/// # Errors
/// A plan that cannot be (64), a folder that is not empty or cannot be written (74, 77), no randomness (69).
pub fn network_init(plan: &Plan) -> Result<NetworkFiles, CliError> {
    plan.check()?;
    empty_folder(&plan.folder)?;
    let root_key = plan.folder.join("root.key");
    let root = keygen::make(&root_key, false)?;
    let genesis = Genesis {
        passphrase: plan.passphrase.clone(),
        close_time_ms: plan.genesis_close_time_ms,
        root_account: AccountId(root.node_id().0),
        total_supply: TOTAL_SUPPLY,
        parameters: plan.parameters.clone(),
    };
    genesis.check().map_err(|error| CliError::new(Exit::Usage, error))?;
    let genesis_file = plan.folder.join("genesis.toml");
    write(&genesis_file, &genesis.to_toml())?;
    let nodes = (0..plan.organizations.saturating_mul(plan.validators))
        .map(|index| make_node(plan, index))
        .collect::<Result<Vec<_>, _>>()?;
    let trust = trust(plan, &nodes);
    for node in &nodes {
        write(&node.config, &format!("{}\n{trust}", head(plan, node)))?;
    }
    Ok(NetworkFiles { genesis: genesis_file, root_key, passphrase: plan.passphrase.clone(), nodes })
}

fn empty_folder(folder: &Path) -> Result<(), CliError> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).map_err(|error| CliError::io(format_args!("making {shown}"), &error))?;
    let mut entries =
        std::fs::read_dir(folder).map_err(|error| CliError::io(format_args!("reading {shown}"), &error))?;
    if entries.next().is_some() {
        return Err(CliError::new(
            Exit::Io,
            format_args!("{shown} is not empty, and a network's keys are never overwritten: choose another --dir"),
        ));
    }
    Ok(())
}

fn make_node(plan: &Plan, index: usize) -> Result<NodeFiles, CliError> {
    let (organization, validator) = (index / plan.validators, index % plan.validators);
    let organization = organization_name(organization);
    let name = match plan.validators {
        1 => organization.clone(),
        _ => format!("{organization}-{}", validator.saturating_add(1)),
    };
    let folder = plan.folder.join(&name);
    std::fs::create_dir(&folder).map_err(|error| CliError::io(format_args!("making {}", folder.display()), &error))?;
    let node = keygen::make(&folder.join("node.key"), true)?.node_id();
    let (listen, http) = plan.ports_of(index);
    let config = folder.join("node.toml");
    Ok(NodeFiles { name, home_domain: format!("{organization}.example"), node, folder, config, listen, http })
}

fn organization_name(index: usize) -> String {
    ORGANIZATION_NAMES
        .get(index)
        .map_or_else(|| format!("org-{}", index.saturating_add(1)), |name| (*name).to_owned())
}

/// What differs from node to node.
fn head(plan: &Plan, node: &NodeFiles) -> String {
    let passphrase = toml::Value::String(plan.passphrase.clone());
    let NodeFiles { name, home_domain, listen, http, .. } = node;
    let key = node_strkey(node.node);
    format!(
        "# The node {name} of {home_domain}. Every key: docs/configuration.md\n\
         node_seed_file = \"node.key\"\n\
         node_public_key = \"{key}\"\n\
         node_is_validator = true\n\
         home_domain = \"{home_domain}\"\n\
         network_passphrase = {passphrase}\n\
         genesis = \"../genesis.toml\"\n\
         data_dir = \"data\"\n\
         listen = \"{listen}\"\n\
         http = \"{http}\"\n"
    )
}

/// Whom everybody trusts.
fn trust(plan: &Plan, nodes: &[NodeFiles]) -> String {
    let mut text = String::from("# Whom this node trusts. `fba config check` shows the quorum set that follows.\n");
    let quality = plan.quality();
    for index in 0..plan.organizations {
        let name = organization_name(index);
        let _infallible =
            writeln!(text, "\n[[organization]]\nhome_domain = \"{name}.example\"\nquality = \"{quality}\"");
    }
    for NodeFiles { name, home_domain, node, listen, .. } in nodes {
        let key = node_strkey(*node);
        let _infallible = writeln!(
            text,
            "\n[[validator]]\nname = \"{name}\"\nhome_domain = \"{home_domain}\"\npublic_key = \"{key}\"\n\
             address = \"{listen}\""
        );
    }
    text
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    use std::io::Write;
    let written = std::fs::File::create_new(file).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| CliError::io(format_args!("writing {}", file.display()), &error))
}

/// Reads back what was written, as `fba run` will, and returns what should be known about it.
fn check(made: &NetworkFiles) -> Result<Vec<String>, CliError> {
    let mut warnings = Vec::new();
    for node in &made.nodes {
        let config = load(&node.config)?;
        config.load_genesis().map_err(|errors| CliError::new(errors.exit(), errors))?;
        for warning in config.warnings.iter().map(ToString::to_string) {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    Ok(warnings)
}

fn text(plan: &Plan, made: &NetworkFiles, warnings: &[String]) -> String {
    let mut text = String::new();
    let folder = plan.folder.display();
    let Plan { organizations, validators, .. } = plan;
    let _infallible = writeln!(
        text,
        "{organizations} organisation(s) of {validators} validator(s), {}, in {folder}\n\
         passphrase {:?}; root account's seed in {}\n",
        plan.quality(),
        made.passphrase,
        made.root_key.display()
    );
    for node in &made.nodes {
        let _infallible = writeln!(
            text,
            "  {:<12} {}  peers {}  http://{}",
            node.name,
            node_strkey(node.node),
            node.listen,
            node.http
        );
    }
    for warning in warnings {
        let _infallible = writeln!(text, "\nwarning: {warning}");
    }
    let _infallible = writeln!(text, "\nNext, each in a terminal of its own:\n  fba config check {folder}");
    for node in &made.nodes {
        let _infallible = writeln!(text, "  fba run {}", node.config.display());
    }
    text
}

fn json(made: &NetworkFiles) -> String {
    let node = |node: &NodeFiles| {
        serde_json::json!({
            "name": node.name,
            "home_domain": node.home_domain,
            "public_key": node_strkey(node.node),
            "config": node.config.display().to_string(),
            "listen": node.listen.to_string(),
            "http": node.http.to_string(),
        })
    };
    let all = serde_json::json!({
        "passphrase": made.passphrase,
        "genesis": made.genesis.display().to_string(),
        "root_key": made.root_key.display().to_string(),
        "nodes": made.nodes.iter().map(node).collect::<Vec<_>>(),
    });
    format!("{all}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn plan(folder: &Path, organizations: usize, validators: usize) -> Plan {
        Plan {
            organizations,
            validators,
            folder: folder.join("net"),
            passphrase: "a \"test\" network".to_owned(),
            parameters: Parameters::default(),
            genesis_close_time_ms: 1,
            quality: None,
            ports: Ports::From(BASE_PORT),
        }
    }

    #[test]
    fn every_network_made_passes_its_own_check() {
        for (organizations, validators) in [(1, 1), (4, 1), (3, 3), (2, 2), (27, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let made = network_init(&plan(folder.path(), organizations, validators)).unwrap();
            assert_eq!(made.nodes.len(), organizations * validators);
            check(&made).unwrap();
        }
    }

    #[test]
    fn three_equal_organisations_are_warned_about_and_four_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let warnings = check(&network_init(&plan(folder.path(), 3, 3)).unwrap()).unwrap();
        assert!(warnings.iter().any(|text| text.contains("HALTS WHEN ONE ORGANISATION STOPS")), "{warnings:?}");
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check(&network_init(&plan(folder.path(), 4, 3)).unwrap()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn seeds_are_for_their_owner_only_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let made = network_init(&plan(folder.path(), 2, 1)).unwrap();
        let seeds = made.nodes.iter().map(|node| node.folder.join("node.key")).chain([made.root_key.clone()]);
        for seed in seeds {
            assert_eq!(std::fs::metadata(seed).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = network_init(&plan(folder.path(), 2, 1)).unwrap_err();
        assert!(again.message.contains("not empty"), "{again}");
    }

    #[test]
    fn ports_are_those_given() {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::Given(vec![(4001, 4002), (4003, 4004)]);
        let made = network_init(&Plan { ports, ..plan(folder.path(), 2, 1) }).unwrap();
        let found: Vec<_> = made.nodes.iter().map(|node| (node.listen.port(), node.http.port())).collect();
        assert_eq!(found, [(4001, 4002), (4003, 4004)]);
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let good = || plan(folder.path(), 2, 1);
        let bad = [
            (Plan { organizations: 0, ..good() }, "no network"),
            (Plan { organizations: 101, ..good() }, "at most 100"),
            (Plan { quality: Some(Quality::High), ..good() }, "HIGH needs at least 3"),
            (Plan { ports: Ports::From(65_000), ..good() }, "65535"),
            (Plan { ports: Ports::From(0), ..good() }, "ports from 1"),
            (Plan { ports: Ports::Given(vec![(1, 2)]), ..good() }, "1 pairs of ports for 2"),
        ];
        for (plan, message) in bad {
            let error = network_init(&plan).unwrap_err();
            assert_eq!(error.exit, Exit::Usage);
            assert!(error.message.contains(message), "{error}");
            assert!(!plan.folder.exists());
        }
    }
}
