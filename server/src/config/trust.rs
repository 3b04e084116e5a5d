//! Whom this node trusts: organisations and validators, and the quorum set that follows from them or is given by hand.

use super::error::{Problem, Unsafe};
use super::names::{HomeDomain, HostPort, NodeName, OWN_NAME, shortened};
use super::raw::{Raw, RawOrganization, RawQuorumSet, RawValidator};
use super::source::Problems;
use super::tree;
use crate::key::{KeyError, node_from_strkey, node_strkey};
use fba_core::{NodeId, QuorumSet};
use quorum_tools::generate::{GenerateError, Generated, Organization, Quality, generate};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;

/// Whom a node trusts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trust {
    /// The quorum set the node declares, normalised.
    pub quorum_set: QuorumSet,
    /// Where it comes from.
    pub origin: QuorumSetOrigin,
    /// Everybody the file knows, this node included.
    pub directory: Directory,
}

/// Where a quorum set comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum QuorumSetOrigin {
    /// From the organisations and their qualities.
    Generated(Generated),
    /// Written by hand; with what the organisations would have given, if there are any.
    ByHand(Option<Generated>),
}

/// What the file says of the nodes it names, by key.
pub type Directory = BTreeMap<NodeId, Known>;

/// What the file says of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// What the file calls it.
    pub name: NodeName,
    /// Whose it is.
    pub home_domain: Option<HomeDomain>,
    /// Where it is reached.
    pub address: Option<HostPort>,
}

/// This node, as far as trust is concerned.
pub(super) struct Own {
    pub(super) id: NodeId,
    pub(super) is_validator: bool,
    pub(super) home_domain: Option<HomeDomain>,
    pub(super) name: Option<NodeName>,
}

type Organizations = BTreeMap<HomeDomain, (Range<usize>, Option<Quality>)>;

/// What the trust section comes to; `None` if something in it is wrong, which `problems` then holds. Also returns what
/// was unsafe, and accepted.
pub(super) fn resolve(
    raw: &Raw,
    own: &Own,
    accepted: &BTreeSet<Unsafe>,
    problems: &mut Problems<'_>,
) -> Option<(Trust, BTreeSet<Unsafe>)> {
    let organizations = organizations(&raw.organization, problems);
    let mut directory = validators(&raw.validator, &organizations, own, problems);
    if let Some(domain) = &own.home_domain {
        check_known(domain, &organizations, raw.home_domain.as_ref().map(Spanned::span), problems);
    }
    add_own(own, &mut directory);
    if !problems.is_empty() {
        return None; // what follows would complain of the same again
    }
    let wanted = raw.quorum_set.is_none();
    if let (true, true, Some(first)) = (wanted, organizations.is_empty(), raw.validator.first()) {
        problems.at(&first.span(), Problem::NoOrganizations);
        return None;
    }
    let generated = match generated(&organizations, &directory, own, wanted, problems) {
        Ok(generated) => generated,
        Err(Refused) => return None,
    };
    let Some(by_hand) = &raw.quorum_set else {
        let generated = generated?;
        let quorum_set = generated.quorum_set.clone();
        let origin = QuorumSetOrigin::Generated(generated);
        return Some((Trust { quorum_set, origin, directory }, BTreeSet::new()));
    };
    let mut hand =
        ByHand { own: own.id, directory: &directory, accepted, seen: BTreeMap::new(), used: BTreeSet::new() };
    let quorum_set = hand.build(by_hand, problems)?.normalized();
    let mut used = hand.used;
    if let Some(generated) = generated.as_ref().filter(|generated| generated.quorum_set != quorum_set) {
        if accepted.contains(&Unsafe::OverridesGenerated) {
            used.insert(Unsafe::OverridesGenerated);
        } else {
            let line = |set| tree::one_line(set, &directory);
            let (by_hand_set, generated) = (line(&quorum_set), line(&generated.quorum_set));
            problems.at(&by_hand.span(), Problem::OverridesGenerated { by_hand: by_hand_set, generated });
            return None;
        }
    }
    Some((Trust { quorum_set, origin: QuorumSetOrigin::ByHand(generated), directory }, used))
}

