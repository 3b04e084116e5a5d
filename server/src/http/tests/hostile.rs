//! Requests nobody means well: a table of them, each answered with its status in the one form, and the server lives.

use super::*;
use std::fmt::Write as _;
use std::net::Shutdown;

/// One request, byte by byte, and what it must be answered.
struct Case {
    request: Vec<u8>,
    status: u16,
    code: &'static str,
}

fn case(request: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Case {
    Case { request: request.into(), status, code }
}

fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// A request to every address there is, with an example in the place of every `{…}`.
pub(super) fn example_of(path: &str) -> String {
    let account = AccountId::of(&key(1)).to_string();
    path.replace("{ledger}", "5")
        .replace("{hash}", &ledger(5).hash)
        .replace("{account}", &account)
        .replace("{key}", "a%2Fb%FF")
        .replace("{slot}", "5")
}

/// Every address with methods it does not take.
fn wrong_methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in ENDPOINTS.map(|endpoint| endpoint.path) {
        let takes_post = path == "/v1/transactions";
        let others = if takes_post { ["GET", "HEAD"] } else { ["POST", "post"] };
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get"].into_iter().chain(others) {
            // The answer to a HEAD has no body to check.
            if method != "HEAD" {
                cases.push(case(request(method, &example_of(path), "", b""), 405, "method_not_allowed"));
            }
        }
    }
    cases
}

/// Addresses that lead nowhere, or name what cannot be.
fn wrong_targets() -> Vec<Case> {
    let account = AccountId::of(&key(1)).to_string();
    let mut cases: Vec<Case> = [
        "/v1",
        "/v1/",
        "/v1//node",
        "/v1/node/",
        "/v1/Node",
        "/V1/node/../node.js",
        "/v1/node;x",
        "/v1/node%00",
        "/v1/../v1/node",
        "/v1/./node",
        "/v1/%6eode",
        "/v1/ledgers/",
        "/v1/ledgers/5/",
        "/v1/ledgers/5/nothing",
        "/v1/ledgers/5/proof/1",
        "/v1/ledgers/6",
        "/v1/ledgers/18446744073709551615",
        "/v1/slots/77",
        "/v1/admin",
        "/admin.php",
        "/.env",
        "/../../etc/passwd.txt",
        "/..%2f..%2fetc%2fpasswd.txt",
        "/%2e%2e/secret.key",
        "/assets/../node.toml",
        "/index.html/../x.js",
        "/.git/config.x",
        "//evil.example/x.js",
        "/\\..\\..\\x.txt",
        "/node.key",
        "/data/store.sqlite",
    ]
    .map(|target| case(request("GET", target, "", b""), 404, "not_found"))
    .into();
    cases.extend(wrong_names());
    for (target, code) in
        [("data?after=zz", "bad_query"), ("data/%zz", "bad_key"), ("transactions?before=1", "bad_query")]
    {
        cases.push(case(request("GET", &format!("/v1/accounts/{account}/{target}"), "", b""), 400, code));
    }
    cases.push(case(request("GET", &format!("/v1/ledgers/{}", "5".repeat(3000)), "", b""), 414, "target_too_long"));
    cases.push(case(request("GET", &format!("/v1/ledgers?{}", "a=1&".repeat(600)), "", b""), 414, "target_too_long"));
    cases.push(case(request("OPTIONS", "*", "", b""), 400, "bad_target"));
    cases.push(case(request("CONNECT", "localhost:22", "", b""), 400, "bad_target"));
    cases
}

/// Names and queries that cannot be.
fn wrong_names() -> Vec<Case> {
    [
        ("/v1/ledgers/-1", "bad_ledger"),
        ("/v1/ledgers/18446744073709551616", "bad_ledger"),
        ("/v1/ledgers/5%20", "bad_ledger"),
        ("/v1/ledgers/0x5", "bad_ledger"),
        ("/v1/ledgers/%F0%9F%92%A9", "bad_ledger"),
        ("/v1/ledgers/'%20OR%201=1--", "bad_ledger"),
        ("/v1/slots/x", "bad_slot"),
        ("/v1/transactions/0", "bad_hash"),
        ("/v1/transactions/%3Cscript%3E", "bad_hash"),
        ("/v1/accounts/x", "bad_account"),
        ("/v1/accounts/..", "bad_account"),
        ("/v1/ledgers?limit=0", "bad_query"),
        ("/v1/ledgers?limit=201", "bad_query"),
        ("/v1/ledgers?limit=-1", "bad_query"),
        ("/v1/ledgers?limit=1&limit=2", "bad_query"),
        ("/v1/ledgers?before=x", "bad_query"),
        ("/v1/ledgers?%00=1", "bad_query"),
        ("/v1/quorum?transitive=maybe", "bad_query"),
        ("/v1/quorum?fullkeys=true", "bad_query"),
        ("/v1/slots?limit=999", "bad_query"),
        ("/v1/events?since=yesterday", "bad_query"),
    ]
    .map(|(target, code)| case(request("GET", target, "", b""), 400, code))
    .into()
}

