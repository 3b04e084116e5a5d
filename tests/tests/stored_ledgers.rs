//! `fba ledger verify`, `fba ledger export` and `fba backup` on the data folder of a real network of four.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what is not as it should be fails the test"
)]

use clap::Parser;
use fba_server::cli::exit::{CliError, Exit};
use fba_server::cli::network_init::{self, NetworkFiles};
use fba_server::cli::{backup, ledger};
use fba_server::config::{Config, Keys};
use fba_server::store::{Store, key_file};
use fba_tests::history::{Past, make};
use std::path::{Path, PathBuf};

const LEDGERS: u64 = 30;

#[derive(Parser)]
enum Fba {
    Ledger(ledger::Args),
    Backup(backup::Args),
}

fn fba(words: &[&str]) -> Result<Exit, CliError> {
    match Fba::try_parse_from(["fba"].iter().chain(words)).unwrap_or_else(|error| panic!("{error}")) {
        Fba::Ledger(args) => ledger::run(&args),
        Fba::Backup(args) => backup::run(&args),
    }
}

fn network(folder: &Path) -> NetworkFiles {
    let plan = network_init::Plan::of(&network_init::Args {
        orgs: 4,
        validators: 1,
        dir: folder.join("net"),
        passphrase: None,
        interval: 1_000,
        base_port: 7001,
        quality: None,
        json: false,
    });
    let past = Past {
        network: plan.unwrap(),
        ledgers: LEDGERS,
        transactions_every: 3,
        transactions: 2,
        ledgers_per_commit: 10,
    };
    make(&past, |_| ()).unwrap()
}

fn config(made: &NetworkFiles, node: usize) -> String {
    made.nodes[node].config.display().to_string()
}

#[test]
fn stored_ledgers_are_verified_exported_and_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let made = network(folder.path());
    let (config, genesis) = (config(&made, 0), made.genesis.display().to_string());
    let at = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(fba(&["ledger", "verify", "--config", &config]), Ok(Exit::Good));
    assert_eq!(fba(&["ledger", "verify", "--config", &config, "--quick", "--from", "7", "--json"]), Ok(Exit::Good));

    // The backup is the same, judged by another node's configuration, or by nobody's.
    let copy = at("copy.sqlite");
    assert_eq!(fba(&["backup", &config, &copy]), Ok(Exit::Good));
    assert_eq!(fba(&["backup", &config, &copy]).unwrap_err().exit, Exit::Io);
    assert_eq!(fba(&["backup", &config]).unwrap_err().exit, Exit::Usage);
    let other = self::config(&made, 1);
    assert_eq!(fba(&["ledger", "verify", "--config", &other, "--database", &copy]), Ok(Exit::Good));
    assert_eq!(fba(&["ledger", "verify", "--database", &copy, "--genesis", &genesis]), Ok(Exit::Good));
    assert_eq!(fba(&["ledger", "verify", "--config", &config, "--to", "99"]).unwrap_err().exit, Exit::Usage);

    // Somebody who trusts nobody here but one node is shown nothing by three of four.
    let text = std::fs::read_to_string(&config).unwrap();
    let (head, _) = text.split_once("\n[[").unwrap();
    let head: String =
        head.lines().filter(|line| !line.starts_with("home_domain")).map(|line| format!("{line}\n")).collect();
    let stranger = network_init::Plan::of(&network_init::Args {
        dir: folder.path().join("strangers"),
        orgs: 4,
        validators: 1,
        passphrase: None,
        interval: 1_000,
        base_port: 7001,
        quality: None,
        json: false,
    });
    let stranger = network_init::network_init(&stranger.unwrap()).unwrap();
    let key = fba_server::key::node_strkey(stranger.nodes[0].node);
    let trust = format!("\n[quorum_set]\nthreshold = 2\nvalidators = [\"self\", \"{key}\"]\n");
    let distrusting = made.nodes[0].folder.join("distrusting.toml");
    std::fs::write(&distrusting, format!("{head}{trust}")).unwrap();
    let distrusting = distrusting.display().to_string();
    assert_eq!(fba(&["ledger", "verify", "--config", &distrusting]), Ok(Exit::No));

    exported(&config, &at("ledgers.jsonl"), &at("ledgers.cbor"));
}

