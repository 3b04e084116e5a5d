//! Fetching the ledgers we lack.
//!
//! What a quorum decided in a later slot names the header before it. From there the headers are followed down to our
//! own last ledger before anything is applied; then the ledgers themselves are fetched in pieces, from several peers at
//! once, each held against the proven headers when it comes, and applied in order, a slice at a time. Everything here
//! is forgotten at a restart: what is stored is where the next start goes on. docs/protocol.md, Catching up.

mod chain;
mod pieces;
mod progress;
mod sources;
#[cfg(test)]
mod tests;

use super::decision::{Onlooker, Onlookers};
use super::{CatchUpView, Herder, Now, SLOTS_KEPT, Unproven};
use crate::ledger::{Header, LEDGER_ENTRY_BYTES_MAX, LedgerEntry, LedgerValue};
use crate::wire::{HEADERS_MAX, Message};
use chain::Chain;
use fba_core::{Hash, NodeId, Pledge, SlotIndex, Statement, Value};
use pieces::Pieces;
use progress::Progress;
use sources::{Ask, Kind, Sources};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// A short gap is left to the statements on their way for this long before anything is asked for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often one peer is asked for the next ledger because its transaction set cannot be had otherwise.
const NEXT_EVERY: Duration = Duration::from_secs(5);
/// Pages of headers asked for or waiting for those above them: 32 KiB each.
const PAGES_MAX: usize = 8;
/// Ledgers in one piece: empty ones make some 200 KiB, read in less than ten milliseconds.
const PIECE: u64 = 256;
/// Pieces asked for or waiting for those below them.
const PIECES_MAX: usize = 16;
/// Bytes of ledgers that may wait to be applied; each question counts as the longest answer it may bring. The piece
/// that is needed next is asked for in any case.
const WINDOW_BYTES: usize = 32 << 20;
/// What is applied between two flushes, in ledgers and transactions: some ten milliseconds, so that votes and peers do
/// not wait for longer. One ledger is applied in any case.
const SLICE: usize = 128;

/// How far catching up has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct CatchUp {
    onlookers: Onlookers,
    /// The newest slot above the open one that a quorum has decided.
    decided: Option<(SlotIndex, Value)>,
    /// Nodes heard in slots above the open one.
    ahead: BTreeSet<NodeId>,
    /// Do they block us? Then the open slot is decided, and nothing we said in it would be heard.
    behind: bool,
    chain: Chain,
    /// Hashes of a page's headers and of the one before it.
    headers: Pieces<Vec<Hash>>,
    bodies: Pieces<VecDeque<LedgerEntry>>,
    /// The next to be applied.
    ready: VecDeque<LedgerEntry>,
    sources: Sources,
    /// While ledgers are fetched.
    progress: Option<Progress>,
    /// What was applied since the last flush.
    applied: usize,
    next_asked: Option<Duration>,
    turn: u64,
}

impl CatchUp {
    /// Ledger `sequence` closed: what is behind it needs no proof any more.
    pub(crate) fn closed(&mut self, sequence: u64) {
        let open = SlotIndex(sequence).next();
        self.decided.take_if(|(slot, _)| *slot <= open);
        self.chain.closed(sequence);
        if !self.chain.is_joined() && self.headers.span().is_some_and(|(_, to)| to != self.chain.low()) {
            // The pages end where the chain began before: none of them would ever fit.
            self.headers.clear();
        }
        let first = self.ready.front().map(|entry| entry.header.sequence);
        let first = first.or(self.bodies.span().map(|(first, _)| first));
        if first.is_some_and(|first| first <= sequence) {
            // It closed without them.
            self.ready.clear();
            self.bodies.clear();
        }
    }

    /// What was applied is on its way to the store.
    pub(crate) fn flushed(&mut self) {
        self.applied = 0;
    }

    pub(crate) fn forget_peer(&mut self, peer: NodeId) {
        self.sources.forget(peer);
        self.headers.discard(peer);
        self.bodies.discard(peer);
    }

    pub(crate) fn forget_onlookers(&mut self) {
        self.onlookers.clear();
    }

    pub(crate) fn forget_decision(&mut self) {
        self.decided = None;
        self.onlookers.clear();
    }

    fn end(&mut self) {
        if self.progress.take().is_some() {
            self.chain = Chain::default();
            self.forget_pieces();
        }
    }

    fn forget_pieces(&mut self) {
        self.headers.clear();
        self.bodies.clear();
        self.ready.clear();
    }