/// Already told.
struct Refused;

fn organizations(raw: &[Spanned<RawOrganization>], problems: &mut Problems<'_>) -> Organizations {
    let mut found = Organizations::new();
    for entry in raw {
        let (span, entry) = (entry.span(), entry.get_ref());
        let Some(domain) = &entry.home_domain else {
            problems.at(&span, Problem::Missing { key: "home_domain", example: "home_domain = \"alice.example\"" });
            continue;
        };
        let Some(domain) = problems.keep(&domain.span(), HomeDomain::parse(domain.get_ref())) else { continue };
        let quality = entry.quality.as_ref().and_then(|text| {
            let quality = Quality::from_name(text.get_ref());
            problems.keep(&text.span(), quality.ok_or_else(|| Problem::UnknownQuality(shortened(text.get_ref()))))
        });
        if let Some((first, _)) = found.get(&domain) {
            let (what, first) = (format!("organisation {domain}"), problems.line(first));
            problems.at(&span, Problem::Twice { what, first, rule: "each has one [[organization]] entry: remove one" });
        } else {
            found.insert(domain, (span, quality));
        }
    }
    found
}

fn check_known(
    domain: &HomeDomain,
    organizations: &Organizations,
    span: Option<Range<usize>>,
    problems: &mut Problems<'_>,
) {
    // Without any organisation a home domain is only a label.
    if organizations.is_empty() || organizations.contains_key(domain) {
        return;
    }
    let known = list(organizations.keys().map(HomeDomain::as_str));
    let problem = Problem::UnknownOrganization { found: domain.to_string(), known };
    match span {
        Some(span) => problems.at(&span, problem),
        None => problems.add(problem),
    }
}

fn validators(
    raw: &[Spanned<RawValidator>],
    organizations: &Organizations,
    own: &Own,
    problems: &mut Problems<'_>,
) -> Directory {
    let mut directory = Directory::new();
    let mut keys: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut names: BTreeMap<NodeName, usize> = BTreeMap::new();
    for entry in raw {
        let Some((id, known)) = validator(entry, organizations, problems) else { continue };
        let span = entry.span();
        let line = problems.line(&span);
        if let Some(first) = keys.insert(id, line) {
            let what = format!("the key of validator {} ({})", known.name, node_strkey(id));
            problems.at(&span, Problem::Twice { what, first, rule: "a node is one validator only: remove one entry" });
        } else if let Some(first) = names.insert(known.name.clone(), line) {
            let what = format!("a validator called {}", known.name);
            problems.at(&span, Problem::Twice { what, first, rule: "names tell nodes apart: rename one" });
        } else if id == own.id {
            own_entry(&known, own, &span, problems);
            directory.insert(id, known);
        } else {
            directory.insert(id, known);
        }
    }
    directory
}

fn validator(
    entry: &Spanned<RawValidator>,
    organizations: &Organizations,
    problems: &mut Problems<'_>,
) -> Option<(NodeId, Known)> {
    let (span, entry) = (entry.span(), entry.get_ref());
    let missing = |key, example| Problem::Missing { key, example };
    let name = problems.keep(&span, entry.name.as_ref().ok_or_else(|| missing("name", "name = \"alice-1\"")));
    let key =
        problems.keep(&span, entry.public_key.as_ref().ok_or_else(|| missing("public_key", "public_key = \"G…\"")));
    let name = name.and_then(|text| problems.keep(&text.span(), NodeName::parse(text.get_ref())));
    let key = key.and_then(|text| problems.keep(&text.span(), node_from_strkey(text.get_ref()).map_err(Problem::Key)));
    let address =
        entry.address.as_ref().and_then(|text| problems.keep(&text.span(), HostPort::parse("address", text.get_ref())));
    let home_domain = entry.home_domain.as_ref().and_then(|text| {
        let domain = problems.keep(&text.span(), HomeDomain::parse(text.get_ref()))?;
        check_known(&domain, organizations, Some(text.span()), problems);
        Some(domain)
    });
    let name = name?;
    if entry.home_domain.is_none() && !organizations.is_empty() {
        problems.at(&span, Problem::NoHomeDomain(name.to_string()));
    }
    Some((key?, Known { name, home_domain, address }))
}

