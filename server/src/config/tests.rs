//! A table of wrong configurations, each with the line and the words of its refusal; and right ones, with their trees.

use super::*;
use crate::key::SecretKey;
use crate::store::key_file;
use std::fmt::Write;

/// Four organisations of one validator each; this node is alice. `K1` to `K9` stand for keys.
const GOOD: &str = r#"node_seed_file = "node.key"
node_public_key = "K1"
node_is_validator = true
home_domain = "alice.example"
network_passphrase = "test"
genesis = "genesis.toml"
data_dir = "data"
listen = "127.0.0.1:7001"
http = "127.0.0.1:8001"
known_peers = ["seed.example:7001"]
accept_unsafe = []

[[organization]]
home_domain = "alice.example"
quality = "MEDIUM"

[[organization]]
home_domain = "bob.example"
quality = "MEDIUM"

[[validator]]
name = "alice"
home_domain = "alice.example"
public_key = "K1"
address = "127.0.0.1:7001"

[[validator]]
name = "bob"
home_domain = "bob.example"
public_key = "K2"
address = "bob.example:7001"
"#;

/// A quorum set by hand, to be appended to [`GOOD`]: it begins on line 32.
const BY_HAND: &str = r#"
[quorum_set]
threshold = 2
validators = ["alice", "bob"]

[[quorum_set.inner]]
threshold = 2
validators = ["K3", "K4", "K5"]
"#;

fn key(n: u8) -> NodeId {
    SecretKey::from_seed(&[n; 32]).node_id()
}

fn with_keys(text: &str) -> String {
    (1..=9u8).fold(text.to_owned(), |text, n| text.replace(&format!("K{n}\""), &format!("{}\"", node_strkey(key(n)))))
}

fn load_bytes(bytes: &[u8], keys: Keys) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, bytes).unwrap();
    Config::load(&file, keys)
}

fn load(text: &str) -> Result<Config, ConfigErrors> {
    load_bytes(with_keys(text).as_bytes(), Keys::Ignored)
}

/// Every refusal as `line: words`, the line 0 when it is about the whole file.
fn refusals(text: &str) -> Vec<String> {
    let errors = load(text).expect_err("this configuration is wrong");
    let one = |located: &Located| format!("{}: {}", located.line.unwrap_or(0), located.problem);
    errors.problems.iter().map(one).collect()
}

/// (what is wrong, text replaced, by what, line, words of the refusal)
type Bad = (&'static str, &'static str, &'static str, usize, &'static str);

fn assert_refused(base: &str, table: &[Bad]) {
    for (what, from, to, line, words) in table {
        assert!(base.contains(from), "{what}: nothing to replace");
        let found = refusals(&base.replacen(from, to, 1));
        let wanted = |text: &String| text.starts_with(&format!("{line}: ")) && text.contains(words);
        assert!(found.iter().any(wanted), "{what}: wanted {line}: …{words}…, found {found:#?}");
    }
}