    /// The next ledger, if it is here. It is on the proven chain.
    fn next_entry(&mut self, sequence: u64) -> Option<LedgerEntry> {
        if self.ready.is_empty() {
            self.ready = self.bodies.take_first(sequence)?;
        }
        let fits = self.ready.front().is_some_and(|entry| entry.header.sequence == sequence);
        fits.then(|| self.ready.pop_front()).flatten()
    }

    fn can_apply(&self, sequence: u64) -> bool {
        !self.ready.is_empty() || self.bodies.has_first(sequence)
    }

    fn want_headers(&mut self, above: u64) {
        while self.headers.len() < PAGES_MAX {
            let to = self.headers.span().map_or(self.chain.low(), |(first, _)| first.saturating_sub(1));
            if to <= above {
                break;
            }
            let from = to.saturating_sub(HEADERS_MAX as u64 - 1).max(above.saturating_add(1));
            self.headers.want(from, to);
        }
    }

    fn want_bodies(&mut self, above: u64) {
        while self.bodies.len() < PIECES_MAX {
            let next = above.saturating_add(self.ready.len() as u64);
            let from = self.bodies.span().map_or(next, |(_, last)| last).saturating_add(1);
            if from > self.chain.high() {
                break;
            }
            self.bodies.want(from, from.saturating_add(PIECE - 1).min(self.chain.high()));
        }
    }

    /// What to ask for next: headers from the top, ledgers from the bottom.
    fn next_ask(&self) -> Option<Ask> {
        if !self.chain.is_joined() {
            let (from, to) = self.headers.wanted().next_back()?;
            return Some(Ask { kind: Kind::Headers, from, count: to.saturating_sub(from).saturating_add(1) });
        }
        let (from, to) = self.bodies.wanted().next()?;
        let is_next = self.ready.is_empty() && self.bodies.span().is_some_and(|(first, _)| first == from);
        let bytes = self.bodies.bytes().saturating_add(self.sources.busy().saturating_mul(LEDGER_ENTRY_BYTES_MAX));
        let has_room = bytes.saturating_add(LEDGER_ENTRY_BYTES_MAX) <= WINDOW_BYTES;
        let count = to.saturating_sub(from).saturating_add(1);
        (is_next || has_room).then_some(Ask { kind: Kind::Bodies, from, count })
    }
}

impl Herder {
    /// A statement of a slot above the open one: has a quorum decided that slot?
    pub(super) fn look_ahead(&mut self, statement: &Statement) {
        let slot = statement.slot;
        if self.catchup.ahead.insert(statement.node) {
            self.catchup.behind = self.config.quorum_set.is_v_blocking(&self.catchup.ahead);
        }
        let is_known = self.catchup.decided.as_ref().is_some_and(|(decided, _)| *decided >= slot);
        if !settles(statement) || is_known || self.catchup.onlookers.is_too_old(slot) {
            return;
        }
        let decided = if self.catchup.onlookers.has(slot) {
            let onlooker = self.catchup.onlookers.of(slot);
            onlooker.and_then(|onlooker| onlooker.hear(statement, &self.sets))
        } else {
            self.watch(slot)
        };
        if let Some(value) = decided {
            self.catchup.decided = Some((slot, value));
            self.catchup.onlookers.retain(|watched| watched > slot);
        }
    }

    /// A new onlooker hears what is held of its slot.
    fn watch(&mut self, slot: SlotIndex) -> Option<Value> {
        let mut onlooker = Onlooker::new(self.local, &self.config.quorum_set, slot);
        let held = self.book.of_slot(slot).map(|entry| &entry.signed.statement);
        let decided = held.filter(|held| settles(held)).find_map(|held| onlooker.hear(held, &self.sets));
        let book = &self.book;
        self.catchup.onlookers.retain(|slot| book.of_slot(slot).next().is_some());
        self.catchup.onlookers.add(slot, onlooker);
        decided
    }

    /// The open slot is another one now.
    pub(super) fn look_ahead_again(&mut self) {
        let open = self.open_slot();
        self.catchup.onlookers.retain(|slot| slot > open);
        if !self.catchup.ahead.is_empty() {
            let above = self.book.since(open.next()).map(|entry| entry.signed.statement.node);
            self.catchup.ahead = above.filter(|node| *node != self.local).collect();
            self.catchup.behind = self.config.quorum_set.is_v_blocking(&self.catchup.ahead);
        }
    }

