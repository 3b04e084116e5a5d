//! `fba demo`: a whole network on this machine, as real processes, with a live table of what they close.

mod child;
mod load;
mod ports;
mod table;

pub use child::{ChildError, NodeProcess};
pub use load::{Load, Payers, next_sequence};
pub use ports::{PortError, free_ports};

use crate::cli::client::{Client, NodeArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::network_init::{self, NetworkFiles, Plan, Ports, network_init};
use crate::cli::text::say;
use crate::http::dto;
use crate::key::{NetworkId, SecretKey};
use crate::store::key_file;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use table::{Board, Event};

/// How long all servers together may take until they are in sync.
const SYNC_WITHIN: Duration = Duration::from_secs(60);

/// Accounts the load is made of.
const PAYERS: usize = 8;

/// Run a whole network on this machine: real processes, QUIC between them, one SQLite database each.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many organisations.
    #[arg(long, default_value_t = 4, value_name = "N")]
    orgs: usize,
    /// How many validators each organisation runs.
    #[arg(long, default_value_t = 1, value_name = "M")]
    validators: usize,
    /// Least milliseconds between two closes; 0 closes as soon as there is something.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    interval: u64,
    /// Payments a second to keep the network busy; 0 for none.
    #[arg(long, default_value_t = 5.0, value_name = "PER_SECOND")]
    load: f64,
    /// Stop after this many seconds (counted from when all are in sync) and report.
    #[arg(long = "for", value_name = "SECONDS")]
    run_for: Option<u64>,
    /// Keep the network in this folder; without it a temporary one is used and removed.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// First port: QUIC on PORT, PORT+1, …, HTTP on PORT+1000, …  [default: 7001, or the next free ones]
    #[arg(long, value_name = "PORT")]
    base_port: Option<u16>,
}

/// Runs the demo until its time is over, Ctrl-C, or nothing is left running.
///
/// # Errors
/// When the network cannot be made or started, or did not do what it should.
pub fn run(args: &Args) -> Result<(), CliError> {
    if let Some(folder) = &args.dir {
        return run_in(args, folder);
    }
    let temporary = tempfile::Builder::new()
        .prefix("fba-demo-")
        .tempdir()
        .map_err(|error| CliError::io("making a temporary folder for the demo", &error))?;
    run_in(args, temporary.path())
}

fn run_in(args: &Args, folder: &Path) -> Result<(), CliError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))
        .map_err(|error| CliError::new(Exit::Io, format!("cannot listen for Ctrl-C: {error}")))?;
    let files = prepare(args, folder)?;
    say(&format!("network of {} servers in {}", files.nodes.len(), folder.display()))?;
    let program = std::env::current_exe().map_err(|error| CliError::io("finding this program's own file", &error))?;
    let mut nodes = start_all(&program, &files)?;
    let clients = nodes.iter().map(|node| client(&node.url)).collect::<Result<Vec<_>, _>>()?;
    say("all have started; waiting until they are in sync …")?;
    wait_until_synced(&mut nodes, &clients, &interrupted)?;
    if !interrupted.load(Ordering::SeqCst) {
        say(&introduction(&nodes, &files, folder))?;
    }
    let load = match args.load {
        rate if rate > 0.0 && !interrupted.load(Ordering::SeqCst) => Some(start_load(&clients, &files, rate)?),
        _ => None,
    };
    let outcome = show(args, &mut nodes, &interrupted)?;
    let submitted = load.as_ref().map_or(0, Load::submitted);
    drop(load);
    let stopping = say(&format!("stopping {} servers …", nodes.len()));
    let mut killed = 0;
    // All are asked first, so that they stop side by side.
    for node in &mut nodes {
        node.ask_to_stop();
    }
    for node in nodes {
        let name = node.name.clone();
        if node.stop().is_none() {
            eprintln!("{name} did not stop in time and was killed");
            killed += 1;
        }
    }
    stopping?;
    outcome.report(submitted, killed)
}

/// The network in `folder`: made now, or found there from an earlier run.
fn prepare(args: &Args, folder: &Path) -> Result<NetworkFiles, CliError> {
    if let Some(files) = NetworkFiles::open(folder)? {
        say(&format!("found a network in {}: starting it again, as it was made", folder.display()))?;
        return Ok(files);
    }
    let plan = Plan::of(&network_init::Args {
        orgs: args.orgs,
        validators: args.validators,
        dir: folder.to_owned(),
        passphrase: None,
        interval: args.interval,
        base_port: args.base_port.unwrap_or(network_init::BASE_PORT),
        quality: None,
        json: false,
    })?;
    let ports = free_ports(args.base_port, args.orgs.saturating_mul(args.validators))?;
    network_init(&Plan { ports: Ports::Given(ports), ..plan })
}

/// A client of the server at `url`.
fn client(url: &str) -> Result<Client, CliError> {
    Client::new(&NodeArgs { node: Some(url.to_owned()), json: false })
}

fn start_all(program: &Path, files: &NetworkFiles) -> Result<Vec<NodeProcess>, CliError> {
    files
        .nodes
        .iter()
        .map(|node| {
            let log = node.folder.join("node.log");
            NodeProcess::spawn(program, &node.name, &node.config, &log, &[])
                .map_err(|error| CliError::new(Exit::Unavailable, error))
        })
        .collect()
}

