//! A network of real processes for tests: made by `network init`, run by `fba run`, watched over HTTP.
//!
//! Nothing here sleeps and hopes: every wait reads a server's event stream, or a process's end, with a deadline.

#![expect(clippy::panic, reason = "what a network does not do in time fails the test")]

use fba_server::cli::client::{Client, NodeArgs};
use fba_server::cli::events::wait_for_ledger;
use fba_server::cli::network_init::{Args, NetworkFiles, NodeFiles, Plan, Ports, network_init};
use fba_server::demo::{NodeProcess, free_ports};
use fba_server::http::dto;
use fba_server::key::{NetworkId, SecretKey, node_strkey};
use fba_server::ledger::Parameters;
use fba_server::store::key_file;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// How long anything a test waits for may take. Generous: these machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// One network gets its ports at a time, so that no two tests are given the same.
static PORTS: Mutex<()> = Mutex::new(());

/// The shape of a test network.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many organisations.
    pub organizations: usize,
    /// Validators per organisation.
    pub validators: usize,
    /// Least milliseconds between closes.
    pub interval_ms: u64,
    /// Most milliseconds between closes when nothing happens.
    pub heartbeat_ms: u64,
    /// Milliseconds a close time may be ahead of a clock.
    pub clock_slip_ms: u64,
}

impl Shape {
    /// Four organisations of one validator that close quickly, busy or not.
    pub const FOUR: Self =
        Self { organizations: 4, validators: 1, interval_ms: 100, heartbeat_ms: 500, clock_slip_ms: 60_000 };
}

/// A network in a folder of its own. Dropping it kills what still runs.
pub struct Cluster {
    /// Its files: configs, keys, genesis.
    pub files: NetworkFiles,
    nodes: Vec<Option<NodeProcess>>,
    program: PathBuf,
    // Last, so that the folder outlives the processes.
    _folder: Option<tempfile::TempDir>,
}

