//! The admin side over real sockets: who is let in, and what he can do.

use super::*;
use crate::http::tests::{Answer, key, raw};
use crate::http::view::NodeName;
use crate::key::{NetworkId, node_strkey};
use crate::ledger::Parameters;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// A stand-in for the overlay: one peer that can be dropped.
#[derive(Default)]
pub(crate) struct OnePeer {
    dropped: Mutex<Vec<(NodeId, String)>>,
    banned: Mutex<BTreeMap<NodeId, (Option<Duration>, String)>>,
}

fn peer() -> NodeId {
    key(7).node_id()
}

impl Links for OnePeer {
    fn peers(&self) -> dto::Peers {
        let gone = dto::Departure {
            node: Some(node_strkey(peer())),
            name: None,
            address: "192.0.2.7:7001".into(),
            at_ms: 5,
            reason: "spoke out of turn".into(),
            times: 2,
        };
        dto::Peers { peers: Vec::new(), departures: vec![gone] }
    }

    fn drop_peer(&self, node: NodeId, reason: &str) -> bool {
        self.dropped.lock().unwrap().push((node, reason.to_owned()));
        node == peer()
    }

    fn ban(&self, node: NodeId, time: Option<Duration>, reason: &str) {
        self.banned.lock().unwrap().insert(node, (time, reason.to_owned()));
    }

    fn unban(&self, node: NodeId) -> bool {
        self.banned.lock().unwrap().remove(&node).is_some()
    }

    fn bans(&self) -> Vec<dto::Ban> {
        let ban = |(node, (time, reason)): (&NodeId, &(Option<Duration>, String))| dto::Ban {
            node: node_strkey(*node),
            name: None,
            since_ms: 1,
            until_ms: time.map(|time| 1 + u64::try_from(time.as_millis()).unwrap()),
            reason: reason.clone(),
            offences: 0,
        };
        self.banned.lock().unwrap().iter().map(ban).collect()
    }
}

/// A running admin side.
pub(crate) struct Admin {
    pub(crate) handle: HttpHandle,
    pub(crate) token: Token,
    pub(crate) token_file: PathBuf,
    links: Arc<OnePeer>,
    pub(crate) shutdown: async_channel::Receiver<()>,
    requests: async_channel::Receiver<Request>,
    _folder: tempfile::TempDir,
}

pub(crate) fn admin() -> Admin {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("admin.token");
    let links = Arc::new(OnePeer::default());
    let (stop, shutdown) = async_channel::bounded(1);
    let (asked, requests) = async_channel::bounded(1);
    let name = NodeName { name: "beta".into(), organization: None };
    let identity = Identity {
        node: key(9).node_id(),
        network: NetworkId::of_passphrase("admin tests").0,
        validator: true,
        names: BTreeMap::from([(peer(), name)]),
        parameters: Parameters::default(),
    };
    let state = AdminState {
        identity,
        requests: asked,
        links: Arc::clone(&links) as Arc<dyn Links>,
        log: None,
        shutdown: stop,
        metrics: Arc::default(),
    };
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = AdminConfig { listen, names: Vec::new(), token_file: token_file.clone() };
    let handle = start(&config, state).unwrap();
    Admin { token: Token::read(&token_file).unwrap(), token_file, handle, links, shutdown, requests, _folder: folder }
}

impl Admin {
    fn raw(&self, request: &str) -> Answer {
        raw(self.handle.local_addr(), request.as_bytes())
    }

    /// What has been done to the node so far.
    fn changes(&self) -> usize {
        self.links.dropped.lock().unwrap().len() + self.links.banned.lock().unwrap().len() + self.shutdown.len()
    }

