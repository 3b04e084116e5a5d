//! The configuration of a node: a TOML file in, a [`Config`] that cannot be wrong out.
//!
//! Every refusal names file, line, the rule with its numbers, and a way out, and one run names them all. Unsafe choices
//! are refused unless the file accepts them in words. `docs/configuration.md` lists every key.

mod error;
mod http_limits;
mod names;
mod overlay;
mod raw;
pub mod safety;
mod source;
pub mod tree;
mod trust;
mod warning;

#[cfg(test)]
mod tests;

pub use error::{ConfigErrors, Located, Problem, Unsafe};
pub use names::{HomeDomain, HostPort, NodeName, OWN_NAME};
pub use overlay::OverlaySettings;
pub use safety::{Intersection, Safety};
pub use trust::{Directory, Known, QuorumSetOrigin, Trust};
pub use warning::Warning;

use crate::cli::exit::Exit;
use crate::http::Limits;
use crate::key::{node_from_strkey, node_strkey};
use crate::ledger::Genesis;
use crate::store::{KeyFileError, LockError, ProofsKept, key_file};
use fba_core::NodeId;
use raw::Raw;
use source::{Problems, Source};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Where a node listens to peers unless told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:7001";

/// Where a node serves HTTP unless told otherwise.
const HTTP_DEFAULT: &str = "127.0.0.1:8001";

/// A checked configuration. Paths are resolved against the file's folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The file it comes from.
    pub file: PathBuf,
    /// This node.
    pub node: NodeId,
    /// Where this node's seed is.
    pub node_seed_file: PathBuf,
    /// Does it vote, or only watch?
    pub is_validator: bool,
    /// The network's passphrase, the same as in genesis.
    pub network_passphrase: String,
    /// The genesis file.
    pub genesis: PathBuf,
    /// Where peers are listened to.
    pub listen: SocketAddr,
    /// What peers are told to call.
    pub public_address: Option<HostPort>,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Names under which HTTP is served besides the loopback ones.
    pub http_hosts: Vec<String>,
    /// What HTTP clients may ask.
    pub http_limits: Limits,
    /// The folder of the database.
    pub data_dir: PathBuf,
    /// For how many ledgers proofs are kept.
    pub proofs: ProofsKept,
    /// Whom to call: preferred and known peers, and validators whose address is given. Never this node.
    pub peers: Vec<Peer>,
    /// Whom else to call, and whom to let in.
    pub overlay: OverlaySettings,
    /// Whom this node trusts.
    pub trust: Trust,
    /// What the quorum set can stand if everybody in it uses the same.
    pub safety: Safety,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// Whom to call.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Peer {
    /// Where.
    pub address: HostPort,
    /// Whose key it has to have, if that is known.
    pub key: Option<NodeId>,
}

/// How to learn which node a configuration is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keys {
    /// From the seed file, which must be there: to run.
    Required,
    /// From the seed file if there is one, else from `node_public_key`: to check.
    IfPresent,
    /// From `node_public_key`; the seed file is not touched: to check somewhere else.
    Ignored,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`ConfigErrors`]: everything that is wrong.
    pub fn load(file: &Path, keys: Keys) -> Result<Self, ConfigErrors> {
        let source = Source::read(file)?;
        let raw: Raw = source.parse()?;
        let mut problems = Problems::new(&source);
        let plain = Plain::read(&raw, &mut problems);
        let node = own_key(&raw, keys, &mut problems);
        let trusted = match (&plain, node) {
            (Some(plain), Some(node)) => plain.trusted(&raw, node, &mut problems),
            _ => None,
        };
        match (plain, node, trusted) {
            (Some(plain), Some(node), Some(trusted)) if problems.is_empty() => {
                Ok(plain.into_config(file.to_owned(), node, trusted))
            }
            _ => Err(problems.into_errors()),
        }
    }

    /// Reads the genesis file, which must be of the network this file names.
    ///
    /// # Errors
    /// [`ConfigErrors`] when it cannot be read, is wrong, or is another network's.
    pub fn load_genesis(&self) -> Result<Genesis, ConfigErrors> {
        let path = self.genesis.display().to_string();
        let refused = |why: String| Problem::Genesis { path: path.clone(), why };
        let read = || {
            let text = std::fs::read_to_string(&self.genesis).map_err(|error| refused(error.to_string()))?;
            let genesis = Genesis::from_toml(&text).map_err(|error| refused(error.to_string()))?;
            if genesis.passphrase == self.network_passphrase {
                return Ok(genesis);
            }
            let (here, there) = (self.network_passphrase.clone(), genesis.passphrase);
            Err(Problem::OtherNetwork { here, path: path.clone(), there })
        };
        read().map_err(|problem| ConfigErrors::whole_file(&self.file, problem))
    }

    /// What this file calls a node; the beginning of its key if it does not know it.
    #[must_use]
    pub fn name(&self, node: NodeId) -> String {
        tree::name(node, &self.trust.directory)
    }

    /// The home domain of this node.
    #[must_use]
    pub fn home_domain(&self) -> Option<&HomeDomain> {
        self.trust.directory.get(&self.node)?.home_domain.as_ref()
    }
}