impl Cluster {
    /// Makes a network and starts every server of it. `program` is the `fba` command.
    ///
    /// # Panics
    /// When anything of that fails: a test cannot go on then.
    #[must_use]
    pub fn start(program: &Path, shape: Shape) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut cluster = Self::make(program, shape, folder.path());
        cluster._folder = Some(folder);
        cluster.start_all();
        cluster
    }

    /// Makes a network in `folder` without starting it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn make(program: &Path, shape: Shape, folder: &Path) -> Self {
        let _held = PORTS.lock().expect("no test panics while it holds the ports");
        let plan = Plan::of(&Args {
            orgs: shape.organizations,
            validators: shape.validators,
            dir: folder.to_owned(),
            passphrase: None,
            interval: shape.interval_ms,
            base_port: 1,
            quality: None,
            json: false,
        })
        .expect("a plan");
        let files = network_init(&Plan {
            parameters: Parameters {
                heartbeat_ms: shape.heartbeat_ms,
                clock_slip_ms: shape.clock_slip_ms,
                ..plan.parameters
            },
            ports: Ports::Given(next_ports(shape.organizations * shape.validators)),
            ..plan
        })
        .expect("a network can be made");
        let nodes = files.nodes.iter().map(|_| None).collect();
        Self { files, nodes, program: program.to_owned(), _folder: None }
    }

    /// The network that is in `folder` already, not started.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn open(program: &Path, folder: &Path) -> Self {
        let files = NetworkFiles::open(folder).expect("readable files").expect("a network in this folder");
        let nodes = files.nodes.iter().map(|_| None).collect();
        Self { files, nodes, program: program.to_owned(), _folder: None }
    }

    /// Adds a server that only watches, with a key of its own, connected to every validator. Returns its index; it
    /// does not run yet.
    ///
    /// # Panics
    /// When its files cannot be made.
    pub fn add_follower(&mut self, name: &str) -> usize {
        let _held = PORTS.lock().expect("no test panics while it holds the ports");
        let (quic, http) = next_ports(1).first().copied().expect("one pair was asked for");
        let model = self.files.nodes.first().expect("a network has a validator");
        let folder = model.folder.with_file_name(name);
        std::fs::create_dir(&folder).expect("a folder for the follower");
        let key = SecretKey::generate().expect("randomness");
        key_file::create_new(&folder.join("node.key"), &key, true).expect("a key file");
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let files = NodeFiles {
            name: name.to_owned(),
            home_domain: String::new(),
            node: key.node_id(),
            config: folder.join("node.toml"),
            folder,
            listen: loopback(quic),
            http: loopback(http),
        };
        let text = std::fs::read_to_string(&model.config).expect("a validator's configuration");
        std::fs::write(&files.config, follower_config(&text, &files)).expect("a configuration can be written");
        self.files.nodes.push(files);
        self.nodes.push(None);
        self.nodes.len() - 1
    }

    /// Starts every server that does not run.
    pub fn start_all(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes.get(index).is_some_and(Option::is_none) {
                self.start_node(index);
            }
        }
    }

    /// Starts one server.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_node(&mut self, index: usize) {
        self.try_start_node(index, &[]).expect("the server starts");
    }

    /// Starts one server with more arguments; the error is what it printed.
    ///
    /// # Errors
    /// When it ends before it serves.
    ///
    /// # Panics
    /// When there is no such server.
    pub fn try_start_node(&mut self, index: usize, extra: &[&str]) -> Result<(), String> {
        let program = self.program.clone();
        self.try_start_node_of(&program, index, extra)
    }

    /// As [`Cluster::try_start_node`], of another program: one that runs `fba` under conditions of its own.
    ///
    /// # Errors
    /// When it ends before it serves.
    ///
    /// # Panics
    /// When there is no such server.
    pub fn try_start_node_of(&mut self, program: &Path, index: usize, extra: &[&str]) -> Result<(), String> {
        let node = self.files.nodes.get(index).expect("a server of this network");
        let log = node.folder.join("node.log");
        let process =
            NodeProcess::spawn(program, &node.name, &node.config, &log, extra).map_err(|error| error.to_string())?;
        *self.nodes.get_mut(index).expect("a server of this network") = Some(process);
        Ok(())
    }

    /// The program its servers are of.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The process id of a running server.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self, index: usize) -> u32 {
        self.nodes.get(index).and_then(Option::as_ref).expect("the server runs").id()
    }

    /// Was a server started, and not stopped?
    #[must_use]
    pub fn is_running(&self, index: usize) -> bool {
        self.nodes.get(index).is_some_and(Option::is_some)
    }

    /// Has a server ended by itself?
    pub fn has_ended(&mut self, index: usize) -> bool {
        self.nodes.get_mut(index).and_then(Option::as_mut).is_none_or(|node| node.ended().is_some())
    }

    /// Lets go of a running server without stopping it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn take(&mut self, index: usize) -> NodeProcess {
        self.nodes.get_mut(index).and_then(Option::take).expect("the server runs")
    }

    /// Takes a server back that was let go of.
    pub fn put_back(&mut self, index: usize, process: NodeProcess) {
        if let Some(place) = self.nodes.get_mut(index) {
            *place = Some(process);
        }
    }

    /// kill -9.
    pub fn kill(&mut self, index: usize) {
        if let Some(node) = self.nodes.get_mut(index).and_then(Option::take) {
            node.kill();
        }
    }

    /// A clean stop; true if the server ended by itself with exit code 0.
    pub fn stop(&mut self, index: usize) -> bool {
        let node = self.nodes.get_mut(index).and_then(Option::take);
        node.is_some_and(|node| node.stop().is_some_and(|status| status.success()))
    }

    /// The HTTP client of a running server.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn client(&self, index: usize) -> Client {
        let node = self.nodes.get(index).and_then(Option::as_ref).expect("the server runs");
        client(&node.url)
    }

    /// Clients of all running servers.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.nodes.iter().flatten().map(|node| client(&node.url)).collect()
    }

    /// The network's id.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        NetworkId::of_passphrase(&self.files.passphrase)
    }

    /// The key of the root account.
    ///
    /// # Panics
    /// When its file cannot be read.
    #[must_use]
    pub fn root_key(&self) -> SecretKey {
        key_file::read(&self.files.root_key).expect("the root key")
    }

    /// How many servers the network has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Has the network no servers? (It always has.)
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Waits until this server has closed ledger `sequence`; its header hash.
    ///
    /// # Panics
    /// When that takes too long.
    #[must_use]
    pub fn closed(&self, index: usize, sequence: u64) -> String {
        let name = &self.files.nodes.get(index).expect("a server of this network").name;
        wait_for_ledger(&self.client(index), sequence, PATIENCE)
            .unwrap_or_else(|error| panic!("{name} has not closed ledger {sequence}: {error}"))
            .hash
    }

    /// Waits until every running server has closed ledger `sequence`, and checks that all have the same header.
    ///
    /// # Panics
    /// When that takes too long, or when two headers differ.
    pub fn all_closed(&self, sequence: u64) {
        let running = (0..self.nodes.len()).filter(|i| self.nodes.get(*i).is_some_and(Option::is_some));
        let hashes: Vec<String> = running.map(|index| self.closed(index, sequence)).collect();
        assert!(hashes.windows(2).all(|pair| pair.first() == pair.last()), "a fork at ledger {sequence}: {hashes:?}");
    }

    /// The highest ledger any running server has closed.
    ///
    /// # Panics
    /// When a server does not answer.
    #[must_use]
    pub fn highest(&self) -> u64 {
        let sequence = |client: &Client| node(client).ledger.sequence;
        self.clients().iter().map(sequence).max().unwrap_or(0)
    }
}

