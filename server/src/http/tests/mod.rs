//! The server over real sockets, with a table for a store and a thread for consensus.

mod hostile;
mod limits;
mod openapi;
mod questions;
mod streams;
mod submission;

use super::*;
use crate::key::{SecretKey, node_strkey};
use crate::ledger::{self as chain, AccountId, SignedTransaction};
use fba_core::{Hash, NodeId, QuorumSet};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Instant;

/// Longest any of these waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reading the proof of this ledger panics.
const PANICS: u64 = 4;

#[derive(Default)]
struct Table {
    ledgers: Mutex<Vec<dto::Ledger>>,
    transactions: Mutex<BTreeMap<String, dto::Transaction>>,
}

fn ledger(sequence: u64) -> dto::Ledger {
    let hash =
        |n: u64| Hash(std::array::from_fn(|i| if i == 31 { u8::try_from(n % 256).unwrap() } else { 0 })).to_string();
    dto::Ledger {
        sequence,
        hash: hash(sequence),
        previous: hash(sequence - 1),
        close_time_ms: 1000 * sequence,
        transactions: 0,
        failed: 0,
        tx_set: hash(0),
        tx_root: hash(0),
        results_root: hash(0),
        state_hash: hash(0),
        total_supply: "1000".into(),
        fee_pool: "0".into(),
        value: hash(0),
        parameters: hash(0),
        protocol_version: 1,
    }
}

