//! The peers that ledgers are fetched from: who is asked what, how fast each answers, who is left alone for a while.

use fba_core::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long a peer has to answer whose speed is not known.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);
/// A peer has this many times as long as it took until now ...
const PATIENCE_TIMES: u32 = 4;
/// ... but no less than this, because a commit may be in its way, ...
const PATIENCE_MIN: Duration = Duration::from_millis(500);
/// ... and no more: a 4 MiB answer at 7 Mbit/s.
const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// A peer that has nothing for us now is left alone so long.
const REST: Duration = Duration::from_secs(1);
/// A peer that does not answer in time is left alone twice as long each time, up to this.
const REST_MAX: Duration = Duration::from_secs(64);
/// Answers that may still come after their time, from one peer.
const LATE_MAX: usize = 2;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Headers,
    Bodies,
}

/// A question to one peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    /// The first ledger.
    pub(crate) from: u64,
    /// How many.
    pub(crate) count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    ask: Ask,
    since: Duration,
    deadline: Duration,
}

#[derive(Clone, Debug, Default)]
struct Source {
    pending: Option<Pending>,
    late: VecDeque<Pending>,
    /// Not asked before this.
    rests_until: Duration,
    /// Deadlines missed in a row.
    missed: u32,
    /// How long answers take, the last ones counting most.
    takes: Option<Duration>,
}

impl Source {
    fn patience(&self) -> Duration {
        let known = |takes: Duration| (takes * PATIENCE_TIMES).clamp(PATIENCE_MIN, PATIENCE_MAX);
        self.takes.map_or(FIRST_PATIENCE, known)
    }

    fn answered(&mut self, now: Duration, pending: Pending) {
        let took = now.saturating_sub(pending.since);
        self.takes = Some(self.takes.map_or(took, |takes| (takes * 3 + took) / 4));
        (self.missed, self.rests_until) = (0, Duration::ZERO);
    }
}

/// All of them, one question to each at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    known: BTreeMap<NodeId, Source>,
    /// Dropped for a lie; until the link is gone.
    liars: BTreeSet<NodeId>,
}

impl Sources {
    /// A peer that may be asked now: one that answers; of those, one whose speed is not known, else the fastest.
    pub(crate) fn free(&self, now: Duration, peers: &BTreeSet<NodeId>) -> Option<NodeId> {
        let free = peers.iter().filter(|peer| !self.liars.contains(peer));
        let free = free.filter(|peer| {
            self.known.get(peer).is_none_or(|source| source.pending.is_none() && source.rests_until <= now)
        });
        free.min_by_key(|peer| self.known.get(peer).map_or((0, None), |source| (source.missed, source.takes))).copied()
    }

    pub(crate) fn ask(&mut self, now: Duration, peer: NodeId, ask: Ask) {
        let source = self.known.entry(peer).or_default();
        source.pending = Some(Pending { ask, since: now, deadline: now + source.patience() });
    }

    /// How many peers are asked now.
    pub(crate) fn busy(&self) -> usize {
        self.known.values().filter(|source| source.pending.is_some()).count()
    }

    /// Questions whose time is over. The answers may still come.
    pub(crate) fn overdue(&mut self, now: Duration) -> Vec<(NodeId, Ask)> {
        let mut overdue = Vec::new();
        for (peer, source) in &mut self.known {
            let Some(pending) = source.pending.take_if(|pending| pending.deadline <= now) else { continue };
            overdue.push((*peer, pending.ask));
            source.late.push_back(pending);
            if source.late.len() > LATE_MAX {
                source.late.pop_front();
            }
            source.missed = source.missed.saturating_add(1);
            source.rests_until = now + (REST * 2u32.saturating_pow(source.missed)).min(REST_MAX);
        }
        overdue
    }

    /// The question this answer belongs to: the one with its first ledger; the oldest, if it is empty.
    pub(crate) fn answered(&mut self, now: Duration, peer: NodeId, kind: Kind, first: Option<u64>) -> Option<Ask> {
        let source = self.known.get_mut(&peer)?;
        let fits = |ask: &Ask| ask.kind == kind && first.is_none_or(|first| first == ask.from);
        let late = source.late.iter().position(|pending| fits(&pending.ask));
        let pending = late
            .and_then(|index| source.late.remove(index))
            .or_else(|| source.pending.take_if(|pending| fits(&pending.ask)))?;
        if first.is_some() {
            source.answered(now, pending);
        } else {
            source.rests_until = source.rests_until.max(now + REST);
        }
        Some(pending.ask)
    }