#[test]
fn wrong_plain_values_are_refused_with_their_line() {
    assert_refused(
        GOOD,
        &[
            ("not TOML", "node_is_validator = true", "node_is_validator = ", 3, "docs/configuration.md"),
            ("unknown key", "data_dir", "data_folder", 7, "unknown field `data_folder`"),
            ("wrong type", "= true", "= \"yes\"", 3, "expected a boolean"),
            ("key twice", "listen = ", "data_dir = ", 8, "duplicate key"),
            ("no seed file", "node_seed_file = \"node.key\"\n", "", 0, "`node_seed_file` is missing"),
            ("empty seed file", "\"node.key\"", "\"\"", 1, "`node_seed_file` is empty"),
            ("no role", "node_is_validator = true\n", "", 0, "`node_is_validator` is missing"),
            ("no passphrase", "network_passphrase = \"test\"\n", "", 0, "`network_passphrase` is missing"),
            ("empty passphrase", "\"test\"", "\"\"", 5, "has 0 bytes; it has 1 to 256"),
            ("no genesis", "genesis = \"genesis.toml\"\n", "", 0, "`genesis` is missing"),
            ("no data folder", "data_dir = \"data\"\n", "", 0, "`data_dir` is missing"),
            (
                "host name to listen on",
                "listen = \"127.0.0.1:7001\"",
                "listen = \"localhost:7001\"",
                8,
                "IP address and port",
            ),
            ("no port", "http = \"127.0.0.1:8001\"", "http = \"127.0.0.1\"", 9, "IP address and port"),
            ("one port twice", "127.0.0.1:8001", "127.0.0.1:7001", 9, "both 127.0.0.1:7001"),
            ("peer without port", "seed.example:7001", "seed.example", 10, "expected host:port"),
            ("peer with a URL", "seed.example:7001", "http://seed.example:7001", 10, "expected host:port"),
            ("port 0", "seed.example:7001", "seed.example:0", 10, "port 1 to 65535"),
            ("public address", "accept_unsafe = []", "public_address = \"x\"", 11, "`public_address` is \"x\""),
            ("HTTP name", "accept_unsafe = []", "http_hosts = [\"a/b\"]", 11, "is not a host name"),
            ("unknown words", "[]", "[\"everything\"]", 11, "does not know \"everything\"; the words are"),
            ("own name", "accept_unsafe = []", "node_name = \"self\"", 11, "neither \"self\" nor a public key"),
            (
                "own name differs",
                "accept_unsafe = []",
                "node_name = \"al\"",
                21,
                "listed as alice, but its own node_name is al",
            ),
            ("own key", "node_public_key = \"K1\"", "node_public_key = \"GABC\"", 2, "is not a public key"),
            ("no key at all", "node_public_key = \"K1\"\n", "", 1, "whose configuration is this?"),
        ],
    );
}

/// Limits for HTTP, to be appended to [`GOOD`]: they begin on line 33.
const HTTP_LIMITS: &str = "\n[http_limits]\nconnections = 100\nrequests_per_second = 7\nlimit_loopback = true\n";

#[test]
fn limits_for_http_are_read_and_wrong_ones_refused_with_their_line() {
    let text = format!("{GOOD}{HTTP_LIMITS}");
    let (limits, default) = (load(&text).unwrap().http_limits, Limits::default());
    let as_written =
        Limits { connections: 100, requests_per_second: 7.try_into().unwrap(), limit_loopback: true, ..default };
    assert_eq!(limits, as_written);
    assert_eq!(load(GOOD).unwrap().http_limits, default);
    assert_refused(
        &text,
        &[
            ("no connections", "= 100", "= 0", 34, "`connections` is 0: it can be 1 to 10000"),
            ("too many", "= 100", "= 10001", 34, "`connections` is 10001"),
            ("a rate of nothing", "= 7", "= 0", 35, "`requests_per_second` is 0: it can be 1 to 1000000"),
            ("negative", "= 7", "= -1", 35, "invalid value"),
            ("unknown key", "requests_per_second", "requests", 35, "unknown field `requests`"),
            ("no such limit", "limit_loopback = true", "limit_loopback = 1", 36, "expected a boolean"),
        ],
    );
}

