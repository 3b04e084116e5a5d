//! Peers that come and go, and what they ask for.

use super::fetch::Item;
use super::{Herder, LedgerPart, Now, ReadLedgers, SLOTS_AHEAD};
use crate::ledger::TxSet;
use crate::wire::Message;
use fba_core::{Hash, NodeId, QuorumSet, SlotIndex};
use std::sync::Arc;

/// Most statements in one answer: two slots of a network of a thousand. With [`ANSWER_BYTES_MAX`], half of what may wait
/// for a peer: an answer must not be what makes it a straggler.
const ANSWER_STATEMENTS_MAX: usize = 4_096;
/// Most bytes in one answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Quorum sets nobody declares any more that are kept besides as many again as are declared, before they are looked for.
const SETS_SPARE: usize = 256;

impl Herder {
    pub(super) fn peer_up(&mut self, now: Now, peer: NodeId) {
        self.peers.add(now.monotonic, peer);
        self.ask_state(vec![peer]);
        self.repeat_own(&[peer]);
        self.advertise_queue(peer);
        self.ask_for_missing(now);
    }

    pub(super) fn peer_down(&mut self, now: Now, peer: NodeId) {
        self.peers.remove(now.monotonic, peer);
        self.book.forget_peer(peer);
        self.pending.forget_peer(peer);
        self.fetches.forget_peer(now.monotonic, peer);
        self.payloads.forget_peer(peer);
        self.queue.forget_peer(peer);
        self.catchup.forget_peer(peer);
        self.demands.forget_peer(now.monotonic, peer);
    }

    pub(super) fn receive(&mut self, now: Now, from: NodeId, message: Message) {
        // What was still on its way when the link ended.
        if !self.peers.ids().contains(&from) {
            return;
        }
        match message {
            Message::Statement(signed) => self.statement(now, from, signed),
            Message::GetScpState { from: slot } => self.send_state(now, from, SlotIndex(slot)),
            Message::GetQuorumSet(hash) => self.send_quorum_set(now, from, hash),
            Message::QuorumSet(set) => self.quorum_set(now, from, set),
            Message::GetTxSet(hash) => self.send_tx_set(now, from, hash),
            Message::TxSet(set) => self.tx_set(from, set),
            Message::DontHave(hash) => self.fetches.dont_have(now.monotonic, from, hash),
            // The overlay's own business: it does not hand them on.
            Message::Peers(_) => {}
            Message::TxAdvert(hashes) => self.tx_advert(now, from, &hashes),
            Message::TxDemand(hashes) => self.tx_demand(now, from, &hashes),
            Message::Transactions(transactions) => self.transactions(now, from, &transactions),
            Message::GetHeaders { from: first, count } => {
                self.read_ledgers(now, ReadLedgers { peer: from, from: first, count, part: LedgerPart::Headers });
            }
            Message::Headers(headers) => self.headers(now, from, &headers),
            Message::GetLedgers { from: first, count } => {
                self.read_ledgers(now, ReadLedgers { peer: from, from: first, count, part: LedgerPart::Whole });
            }
            Message::Ledgers(entries) => self.ledgers(now, from, entries),
        }
    }

    /// What is known from `slot` on: of the open slot first, then lowest first, as much as an answer holds. Of the peer's
    /// own too: it may have forgotten.
    fn send_state(&mut self, now: Now, peer: NodeId, slot: SlotIndex) {
        if !self.peers.may_ask_state(now.monotonic, peer) {
            return self.out.refused(peer, "asks for SCP state too often".to_owned());
        }
        let (open, last) = (self.open_slot(), SlotIndex(self.open_slot().0.saturating_add(SLOTS_AHEAD)));
        let others = self.book.since(slot).take_while(|entry| entry.slot() <= last);
        let mut bytes = 0usize;
        let known: Vec<Message> = self
            .book
            .of_slot(open)
            .filter(|_| slot <= open)
            .chain(others.filter(|entry| entry.slot() != open))
            .take(ANSWER_STATEMENTS_MAX)
            .take_while(|entry| {
                bytes = bytes.saturating_add(entry.signed.bytes_at_most());
                bytes <= ANSWER_BYTES_MAX
            })
            .map(|entry| Message::Statement(entry.signed.clone()))
            .collect();
        for message in known {
            self.out.send(vec![peer], message);
        }
    }