impl History for Table {
    fn ledger(&self, sequence: u64) -> Result<Option<dto::Ledger>, HistoryError> {
        Ok(self.ledgers.lock().unwrap().iter().find(|ledger| ledger.sequence == sequence).cloned())
    }
    fn ledger_by_hash(&self, hash: Hash) -> Result<Option<dto::Ledger>, HistoryError> {
        Ok(self.ledgers.lock().unwrap().iter().find(|ledger| ledger.hash == hash.to_string()).cloned())
    }
    fn ledgers_before(&self, before: Option<u64>, limit: usize) -> Result<Vec<dto::Ledger>, HistoryError> {
        let below = |ledger: &&dto::Ledger| before.is_none_or(|before| ledger.sequence < before);
        Ok(self.ledgers.lock().unwrap().iter().rev().filter(below).take(limit).cloned().collect())
    }
    fn ledgers_after(&self, since: u64, limit: usize) -> Result<Vec<dto::Ledger>, HistoryError> {
        let after = |ledger: &&dto::Ledger| ledger.sequence > since;
        Ok(self.ledgers.lock().unwrap().iter().filter(after).take(limit).cloned().collect())
    }
    fn transactions_of(&self, _: u64, _: u64, _: usize) -> Result<Option<Vec<dto::Transaction>>, HistoryError> {
        Err(HistoryError("a file name nobody outside should see".into()))
    }
    fn transaction(&self, hash: Hash) -> Result<Option<dto::Transaction>, HistoryError> {
        Ok(self.transactions.lock().unwrap().get(&hash.to_string()).cloned())
    }
    fn account(&self, id: AccountId) -> Result<Option<dto::Account>, HistoryError> {
        let account_of = chain::Account::new(id, u64::MAX);
        Ok((id == AccountId::of(&key(1))).then(|| account(&account_of, [b"greeting".as_slice()])))
    }
    fn transactions_of_account(
        &self,
        _: AccountId,
        _: Option<Before>,
        _: usize,
    ) -> Result<Vec<dto::Transaction>, HistoryError> {
        Ok(Vec::new())
    }
    fn proof(&self, sequence: u64) -> Result<Option<dto::Proof>, HistoryError> {
        assert!(sequence != PANICS, "a mistake of ours while reading");
        Ok((sequence <= 5).then(|| proven(sequence)))
    }
    fn data_keys(
        &self,
        id: AccountId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<Vec<u8>>>, HistoryError> {
        let keys = [b"a/b\xff".to_vec(), b"greeting".to_vec()].into_iter();
        let page = keys.filter(|key| after.is_none_or(|after| key.as_slice() > after)).take(limit).collect();
        Ok((id == AccountId::of(&key(1))).then_some(page))
    }
    fn data(&self, _: AccountId, key: &[u8]) -> Result<Option<Vec<u8>>, HistoryError> {
        Ok((key == b"a/b\xff").then(|| b"hello".to_vec()))
    }
}

/// A ledger that one node decided alone.
fn proven(sequence: u64) -> dto::Proof {
    let genesis = chain::Genesis {
        passphrase: "http tests".to_owned(),
        close_time_ms: 1_000,
        root_account: AccountId::of(&key(1)),
        total_supply: 1_000,
        parameters: chain::Parameters::default(),
    };
    let header = chain::Ledger::genesis(&genesis).unwrap().1.header;
    let header = chain::Header { sequence, ..header };
    let set = QuorumSet::new(1, vec![key(9).node_id()], vec![]).unwrap();
    let value = fba_core::Value::new(b"value");
    let statement = fba_core::Statement {
        node: key(9).node_id(),
        slot: fba_core::SlotIndex(sequence),
        quorum_set: set.hash(),
        pledge: fba_core::Pledge::Externalize {
            commit: fba_core::Ballot { counter: 1, value: value.clone() },
            high: 1,
        },
    };
    let signed = crate::wire::SignedStatement::sign(statement, &crate::key::Ed25519::new(network(), key(9)));
    proof(&header, &value, &[signed], &[set])
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn network() -> NetworkId {
    NetworkId::of_passphrase("http tests")
}

fn view(sequence: u64, sync: SyncState) -> NodeView {
    let node = key(9).node_id();
    let quorum_set = Arc::new(QuorumSet::new(1, vec![node], vec![]).unwrap());
    NodeView {
        sync,
        reason: None,
        waits: None,
        recovery: None,
        catch_up: None,
        quorum: dto::QuorumSummary::default(),
        clock: dto::Clock::default(),
        ledger: LastClosed { sequence, hash: Hash::ZERO, close_time_ms: 1000 * sequence },
        slot: OpenSlot { slot: sequence + 1, phase: Phase::Nominate, round: 1, counter: 0 },
        queued: 0,
        quorum_set_hash: quorum_set.hash(),
        nodes: vec![KnownNode {
            node,
            quorum_set: Some(Arc::clone(&quorum_set)),
            standing: Standing::Agree,
            last_slot: Some(sequence),
            distance: 0,
        }],
        quorum_set,
        peers: Vec::new(),
        away: Away::default(),
    }
}

pub(crate) struct Node {
    pub(crate) handle: HttpHandle,
    view: Published,
    slots: Slots,
    events: Events,
    pub(crate) requests: async_channel::Receiver<Request>,
    table: Arc<Table>,
    metrics: Arc<Metrics>,
}

pub(crate) fn node() -> Node {
    node_with(Limits::default(), 4)
}

/// A synced node at ledger 5.
fn node_with(limits: Limits, queue: usize) -> Node {
    let table = Arc::new(Table::default());
    table.ledgers.lock().unwrap().extend((1..=5).map(ledger));
    let id = key(9).node_id();
    let name = NodeName { name: "alpha".into(), organization: Some("one.example".into()) };
    let identity = Identity {
        node: id,
        network: network().0,
        validator: true,
        names: BTreeMap::from([(id, name)]),
        parameters: chain::Parameters::default(),
    };
    let (asked, requests) = async_channel::bounded(queue);
    let (view, events, metrics) = (Published::new(view(5, SyncState::Synced)), Events::default(), Arc::default());
    let slots = Slots::default();
    let state = HttpState {
        identity,
        view: view.clone(),
        slots: slots.clone(),
        history: Arc::clone(&table) as Arc<dyn History>,
        requests: asked,
        events: events.clone(),
        metrics: Arc::clone(&metrics),
    };
    let config = HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), names: vec!["node.example".into()], limits };
    let handle = start(&config, state).unwrap();
    Node { handle, view, slots, events, requests, table, metrics }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Sends exactly `request` and reads until the server closes.
pub(crate) fn raw(to: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may have answered and closed before it was all sent.
    drop(stream.write_all(request));
    Answer::read(stream)
}

impl Answer {
    /// Reads until the server closes.
    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the answer only says that the server did not want the rest of the request.
        drop(stream.read_to_end(&mut bytes));
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Self { status: head[9..12].parse().unwrap(), head, body: bytes[end..].to_vec() }
    }

