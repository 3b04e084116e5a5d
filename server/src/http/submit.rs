//! `POST /v1/transactions`: the exact signed bytes in, what became of them out.
//!
//! Idempotent by hash: the same bytes may be sent again at any time and get the newest truth. Only `closed` is a
//! promise; it is said after the ledger is durable here (of a ledger fetched in catch-up: durable in the network).

use crate::herder::OverrideRefused;
use crate::http::dto;
use crate::http::error::{ApiError, json};
use crate::http::history::Reads;
use crate::http::view::{Published, SyncState};
use crate::key::NetworkId;
use crate::ledger::SignedTransaction;
use async_channel::{Receiver, Sender, TrySendError};
use bytes::{Buf, Bytes, BytesMut};
use fba_core::Hash;
use futures::{Stream, StreamExt};
use serde::Deserialize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use warp::http::StatusCode;
use warp::reply::Response;

/// How long consensus may take to take a question from its queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// `timeout_ms` if none is given.
const WAIT_DEFAULT_MS: u64 = 10_000;
/// The longest wait for a close.
pub const WAIT_MAX_MS: u64 = 60_000;
/// Answers to one submission: queued, and closed.
const ANSWERS_MAX: usize = 2;

/// A question to the consensus side, over a bounded channel.
#[derive(Debug)]
pub enum Request {
    /// Take this transaction.
    Submit(Submission),
    /// Is this transaction waiting in the queue?
    IsPending {
        /// Its hash.
        hash: Hash,
        /// Where the answer goes; room for one.
        reply: Sender<bool>,
    },
    /// End the silence after a loss of votes, at the risk of a fork.
    OverrideSilence {
        /// The open slot, typed in by the operator.
        slot: u64,
        /// Where the answer goes; room for one.
        reply: Sender<Result<(), OverrideRefused>>,
    },
}

/// A transaction for the queue. Parsed; its signatures are not checked yet.
#[derive(Debug)]
pub struct Submission {
    /// The transaction.
    pub transaction: Arc<SignedTransaction>,
    /// Where answers go: room for all of them, so `try_send` is enough. Closed when nobody waits any more.
    pub reply: Sender<SubmitOutcome>,
}

/// What became of a submission. At most [`SubmitOutcome::Pending`] and then one other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubmitOutcome {
    /// Queued, or already queued.
    Pending,
    /// In this ledger, durably.
    Closed {
        /// The ledger.
        ledger: u64,
    },
    /// Not taken, and sending the same bytes again will not help soon.
    Refused(Refusal),
    /// The queue is full (for this account or in all): send the same bytes later.
    QueueFull,
    /// It waited too long and was dropped. It may be sent again.
    Expired,
}

/// Why a transaction was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Does it contradict another transaction (409), or is it wrong by itself (422)?
    pub conflict: bool,
}

/// `?wait=closed&timeout_ms=`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitQuery {
    wait: Option<String>,
    timeout_ms: Option<u64>,
}

impl SubmitQuery {
    /// How long to wait for the close; `None`: only until it is queued.
    fn wait(&self) -> Result<Option<Duration>, ApiError> {
        let timeout_ms = self.timeout_ms.unwrap_or(WAIT_DEFAULT_MS);
        match self.wait.as_deref() {
            _ if timeout_ms > WAIT_MAX_MS => {
                Err(ApiError::bad_request("bad_query", format!("timeout_ms is at most {WAIT_MAX_MS}")))
            }
            None => Ok(None),
            Some("closed") => Ok(Some(Duration::from_millis(timeout_ms))),
            Some(_) => Err(ApiError::bad_request("bad_query", "wait must be `closed`")),
        }
    }
}

/// The way from HTTP to the consensus side.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) network: NetworkId,
    pub(crate) requests: Sender<Request>,
    pub(crate) reads: Reads,
    pub(crate) view: Published,
}

impl Gateway {
    /// Takes a transaction and says what became of it.
    pub(crate) async fn submit(&self, query: SubmitQuery, body: Bytes) -> Result<Response, ApiError> {
        let wait = query.wait()?;
        let transaction = SignedTransaction::from_bytes(self.network, &body)
            .map_err(|error| ApiError::bad_request("bad_transaction", error.to_string()))?;
        let hash = transaction.hash();
        if let Err(error) = self.check_synced() {
            return self.closed(hash).await?.ok_or(error);
        }
        let (reply, answers) = async_channel::bounded(ANSWERS_MAX);
        self.ask(Request::Submit(Submission { transaction: Arc::new(transaction), reply }))?;
        match next_answer(&answers, ANSWER_TIMEOUT).await? {
            SubmitOutcome::Pending => match wait {
                Some(limit) => self.wait_for_close(hash, &answers, limit).await,
                None => Ok(pending(hash)),
            },
            settled @ (SubmitOutcome::Closed { .. }
            | SubmitOutcome::Refused(_)
            | SubmitOutcome::QueueFull
            | SubmitOutcome::Expired) => self.settled(hash, settled).await,
        }
    }

