//! Every example network passes `fba config check`, and stands what its description says.

use fba_server::cli::config_check::{Args, run};
use fba_server::config::{Config, Keys, Warning};
use std::path::Path;

fn check(network: &str) -> Result<(), String> {
    let args = Args { paths: vec![fba_examples::networks().join(network)], no_keys: true, json: false };
    run(&args).map_err(|error| error.to_string())
}

fn load(file: &str) -> Config {
    Config::load(&fba_examples::networks().join(file), Keys::Ignored).expect("an example is right")
}

fn counts(config: &Config) -> (usize, usize) {
    let known = "an example is small enough to tell";
    let organizations = config.safety.halting_organizations.as_ref().expect(known);
    (organizations.len(), config.safety.halting_nodes.as_ref().expect(known).len())
}

#[test]
fn every_example_network_passes_config_check() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fba_examples::networks()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            seen += 1;
            check(path.file_name().and_then(|name| name.to_str()).unwrap()).unwrap();
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn no_seed_is_kept_among_the_examples() {
    fn search(folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                search(&path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let words = text.split(|c: char| !c.is_ascii_alphanumeric());
                assert!(!words.into_iter().any(|word| word.len() == 56 && word.starts_with('S')), "{}", path.display());
            }
        }
    }
    search(&fba_examples::networks());
}

#[test]
fn four_organisations_can_spare_one_and_three_cannot() {
    let four = load("four-organisations/alice.toml");
    assert_eq!((counts(&four), four.warnings.clone()), ((2, 2), vec![]));
    let three = load("three-by-three/north-1.toml");
    assert_eq!(counts(&three), (1, 2));
    assert!(three.warnings.iter().any(|warning| matches!(warning, Warning::HaltsWithOneOrganization { .. })));
}

#[test]
fn a_top_tier_of_seven_can_spare_two_organisations() {
    let config = load("seven-organisation-top-tier/amber-1.toml");
    assert_eq!((counts(&config), config.warnings.clone()), ((3, 6), vec![]));
    assert!(!load("seven-organisation-top-tier/watcher.toml").is_validator);
}