    /// Does it carry what every answer carries?
    pub(crate) fn has_all_headers(&self) -> bool {
        let policy = self.header("content-security-policy").unwrap_or_default();
        let is = |name, value| self.header(name) == Some(value);
        policy.starts_with("default-src 'none'; script-src 'self'")
            && policy.contains("frame-ancestors 'none'")
            && is("x-content-type-options", "nosniff")
            && is("x-frame-options", "DENY")
            && is("referrer-policy", "no-referrer")
            && is("cross-origin-resource-policy", "same-origin")
            && is("cross-origin-opener-policy", "same-origin")
            && self.header("cache-control").is_some()
            && self.header("x-request-id").is_some()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Node {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.handle.local_addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends exactly `request` and reads until the server closes.
    fn raw(&self, request: &[u8]) -> Answer {
        raw(self.handle.local_addr(), request)
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", b"")
    }

    fn post(&self, query: &str, body: &[u8]) -> Answer {
        let headers = format!("Content-Type: application/cbor\r\nContent-Length: {}\r\n", body.len());
        self.send("POST", &format!("/v1/transactions{query}"), &headers, body)
    }

    /// Posts while consensus answers with `outcomes`; says what was answered and how often consensus was asked.
    fn post_answered(&self, query: &str, body: &[u8], outcomes: Vec<SubmitOutcome>) -> Answer {
        let requests = self.requests.clone();
        let consensus = std::thread::spawn(move || match requests.recv_blocking().unwrap() {
            Request::Submit(submission) => {
                outcomes.into_iter().for_each(|outcome| submission.reply.try_send(outcome).unwrap());
                submission
            }
            Request::IsPending { .. } | Request::OverrideSilence { .. } => panic!("not asked for"),
        });
        let answer = self.post(query, body);
        drop(consensus.join().unwrap());
        answer
    }

    fn events(&self, query: &str, headers: &str) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        let head = format!("GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    fn close(&self, sequence: u64) {
        let closed = ledger(sequence);
        let event = Event::Ledger(dto::LedgerClosed::from(&closed));
        self.table.ledgers.lock().unwrap().push(closed);
        self.view.publish(view(sequence, SyncState::Synced));
        self.events.publish(event);
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// The names (and ids) of events up to and including the one that is `last`.
fn names_until(stream: &mut BufReader<TcpStream>, last: &str) -> Vec<String> {
    let (mut names, mut name, mut id) = (Vec::new(), String::new(), String::new());
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended after {names:?}");
        let line = line.trim_end();
        if let Some(found) = line.strip_prefix("event:") {
            name = found.to_owned();
        } else if let Some(found) = line.strip_prefix("id:") {
            id = format!(" {found}");
        } else if line.is_empty() && !name.is_empty() {
            names.push(format!("{name}{id}"));
            if names.last().unwrap() == last {
                return names;
            }
            (name, id) = (String::new(), String::new());
        }
    }
}

fn payment(sequence: u64) -> SignedTransaction {
    SignedTransaction::payment(network(), &key(1), sequence, AccountId::of(&key(2)), 5).unwrap()
}

fn closed(signed: &SignedTransaction) -> dto::Transaction {
    let outcome = chain::Outcome::Failed { operation: 0, reason: chain::FailReason::InsufficientBalance };
    let result = chain::TxResult { hash: signed.hash(), fee_charged: 7, outcome, changes: Vec::new() };
    transaction(signed, 5, 3, &result)
}
