//! docs/openapi.json is what the server does: the same addresses and methods, and answers of the shapes it gives.

use super::hostile::example_of;
use super::*;
use fba_core::{Ballot, Evidence, Moved, Pledge, Rule, SlotIndex, Statement, Timer, Value};
use serde_json::Value as Json;
use std::collections::BTreeSet;

fn document() -> Json {
    serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap()
}

/// The document, with every object closed, so that a field it does not name is an error here. To clients it is none.
fn closed_document() -> Json {
    fn close(json: &mut Json) {
        if let Json::Object(map) = json {
            if map.contains_key("properties") && map.get("type").is_some_and(|kind| kind == "object") {
                map.insert("additionalProperties".into(), Json::Bool(false));
            }
            map.values_mut().for_each(close);
        } else if let Json::Array(list) = json {
            list.iter_mut().for_each(close);
        }
    }
    let mut document = document();
    close(&mut document["components"]);
    document
}

/// Holds `answer` against the schema at `pointer` of the document.
fn validate(document: &Json, pointer: &str, answer: &Json) {
    let mut schema = document.pointer(pointer).unwrap_or_else(|| panic!("the document has no {pointer}")).clone();
    schema.as_object_mut().unwrap().insert("components".into(), document["components"].clone());
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{error} at {}", error.instance_path)).collect();
    assert!(errors.is_empty(), "{pointer}: {errors:?} in {answer}");
}

/// Where the document has the schema of this operation's answer.
fn schema_of(document: &Json, path: &str, method: &str, status: u16) -> String {
    let responses = format!("/paths/{}/{method}/responses", path.replace('/', "~1"));
    let documented = document.pointer(&responses).unwrap_or_else(|| panic!("no {responses}"));
    let status = if documented.get(status.to_string()).is_some() { status.to_string() } else { "default".to_owned() };
    let shared = documented[status.as_str()].get("$ref").and_then(Json::as_str);
    let response = shared.map_or(format!("{responses}/{status}"), |shared| shared.trim_start_matches('#').to_owned());
    format!("{response}/content/application~1json/schema")
}

/// A node that has seen a slot go through everything there is.
fn busy_node() -> Node {
    let node = node();
    node.slots.publish([Arc::new(trace())].into());
    let transaction = closed(&payment(1));
    node.table.transactions.lock().unwrap().insert(transaction.hash.clone(), transaction);
    node.view.publish(with_reasons(known_to_others(view(5, SyncState::Synced))));
    node
}

/// Others are known, near and far, and one of them by nothing but its key.
fn known_to_others(mut view: NodeView) -> NodeView {
    let far = |seed, quorum_set, standing| KnownNode {
        node: key(seed).node_id(),
        quorum_set,
        standing,
        last_slot: Some(5),
        distance: 1,
    };
    let inner = QuorumSet::new(1, vec![key(8).node_id()], vec![]).unwrap();
    let tree = Arc::new(QuorumSet::new(2, vec![key(9).node_id()], vec![inner]).unwrap());
    view.nodes.push(far(7, Some(Arc::clone(&tree)), Standing::Disagree));
    view.nodes.push(far(8, Some(tree), Standing::Delayed));
    view.nodes.push(KnownNode { last_slot: None, ..far(6, None, Standing::Missing) });
    view.peers.push(Peer {
        node: key(8).node_id(),
        address: "[::1]:7001".into(),
        inbound: true,
        since_ms: 1,
        rtt_us: None,
        bytes_in: 2,
        bytes_out: 3,
    });
    let (node, reason) = (node_strkey(key(6).node_id()), "a forged signature".to_owned());
    let ban = |until_ms, offences| {
        let (node, name, reason) = (node.clone(), Some("gamma".into()), reason.clone());
        dto::Ban { node, name, since_ms: 1, until_ms, reason, offences }
    };
    let departure = |node, times| {
        let (address, reason) = ("192.0.2.7:7001".into(), reason.clone());
        dto::Departure { node, name: None, address, at_ms: 2, reason, times }
    };
    view.away = Away {
        bans: [ban(Some(2), 1), ban(None, 0)].into(),
        departures: [departure(Some(node.clone()), 1), departure(None, 9)].into(),
    };
    view
}

