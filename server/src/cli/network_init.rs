//! `fba network init`: keys, configurations and genesis of a whole network, on one machine or several.

mod deploy;
mod hosts;

pub use deploy::{COMPOSE_FILE, UNIT, UNIT_FILE};
pub use hosts::{Host, Machine};

use super::exit::{CliError, Exit, print};
pub(crate) use super::node_file::ADMIN_PORT_OFFSET;
use super::{keygen, node_file};
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
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima",
    "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray",
    "yankee", "zulu",
];

/// Make a whole network: keys, configurations and genesis
///
/// For N organisations with M validators each. All nodes run on this machine, unless --host says where they run: then
/// each folder goes to its machine. Whoever runs this command sees every key, so this is for networks whose machines
/// are all yours; organisations that do not trust one another use `fba network genesis` and `fba config new`. A Compose
/// file and a systemd unit to run the nodes are written beside them.
#[derive(clap::Args, Clone, Debug)]
pub struct InitArgs {
    #[command(flatten)]
    network: Args,
    /// Where an organisation's nodes run (alpha=192.0.2.1), or one node (alpha-2=fba.alpha.example); once for each.
    #[arg(long = "host", value_name = "NAME=ADDRESS")]
    hosts: Vec<Host>,
}

/// The shape of a network to make.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// How many organisations: alpha, bravo, charlie, …
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub orgs: usize,
    /// How many validators each has.
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub validators: usize,
    /// The folder to make. Must be new or empty.
    #[arg(long, value_name = "FOLDER", default_value = "network")]
    pub dir: PathBuf,
    /// The network's passphrase, which tells networks apart; a random one unless given. It is no secret.
    #[arg(long, value_name = "TEXT")]
    pub passphrase: Option<String>,
    /// Least milliseconds between two ledgers; 0 closes as soon as there is something.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub interval: u64,
    /// Peers are listened to on this port and those after it, HTTP 1000 and the admin side 2000 above.
    #[arg(long, value_name = "PORT", default_value_t = BASE_PORT)]
    pub base_port: u16,
    /// How much each organisation is trusted: MEDIUM, HIGH or CRITICAL
    /// [default: HIGH with three validators or more, else MEDIUM]
    #[arg(long, value_parser = quality)]
    pub quality: Option<Quality>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn quality(text: &str) -> Result<Quality, String> {
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

/// Where the nodes listen.
#[derive(Clone, Debug)]
pub enum Ports {
    /// On the loopback interface: peers from this port on, HTTP 1000 above.
    From(u16),
    /// On the loopback interface: (peers, HTTP) for each node, in order.
    Given(Vec<(u16, u16)>),
    /// On these machines, for peers on every interface from this port on; HTTP 1000 above, on the loopback interface.
    On(Vec<Host>, u16),
}

/// Where one node listens, and what others call.
struct Place {
    listen: SocketAddr,
    http: SocketAddr,
    address: String,
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
pub fn run(args: &InitArgs) -> Result<(), CliError> {
    let InitArgs { network, hosts } = args;
    let mut plan = Plan::of(network)?;
    if !hosts.is_empty() {
        plan.ports = Ports::On(hosts.clone(), network.base_port);
    }
    let made = network_init(&plan)?;
    deploy::write_deployment(&made, &plan.folder)?;
    let warnings = check(&made)?;
    print(&if network.json { json(&made) } else { text(&plan, &made, &warnings) })
}

impl Plan {
    /// The plan these arguments ask for, with genesis now.
    ///
    /// # Errors
    /// When there is no randomness (69) for a passphrase, or the clock is before 1970 (69).
    pub fn of(args: &Args) -> Result<Self, CliError> {
        let (passphrase, genesis_close_time_ms) = Self::beginning(args.passphrase.as_deref())?;
        Ok(Self {
            organizations: args.orgs,
            validators: args.validators,
            folder: args.dir.clone(),
            passphrase,
            parameters: Parameters { close_interval_ms: args.interval, ..Parameters::default() },
            genesis_close_time_ms,
            quality: args.quality,
            ports: Ports::From(args.base_port),
        })
    }

    /// A new network's passphrase (random unless given), and the time it begins, in milliseconds since the epoch: now.
    pub(super) fn beginning(passphrase: Option<&str>) -> Result<(String, u64), CliError> {
        let unavailable = |error: &dyn std::fmt::Display| CliError::new(Exit::Unavailable, error);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| unavailable(&error))?;
        let passphrase = match passphrase {
            Some(passphrase) => passphrase.to_owned(),
            // A network of its own each time: statements of one are nothing in another.
            None => {
                let random = SecretKey::generate().map_err(|error| unavailable(&error))?.node_id();
                format!("fba network {}", hex::encode(random.0.get(..8).unwrap_or_default()))
            }
        };
        Ok((passphrase, u64::try_from(now.as_millis()).unwrap_or(u64::MAX)))
    }

    fn check(&self) -> Result<(), CliError> {
        let usage = |message: String| Err(CliError::new(Exit::Usage, message));
        // The account is made later: any will do to check the rules.
        self.genesis(AccountId([0; 32])).check().map_err(|error| CliError::new(Exit::Usage, error))?;
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
        self.places().map(|_| ()).or_else(usage)
    }

    fn quality(&self) -> Quality {
        let fitting = if self.validators < HIGH_VALIDATORS_MIN { Quality::Medium } else { Quality::High };
        self.quality.unwrap_or(fitting)
    }

    fn genesis(&self, root_account: AccountId) -> Genesis {
        Genesis {
            passphrase: self.passphrase.clone(),
            close_time_ms: self.genesis_close_time_ms,
            root_account,
            total_supply: TOTAL_SUPPLY,
            parameters: self.parameters.clone(),
        }
    }

    /// Where each node listens, in order; else what is wrong with the ports or machines asked for.
    fn places(&self) -> Result<Vec<Place>, String> {
        let nodes = self.organizations.saturating_mul(self.validators);
        match &self.ports {
            Ports::Given(ports) if ports.len() != nodes => {
                Err(format!("{} pairs of ports for {nodes} nodes: give one pair for each", ports.len()))
            }
            Ports::Given(ports) => Ok(ports.iter().map(|(listen, http)| Place::loopback(*listen, *http)).collect()),
            Ports::From(base) => {
                let ports = (0..nodes).map(|index| with_http(base.checked_add(u16::try_from(index).ok()?)?));
                let ports = ports.collect::<Option<Vec<_>>>().filter(|_| *base > 0);
                let ports = ports.ok_or_else(|| {
                    format!("--base-port {base}: {nodes} nodes need ports from 1 up to at most 65535, HTTP (1000 above) and the admin side (2000 above) among them")
                })?;
                Ok(ports.into_iter().map(|(listen, http)| Place::loopback(listen, http)).collect())
            }
            Ports::On(hosts, base) => {
                let names: Vec<_> = (0..nodes).map(|index| self.names(index)).collect();
                let seats: Vec<_> =
                    names.iter().map(|(organization, node)| hosts::Seat { organization, node }).collect();
                let places = hosts::assign(hosts, &seats, *base)?;
                places.iter().map(|(machine, port)| Place::on(machine, *port)).collect()
            }
        }
    }

    /// The names of a node's organisation, and of the node.
    fn names(&self, index: usize) -> (String, String) {
        let organization = organization_name(index / self.validators);
        let node = match self.validators {
            1 => organization.clone(),
            validators => format!("{organization}-{}", (index % validators).saturating_add(1)),
        };
        (organization, node)
    }
}

impl Place {
    fn loopback(listen: u16, http: u16) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { listen: at(listen), http: at(http), address: at(listen).to_string() }
    }

    fn on(machine: &Machine, port: u16) -> Result<Self, String> {
        let (listen, http) = with_http(port).ok_or_else(|| {
            format!("port {port} on {machine}: HTTP is {HTTP_PORT_OFFSET} above, the admin side {ADMIN_PORT_OFFSET} more, and 65535 is the last")
        })?;
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
        Ok(Self { listen: SocketAddr::from((machine.any(), listen)), http, address: machine.address(listen) })
    }
}