fn wait_until_synced(nodes: &mut [NodeProcess], clients: &[Client], interrupted: &AtomicBool) -> Result<(), CliError> {
    let deadline = Instant::now() + SYNC_WITHIN;
    for (node, client) in nodes.iter_mut().zip(clients) {
        while !is_synced(client) {
            if let Some(status) = node.ended() {
                let tail = node.log_tail();
                let message = format!("{} stopped ({status}); its log ends:\n{tail}", node.name);
                return Err(CliError::new(Exit::Unavailable, message));
            }
            if interrupted.load(Ordering::SeqCst) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let message = format!(
                    "{} is not in sync after {} s; see its log {}",
                    node.name,
                    SYNC_WITHIN.as_secs(),
                    node.log.display()
                );
                return Err(CliError::new(Exit::Unavailable, message));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn is_synced(client: &Client) -> bool {
    // Not an error yet: the server may still be starting.
    client.get::<dto::Node>("/v1/node").is_ok_and(|node| node.sync.state == "synced")
}

/// What runs where, and what to try.
fn introduction(nodes: &[NodeProcess], files: &NetworkFiles, folder: &Path) -> String {
    let mut text = format!("all {} servers are in sync\n\n", nodes.len());
    let width = nodes.iter().map(|node| node.name.len()).max().unwrap_or(0);
    for node in nodes {
        let _infallible = writeln!(text, "  {:width$}  {}  pid {}", node.name, node.url, node.id());
    }
    let (Some(first), Some(last)) = (nodes.first(), nodes.last()) else {
        return text;
    };
    let config = files.nodes.last().map(|node| node.config.display().to_string()).unwrap_or_default();
    let (url, root, pid) = (&first.url, folder.join("root.key"), last.id());
    let root = root.display();
    let _infallible = write!(
        text,
        "\nOpen an address in a browser, or in another terminal (fba is `cargo run --release --`, or target/release/fba):\n\
         \x20 export FBA_NODE={url}\n\
         \x20 fba status                         who this is, and is it in sync\n\
         \x20 fba keygen --account --out me.key  prints your account, G…\n\
         \x20 fba pay --key {root} --to G… --amount 100 --wait\n\
         \x20 kill -9 {pid:<26} the others go on\n\
         \x20 fba run {config}\n\
         \x20                                    … and it returns\n\
         Ctrl-C here stops everything.\n"
    );
    text
}

fn start_load(clients: &[Client], files: &NetworkFiles, rate: f64) -> Result<Load, CliError> {
    let first = clients.first().ok_or_else(|| CliError::new(Exit::Usage, "a network needs at least one server"))?;
    let root = root_key(files)?;
    let network = NetworkId::of_passphrase(&files.passphrase);
    let payers = Payers::open(first, network, &root, PAYERS, 0)?;
    Ok(payers.run(clients.to_vec(), rate))
}

fn root_key(files: &NetworkFiles) -> Result<SecretKey, CliError> {
    key_file::read(&files.root_key).map_err(|error| CliError::new(Exit::Data, error))
}

/// The live table, until time is over or Ctrl-C.
fn show(args: &Args, nodes: &mut [NodeProcess], interrupted: &AtomicBool) -> Result<Outcome, CliError> {
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    let clients: Vec<Client> = urls.iter().filter_map(|url| client(url).ok()).collect();
    let events = table::follow(clients);
    let mut board = Board::new(&names);
    let deadline = args.run_for.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut gone = vec![false; nodes.len()];
    say(&board.heading())?;
    while !interrupted.load(Ordering::SeqCst) && deadline.is_none_or(|end| Instant::now() < end) {
        match events.recv_timeout(Duration::from_millis(200)) {
            Ok(Event::Closed { node, ledger }) => board.closed(node, &ledger),
            Ok(Event::Lost { node }) => board.lost(node)?,
            Ok(Event::Back { node }) => board.back(node)?,
            Err(_) => {}
        }
        for (index, (node, gone)) in nodes.iter_mut().zip(&mut gone).enumerate() {
            if let (false, Some(status)) = (*gone, node.ended()) {
                *gone = true;
                board.lost(index)?;
                say(&format!("{} stopped ({status}); its log: {}", node.name, node.log.display()))?;
            }
        }
        board.print_finished()?;
    }
    Ok(Outcome { board: board.summary(), timed: args.run_for.is_some() })
}

/// What the demo showed.
struct Outcome {
    board: table::Summary,
    timed: bool,
}

impl Outcome {
    /// Prints the summary; an error if the network did not do its job.
    fn report(&self, submitted: u64, killed: usize) -> Result<(), CliError> {
        let board = &self.board;
        say(&format!("\nledgers closed by all   {}", board.complete))?;
        say(&format!("median interval         {}", board.median_interval_text()))?;
        say(&format!("transactions            {} submitted, {} in ledgers", submitted, board.transactions))?;
        say(&format!("header hashes           {}", board.hashes_text()))?;
        if board.differing > 0 {
            let message = "servers closed different ledgers under one number: this is a fork";
            return Err(CliError::new(Exit::No, message));
        }
        if self.timed && board.complete == 0 {
            return Err(CliError::new(Exit::No, "no ledger was closed by all servers"));
        }
        if killed > 0 {
            let message = format!("{killed} servers had to be killed");
            return Err(CliError::new(Exit::No, message));
        }
        Ok(())
    }
}