/// Everything a node may give as a reason, at once: no state has them all.
fn with_reasons(view: NodeView) -> NodeView {
    let node = node_strkey(key(8).node_id());
    let named = |name: Option<&str>| dto::NamedNode { node: node.clone(), name: name.map(str::to_owned) };
    let missing = |sets| dto::MissingSet {
        organization: Some("two.example".into()),
        threshold: 2,
        heard: 1,
        members: 3,
        nodes: vec![dto::MissingNode { node: node.clone(), name: "beta".into(), said: "nothing heard".into() }],
        sets,
    };
    let waits = dto::Waits {
        slot: 6,
        phase: "prepare".into(),
        round: 1,
        counter: 4,
        peers: 1,
        needs: "at_counter".into(),
        missing: Some(missing(vec![missing(vec![])])),
    };
    let recovery =
        dto::Recovery { watched: 3, wanted: 10, must_pass_ms: 9, seconds_left: Some(62), clock_behind_ms: Some(1) };
    let catch_up = dto::CatchUp {
        from: 11,
        to: 1_010,
        applied: 0,
        headers_down_to: Some(600),
        ledgers_per_second: Some(10),
        seconds_left: Some(75),
        sources: 2,
    };
    let fail_with = vec![named(Some("beta")), named(None)];
    NodeView {
        reason: Some("no ledger closed for 42 s".into()),
        waits: Some(Box::new(waits)),
        recovery: Some(recovery),
        catch_up: Some(catch_up),
        quorum: dto::QuorumSummary { agree: 4, fail_at: Some(2), fail_with, ..dto::QuorumSummary::default() },
        clock: dto::Clock { ahead_ms: Some(-3_000), proposers: 3, warning: Some("set it by NTP".into()) },
        ..view
    }
}

fn trace() -> SlotTrace {
    let ballot = Ballot { counter: 2, value: Value::new(b"value") };
    let (us, nominated) = (key(9).node_id(), Ballot { counter: 0, ..ballot.clone() });
    let said = |pledge| {
        let statement = Statement { node: us, slot: SlotIndex(5), quorum_set: Hash::ZERO, pledge };
        crate::wire::SignedStatement::sign(statement, &crate::key::Ed25519::new(network(), key(9)))
    };
    let moved = |rule, ballot: &Ballot, evidence| {
        (
            Duration::from_millis(3),
            Arc::new(Step::Moved(Moved { slot: SlotIndex(5), rule, ballot: ballot.clone(), evidence })),
        )
    };
    let timer = |timer| (Duration::from_millis(4), Arc::new(Step::TimedOut(timer)));
    let nodes = BTreeSet::from([us]);
    SlotTrace {
        slot: 5,
        opened_ms: 1_000,
        closed_after: Some(Duration::from_millis(5)),
        state: None,
        timeouts: Timeouts { nomination: 1, ballot: 1 },
        steps: vec![
            moved(Rule::VoteNominated, &nominated, None),
            moved(Rule::ConfirmNominated, &nominated, Some(Evidence::Quorum(nodes.clone()))),
            timer(Timer::Nomination),
            moved(Rule::FollowBlocking, &ballot, Some(Evidence::VBlocking(nodes))),
            timer(Timer::Ballot),
        ],
        steps_left_out: 0,
        statements: vec![
            said(Pledge::Nominate { voted: vec![ballot.value.clone()], accepted: vec![] }),
            said(Pledge::Prepare {
                ballot: ballot.clone(),
                prepared: Some(ballot.clone()),
                prepared_prime: None,
                commit: 0,
                high: 0,
            }),
            said(Pledge::Confirm { ballot: ballot.clone(), prepared: 2, commit: 1, high: 2 }),
            said(Pledge::Externalize { commit: ballot, high: 2 }),
        ],
        statements_left_out: 0,
    }
}

#[test]
fn the_document_has_the_servers_addresses_and_no_others() {
    let document = document();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let served: BTreeSet<(String, String)> =
        ENDPOINTS.iter().map(|endpoint| (endpoint.path.to_owned(), endpoint.method.to_string())).collect();
    assert_eq!(documented, served);
}

#[test]
fn every_address_has_a_route_and_its_answer_the_documented_shape() {
    let (document, node) = (closed_document(), busy_node());
    let transaction = payment(1).hash().to_string();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method == warp::http::Method::GET) {
        let path =
            example_of(&endpoint.path.replace("/v1/transactions/{hash}", &format!("/v1/transactions/{transaction}")));
        if path == "/v1/events" {
            continue;
        }
        let answer = node.get(&path);
        // What the store of these tests cannot read is an error, in the documented form.
        let expected = if path.ends_with("5/transactions") { 503 } else { 200 };
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
        if answer.header("content-type") == Some("application/json") {
            validate(&document, &schema_of(&document, endpoint.path, "get", answer.status), &answer.json());
        }
    }
}

