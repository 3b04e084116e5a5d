//! Four real servers: QUIC between them, a SQLite database each, killed and started again.

use fba_server::cli::client::Client;
use fba_server::cli::events::{EventStream, NoEvent};
use fba_server::demo::Payers;
use fba_tests::acked::{AckedLoad, assert_kept};
use fba_tests::cluster::{Cluster, Shape, node};
use std::path::Path;
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

#[test]
fn a_used_key_without_its_database_does_not_vote() {
    let mut cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(3);
    cluster.kill(3);
    let data = cluster.files.nodes.get(3).expect("a server").folder.join("data");
    std::fs::remove_dir_all(&data).expect("the data folder can be removed");
    cluster.start_node(3);
    // It fetches the ledger and follows, but says nothing: with another one gone, the rest cannot close.
    cluster.all_closed(cluster.highest() + 2);
    let state = node(&cluster.client(3)).sync.state;
    assert_eq!(state, "recovering");
    cluster.kill(2);
    let _ = closes_within(&cluster.client(0), Duration::from_secs(1));
    assert_eq!(closes_within(&cluster.client(0), Duration::from_secs(3)), 0, "its vote would be needed");
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
