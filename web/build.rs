//! Builds the dashboard with Node, outside the source tree, and tells `src/lib.rs` where the result lies.
//!
//! Without the feature `dashboard` it does nothing. With `DASHBOARD_DIST` set it takes a dashboard built elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What the build reads. The tests of the page are not among it, so editing one rebuilds nothing.
const SOURCES: [&str; 8] =
    ["src", "public", "index.html", "package.json", "package-lock.json", ".npmrc", "vite.config.ts", "tsconfig.json"];

/// The oldest Node that Vite 8 runs on.
const NODE: (u32, u32) = (20, 19);

/// How much of a failed command's output is shown: the end of it, where the cause is.
const LINES_OF_OUTPUT: usize = 30;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DASHBOARD_DIST");
    if env::var_os("CARGO_FEATURE_DASHBOARD").is_none() {
        return;
    }
    let built = match env::var_os("DASHBOARD_DIST") {
        Some(folder) => prebuilt(PathBuf::from(folder)),
        None => build(),
    };
    match built {
        Ok(folder) => println!("cargo::rustc-env=DASHBOARD_DIST_DIR={}", folder.display()),
        Err(message) => message.lines().for_each(|line| println!("cargo::error={line}")),
    }
}

/// A folder that somebody else built.
fn prebuilt(folder: PathBuf) -> Result<PathBuf, String> {
    let shown = folder.display();
    if folder.is_relative() {
        return Err(format!("DASHBOARD_DIST={shown} is relative: give the folder's full path"));
    }
    println!("cargo::rerun-if-changed={shown}");
    if !folder.join("index.html").is_file() {
        return Err(format!("DASHBOARD_DIST={shown} holds no index.html: name the folder that `npm run build` wrote"));
    }
    Ok(folder)
}

fn build() -> Result<PathBuf, String> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    check_node()?;
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("web");
    for source in SOURCES {
        mirror(Path::new(source), &folder.join(source)).map_err(|e| format!("copying web/{source}: {e}"))?;
    }
    install(&folder)?;
    npm(&folder, &["run", "build", "--", "--logLevel", "warn"])?;
    Ok(folder.join("dist"))
}

/// Refuses a machine without a recent Node before npm can fail in its own words.
fn check_node() -> Result<(), String> {
    let found = Command::new("node").arg("--version").output();
    let version = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if parse_version(&version) >= Some(NODE) {
        return Ok(());
    }
    let (major, minor) = NODE;
    let instead = if version.is_empty() { "none was found on the PATH".to_owned() } else { format!("found {version}") };
    Err(format!(
        "the dashboard is built with Node {major}.{minor} or newer, and {instead}\n\
         either build without the dashboard: cargo build --release --no-default-features\n\
         or use one that is already built: DASHBOARD_DIST=/full/path/to/dist cargo build --release"
    ))
}

/// `v20.20.2` as (20, 20).
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Makes `to` equal to `from`. Equal files are not touched, so nothing downstream takes them for new.
fn mirror(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        let bytes = fs::read(from)?;
        return if fs::read(to).is_ok_and(|old| old == bytes) { Ok(()) } else { fs::write(to, bytes) };
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let old = entry?;
        if !from.join(old.file_name()).exists() {
            if old.file_type()?.is_dir() { fs::remove_dir_all(old.path()) } else { fs::remove_file(old.path()) }?;
        }
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        mirror(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Installs the packages of the lockfile, once per lockfile. The stamp is written last: a broken install is tried again.
fn install(folder: &Path) -> Result<(), String> {
    let read = |name: &str| fs::read(folder.join(name)).map_err(|e| format!("reading web/{name}: {e}"));
    let lockfile = read("package-lock.json")?;
    let stamp = folder.join("installed-lockfile.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lockfile) {
        return Ok(());
    }
    npm(folder, &["ci", "--omit=dev", "--prefer-offline", "--no-audit", "--no-fund"])?;
    fs::write(&stamp, lockfile).map_err(|e| format!("writing {}: {e}", stamp.display()))
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let called = format!("npm {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("CI", "1")
        .env_remove("NODE_ENV")
        .output()
        .map_err(|e| format!("`{called}` did not start: {e}; npm comes with Node"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let end = lines.len().saturating_sub(LINES_OF_OUTPUT);
    Err(format!("`{called}` failed ({}):\n{}", output.status, lines.get(end..).unwrap_or_default().join("\n")))
}