    /// A request with the token and nothing else.
    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let (token, length) = (self.token.digits(), body.len());
        self.raw(&format!(
            "{method} /admin/v1/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }
}

/// Method and path, headers with `TOKEN` where the token goes, body, and the status it gets.
type Case = (&'static str, &'static [&'static str], &'static str, u16);

const AUTH: &str = "Authorization: Bearer TOKEN";
const HOST: &str = "Host: localhost";
const JSON: &str = "Content-Type: application/json";
const SHUTDOWN: &str = "POST /admin/v1/shutdown";

/// Each is a way to make somebody's browser, or somebody without the token, change the node. None does.
const REFUSED: [Case; 46] = [
    // Tokens
    (SHUTDOWN, &[HOST, JSON], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, "Authorization: Bearer"], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, "Authorization: Bearer "], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, "Authorization: Bearer 0000"], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, "Authorization: Basic TOKEN"], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, "Authorization: TOKEN"], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, AUTH, AUTH], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, "Authorization: Bearer TOKENTOKEN"], "{}", 401),
    (SHUTDOWN, &[HOST, JSON, "Cookie: token=TOKEN"], "{}", 401),
    // From here on wrong tokens are throttled.
    ("POST /admin/v1/shutdown?token=TOKEN", &[HOST, JSON], "{}", 401),
    ("GET /admin/v1/peers", &[HOST], "", 429),
    ("GET /admin/v1/log", &[HOST, "Authorization: Bearer x"], "", 429),
    // Hosts: DNS rebinding
    (SHUTDOWN, &[JSON, AUTH], "{}", 400),
    (SHUTDOWN, &["Host: evil.example", JSON, AUTH], "{}", 403),
    (SHUTDOWN, &["Host: localhost.evil.example", JSON, AUTH], "{}", 403),
    (SHUTDOWN, &["Host: 127.0.0.1.evil.example", JSON, AUTH], "{}", 403),
    (SHUTDOWN, &["Host: 2130706433", JSON, AUTH], "{}", 403),
    (SHUTDOWN, &["Host: 0.0.0.0", JSON, AUTH], "{}", 403),
    (SHUTDOWN, &["Host: localhost@evil.example", JSON, AUTH], "{}", 403),
    (SHUTDOWN, &[HOST, "Host: evil.example", JSON, AUTH], "{}", 400),
    ("POST http://evil.example/admin/v1/shutdown", &[HOST, JSON, AUTH], "{}", 403),
    // Browsers: even with the token
    (SHUTDOWN, &[HOST, JSON, AUTH, "Origin: http://evil.example"], "{}", 403),
    (SHUTDOWN, &[HOST, JSON, AUTH, "Origin: http://localhost:8001"], "{}", 403),
    (SHUTDOWN, &[HOST, JSON, AUTH, "Origin: null"], "{}", 403),
    (SHUTDOWN, &[HOST, JSON, AUTH, "Sec-Fetch-Site: cross-site"], "{}", 403),
    (SHUTDOWN, &[HOST, JSON, AUTH, "Sec-Fetch-Site: same-site"], "{}", 403),
    (SHUTDOWN, &[HOST, JSON, AUTH, "Sec-Fetch-Site: same-origin"], "{}", 403),
    (SHUTDOWN, &[HOST, JSON, AUTH, "Sec-Fetch-Site: none"], "{}", 403),
    ("GET /admin/v1/peers", &[HOST, AUTH, "Origin: http://evil.example"], "", 403),
    (
        "OPTIONS /admin/v1/shutdown",
        &[HOST, "Origin: http://evil.example", "Access-Control-Request-Method: POST"],
        "",
        405,
    ),
    // What a form or a page can send without asking
    (SHUTDOWN, &[HOST, AUTH], "{}", 415),
    (SHUTDOWN, &[HOST, AUTH, "Content-Type: text/plain"], "{}", 415),
    (SHUTDOWN, &[HOST, AUTH, "Content-Type: application/x-www-form-urlencoded"], "a=b", 415),
    (SHUTDOWN, &[HOST, AUTH, "Content-Type: multipart/form-data; boundary=x"], "", 415),
    (SHUTDOWN, &[HOST, AUTH, "Content-Type: text/plain; application/json"], "{}", 415),
    (SHUTDOWN, &[HOST, AUTH, JSON, "Content-Type: text/plain"], "{}", 415),
    // Methods and addresses
    ("GET /admin/v1/shutdown", &[HOST, AUTH], "", 405),
    ("HEAD /admin/v1/shutdown", &[HOST, AUTH], "", 405),
    ("DELETE /admin/v1/log", &[HOST, AUTH], "", 405),
    ("POST /admin/v1/SHUTDOWN", &[HOST, AUTH, JSON], "{}", 404),
    ("POST /admin/v1//shutdown", &[HOST, AUTH, JSON], "{}", 404),
    ("POST /v1/../admin/v1/shutdown", &[HOST, AUTH, JSON], "{}", 404),
    ("POST /shutdown", &[HOST, AUTH, JSON], "{}", 404),
    // Bodies
    (SHUTDOWN, &[HOST, AUTH, JSON], "{\"now\":true}", 400),
    (SHUTDOWN, &[HOST, AUTH, JSON], "[[[[[[[[", 400),
    ("PUT /admin/v1/log", &[HOST, AUTH, JSON], "{}", 400),
];

#[test]
fn nobody_changes_the_node_without_the_token_or_through_a_browser() {
    let admin = admin();
    for (line, headers, body, status) in REFUSED {
        let headers = headers.join("\r\n").replace("TOKEN", admin.token.digits());
        let line = line.replace("TOKEN", admin.token.digits());
        let length = body.len();
        let answer = admin.raw(&format!(
            "{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n\r\n{body}"
        ));
        let what = line.replace(admin.token.digits(), "TOKEN");
        assert_eq!(answer.status, status, "{what} {headers}: {}", answer.text());
        if !line.starts_with("HEAD") {
            assert!(!answer.code().is_empty(), "{what}");
        }
        assert!(!answer.text().contains(admin.token.digits()) && !answer.head.contains(admin.token.digits()));
        assert!(answer.header("access-control-allow-origin").is_none(), "{what}");
        assert!(answer.has_all_headers(), "{what}: {}", answer.head);
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{what}");
    }
    assert_eq!(admin.changes(), 0);
}

