//! What peers say about slots: cheap checks first, then waiting for what a statement names, then the core.

use super::fetch::Item;
use super::quorum_tracker::NODES_MAX;
use super::statements::{Entry, Novelty, Statements};
use super::{Herder, Judgement, Now, SLOTS_AHEAD, SLOTS_KEPT, StatementKind};
use crate::ledger::{LedgerValue, VALUE_BYTES_MAX};
use crate::wire::{Message, SignedStatement};
use fba_core::{Attested, Input, NodeId, Pledge, Rejected, SenderSet, SlotIndex, Statement, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most values in one statement: an honest one holds at most one per leader. An intake rule, not one of the protocol.
const VALUES_MAX: usize = 64;
/// Highest ballot counter listened to: days of timeouts. Only EXTERNALIZE and CONFIRM stand at infinity.
const COUNTER_MAX: u32 = 1_000_000;
/// Most slots above the open one that one node's statements are kept of.
const AHEAD_PER_NODE: usize = SLOTS_KEPT as usize;

impl Herder {
    pub(super) fn statement(&mut self, now: Now, from: NodeId, signed: SignedStatement) {
        let kind = StatementKind::of(&signed.statement.pledge);
        let judgement = self.judge(now, from, signed);
        let count = self.judged.entry((kind, judgement)).or_default();
        *count = count.saturating_add(1);
    }

    fn judge(&mut self, now: Now, from: NodeId, signed: SignedStatement) -> Judgement {
        if signed.statement.check().is_err() {
            return Judgement::Refused;
        }
        if !self.is_in_window(signed.statement.slot) {
            return Judgement::OutOfWindow;
        }
        // What is held already, or is older, needs no signature check to be dropped.
        match self.novelty(&signed) {
            Novelty::News => {}
            Novelty::Held => {
                self.note_knows(&signed.statement, from);
                return Judgement::Stale;
            }
            Novelty::Stale => return Judgement::Stale,
            Novelty::Forgetful => {
                self.remind(from, &signed.statement);
                return Judgement::Stale;
            }
        }
        // Strangers are not worth a signature check.
        if signed.statement.node != self.local && !self.is_worth_hearing(&signed.statement) {
            return Judgement::Stranger;
        }
        let author = signed.statement.node;
        if !signed.is_signed(&*self.signatures) {
            self.out.drop_peer(from, format!("passed on a statement of {author} whose signature is not genuine"));
            return Judgement::Refused;
        }
        if author == self.local {
            self.own_statement(now, Entry::heard(signed, from));
            return Judgement::Accepted;
        }
        if !values_parse(&signed.statement) {
            self.out.refused(from, format!("a statement of {author} names what is no ledger value"));
            return Judgement::Refused;
        }
        self.note_clock(now, &signed.statement);
        let floor = self.open_slot();
        let judgement = self.admit(now, Entry::heard(signed, from));
        self.book.limit_slots_of(author, floor, AHEAD_PER_NODE);
        self.pending.limit_slots_of(author, floor, AHEAD_PER_NODE);
        judgement
    }

    /// The transitive quorum. A node may declare others as often as it likes, and they others again; of a slot that holds
    /// as much as the largest network says in it, only nodes of our own set are news.
    fn is_worth_hearing(&self, statement: &Statement) -> bool {
        let node = statement.node;
        let is_full = self.book.held_of(statement.slot) >= 2 * (NODES_MAX + 1);
        self.tracker.contains(node) && (!is_full || self.tracker.listens_to(node))
    }

    /// Recent slots, and those soon to come. Out of sync, any later one: `limit_slots_of` bounds what that costs.
    fn is_in_window(&self, slot: SlotIndex) -> bool {
        let open = self.open_slot().0;
        let above = slot.0 <= open.saturating_add(SLOTS_AHEAD) || !self.tracking.is_synced();
        slot.0 >= open.saturating_sub(SLOTS_KEPT) && above
    }

    /// Against what waits, only what is the same or older is dropped: what waits may wait for ever.
    fn novelty(&self, signed: &SignedStatement) -> Novelty {
        // Our own comes back only to remind us.
        let own = signed.statement.node == self.local;
        let lenient = |novelty, lenient| if lenient && novelty == Novelty::Forgetful { Novelty::News } else { novelty };
        let waiting = lenient(self.pending.novelty(signed), true);
        let held = lenient(self.book.novelty(signed), own);
        let all = [held, waiting, self.contrary.novelty(signed)];
        let found = |novelty: &Novelty| all.contains(novelty);
        let strongest = [Novelty::Held, Novelty::Stale, Novelty::Forgetful].into_iter().find(found);
        let news = || if self.is_crowded_out(&signed.statement) { Novelty::Stale } else { Novelty::News };
        strongest.unwrap_or_else(news)
    }

    /// Would [`Statements::limit_slots_of`] drop it at once? Then it must not be passed on either: it would be news again
    /// each time it came back, and go round for ever.
    fn is_crowded_out(&self, statement: &Statement) -> bool {
        let above = statement.slot > self.open_slot();
        let held = |book: &Statements| book.slots_of_above(statement.node, statement.slot) >= AHEAD_PER_NODE;
        above && (held(&self.book) || held(&self.pending))
    }

    /// The author says what does not include what it said before: it gets back what we hold of it.
    fn remind(&mut self, from: NodeId, said: &Statement) {
        if from == said.node
            && let Some(entry) = self.book.get(said)
        {
            self.out.send(vec![from], Message::Statement(entry.signed.clone()));
        }
    }

    /// Something we said. Nominations may be lost in a crash, and others take from us only what includes them (R5).
    fn own_statement(&mut self, now: Now, entry: Entry) {
        if self.silence.is_some() {
            return self.note_echo(entry.signed);
        }
        if entry.signed.statement.pledge.is_nomination() && entry.slot() == self.open_slot() && self.votes() {
            self.admit(now, entry);
        }
    }

    fn note_knows(&mut self, statement: &Statement, peer: NodeId) {
        for book in [&mut self.book, &mut self.pending, &mut self.contrary] {
            if let Some(entry) = book.get_mut(statement) {
                entry.knows.insert(peer);
            }
        }
    }

    /// Waits for what the statement names, or takes it in.
    pub(super) fn admit(&mut self, now: Now, entry: Entry) -> Judgement {
        let missing = self.missing(&entry.signed.statement);
        if missing.is_empty() {
            self.pending.remove(&entry.signed.statement);
            self.take_in(now, entry);
            return Judgement::Accepted;
        }
        for item in missing {
            self.fetches.want(now.monotonic, item, entry.knows.iter().copied());
        }
        self.pending.insert(entry);
        Judgement::Pending
    }

    /// The quorum set, unless the statement stands for itself; transaction sets that could be the next ledger.
    fn missing(&mut self, statement: &Statement) -> Vec<Item> {
        let mut missing = Vec::new();
        let stands_alone = matches!(statement.pledge, Pledge::Externalize { .. });
        if !stands_alone && !self.sets.contains_key(&statement.quorum_set) {
            missing.push(Item::QuorumSet(statement.quorum_set));
        }
        if statement.slot == self.open_slot() {
            let ours = self.ledger.header_hash();
            let values: BTreeSet<&Value> = statement.pledge.values().collect();
            for value in values {
                let Ok(value) = LedgerValue::decode(value) else { continue };
                let proposed = value.proposed();
                if proposed.previous == ours && !self.has_payload(&proposed.tx_set) {
                    missing.push(Item::TxSet(proposed.tx_set));
                }
            }
        }
        missing
    }

    fn has_payload(&mut self, hash: &fba_core::Hash) -> bool {
        if self.payloads.get(hash).is_some() {
            return true;
        }
        let Some(set) = self.payloads.take_pushed(hash) else { return false };
        self.payloads.add(set, &self.queue, &*self.signatures);
        self.fetches.drop_item(Item::TxSet(*hash));
        true
    }

    /// A complete statement: flooded, then judged.
    fn take_in(&mut self, now: Now, mut entry: Entry) {
        let statement = entry.signed.statement.clone();
        if statement.node == self.local {
            return self.remember(now, statement);
        }
        if let Some(set) = self.sets.get(&statement.quorum_set) {
            self.tracker.learn(statement.node, statement.slot, set);
        }
        self.flood(&mut entry);
        let open = self.open_slot();
        if statement.slot < open {
            self.book.insert(entry);
        } else if statement.slot > open {
            self.book.insert(entry);
            self.look_ahead(&statement);
        } else {
            self.feed(now, entry);
        }
    }

    pub(super) fn remember(&mut self, now: Now, statement: Statement) {
        if statement.slot != self.open_slot() || !self.votes() {
            return;
        }
        let quorum_set = SenderSet::Known(Arc::clone(self.scp.quorum_set()));
        let (scp, driver) = self.core(now);
        let effects = scp.handle(Input::Remind(Attested { statement, quorum_set }), &driver).unwrap_or_default();
        self.perform(now, effects);
    }

    /// Tells everybody who may not know yet.
    fn flood(&mut self, entry: &mut Entry) {
        let to: Vec<NodeId> = self.peers.ids().difference(&entry.knows).copied().collect();
        entry.knows.extend(to.iter().copied());
        self.out.send(to, Message::Statement(entry.signed.clone()));
    }

    /// Hands a statement of the open slot to the core.
    fn feed(&mut self, now: Now, entry: Entry) {
        let statement = entry.signed.statement.clone();
        let known = self.sets.get(&statement.quorum_set);
        let quorum_set = known.map_or(SenderSet::Unresolved, |set| SenderSet::Known(Arc::clone(set)));
        let attested = Attested { statement: statement.clone(), quorum_set };
        let (scp, driver) = self.core(now);
        match scp.handle(Input::Receive(attested), &driver) {
            Ok(effects) => {
                self.book.insert(entry);
                self.perform(now, effects);
                self.follow_nominee(now, &statement);
            }
            Err(Rejected::InvalidValue) => {
                self.contrary.insert(entry);
                self.check_divergence(&statement);
            }
            // Nothing has changed: what it says is known, or late, or breaks a rule.
            Err(_) => {}
        }
    }

    /// Looks again at statements that waited; something they may have waited for is here.
    pub(super) fn readmit(&mut self, now: Now) {
        let open = self.open_slot();
        let waiting: Vec<Entry> = self.pending.since(SlotIndex(0)).cloned().collect();
        for entry in waiting {
            // The slot may have closed meanwhile; older slots are only kept for others.
            if self.open_slot() != open {
                return;
            }
            if self.missing(&entry.signed.statement).is_empty() {
                self.admit(now, entry);
            }
        }
    }

    /// Wants once more what statements of the open slot wait for: there may be room for it now.
    pub(super) fn want_again(&mut self, now: Now) {
        if let Some(hash) = self.slot.undelivered {
            self.fetches.want(now.monotonic, Item::TxSet(hash), None);
        }
        let waiting: Vec<Entry> = self.pending.of_slot(self.open_slot()).cloned().collect();
        let missing = waiting.into_iter().map(|entry| (self.missing(&entry.signed.statement).into_iter(), entry.knows));
        // Of each statement one in turn: whoever names many must not be first with all of them.
        let mut turns: Vec<_> = missing.collect();
        while !turns.is_empty() {
            turns.retain_mut(|(items, knows)| {
                let item = items.next();
                item.into_iter().for_each(|item| self.fetches.want(now.monotonic, item, knows.iter().copied()));
                item.is_some()
            });
        }
    }

    /// What statements still wait for. Everything else need not be fetched any more.
    pub(super) fn drop_needless_fetches(&mut self) {
        let waiting: Vec<Statement> = self.pending.iter().map(|entry| entry.signed.statement.clone()).collect();
        let mut needed: BTreeSet<Item> = waiting.iter().flat_map(|statement| self.missing(statement)).collect();
        needed.extend(self.slot.undelivered.iter().map(|hash| Item::TxSet(*hash)));
        self.fetches.retain(&needed);
    }
}

fn values_parse(statement: &Statement) -> bool {
    let values: BTreeSet<&Value> = statement.pledge.values().collect();
    let parses = |value: &&Value| value.as_bytes().len() <= VALUE_BYTES_MAX && LedgerValue::decode(value).is_ok();
    values.len() <= VALUES_MAX && counter(&statement.pledge) <= COUNTER_MAX && values.iter().all(parses)
}

fn counter(pledge: &Pledge) -> u32 {
    match pledge {
        Pledge::Prepare { ballot, .. } => ballot.counter,
        Pledge::Nominate { .. } | Pledge::Confirm { .. } | Pledge::Externalize { .. } => 0,
    }
}