#[test]
fn wrong_organisations_are_refused_with_their_line() {
    assert_refused(
        GOOD,
        &[
            (
                "bad own home domain",
                "home_domain = \"alice.example\"",
                "home_domain = \"Alice\"",
                4,
                "home domain \"Alice\"",
            ),
            (
                "unknown own home domain",
                "home_domain = \"alice.example\"",
                "home_domain = \"x.example\"",
                4,
                "no [[organization]] has home domain x.example",
            ),
            ("unknown quality", "quality = \"MEDIUM\"", "quality = \"medium\"", 15, "LOW, MEDIUM, HIGH or CRITICAL"),
            ("no quality", "quality = \"MEDIUM\"\n", "", 13, "alice.example has no quality"),
            ("quality twice", "quality = \"MEDIUM\"\n", "quality = \"LOW\"\nquality = \"LOW\"\n", 16, "duplicate key"),
            ("quality of a validator", "name = \"bob\"", "quality = \"LOW\"", 28, "unknown field `quality`"),
            (
                "organisation twice",
                "home_domain = \"bob.example\"",
                "home_domain = \"alice.example\"",
                17,
                "already on line 13",
            ),
            (
                "organisation without domain",
                "home_domain = \"bob.example\"\nquality",
                "quality",
                17,
                "`home_domain` is missing",
            ),
            (
                "HIGH with one validator",
                "quality = \"MEDIUM\"",
                "quality = \"HIGH\"",
                13,
                "HIGH with 1 validator(s), this node among them: HIGH needs at least 3",
            ),
            (
                "CRITICAL with one validator",
                "bob.example\"\nquality = \"MEDIUM\"",
                "bob.example\"\nquality = \"CRITICAL\"",
                17,
                "CRITICAL needs at least 3",
            ),
            (
                "nobody in it",
                "home_domain = \"bob.example\"\npublic_key",
                "home_domain = \"alice.example\"\npublic_key",
                17,
                "bob.example has no validators",
            ),
        ],
    );
}

#[test]
fn wrong_validators_are_refused_with_their_line() {
    assert_refused(
        GOOD,
        &[
            (
                "validator of nobody",
                "home_domain = \"bob.example\"\npublic_key",
                "public_key",
                27,
                "bob has no home_domain",
            ),
            (
                "validator of a stranger",
                "home_domain = \"bob.example\"\npublic_key",
                "home_domain = \"eve.example\"\npublic_key",
                29,
                "has home domain eve.example; there are: alice.example, bob.example",
            ),
            ("no name", "name = \"bob\"\n", "", 27, "`name` is missing"),
            ("bad name", "name = \"bob\"", "name = \"b b\"", 28, "name \"b b\""),
            ("name twice", "name = \"bob\"", "name = \"alice\"", 27, "a validator called alice is already on line 21"),
            ("no key", "public_key = \"K2\"\n", "", 27, "`public_key` is missing"),
            ("key with a typing mistake", "K2\"", "GK2\"", 30, "is not a public key"),
            ("seed instead of a key", "K2\"", "SAAQ\"", 30, "is not a public key"),
            ("key twice", "K2\"", "K1\"", 27, "is already on line 21"),
            ("bad address", "bob.example:7001", "bob.example:70010", 31, "`address` is \"bob.example:70010\""),
            (
                "two home domains",
                "home_domain = \"alice.example\"\npublic_key",
                "home_domain = \"bob.example\"\npublic_key",
                21,
                "listed under bob.example, but its own home_domain is alice.example",
            ),
            ("watcher as validator", "= true", "= false", 21, "node_is_validator = false"),
        ],
    );
}

#[test]
fn a_file_that_trusts_nobody_or_only_low_is_refused() {
    let low = GOOD.replace("MEDIUM", "LOW");
    assert!(refusals(&low).iter().any(|text| text.contains("every organisation is LOW")));
    let plain = GOOD.split("[[organization]]").next().unwrap();
    assert!(refusals(plain).iter().any(|text| text.contains("this file trusts nobody")));
    let (_, validators) = GOOD.split_at(GOOD.find("[[validator]]").unwrap());
    let found = refusals(&format!("{plain}{validators}"));
    assert!(found.iter().any(|text| text.contains("no [[organization]] to generate a quorum set from")), "{found:?}");
    let homeless = GOOD.replacen("home_domain = \"alice.example\"\n", "", 1).replace("K1\"\naddress", "K3\"\naddress");
    assert!(refusals(&homeless).iter().any(|text| text.contains("this validator has no `home_domain`")));
}

