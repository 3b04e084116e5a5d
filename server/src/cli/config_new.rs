//! `fba config new`: a key and a configuration for one node that joins a network.

use super::exit::{CliError, Exit, print};
use super::network_init::{empty_folder, quality, write};
use super::{keygen, node_file};
use crate::config::{Config, HomeDomain, HostPort, Keys, NodeName, tree};
use crate::key::node_strkey;
use crate::ledger::Genesis;
use fba_core::NodeId;
use quorum_tools::generate::Quality;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The port others call unless told otherwise.
const PORT_DEFAULT: u16 = 7001;

/// Make a key and a configuration for one node of yours that joins a network
///
/// Needs the network's genesis file, and from each organisation to be trusted what its `fba config publish` prints.
/// Nothing is sent anywhere: the others learn of the new node when they get what `fba config publish` prints of it.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// What the organisations to be trusted have published (`fba config publish`).
    #[arg(value_name = "PUBLISHED")]
    pub published: Vec<PathBuf>,
    /// What a colleague of the same organisation has published: his validators vote in your organisation's name
    #[arg(long, value_name = "PUBLISHED", conflicts_with = "watcher")]
    pub colleague: Vec<PathBuf>,
    /// The network's genesis file: the same for everybody in it. It is copied.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// The folder to make. Must be new or empty.
    #[arg(long, value_name = "FOLDER", default_value = "node")]
    pub dir: PathBuf,
    /// The organisation this node votes for, such as delta.example.
    #[arg(long, value_name = "DOMAIN", value_parser = home_domain, required_unless_present = "watcher")]
    pub home_domain: Option<HomeDomain>,
    /// Where other nodes call this one, such as fba.delta.example:7001.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port, required_unless_present = "watcher")]
    pub public_address: Option<HostPort>,
    /// Only watch: the node follows the network and does not vote.
    #[arg(long, conflicts_with = "home_domain")]
    pub watcher: bool,
    /// What to call the node [default: the first part of the home domain]
    #[arg(long, value_parser = node_name)]
    pub name: Option<NodeName>,
    /// The address and port peers are listened to [default: every interface, the port of --public-address]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// The address and port of HTTP.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8001")]
    pub http: SocketAddr,
    /// How much this organisation trusts itself, beside the others: MEDIUM, or with three validators HIGH or CRITICAL.
    #[arg(long, value_parser = quality, default_value = "MEDIUM")]
    pub quality: Quality,
}

fn home_domain(text: &str) -> Result<HomeDomain, String> {
    HomeDomain::new(text).map_err(|problem| problem.to_string())
}

fn host_port(text: &str) -> Result<HostPort, String> {
    HostPort::new(text).map_err(|problem| problem.to_string())
}

fn node_name(text: &str) -> Result<NodeName, String> {
    NodeName::new(text).map_err(|problem| problem.to_string())
}

/// Runs the command.
///
/// # Errors
/// A folder that is not empty (74), a file that cannot be read or is not what it should be (65, 74, 77), organisations
/// that do not go together (78): the folder is there then, to be corrected.
pub fn run(args: &Args) -> Result<(), CliError> {
    let genesis_text = node_file::read(&args.genesis)?;
    let genesis = Genesis::from_toml(&genesis_text).map_err(|error| {
        let way_out = "it has to be the file all nodes of the network have: ask any of its operators for it";
        CliError::new(Exit::Data, format_args!("genesis {}: {error}; {way_out}", args.genesis.display()))
    })?;
    let published = args.read_published()?;
    empty_folder(&args.dir)?;
    let node = keygen::make(&args.dir.join("node.key"), true)?.node_id();
    write(&args.dir.join("genesis.toml"), &genesis_text)?;
    let file = args.dir.join("node.toml");
    write(&file, &args.text(node, &genesis, &published))?;
    let config = Config::load(&file, Keys::Required).map_err(|errors| {
        let again = format!(
            "the key and the configuration are made: correct that, then `fba config check {0}`",
            file.display()
        );
        CliError::new(errors.exit(), format_args!("{errors}\n{again}"))
    })?;
    print(&explain(&config, published.is_empty()))
}

