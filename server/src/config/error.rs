//! What can be wrong with a configuration. Every message says what, the rule with its numbers, and a way out.

use crate::cli::exit::Exit;
use crate::key::KeyError;
use fba_core::QuorumSetError;
use quorum_tools::generate::Quality;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Everything wrong with one configuration file. Shown as `file:line: what`, one to a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, in the order of lines. Never empty.
    pub problems: Vec<Located>,
}

/// A problem and where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Located {
    /// The line, from 1; `None` when it is about the file as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

impl ConfigErrors {
    pub(super) fn whole_file(file: &Path, problem: Problem) -> Self {
        Self { file: file.to_owned(), problems: vec![Located { line: None, problem }] }
    }

    /// The exit code: 74 or 77 when the file, or one it names, cannot be read, else 78.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let permission = |located: &Located| located.problem.exit() == Exit::Permission;
        match self.problems.as_slice() {
            [only] => only.problem.exit(),
            several if several.iter().all(permission) => Exit::Permission,
            _ => Exit::Config,
        }
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Located { line, problem }) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file.display())?;
            if let Some(line) = line {
                write!(f, "{line}:")?;
            }
            write!(f, " {problem}")?;
        }
        Ok(())
    }
}

/// A choice that is refused unless the file says in words that it is meant.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Unsafe {
    /// A level of the quorum set wants half of its members or fewer.
    ThresholdBelowMajority,
    /// Two quorums without a common node exist.
    NoQuorumIntersection,
    /// A quorum set by hand is not the one the organisations would give.
    OverridesGenerated,
}

impl Unsafe {
    /// All.
    pub const ALL: [Self; 3] = [Self::ThresholdBelowMajority, Self::NoQuorumIntersection, Self::OverridesGenerated];

    /// The words that accept it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::ThresholdBelowMajority => "threshold below majority",
            Self::NoQuorumIntersection => "no quorum intersection",
            Self::OverridesGenerated => "overrides generated quorum set",
        }
    }

    pub(super) fn from_words(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.words() == words)
    }

    fn all_words() -> String {
        Self::ALL.map(|choice| format!("{:?}", choice.words())).join(", ")
    }
}