#[test]
fn wrong_quorum_sets_by_hand_are_refused_with_their_line() {
    let deep = (0..5).fold(String::from("[quorum_set]\nthreshold = 1\n"), |mut text, level| {
        let path = ".inner".repeat(level + 1);
        let _ = writeln!(
            text,
            "[[quorum_set{path}]]\nthreshold = 1\nvalidators = [{}]",
            if level == 4 { "\"bob\"" } else { "" }
        );
        text
    });
    let found = refusals(&format!("{GOOD}{deep}"));
    assert!(found.iter().any(|text| text.contains("nested too deep: at most 4 levels")), "{found:?}");
    let base = format!("{GOOD}{BY_HAND}")
        .replace("accept_unsafe = []", "accept_unsafe = [\"overrides generated quorum set\"]");
    assert!(load(&base).is_ok());
    assert_refused(
        &base,
        &[
            (
                "nobody of that name",
                "[\"alice\", \"bob\"]",
                "[\"alice\", \"bib\"]",
                35,
                "names \"bib\", and no [[validator]] is called that; there are: ",
            ),
            (
                "no threshold",
                "threshold = 2\nvalidators = [\"alice\"",
                "validators = [\"alice\"",
                33,
                "`threshold` is missing",
            ),
            (
                "threshold 0",
                "threshold = 2",
                "threshold = 0",
                34,
                "threshold 0 of 3 member(s): it is at least 1 and at most 3; write 2, which is a majority",
            ),
            ("threshold too large", "threshold = 2", "threshold = 4", 34, "threshold 4 of 3"),
            ("negative threshold", "threshold = 2", "threshold = -1", 34, "invalid value"),
            ("no members", "[\"K3\", \"K4\", \"K5\"]", "[]", 38, "a quorum set without members"),
            ("twice in one level", "\"K4\"", "\"K3\"", 39, "is already on line 39"),
            ("twice in two levels", "\"K4\"", "\"bob\"", 39, "bob in this quorum set is already on line 35"),
            ("self twice", "\"K4\"", "\"self\"", 39, "alice in this quorum set is already on line 35"),
            ("below majority", "threshold = 2", "threshold = 1", 34, "threshold 1 of 3 is below majority (2)"),
            (
                "inner below majority",
                "threshold = 2\nvalidators = [\"K3",
                "threshold = 1\nvalidators = [\"K3",
                38,
                "threshold 1 of 3 is below majority (2)",
            ),
            (
                "overrides",
                "accept_unsafe = [\"overrides generated quorum set\"]",
                "",
                33,
                "is not what the organisations give, 2 of (",
            ),
        ],
    );
}

#[test]
fn proofs_are_kept_as_the_file_says() {
    let with = |proofs: &str| format!("{GOOD}\n[history]\nproofs = {proofs}\n");
    assert_eq!(load(GOOD).unwrap().proofs, ProofsKept::All);
    assert_eq!(load(&with("\"all\"")).unwrap().proofs, ProofsKept::All);
    let newest = ProofsKept::Newest(NonZeroU64::new(5_000).unwrap());
    assert_eq!(load(&with("5000")).unwrap().proofs, newest);
    for wrong in ["\"some\"", "11", "0", "-1", "[1]", "true"] {
        let found = refusals(&with(wrong)).join("\n");
        assert!(found.contains(&format!("`proofs` is {wrong}: write \"all\", or the number")), "{found}");
    }
}

#[test]
fn each_unsafe_thing_needs_its_own_words() {
    let exposed = "\n[admin]\nlisten = \"192.0.2.1:9001\"\n";
    let split = format!("{GOOD}{BY_HAND}").replacen("threshold = 2", "threshold = 1", 1);
    let accept = |words: &str| split.replace("accept_unsafe = []", &format!("accept_unsafe = [{words}]"));
    let only = |words: &str| refusals(&accept(words)).join("\n");
    assert!(only("").contains("threshold 1 of 3 is below majority"));
    let below = "\"threshold below majority\"";
    assert!(only(below).contains("[quorum_set] by hand"));
    let two = format!("{below}, \"overrides generated quorum set\"");
    let found = only(&two);
    assert!(found.contains("33: no quorum intersection"), "{found}");
    let three = format!("{two}, \"no quorum intersection\"");
    let found = refusals(&format!("{}{exposed}", accept(&three))).join("\n");
    assert!(found.contains("`admin.listen` is 192.0.2.1:9001") && found.contains("ssh"), "{found}");
    let all = accept(&format!("{three}, \"admin reachable from other machines\""));
    let config = load(&format!("{all}{exposed}")).unwrap();
    for accepted in Unsafe::ALL {
        assert!(config.warnings.contains(&Warning::AcceptedUnsafe(accepted)));
    }
    assert!(matches!(config.safety.intersection, Intersection::Splits(_, _)));
}

