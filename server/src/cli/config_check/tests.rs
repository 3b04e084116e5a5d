//! Whole folders: what is printed, and how the command ends.

use super::*;
use crate::key::SecretKey;

/// A folder of nodes with quorum sets by hand: (name, threshold, members); a node's key is that of its position.
fn folder(nodes: &[(&str, u32, &[&str])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str| {
        let n = name.bytes().next().unwrap();
        node_strkey(SecretKey::from_seed(&[n; 32]).node_id())
    };
    for (name, threshold, members) in nodes {
        let mut text = format!(
            "node_seed_file = \"{name}.key\"\nnode_public_key = \"{}\"\nnode_name = \"{name}\"\nnode_is_validator = true\n\
             network_passphrase = \"test\"\ngenesis = \"genesis.toml\"\ndata_dir = \"data\"\n\
             [quorum_set]\nthreshold = {threshold}\nvalidators = {members:?}\n",
            key(name)
        );
        for member in members.iter().filter(|member| **member != *name) {
            let _infallible = writeln!(
                text,
                "[[validator]]\nname = \"{member}\"\npublic_key = \"{}\"\naddress = \"{member}.example:7001\"",
                key(member)
            );
        }
        std::fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    }
    folder
}

fn report(folder: &tempfile::TempDir) -> Report {
    Report::of(&[folder.path().to_owned()], Keys::IfPresent).unwrap()
}

#[test]
fn files_that_are_safe_alone_can_split_together() {
    let folder = folder(&[("a", 2, &["a", "b"]), ("b", 2, &["a", "b"]), ("c", 2, &["c", "d"]), ("d", 2, &["c", "d"])]);
    let report = report(&folder);
    assert!(report.errors.is_empty());
    let error = report.verdict().unwrap_err();
    assert_eq!(error.exit, Exit::No);
    assert!(error.message.contains("these nodes can split: "), "{error}");
    assert!(report.text().contains("THEY CAN SPLIT: "));
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["together"]["intersection"], "splits");
    assert_eq!(json["configurations"].as_array().unwrap().len(), 4);
}

#[test]
fn a_network_that_agrees_is_explained_and_good() {
    let folder = folder(&[("a", 2, &["a", "b", "c"]), ("b", 2, &["a", "b", "c"]), ("c", 2, &["a", "b", "c"])]);
    let report = report(&folder);
    report.verdict().unwrap();
    let text = report.text();
    for wanted in
        ["2 of 3\n", "├─ a (this node)", "written by hand", "any 1 of 3 node(s) may stop", "every two quorums share"]
    {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn nodes_without_a_file_are_said_to_be_assumed() {
    let folder = folder(&[("a", 2, &["a", "b", "c"]), ("b", 2, &["a", "b", "c"])]);
    let report = report(&folder);
    report.verdict().unwrap();
    assert!(report.text().contains("no file of c: taken to use the set of the first that lists it"));
}

#[test]
fn one_bad_file_fails_the_check_and_names_its_line() {
    let folder = folder(&[("a", 2, &["a", "b"]), ("b", 3, &["a", "b"])]);
    let error = report(&folder).verdict().unwrap_err();
    assert_eq!(error.exit, Exit::Config);
    assert!(error.message.contains("b.toml:9: threshold 3 of 2"), "{error}");
}

#[test]
fn two_files_of_one_node_are_refused() {
    let folder = folder(&[("a", 2, &["a", "b"])]);
    std::fs::copy(folder.path().join("a.toml"), folder.path().join("z.toml")).unwrap();
    let error = Report::of(&[folder.path().to_owned()], Keys::IfPresent).err().unwrap();
    assert!(error.message.contains("are both of the node G"), "{error}");
}

#[test]
fn an_empty_or_missing_folder_is_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Report::of(&[folder.path().to_owned()], Keys::IfPresent).err().unwrap();
    assert_eq!(empty.exit, Exit::Config);
    let missing = Report::of(&[folder.path().join("x")], Keys::IfPresent).err().unwrap();
    assert_eq!(missing.exit, Exit::Io);
}