    /// Do nodes that block us speak of later slots? One of them at least is honest, if our slices are any good, and
    /// has closed the open slot: our nomination would change nothing.
    pub(super) fn is_behind(&self) -> bool {
        self.catchup.behind
    }

    /// The ledgers known to be closed elsewhere and not here.
    pub(super) fn gap(&self) -> Option<(u64, u64)> {
        let (slot, _) = self.catchup.decided.as_ref()?;
        let from = self.ledger.sequence().saturating_add(1);
        (slot.0 > from).then_some((from, slot.0))
    }

    /// When there is something to do.
    pub(super) fn catchup_due(&self, now: Now) -> Option<Duration> {
        let gap = self.gap()?;
        if self.catchup.progress.is_none() {
            return Some(self.begins_at(gap));
        }
        let next = self.ledger.sequence().saturating_add(1);
        if self.catchup.chain.is_empty() || self.catchup.can_apply(next) {
            return Some(Duration::ZERO);
        }
        self.catchup.sources.due(now.monotonic, self.peers.ids())
    }

    /// At once, if statements cannot bridge the gap.
    fn begins_at(&self, (from, to): (u64, u64)) -> Duration {
        let is_far = to > from.saturating_add(SLOTS_KEPT);
        if is_far { Duration::ZERO } else { self.slot.since + PATIENCE }
    }

    /// Does what there is to do: checks, applies, asks.
    pub(super) fn catch_up(&mut self, now: Now) {
        let Some(gap) = self.gap() else { return self.catchup.end() };
        if self.catchup.progress.is_none() {
            if self.begins_at(gap) > now.monotonic {
                return;
            }
            self.catchup.progress = Some(Progress::begin(now.monotonic, gap.0));
            // Or what is far ahead would not be listened to.
            self.tracking.lost_sync();
        }
        if self.catchup.chain.is_empty() && !self.catchup.chain.next_stage() {
            self.begin_chain();
        }
        self.join_chain();
        self.apply_slice(now);
        self.ask_sources(now);
    }

    /// The newest decision names the header before it: the proven end of the chain.
    fn begin_chain(&mut self) {
        self.catchup.forget_pieces();
        let Some((slot, value)) = &self.catchup.decided else { return };
        // Intake refuses such values; what was stored by another build did not pass it.
        let Ok(value) = LedgerValue::decode(value) else {
            return self.diverged("a quorum decided what is no ledger value here");
        };
        self.catchup.chain.begin(slot.0.saturating_sub(1), value.proposed().previous);
    }

    /// Is our last ledger where the chain says it is?
    fn join_chain(&mut self) {
        let (last, chain) = (self.ledger.sequence(), &mut self.catchup.chain);
        if chain.is_joined() || chain.is_empty() || chain.low() > last {
            return;
        }
        if chain.hash_of(last) != Some(self.ledger.header_hash()) {
            return self.diverged("the chain of headers below a decided slot does not contain our last ledger");
        }
        chain.join();
        chain.closed(last);
        self.catchup.headers.clear();
    }

    fn ask_sources(&mut self, now: Now) {
        if self.gap().is_none() || self.out.is_fatal() {
            return;
        }
        for (peer, ask) in self.catchup.sources.overdue(now.monotonic) {
            self.not_from(peer, ask);
        }
        let last = self.ledger.sequence();
        if self.catchup.chain.is_joined() {
            self.catchup.want_bodies(last);
        } else if !self.catchup.chain.is_empty() {
            self.catchup.want_headers(last);
        }
        while let Some(ask) = self.catchup.next_ask()
            && let Some(peer) = self.catchup.sources.free(now.monotonic, self.peers.ids())
        {
            self.catchup.sources.ask(now.monotonic, peer, ask);
            let (from, count) = (ask.from, u32::try_from(ask.count).expect("a piece is at most a thousand long"));
            let message = match ask.kind {
                Kind::Headers => {
                    self.catchup.headers.asked(from, peer);
                    Message::GetHeaders { from, count }
                }
                Kind::Bodies => {
                    self.catchup.bodies.asked(from, peer);
                    Message::GetLedgers { from, count }
                }
            };
            self.out.send(vec![peer], message);
        }
    }

    fn not_from(&mut self, peer: NodeId, ask: Ask) {
        match ask.kind {
            Kind::Headers => self.catchup.headers.give_up(ask.from, peer),
            Kind::Bodies => self.catchup.bodies.give_up(ask.from, peer),
        }
    }