/// Everything in the file but trust.
struct Plain {
    node_seed_file: PathBuf,
    is_validator: bool,
    home_domain: Option<HomeDomain>,
    name: Option<NodeName>,
    network_passphrase: String,
    genesis: PathBuf,
    listen: SocketAddr,
    public_address: Option<HostPort>,
    http: SocketAddr,
    http_hosts: Vec<String>,
    http_limits: Limits,
    data_dir: PathBuf,
    proofs: ProofsKept,
    known_peers: Vec<HostPort>,
    preferred_peers: Vec<Peer>,
    overlay: OverlaySettings,
    accepted: BTreeSet<Unsafe>,
}

/// Trust, what it can stand, and what of it was unsafe.
type Trusted = (Trust, Safety, BTreeSet<Unsafe>);

impl Plain {
    fn read(raw: &Raw, problems: &mut Problems<'_>) -> Option<Self> {
        let seed = path(problems, "node_seed_file", "node_seed_file = \"node.key\"", raw.node_seed_file.as_ref());
        let genesis = path(problems, "genesis", "genesis = \"genesis.toml\"", raw.genesis.as_ref());
        let data_dir = path(problems, "data_dir", "data_dir = \"data\"", raw.data_dir.as_ref());
        let is_validator =
            required(problems, "node_is_validator", "node_is_validator = true", raw.node_is_validator.as_ref());
        let passphrase = passphrase(problems, raw.network_passphrase.as_ref());
        let listen = socket(problems, "listen", LISTEN_DEFAULT, raw.listen.as_ref());
        let http = socket(problems, "http", HTTP_DEFAULT, raw.http.as_ref());
        if let (Some(listen), Some(http)) = (listen, http)
            && listen == http
            && listen.port() != 0
        {
            let problem = Problem::SamePort(listen.to_string());
            // One of the two is in the file: the defaults differ.
            match raw.http.as_ref().or(raw.listen.as_ref()) {
                Some(written) => problems.at(&written.span(), problem),
                None => problems.add(problem),
            }
        }
        let public_address =
            optional(problems, raw.public_address.as_ref(), |text| HostPort::parse("public_address", text));
        let home_domain = optional(problems, raw.home_domain.as_ref(), HomeDomain::parse);
        let name = optional(problems, raw.node_name.as_ref(), NodeName::parse);
        let (overlay, preferred_peers) = overlay::read(raw.overlay.as_ref(), problems);
        let words = |text: &str| Unsafe::from_words(text).ok_or_else(|| Problem::UnknownWords(names::shortened(text)));
        Some(Self {
            accepted: all(problems, &raw.accept_unsafe, words).into_iter().collect(),
            http_hosts: all(problems, &raw.http_hosts, names::http_host),
            http_limits: http_limits::read(raw.http_limits.as_ref(), problems),
            proofs: optional_proofs(problems, raw.history.proofs.as_ref()),
            known_peers: all(problems, &raw.known_peers, |text| HostPort::parse("known_peers", text)),
            preferred_peers,
            overlay,
            node_seed_file: seed?,
            is_validator: *is_validator?,
            home_domain,
            name,
            network_passphrase: passphrase?,
            genesis: genesis?,
            listen: listen?,
            public_address,
            http: http?,
            data_dir: data_dir?,
        })
    }

    fn trusted(&self, raw: &Raw, node: NodeId, problems: &mut Problems<'_>) -> Option<Trusted> {
        let own = trust::Own {
            id: node,
            is_validator: self.is_validator,
            home_domain: self.home_domain.clone(),
            name: self.name.clone(),
        };
        let (trust, mut used) = trust::resolve(raw, &own, &self.accepted, problems)?;
        let safety = safety::assess(safety::shared(node, &trust.quorum_set), &trust.directory);
        if let Intersection::Splits(a, b) = &safety.intersection {
            if !self.accepted.contains(&Unsafe::NoQuorumIntersection) {
                let names = |nodes: &[NodeId]| tree::names(nodes, &trust.directory);
                let problem = Problem::Splits { a: names(a), b: names(b) };
                match &raw.quorum_set {
                    Some(by_hand) => problems.at(&by_hand.span(), problem),
                    None => problems.add(problem),
                }
                return None;
            }
            used.insert(Unsafe::NoQuorumIntersection);
        }
        Some((trust, safety, used))
    }

