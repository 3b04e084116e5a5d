use super::*;
use fba_server::config::{Config, Keys};
use fba_server::store::{Store, VoteStanding};
use std::path::Path;

fn past(folder: &Path, ledgers: u64) -> Past {
    let plan = network_init::Plan::of(&network_init::Args {
        orgs: 4,
        validators: 1,
        dir: folder.to_owned(),
        passphrase: Some("a network with a past".to_owned()),
        interval: 1_000,
        base_port: 7001,
        quality: None,
        json: false,
    });
    Past { network: plan.unwrap(), ledgers, transactions_every: 5, transactions: 2, ledgers_per_commit: 7 }
}

#[test]
fn every_node_holds_the_same_past_up_to_now_and_may_vote() {
    let folder = tempfile::tempdir().unwrap();
    let past = past(&folder.path().join("net"), 30);
    let mut told = Vec::new();
    let made = make(&past, |sequence| told.push(sequence)).unwrap();
    assert_eq!(told, (2..=30).collect::<Vec<_>>());

    let mut hashes = Vec::new();
    for node in &made.nodes {
        let config = Config::load(&node.config, Keys::Required).unwrap();
        let network = config.load_genesis().unwrap().network_id();
        let (_, key) = key_file::hold(&config.node_seed_file).unwrap();
        let (store, restored) = Store::open(&config.data_dir, network, config.node, key.mark()).unwrap();
        assert_eq!(restored.standing, VoteStanding::Intact);
        let votes: Vec<u64> = restored.herder.votes.iter().map(|vote| vote.statement.statement.slot.0).collect();
        assert!(votes.contains(&30) && votes.iter().all(|slot| (18..=31).contains(slot)), "{votes:?}");
        let reader = store.reader();
        // Six ledgers have two transactions; the first of them has one, which opens both accounts.
        assert_eq!(reader.totals().unwrap().transactions, 11);
        let last = reader.latest().unwrap().unwrap();
        assert_eq!(last.header.sequence, 30);
        let age = past.network.genesis_close_time_ms - last.header.close_time_ms;
        assert!(age < 10_000, "the last ledger closed {age} ms before now");
        assert!((2..=30).all(|sequence| reader.proof(sequence).unwrap().is_some()));
        hashes.push(last.hash);
    }
    assert!(hashes.windows(2).all(|pair| pair.first() == pair.last()), "{hashes:?}");
}
