//! Four real servers: QUIC between them, a SQLite database each, killed and started again.

#![expect(clippy::panic, reason = "what a network does not do in time fails the test")]

use fba_server::cli::client::Client;
use fba_server::cli::events::{EventStream, NoEvent};
use fba_server::demo::Payers;
use fba_tests::acked::{AckedLoad, assert_kept};
use fba_tests::cluster::{Cluster, PATIENCE, Shape, base_port, client, node};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fba-under-test"))
}

fn load(cluster: &Cluster, payers: usize) -> AckedLoad {
    let payers = Payers::open(&cluster.client(0), cluster.network(), &cluster.root_key(), payers, 0).expect("accounts");
    AckedLoad::start(cluster.network(), &payers, &urls(cluster))
}

fn urls(cluster: &Cluster) -> Vec<String> {
    cluster.files.nodes.iter().map(|node| format!("http://{}", node.http)).collect()
}

/// Ledgers the server closes within `window`.
fn closes_within(client: &Client, window: Duration) -> usize {
    let mut stream = EventStream::open(client, None).expect("the server answers");
    let deadline = Instant::now() + window;
    let mut closes = 0;
    loop {
        match stream.next(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => closes += usize::from(event.name == "ledger"),
            Err(NoEvent::Silence) => return closes,
            Err(NoEvent::Ended) => panic!("the server ended its stream"),
        }
    }
}

#[test]
fn four_servers_close_twenty_ledgers_with_equal_headers() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    for sequence in 2..=21 {
        cluster.all_closed(sequence);
    }
    for index in 0..cluster.len() {
        assert!(cluster.stop(index), "server {index} stops cleanly");
    }
}

#[test]
fn a_killed_server_returns_and_every_acknowledged_transaction_is_there_once() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(2);
    let load = load(&cluster, 4);
    cluster.all_closed(cluster.highest() + 3);
    cluster.kill(2);
    let (killed_at, acknowledged) = (cluster.highest(), load.count());
    let _ = cluster.closed(0, killed_at + 10);
    assert!(load.count() > acknowledged, "transactions go on closing with three of four servers");
    cluster.start_node(2);
    cluster.all_closed(cluster.highest() + 5);
    let promises = load.stop();
    let last = promises.iter().map(|promise| promise.ledger).max().expect("promises were made");
    cluster.all_closed(last);
    for client in cluster.clients() {
        assert_kept(&promises, &client);
    }
}

#[test]
fn all_killed_and_started_in_another_order_they_resume() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(6);
    let before: Vec<String> = (2..=6).map(|sequence| cluster.closed(0, sequence)).collect();
    (0..4).for_each(|index| cluster.kill(index));
    for index in [2, 0, 3, 1] {
        cluster.start_node(index);
    }
    let next = cluster.highest() + 3;
    cluster.all_closed(next);
    let after: Vec<String> = (2..=6).map(|sequence| cluster.closed(3, sequence)).collect();
    assert_eq!(before, after, "history does not change");
}

#[test]
fn with_two_of_four_gone_nothing_closes_and_with_one_back_it_resumes() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(3);
    cluster.kill(0);
    cluster.kill(1);
    // What was already decided when the second one died may still close.
    let _ = closes_within(&cluster.client(2), Duration::from_secs(1));
    let halted = cluster.highest();
    assert_eq!(closes_within(&cluster.client(2), Duration::from_secs(3)), 0, "two of four cannot close a ledger");
    assert!(cluster.highest() <= halted, "nothing closed");
    cluster.start_node(1);
    cluster.all_closed(halted + 3);
}

#[test]
fn a_second_process_on_the_same_key_is_refused_and_the_first_goes_on() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(2);
    let first = cluster.take(0);
    let refused = cluster.try_start_node(0, &[]).expect_err("the key is in use");
    assert!(refused.contains(&first.id().to_string()), "the refusal names the process that holds it: {refused}");
    cluster.put_back(0, first);
    cluster.all_closed(cluster.highest() + 2);
}

/// The server fetches the ledgers and follows, but says nothing: with another one gone, the rest cannot close.
fn follows_and_does_not_vote(cluster: &mut Cluster, index: usize) {
    cluster.all_closed(cluster.highest() + 2);
    let state = node(&cluster.client(index)).sync.state;
    assert_eq!(state, "recovering");
    let other = (index + 1) % cluster.len();
    let witness = (index + 2) % cluster.len();
    cluster.kill(other);
    let _ = closes_within(&cluster.client(witness), Duration::from_secs(1));
    assert_eq!(closes_within(&cluster.client(witness), Duration::from_secs(3)), 0, "its vote would be needed");
    cluster.start_node(other);
    cluster.all_closed(cluster.highest() + 2);
}

fn data_folder(cluster: &Cluster, index: usize) -> PathBuf {
    cluster.files.nodes.get(index).expect("a server").folder.join("data")
}

#[test]
fn a_used_key_without_its_database_does_not_vote() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(3);
    cluster.kill(3);
    std::fs::remove_dir_all(data_folder(&cluster, 3)).expect("the data folder can be removed");
    cluster.start_node(3);
    follows_and_does_not_vote(&mut cluster, 3);
}

#[test]
fn a_used_key_with_an_older_database_does_not_vote() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(5);
    assert!(cluster.stop(3), "it stops cleanly");
    // A backup is the database alone: the file that says how far the key has voted is left out.
    let (data, backup) = (data_folder(&cluster, 3), tempfile::tempdir().expect("a temporary folder"));
    copy_database(&data, backup.path());
    cluster.start_node(3);
    cluster.all_closed(cluster.highest() + 5);
    assert_eq!(node(&cluster.client(3)).sync.state, "synced", "a stop and a start cost nothing");
    assert!(cluster.stop(3), "it stops cleanly");
    remove_database(&data);
    copy_database(backup.path(), &data);
    cluster.start_node(3);
    follows_and_does_not_vote(&mut cluster, 3);
}