/// Heads that are no heads: hyper's own answers, in our form.
fn wrong_heads() -> Vec<Case> {
    let head = |lines: &str| format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    let mut cases: Vec<Case> = [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
        "GET / HTTPS/1.1\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\n: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHo st: localhost\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "{\"jsonrpc\":\"2.0\"}\r\n\r\n",
    ]
    .map(|head| case(head, 400, "bad_head"))
    .into();
    for line in [
        "X: \0\r\n",
        "X: a\r\n b\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: x\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ] {
        cases.push(case(head(line), 400, "bad_head"));
    }
    let many = (0..65).fold(String::new(), |mut lines, n| {
        write!(lines, "X-{n}: 1\r\n").unwrap();
        lines
    });
    cases.push(case(head(&many), 431, "head_too_large"));
    for bytes in [9 * 1024, 64 * 1024] {
        cases.push(case(head(&format!("X: {}\r\n", "a".repeat(bytes))), 431, "head_too_large"));
        cases.push(case(head(&format!("{}: a\r\n", "x".repeat(bytes))), 431, "head_too_large"));
    }
    cases.push(case(request("GET", &format!("/{}", "a".repeat(64 * 1024)), "", b""), 431, "head_too_large"));
    cases
}

/// Whom it is for, and who sent it.
fn wrong_senders() -> Vec<Case> {
    let mut cases = Vec::new();
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:80",
        "2130706433",
        "0x7f000001",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::2]",
        "0.0.0.0",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:80:80",
        "localhost:x",
        "local host",
        "localhost, localhost",
        "http://localhost",
        "localhost/",
        "\u{e9}.example",
        "",
    ] {
        let head = format!("GET /v1/node HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        cases.push(case(head, 403, "host_not_allowed"));
    }
    for head in ["GET /v1/node HTTP/1.0\r\n\r\n", "GET /v1/node HTTP/1.1\r\nConnection: close\r\n\r\n"] {
        cases.push(case(head, 400, "bad_host"));
    }
    let two = "GET /v1/node HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    cases.push(case(two, 400, "bad_host"));
    let other = "GET http://evil.example/v1/node HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    cases.push(case(other, 403, "host_not_allowed"));
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: file://",
        "Origin: ",
        "Origin: http://localhost.evil.example",
        "Origin: localhost",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: x",
        "Origin: http://localhost\r\nSec-Fetch-Site: cross-site",
    ] {
        let headers = format!("Content-Type: application/cbor\r\nContent-Length: 0\r\n{header}\r\n");
        cases.push(case(request("POST", "/v1/transactions", &headers, b""), 403, "foreign_origin"));
    }
    cases
}

