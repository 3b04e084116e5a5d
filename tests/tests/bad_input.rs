//! What the commands say to wrong configurations, wrong command lines and wrong files: to the letter.
//!
//! What is printed is kept beside what is wrong. After a change of words:
//! `FBA_BLESS=1 cargo test -p fba-tests --test bad_input`, and read the difference.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit codes that tell what is wrong; 101 and signals would be crashes.
const REFUSALS: [i32; 6] = [64, 65, 69, 74, 77, 78];

fn tests_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn fba(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fba-under-test"));
    command.current_dir(folder).env_remove("FBA_NODE").env("FBA_LOG", "off").env("COLUMNS", "120").env("NO_COLOR", "1");
    command
}

/// The command line, what it printed to standard error, and how it ended.
fn refusal(command: &mut Command, shown: &str) -> String {
    let output = command.output().expect("the program runs");
    let code = output.status.code();
    assert!(code.is_some_and(|code| REFUSALS.contains(&code)), "{shown} ended with {code:?}: {output:?}");
    let said = String::from_utf8(output.stderr).expect("messages are text");
    assert!(!said.trim().is_empty(), "{shown} is refused without a word");
    assert!(!said.contains("panicked"), "{shown}: {said}");
    format!("$ {shown}\n{}\nexit {}\n", said.trim_end(), code.expect("there is a code"))
}

/// Holds `found` against the file, or writes it there when asked to.
fn compare(file: &Path, found: &str) {
    if std::env::var_os("FBA_BLESS").is_some() {
        return fs::write(file, found).expect("the golden file can be written");
    }
    let wanted = fs::read_to_string(file).unwrap_or_default();
    assert_eq!(found, wanted, "{} differs: see the top of tests/bad_input.rs", file.display());
}

fn bad_configs() -> Vec<PathBuf> {
    let entries = fs::read_dir(tests_folder().join("bad-config")).expect("the folder is there");
    let files = entries.map(|entry| entry.expect("the folder can be read").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}

#[test]
fn every_wrong_configuration_is_refused_with_what_is_beside_it() {
    let files = bad_configs();
    assert!(files.len() >= 40, "only {} wrong configurations", files.len());
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("names are text");
        let mut command = fba(&tests_folder().join("bad-config"));
        let shown = format!("fba config check --no-keys {name}");
        let said = refusal(command.args(["config", "check", "--no-keys", name]), &shown);
        assert!(said.contains(&format!("{name}:")), "the file is named: {said}");
        assert!(said.ends_with("exit 78\n"), "{said}");
        compare(&file.with_extension("out"), &said);
    }
}

/// A file begins with how to mend it: `# - ` lines are replaced by the `# + ` lines. Without the first, tables go to the
/// end and keys to the beginning.
fn mended(text: &str) -> String {
    let marked = |mark: &str| -> Vec<&str> {
        let lines = text.lines().take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.strip_prefix(mark)).collect()
    };
    let (wrong, right) = (marked("# - ").join("\n"), marked("# + ").join("\n"));
    let (_, body) = text.split_once("\n\n").expect("a header and a configuration");
    match (wrong.as_str(), right.as_str()) {
        ("", table) if table.starts_with('[') => format!("{body}\n{table}\n"),
        ("", key) => format!("{key}\n{body}"),
        (wrong, right) => {
            assert!(body.contains(wrong), "{wrong:?} is not in it");
            body.replacen(wrong, right, 1)
        }
    }
}

#[test]
fn every_wrong_configuration_is_good_once_mended() {
    for file in bad_configs() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = fs::read_to_string(&file).expect("the file can be read");
        fs::write(folder.path().join("node.toml"), mended(&text)).expect("it can be written");
        let output = fba(folder.path()).args(["config", "check", "--no-keys", "node.toml"]).output().expect("it runs");
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
}

/// A network of two organisations called `net`, in a folder of its own, never started.
fn network() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = fba(folder.path())
        .args(["network", "init", "--orgs", "2", "--dir", "net", "--passphrase", "bad input"])
        .output()
        .expect("it runs");
    assert!(made.status.success(), "{made:?}");
    folder
}

/// Runs each line in a fresh network, and gathers what is said. Keys, different each time, become `G…`.
fn said_to(lines: &[&str]) -> String {
    let folder = network();
    let mut all = String::new();
    for line in lines {
        let mut words = shell_words(line);
        let _fba = words.remove(0);
        let said = refusal(fba(folder.path()).args(words), line);
        let _infallible = writeln!(all, "{}", without_keys(&said));
    }
    all
}