#[test]
fn the_admin_side_is_off_unless_asked_for_and_keeps_its_token_in_the_data_folder() {
    assert_eq!(load(GOOD).unwrap().admin, None);
    let admin = |text: &str| load(&format!("{GOOD}\n[admin]\n{text}")).unwrap().admin.unwrap();
    let default = admin("");
    assert_eq!(default.listen.to_string(), "127.0.0.1:9001");
    assert!(default.token_file.ends_with("data/admin.token"), "{:?}", default.token_file);
    assert!(admin("token_file = \"secret\"").token_file.ends_with("secret"));
    assert_eq!(admin("listen = \"[::1]:9\"").listen.to_string(), "[::1]:9");
    for (text, why) in [
        ("listen = \"localhost\"", "`admin.listen` is \"localhost\""),
        ("listen = \"0.0.0.0:9001\"", "would cross the network unencrypted"),
        ("listen = \"127.0.0.1:8001\"", "`http` and `admin.listen` are both"),
        ("token_file = \"\"", "`admin.token_file` is empty"),
        ("tokenfile = \"x\"", "unknown field"),
    ] {
        let found = refusals(&format!("{GOOD}\n[admin]\n{text}\n")).join("\n");
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn words_that_accept_what_is_not_the_case_are_mentioned() {
    let config = load(&GOOD.replace("[]", "[\"no quorum intersection\"]")).unwrap();
    assert!(config.warnings.contains(&Warning::NotNeeded(Unsafe::NoQuorumIntersection)));
}

#[test]
fn everything_wrong_is_named_in_one_run_in_the_order_of_lines() {
    let text = GOOD.replace("\"test\"", "\"\"").replace("127.0.0.1:8001", "x").replace("seed.example:7001", "y");
    let found = refusals(&text);
    assert_eq!(found.iter().map(|text| text.split(':').next().unwrap()).collect::<Vec<_>>(), ["5", "9", "10"]);
}

#[test]
fn a_refusal_names_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, with_keys(&GOOD.replace("\"test\"", "\"\""))).unwrap();
    let errors = Config::load(&file, Keys::Ignored).unwrap_err();
    assert!(errors.to_string().starts_with(&format!("{}:5: `network_passphrase`", file.display())), "{errors}");
    assert_eq!(errors.exit(), Exit::Config);
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let missing = Config::load(Path::new("/nowhere/node.toml"), Keys::Ignored).unwrap_err();
    assert_eq!(missing.exit(), Exit::Io);
    assert!(missing.to_string().contains("cannot be read"));
    let folder = Config::load(Path::new("/"), Keys::Ignored).unwrap_err();
    assert_eq!(folder.exit(), Exit::Io);
    let binary = load_bytes(&[0xff, 0xfe], Keys::Ignored).unwrap_err();
    assert!(binary.to_string().contains("not UTF-8"));
    let long = load_bytes(&vec![b'#'; (1 << 20) + 1], Keys::Ignored).unwrap_err();
    assert!(long.to_string().contains("longer than 1048576 bytes"));
    assert!(load_bytes(b"", Keys::Ignored).unwrap_err().problems.len() >= 5);
}

