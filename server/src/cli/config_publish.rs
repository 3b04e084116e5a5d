//! `fba config publish`: what others need to trust an organisation.

use super::exit::{CliError, Exit, print};
use super::node_file;
use crate::config::{Config, Keys, Known, QuorumSetOrigin};
use fba_core::NodeId;
use quorum_tools::generate::{HIGH_VALIDATORS_MIN, Quality};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Print what others need to trust your organisation: its home domain, and its validators' keys and addresses
///
/// They append it to their configuration, or give it to `fba config new`. There is no secret in it.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The configuration of one of your validators.
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// A wrong configuration (78), or one of a node that others cannot trust (65).
pub fn run(args: &Args) -> Result<(), CliError> {
    let Published { text, warnings } = published(&args.config)?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    print(&text)
}

/// What is published, and what the operator should know of it.
pub(super) struct Published {
    pub(super) text: String,
    pub(super) warnings: Vec<String>,
}

pub(super) fn published(file: &Path) -> Result<Published, CliError> {
    let config = Config::load(file, Keys::IfPresent).map_err(|errors| CliError::new(errors.exit(), errors))?;
    let refused = |why: &str| Err(CliError::new(Exit::Data, format_args!("{}: {why}", file.display())));
    if !config.is_validator {
        return refused("node_is_validator = false: others wait for votes, so only validators are published");
    }
    let Some(domain) = config.home_domain().map(ToString::to_string) else {
        return refused(
            "this node has no `home_domain`, which is how others know whose it is; add home_domain = \"…\"",
        );
    };
    let own = config
        .trust
        .directory
        .iter()
        .filter(|(_, known)| known.home_domain.as_ref().is_some_and(|own| own.as_str() == domain));
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|(_, known)| &known.name);
    let mut warnings = Vec::new();
    let mut text = format!(
        "# {domain}, as its operator publishes it, in the network {:?}.\n\
         # Before you trust it: compare the keys with the operator by another way than this file came,\n\
         # and choose the quality yourself.\n",
        config.network_passphrase
    );
    text += &node_file::organization(&domain, quality(&config, &domain, own.len()));
    for (node, known) in own {
        let address = address(&config, *node, known);
        let name = &known.name;
        match &address {
            None => {
                warnings.push(format!("{name} has no address: nobody can call it; set public_address = \"host:port\""))
            }
            Some(address) if only_here(address) => {
                warnings
                    .push(format!("{name} is at {address}, which only this machine can call; give it another address"));
            }
            Some(_) => {}
        }
        text += &node_file::validator(name.as_str(), &domain, *node, address.as_deref());
    }
    Ok(Published { text, warnings })
}

/// Where others call a validator of the own organisation.
fn address(config: &Config, node: NodeId, known: &Known) -> Option<String> {
    let of_own = config.public_address.as_ref().filter(|_| node == config.node);
    let listed = of_own.or(known.address.as_ref()).map(ToString::to_string);
    listed.or_else(|| (node == config.node && !config.listen.ip().is_unspecified()).then(|| config.listen.to_string()))
}

fn only_here(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The quality the file gives the organisation; without one, the best its number of validators allows others to give.
fn quality(config: &Config, domain: &str, validators: usize) -> Quality {
    let generated = match &config.trust.origin {
        QuorumSetOrigin::Generated(generated) => Some(generated),
        QuorumSetOrigin::ByHand(generated) => generated.as_ref(),
    };
    let of = |level: &&quorum_tools::generate::Level| {
        level.organizations.iter().any(|organization| organization.home_domain == domain)
    };
    let given = generated.and_then(|generated| generated.levels.iter().find(of)).map(|level| level.quality);
    given.unwrap_or(if validators < HIGH_VALIDATORS_MIN { Quality::Medium } else { Quality::High })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::network_init::{self, Ports, network_init};

    #[test]
    fn the_whole_organisation_is_published_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = ["alpha=a.example", "bravo=b.example"].map(|host| host.parse().unwrap()).to_vec();
        let plan = network_init::tests::plan(folder.path(), 2, 3);
        let made = network_init(&network_init::Plan { ports: Ports::On(hosts, 7001), ..plan }).unwrap();
        let Published { text, warnings } = published(&made.nodes.first().unwrap().config).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table.keys().collect::<Vec<_>>(), ["organization", "validator"]);
        let addresses: Vec<_> =
            table["validator"].as_array().unwrap().iter().map(|entry| entry["address"].as_str().unwrap()).collect();
        assert_eq!(addresses, ["a.example:7001", "a.example:7002", "a.example:7003"]);
        assert_eq!(table["organization"][0]["quality"].as_str(), Some("HIGH"));
        assert!(!text.contains("bravo"));
    }

    #[test]
    fn an_address_only_this_machine_can_call_is_warned_about() {
        let folder = tempfile::tempdir().unwrap();
        let made = network_init(&network_init::tests::plan(folder.path(), 1, 1)).unwrap();
        let Published { warnings, .. } = published(&made.nodes.first().unwrap().config).unwrap();
        assert!(warnings.iter().any(|text| text.contains("127.0.0.1:7001, which only this machine can call")));
    }

    #[test]
    fn a_watcher_has_nothing_to_publish() {
        let folder = tempfile::tempdir().unwrap();
        let made = network_init(&network_init::tests::plan(folder.path(), 4, 1)).unwrap();
        let file = &made.nodes.first().unwrap().config;
        let text = std::fs::read_to_string(file).unwrap();
        let (head, trust) = text.split_once("\n[[validator]]").unwrap();
        let (_, others) = trust.split_once("\n[[validator]]").unwrap();
        let head = head.replace("node_is_validator = true", "node_is_validator = false");
        // Its own organisation has no validator then.
        let head = head.replacen("\n[[organization]]\nhome_domain = \"alpha.example\"\nquality = \"MEDIUM\"\n", "", 1);
        let head = head.replacen("home_domain = \"alpha.example\"\n", "", 1);
        std::fs::write(file, format!("{head}\n[[validator]]{others}")).unwrap();
        let error = published(file).err().unwrap();
        assert_eq!(error.exit, Exit::Data);
        assert!(error.message.contains("only validators are published"), "{error}");
    }
}