/// Words separated by blanks; `''` is an empty one.
fn shell_words(line: &str) -> Vec<String> {
    line.split(' ').map(|word| if word == "''" { String::new() } else { word.to_owned() }).collect()
}

fn without_keys(text: &str) -> String {
    let is_key = |word: &&str| word.len() == 56 && word.starts_with('G');
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_key);
    words.fold(text.to_owned(), |text, key| text.replace(key, "G…"))
}

const COMMAND_LINES: [&str; 40] = [
    "fba --verbose",
    "fba rnu net/alpha/node.toml",
    "fba run",
    "fba run nowhere.toml",
    "fba run net",
    "fba run net/genesis.toml",
    "fba run net/alpha/node.key",
    "fba run net/alpha/node.toml --log loud=very",
    "fba run net/alpha/node.toml net/bravo/node.toml",
    "fba keygen --out net/alpha/node.key",
    "fba keygen --out nowhere/node.key",
    "fba network init --dir net",
    "fba network init --dir new --orgs 0",
    "fba network init --dir new --orgs 26 --validators 4",
    "fba network init --dir new --orgs minus",
    "fba network init --dir new --quality HIGH",
    "fba network init --dir new --quality low",
    "fba network init --dir new --base-port 65535",
    "fba network init --dir new --base-port 70000",
    "fba network init --dir new --interval 3600001",
    "fba network init --dir new --passphrase ''",
    "fba network init --dir new --host alpha=192.0.2.1",
    "fba network init --dir new --host alpha",
    "fba network init --dir new --orgs 1 --host alpha=https://alpha.example",
    "fba network init --dir net/genesis.toml/new",
    "fba network genesis --root-account GABC",
    "fba config check",
    "fba config check nowhere",
    "fba config check net/alpha/data",
    "fba config new --genesis net/genesis.toml",
    "fba config new --genesis net/genesis.toml --home-domain X.example --public-address x.example:7001",
    "fba config new --genesis net/alpha/node.toml --watcher",
    "fba config new --genesis net/genesis.toml --watcher net/alpha/node.toml",
    "fba config publish net/genesis.toml",
    "fba status --node https://fba.example",
    "fba status --node 127.0.0.1:1",
    "fba pay --key net/root.key --to me --amount 1",
    "fba pay --key net/root.key --to GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7 --amount -1",
    "fba data set --key net/root.key --hex greeting 0x",
    "fba completions dos",
];

#[test]
fn wrong_command_lines_are_refused_with_the_words_of_the_table() {
    compare(&tests_folder().join("golden/wrong-command-lines.out"), &said_to(&COMMAND_LINES));
}

/// What is done to `net/alpha` before it is started.
type Damage = fn(&Path);

fn write(file: PathBuf, text: &[u8]) {
    fs::write(file, text).expect("a file of this network can be written");
}

fn replace(file: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&file).expect("a file of this network can be read");
    assert!(text.contains(from), "{from:?} is not in {}", file.display());
    write(file, text.replace(from, to).as_bytes());
}

fn mode(file: PathBuf, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("modes can be set");
}

fn rename(from: PathBuf, to: PathBuf) {
    fs::rename(from, to).expect("files of this network can be renamed");
}