    async fn wait_for_close(
        &self,
        hash: Hash,
        answers: &Receiver<SubmitOutcome>,
        limit: Duration,
    ) -> Result<Response, ApiError> {
        match tokio::time::timeout(limit, answers.recv()).await {
            Ok(Ok(outcome)) => self.settled(hash, outcome).await,
            // The queue let go of it without a word, or time is up: the store knows whether it closed after all.
            Ok(Err(_)) | Err(_) => Ok(self.closed(hash).await?.unwrap_or_else(|| pending(hash))),
        }
    }

    async fn settled(&self, hash: Hash, outcome: SubmitOutcome) -> Result<Response, ApiError> {
        match outcome {
            SubmitOutcome::Pending => Ok(pending(hash)),
            SubmitOutcome::Closed { ledger } => {
                let lost = || ApiError::unavailable("store", format!("closed in ledger {ledger}, not readable yet"));
                self.closed(hash).await?.ok_or_else(lost)
            }
            SubmitOutcome::Refused(refusal) => {
                // A closed transaction is refused as out of sequence. Looked up only then: new ones pay for no read.
                if let Some(closed) = self.closed(hash).await? {
                    return Ok(closed);
                }
                let status = if refusal.conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
                Err(ApiError::new(status, &refusal.code, refusal.message))
            }
            SubmitOutcome::QueueFull => Err(queue_full()),
            SubmitOutcome::Expired => {
                Err(ApiError::unavailable("expired", "it waited too long in the queue and was dropped; send it again"))
            }
        }
    }

    /// A node that does not follow the network cannot judge a transaction.
    fn check_synced(&self) -> Result<(), ApiError> {
        let state = self.view.load().sync;
        if state == SyncState::Synced {
            return Ok(());
        }
        let message = format!("this node is {}: it takes transactions once it is synced", state.name());
        Err(ApiError::unavailable("not_synced", message))
    }

    /// What became of a transaction, by hash.
    pub(crate) async fn status(&self, hash: Hash) -> Result<Response, ApiError> {
        if let Some(closed) = self.closed(hash).await? {
            return Ok(closed);
        }
        let (reply, answer) = async_channel::bounded(1);
        self.ask(Request::IsPending { hash, reply })?;
        if next_answer(&answer, ANSWER_TIMEOUT).await? {
            return Ok(json(StatusCode::OK, &dto::TransactionStatus::Pending { hash: hash.to_string() }));
        }
        // It may have closed between the two questions.
        let unknown = || ApiError::not_found(format!("no transaction {hash} is closed or queued here"));
        self.closed(hash).await?.ok_or_else(unknown)
    }

    async fn closed(&self, hash: Hash) -> Result<Option<Response>, ApiError> {
        let found = self.reads.run(move |history| history.transaction(hash)).await?;
        Ok(found.map(|closed| json(StatusCode::OK, &dto::TransactionStatus::Closed(Box::new(closed)))))
    }

    fn ask(&self, request: Request) -> Result<(), ApiError> {
        self.requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => queue_full(),
            TrySendError::Closed(_) => stopping(),
        })
    }
}

async fn next_answer<T>(answers: &Receiver<T>, limit: Duration) -> Result<T, ApiError> {
    let slow = |_| ApiError::unavailable("busy", "the node did not answer in time; ask again");
    tokio::time::timeout(limit, answers.recv()).await.map_err(slow)?.map_err(|_| stopping())
}

fn queue_full() -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "queue_full",
        "the transaction queue is full; send the same bytes later",
    )
    .retry_after(1)
}

fn stopping() -> ApiError {
    ApiError::unavailable("stopping", "the node is stopping")
}

fn pending(hash: Hash) -> Response {
    json(StatusCode::ACCEPTED, &dto::TransactionStatus::Pending { hash: hash.to_string() })
}

/// Reads a body of at most `most` bytes within `limit`, whether its length is declared or not.
pub(crate) async fn read_body<B: Buf>(
    most: usize,
    declared: Option<u64>,
    body: impl Stream<Item = Result<B, warp::Error>>,
    limit: Duration,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body has at most {most} bytes here");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    if declared.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let all = async {
        let mut body = pin!(body);
        let mut bytes = BytesMut::new();
        while let Some(part) = body.next().await {
            let mut part = part.map_err(|_| ApiError::bad_request("bad_body", "the body ended early"))?;
            if part.remaining() > most - bytes.len() {
                return Err(too_large());
            }
            bytes.extend_from_slice(&part.copy_to_bytes(part.remaining()));
        }
        Ok(bytes.freeze())
    };
    let late = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the request's body took too long to arrive");
    tokio::time::timeout(limit, all).await.map_err(late)?
}