/// A client of the server at `url`.
///
/// # Panics
/// When `url` is none.
#[must_use]
pub fn client(url: &str) -> Client {
    Client::new(&NodeArgs { node: Some(url.to_owned()), json: false }).expect("an address")
}

/// What a server says of itself.
///
/// # Panics
/// When it does not answer.
#[must_use]
pub fn node(client: &Client) -> dto::Node {
    client.get("/v1/node").expect("the server answers")
}

/// A validator's configuration, made that of a follower: it trusts and calls the same nodes.
fn follower_config(text: &str, files: &NodeFiles) -> String {
    let own = |line: &str| match line.split_once(" = ") {
        Some(("node_public_key", _)) => format!("node_public_key = \"{}\"", node_strkey(files.node)),
        Some(("node_is_validator", _)) => "node_is_validator = false".to_owned(),
        Some(("listen", _)) => format!("listen = \"{}\"", files.listen),
        Some(("http", _)) => format!("http = \"{}\"", files.http),
        Some(_) | None => line.to_owned(),
    };
    // What is below the first table is trust, the same for everybody.
    let (head, trust) = text.split_once("\n[[").expect("a configuration names whom it trusts");
    // It needs no admin side, and the one it would copy is taken.
    let (head, _) = head.split_once("\n[admin]").unwrap_or((head, ""));
    let head: Vec<String> = head.lines().filter(|line| !line.starts_with("home_domain")).map(own).collect();
    format!("{}\n\n[[{trust}", head.join("\n"))
}

/// A port from which on `count` servers find theirs free, and HTTP 1000 above.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn base_port(count: usize) -> u16 {
    let _held = PORTS.lock().expect("no test panics while it holds the ports");
    next_ports(count).first().expect("a server needs a port").0
}

/// Ports nobody else in this process was given: each network starts where the last one ended.
fn next_ports(count: usize) -> Vec<(u16, u16)> {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 200).expect("below 200") * 80;
    for _ in 0..200 {
        let step = NEXT.fetch_add(16, std::sync::atomic::Ordering::Relaxed);
        if let Ok(ports) = free_ports(Some(12_000 + (spread + step) % 18_000), count) {
            return ports;
        }
    }
    panic!("no free ports for {count} servers on this machine");
}
