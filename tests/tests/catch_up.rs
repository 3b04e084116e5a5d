//! A server that joins late, as a real process among real ones and liars.

use fba_server::cli::network_init::{Args, Plan, Ports};
use fba_server::demo::free_ports;
use fba_server::ledger::Parameters;
use fba_tests::cluster::{Cluster, base_port};
use fba_tests::history::{Past, make};
use fba_tests::liar::Lie;
use fba_tests::returning::{Way, join};
use std::path::Path;

const LEDGERS: u64 = 600;

#[test]
fn a_server_that_joins_late_catches_up_though_it_is_killed_and_lied_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("network");
    let plan = Plan::of(&Args {
        orgs: 4,
        validators: 1,
        dir: dir.clone(),
        passphrase: None,
        interval: 100,
        base_port: 1,
        quality: None,
        json: false,
    })
    .expect("a plan");
    let ports = free_ports(Some(base_port(4)), 4).expect("free ports");
    let network =
        Plan { parameters: Parameters { heartbeat_ms: 500, ..plan.parameters }, ports: Ports::Given(ports), ..plan };
    let past = Past { network, ledgers: LEDGERS, transactions_every: 5, transactions: 2, ledgers_per_commit: 200 };
    let made = make(&past, |_| {}).expect("a past");
    assert_eq!(made.nodes.len(), 4);
    let mut cluster = Cluster::open(Path::new(env!("CARGO_BIN_EXE_fba-under-test")), &dir);
    cluster.start_all();
    let way = Way { kills: vec![300], lies: vec![Lie::Headers, Lie::Transactions, Lie::Mute] };
    let figures = join(&mut cluster, "late", &way);
    assert!(figures.hold(), "{figures:?}");
    assert!(figures.ledgers >= LEDGERS && figures.resumed.len() == 1, "{figures:?}");
    let follower = cluster.len() - 1;
    cluster.all_closed(cluster.highest() + 2);
    assert!(cluster.stop(follower), "it stops cleanly");
}
