//! Quorum sets from organisations and how much they are trusted, by the field's rules.
//!
//! The rules are those of stellar-core's automatic configuration:
//! 1. Organisations are sorted by quality, best first, then by home domain.
//! 2. Each organisation is an inner set of its validators that wants a majority of them, ⌊n/2⌋ + 1.
//! 3. A level is the organisations of one quality; if there are lower levels, they all together are one more member.
//! 4. A level wants all of its members if CRITICAL, otherwise n − ⌊(n − 1)/3⌋ of n.
//! 5. The whole is normalised.

use fba_core::{NodeId, QuorumSet, QuorumSetError};
use std::collections::BTreeMap;
use std::fmt;

/// The fewest validators of a HIGH or CRITICAL organisation: with fewer, one machine down takes it out.
pub const HIGH_VALIDATORS_MIN: usize = 3;

/// How much an organisation is trusted to run its validators well. Ascending.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Quality {
    /// Shares one vote with all others of its kind, one level below MEDIUM.
    Low,
    /// Shares one vote with all others of its kind, one level below HIGH.
    Medium,
    /// The level of organisations that are known to be run well; at least three validators.
    High,
    /// Nothing happens without it; at least three validators.
    Critical,
}

impl Quality {
    /// All, best first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The name as written in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }

    /// The quality of this name, written in capitals.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quality| quality.name() == name)
    }

    /// The fewest validators an organisation of this quality must have.
    #[must_use]
    pub const fn validators_min(self) -> usize {
        match self {
            Self::High | Self::Critical => HIGH_VALIDATORS_MIN,
            Self::Low | Self::Medium => 1,
        }
    }

    /// How many of `members` the level of this quality wants.
    #[must_use]
    pub const fn threshold(self, members: usize) -> usize {
        match self {
            Self::Critical => members,
            Self::High | Self::Medium | Self::Low => members - members.saturating_sub(1) / 3,
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Who runs which validators.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Organization {
    /// Its home domain, which names it.
    pub home_domain: String,
    /// How much it is trusted.
    pub quality: Quality,
    /// Its validators.
    pub validators: Vec<NodeId>,
}

/// A generated quorum set and how it came about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Generated {
    /// The set, normalised.
    pub quorum_set: QuorumSet,
    /// The levels, best first.
    pub levels: Vec<Level>,
    /// How likely each validator is to lead nomination, of 2^64−1. Every node with the same organisations computes the
    /// same weights, its own included.
    pub leader_weights: BTreeMap<NodeId, u64>,
}

/// One level of a generated quorum set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Level {
    /// The quality of its organisations.
    pub quality: Quality,
    /// Its organisations, by home domain.
    pub organizations: Vec<Majority>,
    /// The next lower level, which counts as one member.
    pub lower: Option<Quality>,
    /// How many of the members it wants.
    pub threshold: usize,
}

impl Level {
    /// How many members the level has: its organisations, and the lower levels together as one.
    #[must_use]
    pub fn members(&self) -> usize {
        self.organizations.len().saturating_add(usize::from(self.lower.is_some()))
    }
}

/// What is wanted of one organisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Majority {
    /// Its home domain.
    pub home_domain: String,
    /// How many of its validators.
    pub threshold: usize,
    /// How many it has.
    pub validators: usize,
}

/// Why no quorum set could be generated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GenerateError {
    /// Nobody is trusted.
    #[error("no validators: a quorum set needs at least one")]
    Empty,
    /// An organisation is given twice.
    #[error("organisation {0} is given twice")]
    DuplicateOrganization(String),
    /// Too few validators for the quality.
    #[error(
        "organisation {home_domain} is {quality} with {validators} validator(s): {quality} needs at least {}",
        .quality.validators_min()
    )]
    TooFewValidators {
        /// The organisation.
        home_domain: String,
        /// Its quality.
        quality: Quality,
        /// How many validators it has.
        validators: usize,
    },
    /// The result would not be a sane quorum set.
    #[error(transparent)]
    QuorumSet(#[from] QuorumSetError),
}

