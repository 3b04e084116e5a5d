//! Transactions from clients and peers: checked, queued, handed on, told about.

use super::io::TicketOutcome;
use super::peers::QUESTION_BYTES;
use super::tx_queue::NotQueued;
use super::{Herder, Notice, Now, Ticket};
use crate::ledger::{Closed, SignedTransaction, VerifiedTx};
use crate::wire::{HASHES_MAX, Message, TRANSACTIONS_MAX};
use fba_core::{Hash, NodeId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A message of transactions is complete with so many bytes: a receiver verifies them in one go, and votes wait.
const MESSAGE_BYTES_MAX: usize = 32 << 10;

impl Herder {
    /// A client's transaction. Goes to every peer: whoever leads must have it.
    pub(super) fn submit(&mut self, now: Now, transaction: &Arc<SignedTransaction>, ticket: Ticket) {
        let hash = transaction.hash();
        // Its sequence is used up then, by itself: that is no reason to refuse it.
        if let Some(outcome) = self.queue.closed(&hash) {
            return self.out.notice(Notice::Ticket { ticket, outcome });
        }
        let outcome = match self.enqueue(now, transaction, None) {
            Ok(true) => {
                self.handing.pushes.add(Arc::clone(transaction));
                TicketOutcome::Pending
            }
            Ok(false) => TicketOutcome::BadSignature,
            Err(NotQueued::Known) => TicketOutcome::Pending,
            Err(NotQueued::Full) => TicketOutcome::QueueFull,
            Err(NotQueued::Rejected(rejection)) => TicketOutcome::Refused(rejection),
        };
        let unwatched = matches!(outcome, TicketOutcome::Pending) && !self.queue.watch(&hash, ticket);
        let outcome = if unwatched { TicketOutcome::QueueFull } else { outcome };
        self.out.notice(Notice::Ticket { ticket, outcome });
    }

    /// Transactions a peer hands over, asked for or not. They are passed on by hash.
    pub(super) fn transactions(&mut self, now: Now, from: NodeId, transactions: &[Arc<SignedTransaction>]) {
        for transaction in transactions {
            let hash = transaction.hash();
            self.demands.delivered(&hash);
            self.queue.note_peer(&hash, from);
            match self.enqueue(now, transaction, Some(from)) {
                Ok(true) => self.handing.adverts.add(hash),
                Ok(false) => {
                    return self.out.drop_peer(from, format!("passed on transaction {hash} with a forged signature"));
                }
                // Not the peer's fault: our ledger or our queue may differ from its.
                Err(NotQueued::Known | NotQueued::Full | NotQueued::Rejected(_)) => {}
            }
        }
    }

    /// What is due of what has come: our clients' transactions to everybody, the hashes of peers' transactions to
    /// those who did not show that they have them.
    pub(super) fn hand_on(&mut self, now: Now) {
        let peers: Vec<NodeId> = self.peers.ids().iter().copied().collect();
        let pushed = self.handing.pushes.take(now.monotonic);
        for transaction in &pushed {
            peers.iter().for_each(|peer| _ = self.queue.note_peer(&transaction.hash(), *peer));
        }
        self.send_transactions(peers.clone(), pushed);
        let hashes = self.handing.adverts.take(now.monotonic);
        for peer in peers {
            let unknown: Vec<Hash> = hashes.iter().copied().filter(|hash| self.queue.note_peer(hash, peer)).collect();
            for piece in unknown.chunks(HASHES_MAX) {
                self.out.send(vec![peer], Message::TxAdvert(piece.to_vec()));
            }
        }
    }

    /// In messages that are well inside a frame.
    fn send_transactions(&mut self, to: Vec<NodeId>, transactions: impl IntoIterator<Item = Arc<SignedTransaction>>) {
        let (mut piece, mut bytes) = (Vec::new(), 0usize);
        for transaction in transactions {
            bytes += transaction.bytes().len();
            piece.push(transaction);
            if bytes >= MESSAGE_BYTES_MAX || piece.len() >= TRANSACTIONS_MAX {
                self.out.send(to.clone(), Message::Transactions(std::mem::take(&mut piece)));
                bytes = 0;
            }
        }
        if !piece.is_empty() {
            self.out.send(to, Message::Transactions(piece));
        }
    }

    /// Checks and queues. `Ok(false)` if a signature is not genuine.
    fn enqueue(
        &mut self,
        now: Now,
        transaction: &Arc<SignedTransaction>,
        from: Option<NodeId>,
    ) -> Result<bool, NotQueued> {
        self.queue.check(&self.ledger, transaction, now.unix_ms)?;
        // The same transaction may have come in a set before.
        let verified = self
            .payloads
            .verified(transaction)
            .or_else(|| VerifiedTx::verify(Arc::clone(transaction), &*self.signatures));
        let Some(verified) = verified else { return Ok(false) };
        self.queue.insert(verified, now.monotonic, from);
        Ok(true)
    }

    pub(super) fn tx_advert(&mut self, now: Now, from: NodeId, hashes: &[Hash]) {
        for hash in hashes {
            self.queue.note_peer(hash, from);
        }
        let mut wanted = hashes.to_vec();
        wanted.retain(|hash| !self.queue.is_known(hash) && self.demands.advertised(now.monotonic, from, *hash));
        self.demand(from, &wanted);
    }

    /// Transactions that did not come are asked for where else they were advertised.
    pub(super) fn demand_elsewhere(&mut self, now: Now) {
        for (peer, hashes) in self.demands.overdue(now.monotonic, |hash| self.queue.is_known(hash)) {
            self.demand(peer, &hashes);
        }
    }

    fn demand(&mut self, peer: NodeId, hashes: &[Hash]) {
        for piece in hashes.chunks(HASHES_MAX) {
            self.out.send(vec![peer], Message::TxDemand(piece.to_vec()));
        }
    }

    /// Each once, as much as the peer may have: what it does not get it will ask others for.
    pub(super) fn tx_demand(&mut self, now: Now, from: NodeId, hashes: &[Hash]) {
        let mut may_have = |bytes| self.peers.may_have_transactions(now.monotonic, from, bytes);
        let (mut answer, mut answered) = (Vec::new(), BTreeSet::new());
        let mut refused = !may_have(QUESTION_BYTES);
        for hash in hashes.iter().filter(|hash| answered.insert(**hash)) {
            let Some(transaction) = self.queue.get(hash).map(|queued| Arc::clone(queued.shared())) else { continue };
            refused = refused || !may_have(transaction.bytes().len());
            if refused {
                break;
            }
            self.queue.note_peer(hash, from);
            answer.push(transaction);
        }
        if refused {
            self.out.refused(from, "asks for too many transactions".to_owned());
        }
        self.send_transactions(vec![from], answer);
    }

    pub(super) fn advertise_queue(&mut self, peer: NodeId) {
        let hashes = self.queue.advertise(peer, HASHES_MAX);
        if !hashes.is_empty() {
            self.out.send(vec![peer], Message::TxAdvert(hashes));
        }
    }

    /// A ledger closed: who waits for a transaction in it, or for one that it rules out, is told.
    pub(super) fn settle_transactions(&mut self, closed: &Closed) {
        self.tracking.forget_useless_queue();
        for (ticket, outcome) in self.queue.close(&self.ledger, closed) {
            self.out.notice(Notice::Ticket { ticket, outcome });
        }
    }

    pub(super) fn expire_transactions(&mut self, now: Now) {
        for ticket in self.queue.expire(&self.ledger, now.monotonic) {
            self.out.notice(Notice::Ticket { ticket, outcome: TicketOutcome::Expired });
        }
    }
}
