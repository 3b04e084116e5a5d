//! `[admin]`: the listener that changes a running node.

use super::error::Problem;
use super::source::Problems;
use super::{Unsafe, socket};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Where the admin side listens unless told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:9001";

/// The token's file in the data folder unless told otherwise.
const TOKEN_FILE: &str = "admin.token";

/// The table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    listen: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
}

/// The admin side of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The file of the token that opens it.
    pub token_file: PathBuf,
}

/// Reads the table. Without one there is no admin side.
pub(super) fn read(
    raw: Option<&RawAdmin>,
    data_dir: Option<&Path>,
    accepted: &BTreeSet<Unsafe>,
    problems: &mut Problems<'_>,
) -> Option<Admin> {
    let raw = raw?;
    let listen = socket(problems, "admin.listen", LISTEN_DEFAULT, raw.listen.as_ref())?;
    if !listen.ip().is_loopback() && !accepted.contains(&Unsafe::AdminReachable) {
        let problem = Problem::AdminReachable(listen);
        // The default is loopback, so it was written.
        problems.at(&raw.listen.as_ref()?.span(), problem);
        return None;
    }
    let token_file = match &raw.token_file {
        Some(text) if text.get_ref().is_empty() => {
            problems.at(&text.span(), Problem::Empty("admin.token_file"));
            return None;
        }
        Some(text) => problems.resolve(text.get_ref()),
        None => data_dir?.join(TOKEN_FILE),
    };
    Some(Admin { listen, token_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_address_is_loopback() {
        assert!(LISTEN_DEFAULT.parse::<SocketAddr>().unwrap().ip().is_loopback());
    }
}
