//! docs/protocol.md and the code speak of the same rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("the crate's folders are here") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            text.push_str(&fs::read_to_string(&path).expect("readable"));
        }
    }
}

/// Words made of one of the rules' letters and digits.
fn rules(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| {
            let (letter, number) = word.split_at(word.len().min(1));
            "QSFNBVTRL".contains(letter) && !number.is_empty() && number.parse::<u8>().is_ok()
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_rule_is_cited_in_the_code_and_every_citation_is_a_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/protocol.md")).expect("the page is here");
    let listed: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()).flat_map(rules).collect();
    let mut code = String::new();
    sources(&root.join("src"), &mut code);
    // Some rules of restoring, and those of silence, bind the host.
    sources(&root.join("../server/src/herder"), &mut code);
    let comments: String =
        code.lines().filter_map(|line| line.split_once("//")).map(|(_, comment)| format!("{comment}\n")).collect();
    assert!(listed.len() > 40, "{listed:?}");
    assert_eq!(listed, rules(&comments));
}