    fn into_config(self, file: PathBuf, node: NodeId, (trust, safety, used): Trusted) -> Config {
        let peers = self.peers(node, &trust.directory);
        let mut warnings = self.trust_warnings(node, &trust, &safety, &used);
        warnings.extend(self.address_warnings(&peers, &trust, node));
        Config {
            file,
            node,
            node_seed_file: self.node_seed_file,
            is_validator: self.is_validator,
            network_passphrase: self.network_passphrase,
            genesis: self.genesis,
            listen: self.listen,
            public_address: self.public_address,
            http: self.http,
            http_hosts: self.http_hosts,
            http_limits: self.http_limits,
            data_dir: self.data_dir,
            proofs: self.proofs,
            peers,
            overlay: self.overlay,
            trust,
            safety,
            warnings,
        }
    }

    /// Those whose keys are known first, preferred ones before validators. An address given twice is called once.
    fn peers(&self, node: NodeId, directory: &Directory) -> Vec<Peer> {
        let own = directory.get(&node).and_then(|known| known.address.clone());
        let mut seen: BTreeSet<HostPort> = own.into_iter().chain(self.public_address.clone()).collect();
        let validators = directory.iter().filter_map(|(id, known)| {
            let address = known.address.clone()?;
            Some(Peer { address, key: Some(*id) })
        });
        let known = self.known_peers.iter().map(|address| Peer { address: address.clone(), key: None });
        let listed = self.preferred_peers.iter().cloned().chain(validators).chain(known);
        listed.filter(|peer| peer.key != Some(node) && seen.insert(peer.address.clone())).collect()
    }

    fn trust_warnings(&self, node: NodeId, trust: &Trust, safety: &Safety, used: &BTreeSet<Unsafe>) -> Vec<Warning> {
        let mut warnings: Vec<_> = used.iter().copied().map(Warning::AcceptedUnsafe).collect();
        warnings.extend(self.accepted.difference(used).copied().map(Warning::NotNeeded));
        let set = &trust.quorum_set;
        let listed = set.nodes();
        if safety::is_alone(node, set) {
            warnings.push(Warning::Alone);
            return warnings;
        }
        let one = |halting: &[String]| halting.first().filter(|_| halting.len() == 1).cloned();
        let organization = safety.halting_organizations.as_deref().and_then(one);
        match (organization, safety.halting_nodes.as_deref()) {
            // With one organisation it is plain that it is needed; what counts is how many of its nodes.
            (Some(organization), _) if safety.organizations > 1 => {
                let organizations = safety.organizations;
                warnings.push(Warning::HaltsWithOneOrganization { organization, organizations });
            }
            (_, Some([only])) => {
                warnings.push(Warning::HaltsWithOneNode { node: tree::name(*only, &trust.directory) });
            }
            (_, Some(_)) => {}
            (_, None) => warnings.push(Warning::SafetyUnknown),
        }
        if self.is_validator && !listed.contains(&node) {
            warnings.push(Warning::SelfNotListed);
        }
        let unused = trust.directory.iter().filter(|(id, _)| **id != node && !listed.contains(id));
        warnings.extend(unused.map(|(_, known)| Warning::NotTrusted(known.name.to_string())));
        warnings
    }

    fn address_warnings(&self, peers: &[Peer], trust: &Trust, node: NodeId) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if peers.is_empty() && !safety::is_alone(node, &trust.quorum_set) {
            warnings.push(Warning::NoPeers);
        }
        if !self.http.ip().is_loopback() {
            warnings.push(Warning::HttpReachable(self.http));
        }
        if !self.listen.ip().is_loopback() && self.public_address.is_none() {
            warnings.push(Warning::NoPublicAddress(self.listen));
        }
        warnings
    }
}

/// `"all"`, or a number of ledgers; all unless it says something else.
fn optional_proofs(problems: &mut Problems<'_>, value: Option<&Spanned<toml::Value>>) -> ProofsKept {
    let Some(value) = value else { return ProofsKept::All };
    let kept = match value.get_ref() {
        toml::Value::String(words) if words == "all" => Some(ProofsKept::All),
        toml::Value::Integer(number) => {
            let number = u64::try_from(*number).ok().filter(|number| *number >= ProofsKept::LEAST);
            number.and_then(NonZeroU64::new).map(ProofsKept::Newest)
        }
        toml::Value::String(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    };
    let text = || names::shortened(&value.get_ref().to_string());
    let kept = kept.ok_or_else(|| Problem::NotProofs { text: text(), least: ProofsKept::LEAST });
    problems.keep(&value.span(), kept).unwrap_or_default()
}

fn required<'r, T>(
    problems: &mut Problems<'_>,
    key: &'static str,
    example: &'static str,
    value: Option<&'r Spanned<T>>,
) -> Option<&'r T> {
    if value.is_none() {
        problems.add(Problem::Missing { key, example });
    }
    value.map(Spanned::get_ref)
}

