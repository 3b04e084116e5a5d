//! A doctor looks at nodes that are well, and at nodes that are not.

use super::*;
use crate::cli::network_init;
use clap::Parser;
use std::os::unix::fs::PermissionsExt;

#[derive(Parser)]
struct Init {
    #[command(flatten)]
    args: network_init::InitArgs,
}

/// A network of four organisations of one; the configuration of one of its nodes.
fn network() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let words = ["init", "--dir", dir.to_str().unwrap(), "--orgs", "4", "--validators", "1"];
    network_init::run(&Init::parse_from(words).args).unwrap();
    let mut nodes: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    nodes.sort();
    let config = nodes.into_iter().map(|node| node.join("node.toml")).find(|file| file.exists()).unwrap();
    (folder, config)
}

fn of<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.check == check);
    found.unwrap_or_else(|| panic!("{check} was checked: {findings:#?}"))
}

#[test]
fn a_node_that_never_ran_is_told_to_be_started_and_that_nobody_answers() {
    let (_folder, config) = network();
    let findings = examine(&config);
    for check in ["configuration", "genesis", "key", "database", "data folder", "slices"] {
        assert_eq!(of(&findings, check).verdict, Verdict::Ok, "{:?}", of(&findings, check));
    }
    assert!(of(&findings, "node").fix.as_ref().unwrap().contains("fba run"), "{findings:#?}");
    let peers = of(&findings, "peers");
    assert_eq!(peers.verdict, Verdict::Fail, "{peers:?}");
    assert!(peers.says.starts_with("0 of 3 answer"), "{peers:?}");
    assert!(findings.iter().all(|finding| (finding.verdict == Verdict::Ok) == finding.fix.is_none()), "{findings:#?}");
    let shown = shown(&findings);
    assert!(shown.contains("What to do:") && shown.contains("FAIL"), "{shown}");
}

#[test]
fn a_wrong_configuration_a_key_for_all_and_another_networks_genesis_are_named_with_a_fix() {
    let (folder, config) = network();
    let key = config.with_file_name("node.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let findings = examine(&config);
    assert!(findings.iter().any(|finding| finding.verdict == Verdict::Fail && finding.says.contains("chmod 600")));
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();

    let genesis = folder.path().join("net/genesis.toml");
    let text = std::fs::read_to_string(&genesis).unwrap();
    std::fs::write(&genesis, text.replace("passphrase = \"", "passphrase = \"another ")).unwrap();
    let findings = examine(&config);
    assert_eq!(of(&findings, "genesis").verdict, Verdict::Fail);

    std::fs::write(&config, "nonsense = 1\n").unwrap();
    let findings = examine(&config);
    assert!(findings.iter().all(|finding| finding.check == "configuration" && finding.verdict == Verdict::Fail));
    let args = Args { config, json: true };
    assert_eq!(run(&args), Ok(Exit::No));
}

#[test]
fn a_used_key_without_its_votes_and_a_damaged_database_are_told_apart() {
    let (_folder, config) = network();
    std::fs::remove_file(config.with_file_name("node.key.unused")).unwrap();
    let findings = examine(&config);
    assert!(of(&findings, "votes").says.contains("keep silent"), "{findings:#?}");
    let data = config.with_file_name("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("fba.sqlite"), [b'x'; 9000]).unwrap();
    let findings = examine(&config);
    assert_eq!(of(&findings, "database").verdict, Verdict::Fail);
}