/// The quorum set that trusts these organisations.
///
/// # Errors
/// See [`GenerateError`].
pub fn generate(organizations: &[Organization]) -> Result<Generated, GenerateError> {
    let mut levels: BTreeMap<Quality, BTreeMap<&str, &[NodeId]>> = BTreeMap::new();
    let mut domains = std::collections::BTreeSet::new();
    for organization in organizations {
        let Organization { home_domain, quality, validators } = organization;
        if validators.len() < quality.validators_min() {
            let (home_domain, validators) = (home_domain.clone(), validators.len());
            return Err(GenerateError::TooFewValidators { home_domain, quality: *quality, validators });
        }
        if !domains.insert(home_domain) {
            return Err(GenerateError::DuplicateOrganization(home_domain.clone()));
        }
        levels.entry(*quality).or_default().insert(home_domain, validators);
    }
    // From the lowest level up: each holds the one below as its last member.
    let mut below: Option<(Quality, QuorumSet)> = None;
    let mut steps = Vec::new();
    for (quality, organizations) in levels {
        let mut members = organizations.values().map(|nodes| majority_of(nodes)).collect::<Result<Vec<_>, _>>()?;
        let lower = below.as_ref().map(|(quality, _)| *quality);
        members.extend(below.take().map(|(_, set)| set));
        let threshold = quality.threshold(members.len());
        let majority = |(home_domain, nodes): (&&str, &&[NodeId])| Majority {
            home_domain: (*home_domain).to_owned(),
            threshold: majority(nodes.len()),
            validators: nodes.len(),
        };
        let organizations = organizations.iter().map(majority).collect();
        steps.push(Level { quality, organizations, lower, threshold });
        below = Some((quality, QuorumSet::new(count(threshold), Vec::new(), members)?));
    }
    steps.reverse();
    let (_, top) = below.ok_or(GenerateError::Empty)?;
    let leader_weights = leader_weights(organizations, &steps);
    Ok(Generated { quorum_set: top.normalized(), levels: steps, leader_weights })
}

/// Each organisation of a quality leads equally often, however many validators it runs; each lower quality a tenth as
/// often for every member of the one above (its lower levels counting as one), and LOW never.
fn leader_weights(organizations: &[Organization], levels: &[Level]) -> BTreeMap<NodeId, u64> {
    let mut by_quality: BTreeMap<Quality, u64> = BTreeMap::new();
    let mut weight = u64::MAX;
    for level in levels {
        let is_low = level.quality == Quality::Low;
        by_quality.insert(level.quality, if is_low { 0 } else { weight });
        let members = u64::try_from(level.organizations.len()).unwrap_or(u64::MAX).saturating_add(1);
        weight /= members.saturating_mul(10);
    }
    let of = |organization: &Organization| {
        let count = u64::try_from(organization.validators.len()).unwrap_or(u64::MAX).max(1);
        let weight = by_quality.get(&organization.quality).copied().unwrap_or(0) / count;
        organization.validators.iter().map(move |node| (*node, weight)).collect::<Vec<_>>()
    };
    organizations.iter().flat_map(of).collect()
}

fn majority_of(nodes: &[NodeId]) -> Result<QuorumSet, QuorumSetError> {
    QuorumSet::new(count(majority(nodes.len())), nodes.to_vec(), Vec::new())
}

const fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}

