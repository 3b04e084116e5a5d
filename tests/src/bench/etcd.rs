//! etcd measured as we are, where it is installed: three members against one, over the JSON gateway.

use super::replicated::{LARGE_BYTES, Mode, Size};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fba_server::demo::free_ports;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a cluster may take to elect a leader.
const START_WITHIN: Duration = Duration::from_secs(30);

/// The first port looked at: away from those of our own networks.
const PORTS_FROM: u16 = 31_000;

/// The program.
pub(super) struct Etcd(PathBuf);

/// A running cluster. Dropping it kills it.
pub(super) struct EtcdCluster {
    members: Vec<Child>,
    agent: ureq::Agent,
    url: String,
}

impl Etcd {
    /// The one on the PATH.
    pub(super) fn find() -> Option<Self> {
        let paths = std::env::var_os("PATH")?;
        std::env::split_paths(&paths).map(|folder| folder.join("etcd")).find(|path| path.is_file()).map(Self)
    }

    /// Starts `count` members and waits until they take writes.
    pub(super) fn start(&self, folder: &Path, count: usize) -> EtcdCluster {
        let ports =
            free_ports(Some(PORTS_FROM + 100 * u16::try_from(count).expect("a few")), count).expect("free ports");
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let named = ports.iter().enumerate();
        let all: Vec<String> = named.clone().map(|(n, (peer, _))| format!("m{n}={}", url(*peer))).collect();
        let members = named.map(|(n, (peer, http))| {
            Command::new(&self.0)
                .args(["--name", &format!("m{n}"), "--log-level", "error"])
                .arg("--data-dir")
                .arg(folder.join(format!("m{n}")))
                .args(["--listen-client-urls", &url(*http), "--advertise-client-urls", &url(*http)])
                .args(["--listen-peer-urls", &url(*peer), "--initial-advertise-peer-urls", &url(*peer)])
                .args(["--initial-cluster", &all.join(",")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("etcd starts")
        });
        let members = members.collect();
        let (_, first) = ports.first().expect("at least one member");
        let agent = ureq::Agent::config_builder().timeout_global(Some(START_WITHIN)).build().into();
        let cluster = EtcdCluster { members, agent, url: url(*first) };
        cluster.fill();
        cluster
    }
}

impl EtcdCluster {
    /// Writes what is read later, as soon as there is a leader.
    fn fill(&self) {
        let deadline = Instant::now() + START_WITHIN;
        let (small, large) = (put("small", 1), put("large", LARGE_BYTES));
        while self.post("put", &small).is_err() {
            assert!(Instant::now() < deadline, "etcd at {} takes no writes", self.url);
            std::thread::sleep(Duration::from_millis(50));
        }
        self.post("put", &large).expect("etcd answers");
    }

    /// What corresponds to one of our operations; nothing if there is no such thing.
    pub(super) fn operation(&self, mode: Mode, size: Size) -> Option<EtcdOperation<'_>> {
        let read = |key, serializable| ("range", json!({ "key": STANDARD.encode(key), "serializable": serializable }));
        let (path, body) = match (mode, size) {
            (Mode::Write, Size::ZeroZero) => ("put", put("argument", 0)),
            (Mode::Write, Size::FourZero) => ("put", put("argument", LARGE_BYTES)),
            (Mode::Write, Size::ZeroFour) => {
                let read = json!({ "request_range": { "key": STANDARD.encode("large") } });
                ("txn", json!({ "success": [{ "request_put": put("argument", 0) }, read] }))
            }
            (Mode::AskOne | Mode::AskQuorum, Size::FourZero) => return None,
            (Mode::AskOne, Size::ZeroZero) => read("small", true),
            (Mode::AskOne, Size::ZeroFour) => read("large", true),
            (Mode::AskQuorum, Size::ZeroZero) => read("small", false),
            (Mode::AskQuorum, Size::ZeroFour) => read("large", false),
        };
        Some(EtcdOperation { cluster: self, path, body })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Vec<u8>, ureq::Error> {
        let body = body.to_string();
        let request = self.agent.post(format!("{}/v3/kv/{path}", self.url)).content_type("application/json");
        request.send(body)?.body_mut().read_to_vec()
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            // Gone already is as good.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// One operation, ready to be sent again and again.
pub(super) struct EtcdOperation<'c> {
    cluster: &'c EtcdCluster,
    path: &'static str,
    body: Value,
}

impl EtcdOperation<'_> {
    pub(super) fn call(&self) {
        drop(self.cluster.post(self.path, &self.body).expect("etcd answers"));
    }
}

fn put(key: &str, bytes: usize) -> Value {
    json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(vec![7; bytes]) })
}