impl Args {
    /// What others published, and then colleagues.
    fn read_published(&self) -> Result<Vec<Published>, CliError> {
        let (others, colleagues) = (self.published.iter().map(|file| (file, false)), self.colleague.iter());
        let all = others.chain(colleagues.map(|file| (file, true)));
        let read = |(file, of_own): (&PathBuf, bool)| {
            let published = Published::read(file)?;
            match (&self.home_domain, of_own) {
                (Some(own), false) if *own == published.organization => Err(refused(
                    file,
                    format_args!(
                        ": it is of {own}, the organisation of the node to be made, and whoever is in there votes in its \
                     name; if a colleague wrote it, give it by --colleague"
                    ),
                )),
                (Some(own), true) if *own != published.organization => Err(refused(
                    file,
                    format_args!(
                        ": it is of {}, and a colleague's is of {own}; give it without --colleague",
                        published.organization
                    ),
                )),
                (Some(_) | None, _) => Ok(published),
            }
        };
        all.map(read).collect()
    }

    /// The configuration.
    fn text(&self, node: NodeId, genesis: &Genesis, published: &[Published]) -> String {
        let of_own = |published: &Published| self.home_domain.as_ref() == Some(&published.organization);
        let domain = self.home_domain.as_ref().map(HomeDomain::as_str);
        let first = domain.and_then(|domain| domain.split('.').next()).unwrap_or("watcher");
        let name = self.name.as_ref().map_or(first, NodeName::as_str);
        let address = self.public_address.as_ref().map(ToString::to_string);
        let own = node_file::Own {
            name,
            node,
            home_domain: domain,
            passphrase: &genesis.passphrase,
            genesis: "genesis.toml",
            listen: self.listen(),
            public_address: address.as_deref(),
            http: self.http,
        };
        let mut text = own.head();
        text += "\n# Whom this node trusts. `fba config check` shows the quorum set that follows.\n";
        if let Some(domain) = domain {
            // A colleague's file has it already.
            if !published.iter().any(of_own) {
                text += &node_file::organization(domain, self.quality);
            }
            text += &node_file::validator(name, domain, node, address.as_deref());
        }
        for Published { text: part, .. } in published {
            let _infallible = write!(text, "\n{}\n", part.trim());
        }
        text
    }

    fn listen(&self) -> SocketAddr {
        let public = self.public_address.as_ref();
        let any = match public.and_then(|address| address.host().parse().ok()) {
            Some(IpAddr::V6(_)) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            Some(IpAddr::V4(_)) | None => Ipv4Addr::UNSPECIFIED.into(),
        };
        self.listen.unwrap_or_else(|| SocketAddr::from((any, public.map_or(PORT_DEFAULT, HostPort::port))))
    }
}

/// What an organisation published: its text, and whose it is. Nobody else's validators are in it.
struct Published {
    text: String,
    organization: HomeDomain,
}

fn refused(file: &Path, why: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Data, format_args!("{}{why}", file.display()))
}

impl Published {
    fn read(file: &Path) -> Result<Self, CliError> {
        let refused =
            |why: String| refused(file, format_args!("{why}; ask its operator for what `fba config publish` prints"));
        let text = node_file::read(file)?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            refused(format!(":{line}: {}", error.message()))
        })?;
        if let Some(other) = table.keys().find(|key| !matches!(key.as_str(), "organization" | "validator")) {
            return Err(refused(format!(
                ": `{other}` is for a node's own file, and nothing of it belongs into another's"
            )));
        }
        let entries = |key: &str| table.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        let validators = entries("validator");
        if validators.is_empty() {
            return Err(refused(": there is no [[validator]] in it".to_owned()));
        }
        let organizations = entries("organization");
        let [organization] = organizations.as_slice() else {
            let count = organizations.len();
            return Err(refused(format!(": it has {count} [[organization]] entries, and an operator publishes one")));
        };
        let domain = |entry: &toml::Value| Some(entry.get("home_domain")?.as_str()?.to_owned());
        let Some(organization) = domain(organization).and_then(|domain| HomeDomain::new(&domain).ok()) else {
            return Err(refused(": its [[organization]] has no home_domain".to_owned()));
        };
        if validators.iter().any(|validator| domain(validator).is_none_or(|domain| domain != organization.as_str())) {
            let why = format!(": a [[validator]] in it is not of {organization}, whose file it is");
            return Err(refused(why));
        }
        Ok(Self { text, organization })
    }
}