#[test]
fn a_node_without_trouble_has_the_documented_shape() {
    let (document, node) = (closed_document(), node());
    for (path, schema) in [("/v1/node", "Node"), ("/v1/quorum", "Quorum"), ("/v1/peers", "Peers")] {
        validate(&document, &format!("/components/schemas/{schema}"), &node.get(path).json());
    }
}

#[test]
fn answers_that_depend_on_the_question_have_the_documented_shape() {
    let (document, node) = (closed_document(), busy_node());
    for (path, schema) in [
        ("/v1/quorum", "Quorum"),
        ("/v1/quorum?transitive=true", "TransitiveQuorum"),
        ("/v1/slots/latest", "Slot"),
        ("/v1/slots?limit=1", "Slots"),
        ("/v1/ledgers?limit=1", "Ledgers"),
        ("/v1/nothing", "Error"),
    ] {
        validate(&document, &format!("/components/schemas/{schema}"), &node.get(path).json());
    }
    let submitted = node.post_answered("", payment(2).bytes(), vec![SubmitOutcome::Pending]);
    validate(&document, &schema_of(&document, "/v1/transactions", "post", submitted.status), &submitted.json());
    let refused = node.post("", b"nonsense");
    validate(&document, &schema_of(&document, "/v1/transactions", "post", refused.status), &refused.json());
}

#[test]
fn events_have_the_documented_shape() {
    let (document, node) = (closed_document(), busy_node());
    let mut seen = BTreeSet::new();
    for query in ["?since=3", "?since=999"] {
        let mut stream = node.events(query, "");
        let (mut name, mut left) = (String::new(), if query == "?since=3" { 4 } else { 3 });
        while left > 0 {
            let mut line = String::new();
            assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(found) = line.trim_end().strip_prefix("event:") {
                name = found.to_owned();
            } else if let Some(data) = line.trim_end().strip_prefix("data:") {
                let pointer = format!("/paths/~1v1~1events/get/x-events/{name}");
                validate(&document, &pointer, &serde_json::from_str(data).unwrap());
                seen.insert(name.clone());
                left -= 1;
            }
        }
    }
    let documented = document["paths"]["/v1/events"]["get"]["x-events"].as_object().unwrap().keys().cloned();
    let unseen: Vec<_> = documented.filter(|name| !seen.contains(name)).collect();
    assert_eq!(unseen, ["lagged"], "only a slow reader lags");
    let lagged = serde_json::to_value(dto::Lagged { missed: 3 }).unwrap();
    validate(&document, "/paths/~1v1~1events/get/x-events/lagged", &lagged);
}

#[test]
fn the_manual_names_every_address_and_every_event() {
    let manual = include_str!("../../../../docs/http.md");
    let plain = |address: &str| {
        address
            .replace("{sequence\\|hash\\|latest}", "{ledger}")
            .replace("{number\\|latest}", "{slot}")
            .replace("{G…}", "{account}")
    };
    let named: BTreeSet<String> = manual
        .split('`')
        .map(|code| code.strip_prefix("POST ").unwrap_or(code))
        .map(|code| plain(code.split('?').next().unwrap_or_default()))
        .collect();
    let unnamed: Vec<_> =
        ENDPOINTS.iter().map(|endpoint| endpoint.path).filter(|path| !named.contains(*path)).collect();
    assert!(unnamed.is_empty(), "docs/http.md says nothing of {unnamed:?}");
    let events = document()["paths"]["/v1/events"]["get"]["x-events"].as_object().unwrap().clone();
    for event in events.keys() {
        assert!(manual.contains(&format!("\n| `{event}`")), "docs/http.md says nothing of the event {event}");
    }
}

#[test]
fn the_node_serves_the_document() {
    assert_eq!(node().get("/v1/openapi.json").json(), document());
}

#[test]
fn the_transitive_quorum_is_read_by_the_analysis_as_a_network() {
    let node = busy_node();
    let network = quorum_tools::format::stellar_core::read(&node.get("/v1/quorum?transitive=true").body).unwrap();
    let view = node.view.load();
    assert_eq!(network.len(), view.nodes.len());
    for known in &view.nodes {
        let found = network.index(known.node).and_then(|index| network.quorum_set(index));
        assert_eq!(found, known.quorum_set.as_deref(), "{:?}", known.node);
    }
}
