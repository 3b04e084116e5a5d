//! The server over real sockets, with a table for a store and a thread for consensus.

use super::*;
use crate::key::SecretKey;
use crate::ledger::{self as chain, AccountId, SignedTransaction};
use fba_core::{Hash, NodeId, QuorumSet};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Instant;

/// Longest any of these waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

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
    fn data(&self, _: AccountId, key: &[u8]) -> Result<Option<Vec<u8>>, HistoryError> {
        Ok((key == b"a/b\xff").then(|| b"hello".to_vec()))
    }
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
    }
}

pub(crate) struct Node {
    pub(crate) handle: HttpHandle,
    view: Published,
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
    let state = HttpState {
        identity,
        view: view.clone(),
        history: Arc::clone(&table) as Arc<dyn History>,
        requests: asked,
        events: events.clone(),
        metrics: Arc::clone(&metrics),
    };
    let config = HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), names: vec!["node.example".into()], limits };
    let handle = start(&config, state).unwrap();
    Node { handle, view, events, requests, table, metrics }
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
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Answer { status: head[9..12].parse().unwrap(), head, body: bytes[end..].to_vec() }
}

impl Answer {
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
            Request::IsPending { .. } => panic!("not asked for"),
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

#[test]
fn every_question_has_its_status() {
    let node = node();
    let account = AccountId::of(&key(1)).to_string();
    let cases: Vec<(&str, String, u16)> = vec![
        ("GET", "/v1/node".into(), 200),
        ("GET", "/v1/ledgers".into(), 200),
        ("GET", "/v1/ledgers/latest".into(), 200),
        ("GET", format!("/v1/ledgers/{}", ledger(5).hash), 200),
        ("GET", "/v1/ledgers/99".into(), 404),
        ("GET", "/v1/ledgers/nonsense".into(), 400),
        ("GET", "/v1/ledgers?limit=0".into(), 400),
        ("GET", "/v1/ledgers?limit=201".into(), 400),
        ("GET", "/v1/ledgers?limit=x".into(), 400),
        ("GET", "/v1/ledgers?other=1".into(), 400),
        ("GET", "/v1/ledgers/5/transactions".into(), 503),
        ("GET", format!("/v1/accounts/{account}"), 200),
        ("GET", format!("/v1/accounts/{}", AccountId::of(&key(3))), 404),
        ("GET", "/v1/accounts/GARBAGE".into(), 400),
        ("GET", format!("/v1/accounts/{account}/transactions?before=5-0&limit=3"), 200),
        ("GET", format!("/v1/accounts/{account}/transactions?before=5"), 400),
        ("GET", format!("/v1/accounts/{account}/data/a%2Fb%FF"), 200),
        ("GET", format!("/v1/accounts/{account}/data/a"), 404),
        ("GET", format!("/v1/accounts/{account}/data/%Fx"), 400),
        ("GET", "/v1/transactions/12".into(), 400),
        ("GET", "/v1/quorum".into(), 200),
        ("GET", "/v1/peers".into(), 200),
        ("GET", "/v1/nothing".into(), 404),
        ("GET", "/v1".into(), 404),
        ("POST", "/v1/nothing".into(), 404),
        ("POST", "/v1/node".into(), 405),
        ("DELETE", "/v1/ledgers/5".into(), 405),
        ("GET", "/v1/transactions".into(), 405),
        ("GET", "/livez".into(), 200),
        ("GET", "/readyz".into(), 200),
        ("GET", "/metrics".into(), 200),
        ("GET", "/".into(), 200),
        ("GET", "/missing.js".into(), 404),
        ("GET", format!("/{}", "a".repeat(3000)), 414),
    ];
    for (method, path, status) in cases {
        let answer = node.send(method, &path, "", b"");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        if status >= 400 {
            assert!(!answer.code().is_empty(), "{method} {path}");
        }
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'") && policy.contains("frame-ancestors 'none'")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert!(!answer.text().contains("file name"), "what the store says stays inside");
    }
    assert!(node.metrics.encode().contains("fba_http_requests_total{status_class=\"4\"}"));
}

#[test]
fn shapes_are_the_documented_ones() {
    let node = node();
    let json = node.get("/v1/node").json();
    assert_eq!(json["name"], "alpha");
    assert_eq!(json["organization"], "one.example");
    assert_eq!(json["sync"]["state"], "synced");
    assert_eq!(json["ledger"]["sequence"], 5);
    assert_eq!(json["slot"]["phase"], "nominate");
    assert_eq!(json["network"], network().0.to_string());
    let account = node.get(&format!("/v1/accounts/{}", AccountId::of(&key(1)))).json();
    assert_eq!(account["balance"], u64::MAX.to_string(), "amounts are strings");
    assert_eq!(account["next_sequence"], 1);
    assert_eq!(account["data"][0]["text"], "greeting");
    let page = node.get("/v1/ledgers?limit=2&before=4").json();
    let sequences: Vec<_> =
        page["ledgers"].as_array().unwrap().iter().map(|l| l["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [3, 2]);
    let quorum = node.get("/v1/quorum").json();
    assert_eq!(quorum["nodes"][0]["state"], "agree");
    assert_eq!(quorum["quorum_set"]["threshold"], 1);
}

#[test]
fn a_head_request_gets_the_head_alone() {
    let node = node();
    let answer = node.send("HEAD", "/v1/node", "", b"");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn a_foreign_host_is_refused() {
    let node = node();
    let with =
        |host: &str| node.raw(format!("GET /livez HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes()).status;
    assert_eq!(with("Host: LocalHost.:8001\r\n"), 200);
    assert_eq!(with("Host: [::1]:8001\r\n"), 200);
    assert_eq!(with("Host: NODE.example\r\n"), 200);
    assert_eq!(with("Host: evil.example\r\n"), 403);
    assert_eq!(with("Host: localhost.evil.example\r\n"), 403);
    assert_eq!(with(""), 400);
    assert_eq!(with("Host: localhost\r\nHost: evil.example\r\n"), 400);
    let absolute = b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(node.raw(absolute).status, 403);
}

#[test]
fn another_sites_page_cannot_submit() {
    let node = node();
    for header in ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let answer = node.send("POST", "/v1/transactions", header, b"");
        assert_eq!((answer.status, answer.code().as_str()), (403, "foreign_origin"), "{header}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_declared_or_not() {
    let node = node();
    let large = chain::TRANSACTION_BYTES_MAX + 1;
    let declared = format!("Content-Type: application/cbor\r\nContent-Length: {large}\r\n");
    assert_eq!(node.send("POST", "/v1/transactions", &declared, b"").status, 413);
    let chunked = "Content-Type: application/cbor\r\nTransfer-Encoding: chunked\r\n";
    let body = [format!("{large:x}\r\n").into_bytes(), vec![0; large], b"\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(node.send("POST", "/v1/transactions", chunked, &body).status, 413);
}

#[test]
fn what_is_not_a_transaction_is_refused_with_the_rule() {
    let node = node();
    let answer = node.post("", b"\xff");
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_transaction"));
    let answer = node.send("POST", "/v1/transactions", "Content-Type: text/plain\r\nContent-Length: 0\r\n", b"");
    assert_eq!((answer.status, answer.code().as_str()), (415, "not_cbor"));
    assert_eq!(node.post("?wait=forever", payment(1).bytes()).status, 400);
    assert_eq!(node.post("?wait=closed&timeout_ms=60001", payment(1).bytes()).status, 400);
}

#[test]
fn a_submission_is_answered_with_what_became_of_it() {
    let node = node();
    let refusal = |conflict| Refusal { code: "because".into(), message: "of a rule".into(), conflict };
    let cases = [
        (SubmitOutcome::Pending, 202, None),
        (SubmitOutcome::Refused(refusal(true)), 409, None),
        (SubmitOutcome::Refused(refusal(false)), 422, None),
        (SubmitOutcome::QueueFull, 429, Some("1")),
        (SubmitOutcome::Expired, 503, Some("1")),
    ];
    for (outcome, status, retry) in cases {
        let answer = node.post_answered("", payment(1).bytes(), vec![outcome.clone()]);
        assert_eq!(answer.status, status, "{outcome:?}");
        assert_eq!(answer.header("retry-after"), retry, "{outcome:?}");
    }
}

#[test]
fn a_submission_that_waits_is_answered_when_it_is_closed() {
    let (node, signed) = (node(), payment(1));
    node.table.transactions.lock().unwrap().clear();
    let table = Arc::clone(&node.table);
    let (requests, tx) = (node.requests.clone(), closed(&signed));
    let consensus = std::thread::spawn(move || {
        let Request::Submit(submission) = requests.recv_blocking().unwrap() else { panic!("a submission") };
        submission.reply.try_send(SubmitOutcome::Pending).unwrap();
        table.transactions.lock().unwrap().insert(tx.hash.clone(), tx);
        submission.reply.try_send(SubmitOutcome::Closed { ledger: 5 }).unwrap();
    });
    let answer = node.post("?wait=closed", signed.bytes());
    consensus.join().unwrap();
    let json = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(
        (json["status"].as_str(), json["ledger"].as_u64(), json["index"].as_u64()),
        (Some("closed"), Some(5), Some(3))
    );
    assert_eq!(json["result"]["reason"], "insufficient_balance");
    assert_eq!(json["operations"][0]["type"], "payment");
    // The same bytes again: consensus refuses what is closed already, and the answer is the close.
    let conflict = Refusal { code: "sequence".into(), message: "another one is next".into(), conflict: true };
    assert_eq!(node.post_answered("", signed.bytes(), vec![SubmitOutcome::Refused(conflict)]).status, 200);
    assert_eq!(node.get(&format!("/v1/transactions/{}", signed.hash())).json()["status"], "closed");
}

#[test]
fn a_submission_refused_because_it_closed_meanwhile_is_answered_closed() {
    let (node, signed) = (node(), payment(1));
    let (requests, table, tx) = (node.requests.clone(), Arc::clone(&node.table), closed(&signed));
    let consensus = std::thread::spawn(move || {
        let Request::Submit(submission) = requests.recv_blocking().unwrap() else { panic!("a submission") };
        table.transactions.lock().unwrap().insert(tx.hash.clone(), tx);
        let refusal = Refusal { code: "sequence".into(), message: "1 is used up".into(), conflict: true };
        submission.reply.try_send(SubmitOutcome::Refused(refusal)).unwrap();
    });
    let answer = node.post("", signed.bytes());
    consensus.join().unwrap();
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("closed")));
}

#[test]
fn a_submission_that_waits_too_long_is_pending() {
    let node = node();
    let answer = node.post_answered("?wait=closed&timeout_ms=1", payment(1).bytes(), vec![SubmitOutcome::Pending]);
    assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("pending")));
}

#[test]
fn a_node_that_is_not_in_sync_takes_no_transactions_and_is_not_ready() {
    let node = node();
    node.view.publish(view(5, SyncState::CatchingUp));
    let answer = node.post("", payment(1).bytes());
    assert_eq!((answer.status, answer.code().as_str()), (503, "not_synced"));
    assert!(answer.header("retry-after").is_some());
    let ready = node.get("/readyz");
    assert_eq!((ready.status, ready.code().as_str()), (503, "catching_up"));
    assert_eq!(node.get("/livez").status, 200);
}

#[test]
fn a_full_channel_to_consensus_is_answered_at_once() {
    let node = node_with(Limits::default(), 1);
    let mut first = node.connect();
    let signed = payment(1);
    let head = format!(
        "POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cbor\r\nContent-Length: {}\r\n\r\n",
        signed.bytes().len()
    );
    first.write_all(&[head.as_bytes(), signed.bytes()].concat()).unwrap();
    until("the first submission", || node.requests.is_full());
    let answer = node.post("", payment(2).bytes());
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
}

#[test]
fn a_pending_transaction_is_found_and_an_unknown_one_is_not() {
    let node = node();
    for (pending, status) in [(true, 200), (false, 404)] {
        let requests = node.requests.clone();
        let consensus = std::thread::spawn(move || match requests.recv_blocking().unwrap() {
            Request::IsPending { reply, .. } => reply.try_send(pending).unwrap(),
            Request::Submit(_) => panic!("not asked for"),
        });
        assert_eq!(node.get(&format!("/v1/transactions/{}", payment(1).hash())).status, status);
        consensus.join().unwrap();
    }
}

#[test]
fn a_stream_fills_the_gap_first_and_then_goes_on_live() {
    let node = node();
    let mut stream = node.events("?since=3", "");
    assert_eq!(names_until(&mut stream, "ledger 5"), ["sync", "phase", "ledger 4", "ledger 5"]);
    node.events.publish(Event::Ledger(dto::LedgerClosed::from(&ledger(5))));
    node.close(6);
    assert_eq!(names_until(&mut stream, "ledger 6"), ["ledger 6"], "ledger 5 is not told twice");
}

#[test]
fn a_browser_that_reconnects_is_believed_its_newer_id() {
    let node = node();
    let mut stream = node.events("?since=1", "Last-Event-ID: 4\r\n");
    assert_eq!(names_until(&mut stream, "ledger 5"), ["sync", "phase", "ledger 5"]);
}

#[test]
fn a_gap_too_wide_or_from_elsewhere_is_a_reset() {
    let node = node();
    let newest = 5 + BACKFILL_MAX as u64 + 1;
    (6..=newest).for_each(|sequence| node.close(sequence));
    for since in [1, newest + 100] {
        let mut stream = node.events(&format!("?since={since}"), "");
        let names = names_until(&mut stream, &format!("reset {newest}"));
        assert_eq!(names.len(), 3, "{names:?}");
    }
}

#[test]
fn the_65th_stream_is_refused_and_a_seat_that_is_left_is_free_again() {
    let node = node();
    let mut streams: Vec<_> = (0..STREAMS_MAX).map(|_| node.events("", "")).collect();
    until("64 streams", || node.events.readers() == STREAMS_MAX);
    let answer = node.get("/v1/events");
    assert_eq!((answer.status, answer.code().as_str()), (503, "too_many_streams"));
    assert!(answer.header("retry-after").is_some());
    streams.truncate(STREAMS_MAX - 1);
    // Only a write finds out that the reader has gone.
    until("a free seat", || {
        node.events.publish(Event::Sync(dto::Sync { state: "synced".into(), reason: None }));
        node.events.readers() < STREAMS_MAX
    });
}

#[test]
fn a_reader_that_reads_nothing_is_cut_off_and_never_holds_up_the_publisher() {
    let limits = Limits { write: Duration::from_millis(50), ..Limits::default() };
    let node = node_with(limits, 4);
    let _stuck = node.events("", "");
    until("the stream", || node.events.readers() == 1);
    let reason = Some("x".repeat(32 * 1024));
    until("the cut", || {
        node.events.publish(Event::Sync(dto::Sync { state: "synced".into(), reason: reason.clone() }));
        node.events.readers() == 0
    });
}

#[test]
fn a_reader_that_falls_behind_is_told_and_gets_every_ledger() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let table = Arc::new(Table::default());
    table.ledgers.lock().unwrap().extend((1..=5).map(ledger));
    let (events, published) = (Events::default(), Published::new(view(5, SyncState::Synced)));
    let reads = history::Reads::new(Arc::clone(&table) as Arc<dyn History>);
    let streams = events::Streams::new(events.clone(), published.clone(), reads);
    runtime.block_on(async {
        let mut feed = streams.open(None).await.unwrap();
        for sequence in 6..=8 {
            table.ledgers.lock().unwrap().push(ledger(sequence));
            published.publish(view(sequence, SyncState::Synced));
            events.publish(Event::Ledger(dto::LedgerClosed::from(&ledger(sequence))));
        }
        for _ in 0..1000 {
            events.publish(Event::Phase(dto::Slot::from(&published.load().slot)));
        }
        let mut told = Vec::new();
        for _ in 0..6 {
            told.push(format!("{:?}", feed.next().await.unwrap()).split([' ', '{']).next().unwrap().to_owned());
        }
        let is = |kind: &str| told.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!((is("Lagged"), is("Event(Ledger")), (1, 3), "{told:?}");
    });
}

#[test]
fn the_server_stops_with_an_open_stream() {
    let node = node();
    let mut stream = node.events("", "");
    names_until(&mut stream, "phase");
    let before = Instant::now();
    node.handle.stop();
    assert!(before.elapsed() < PATIENCE);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
}

#[test]
fn a_client_that_is_slow_with_its_headers_is_cut_off() {
    let limits = Limits { header_read: Duration::from_millis(50), ..Limits::default() };
    let node = node_with(limits, 4);
    let mut slow = node.connect();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: local").unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    let mut idle = node.connect();
    idle.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn too_many_headers_are_refused() {
    let node = node();
    let many = "X-A: 1\r\n".repeat(100);
    assert_eq!(node.send("GET", "/livez", &many, b"").status, 431);
    let large = format!("X-A: {}\r\n", "1".repeat(64 * 1024));
    assert_eq!(node.send("GET", "/livez", &large, b"").status, 431);
}

#[test]
fn one_connection_more_than_allowed_waits_for_a_seat() {
    let node = node_with(Limits { connections: 1, ..Limits::default() }, 4);
    let first = node.connect();
    until("the first connection", || node.metrics.http_connections.get() == 1);
    let mut second = node.connect();
    second.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(node.metrics.http_connections.get(), 1);
    drop(first);
    let mut answer = String::new();
    second.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let node = node();
    let config = HttpConfig { listen: node.handle.local_addr(), names: Vec::new(), limits: Limits::default() };
    let (requests, _) = async_channel::bounded(1);
    let identity = Identity {
        node: NodeId([0; 32]),
        network: Hash::ZERO,
        validator: false,
        names: BTreeMap::new(),
        parameters: chain::Parameters::default(),
    };
    let state = HttpState {
        identity,
        view: node.view.clone(),
        history: Arc::clone(&node.table) as Arc<dyn History>,
        requests,
        events: Events::default(),
        metrics: Arc::default(),
    };
    let error = start(&config, state).expect_err("the port is taken").to_string();
    assert!(error.contains(&node.handle.local_addr().to_string()), "{error}");
}

#[test]
fn the_manual_quotes_the_ledgers_own_vectors() {
    let manual = include_str!("../../../docs/http.md");
    for vector in [
        include_str!("../ledger/vectors/transaction_body.hex"),
        include_str!("../ledger/vectors/transaction.hex"),
        include_str!("../ledger/vectors/transaction_hash.hex"),
    ] {
        assert!(manual.contains(vector.trim()), "docs/http.md does not have {vector}");
    }
}