const DAMAGES: [(&str, Damage); 24] = [
    ("the key is readable by all", |net| mode(net.join("alpha/node.key"), 0o644)),
    ("the key is readable by its group", |net| mode(net.join("alpha/node.key"), 0o640)),
    ("the key is a symbolic link", |net| {
        rename(net.join("alpha/node.key"), net.join("alpha/real.key"));
        symlink("real.key", net.join("alpha/node.key")).expect("links can be made");
    }),
    ("the key is a folder", |net| {
        rename(net.join("alpha/node.key"), net.join("alpha/real.key"));
        fs::create_dir(net.join("alpha/node.key")).expect("a folder can be made");
    }),
    ("the key is a device", |net| replace(net.join("alpha/node.toml"), "\"node.key\"", "\"/dev/zero\"")),
    ("the key is missing", |net| fs::remove_file(net.join("alpha/node.key")).expect("it was there")),
    ("the key file is empty", |net| write(net.join("alpha/node.key"), b"")),
    ("the key file is binary", |net| write(net.join("alpha/node.key"), &[0xff; 56])),
    ("the key file holds half a key", |net| write(net.join("alpha/node.key"), b"SBQEY4RZECDJWMMRVYK5DBVD\n")),
    ("the key is another node's", |net| rename(net.join("bravo/node.key"), net.join("alpha/node.key"))),
    ("genesis is missing", |net| fs::remove_file(net.join("genesis.toml")).expect("it was there")),
    ("genesis is a folder", |net| {
        rename(net.join("genesis.toml"), net.join("other.toml"));
        fs::create_dir(net.join("genesis.toml")).expect("a folder can be made");
    }),
    ("genesis is empty", |net| write(net.join("genesis.toml"), b"")),
    ("genesis is binary", |net| write(net.join("genesis.toml"), &[0xff, 0xfe])),
    ("genesis is another network's", |net| replace(net.join("genesis.toml"), "bad input", "good input")),
    ("genesis has a rule nobody knows", |net| {
        replace(net.join("genesis.toml"), "[parameters]", "[parameters]\ncolour = \"red\"");
    }),
    ("genesis has a rule out of bounds", |net| {
        replace(net.join("genesis.toml"), "heartbeat_ms = 5000", "heartbeat_ms = 1");
    }),
    ("genesis has no root account", |net| replace(net.join("genesis.toml"), "root_account", "owner")),
    ("the configuration is empty", |net| write(net.join("alpha/node.toml"), b"")),
    ("the configuration is binary", |net| write(net.join("alpha/node.toml"), &[0xff, 0xfe])),
    ("the configuration is longer than any", |net| write(net.join("alpha/node.toml"), &vec![b'#'; (1 << 20) + 1])),
    ("the data folder is a file", |net| write(net.join("alpha/data"), b"no folder")),
    ("the database is another program's", |net| {
        fs::create_dir(net.join("alpha/data")).expect("a folder can be made");
        write(net.join("alpha/data/fba.sqlite"), b"this is no database, whatever its name may say of it");
    }),
    ("the data folder is under a read-only one", |net| {
        replace(net.join("alpha/node.toml"), "data_dir = \"data\"", "data_dir = \"/proc/fba\"");
    }),
];

#[test]
fn wrong_files_are_refused_with_the_words_of_the_table() {
    let mut all = String::new();
    for (what, damage) in DAMAGES {
        let folder = network();
        damage(&folder.path().join("net"));
        let said = refusal(fba(folder.path()).args(["run", "net/alpha/node.toml"]), "fba run net/alpha/node.toml");
        let _infallible = writeln!(all, "# {what}\n{}", without_keys(&said));
    }
    compare(&tests_folder().join("golden/wrong-files.out"), &all);
}

/// Root may do everything, so this is somebody else then.
fn as_nobody(command: &mut Command, folder: &Path) {
    const NOBODY: u32 = 65_534;
    fn give(path: &Path) {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root can give files away");
        if path.is_dir() {
            fs::read_dir(path).expect("a folder").for_each(|entry| give(&entry.expect("an entry").path()));
        }
    }
    if std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder).expect("a folder")) == 0 {
        give(folder);
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Folders and files that may not be written or read. The program has to be where nobody can run it.
#[test]
fn missing_permissions_are_told_with_exit_code_77() {
    let cases: [(&str, Damage); 4] = [
        ("the data folder cannot be made", |net| mode(net.join("alpha"), 0o555)),
        ("the data folder cannot be written", |net| {
            fs::create_dir(net.join("alpha/data")).expect("a folder can be made");
            mode(net.join("alpha/data"), 0o555);
        }),
        ("the key cannot be read", |net| mode(net.join("alpha/node.key"), 0o000)),
        ("the configuration cannot be read", |net| mode(net.join("alpha/node.toml"), 0o000)),
    ];
    let mut all = String::new();
    for (what, damage) in cases {
        let folder = network();
        let net = folder.path().join("net");
        damage(&net);
        let program = folder.path().join("fba");
        fs::copy(env!("CARGO_BIN_EXE_fba-under-test"), &program).expect("the program can be copied");
        let mut command = Command::new(&program);
        command.current_dir(folder.path()).env("FBA_LOG", "off").args(["run", "net/alpha/node.toml"]);
        as_nobody(&mut command, folder.path());
        let said = refusal(&mut command, "fba run net/alpha/node.toml");
        assert!(said.ends_with("exit 77\n"), "{what}: {said}");
        let _infallible = writeln!(all, "# {what}\n{said}");
        mode(net.join("alpha"), 0o755);
    }
    compare(&tests_folder().join("golden/missing-permissions.out"), &all);
}