#[test]
fn a_right_file_gives_what_it_says_with_paths_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, with_keys(GOOD)).unwrap();
    let config = Config::load(&file, Keys::IfPresent).unwrap();
    assert_eq!(config.node, key(1));
    assert_eq!(config.data_dir, folder.path().join("data"));
    assert_eq!(config.genesis, folder.path().join("genesis.toml"));
    let peers: Vec<_> = config.peers.iter().map(|peer| (peer.address.to_string(), peer.key)).collect();
    assert_eq!(peers, [("bob.example:7001".to_owned(), Some(key(2))), ("seed.example:7001".to_owned(), None)]);
    assert_eq!(tree::one_line(&config.trust.quorum_set, &config.trust.directory).len(), "2 of (alice, bob)".len());
    let halts = |warning: &Warning| matches!(warning, Warning::HaltsWithOneOrganization { organizations: 2, .. });
    assert!(config.warnings.iter().any(halts), "{:?}", config.warnings);
}

#[test]
fn the_seed_file_says_who_the_node_is_and_must_agree() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, with_keys(GOOD)).unwrap();
    let missing = Config::load(&file, Keys::Required).unwrap_err();
    assert_eq!(missing.exit(), Exit::Io);
    key_file::create_new(&folder.path().join("node.key"), &SecretKey::from_seed(&[9; 32]), false).unwrap();
    let other = Config::load(&file, Keys::IfPresent).unwrap_err();
    assert!(other.to_string().contains("node.toml:1: `node_public_key` is G"), "{other}");
    assert!(Config::load(&file, Keys::Ignored).is_ok());
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("node.key"), open).unwrap();
    let wide = Config::load(&file, Keys::IfPresent).unwrap_err();
    assert_eq!(wide.exit(), Exit::Permission);
    assert!(wide.to_string().contains("chmod 600"), "{wide}");
}

#[test]
fn a_node_that_does_not_list_itself_is_added_to_its_organisation() {
    let text = GOOD.replace("public_key = \"K1\"\naddress", "public_key = \"K3\"\naddress");
    let config = load(&text).unwrap();
    let Trust { quorum_set, directory, .. } = &config.trust;
    assert_eq!(quorum_set.nodes().len(), 3);
    assert_eq!(quorum_set.inner_sets().len(), 1, "alice.example has two validators now");
    assert!(config.name(key(1)).starts_with("node-G"));
    assert_eq!(directory.len(), 3);
}

#[test]
fn a_watcher_needs_no_home_domain_and_is_in_nobodys_quorum_set() {
    let text = GOOD
        .replacen("home_domain = \"alice.example\"\n", "", 1)
        .replace("node_public_key = \"K1\"", "node_public_key = \"K9\"")
        .replace("= true", "= false");
    let config = load(&text).unwrap();
    assert!(!config.trust.quorum_set.nodes().contains(&key(9)));
    let low = text.replace("MEDIUM", "LOW");
    assert!(load(&low).is_ok(), "a watcher may follow whom it likes");
}