/// A port for peers and the one for HTTP that goes with it, if there is one for the admin side above.
fn with_http(listen: u16) -> Option<(u16, u16)> {
    let http = listen.checked_add(HTTP_PORT_OFFSET)?;
    http.checked_add(ADMIN_PORT_OFFSET).map(|_| (listen, http))
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
    let genesis = plan.genesis(AccountId(root.node_id().0));
    let genesis_file = plan.folder.join("genesis.toml");
    write(&genesis_file, &genesis.to_toml())?;
    let places = plan.places().map_err(|message| CliError::new(Exit::Usage, message))?;
    let nodes = places.iter().enumerate().map(|(index, place)| make_node(plan, index, place));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let trust = trust(plan, &nodes, &places);
    for (node, place) in nodes.iter().zip(&places) {
        write(&node.config, &format!("{}\n{trust}", head(plan, node, place)))?;
    }
    Ok(NetworkFiles { genesis: genesis_file, root_key, passphrase: plan.passphrase.clone(), nodes })
}

pub(super) fn empty_folder(folder: &Path) -> Result<(), CliError> {
    let shown = folder.display();
    std::fs::create_dir_all(folder)
        .map_err(|error| CliError::io(format_args!("cannot make the folder {shown} (choose another --dir)"), &error))?;
    let mut entries =
        std::fs::read_dir(folder).map_err(|error| CliError::io(format_args!("reading {shown}"), &error))?;
    if entries.next().is_some() {
        return Err(CliError::new(
            Exit::Io,
            format_args!("{shown} is not empty, and keys are never overwritten: choose another --dir"),
        ));
    }
    Ok(())
}

