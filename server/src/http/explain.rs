//! Why the node is as it is: the herder's reasons with names, and in words.

use crate::herder::{self, ClockView, FailAt, Missing, MissingNode, Need, NodeState, Recovery, Said, Waits};
use crate::http::dto;
use crate::http::view::{Identity, Phase, SyncState, phase};
use crate::key::node_strkey;
use fba_core::NodeId;

/// A clock that differs from the network's by more than this is worth a word: NTP keeps one well below it.
const CLOCK_WARN_MS: u64 = 2_000;
/// Most members of one set that are named in a sentence.
const NAMES_MAX: usize = 8;

/// A sync state with its reasons.
pub(super) struct Explained {
    pub(super) sync: SyncState,
    pub(super) reason: Option<String>,
    pub(super) waits: Option<Box<dto::Waits>>,
    pub(super) recovery: Option<dto::Recovery>,
}

/// The state, and why.
pub(super) fn explained(sync: &herder::SyncState, identity: &Identity) -> Explained {
    let plain = |sync, reason| Explained { sync, reason, waits: None, recovery: None };
    match sync {
        herder::SyncState::Booting => plain(SyncState::Booting, Some("reading what is stored".to_owned())),
        herder::SyncState::Joining { waits } => {
            let reason = format!("nothing has closed since the start; {}", waits_text(waits, identity));
            waiting(SyncState::Joining, reason, waits, identity)
        }
        herder::SyncState::CatchingUp { from, to } => {
            plain(SyncState::CatchingUp, Some(format!("fetching ledgers {from} to {to}")))
        }
        herder::SyncState::Synced => plain(SyncState::Synced, None),
        herder::SyncState::Stuck { seconds, waits } => {
            let reason = format!("no ledger closed for {seconds} s; {}", waits_text(waits, identity));
            waiting(SyncState::Stuck, reason, waits, identity)
        }
        herder::SyncState::Recovering(recovery) => Explained {
            sync: SyncState::Recovering,
            reason: Some(recovery_text(recovery, identity)),
            waits: recovery.waits.as_ref().map(|waits| Box::new(waits_of(waits, identity))),
            recovery: Some(recovery_of(recovery)),
        },
        herder::SyncState::Diverged => {
            let reason = "this node's ledger is not the network's: it has stopped voting";
            plain(SyncState::Diverged, Some(reason.to_owned()))
        }
    }
}

fn waiting(sync: SyncState, reason: String, waits: &Waits, identity: &Identity) -> Explained {
    Explained { sync, reason: Some(reason), waits: Some(Box::new(waits_of(waits, identity))), recovery: None }
}

/// How the quorum set stands, and what would halt the node.
pub(super) fn quorum(view: &herder::View, identity: &Identity) -> dto::QuorumSummary {
    let own = view.quorum_set.nodes();
    let count = |state| view.nodes.iter().filter(|node| own.contains(&node.id) && node.state == state).count() as u64;
    let (fail_at, fail_with) = match &view.fail_at {
        FailAt::Nodes(nodes) => (Some(nodes.len() as u64), nodes.iter().map(|node| named(*node, identity)).collect()),
        FailAt::Never => (None, Vec::new()),
    };
    dto::QuorumSummary {
        agree: count(NodeState::Agree),
        delayed: count(NodeState::Delayed),
        disagree: count(NodeState::Disagree),
        missing: count(NodeState::Missing),
        fail_at,
        fail_with,
    }
}