    /// Never asked again on this link.
    pub(crate) fn lied(&mut self, peer: NodeId) {
        self.known.remove(&peer);
        self.liars.insert(peer);
    }

    pub(crate) fn forget(&mut self, peer: NodeId) {
        self.known.remove(&peer);
        self.liars.remove(&peer);
    }

    /// When the next question is overdue, or the next peer has rested.
    pub(crate) fn due(&self, now: Duration, peers: &BTreeSet<NodeId>) -> Option<Duration> {
        let due = |source: &Source| match &source.pending {
            Some(pending) => Some(pending.deadline),
            None => (source.rests_until > now).then_some(source.rests_until),
        };
        self.known.iter().filter(|(peer, _)| peers.contains(peer)).filter_map(|(_, source)| due(source)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Ask = Ask { kind: Kind::Bodies, from: 7, count: 3 };

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_peer_whose_speed_is_known_gets_a_small_multiple_of_it() {
        let (mut sources, peers) = (Sources::default(), BTreeSet::from([node(1)]));
        sources.ask(ms(0), node(1), ASK);
        assert_eq!((sources.free(ms(0), &peers), sources.due(ms(0), &peers)), (None, Some(FIRST_PATIENCE)));
        assert_eq!(sources.answered(ms(20), node(1), Kind::Bodies, Some(7)), Some(ASK));
        sources.ask(ms(20), node(1), ASK);
        assert_eq!(sources.due(ms(20), &peers), Some(ms(20) + PATIENCE_MIN));
        assert_eq!(sources.overdue(ms(519)), []);
        assert_eq!(sources.overdue(ms(520)), [(node(1), ASK)]);
        assert_eq!(sources.free(ms(2_519), &peers), None, "it is left alone for a while");
        assert_eq!(sources.free(ms(2_520), &peers), Some(node(1)));
    }

    #[test]
    fn a_late_answer_still_counts_and_ends_the_rest() {
        let (mut sources, peers) = (Sources::default(), BTreeSet::from([node(1)]));
        sources.ask(ms(0), node(1), ASK);
        assert_eq!(sources.overdue(ms(2_000)).len(), 1);
        assert_eq!(sources.answered(ms(3_000), node(1), Kind::Headers, Some(7)), None, "not asked for");
        assert_eq!(sources.answered(ms(3_000), node(1), Kind::Bodies, Some(7)), Some(ASK));
        assert_eq!(sources.answered(ms(3_000), node(1), Kind::Bodies, Some(7)), None, "only once");
        assert_eq!(sources.free(ms(3_000), &peers), Some(node(1)));
        sources.ask(ms(3_000), node(1), ASK);
        assert_eq!(sources.due(ms(3_000), &peers), Some(ms(8_000)), "it is known to be slow");
    }

    #[test]
    fn a_mute_peer_is_asked_less_and_less_and_the_unknown_and_the_fast_come_first() {
        let (mut sources, mut peers) = (Sources::default(), BTreeSet::from([node(1)]));
        let (mut now, mut rests) = (ms(0), Vec::new());
        for _ in 0..8 {
            sources.ask(now, node(1), ASK);
            now += FIRST_PATIENCE;
            assert_eq!(sources.overdue(now).len(), 1);
            let until = sources.due(now, &peers).unwrap();
            rests.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(rests, [2, 4, 8, 16, 32, 64, 64, 64]);
        peers.extend([node(2), node(3)]);
        for (peer, took) in [(2, 30), (3, 10)] {
            sources.ask(now, node(peer), ASK);
            assert!(sources.answered(now + ms(took), node(peer), Kind::Bodies, Some(7)).is_some());
        }
        peers.remove(&node(1));
        assert_eq!(sources.free(now, &peers), Some(node(3)));
        peers.insert(node(4));
        assert_eq!(sources.free(now, &peers), Some(node(4)));
        sources.lied(node(4));
        assert_eq!(sources.free(now, &peers), Some(node(3)));
    }
}