fn database_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a data folder");
    let files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let of_database =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fba.sqlite"));
    files.into_iter().filter(of_database).collect()
}

fn copy_database(from: &Path, to: &Path) {
    let files = database_files(from);
    assert!(!files.is_empty(), "there is a database");
    for file in files {
        let name = file.file_name().expect("a file has a name");
        let _bytes = std::fs::copy(&file, to.join(name)).expect("a file can be copied");
    }
}

fn remove_database(folder: &Path) {
    database_files(folder).iter().for_each(|file| std::fs::remove_file(file).expect("a file can be removed"));
}

#[test]
fn a_second_key_on_a_data_folder_is_refused_and_the_first_goes_on() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(2);
    let (data, follower) = (data_folder(&cluster, 0), cluster.add_follower("intruder"));
    let config = cluster.files.nodes.get(follower).expect("a server").config.clone();
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let text = text.replace("data_dir = \"data\"", &format!("data_dir = \"{}\"", data.display()));
    std::fs::write(&config, text).expect("a configuration can be written");

    let first = cluster.take(0);
    let refused = cluster.try_start_node(follower, &[]).expect_err("the data folder is in use");
    assert!(refused.contains(&first.id().to_string()), "the refusal names the process that holds it: {refused}");
    cluster.put_back(0, first);
    cluster.all_closed(cluster.highest() + 2);

    assert!(cluster.stop(0), "it stops cleanly");
    let refused = cluster.try_start_node(follower, &[]).expect_err("the database is another node's");
    assert!(refused.contains(&data.display().to_string()), "the refusal names the data folder: {refused}");
    cluster.start_node(0);
    cluster.all_closed(cluster.highest() + 2);
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().expect("the kill command");
    assert!(sent.success(), "kill {name} {pid}");
}

/// Waits for what no event tells, within [`PATIENCE`].
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
        // Between two looks, so that looking does not take the processor from what is looked at.
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_stops_a_server_cleanly_and_it_starts_again() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(3);
    for name in ["-INT", "-TERM"] {
        let mut server = cluster.take(0);
        signal(name, server.id());
        let status = until("the server ends", || server.ended());
        assert_eq!(status.code(), Some(0), "{name}");
        cluster.start_node(0);
        cluster.all_closed(cluster.highest() + 2);
    }
}

/// Has this process ended? Killed orphans may wait for a long time until somebody asks how they ended.
fn has_ended(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // `14253 (name) S 1 …`
    stat.rsplit(')').next().is_some_and(|rest| matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
}

/// A running demo; killed if the test fails.
struct Demo {
    process: Child,
    /// Addresses and process ids of its servers.
    servers: Vec<(String, u32)>,
    /// The rest of what it prints.
    output: BufReader<std::process::ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Demo {
    /// Starts a demo and reads until it has named its servers.
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new(program())
            .args(["demo", "--interval", "200", "--base-port", &base_port(4).to_string()])
            .arg("--dir")
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let output = BufReader::new(process.stdout.take().expect("it was asked for"));
        let mut demo = Self { process, servers: Vec::new(), output, _folder: folder };
        while demo.servers.len() < 4 {
            let mut line = String::new();
            let length = demo.output.read_line(&mut line).expect("the demo speaks");
            assert!(length > 0, "the demo ended before it named its servers");
            // `  alpha    http://127.0.0.1:8001  pid 14253`
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, url, "pid", pid] = fields.as_slice() {
                demo.servers.push(((*url).to_owned(), pid.parse().expect("a process id")));
            }
        }
        demo
    }

    fn assert_all_servers_end(&self) {
        for (url, pid) in &self.servers {
            until(&format!("the server at {url} ends"), || has_ended(*pid).then_some(()));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_demo_for_three_seconds_closes_ledgers_and_leaves_no_process_behind() {
    let mut demo = Demo::start(&["--for", "3"]);
    let printed: Vec<String> = demo.output.by_ref().lines().map(|line| line.expect("the demo speaks")).collect();
    let status = demo.process.wait().expect("the demo ends");
    assert_eq!(status.code(), Some(0), "{}", printed.join("\n"));
    assert!(printed.iter().any(|line| line.starts_with("header hashes") && line.contains("equal")), "{printed:?}");
    assert!(demo.servers.iter().all(|(_, pid)| has_ended(*pid)), "a server outlived the demo");
}

#[test]
fn the_servers_of_a_killed_demo_end_by_themselves() {
    let mut demo = Demo::start(&[]);
    let streams: Vec<EventStream> = demo
        .servers
        .iter()
        .map(|(url, _)| EventStream::open(&client(url), None).expect("the server answers"))
        .collect();
    demo.process.kill().expect("the demo can be killed");
    for mut stream in streams {
        let deadline = Instant::now() + PATIENCE;
        while stream.next(deadline.saturating_duration_since(Instant::now())).is_ok() {}
    }
    demo.assert_all_servers_end();
}

#[test]
fn an_interrupted_demo_stops_its_servers_and_ends_well() {
    let mut demo = Demo::start(&[]);
    signal("-INT", demo.process.id());
    let status = demo.process.wait().expect("the demo ends");
    assert_eq!(status.code(), Some(0));
    assert!(demo.servers.iter().all(|(_, pid)| has_ended(*pid)), "a server outlived the demo");
}

#[test]
fn a_new_server_of_the_same_network_catches_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cluster = Cluster::make(program(), Shape::FOUR, folder.path());
    (0..3).for_each(|index| cluster.start_node(index));
    let _ = cluster.closed(0, 40);
    cluster.start_node(3);
    cluster.all_closed(cluster.highest() + 3);
}