/// The clock, and a warning if it is off.
pub(super) fn clock(clock: &ClockView, identity: &Identity) -> dto::Clock {
    let slip_ms = identity.parameters.clock_slip_ms;
    let off = clock.ahead_ms.filter(|ahead_ms| ahead_ms.unsigned_abs() > CLOCK_WARN_MS.min(slip_ms));
    let warning = off.map(|ahead_ms| {
        let by = seconds(ahead_ms.unsigned_abs());
        let (proposers, beyond) = (clock.proposers, ahead_ms.unsigned_abs() > slip_ms);
        let slip = seconds(slip_ms);
        let (side, effect) = match (ahead_ms > 0, beyond) {
            (true, true) => {
                ("behind", format!("; that is more than the {slip} allowed, so it refuses to nominate with them"))
            }
            (false, true) => {
                ("ahead of", format!("; that is more than the {slip} allowed, so they refuse what it proposes"))
            }
            (true, false) => ("behind", String::new()),
            (false, false) => ("ahead of", String::new()),
        };
        format!("the clock seems {by} {side} the network's (median of {proposers} proposers){effect}: set it by NTP")
    });
    dto::Clock { ahead_ms: clock.ahead_ms, proposers: clock.proposers as u64, warning }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

fn waits_of(waits: &Waits, identity: &Identity) -> dto::Waits {
    dto::Waits {
        slot: waits.slot.0,
        phase: phase(waits.phase, waits.round, waits.counter).name().to_owned(),
        round: waits.round,
        counter: waits.counter,
        peers: waits.peers as u64,
        needs: needs(waits.need).to_owned(),
        missing: waits.missing.as_ref().map(|missing| missing_of(missing, identity)),
    }
}

const fn needs(need: Need) -> &'static str {
    match need {
        Need::Heard => "heard",
        Need::Nominated => "nominated",
        Need::AtCounter => "at_counter",
        Need::Prepared => "prepared",
        Need::Committing => "committing",
        Need::Committed => "committed",
        Need::TxSet(_) => "tx_set",
    }
}

fn missing_of(missing: &Missing, identity: &Identity) -> dto::MissingSet {
    dto::MissingSet {
        organization: organization(missing, identity),
        threshold: missing.threshold,
        heard: missing.heard,
        members: missing.members,
        nodes: missing.nodes.iter().map(|node| missing_node(node, identity)).collect(),
        sets: missing.sets.iter().map(|set| missing_of(set, identity)).collect(),
    }
}

fn missing_node(missing: &MissingNode, identity: &Identity) -> dto::MissingNode {
    dto::MissingNode { node: node_strkey(missing.node), name: name(missing.node, identity), said: said(missing.said) }
}

fn recovery_of(recovery: &Recovery) -> dto::Recovery {
    let &Recovery { watched, wanted, must_pass_ms, seconds_left, clock_behind_ms, .. } = recovery;
    dto::Recovery { watched, wanted, must_pass_ms, seconds_left, clock_behind_ms }
}

/// `slot 812: needs 1 more of {beta-2 (nothing heard), beta-3 (at counter 2)} for organisation beta; heard 2 of 3 organisations at counter 4, prepare`
fn waits_text(waits: &Waits, identity: &Identity) -> String {
    let slot = waits.slot;
    let links = if waits.peers == 0 { "no peer is connected; " } else { "" };
    let missing = match (&waits.missing, waits.need) {
        (_, Need::TxSet(hash)) => {
            let short: String = hash.to_string().chars().take(12).collect();
            return format!("{links}slot {slot} is decided, but its transaction set {short} has not arrived yet");
        }
        (None, _) => return format!("{links}slot {slot}: everybody it needs is heard{}", stage(waits)),
        (Some(missing), _) => missing,
    };
    let Missing { threshold, heard, .. } = missing;
    let lacks = lacks(missing, identity);
    let unit = if missing.validators.is_empty() && threshold > &1 { " organisations or groups" } else { "" };
    format!("{links}slot {slot}: needs {lacks}; {} {heard} of {threshold}{unit}{}", verb(waits.need), stage(waits))
}

/// What the members counted have done.
const fn verb(need: Need) -> &'static str {
    match need {
        Need::Heard | Need::AtCounter | Need::TxSet(_) => "heard",
        Need::Nominated => "a value is accepted by",
        Need::Prepared => "the ballot is prepared at",
        Need::Committing => "votes to commit from",
        Need::Committed => "the commit is accepted by",
    }
}

fn stage(waits: &Waits) -> String {
    match phase(waits.phase, waits.round, waits.counter) {
        Phase::Idle => ", before nomination".to_owned(),
        Phase::Nominate => format!(" in nomination round {}", waits.round),
        ballot @ (Phase::Prepare | Phase::Confirm | Phase::Externalize) => {
            format!(" at counter {}, {}", waits.counter, ballot.name())
        }
    }
}

