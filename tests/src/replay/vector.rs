//! Checks inputs and results of the pure functions.

use super::form::{Envelope, SetForm};
use super::player::{Difference, Names};
use fba_core::{Hash, NodeId, QuorumSet, SenderSet, SlotIndex, leader, quorum_among};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A case of any of the files; which it is shows in its fields.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Case {
    Sanity {
        quorum_set: SetForm,
        hash: String,
        sane: bool,
        sane_extra_checks: bool,
        normalized: Option<SetForm>,
        normalized_hash: Option<String>,
        removed: Option<String>,
        normalized_without_removed: Option<SetForm>,
    },
    Slices {
        quorum_set: SetForm,
        cases: Vec<Slice>,
    },
    Weights {
        quorum_set: SetForm,
        weights: BTreeMap<String, u64>,
    },
    Quorums {
        local: String,
        quorum_sets: BTreeMap<String, SetForm>,
        cases: Vec<Quorum>,
    },
    Hashes {
        slot: u64,
        previous: String,
        round: u32,
        node: String,
        value: String,
        priority: u64,
        neighborhood: u64,
        value_hash: u64,
    },
    Order {
        old: Envelope,
        new: Envelope,
        is_newer: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Slice {
    set: Vec<String>,
    is_quorum_slice: bool,
    is_v_blocking: bool,
    closest_v_blocking: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Quorum {
    set: Vec<String>,
    quorum_set_missing: Vec<String>,
    is_quorum: bool,
}

/// Checks one case.
pub(super) fn check(nodes: &BTreeMap<String, String>, case: &Value) -> Result<(), Difference> {
    let failed = |what: String| Difference::new("vector", format!("  {what}\n  {case}"));
    let names = Names::of_nodes(nodes).map_err(failed)?;
    let case: Case = serde_json::from_value(case.clone()).map_err(|error| failed(error.to_string()))?;
    check_case(&names, &case).map_err(failed)
}

fn check_case(names: &Names, case: &Case) -> Result<(), String> {
    match case {
        Case::Sanity { .. } => check_sanity(names, case),
        Case::Slices { quorum_set, cases } => {
            let set = names.set(quorum_set)?;
            cases.iter().try_for_each(|case| check_slice(names, &set, case))
        }
        Case::Weights { quorum_set, weights } => {
            let set = names.set(quorum_set)?;
            weights.iter().try_for_each(|(name, weight)| same("weight", &set.weight(names.node(name)?), weight))
        }
        Case::Quorums { local, quorum_sets, cases } => {
            let mut sets = BTreeMap::new();
            for (name, form) in quorum_sets {
                sets.insert(name.clone(), names.set(form)?);
            }
            let local = sets.get(local).ok_or("the local node has no set")?;
            cases.iter().try_for_each(|case| check_quorum(names, local, &sets, case))
        }
        Case::Hashes { slot, previous, round, node, value, priority, neighborhood, value_hash } => {
            let (slot, previous, node) = (SlotIndex(*slot), names.value(previous)?, names.node(node)?);
            let value = names.value(value)?;
            same("priority", &leader::priority(slot, &previous, *round, node), priority)?;
            same("neighborhood", &leader::neighborhood(slot, &previous, *round, node), neighborhood)?;
            same("value hash", &leader::value_hash(slot, &previous, *round, &value), value_hash)
        }
        Case::Order { old, new, is_newer } => {
            let (old, new) = (names.statement(old, Hash::ZERO)?, names.statement(new, Hash::ZERO)?);
            same("is_newer", &new.is_newer_than(&old), is_newer)
        }
    }
}

fn check_sanity(names: &Names, case: &Case) -> Result<(), String> {
    let Case::Sanity {
        quorum_set,
        hash,
        sane,
        sane_extra_checks,
        normalized,
        normalized_hash,
        removed,
        normalized_without_removed,
    } = case
    else {
        return Ok(());
    };
    let set = names.set(quorum_set)?;
    same("hash", &set.hash().to_string(), hash)?;
    same("sane", &set.is_sane(), sane)?;
    let checked = QuorumSet::new(set.threshold(), set.validators().to_vec(), set.inner_sets().to_vec());
    let inner_sane = set.inner_sets().iter().all(QuorumSet::is_sane);
    same("accepted", &(checked.is_ok() && inner_sane), sane)?;
    same("sane_extra_checks", &(set.is_sane() && set.has_majority_thresholds()), sane_extra_checks)?;
    if let Some(form) = normalized {
        is_form(names, &set.normalized(), form)?;
    }
    if let Some(hash) = normalized_hash {
        same("normalized_hash", &set.normalized().hash().to_string(), hash)?;
    }
    if let (Some(removed), Some(form)) = (removed, normalized_without_removed) {
        is_form(names, set.without(names.node(removed)?).tree(), form)?;
    }
    Ok(())
}

fn check_slice(names: &Names, set: &QuorumSet, case: &Slice) -> Result<(), String> {
    let nodes = node_set(names, &case.set)?;
    same("is_quorum_slice", &set.is_slice(&nodes), &case.is_quorum_slice)?;
    same("is_v_blocking", &set.is_v_blocking(&nodes), &case.is_v_blocking)?;
    let closest = case.closest_v_blocking.iter().map(|name| names.node(name)).collect::<Result<Vec<_>, _>>()?;
    same("closest_v_blocking", &set.closest_v_blocking(&nodes), &closest)
}

fn check_quorum(
    names: &Names,
    local: &QuorumSet,
    sets: &BTreeMap<String, QuorumSet>,
    case: &Quorum,
) -> Result<(), String> {
    let mut senders = BTreeMap::new();
    for name in &case.set {
        let set = sets.get(name).filter(|_| !case.quorum_set_missing.contains(name));
        let set = set.map_or(SenderSet::Unresolved, |set| SenderSet::Known(Arc::new(set.clone())));
        senders.insert(names.node(name)?, set);
    }
    same("is_quorum", &quorum_among(local, &senders).is_some(), &case.is_quorum)
}

fn is_form(names: &Names, set: &QuorumSet, form: &SetForm) -> Result<(), String> {
    same("threshold", &set.threshold(), &form.threshold)?;
    let validators = form.validators.iter().map(|name| names.node(name)).collect::<Result<Vec<_>, _>>()?;
    same("validators", &set.validators().to_vec(), &validators)?;
    same("inner sets", &set.inner_sets().len(), &form.inner_sets.len())?;
    set.inner_sets().iter().zip(&form.inner_sets).try_for_each(|(set, form)| is_form(names, set, form))
}

fn node_set(names: &Names, list: &[String]) -> Result<BTreeSet<NodeId>, String> {
    list.iter().map(|name| names.node(name)).collect()
}

fn same<T: std::fmt::Debug + PartialEq>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: expected {theirs:?}, got {ours:?}")) }
}
