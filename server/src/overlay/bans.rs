//! Who is banned, until when, and why. Sans-IO.
//!
//! A ban follows only from what a peer is proven to have done: bytes that no correct node sends, over a connection its
//! key has signed, or what the herder has checked (forged signatures, ledgers off the proven chain). Slowness, silence,
//! another version and another network never lead to one. Each further offence makes the next ban longer, until there
//! was none for a day.
//!
//! Peers we have chosen ourselves (configured ones and members of our own quorum set) are never banned for longer than
//! [`CHOSEN_MAX`]: if the mistake is ours, or one that a faulty release of theirs makes now and then, a longer ban of
//! those we need would halt this node, while a short one still costs them all but one try a minute.

use fba_core::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the first, second, … offence is banned for; the last one for all further ones.
const LADDER: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(6 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];
/// The longest ban that is not the operator's, of nodes we have chosen ourselves.
const CHOSEN_MAX: Duration = Duration::from_secs(60);
/// An offence so long after the last ban counts as the first again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Bans kept, with those that are over and count only if there is a next. Keys cost nothing, so this must be bounded;
/// a party with more of them is held off by the limits per address.
const BANS_MAX: usize = 1_000;
/// While so many changes wait to be written, no further node is added for an offence: fresh keys come faster than the
/// store takes rows. Its link ends all the same.
const CHANGED_MAX: usize = 4 * BANS_MAX;
/// Longest reason kept, in bytes.
const REASON_BYTES_MAX: usize = 200;

/// One ban.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ban {
    /// Who.
    pub node: NodeId,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Until when, in Unix milliseconds; `None`: until the operator lifts it.
    pub until_ms: Option<u64>,
    /// Why.
    pub reason: String,
    /// The proven offences that led to it, one after the other; 0 for a ban of the operator.
    pub offences: u32,
}

impl Ban {
    /// Is it the operator's?
    #[must_use]
    pub fn is_operators(&self) -> bool {
        self.offences == 0
    }

    /// How much of it is left; `None` if it is over.
    fn left(&self, now_ms: u64) -> Option<Duration> {
        let Some(until) = self.until_ms else {
            return Some(Duration::MAX);
        };
        let left = Duration::from_millis(until.checked_sub(now_ms).filter(|left| *left > 0)?);
        // After a clock was set back nobody serves longer than the ban was meant to be.
        let length = Duration::from_millis(until.saturating_sub(self.since_ms));
        (self.is_operators() || left <= length).then_some(left)
    }

    /// Is it still to be remembered?
    fn counts(&self, now_ms: u64) -> bool {
        let forgiven = |until: u64| until.saturating_add(millis(FORGIVEN_AFTER)) <= now_ms;
        self.left(now_ms).is_some() || !self.is_operators() && !self.until_ms.is_some_and(forgiven)
    }