/// This node's own entry must say what the rest of the file says.
fn own_entry(listed: &Known, own: &Own, span: &Range<usize>, problems: &mut Problems<'_>) {
    if !own.is_validator {
        problems.at(span, Problem::ListedWatcher);
    }
    if let (Some(listed), Some(own)) = (&listed.home_domain, &own.home_domain)
        && listed != own
    {
        let (listed, own) = (listed.to_string(), own.to_string());
        problems.at(span, Problem::OwnHomeDomainDiffers { listed, own });
    }
    if let Some(own) = own.name.as_ref().filter(|own| **own != listed.name) {
        let (listed, own) = (listed.name.to_string(), own.to_string());
        problems.at(span, Problem::OwnNameDiffers { listed, own });
    }
}

/// A node need not list itself: it is added under its own name and home domain.
fn add_own(own: &Own, directory: &mut Directory) {
    let fallback = || {
        let key = node_strkey(own.id);
        let name = format!("node-{}", key.get(..8).unwrap_or(&key));
        NodeName::parse(&name).expect("letters, digits and a hyphen, and no key begins so")
    };
    let entry = directory.entry(own.id).or_insert_with(|| Known {
        name: own.name.clone().unwrap_or_else(fallback),
        home_domain: None,
        address: None,
    });
    entry.home_domain = entry.home_domain.take().or_else(|| own.home_domain.clone());
}

/// The quorum set that follows from the organisations. With `wanted` false, there is one by hand: this is only for
/// comparison then, and missing when the file does not say enough for it.
fn generated(
    organizations: &Organizations,
    directory: &Directory,
    own: &Own,
    wanted: bool,
    problems: &mut Problems<'_>,
) -> Result<Option<Generated>, Refused> {
    if organizations.is_empty() || (!wanted && organizations.values().any(|(_, quality)| quality.is_none())) {
        if wanted {
            problems.add(Problem::NobodyTrusted);
            return Err(Refused);
        }
        return Ok(None);
    }
    let own_domain = directory.get(&own.id).and_then(|known| known.home_domain.as_ref());
    if own.is_validator && own_domain.is_none() {
        problems.add(Problem::NoOwnHomeDomain);
        return Err(Refused);
    }
    let mut plan = Vec::new();
    for (domain, (span, quality)) in organizations {
        // A watcher is no validator of its organisation.
        let votes = |id: &NodeId| own.is_validator || *id != own.id;
        let members = directory.iter().filter(|(id, known)| votes(id) && known.home_domain.as_ref() == Some(domain));
        let validators: Vec<NodeId> = members.map(|(id, _)| *id).collect();
        match check_organization(domain, *quality, &validators, own) {
            Ok(quality) => plan.push(Organization { home_domain: domain.to_string(), quality, validators }),
            Err(problem) => problems.at(span, problem),
        }
    }
    if own.is_validator && organizations.values().all(|(_, quality)| *quality == Some(Quality::Low)) {
        // In the order of lines: the first entry.
        if let Some(first) = organizations.values().map(|(span, _)| span).min_by_key(|span| span.start) {
            problems.at(first, Problem::AllLow);
        }
    }
    if !problems.is_empty() {
        return Err(Refused);
    }
    match generate(&plan) {
        Ok(generated) => Ok(Some(generated)),
        Err(error) => {
            problems.add(of_generate(error));
            Err(Refused)
        }
    }
}

fn check_organization(
    domain: &HomeDomain,
    quality: Option<Quality>,
    validators: &[NodeId],
    own: &Own,
) -> Result<Quality, Problem> {
    let home_domain = domain.to_string();
    let quality = quality.ok_or_else(|| Problem::NoQuality(home_domain.clone()))?;
    if validators.is_empty() {
        return Err(Problem::NoValidators(home_domain));
    }
    if validators.len() < quality.validators_min() {
        let own = validators.contains(&own.id);
        return Err(Problem::TooFewValidators { home_domain, quality, validators: validators.len(), own });
    }
    Ok(quality)
}

