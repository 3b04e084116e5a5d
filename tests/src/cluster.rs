//! A network of real processes for tests: made by `network init`, run by `fba run`, watched over HTTP.
//!
//! Nothing here sleeps and hopes: every wait reads a server's event stream, or a process's end, with a deadline.

use fba_server::cli::client::Client;
use fba_server::cli::network_init::{NetworkFiles, Plan, network_init};
use fba_server::demo::{NodeProcess, free_ports};
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
    pub organizations: u32,
    /// Validators per organisation.
    pub validators: u32,
    /// Least milliseconds between closes.
    pub interval_ms: u64,
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
        let count = usize::try_from(shape.organizations * shape.validators).expect("a small network");
        let plan = Plan {
            organizations: shape.organizations,
            validators: shape.validators,
            close_interval_ms: shape.interval_ms,
            dir: folder.to_owned(),
            ports: next_ports(count),
            ..Plan::default()
        };
        let files = network_init(&plan).expect("a network can be made");
        let nodes = files.nodes.iter().map(|_| None).collect();
        Self { files, nodes, program: program.to_owned(), _folder: None }
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
        let node = self.files.nodes.get(index).expect("a server of this network");
        let log = node.config.with_file_name("fba.log");
        let process = NodeProcess::spawn(&self.program, &node.name, &node.config, &log, extra)
            .map_err(|error| error.to_string())?;
        *self.nodes.get_mut(index).expect("a server of this network") = Some(process);
        Ok(())
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
        Client::new(&node.url)
    }

    /// Clients of all running servers.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.nodes.iter().flatten().map(|node| Client::new(&node.url)).collect()
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
        let client = self.client(index);
        let name = &self.files.nodes.get(index).expect("a server of this network").name;
        client
            .wait_for_ledger(sequence, PATIENCE)
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
        let sequence = |client: &Client| client.node().expect("the server answers").ledger.sequence;
        self.clients().iter().map(sequence).max().unwrap_or(0)
    }
}

/// Ports nobody else in this process was given: each network starts where the last one ended.
fn next_ports(count: usize) -> Vec<fba_server::demo::Ports> {
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
