//! The text of configuration files that commands write: `network init`, `config new` and `config publish`.

use super::exit::{CliError, Exit};
use crate::key::node_strkey;
use fba_core::NodeId;
use std::fmt::Write;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

/// The most that is read of a file such as these: a thousand validators fit several times.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of a file.
///
/// # Errors
/// When it cannot be read (74, 77), is too long or no text (65).
pub(super) fn read(file: &Path) -> Result<String, CliError> {
    let failed = |error: &std::io::Error| CliError::io(format_args!("reading {}", file.display()), error);
    let opened = std::fs::File::open(file).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    opened.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    let wrong = |why: &str| CliError::new(Exit::Data, format_args!("{}: {why}; is it the right file?", file.display()));
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong("longer than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("not UTF-8 text, which TOML has to be"))
}

/// The admin side's port is so far above that of HTTP.
pub(crate) const ADMIN_PORT_OFFSET: u16 = 1000;

/// What a configuration says of its own node.
pub(super) struct Own<'a> {
    /// What the file calls the node.
    pub(super) name: &'a str,
    /// The node's key.
    pub(super) node: NodeId,
    /// Whose it is; `None` for a node that only watches.
    pub(super) home_domain: Option<&'a str>,
    /// The network's passphrase.
    pub(super) passphrase: &'a str,
    /// The genesis file, relative to the configuration.
    pub(super) genesis: &'a str,
    /// Where peers are listened to.
    pub(super) listen: SocketAddr,
    /// Where peers are told to call, if that is not where it listens.
    pub(super) public_address: Option<&'a str>,
    /// Where HTTP is served.
    pub(super) http: SocketAddr,
}

impl Own<'_> {
    /// Everything above the first table. With a home domain the node votes, without one it watches.
    pub(super) fn head(&self) -> String {
        let Self { name, node, passphrase, genesis, listen, http, .. } = self;
        let of = self.home_domain.map(|domain| format!(" of {domain}")).unwrap_or_default();
        let mut text = format!(
            "# The node {name}{of}. Every key: docs/configuration.md\n\
             node_seed_file = \"node.key\"\n\
             node_public_key = \"{key}\"\n\
             node_is_validator = {votes}\n",
            key = node_strkey(*node),
            votes = self.home_domain.is_some(),
        );
        // A node that votes is listed below, with its name.
        let _infallible = match self.home_domain {
            Some(domain) => writeln!(text, "home_domain = \"{domain}\""),
            None => writeln!(text, "node_name = \"{name}\""),
        };
        let _infallible = write!(
            text,
            "network_passphrase = {passphrase}\n\
             genesis = \"{genesis}\"\n\
             data_dir = \"data\"\n\
             listen = \"{listen}\"\n",
            passphrase = toml::Value::String((*passphrase).to_owned()),
        );
        if let Some(address) = self.public_address {
            let _infallible = writeln!(text, "public_address = \"{address}\"");
        }
        let _infallible = writeln!(text, "http = \"{http}\"");
        // On the loopback interface, wherever HTTP is served. Port 0 stays 0: any free one.
        let port = if http.port() == 0 { Some(0) } else { http.port().checked_add(ADMIN_PORT_OFFSET) };
        if let Some(port) = port {
            let _infallible = writeln!(text, "\n[admin]\nlisten = \"127.0.0.1:{port}\"");
        }
        text
    }
}

/// An `[[organization]]` entry. `quality` is in the form of a configuration: upper case.
pub(super) fn organization(home_domain: &str, quality: impl std::fmt::Display) -> String {
    format!("\n[[organization]]\nhome_domain = \"{home_domain}\"\nquality = \"{quality}\"\n")
}

/// A `[[validator]]` entry.
pub(super) fn validator(name: &str, home_domain: &str, node: NodeId, address: Option<&str>) -> String {
    let key = node_strkey(node);
    let mut text =
        format!("\n[[validator]]\nname = \"{name}\"\nhome_domain = \"{home_domain}\"\npublic_key = \"{key}\"\n");
    if let Some(address) = address {
        let _infallible = writeln!(text, "address = \"{address}\"");
    }
    text
}