#[test]
fn thirty_validators_of_fourteen_domains_give_one_exact_tree() {
    let (head, _) = GOOD.split_at(GOOD.find("[[organization]]").unwrap());
    let mut text = with_keys(&head.replace("alice.example", "critical1.example"));
    let mut n = 0u8;
    for (quality, organizations, validators) in [("CRITICAL", 2, 3), ("HIGH", 4, 3), ("MEDIUM", 4, 2), ("LOW", 4, 1)] {
        for organization in 1..=organizations {
            let domain = format!("{}{organization}.example", quality.to_lowercase());
            let _ = writeln!(text, "[[organization]]\nhome_domain = \"{domain}\"\nquality = \"{quality}\"");
            for _ in 0..validators {
                n += 1;
                let key = node_strkey(key(n));
                let _ = writeln!(
                    text,
                    "[[validator]]\nname = \"v{n}\"\nhome_domain = \"{domain}\"\npublic_key = \"{key}\""
                );
            }
        }
    }
    let config = load_bytes(text.as_bytes(), Keys::Ignored).unwrap();
    let tree = tree::tree(&config.trust.quorum_set, config.node, &config.trust.directory, "");
    // The order inside a level is that of the keys; what is compared is every level's shape and whose it is.
    let mut shape: Vec<&str> = tree
        .lines()
        .filter(|line| line.contains(" of "))
        .map(|line| line.trim_start_matches(['│', '├', '└', '─', ' ']))
        .collect();
    shape.sort_unstable();
    let mut wanted = vec!["3 of 3".to_owned(), "4 of 5".to_owned(), "4 of 5".to_owned(), "3 of 4".to_owned()];
    wanted.extend((1..=2).map(|i| format!("2 of 3 · critical{i}.example")));
    wanted.extend((1..=4).map(|i| format!("2 of 3 · high{i}.example")));
    wanted.extend((1..=4).map(|i| format!("2 of 2 · medium{i}.example")));
    wanted.sort_unstable();
    assert_eq!(shape, wanted);
    assert_eq!((config.safety.nodes, config.safety.organizations), (30, 14));
    let (QuorumSetOrigin::Generated(generated), Intersection::Intersects) =
        (&config.trust.origin, &config.safety.intersection)
    else {
        panic!("{:?} {:?}", config.trust.origin, config.safety.intersection)
    };
    assert_eq!(generated.levels.len(), 4);
}

#[test]
fn genesis_must_be_of_the_network_the_file_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, with_keys(GOOD)).unwrap();
    let config = Config::load(&file, Keys::Ignored).unwrap();
    assert!(config.load_genesis().unwrap_err().to_string().contains("genesis.toml: "));
    let genesis = Genesis {
        passphrase: "another".to_owned(),
        close_time_ms: 1,
        root_account: crate::ledger::AccountId(key(1).0),
        total_supply: 1 << 60,
        parameters: crate::ledger::Parameters::default(),
    };
    std::fs::write(folder.path().join("genesis.toml"), genesis.to_toml()).unwrap();
    let errors = config.load_genesis().unwrap_err().to_string();
    assert!(errors.contains("this node would speak to another network"), "{errors}");
}

#[test]
fn overlay_settings_have_bounds_and_preferred_peers_have_keys() {
    let overlay = |lines: &str| format!("{GOOD}\n[overlay]\n{lines}\n");
    let first = GOOD.lines().count() + 3;
    for (line, words) in [
        ("target_outbound = 65", "`target_outbound` is 65: it can be 0 to 64"),
        ("max_inbound = 1001", "`max_inbound` is 1001: it can be 0 to 1000"),
        ("max_inbound = -1", "expected u32"),
        ("peers_only = 1", "expected a boolean"),
        ("max_outbound = 3", "unknown field `max_outbound`"),
        ("preferred_peers = [\"carol.example:7001\"]", "expected the public key and address of a node"),
        ("preferred_peers = [\"GABC@carol.example:7001\"]", "public key"),
    ] {
        let found = refusals(&overlay(line));
        let wanted = |text: &String| text.starts_with(&format!("{first}: ")) && text.contains(words);
        assert!(found.iter().any(wanted), "wanted {first}: …{words}…, found {found:#?}");
    }
    let portless = format!("preferred_peers = [\"{}@carol.example\"]", node_strkey(key(3)));
    assert!(refusals(&overlay(&portless)).iter().any(|text| text.contains("expected host:port")));

    let lines = format!(
        "target_outbound = 0\nmax_inbound = 3\npeers_only = true\npreferred_peers = [\"{}@carol.example:7001\"]",
        node_strkey(key(3))
    );
    let config = load(&overlay(&lines)).unwrap();
    assert_eq!(config.overlay, OverlaySettings { target_outbound: 0, max_inbound: 3, peers_only: true });
    let first = config.peers.first().unwrap();
    assert_eq!((first.address.to_string(), first.key), ("carol.example:7001".to_owned(), Some(key(3))));
    assert_eq!(load(GOOD).unwrap().overlay, OverlaySettings::default());
}