/// `1 more of {beta-2 (nothing heard), beta-3 (nothing heard)} for organisation beta`
fn lacks(missing: &Missing, identity: &Identity) -> String {
    if let ([], [only]) = (&*missing.nodes, &*missing.sets) {
        return lacks(only, identity);
    }
    let more = missing.threshold.saturating_sub(missing.heard);
    let nodes = missing.nodes.iter().map(|node| format!("{} ({})", name(node.node, identity), said(node.said)));
    let sets = missing.sets.iter().map(|set| match organization(set, identity) {
        Some(domain) => format!("organisation {domain} ({})", lacks_of_known(set, identity)),
        None => format!("a group ({})", lacks(set, identity)),
    });
    let mut members: Vec<String> = nodes.chain(sets).collect();
    let further = members.len().saturating_sub(NAMES_MAX);
    if further > 0 {
        members.truncate(NAMES_MAX);
        members.push(format!("{further} others"));
    }
    let of = organization(missing, identity).map(|domain| format!(" for organisation {domain}")).unwrap_or_default();
    format!("{more} more of {{{}}}{of}", members.join(", "))
}

/// The same where the organisation was just named.
fn lacks_of_known(missing: &Missing, identity: &Identity) -> String {
    let text = lacks(missing, identity);
    text.rsplit_once(" for organisation ").map_or(text.clone(), |(before, _)| before.to_owned())
}

fn said(said: Said) -> String {
    match said {
        Said::Nothing => "nothing heard".to_owned(),
        Said::Earlier(slot) => format!("last heard in slot {slot}"),
        Said::Later(slot) => format!("already in slot {slot}"),
        Said::Nominates => "nominates".to_owned(),
        Said::Prepares(counter) => format!("at counter {counter}"),
        Said::Confirms => "confirms".to_owned(),
        Said::Externalized => "has decided".to_owned(),
        Said::WaitsItself => "heard, but waits for others itself".to_owned(),
        Said::Silent => "this node, silent".to_owned(),
    }
}

fn recovery_text(recovery: &Recovery, identity: &Identity) -> String {
    let Recovery { watched, wanted, seconds_left, clock_behind_ms, waits, .. } = recovery;
    let mut text = format!(
        "the votes of this key were lost: it keeps silent until it cannot contradict itself any more; watched {watched} of \
         {wanted} slots"
    );
    if let Some(behind) = clock_behind_ms {
        text.push_str(&format!(
            "; the clock is {} behind the newest agreed close time and cannot be relied on: set it by NTP",
            seconds(*behind)
        ));
    }
    if let Some(left) = seconds_left {
        text.push_str(&format!("; about {left} s left"));
    }
    if let Some(waits) = waits {
        text.push_str(&format!(
            "; nothing closes: {}. If nothing can close without this node, wait for the others, give it a new key, or \
             read what `fba admin resume-voting` risks",
            waits_text(waits, identity)
        ));
    }
    text
}

fn named(node: NodeId, identity: &Identity) -> dto::NamedNode {
    dto::NamedNode { node: node_strkey(node), name: identity.names.get(&node).map(|known| known.name.clone()) }
}

pub(super) fn name(node: NodeId, identity: &Identity) -> String {
    let short = || format!("{}…", node_strkey(node).chars().take(8).collect::<String>());
    identity.names.get(&node).map_or_else(short, |known| known.name.clone())
}

