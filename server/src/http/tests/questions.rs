//! What every address answers.

use super::*;

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
        assert!(answer.has_all_headers(), "{method} {path}: {}", answer.head);
        assert!(!answer.text().contains("file name"), "what the store says stays inside");
    }
    assert!(node.metrics.encode().contains("fba_http_requests_total{status_class=\"4xx\"}"));
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
fn peers_that_left_or_are_banned_are_told_with_the_reason() {
    let node = node();
    let (them, reason) = (node_strkey(key(8).node_id()), "a forged signature".to_owned());
    let ban = dto::Ban {
        node: them.clone(),
        name: Some("beta".into()),
        since_ms: 1,
        until_ms: None,
        reason: reason.clone(),
        offences: 0,
    };
    let gone =
        dto::Departure { node: Some(them), name: None, address: "192.0.2.7:7001".into(), at_ms: 2, reason, times: 3 };
    let away = Away { bans: [ban.clone()].into(), departures: [gone.clone()].into() };
    node.view.publish(NodeView { away, ..view(5, SyncState::Synced) });
    let told: dto::Peers = serde_json::from_slice(&node.get("/v1/peers").body).unwrap();
    assert_eq!(told, dto::Peers { peers: Vec::new(), bans: vec![ban], departures: vec![gone] });
}
