//! From the ledger's and the herder's types to the API's.

use crate::herder::{self, Notice, TicketOutcome};
use crate::http::dto;
use crate::http::events::Event;
use crate::http::explain::{self, Explained};
use crate::http::progress;
use crate::http::submit::{Refusal, SubmitOutcome};
use crate::http::view::{Away, Identity, KnownNode, LastClosed, NodeView, OpenSlot, Peer, Standing, phase_of};
use crate::ledger::{Account, AccountId, Header, Operation, Outcome, SignedTransaction, TxRejection, TxResult};
use fba_core::SlotIndex;
use std::time::Duration;

/// A closed ledger with its counts of transactions.
#[must_use]
pub fn ledger(header: &Header, transactions: u64, failed: u64) -> dto::Ledger {
    dto::Ledger {
        sequence: header.sequence,
        hash: header.hash().to_string(),
        previous: header.previous.to_string(),
        close_time_ms: header.close_time_ms,
        transactions,
        failed,
        tx_set: header.tx_set.to_string(),
        tx_root: header.tx_root.to_string(),
        results_root: header.results_root.to_string(),
        state_hash: header.state_hash.to_string(),
        total_supply: header.total_supply.to_string(),
        fee_pool: header.fee_pool.to_string(),
        value: header.value.to_string(),
        parameters: header.parameters.to_string(),
        protocol_version: header.protocol_version,
    }
}

/// A transaction at `index` (from 0) in the order in which `ledger` was applied.
#[must_use]
pub fn transaction(signed: &SignedTransaction, ledger: u64, index: u32, result: &TxResult) -> dto::Transaction {
    let body = signed.transaction();
    dto::Transaction {
        hash: signed.hash().to_string(),
        ledger,
        index,
        result: tx_result(result),
        source: body.source.to_string(),
        sequence: body.sequence,
        fee: body.fee.to_string(),
        valid_after_ms: body.valid_after_ms,
        valid_before_ms: body.valid_before_ms,
        memo: dto::Bytes::from(&*body.memo),
        operations: body.operations.iter().map(operation).collect(),
        signers: signed.signatures().iter().map(|(key, _)| key.to_string()).collect(),
    }
}

fn tx_result(result: &TxResult) -> dto::TxResult {
    let (operation, reason, message) = match &result.outcome {
        Outcome::Success => (None, None, None),
        Outcome::NotAuthorized => {
            let message = "an earlier transaction of the same ledger took the signers' weight away";
            (None, Some("not_authorized".to_owned()), Some(message.to_owned()))
        }
        Outcome::Failed { operation, reason } => (Some(*operation), Some(word(reason)), Some(reason.to_string())),
    };
    let success = result.outcome == Outcome::Success;
    dto::TxResult { success, fee_charged: result.fee_charged.to_string(), operation, reason, message }
}

/// The name of an enum's variant as it is written everywhere else: `insufficient_balance`.
fn word(variant: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(variant).expect("an enum of plain variants");
    let name = value.as_str().or_else(|| value.as_object()?.keys().next().map(String::as_str));
    name.expect("serde writes a variant as its name, or as a map with that one key").to_owned()
}

fn operation(operation: &Operation) -> dto::Operation {
    match operation {
        Operation::CreateAccount { account, balance } => {
            dto::Operation::CreateAccount { account: account.to_string(), balance: balance.to_string() }
        }
        Operation::Payment { to, amount } => dto::Operation::Payment { to: to.to_string(), amount: amount.to_string() },
        Operation::SetData { key, value } => {
            dto::Operation::SetData { key: dto::Bytes::from(&**key), value: dto::Bytes::from(&**value) }
        }
        Operation::DeleteData { key } => dto::Operation::DeleteData { key: dto::Bytes::from(&**key) },
        Operation::SetSigners { signers: new, threshold } => {
            dto::Operation::SetSigners { signers: signers(new), threshold: *threshold }
        }
    }
}

fn signers(signers: &[(AccountId, u32)]) -> Vec<dto::Signer> {
    signers.iter().map(|(key, weight)| dto::Signer { key: key.to_string(), weight: *weight }).collect()
}

/// An account with the keys of its data entries.
#[must_use]
pub fn account<'a>(account: &Account, data_keys: impl IntoIterator<Item = &'a [u8]>) -> dto::Account {
    dto::Account {
        account: account.id.to_string(),
        balance: account.balance.to_string(),
        sequence: account.sequence,
        next_sequence: account.sequence.saturating_add(1),
        signers: signers(&account.signers),
        threshold: account.threshold,
        data: data_keys.into_iter().map(dto::Bytes::from).collect(),
    }
}