/// One thing wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    // The file
    /// No text to be had: what kind of failure, and its text.
    #[error("cannot be read: {1}; give the configuration of a node, such as `fba network init` writes")]
    Unreadable(io::ErrorKind, String),
    /// Beyond this many bytes.
    #[error("longer than {0} bytes: no configuration is; is it the right file?")]
    TooLarge(u64),
    /// Not text.
    #[error("not UTF-8 text, which TOML has to be; is it the right file?")]
    NotUtf8,
    /// TOML's own complaint.
    #[error("{0}; {advice}; docs/configuration.md lists every key", advice = advice(.0))]
    Toml(String),
    /// A key that must be there.
    #[error("`{key}` is missing; add for example: {example}")]
    Missing {
        /// The key.
        key: &'static str,
        /// A line to write.
        example: &'static str,
    },

    // Plain values
    /// Nothing between the quotes.
    #[error("`{0}` is empty; name a file or folder, relative to this file's folder or from the root")]
    Empty(&'static str),
    /// Not `ip:port`.
    #[error(
        "`{key}` is {text:?}: this node listens on an IP address and port, such as \"127.0.0.1:7001\" or \"[::]:7001\""
    )]
    NotASocket {
        /// The key.
        key: &'static str,
        /// What is there.
        text: String,
    },
    /// A number beyond its bounds.
    #[error("`{key}` is {value}: it can be {least} to {most}; remove the line for the default")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What is there.
        value: u64,
        /// The smallest that is allowed.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// Not a way to keep proofs.
    #[error(
        "`proofs` is {text}: write \"all\", or the number of the newest ledgers whose proofs are kept, from {least} on"
    )]
    NotProofs {
        /// What is there.
        text: String,
        /// The least number.
        least: u64,
    },
    /// Two listeners on one port.
    #[error("`listen` and `http` are both {0}: give each its own port")]
    SamePort(String),
    /// Not `host:port`.
    #[error(
        "`{key}` is {text:?}: expected host:port, such as \"node.example:7001\" or \"[::1]:7001\", port 1 to 65535"
    )]
    NotAHostPort {
        /// The key.
        key: &'static str,
        /// What is there.
        text: String,
    },
    /// Not `key@host:port`.
    #[error(
        "`preferred_peers` has {0:?}: expected the public key and address of a node, such as \"G…@node.example:7001\"; \
         without a key, use `known_peers`"
    )]
    NotAPreferredPeer(String),
    /// Not a host name.
    #[error("{0:?} is not a host name: write it without scheme, port and path, such as \"node.example\"")]
    NotAHost(String),
    /// Not a home domain.
    #[error("home domain {0:?}: at most 253 of a-z, 0-9, '-' and '.', such as \"alice.example\"")]
    NotAHomeDomain(String),
    /// Not a name.
    #[error(
        "name {0:?}: 1 to 64 of letters, digits, '-', '_' and '.', and neither \"self\" nor a public key; choose another"
    )]
    NotAName(String),
    /// Passphrase out of bounds.
    #[error("`network_passphrase` has {0} bytes; it has 1 to 256: write the passphrase of genesis.toml")]
    Passphrase(usize),
    /// Unknown words.
    #[error("`accept_unsafe` does not know {0:?}; the words are {all}", all = Unsafe::all_words())]
    UnknownWords(String),

    // Keys
    /// Not a public key, or a weak one.
    #[error("{0}")]
    Key(KeyError),
    /// The seed file cannot be used: the exit code, and a message that names it.
    #[error("{1}")]
    SeedFile(Exit, String),
    /// Nobody knows who this node is.
    #[error(
        "whose configuration is this? {seed_file} does not exist or was not to be read, and there is no `node_public_key`; \
         make a key with `fba keygen --out {seed_file}`, or add node_public_key = \"G…\""
    )]
    NoNodeKey {
        /// The seed file as named.
        seed_file: String,
    },
    /// The seed is another node's.
    #[error(
        "`node_public_key` is {stated}, but the seed in {seed_file} is that of {found}; name this node's own seed file, or correct \
         node_public_key"
    )]
    OtherNode {
        /// As the file says.
        stated: String,
        /// Of the seed.
        found: String,
        /// The seed file.
        seed_file: String,
    },

    // Genesis
    /// The genesis file cannot be used.
    #[error("genesis {path}: {why}; it is the file all nodes of the network have: ask another operator for it")]
    Genesis {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// Genesis of another network.
    #[error(
        "`network_passphrase` is {here:?}, but {path} is the genesis of {there:?}: this node would speak to another network; \
         take the genesis of your network, or the passphrase of that one"
    )]
    OtherNetwork {
        /// In this file.
        here: String,
        /// The genesis file.
        path: String,
        /// In the genesis file.
        there: String,
    },

    // Organisations and validators
    /// Not a quality.
    #[error("quality {0:?}: write LOW, MEDIUM, HIGH or CRITICAL, in capitals")]
    UnknownQuality(String),
    /// No quality.
    #[error(
        "organisation {0} has no quality, which generating a quorum set needs; add quality = \"MEDIUM\" (or LOW, HIGH, CRITICAL)"
    )]
    NoQuality(String),
    /// Twice the same.
    #[error("{what} is already on line {first}; {rule}")]
    Twice {
        /// What is there twice.
        what: String,
        /// The first line.
        first: usize,
        /// What to do.
        rule: &'static str,
    },
    /// Nobody in it.
    #[error("organisation {0} has no validators; add a [[validator]] with home_domain = \"{0}\", or remove it")]
    NoValidators(String),
    /// No such organisation.
    #[error("no [[organization]] has home domain {found}; there are: {known}; correct it, or add that organisation")]
    UnknownOrganization {
        /// What is asked for.
        found: String,
        /// What there is.
        known: String,
    },
    /// Whose validator?
    #[error(
        "validator {0} has no home_domain; a generated quorum set needs to know whose it is; add home_domain = \"…\" with \
         that of an [[organization]]"
    )]
    NoHomeDomain(String),
    /// Whose node is this?
    #[error(
        "this validator has no `home_domain`, and a generated quorum set needs to know whose it is; \
         add home_domain = \"…\" with the home domain of one [[organization]]"
    )]
    NoOwnHomeDomain,
    /// Two minds about one's own organisation.
    #[error("this node is listed under {listed}, but its own home_domain is {own}: make them the same")]
    OwnHomeDomainDiffers {
        /// In `[[validator]]`.
        listed: String,
        /// Own.
        own: String,
    },
    /// Two minds about one's own name.
    #[error("this node is listed as {listed}, but its own node_name is {own}: make them the same")]
    OwnNameDiffers {
        /// In `[[validator]]`.
        listed: String,
        /// Own.
        own: String,
    },
    /// A watcher among the validators.
    #[error(
        "this node is listed as a validator, but node_is_validator = false: others would wait for votes it never casts; \
         remove its [[validator]] entry, or let it vote"
    )]
    ListedWatcher,
    /// Too few.
    #[error(
        "organisation {home_domain} is {quality} with {validators} validator(s){own}: {quality} needs at least {min}, \
         so that one can be down; add validators or make it MEDIUM",
        own = if *.own { ", this node among them" } else { "" },
        min = .quality.validators_min()
    )]
    TooFewValidators {
        /// The organisation.
        home_domain: String,
        /// Its quality.
        quality: Quality,
        /// How many it has.
        validators: usize,
        /// Is this node one of them?
        own: bool,
    },
    /// Only LOW.
    #[error("every organisation is LOW: a validator needs at least one it trusts more; make it MEDIUM or better")]
    AllLow,
    /// Nobody trusted.
    #[error("this file trusts nobody: add [[organization]] and [[validator]] entries, or a [quorum_set] by hand")]
    NobodyTrusted,
    /// Validators but no way to a quorum set.
    #[error(
        "there are validators but no [[organization]] to generate a quorum set from; add them, or a [quorum_set] by hand"
    )]
    NoOrganizations,

    // Quorum sets
    /// Nobody of that name.
    #[error(
        "quorum set names {found:?}, and no [[validator]] is called that; there are: {known}; correct it, or add that [[validator]]"
    )]
    UnknownMember {
        /// What is asked for.
        found: String,
        /// What there is.
        known: String,
    },
    /// Nobody in it.
    #[error("a quorum set without members can never be satisfied: list validators, or remove it")]
    NoMembers,
    /// Threshold out of range.
    #[error(
        "threshold {threshold} of {members} member(s): it is at least 1 and at most {members}; write {majority}, which is a majority, or more"
    )]
    Threshold {
        /// The threshold.
        threshold: u32,
        /// How many members.
        members: u32,
        /// The smallest safe one.
        majority: u32,
    },
    /// Too deep, or too many validators.
    #[error("{0}")]
    QuorumSet(QuorumSetError),
    /// Two of its slices may have nobody in common.
    #[error(
        "threshold {threshold} of {members} is below majority ({majority}): two halves could agree on different things; \
         use {majority} or more, or write accept_unsafe = [{words:?}]",
        words = Unsafe::ThresholdBelowMajority.words()
    )]
    BelowMajority {
        /// The threshold.
        threshold: u32,
        /// How many members.
        members: u32,
        /// The smallest safe one.
        majority: u32,
    },
    /// Two quorums.
    #[error(
        "no quorum intersection: if all trusted validators use this set, {a} and {b} could agree on different things; \
         raise thresholds, or write accept_unsafe = [{words:?}]",
        words = Unsafe::NoQuorumIntersection.words()
    )]
    Splits {
        /// One quorum, by names.
        a: String,
        /// The other.
        b: String,
    },
    /// Not what the organisations give.
    #[error(
        "[quorum_set] by hand, {by_hand}, is not what the organisations give, {generated}; remove it, or write \
         accept_unsafe = [{words:?}]",
        words = Unsafe::OverridesGenerated.words()
    )]
    OverridesGenerated {
        /// By hand, in one line.
        by_hand: String,
        /// Generated, in one line.
        generated: String,
    },
}

/// What to do about a complaint of the TOML parser, whose words do not say.
fn advice(message: &str) -> &'static str {
    match message {
        unknown if unknown.starts_with("unknown field") => "correct the name, or remove it",
        twice if twice.starts_with("duplicate key") => "keep one of the two",
        _ => "texts stand in \"quotes\", true, false and numbers do not",
    }
}

impl Problem {
    fn exit(&self) -> Exit {
        if let Self::Unreadable(kind, _) = self {
            return Exit::of_io(&io::Error::from(*kind));
        }
        if let Self::SeedFile(exit, _) = self { *exit } else { Exit::Config }
    }
}