#[test]
fn with_the_token_peers_are_seen_and_dropped_and_the_node_stops() {
    let admin = admin();
    let seen: dto::Peers = serde_json::from_slice(&admin.ask("GET", "peers", "").body).unwrap();
    let gone = seen.departures.first().unwrap();
    assert_eq!((gone.name.as_deref(), gone.times), (Some("beta"), 2));
    for (node, body, status) in [
        ("beta".to_owned(), "", 200),
        (node_strkey(peer()), "{\"reason\":\"tea break\"}", 200),
        (node_strkey(key(1).node_id()), "{}", 404),
        ("gamma".to_owned(), "{}", 400),
        ("beta".to_owned(), "{\"reason\":\"\"}", 400),
        ("beta".to_owned(), "{\"reason\":\"a\\nb\"}", 400),
    ] {
        assert_eq!(admin.ask("POST", &format!("peers/{node}/drop"), body).status, status, "{node} {body}");
    }
    let dropped = admin.links.dropped.lock().unwrap().clone();
    assert_eq!(dropped.first(), Some(&(peer(), "by the operator".to_owned())));
    assert_eq!(dropped.get(1), Some(&(peer(), "tea break".to_owned())));
    assert_eq!(admin.ask("GET", "log", "").status, 503, "this process has no log of its own");
    for _ in 0..2 {
        assert_eq!(admin.ask("POST", "shutdown", "{}").status, 202, "asking twice is no error");
    }
    admin.shutdown.try_recv().unwrap();
    let large = admin.ask("POST", "shutdown", &" ".repeat(5_000));
    assert_eq!((large.status, large.code().as_str()), (413, "too_large"));
}

#[test]
fn a_ban_has_an_end_or_none_and_can_be_lifted() {
    let admin = admin();
    let own = node_strkey(key(9).node_id());
    for (method, path, body, status) in [
        ("POST", "bans/beta".to_owned(), "{\"seconds\":60,\"reason\":\"noise\"}", 200),
        ("POST", format!("bans/{}", node_strkey(key(1).node_id())), "{}", 200),
        ("POST", "bans/beta".to_owned(), "{\"seconds\":0}", 400),
        ("POST", "bans/gamma".to_owned(), "{}", 400),
        ("POST", format!("bans/{own}"), "{}", 400),
        ("PUT", "bans/beta".to_owned(), "{}", 405),
    ] {
        assert_eq!(admin.ask(method, &path, body).status, status, "{method} {path} {body}");
    }
    let seen: dto::Bans = serde_json::from_slice(&admin.ask("GET", "bans", "").body).unwrap();
    let beta = seen.bans.iter().find(|ban| ban.name.as_deref() == Some("beta")).unwrap();
    assert_eq!((beta.until_ms, beta.reason.as_str(), seen.bans.len()), (Some(60_001), "noise", 2));
    assert_eq!(admin.ask("DELETE", "bans/beta", "").status, 200);
    assert_eq!(admin.ask("DELETE", "bans/beta", "").status, 404);
}

#[test]
fn votes_are_given_up_only_for_the_slot_that_is_typed_in() {
    use crate::herder::OverrideRefused;
    let admin = admin();
    for (outcome, status) in [(Ok(()), 200), (Err(OverrideRefused::NotSilent), 409)] {
        let requests = admin.requests.clone();
        let consensus = std::thread::spawn(move || match requests.recv_blocking().unwrap() {
            Request::OverrideSilence { slot, reply } => {
                reply.try_send(outcome).unwrap();
                slot
            }
            Request::Submit(_) | Request::IsPending { .. } => panic!("not asked for"),
        });
        assert_eq!(admin.ask("POST", "resume-voting", "{\"slot\":812}").status, status);
        assert_eq!(consensus.join().unwrap(), 812);
    }
    assert_eq!(admin.ask("POST", "resume-voting", "{}").status, 400);
}

#[test]
fn a_token_that_others_may_read_lets_nobody_in() {
    use std::os::unix::fs::PermissionsExt;
    let admin = admin();
    assert_eq!(admin.ask("GET", "peers", "").status, 200);
    std::fs::set_permissions(&admin.token_file, PermissionsExt::from_mode(0o644)).unwrap();
    let answer = admin.ask("GET", "peers", "");
    assert_eq!((answer.status, answer.code().as_str()), (503, "no_token"));
}