fn of_generate(error: GenerateError) -> Problem {
    match error {
        GenerateError::QuorumSet(error) => Problem::QuorumSet(error),
        // Organisations come from a map, and were counted.
        other @ (GenerateError::Empty
        | GenerateError::DuplicateOrganization(_)
        | GenerateError::TooFewValidators { .. }) => unreachable!("organisations were checked before: {other}"),
    }
}

/// Builds a quorum set written by hand.
struct ByHand<'a> {
    own: NodeId,
    directory: &'a Directory,
    accepted: &'a BTreeSet<Unsafe>,
    /// Where each node was first listed.
    seen: BTreeMap<NodeId, usize>,
    used: BTreeSet<Unsafe>,
}

impl ByHand<'_> {
    fn build(&mut self, raw: &Spanned<RawQuorumSet>, problems: &mut Problems<'_>) -> Option<QuorumSet> {
        let (span, set) = (raw.span(), raw.get_ref());
        let validators: Vec<_> = set.validators.iter().map(|text| self.member(text, problems)).collect();
        let inner: Vec<_> = set.inner.iter().map(|set| self.build(set, problems)).collect();
        let members = u32::try_from(validators.len().saturating_add(inner.len())).unwrap_or(u32::MAX);
        let Some(threshold) = &set.threshold else {
            problems.at(&span, Problem::Missing { key: "threshold", example: "threshold = 3" });
            return None;
        };
        let (span, threshold) = (threshold.span(), *threshold.get_ref());
        self.check_threshold(threshold, members, &span, problems)?;
        let validators = validators.into_iter().collect::<Option<Vec<_>>>()?;
        let inner = inner.into_iter().collect::<Option<Vec<_>>>()?;
        let built = QuorumSet::new(threshold, validators, inner);
        problems.keep(&raw.span(), built.map_err(Problem::QuorumSet))
    }

    fn member(&mut self, text: &Spanned<String>, problems: &mut Problems<'_>) -> Option<NodeId> {
        let (span, text) = (text.span(), text.get_ref().as_str());
        let named = || self.directory.iter().find(|(_, known)| known.name.as_str() == text).map(|(id, _)| *id);
        let id = if text == OWN_NAME { Some(self.own) } else { named().or_else(|| node_from_strkey(text).ok()) };
        let Some(id) = id else {
            // What is meant as a key is told as one; a seed is never repeated.
            if let Err(error @ (KeyError::Mistyped(_) | KeyError::SeedForKey)) = node_from_strkey(text) {
                problems.at(&span, Problem::Key(error));
                return None;
            }
            let known = list(self.directory.values().map(|known| known.name.as_str()));
            problems.at(&span, Problem::UnknownMember { found: shortened(text), known });
            return None;
        };
        let line = problems.line(&span);
        if let Some(first) = self.seen.insert(id, line) {
            let what = format!("{} in this quorum set", tree::name(id, self.directory));
            problems.at(&span, Problem::Twice { what, first, rule: "a node stands in one place only: remove one" });
            return None;
        }
        Some(id)
    }

    fn check_threshold(
        &mut self,
        threshold: u32,
        members: u32,
        span: &Range<usize>,
        problems: &mut Problems<'_>,
    ) -> Option<()> {
        let majority = (members / 2).saturating_add(1);
        if members == 0 {
            problems.at(span, Problem::NoMembers);
            return None;
        }
        if !(1..=members).contains(&threshold) {
            problems.at(span, Problem::Threshold { threshold, members, majority });
            return None;
        }
        if threshold < majority {
            if !self.accepted.contains(&Unsafe::ThresholdBelowMajority) {
                problems.at(span, Problem::BelowMajority { threshold, members, majority });
                return None;
            }
            self.used.insert(Unsafe::ThresholdBelowMajority);
        }
        Some(())
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<_> = names.collect();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