    /// A decided value's transaction set cannot be had: perhaps somebody has the whole ledger.
    pub(super) fn ask_for_next_ledger(&mut self, now: Now) {
        let asked_lately = self.catchup.next_asked.is_some_and(|at| at + NEXT_EVERY > now.monotonic);
        if self.gap().is_some() || asked_lately {
            return;
        }
        self.catchup.next_asked = Some(now.monotonic);
        self.catchup.turn = self.catchup.turn.wrapping_add(1);
        let peers = self.peers.some(self.catchup.turn, 1);
        self.out.send(peers, Message::GetLedgers { from: self.open_slot().0, count: 1 });
    }

    /// A peer's headers: linked among themselves now, held against the proven ones when those above them are here.
    pub(super) fn headers(&mut self, now: Now, from: NodeId, headers: &[Header]) {
        let first = headers.first().map(|header| header.sequence);
        let Some(ask) = self.catchup.sources.answered(now.monotonic, from, Kind::Headers, first) else { return };
        if headers.is_empty() {
            return self.not_from(from, ask);
        }
        let page = match page(ask, headers) {
            Ok(page) => page,
            Err(reason) => return self.lied(from, &reason),
        };
        let count = headers.len() as u64;
        if self.catchup.headers.misses(ask.from, count) {
            self.catchup.headers.fill(ask.from, count, from, 0, page);
        }
        self.extend_chain();
    }

    fn extend_chain(&mut self) {
        while !self.catchup.chain.is_joined()
            && let low = self.catchup.chain.low()
            && let Some((peer, page)) = self.catchup.headers.take_last(low)
        {
            if !self.catchup.chain.extend(&page) {
                let below = (page.len() as u64).saturating_sub(2);
                self.catchup.headers.want(low.saturating_sub(below), low);
                self.lied(peer, &format!("header {low} is not the one that the header above it names"));
            }
        }
        self.join_chain();
    }

    /// A peer's ledgers: each must be what the proven header with its number says.
    pub(super) fn ledgers(&mut self, now: Now, from: NodeId, entries: Vec<LedgerEntry>) {
        self.offer_sets(&entries);
        let first = entries.first().map(|entry| entry.header.sequence);
        let Some(ask) = self.catchup.sources.answered(now.monotonic, from, Kind::Bodies, first) else { return };
        if entries.is_empty() {
            return self.not_from(from, ask);
        }
        let count = entries.len() as u64;
        // Somebody else was faster, or the ledgers closed meanwhile.
        if !self.catchup.bodies.misses(ask.from, count.min(ask.count)) {
            return;
        }
        match check_entries(&self.catchup.chain, ask, &entries) {
            Ok(()) => {
                let bytes = entries.iter().map(LedgerEntry::bytes_at_most).sum();
                self.catchup.bodies.fill(ask.from, count, from, bytes, entries.into());
            }
            Err(reason) => self.lied(from, &reason),
        }
    }

    /// What does not lie on the proven chain was made up: nothing more is taken from whoever sent it.
    fn lied(&mut self, peer: NodeId, reason: &str) {
        self.catchup.sources.lied(peer);
        self.catchup.headers.discard(peer);
        self.catchup.bodies.discard(peer);
        self.out.drop_peer(peer, format!("sent ledgers that are not on the proven chain: {reason}"));
    }

    /// Applies what is here, as much as fits between two flushes.
    fn apply_slice(&mut self, now: Now) {
        let before = self.ledger.sequence();
        while self.catchup.chain.is_joined()
            && self.catchup.applied < SLICE
            && let Some(entry) = self.catchup.next_entry(self.ledger.sequence().saturating_add(1))
        {
            self.catchup.applied = self.catchup.applied.saturating_add(1 + entry.tx_set.transactions().len());
            self.replay(now, &entry);
            if self.out.is_fatal() {
                return;
            }
        }
        let last = self.ledger.sequence();
        if let Some(progress) = self.catchup.progress.as_mut() {
            progress.note(now.monotonic, last);
        }
        if last > before {
            self.enter_slot(now);
        }
    }

    /// Applies one ledger of the proven chain. Signatures of transactions are checked again: that the network's quorums
    /// did so is their word.
    fn replay(&mut self, now: Now, entry: &LedgerEntry) {
        let forged = entry.tx_set.transactions().iter().find(|one| !one.signatures_valid(&*self.signatures));
        if let Some(forged) = forged {
            let (sequence, hash) = (entry.header.sequence, forged.hash());
            let reason =
                format!("a quorum closed ledger {sequence} with transaction {hash}, whose signature is not genuine");
            return self.diverged(&reason);
        }
        match self.ledger.replay(entry) {
            Ok(closed) => {
                self.leave_slot(now, &closed);
                self.out.close(closed, false, (None, None));
            }
            Err(error) => self.diverged(&format!("a ledger on the proven chain does not follow ours: {error}")),
        }
    }

