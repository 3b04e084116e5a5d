//! Who is let in, and how much of everything.

use super::*;

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
    let counted = || node.metrics.http_rejected.get_or_create(&[("limit", "size")]).get();
    let before = counted();
    assert_eq!(node.send("GET", "/livez", &large, b"").status, 431);
    assert_eq!(counted(), before + 1, "an answer of hyper's is counted like ours");
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
        slots: Slots::default(),
        history: Arc::clone(&node.table) as Arc<dyn History>,
        requests,
        events: Events::default(),
        metrics: Arc::default(),
    };
    let error = start(&config, state).expect_err("the port is taken").to_string();
    assert!(error.contains(&node.handle.local_addr().to_string()), "{error}");
}

#[test]
fn a_client_that_is_slow_with_its_head_is_told_so() {
    let node = node_with(Limits { header_read: Duration::from_millis(50), ..Limits::default() }, 4);
    let mut slow = node.connect();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: local").unwrap();
    let answer = Answer::read(slow);
    assert_eq!((answer.status, answer.code().as_str()), (408, "too_slow"));
    assert!(answer.has_all_headers(), "{}", answer.head);
}

#[test]
fn a_connection_that_idles_is_closed_without_a_word() {
    let node = node_with(Limits { header_read: Duration::from_millis(50), ..Limits::default() }, 4);
    let mut idle = node.connect();
    let mut all = String::new();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    idle.read_to_string(&mut all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
}

#[test]
fn a_client_that_is_slow_with_its_body_is_told_so() {
    let node = node_with(Limits { body_read: Duration::from_millis(50), ..Limits::default() }, 4);
    let headers = "Content-Type: application/cbor\r\nContent-Length: 100\r\n";
    let answer = node.send("POST", "/v1/transactions", headers, b"slow");
    assert_eq!((answer.status, answer.code().as_str()), (408, "too_slow"));
}

#[test]
fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let one = NonZeroU32::MIN;
    let limits =
        Limits { requests_per_second: one, submissions_per_second: one, limit_loopback: true, ..Limits::default() };
    let node = node_with(limits, 4);
    // A burst of two is allowed; ten at once cannot all be within one a second, however slow the machine is.
    let answers: Vec<_> = (0..10).map(|_| node.get("/livez")).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("one too many");
    assert_eq!(refused.code(), "too_many_requests");
    assert!(
        refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|seconds| seconds >= 1))
    );
    assert!(refused.has_all_headers());
}

#[test]
fn a_mistake_of_ours_is_an_answer_and_not_the_end() {
    let node = node();
    let answer = node.get(&format!("/v1/ledgers/{PANICS}/proof"));
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert!(!answer.text().contains("while reading"), "what went wrong stays inside");
    assert_eq!(node.get("/livez").status, 200);
}

#[test]
fn a_handler_that_panics_is_an_answer_and_not_the_end() {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let served = server::Served {
        surface: endpoints::PUBLIC,
        routes: warp::Filter::boxed(warp::Filter::map(warp::any(), || -> warp::reply::Response {
            panic!("a mistake of ours")
        })),
        metrics: Arc::default(),
        stop: Stop(stopped),
    };
    let config = HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), names: Vec::new(), limits: Limits::default() };
    let handle = server::start(&config, served, stop).unwrap();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(handle.local_addr()).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let answer = Answer::read(stream);
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
        assert!(answer.has_all_headers());
    }
    handle.stop();
}

#[test]
fn every_answer_has_an_id_of_its_own() {
    let node = node();
    let ids: std::collections::BTreeSet<String> =
        (0..5).map(|_| node.get("/livez").header("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 5);
}
