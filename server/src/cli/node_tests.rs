//! The commands that talk to a node, against a real server with a table for a store.

use super::exit::{CliError, Exit};
use super::{account, admin, data, ledger, pay, peers, quorum, status, tx, watch};
use crate::http::tests::{Node, key, node};
use crate::http::{Refusal, Request, SubmitOutcome};
use crate::ledger::{AccountId, Operation};
use crate::store::key_file;
use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
enum Fba {
    Status(status::Args),
    Ledger(ledger::Args),
    Tx(tx::Args),
    Account(account::Args),
    Pay(pay::Args),
    Data(data::Args),
    Watch(watch::Args),
    Peers(peers::Args),
    Quorum(quorum::Args),
}

fn fba(node: &Node, words: &str) -> Result<Exit, CliError> {
    let address = node.handle.local_addr().to_string();
    let words = ["fba"].into_iter().chain(words.split_whitespace()).chain(["--node", &address]);
    match Fba::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")) {
        Fba::Status(args) => status::run(&args),
        Fba::Ledger(args) => ledger::run(&args),
        Fba::Tx(args) => tx::run(&args),
        Fba::Account(args) => account::run(&args),
        Fba::Pay(args) => pay::run(&args),
        Fba::Data(args) => data::run(&args),
        Fba::Watch(args) => watch::run(&args),
        Fba::Peers(args) => peers::run(&args),
        Fba::Quorum(args) => quorum::run(&args),
    }
}

fn key_path(folder: &tempfile::TempDir, seed: u8) -> PathBuf {
    let path = folder.path().join("key");
    key_file::create_new(&path, &key(seed), false).unwrap();
    path
}

#[test]
fn questions_end_with_the_documented_codes() {
    let node = node();
    let known = AccountId::of(&key(1));
    let unknown = AccountId::of(&key(3));
    for (words, expected) in [
        ("status".to_owned(), Exit::Good),
        ("status --json".to_owned(), Exit::Good),
        ("peers".to_owned(), Exit::Good),
        ("peers --json".to_owned(), Exit::Good),
        ("quorum".to_owned(), Exit::Good),
        ("quorum --json".to_owned(), Exit::Good),
        ("ledger list --limit 3 --before 5".to_owned(), Exit::Good),
        ("ledger 3 --json".to_owned(), Exit::Good),
        ("ledger 99".to_owned(), Exit::No),
        ("ledger nonsense".to_owned(), Exit::Data),
        ("ledger 3".to_owned(), Exit::Unavailable), // the table cannot read transactions of a ledger
        ("tx 12".to_owned(), Exit::Data),
        (format!("account {known}"), Exit::Good),
        (format!("account {unknown}"), Exit::No),
        (format!("data get {known} missing"), Exit::No),
        ("watch --since 3 --count 2 --json".to_owned(), Exit::Good),
    ] {
        let ended = fba(&node, &words).unwrap_or_else(|error| error.exit);
        assert_eq!(ended, expected, "fba {words}");
    }
}

#[test]
fn paying_to_nobody_opens_an_account_with_the_next_sequence_number() {
    let (node, folder) = (node(), tempfile::tempdir().unwrap());
    let path = key_path(&folder, 1);
    let requests = node.requests.clone();
    let consensus = std::thread::spawn(move || {
        let Request::Submit(submission) = requests.recv_blocking().unwrap() else { panic!("a submission") };
        submission.reply.try_send(SubmitOutcome::Pending).unwrap();
        submission.transaction
    });
    let to = AccountId::of(&key(3));
    let ended = fba(&node, &format!("pay --key {} --to {to} --amount 900000000", path.display()));
    assert_eq!(ended, Ok(Exit::Good));
    let sent = consensus.join().unwrap();
    assert_eq!(sent.transaction().sequence, 1);
    assert_eq!(sent.transaction().operations, [Operation::CreateAccount { account: to, balance: 900_000_000 }]);
}

#[test]
fn a_refused_payment_and_a_missing_key_say_why() {
    let (node, folder) = (node(), tempfile::tempdir().unwrap());
    let path = key_path(&folder, 1);
    let requests = node.requests.clone();
    let consensus = std::thread::spawn(move || {
        let Request::Submit(submission) = requests.recv_blocking().unwrap() else { panic!("a submission") };
        let refusal = Refusal { code: "sequence".into(), message: "sequence is 1".into(), conflict: true };
        submission.reply.try_send(SubmitOutcome::Refused(refusal)).unwrap();
    });
    let to = AccountId::of(&key(1));
    let error = fba(&node, &format!("pay --key {} --to {to} --amount 1", path.display())).unwrap_err();
    consensus.join().unwrap();
    assert_eq!((error.exit, error.message.as_str()), (Exit::No, "sequence is 1"));
    let missing = fba(&node, &format!("pay --key /nowhere/key --to {to} --amount 1")).unwrap_err();
    assert_eq!(missing.exit, Exit::Io);
    let other = format!("data set a b --passphrase another --key {}", path.display());
    assert_eq!(fba(&node, &other).unwrap_err().exit, Exit::Data);
}

#[derive(Parser)]
struct AdminCommand {
    #[command(flatten)]
    args: admin::Args,
}

#[test]
fn the_admin_side_is_reached_with_the_token_and_only_with_it() {
    let side = crate::http::admin::tests::admin();
    let (at, file) = (side.handle.local_addr().to_string(), side.token_file.display().to_string());
    let run = |words: &str, file: &str| {
        let all = ["admin", "--at", &at, "--token-file", file].into_iter().chain(words.split_whitespace());
        let parsed = AdminCommand::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
        admin::run(&parsed.args)
    };
    for (words, expected) in [
        ("peers", Exit::Good),
        ("peers --json", Exit::Good),
        ("drop beta --reason noise", Exit::Good),
        ("drop gamma", Exit::Data),
        ("ban beta --seconds 60", Exit::Good),
        ("bans", Exit::Good),
        ("bans --json", Exit::Good),
        ("unban beta", Exit::Good),
        ("unban beta", Exit::No),
        ("log", Exit::Unavailable), // the test process has no log of its own
        ("shutdown", Exit::Good),
    ] {
        assert_eq!(run(words, &file).unwrap_or_else(|error| error.exit), expected, "fba admin {words}");
    }
    side.shutdown.try_recv().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    key_file::create_new(&other, &key(1), false).unwrap();
    let other = other.display().to_string();
    assert_eq!(run("peers", &other).unwrap_err().exit, Exit::Data, "a key is no token");
    assert_eq!(run("peers", "/nowhere/token").unwrap_err().exit, Exit::Io);
    std::fs::write(&side.token_file, "0".repeat(64)).unwrap();
    std::fs::copy(&side.token_file, &other).unwrap();
    std::fs::write(&side.token_file, side.token.digits()).unwrap();
    assert_eq!(run("peers", &other).unwrap_err().exit, Exit::Permission, "a wrong token");
}