impl NodeView {
    /// The herder's view with the overlay's beside it, in the words of `identity`.
    #[must_use]
    pub fn of(view: &herder::View, identity: &Identity, peers: Vec<Peer>, away: Away) -> Self {
        let Explained { sync, reason, waits, recovery } = explain::explained(&view.sync, identity);
        Self {
            sync,
            reason: progress::reason(view, reason, identity),
            waits,
            recovery,
            catch_up: view.catch_up.as_ref().map(progress::catch_up),
            quorum: explain::quorum(view, identity),
            clock: explain::clock(&view.clock, identity),
            ledger: LastClosed {
                sequence: view.last_closed.sequence,
                hash: view.last_closed.hash,
                close_time_ms: view.last_closed.close_time_ms,
            },
            slot: open_slot(view.open_slot, view.open.as_ref()),
            queued: view.queued as u64,
            quorum_set_hash: view.quorum_set.hash(),
            quorum_set: view.quorum_set.clone(),
            nodes: view.nodes.iter().map(known).collect(),
            peers,
            away,
        }
    }
}

fn known(node: &herder::NodeView) -> KnownNode {
    KnownNode {
        node: node.id,
        quorum_set: node.quorum_set.clone(),
        standing: match node.state {
            herder::NodeState::Agree => Standing::Agree,
            herder::NodeState::Delayed => Standing::Delayed,
            herder::NodeState::Disagree => Standing::Disagree,
            herder::NodeState::Missing => Standing::Missing,
        },
        last_slot: node.last_slot.map(|slot| slot.0),
        distance: node.distance,
    }
}

/// Where the slot stands, in the API's words.
fn open_slot(slot: SlotIndex, state: Option<&fba_core::SlotState>) -> OpenSlot {
    let round = state.map_or(0, |state| state.nomination_round);
    let counter = state.and_then(|state| state.ballot.as_ref()).map_or(0, |ballot| ballot.counter);
    OpenSlot { slot: slot.0, phase: phase_of(state), round, counter }
}

/// What open streams are told of a notice; `None` for notices that are not for them.
#[must_use]
pub fn event_of(notice: &Notice, view: &NodeView) -> Option<Event> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match notice {
        Notice::Closed(closed) => Some(Event::Ledger(dto::LedgerClosed {
            sequence: closed.sequence,
            hash: closed.hash.to_string(),
            close_time_ms: closed.close_time_ms,
            transactions: u64::from(closed.transactions),
            failed: u64::from(closed.failed),
            nomination_ms: closed.nomination.map(ms),
            ballot_ms: closed.ballot.map(ms),
        })),
        Notice::Phase { .. } => Some(Event::Phase(dto::Slot::from(&view.slot))),
        Notice::Sync(_) => Some(Event::Sync(dto::Sync::from(view))),
        Notice::Ticket { .. }
        | Notice::Moved(_)
        | Notice::TimedOut { .. }
        | Notice::Refused { .. }
        | Notice::SilenceOverridden { .. } => None,
    }
}

/// What a submitter is told.
#[must_use]
pub fn submit_outcome(outcome: &TicketOutcome) -> SubmitOutcome {
    match outcome {
        TicketOutcome::Pending => SubmitOutcome::Pending,
        TicketOutcome::Closed { ledger, .. } => SubmitOutcome::Closed { ledger: *ledger },
        TicketOutcome::Refused(rejection) => SubmitOutcome::Refused(refusal(rejection)),
        TicketOutcome::BadSignature => SubmitOutcome::Refused(Refusal {
            code: "bad_signature".to_owned(),
            message: "a signature is not genuine: sign network id, domain and body as docs/http.md says".to_owned(),
            conflict: false,
        }),
        TicketOutcome::QueueFull => SubmitOutcome::QueueFull,
        TicketOutcome::Expired => SubmitOutcome::Expired,
    }
}

/// Another transaction took the place (409), or this one is wrong as it stands (422).
fn refusal(rejection: &TxRejection) -> Refusal {
    Refusal {
        code: word(rejection),
        message: rejection.to_string(),
        conflict: matches!(rejection, TxRejection::Sequence { .. }),
    }
}
