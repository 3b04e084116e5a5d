//! The command `check-recording` from outside: its verdicts as exit codes.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use fba_core::{Ballot, Hash, NodeId, Pledge, SlotIndex, Statement, Value};
use fba_server::key::{Ed25519, NetworkId, SecretKey};
use fba_server::record::{Record, Recorder};
use fba_server::wire::SignedStatement;
use std::path::Path;
use std::process::Command;

const PASSPHRASE: &str = "recordings";

fn write(path: &Path, values: &[&str]) {
    let key = SecretKey::from_seed(&[7; 32]);
    let mut recorder = Recorder::open(path).unwrap();
    for value in values {
        let commit = Ballot { counter: 1, value: Value::new(value.as_bytes()) };
        let pledge = Pledge::Externalize { commit, high: 1 };
        let statement = Statement { node: key.node_id(), slot: SlotIndex(2), quorum_set: Hash([3; 32]), pledge };
        let signatures = Ed25519::new(NetworkId::of_passphrase(PASSPHRASE), key.clone());
        let signed = SignedStatement::sign(statement, &signatures);
        recorder.record(&Record { at_unix_ms: 1, from: NodeId([4; 32]), signed }).unwrap();
    }
    recorder.flush().unwrap();
}

/// Exit code, what was printed, and what was complained about.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_check-recording")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_code_is_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, values: &[&str]| {
        let path = folder.path().join(name);
        write(&path, values);
        path.to_str().unwrap().to_owned()
    };
    let (honest, other) = (file("honest", &["a", "a"]), file("other", &["b"]));
    let (code, printed, _) = run(&[&honest, "--passphrase", PASSPHRASE]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.ends_with("0 contradictions among 1 ballot statements of 1 keys\n"), "{printed}");

    let (code, printed, _) = run(&[&honest, &other, "--passphrase", PASSPHRASE]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("contradicts itself on slot 2"), "{printed}");
    assert_eq!(run(&[&honest, &other]).0, 1, "without a passphrase the recorder's word is taken");

    assert_eq!(run(&[&honest, "--passphrase", "another network"]).0, 65);
    assert_eq!(run(&[]).0, 64);
    assert_eq!(run(&["--help"]).0, 0);
    let (code, _, complaint) = run(&["no-such-file"]);
    assert_eq!((code, complaint.contains("no-such-file")), (74, true));
    let (code, _, complaint) = run(&[&honest, "--genesis", &honest]);
    assert_eq!((code, complaint.contains("honest")), (65, true));

    let rubbish = folder.path().join("rubbish");
    std::fs::write(&rubbish, [0, 0, 0, 1, 0xff]).unwrap();
    let (code, _, complaint) = run(&[rubbish.to_str().unwrap()]);
    assert_eq!((code, complaint.contains("byte 0")), (65, true), "{complaint}");
}