/// The home domain all nodes of a level share, if they do.
fn organization(missing: &Missing, identity: &Identity) -> Option<String> {
    let mut domains = missing.validators.iter().map(|node| identity.names.get(node)?.organization.clone());
    let first = domains.next()??;
    domains.all(|domain| domain.as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::view::NodeName;
    use crate::ledger::Parameters;
    use fba_core::{Hash, SlotIndex};

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    /// alpha-1 … alpha-3 are nodes 1 to 3, beta-1 … beta-3 nodes 4 to 6.
    fn identity() -> Identity {
        let name = |byte: u8| {
            let (organization, number) = if byte < 4 { ("alpha", byte) } else { ("beta", byte - 3) };
            NodeName { name: format!("{organization}-{number}"), organization: Some(organization.to_owned()) }
        };
        Identity {
            node: node(1),
            network: Hash::ZERO,
            validator: true,
            names: (1..=6).map(|byte| (node(byte), name(byte))).collect(),
            parameters: Parameters::default(),
        }
    }

    fn beta() -> Missing {
        Missing {
            threshold: 2,
            members: 3,
            heard: 1,
            validators: vec![node(4), node(5), node(6)],
            nodes: vec![
                MissingNode { node: node(5), said: Said::Nothing },
                MissingNode { node: node(6), said: Said::Prepares(2) },
            ],
            sets: vec![],
        }
    }

    fn waits() -> Waits {
        let top = Missing { threshold: 3, members: 3, heard: 2, validators: vec![], nodes: vec![], sets: vec![beta()] };
        Waits {
            slot: SlotIndex(812),
            phase: fba_core::Phase::Prepare,
            round: 1,
            counter: 4,
            peers: 3,
            need: Need::AtCounter,
            missing: Some(top),
        }
    }

    #[test]
    fn a_stuck_slot_says_who_of_which_organisation_is_missing_and_at_what() {
        let reason = explained(&herder::SyncState::Stuck { seconds: 42, waits: Box::new(waits()) }, &identity()).reason;
        assert_eq!(
            reason.unwrap(),
            "no ledger closed for 42 s; slot 812: needs 1 more of {beta-2 (nothing heard), beta-3 (at counter 2)} for \
             organisation beta; heard 2 of 3 organisations or groups at counter 4, prepare"
        );
    }

    #[test]
    fn a_choice_of_several_is_named_as_one() {
        let mut waits = waits();
        let top = waits.missing.as_mut().unwrap();
        (top.heard, top.threshold) = (1, 2);
        top.validators = vec![node(9)];
        top.nodes = vec![MissingNode { node: node(9), said: Said::Earlier(SlotIndex(700)) }];
        let text = waits_text(&waits, &identity());
        let stranger = name(node(9), &identity());
        assert!(
            text.contains(&format!(
                "needs 1 more of {{{stranger} (last heard in slot 700), organisation beta (1 more of {{beta-2 (nothing heard), \
                 beta-3 (at counter 2)}})}}; heard 1 of 2 at counter 4"
            )),
            "{text}"
        );
    }

    #[test]
    fn a_node_alone_says_that_nobody_is_connected() {
        let alone = Waits { peers: 0, round: 0, counter: 0, need: Need::Heard, ..waits() };
        let reason = explained(&herder::SyncState::Joining { waits: Box::new(alone) }, &identity()).reason.unwrap();
        assert!(reason.contains("no peer is connected; slot 812: needs 1 more"), "{reason}");
        assert!(reason.ends_with("before nomination"), "{reason}");
    }

    #[test]
    fn recovery_says_how_far_it_is_and_what_holds_it_up() {
        let recovery = Recovery {
            watched: 3,
            wanted: 10,
            must_pass_ms: 0,
            seconds_left: Some(62),
            clock_behind_ms: None,
            waits: None,
        };
        let text = recovery_text(&recovery, &identity());
        assert!(text.ends_with("watched 3 of 10 slots; about 62 s left"), "{text}");
        let held =
            Recovery { seconds_left: None, clock_behind_ms: Some(300_000), waits: Some(Box::new(waits())), ..recovery };
        let text = recovery_text(&held, &identity());
        for part in ["the clock is 300.0 s behind", "nothing closes: slot 812", "fba admin resume-voting"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_named_with_its_side_and_effect() {
        let warning = |ahead_ms| clock(&ClockView { ahead_ms: Some(ahead_ms), proposers: 3 }, &identity()).warning;
        assert_eq!(warning(1_500), None);
        assert!(warning(-5_000).unwrap().starts_with("the clock seems 5.0 s ahead of the network's (median of 3"));
        let far = warning(300_000).unwrap();
        assert!(far.contains("300.0 s behind") && far.contains("more than the 60.0 s allowed"), "{far}");
        assert_eq!(clock(&ClockView::default(), &identity()).warning, None);
    }
}
