//! `fba backup`: a copy of a node's database, while it runs or not.

use super::exit::{CliError, Exit};
use super::progress::Progress;
use super::run::store_exit;
use super::text;
use crate::config::{Config, Keys};
use crate::key::node_strkey;
use crate::store::{Archive, StoreError};
use std::path::{Path, PathBuf};

/// Copy a node's ledger into one file, while the node runs or not
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "\
A backup holds the ledger, not the key: keep the key file apart, and safe. It is checked before it appears, and can be
looked into with `fba ledger verify --database FILE`.

To restore: stop the node, move its data folder away, make a new one with the backup in it as fba.sqlite, and start the
node. The backup is older than the last vote of its key, so the node follows the network and serves at once, and votes
again only when it certainly cannot contradict itself. `fba status` says so. A backup belongs to its node; another node
fetches the ledger from its peers instead.")]
pub struct Args {
    /// The node's configuration (not with --data), and the file to make
    #[arg(required = true, num_args = 1..=2, value_names = ["CONFIG", "OUT"])]
    files: Vec<PathBuf>,
    /// Copy the database in this data folder instead of a configuration's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Makes the copy.
///
/// # Errors
/// A wrong configuration (78), no such database or no place for the copy (74, 77), a damaged database (65).
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let (folder, to) = places(args)?;
    let failed = |error: StoreError| CliError::new(store_exit(&error), error);
    let archive = Archive::open(&folder).map_err(failed)?;
    let mut progress = Progress::new("copying", "pages");
    let copied = archive.back_up(&to, |pages| progress.at(pages.done, pages.total)).map_err(failed)?;
    drop(progress);
    let node = node_strkey(archive.node());
    if args.json {
        text::say_json(&serde_json::json!({
            "backup": to.display().to_string(),
            "node": node,
            "ledger": copied.last_ledger,
            "bytes": copied.bytes,
        }))?;
        return Ok(Exit::Good);
    }
    let size = copied.bytes as f64 / f64::from(1 << 20);
    text::say(&format!(
        "{}: ledgers 1 to {} of node {node}, {size:.1} MiB, checked and on the disk. It holds no key and no right to vote: \
         `fba backup --help` says how to restore it",
        to.display(),
        copied.last_ledger
    ))?;
    Ok(Exit::Good)
}

/// Where the database is, and where the copy goes.
fn places(args: &Args) -> Result<(PathBuf, PathBuf), CliError> {
    match (&args.data, args.files.as_slice()) {
        (Some(data), [to]) => Ok((data.clone(), to.clone())),
        (None, [config, to]) => Ok((data_dir(config)?, to.clone())),
        (None, _) => Err(usage("name the configuration and the file to make: fba backup CONFIG OUT")),
        (Some(_), _) => Err(usage("with --data, name only the file to make: fba backup --data DIR OUT")),
    }
}

fn data_dir(config: &Path) -> Result<PathBuf, CliError> {
    let config = Config::load(config, Keys::IfPresent).map_err(|errors| CliError::new(errors.exit(), errors))?;
    Ok(config.data_dir)
}

fn usage(message: &str) -> CliError {
    CliError::new(Exit::Usage, message)
}
