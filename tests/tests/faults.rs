//! Every fault once or twice on real servers: that each campaign of `faults` runs, judges and holds.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use fba_tests::faults::Verdict;
use fba_tests::faults::{clock, corruption, fsync, kills, lost_votes, pauses};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The command that servers run.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fba-under-test"))
}

fn tell(told: &str) {
    println!("{told}");
}

#[test]
fn killed_again_and_again_nothing_is_lost_and_nobody_contradicts_himself() {
    let folder = tempfile::tempdir().unwrap();
    let plan = kills::Plan { kills: 4, seed: 2, payers: 4 };
    let figures = kills::run(program(), folder.path(), plan, tell);
    assert!(figures.holds(), "{figures}");
    assert_eq!((figures.kills, figures.in_sync.len(), figures.voting.len()), (4, 4, 4), "all came back");
}

#[test]
fn a_key_without_its_votes_is_silent_until_it_may_speak_and_then_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let plan = lost_votes::Plan { cases: 2, seed: 2, payers: 2 };
    let figures = lost_votes::run(program(), folder.path(), plan, tell);
    assert!(figures.holds(), "{figures}");
}

#[test]
fn a_failed_sync_ends_the_server_with_everything_it_said_in_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let plan = fsync::Plan { from: 12, to: 14, seed: 2, payers: 2 };
    let figures = fsync::run(program(), folder.path(), plan, tell).unwrap();
    assert!(figures.holds(), "{figures}");
    assert!(figures.looked_for > 0, "nobody looked: {figures}");
}

#[test]
fn a_server_that_stood_still_catches_up_and_votes() {
    let folder = tempfile::tempdir().unwrap();
    let plan = pauses::Plan { cases: 2, longest: Duration::from_secs(2), seed: 2, payers: 2 };
    let figures = pauses::run(program(), folder.path(), plan, tell);
    assert!(figures.holds(), "{figures}");
}

#[test]
fn a_clock_that_jumps_forks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let plan = clock::Plan { cases: 2, seed: 2, payers: 2 };
    let figures = clock::run(program(), folder.path(), plan, tell).unwrap();
    assert!(figures.holds(), "{figures}");
}

#[test]
fn a_damaged_data_folder_never_gives_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let plan = corruption::Plan { offline: 28, live: 1, seed: 2, payers: 2 };
    let figures = corruption::run(program(), folder.path(), plan, tell).unwrap();
    assert!(figures.holds(), "{figures}");
    assert_eq!((figures.offline.count(), figures.live.count()), (28, 1));
}

/// As root only; says so loudly elsewhere, and fails where `CI` is set.
#[test]
fn a_full_disk_ends_the_server_and_with_room_made_it_comes_back() {
    let faults = env!("CARGO_BIN_EXE_faults");
    let output = Command::new(faults).args(["full-disk", "--cases", "2", "--payers", "2"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}");
    assert_eq!(output.status.code(), Some(0), "{printed}{}", String::from_utf8_lossy(&output.stderr));
}