/// What was made, and what to do next.
fn explain(config: &Config, alone: bool) -> String {
    let Config { node, trust, file, listen, http, .. } = config;
    let role = if config.is_validator { "validator" } else { "watcher" };
    let domain = config.home_domain().map(|domain| format!(" of {domain}")).unwrap_or_default();
    let mut text = format!(
        "{role} {}{domain}, {}\n  configuration {}\n  peers {listen}, HTTP http://{http}\n\nQuorum set\n{}",
        config.name(*node),
        node_strkey(*node),
        file.display(),
        tree::tree(&trust.quorum_set, *node, &trust.directory, "  ")
    );
    for warning in &config.warnings {
        let _infallible = writeln!(text, "\nwarning: {warning}");
    }
    text += "\nNext:\n";
    let shown = file.display();
    if alone {
        let _infallible = writeln!(text, "  append what the others publish to {shown}; before that, do not run it");
    }
    if config.is_validator {
        let _infallible =
            writeln!(text, "  fba config publish {shown}    for the others, so that they can trust this node");
    }
    let _infallible = writeln!(text, "  fba config check {shown}\n  fba run {shown}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config_publish;
    use crate::cli::network_init::{self, NetworkFiles};

    fn network(folder: &Path) -> NetworkFiles {
        network_init::network_init(&network_init::tests::plan(folder, 3, 1)).unwrap()
    }

    /// What each organisation of a network publishes, in a file each.
    fn published(made: &NetworkFiles, folder: &Path) -> Vec<PathBuf> {
        let publish = |node: &network_init::NodeFiles| {
            let file = folder.join(format!("{}.toml", node.name));
            std::fs::write(&file, config_publish::published(&node.config).unwrap().text).unwrap();
            file
        };
        made.nodes.iter().map(publish).collect()
    }

    fn args(made: &NetworkFiles, folder: &Path, published: Vec<PathBuf>) -> Args {
        Args {
            published,
            colleague: Vec::new(),
            genesis: made.genesis.clone(),
            dir: folder.join("delta"),
            home_domain: Some(HomeDomain::new("delta.example").unwrap()),
            public_address: Some(HostPort::new("[2001:db8::4]:7009").unwrap()),
            watcher: false,
            name: None,
            listen: None,
            http: "127.0.0.1:8001".parse().unwrap(),
            quality: Quality::Medium,
        }
    }

    #[test]
    fn a_fourth_organisation_joins_by_what_the_three_published_and_they_by_what_it_publishes() {
        let folder = tempfile::tempdir().unwrap();
        let made = network(folder.path());
        let args = args(&made, folder.path(), published(&made, folder.path()));
        run(&args).unwrap();
        let file = args.dir.join("node.toml");
        let joined = Config::load(&file, Keys::Required).unwrap();
        joined.load_genesis().unwrap();
        assert_eq!(joined.warnings, [], "four equal organisations can spare one");
        assert_eq!(joined.listen.to_string(), "[::]:7009");
        let peers: Vec<_> = joined.peers.iter().map(|peer| peer.key).collect();
        assert_eq!(peers.len(), 3);
        // The others append what it publishes, and all have the same quorum set.
        let part = config_publish::published(&file).unwrap();
        assert_eq!(part.warnings, Vec::<String>::new());
        for node in &made.nodes {
            let text = std::fs::read_to_string(&node.config).unwrap();
            std::fs::write(&node.config, format!("{text}{}", part.text)).unwrap();
            let config = Config::load(&node.config, Keys::Required).unwrap();
            assert_eq!(config.trust.quorum_set.hash(), joined.trust.quorum_set.hash());
            assert!(config.peers.iter().any(|peer| peer.address.to_string() == "[2001:db8::4]:7009"));
        }
    }

    #[test]
    fn a_watcher_needs_neither_organisation_nor_address() {
        let folder = tempfile::tempdir().unwrap();
        let made = network(folder.path());
        let published = published(&made, folder.path());
        let args =
            Args { home_domain: None, public_address: None, watcher: true, ..args(&made, folder.path(), published) };
        run(&args).unwrap();
        let config = Config::load(&args.dir.join("node.toml"), Keys::Required).unwrap();
        assert!(!config.is_validator && !config.trust.quorum_set.nodes().contains(&config.node));
        assert_eq!(config.name(config.node), "watcher");
    }

    #[test]
    fn what_is_not_published_text_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let made = network(folder.path());
        let bad = folder.path().join("bad.toml");
        for (text, words) in [
            ("listen = \"127.0.0.1:1\"", "bad.toml: `listen` is for a node's own file"),
            ("[[organization]]\nhome_domain = \"x\"", "no [[validator]]"),
            ("a\nb = ", "bad.toml:1: "),
            ("[[validator]]\nhome_domain = \"x.example\"", "it has 0 [[organization]] entries"),
            (
                "[[organization]]\nhome_domain = \"x.example\"\n[[validator]]\nhome_domain = \"delta.example\"",
                "not of x.example",
            ),
        ] {
            std::fs::write(&bad, text).unwrap();
            let args = args(&made, folder.path(), vec![bad.clone()]);
            let error = run(&args).unwrap_err();
            assert_eq!(error.exit, Exit::Data);
            assert!(error.message.contains(words) && error.message.contains("fba config publish"), "{error}");
            assert!(!args.dir.exists());
        }
    }

    #[test]
    fn only_a_colleague_may_bring_validators_of_the_own_organisation() {
        let folder = tempfile::tempdir().unwrap();
        let made = network(folder.path());
        let published = published(&made, folder.path());
        let Some((first, others)) = published.split_first() else { panic!("three organisations publish") };
        let alpha = Args {
            home_domain: Some(HomeDomain::new("alpha.example").unwrap()),
            name: Some(NodeName::new("second").unwrap()),
            ..args(&made, folder.path(), published.clone())
        };
        let error = run(&alpha).unwrap_err();
        assert!(error.message.contains("--colleague") && !alpha.dir.exists(), "{error}");
        let foreign = Args { colleague: others.to_vec(), ..alpha.clone() };
        assert!(run(&Args { published: Vec::new(), ..foreign }).unwrap_err().message.contains("without --colleague"));
        let colleague = Args { published: others.to_vec(), colleague: vec![first.clone()], ..alpha };
        run(&colleague).unwrap();
        let config = Config::load(&colleague.dir.join("node.toml"), Keys::Required).unwrap();
        let of_alpha = |known: &&crate::config::Known| {
            known.home_domain.as_ref().is_some_and(|domain| domain.as_str() == "alpha.example")
        };
        assert_eq!(config.trust.directory.values().filter(of_alpha).count(), 2);
    }

    #[test]
    fn two_nodes_of_one_name_are_said_with_the_line_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let made = network(folder.path());
        let published = published(&made, folder.path());
        let args = Args { name: Some(NodeName::new("alpha").unwrap()), ..args(&made, folder.path(), published) };
        let error = run(&args).unwrap_err();
        assert_eq!(error.exit, Exit::Config);
        for words in ["node.toml:", "a validator called alpha", "correct that, then `fba config check"] {
            assert!(error.message.contains(words), "{error}");
        }
    }
}