    /// The first to go when there is no room: what is over, then what is ours, then what ends first.
    fn rank(&self, now_ms: u64) -> (bool, bool, u64) {
        (self.left(now_ms).is_some(), self.is_operators(), self.until_ms.unwrap_or(u64::MAX))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bans {
    by_node: BTreeMap<NodeId, Ban>,
    /// Changed since they were last asked for. The operator's (`false`) are first.
    changed: BTreeSet<(bool, NodeId)>,
}

impl Bans {
    /// With what an earlier process kept. Who is `chosen` now may not have been then.
    pub(super) fn new(kept: Vec<Ban>, now_ms: u64, chosen: impl Fn(NodeId) -> bool) -> Self {
        let latest = after(now_ms, CHOSEN_MAX);
        let shortened = |ban: Ban| {
            let is_long = ban.until_ms.is_none_or(|until| Some(until) > latest);
            if is_long && !ban.is_operators() && chosen(ban.node) { Ban { until_ms: latest, ..ban } } else { ban }
        };
        let counting = kept.into_iter().map(shortened).filter(|ban| ban.counts(now_ms)).take(BANS_MAX);
        Self { by_node: counting.map(|ban| (ban.node, ban)).collect(), changed: BTreeSet::new() }
    }

    /// Bans `node` for an offence that is proven; `chosen`: it is one of those this node chose itself. A ban that is in
    /// force stays as it is: what follows from one message, or was under way, is one offence. `None`: too many changes
    /// wait to be written, see [`CHANGED_MAX`].
    pub(super) fn offence(&mut self, node: NodeId, now_ms: u64, reason: &str, chosen: bool) -> Option<Ban> {
        let before = self.by_node.get(&node).filter(|ban| ban.counts(now_ms));
        if let Some(ban) = before.filter(|ban| ban.left(now_ms).is_some()) {
            return Some(ban.clone());
        }
        if self.changed.len() >= CHANGED_MAX && !self.by_node.contains_key(&node) {
            return None;
        }
        let offences = before.map_or(0, |ban| ban.offences).saturating_add(1);
        let step = usize::try_from(offences).unwrap_or(usize::MAX).min(LADDER.len()) - 1;
        let length = LADDER.get(step).copied().unwrap_or_default();
        let length = if chosen { length.min(CHOSEN_MAX) } else { length };
        let until_ms = after(now_ms, length);
        Some(self.put(now_ms, Ban { node, since_ms: now_ms, until_ms, reason: cut(reason), offences }))
    }

    /// The operator bans `node`, for ever if `length` is none; takes the place of any other ban.
    pub(super) fn ban(&mut self, node: NodeId, now_ms: u64, length: Option<Duration>, reason: &str) -> Ban {
        let until_ms = length.and_then(|length| after(now_ms, length));
        self.put(now_ms, Ban { node, since_ms: now_ms, until_ms, reason: cut(reason), offences: 0 })
    }

    /// Lifts the ban of `node` and forgets its offences. Was it banned?
    pub(super) fn unban(&mut self, node: NodeId, now_ms: u64) -> bool {
        let Some(ban) = self.by_node.remove(&node) else {
            return false;
        };
        // Only the operator lifts one.
        self.changed.insert((false, node));
        ban.left(now_ms).is_some()
    }

    /// The ban in force on `node`, and how much of it is left.
    pub(super) fn of(&self, node: NodeId, now_ms: u64) -> Option<(&Ban, Duration)> {
        let ban = self.by_node.get(&node)?;
        ban.left(now_ms).map(|left| (ban, left))
    }

    /// Those in force, ordered by key.
    pub(super) fn in_force(&self, now_ms: u64) -> Vec<Ban> {
        self.by_node.values().filter(|ban| ban.left(now_ms).is_some()).cloned().collect()
    }

    /// At most `most` that changed and were not taken yet, the operator's first; `None` for one that is no more.
    pub(super) fn take_changes(&mut self, most: usize) -> Vec<(NodeId, Option<Ban>)> {
        let some = std::iter::from_fn(|| self.changed.pop_first()).take(most);
        some.map(|(_, node)| (node, self.by_node.get(&node).cloned())).collect()
    }

    fn put(&mut self, now_ms: u64, ban: Ban) -> Ban {
        if self.by_node.len() >= BANS_MAX && !self.by_node.contains_key(&ban.node) {
            self.make_room(now_ms);
        }
        self.changed.insert((!ban.is_operators(), ban.node));
        self.by_node.insert(ban.node, ban.clone());
        ban
    }

    fn make_room(&mut self, now_ms: u64) {
        let Self { by_node, changed } = self;
        by_node.retain(|node, ban| {
            let counts = ban.counts(now_ms);
            if !counts {
                changed.insert((!ban.is_operators(), *node));
            }
            counts
        });
        let first = by_node.values().min_by_key(|ban| ban.rank(now_ms)).map(|ban| (!ban.is_operators(), ban.node));
        if by_node.len() >= BANS_MAX
            && let Some((ours, node)) = first
        {
            tracing::warn!(node = %crate::key::node_strkey(node), "more than {BANS_MAX} bans: its ban ends early");
            by_node.remove(&node);
            changed.insert((ours, node));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `None`, for ever, beyond what SQLite's integers hold.
fn after(now_ms: u64, length: Duration) -> Option<u64> {
    now_ms.checked_add(millis(length)).filter(|until| i64::try_from(*until).is_ok())
}

fn cut(reason: &str) -> String {
    let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    reason.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const DAY: u64 = 24 * 60 * MINUTE;

    fn node(n: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(bytes)
    }

    /// Offends again as soon as each ban is over; the lengths in minutes.
    fn lengths(chosen: bool, count: usize) -> Vec<u64> {
        let (mut bans, mut now) = (Bans::default(), 1_000);
        let mut one = || {
            let until = bans.offence(node(1), now, "forged", chosen).unwrap().until_ms.unwrap();
            let length = until - now;
            now = until;
            length / MINUTE
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn bans_grow_with_repetition_but_not_for_those_we_have_chosen() {
        assert_eq!(lengths(false, 7), [1, 10, 60, 360, 1_440, 1_440, 1_440]);
        assert_eq!(lengths(true, 4), [1, 1, 1, 1]);
    }

    #[test]
    fn what_is_said_during_a_ban_does_not_lengthen_it_and_a_good_day_is_rewarded() {
        let mut bans = Bans::default();
        let first = bans.offence(node(1), 0, "a forged signature", false).unwrap();
        assert_eq!(bans.offence(node(1), 5, "another", false).unwrap(), first);
        assert_eq!(bans.of(node(1), MINUTE - 1).unwrap().1, Duration::from_millis(1));
        assert!(bans.of(node(1), MINUTE).is_none() && bans.in_force(MINUTE).is_empty());
        assert_eq!(bans.offence(node(1), MINUTE + DAY, "again", false).unwrap().offences, 1);
        assert_eq!(bans.offence(node(1), 3 * MINUTE + DAY, "again", false).unwrap().offences, 2);
    }

    #[test]
    fn an_operators_ban_outlasts_everything_but_the_operator() {
        let mut bans = Bans::default();
        bans.ban(node(1), 0, None, "as agreed by phone");
        assert!(bans.offence(node(1), 1, "forged", false).unwrap().is_operators());
        assert!(bans.of(node(1), u64::MAX).is_some());
        assert!(bans.unban(node(1), 2) && !bans.unban(node(1), 2));
        assert!(bans.of(node(1), 2).is_none());
        bans.ban(node(1), 0, Some(Duration::MAX), "for very long");
        assert_eq!(bans.in_force(9).first().unwrap().until_ms, None);
    }

    #[test]
    fn no_flood_of_keys_grows_the_list_or_pushes_out_an_operators_ban() {
        let mut bans = Bans::default();
        bans.ban(node(0), 0, None, "by hand");
        for n in 1..3_000u16 {
            bans.offence(node(n), u64::from(n), &"x".repeat(10_000), false).unwrap();
        }
        assert_eq!(bans.in_force(3_000).len(), BANS_MAX);
        assert!(bans.of(node(0), 3_000).is_some() && bans.of(node(2_999), 3_000).is_some());
        assert!(bans.in_force(3_000).iter().all(|ban| ban.reason.len() <= REASON_BYTES_MAX));
    }

    #[test]
    fn no_flood_of_keys_grows_what_is_to_be_written_or_goes_before_an_operators_ban() {
        let mut bans = Bans::default();
        let kept = (1..60_000u16).filter_map(|n| bans.offence(node(n), u64::from(n), "forged", false)).count();
        assert!((BANS_MAX..=CHANGED_MAX).contains(&kept) && bans.changed.len() <= CHANGED_MAX);
        bans.ban(node(u16::MAX), 60_000, None, "by hand");
        assert_eq!(bans.take_changes(1).first().map(|(changed, _)| *changed), Some(node(u16::MAX)));
        let _written = bans.take_changes(usize::MAX);
        assert!(bans.offence(node(60_001), 60_001, "forged", false).is_some(), "there is room again");
    }

    #[test]
    fn what_was_kept_is_in_force_again_and_what_is_forgiven_is_not() {
        let mut before = Bans::default();
        before.offence(node(1), 0, "forged", false).unwrap();
        before.ban(node(2), 0, None, "by hand");
        let mut kept: Vec<Ban> = before.take_changes(usize::MAX).into_iter().filter_map(|(_, ban)| ban).collect();
        kept.sort_by_key(|ban| ban.node);
        assert!(before.take_changes(usize::MAX).is_empty());
        assert_eq!(Bans::new(kept.clone(), 1, |_| false).in_force(1), kept);
        let mut later = Bans::new(kept.clone(), 2 * MINUTE, |_| false);
        assert_eq!(later.offence(node(1), 2 * MINUTE, "again", false).unwrap().offences, 2);
        let forgiven = Bans::new(kept, 2 * DAY, |_| false);
        assert_eq!(forgiven.by_node.keys().copied().collect::<Vec<_>>(), [node(2)]);
    }

    #[test]
    fn a_clock_that_was_set_back_frees_whom_it_would_have_kept_for_years() {
        let mut bans = Bans::default();
        bans.offence(node(1), 1_000 * DAY, "forged", false).unwrap();
        assert!(bans.of(node(1), DAY).is_none());
        bans.offence(node(2), DAY, "forged", false).unwrap();
        assert!(bans.of(node(2), DAY - MINUTE).is_none(), "a minute that would have become two");
    }

    #[test]
    fn who_is_chosen_now_serves_no_long_ban_of_an_earlier_process() {
        let ban = |n, offences| Ban {
            node: node(n),
            since_ms: 0,
            until_ms: Some(DAY),
            reason: "forged".to_owned(),
            offences,
        };
        let bans = Bans::new(vec![ban(1, 5), ban(2, 5), ban(3, 0)], 5, |chosen| chosen != node(2));
        let left = |n| bans.of(node(n), 5).unwrap().1;
        assert_eq!(left(1), CHOSEN_MAX);
        assert!(left(2) > CHOSEN_MAX && left(3) > CHOSEN_MAX, "a stranger's, and the operator's");
    }
}