fn make_node(plan: &Plan, index: usize, place: &Place) -> Result<NodeFiles, CliError> {
    let (organization, name) = plan.names(index);
    let folder = plan.folder.join(&name);
    std::fs::create_dir(&folder).map_err(|error| CliError::io(format_args!("making {}", folder.display()), &error))?;
    let node = keygen::make(&folder.join("node.key"), true)?.node_id();
    let Place { listen, http, .. } = *place;
    let config = folder.join("node.toml");
    Ok(NodeFiles { name, home_domain: format!("{organization}.example"), node, folder, config, listen, http })
}

fn organization_name(index: usize) -> String {
    ORGANIZATION_NAMES.get(index).map_or_else(|| format!("org-{}", index.saturating_add(1)), |name| (*name).to_owned())
}

/// What differs from node to node.
fn head(plan: &Plan, node: &NodeFiles, place: &Place) -> String {
    let own = node_file::Own {
        name: &node.name,
        node: node.node,
        home_domain: Some(&node.home_domain),
        passphrase: &plan.passphrase,
        genesis: "../genesis.toml",
        listen: node.listen,
        public_address: node.listen.ip().is_unspecified().then_some(&place.address),
        http: node.http,
    };
    own.head()
}

/// Whom everybody trusts.
fn trust(plan: &Plan, nodes: &[NodeFiles], places: &[Place]) -> String {
    let mut text = String::from("# Whom this node trusts. `fba config check` shows the quorum set that follows.\n");
    for index in 0..plan.organizations {
        text += &node_file::organization(&format!("{}.example", organization_name(index)), plan.quality());
    }
    for (NodeFiles { name, home_domain, node, .. }, place) in nodes.iter().zip(places) {
        text += &node_file::validator(name, home_domain, *node, Some(&place.address));
    }
    text
}

pub(super) fn write(file: &Path, text: &str) -> Result<(), CliError> {
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
    text + &next(plan, made)
}