    fn send_quorum_set(&mut self, now: Now, peer: NodeId, hash: Hash) {
        /// A set of two hundred nodes; they are small, and most networks have few different ones.
        const BYTES: usize = 7 << 10;
        let set = self.sets.get(&hash).map(|set| Message::QuorumSet(QuorumSet::clone(set)));
        self.send_set(now, peer, hash, set.map(|set| (set, BYTES)));
    }

    fn send_tx_set(&mut self, now: Now, peer: NodeId, hash: Hash) {
        let set = self.payloads.serve(&hash);
        self.send_set(now, peer, hash, set.map(|set| (Message::TxSet(Arc::clone(&set)), set.transaction_bytes())));
    }

    /// A set of so many bytes, or that we lack it; nothing if the peer has had too much lately: it will ask others.
    fn send_set(&mut self, now: Now, peer: NodeId, hash: Hash, set: Option<(Message, usize)>) {
        let (message, bytes) = set.unwrap_or((Message::DontHave(hash), 0));
        if !self.peers.may_have_set(now.monotonic, peer, bytes) {
            return self.out.refused(peer, "asks for too many sets".to_owned());
        }
        self.out.send(vec![peer], message);
    }

    fn quorum_set(&mut self, now: Now, from: NodeId, set: QuorumSet) {
        let hash = set.hash();
        if self.sets.contains_key(&hash) {
            return;
        }
        if !self.fetches.answered(from, Item::QuorumSet(hash)) {
            // Perhaps late: it was asked for, and is not needed any more.
            return self.out.refused(from, format!("sent quorum set {hash}, which it was not asked for"));
        }
        self.sets.insert(hash, Arc::new(set));
        self.readmit(now);
        // In a slot that stays open, nodes may declare one set after another.
        if self.sets.len() > self.sets_needed.saturating_mul(2).saturating_add(SETS_SPARE) {
            self.forget_unused_sets();
        }
    }

    /// A set that was asked for, or a small one that its proposer hands around.
    fn tx_set(&mut self, from: NodeId, set: Arc<TxSet>) {
        let hash = set.hash();
        let item = Item::TxSet(hash);
        let wanted = self.fetches.is_open(item);
        self.fetches.answered(from, item);
        if self.payloads.get(&hash).is_some() {
            return;
        }
        if !wanted {
            return self.payloads.push(from, set);
        }
        self.payloads.add(set, &self.queue, &*self.signatures);
        if self.payloads.is_crowded() {
            self.drop_needless_payloads();
        }
    }

    /// Sets of values that no statement at hand names any more.
    fn drop_needless_payloads(&mut self) {
        let open = self.open_slot();
        let statements = self.book.of_slot(open).chain(self.pending.of_slot(open));
        let values = statements.flat_map(|entry| entry.signed.statement.pledge.values());
        let hashes = values
            .filter_map(|value| crate::ledger::LedgerValue::decode(value).ok().map(|value| value.proposed().tx_set));
        let needed = hashes.chain(self.slot.own.iter().map(|own| own.tx_set)).chain(self.slot.undelivered).collect();
        self.payloads.retain(&needed);
    }

    /// A peer that asks too often is told that there is nothing for it, and asks another.
    fn read_ledgers(&mut self, now: Now, read: ReadLedgers) {
        if self.peers.may_ask_ledgers(now.monotonic, read.peer) {
            return self.out.read(read);
        }
        self.out.refused(read.peer, "asks for ledgers too often".to_owned());
        self.out.send(vec![read.peer], read.part.nothing());
    }

    /// Asks for quorum sets and transaction sets that statements wait for.
    pub(super) fn ask_for_missing(&mut self, now: Now) {
        if self.fetches.take_again(now.monotonic) {
            self.want_again(now);
        }
        for (peer, item) in self.fetches.due(now.monotonic, self.peers.ids()) {
            let message = match item {
                Item::QuorumSet(hash) => Message::GetQuorumSet(hash),
                Item::TxSet(hash) => Message::GetTxSet(hash),
            };
            self.out.send(vec![peer], message);
        }
        /// A set that so many peers did not have is looked for in the closed ledgers.
        const STARVING_AFTER: u32 = 6;
        if self.fetches.has_starving_tx_set(STARVING_AFTER) {
            self.ask_for_next_ledger(now);
        }
    }
}