/// An export is whole, and one that was cut off goes on to the same.
fn exported(config: &str, lines: &str, items: &str) {
    let export = |more: &[&str]| fba(&[&["ledger", "export", "--config", config], more].concat());
    assert_eq!(export(&["--output", lines]), Ok(Exit::Good));
    let whole = std::fs::read_to_string(lines).unwrap();
    let ledgers: Vec<serde_json::Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ledgers.len() as u64, LEDGERS);
    for (ledger, sequence) in ledgers.iter().zip(1u64..) {
        assert_eq!(ledger["sequence"], sequence);
        assert_eq!(ledger["transactions"], ledger["contents"].as_array().unwrap().len());
        let header = hex::decode(ledger["header_bytes"].as_str().unwrap()).unwrap();
        assert_eq!(ledger["hash"], fba_server::key::sha256(&[&header]).to_string());
        assert_eq!(ledger["proof"].is_null(), sequence == 1, "ledger {sequence}");
    }
    assert_eq!(export(&["--output", lines]).unwrap_err().exit, Exit::Io);
    for cut in [0, 100, whole.len() / 2, whole.len()] {
        std::fs::write(lines, &whole.as_bytes()[..cut]).unwrap();
        assert_eq!(export(&["--output", lines, "--resume"]), Ok(Exit::Good));
        assert_eq!(std::fs::read_to_string(lines).unwrap(), whole, "cut at {cut}");
    }
    assert_eq!(export(&["--output", lines, "--resume", "--from", "2"]).unwrap_err().exit, Exit::Data);
    let foreign = format!("{lines}.txt");
    std::fs::write(&foreign, "a letter without a line end").unwrap();
    assert_eq!(export(&["--output", &foreign, "--resume"]).unwrap_err().exit, Exit::Data);
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "a letter without a line end");
    assert_eq!(export(&["--output", items, "--format", "cbor", "--from", "5", "--to", "9"]), Ok(Exit::Good));
    assert!(std::fs::metadata(items).unwrap().len() > 5 * 500);
    assert_eq!(export(&["--output", items, "--format", "cbor", "--resume"]).unwrap_err().exit, Exit::Usage);
}

#[test]
fn a_damaged_database_is_data_that_is_wrong_and_a_running_node_is_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let made = network(folder.path());
    let config_file = config(&made, 2);
    let config = Config::load(Path::new(&config_file), Keys::Required).unwrap();
    let network = config.load_genesis().unwrap().network_id();
    // As by a running node: locked, and its log in use.
    let (_, key) = key_file::hold(&config.node_seed_file).unwrap();
    let (store, _) = Store::open(&config.data_dir, network, config.node, key.mark()).unwrap();
    assert_eq!(fba(&["ledger", "verify", "--config", &config_file]), Ok(Exit::Good));
    drop((store, key));

    let database: PathBuf = config.data_dir.join("fba.sqlite");
    let damage = |sql: &str| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
    };
    damage("UPDATE proofs SET statements = x'80' WHERE sequence = 9");
    let refused = fba(&["ledger", "verify", "--config", &config_file]).unwrap_err();
    assert!(refused.exit == Exit::Data && refused.message.contains("proofs 9 is damaged"), "{refused}");
    assert_eq!(fba(&["ledger", "verify", "--config", &config_file, "--to", "8"]), Ok(Exit::Good));
    damage("DELETE FROM ledgers WHERE sequence = 5");
    let refused = fba(&["ledger", "verify", "--config", &config_file, "--to", "8"]).unwrap_err();
    assert!(refused.exit == Exit::Data && refused.message.contains("ledgers 6 is damaged"), "{refused}");
    let nowhere = folder.path().join("nowhere").display().to_string();
    let missing = fba(&["ledger", "export", "--database", &nowhere]).unwrap_err();
    assert!(missing.exit == Exit::Io && missing.message.contains("nowhere"), "{missing}");
}