fn count(n: usize) -> u32 {
    // More than 2^32 is more than 1000 validators, which `QuorumSet::new` refuses.
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn org(home_domain: &str, quality: Quality, keys: &[u8]) -> Organization {
        let validators = keys.iter().map(|key| NodeId([*key; 32])).collect();
        Organization { home_domain: home_domain.to_owned(), quality, validators }
    }

    /// `t(member, …)`, nodes by the first byte of their key.
    fn text(set: &QuorumSet) -> String {
        let nodes = set.validators().iter().map(|node| node.0[0].to_string());
        let members: Vec<_> = nodes.chain(set.inner_sets().iter().map(text)).collect();
        format!("{}({})", set.threshold(), members.join(" "))
    }

    fn tree(organizations: &[Organization]) -> String {
        text(&generate(organizations).unwrap().quorum_set)
    }

    #[test]
    fn thresholds_of_a_level_are_the_fields() {
        let wanted = [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7)];
        for (members, threshold) in wanted {
            assert_eq!(Quality::High.threshold(members), threshold, "{members}");
            assert_eq!(Quality::Critical.threshold(members), members);
        }
    }

    #[test]
    fn equal_single_validators_become_a_flat_set() {
        let orgs: Vec<_> = (1..=4).map(|i| org(&format!("o{i}"), Quality::Medium, &[i])).collect();
        assert_eq!(tree(&orgs), "3(1 2 3 4)");
    }

    #[test]
    fn organisations_of_a_quality_lead_equally_often_and_lower_ones_seldom() {
        let orgs = [
            org("h1", Quality::High, &[1, 2, 3]),
            org("h2", Quality::High, &[4, 5, 6, 7]),
            org("h3", Quality::High, &[8, 9, 10]),
            org("m1", Quality::Medium, &[11]),
            org("l1", Quality::Low, &[12]),
        ];
        let weights = generate(&orgs).unwrap().leader_weights;
        let of = |key: u8| weights[&NodeId([key; 32])];
        assert_eq!((of(1), of(4)), (u64::MAX / 3, u64::MAX / 4));
        assert_eq!(of(11), u64::MAX / 40);
        assert_eq!(of(12), 0);
        let alone = generate(&[org("m", Quality::Medium, &[1])]).unwrap();
        assert_eq!(alone.leader_weights[&NodeId([1; 32])], u64::MAX);
    }

    #[test]
    fn one_organisation_wants_a_majority_of_its_own() {
        assert_eq!(tree(&[org("a", Quality::High, &[1, 2, 3])]), "2(1 2 3)");
        assert_eq!(tree(&[org("a", Quality::Medium, &[1, 2])]), "2(1 2)");
        assert_eq!(tree(&[org("a", Quality::Low, &[1])]), "1(1)");
    }

    #[test]
    fn lower_levels_are_one_member_of_the_level_above() {
        let orgs = [
            org("h1", Quality::High, &[1, 2, 3]),
            org("h2", Quality::High, &[4, 5, 6]),
            org("h3", Quality::High, &[7, 8, 9]),
            org("m1", Quality::Medium, &[10]),
            org("m2", Quality::Medium, &[11, 12]),
            org("l1", Quality::Low, &[13]),
        ];
        // HIGH: three organisations and MEDIUM: 3 of 4. MEDIUM: two organisations and LOW: 3 of 3.
        assert_eq!(tree(&orgs), "3(2(1 2 3) 2(4 5 6) 2(7 8 9) 3(10 13 2(11 12)))");
    }

    #[test]
    fn a_critical_level_wants_every_member() {
        let orgs = [
            org("c", Quality::Critical, &[1, 2, 3]),
            org("m1", Quality::Medium, &[4]),
            org("m2", Quality::Medium, &[5]),
            org("m3", Quality::Medium, &[6]),
            org("m4", Quality::Medium, &[7]),
        ];
        assert_eq!(tree(&orgs), "2(2(1 2 3) 3(4 5 6 7))");
    }

    #[test]
    fn levels_that_nobody_is_on_do_not_count() {
        let orgs = [org("c", Quality::Critical, &[1, 2, 3]), org("l", Quality::Low, &[4])];
        let generated = generate(&orgs).unwrap();
        assert_eq!(text(&generated.quorum_set), "2(4 2(1 2 3))");
        assert_eq!(
            generated.levels.iter().map(|level| level.quality).collect::<Vec<_>>(),
            [Quality::Critical, Quality::Low]
        );
    }

    /// Thirty validators of fourteen home domains on all four levels.
    #[test]
    fn thirty_validators_of_fourteen_domains_give_one_exact_tree() {
        let mut next = 0;
        let mut keys = |count: u8| -> Vec<u8> {
            next += count;
            (next - count + 1..=next).collect()
        };
        let mut orgs = Vec::new();
        let plan = [(Quality::Critical, 2, 3), (Quality::High, 4, 3), (Quality::Medium, 4, 2), (Quality::Low, 4, 1)];
        for (quality, organizations, validators) in plan {
            for i in 1..=organizations {
                orgs.push(org(&format!("{}{i}", quality.name().to_lowercase()), quality, &keys(validators)));
            }
        }
        assert_eq!((orgs.len(), orgs.iter().map(|org| org.validators.len()).sum::<usize>()), (14, 30));
        orgs.reverse(); // the order given does not matter
        let low = "3(27 28 29 30)";
        // Normal form: a member without validators of its own comes first.
        let medium = format!("4(2(19 20) 2(21 22) 2(23 24) 2(25 26) {low})");
        let high = format!("4({medium} 2(7 8 9) 2(10 11 12) 2(13 14 15) 2(16 17 18))");
        assert_eq!(tree(&orgs), format!("3({high} 2(1 2 3) 2(4 5 6))"));
    }

    #[test]
    fn what_cannot_be_generated_is_refused() {
        let few = generate(&[org("a", Quality::High, &[1, 2])]).unwrap_err();
        assert_eq!(few.to_string(), "organisation a is HIGH with 2 validator(s): HIGH needs at least 3");
        assert_eq!(generate(&[]), Err(GenerateError::Empty));
        let twice = [org("a", Quality::Low, &[1]), org("a", Quality::Medium, &[2])];
        assert_eq!(generate(&twice), Err(GenerateError::DuplicateOrganization("a".to_owned())));
        let shared = [org("a", Quality::Low, &[1]), org("b", Quality::Low, &[1])];
        assert!(matches!(generate(&shared), Err(GenerateError::QuorumSet(QuorumSetError::Duplicate(_)))));
    }

    proptest! {
        #[test]
        fn every_level_is_a_majority(
            plan in proptest::collection::vec((0usize..4, 1u8..5), 1..10)
        ) {
            let mut next = 0;
            let mut orgs = Vec::new();
            for (i, (quality, validators)) in plan.into_iter().enumerate() {
                let validators = validators.max(u8::try_from(Quality::ALL[quality].validators_min()).unwrap());
                let keys: Vec<u8> = (next..next + validators).collect();
                next += validators;
                orgs.push(org(&i.to_string(), Quality::ALL[quality], &keys));
            }
            prop_assert!(generate(&orgs).unwrap().quorum_set.has_majority_thresholds());
        }
    }
}