/// Bodies that are no transactions.
fn wrong_bodies() -> Vec<Case> {
    let genuine = payment(1).bytes().to_vec();
    let cbor = "Content-Type: application/cbor\r\n";
    let nested = |head: u8, depth: usize| [vec![head; depth], vec![0]].concat();
    let mut bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xff".to_vec(),
        b"{\"body\":\"\"}".to_vec(),
        b"not cbor".to_vec(),
        nested(0x81, 1_000),
        nested(0x81, 70_000),
        nested(0xc1, 1_000),
        nested(0xa1, 1_000),
        nested(0x9f, 1_000),
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x7b\x00\x00\x00\xff\xff\xff\xff\xff".to_vec(),
        b"\xa2dbody\x40jsignatures\x80".to_vec(),
        b"\xf6".to_vec(),
        b"\x1f\x8b\x08\x00".to_vec(),
        vec![0; 73_728],
        [genuine.as_slice(), b"\0"].concat(),
        genuine[..genuine.len() - 1].to_vec(),
        genuine[1..].to_vec(),
    ];
    // Heads and names of fields, which leave no choice.
    for place in [0, 1, 3, 6, 8, 10, 12] {
        let mut flipped = genuine.clone();
        flipped[place] ^= 0x80;
        bodies.push(flipped);
    }
    let post = |headers: &str, body: &[u8]| request("POST", "/v1/transactions", headers, body);
    let sized = |body: &[u8]| format!("{cbor}Content-Length: {}\r\n", body.len());
    let mut cases: Vec<Case> =
        bodies.iter().map(|body| case(post(&sized(body), body), 400, "bad_transaction")).collect();
    for kind in [
        "text/plain",
        "application/json",
        "application/cbor-seq",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "",
        "cbor",
    ] {
        let headers = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", genuine.len());
        cases.push(case(post(&headers, &genuine), 415, "not_cbor"));
    }
    let zipped = format!("{}Content-Encoding: gzip\r\n", sized(&genuine));
    cases.push(case(post(&zipped, &genuine), 415, "not_cbor"));
    cases.push(case(post(&format!("{cbor}Content-Length: 73729\r\n"), b""), 413, "too_large"));
    cases.push(case(post(&format!("{cbor}Content-Length: 18446744073709551613\r\n"), b""), 413, "too_large"));
    let chunked = format!("{cbor}Transfer-Encoding: chunked\r\n");
    for (body, code) in [
        ("zz\r\n", "bad_body"),
        ("ffffffffffffffffff\r\n", "bad_body"),
        ("1\r\nxx\r\n", "bad_body"),
        ("0\r\n\r\n", "bad_transaction"),
    ] {
        cases.push(case(post(&chunked, body.as_bytes()), 400, code));
    }
    let bomb = [b"12001\r\n".as_slice(), &vec![0; 0x12001], b"\r\n0\r\n\r\n"].concat();
    cases.push(case(post(&chunked, &bomb), 413, "too_large"));
    for query in ["?wait=forever", "?wait=closed&timeout_ms=60001", "?timeout_ms=-1", "?unknown=1"] {
        let target = format!("/v1/transactions{query}");
        cases.push(case(request("POST", &target, &sized(&genuine), &genuine), 400, "bad_query"));
    }
    cases
}

fn check(cases: &[Case]) {
    let node = node();
    for Case { request, status, code } in cases {
        let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
        let answer = node.raw(request);
        assert_eq!(answer.status, *status, "{shown:?}: {}", answer.text());
        assert_eq!(answer.code(), *code, "{shown:?}");
        assert!(answer.has_all_headers(), "{shown:?}: {}", answer.head);
        assert_eq!(answer.header("allow").is_some(), *status == 405, "{shown:?}");
    }
    assert_eq!(node.get("/livez").status, 200);
    assert!(node.requests.is_empty(), "nothing of it reached consensus");
}

#[test]
fn methods_an_address_does_not_take_are_refused() {
    check(&wrong_methods());
}

#[test]
fn addresses_that_lead_nowhere_are_refused() {
    check(&wrong_targets());
}

#[test]
fn heads_that_are_no_heads_are_refused_in_the_one_form() {
    check(&wrong_heads());
}

#[test]
fn requests_for_others_and_from_other_sites_are_refused() {
    check(&wrong_senders());
}

#[test]
fn bodies_that_are_no_transactions_are_refused() {
    check(&wrong_bodies());
}

#[test]
fn there_are_hundreds_of_hostile_requests() {
    let count: usize =
        [wrong_methods(), wrong_targets(), wrong_heads(), wrong_senders(), wrong_bodies()].iter().map(Vec::len).sum();
    assert!(count >= 300, "{count}");
}

#[test]
fn a_body_that_ends_early_is_refused() {
    let node = node();
    let mut stream = node.connect();
    let headers = "Content-Type: application/cbor\r\nContent-Length: 100\r\n";
    stream.write_all(&request("POST", "/v1/transactions", headers, b"short")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = Answer::read(stream);
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_body"));
}

#[test]
fn a_bad_request_after_a_good_one_is_answered_in_the_one_form_too() {
    let node = node();
    let mut stream = node.connect();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE\r\n\r\n").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all.matches("x-request-id: ").count(), 2, "{all}");
    assert!(all.contains("\"bad_head\""), "{all}");
}