/// What to do with it.
fn next(plan: &Plan, made: &NetworkFiles) -> String {
    let folder = plan.folder.display();
    if let Ports::On(..) = plan.ports {
        return format!(
            "\nNext:\n  fba config check {folder}\n\
             then copy genesis.toml and a node's folder to its machine, side by side, and there:\n  fba run NAME/node.toml\n\
             As a service or in a container: {UNIT_FILE}, {COMPOSE_FILE} and docs/operators.md.\n"
        );
    }
    let mut text = format!("\nNext, each in a terminal of its own:\n  fba config check {folder}\n");
    for node in &made.nodes {
        let _infallible = writeln!(text, "  fba run {}", node.config.display());
    }
    let _infallible = writeln!(text, "or all in containers: {folder}/{COMPOSE_FILE}; as services: {UNIT_FILE}");
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
pub(super) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    pub(in crate::cli) fn plan(folder: &Path, organizations: usize, validators: usize) -> Plan {
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
    fn a_network_over_several_machines_is_called_by_their_addresses_and_keeps_http_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = ["alpha=192.0.2.1", "bravo=fba.bravo.example", "charlie=2001:db8::3", "delta=192.0.2.1"];
        let ports = Ports::On(hosts.map(|host| host.parse().unwrap()).to_vec(), BASE_PORT);
        let made = network_init(&Plan { ports, ..plan(folder.path(), 4, 1) }).unwrap();
        assert_eq!(check(&made).unwrap(), Vec::<String>::new());
        let expected = [
            ("0.0.0.0:7001", "192.0.2.1:7001", "127.0.0.1:8001"),
            ("0.0.0.0:7001", "fba.bravo.example:7001", "127.0.0.1:8001"),
            ("[::]:7001", "[2001:db8::3]:7001", "127.0.0.1:8001"),
            ("0.0.0.0:7002", "192.0.2.1:7002", "127.0.0.1:8002"),
        ];
        for (node, (listen, public, http)) in made.nodes.iter().zip(expected) {
            let config = load(&node.config).unwrap();
            assert_eq!((config.listen.to_string(), config.http.to_string()), (listen.to_owned(), http.to_owned()));
            assert_eq!(config.public_address.unwrap().to_string(), public);
            let others = config.peers.iter().filter_map(|peer| peer.key.map(|_| peer.address.to_string()));
            let wanted = expected.iter().map(|(_, public, _)| (*public).to_owned()).filter(|other| other != public);
            assert_eq!(others.collect::<std::collections::BTreeSet<_>>(), wanted.collect());
        }
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let good = || plan(folder.path(), 2, 1);
        let bad = [
            (Plan { organizations: 0, ..good() }, "no network"),
            (Plan { organizations: 101, ..good() }, "at most 100"),
            (Plan { passphrase: String::new(), ..good() }, "passphrase has 0 bytes"),
            (Plan { quality: Some(Quality::High), ..good() }, "HIGH needs at least 3"),
            (Plan { ports: Ports::From(65_000), ..good() }, "65535"),
            (Plan { ports: Ports::From(0), ..good() }, "ports from 1"),
            (Plan { ports: Ports::Given(vec![(1, 2)]), ..good() }, "1 pairs of ports for 2"),
            (Plan { ports: Ports::On(vec!["alpha=x".parse().unwrap()], 1), ..good() }, "no machine for bravo"),
            (
                Plan {
                    ports: Ports::On(["alpha=x", "bravo=x"].map(|h| h.parse().unwrap()).to_vec(), 64_535),
                    ..good()
                },
                "HTTP is 1000 above",
            ),
        ];
        for (plan, message) in bad {
            let error = network_init(&plan).unwrap_err();
            assert_eq!(error.exit, Exit::Usage);
            assert!(error.message.contains(message), "{error}");
            assert!(!plan.folder.exists());
        }
    }
}
