//! `fba keygen`: a new key.

use super::exit::{CliError, Exit, print};
use crate::config::exit_of;
use crate::key::{SecretKey, node_strkey};
use crate::store::{KeyFileError, key_file};
use std::path::{Path, PathBuf};

/// Make a new key: the seed goes into a file that only you can read, the public key is printed
///
/// Beside the key of a node an empty file FILE.unused says that it has never voted. The node removes it before its first
/// vote: a key without it and without its database has to wait until it cannot contradict itself.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where the seed goes. An existing file is never overwritten.
    #[arg(long, value_name = "FILE", default_value = "node.key")]
    pub out: PathBuf,
    /// The key is for an account, which holds and pays, not for a node, which votes.
    #[arg(long)]
    pub account: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When there is no randomness (69), or the file exists or cannot be written (74, 77).
pub fn run(args: &Args) -> Result<(), CliError> {
    let key = make(&args.out, !args.account)?;
    let public = node_strkey(key.node_id());
    let file = args.out.display().to_string();
    print(&if args.json {
        format!("{}\n", serde_json::json!({ "public_key": public, "file": file }))
    } else {
        let more =
            if args.account { "keep a copy offline" } else { "keep a copy offline, and never use it on two nodes" };
        format!("{public}\nthe seed is in {file}: keep it secret, {more}\n")
    })
}

/// A new key in a new file, marked as unused if it is a node's.
pub(super) fn make(file: &Path, of_node: bool) -> Result<SecretKey, CliError> {
    let key = SecretKey::generate().map_err(|error| CliError::new(Exit::Unavailable, error))?;
    key_file::create_new(file, &key, of_node).map_err(|error: KeyFileError| CliError::new(exit_of(&error), error))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::KeyMark;

    #[test]
    fn a_key_is_written_once_with_its_mark_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        let key = make(&file, true).unwrap();
        assert_eq!(key_file::read(&file).unwrap().node_id(), key.node_id());
        assert!(KeyMark::beside(&file).is_present().unwrap());
        let again = make(&file, true).unwrap_err();
        assert_eq!(again.exit, Exit::Io);
        assert!(again.message.contains("never overwritten"), "{again}");
        assert_eq!(key_file::read(&file).unwrap().node_id(), key.node_id());
    }

    #[test]
    fn the_key_of_an_account_has_no_mark() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account.key");
        make(&file, false).unwrap();
        assert!(!KeyMark::beside(&file).is_present().unwrap());
    }
}