    /// Sets in ledgers may be what a statement waits for.
    fn offer_sets(&mut self, entries: &[LedgerEntry]) {
        for entry in entries {
            let item = super::fetch::Item::TxSet(entry.tx_set.hash());
            if self.fetches.is_open(item) {
                self.fetches.drop_item(item);
                self.payloads.add(std::sync::Arc::new(entry.tx_set.clone()), &self.queue, &*self.signatures);
            }
        }
    }

    /// How far it has come; nothing while nothing is fetched.
    pub(super) fn catch_up_view(&self, now: Now) -> Option<CatchUpView> {
        let ((_, to), progress) = (self.gap()?, self.catchup.progress.as_ref()?);
        let last = self.ledger.sequence();
        let per_second = progress.per_second(now.monotonic, last);
        let chain = &self.catchup.chain;
        Some(CatchUpView {
            from: progress.from,
            to,
            applied: last.saturating_add(1).saturating_sub(progress.from),
            headers_down_to: (!chain.is_joined() && !chain.is_empty()).then(|| chain.low()),
            ledgers_per_second: per_second,
            seconds_left: per_second.filter(|rate| *rate > 0).map(|rate| to.saturating_sub(last).div_ceil(rate)),
            sources: self.catchup.sources.busy(),
            running: now.monotonic.saturating_sub(progress.since),
        })
    }

    /// Nodes speak of later slots, and none of those is decided by what we have heard.
    pub(super) fn unproven(&self) -> Option<Unproven> {
        if self.gap().is_some() || self.catchup.ahead.is_empty() {
            return None;
        }
        let above = || self.book.since(self.open_slot().next());
        let slot = above().map(super::statements::Entry::slot).max()?;
        let says_decided = above().filter(|entry| settles(&entry.signed.statement));
        let heard: BTreeSet<NodeId> = says_decided.map(|entry| entry.signed.statement.node).collect();
        let ours = self.config.quorum_set.nodes();
        Some(Unproven {
            slot,
            heard: ours.intersection(&heard).copied().collect(),
            missing: ours.difference(&heard).copied().filter(|node| *node != self.local).collect(),
        })
    }
}

/// Does it say that its slot is as good as decided? A quorum of these decides it.
pub(super) fn settles(statement: &Statement) -> bool {
    matches!(statement.pledge, Pledge::Confirm { .. } | Pledge::Externalize { .. })
}

/// The hashes of linked headers and of the one before them; or what is wrong.
fn page(ask: Ask, headers: &[Header]) -> Result<Vec<Hash>, String> {
    is_asked_for(ask, headers.iter().map(|header| header.sequence))?;
    let mut hashes: Vec<Hash> = headers.iter().take(1).map(|first| first.previous).collect();
    for header in headers {
        if hashes.last() != Some(&header.previous) {
            return Err(format!("header {} does not name the header before it", header.sequence));
        }
        hashes.push(header.hash());
    }
    Ok(hashes)
}

fn check_entries(chain: &Chain, ask: Ask, entries: &[LedgerEntry]) -> Result<(), String> {
    is_asked_for(ask, entries.iter().map(|entry| entry.header.sequence))?;
    for entry in entries {
        let sequence = entry.header.sequence;
        if chain.hash_of(sequence) != Some(entry.header.hash()) {
            return Err(format!("ledger {sequence} has another header"));
        }
        entry.check().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// One after the other from the first, and no more than asked for.
fn is_asked_for(ask: Ask, sequences: impl ExactSizeIterator<Item = u64>) -> Result<(), String> {
    let count = sequences.len() as u64;
    let in_order = (ask.from..).zip(sequences).all(|(expected, found)| expected == found);
    if in_order && count <= ask.count {
        return Ok(());
    }
    Err(format!("asked for {} from {}, got {count} that are not these", ask.count, ask.from))
}

/// For tests: remembers fewer hashes, so that a short gap takes several stages.
#[cfg(test)]
impl CatchUp {
    pub(crate) fn remember_at_most(&mut self, hashes: usize) {
        self.chain = Chain::holding(hashes);
    }
}