fn path(
    problems: &mut Problems<'_>,
    key: &'static str,
    example: &'static str,
    value: Option<&Spanned<String>>,
) -> Option<PathBuf> {
    let text = required(problems, key, example, value)?;
    if text.is_empty() {
        problems.at(&value?.span(), Problem::Empty(key));
        return None;
    }
    Some(problems.resolve(text))
}

fn passphrase(problems: &mut Problems<'_>, value: Option<&Spanned<String>>) -> Option<String> {
    let example = "network_passphrase = \"the lunch network\"";
    let text = required(problems, "network_passphrase", example, value)?;
    if !(1..=256).contains(&text.len()) {
        problems.at(&value?.span(), Problem::Passphrase(text.len()));
        return None;
    }
    Some(text.clone())
}

fn socket(
    problems: &mut Problems<'_>,
    key: &'static str,
    default: &str,
    value: Option<&Spanned<String>>,
) -> Option<SocketAddr> {
    let Some(value) = value else { return Some(default.parse().expect("the defaults are addresses")) };
    let text = value.get_ref();
    let address = text.parse().map_err(|_| Problem::NotASocket { key, text: names::shortened(text) });
    problems.keep(&value.span(), address)
}

fn optional<T>(
    problems: &mut Problems<'_>,
    value: Option<&Spanned<String>>,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
) -> Option<T> {
    let value = value?;
    problems.keep(&value.span(), parse(value.get_ref()))
}

fn all<T>(
    problems: &mut Problems<'_>,
    values: &[Spanned<String>],
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Vec<T> {
    values.iter().filter_map(|value| problems.keep(&value.span(), parse(value.get_ref()))).collect()
}

/// Which node the file is for.
fn own_key(raw: &Raw, keys: Keys, problems: &mut Problems<'_>) -> Option<NodeId> {
    let stated = match &raw.node_public_key {
        Some(text) => {
            let key = node_from_strkey(text.get_ref()).map_err(Problem::Key);
            Some(problems.keep(&text.span(), key)?)
        }
        None => None,
    };
    let written = raw.node_seed_file.as_ref()?; // missing is told elsewhere
    let seed_file = problems.resolve(written.get_ref());
    let of_seed = match (keys, key_in(&seed_file, keys)) {
        (_, Ok(node)) => node,
        (_, Err(problem)) => {
            problems.at(&written.span(), problem);
            return None;
        }
    };
    let shown = || seed_file.display().to_string();
    match (stated, of_seed) {
        (Some(stated), Some(found)) if stated != found => {
            let (stated, found) = (node_strkey(stated), node_strkey(found));
            let problem = Problem::OtherNode { stated, found, seed_file: shown() };
            problems.at(&written.span(), problem);
            None
        }
        (stated, of_seed) => {
            let node = of_seed.or(stated);
            if node.is_none() {
                problems.at(&written.span(), Problem::NoNodeKey { seed_file: shown() });
            }
            node
        }
    }
}

/// The public half of the seed in a file; `None` if it is not to be read, or may be missing and is.
fn key_in(seed_file: &Path, keys: Keys) -> Result<Option<NodeId>, Problem> {
    if keys == Keys::Ignored {
        return Ok(None);
    }
    match key_file::read(seed_file) {
        Ok(secret) => Ok(Some(secret.node_id())),
        Err(KeyFileError::Io { source, .. })
            if keys == Keys::IfPresent && source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(Problem::SeedFile(exit_of(&error), error.to_string())),
    }
}

/// The exit code of a key file that cannot be used.
pub(crate) fn exit_of(error: &KeyFileError) -> Exit {
    match error {
        KeyFileError::Io { source, .. } => Exit::of_io(source),
        KeyFileError::Permissions { .. } | KeyFileError::NotRegular { .. } => Exit::Permission,
        KeyFileError::NotAKey { .. } => Exit::Data,
        KeyFileError::Exists { .. } => Exit::Io,
        KeyFileError::Lock(LockError::Io { source, .. }) => Exit::of_io(source),
        KeyFileError::Lock(_) => Exit::Unavailable,
    }
}
