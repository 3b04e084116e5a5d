//! How commands talk to a running node: plain HTTP, one question at a time.

use crate::cli::exit::{CliError, Exit};
use crate::http::admin::Token;
use crate::http::dto;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Names the node to ask if `--node` does not.
pub const NODE_VARIABLE: &str = "FBA_NODE";
/// Where a node listens unless told otherwise.
pub const NODE_DEFAULT: &str = "http://127.0.0.1:8001";
/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Nothing the API answers with is larger.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which node to ask, and how to show the answer. Part of every command that asks one.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct NodeArgs {
    /// The node's HTTP address [default: $FBA_NODE, else http://127.0.0.1:8001]
    #[arg(long, value_name = "URL")]
    pub node: Option<String>,
    /// Print the node's JSON instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// What to do if no node answers: where the commands look for it.
const NODE_WAY_OUT: &str =
    "start one with `fba run` or a whole network with `fba demo`, or name another with --node URL or FBA_NODE";
/// The same for the admin side.
const ADMIN_WAY_OUT: &str = "does the node run, and with this [admin]? name its configuration with --config FILE, or its \
     admin side with --at URL --token-file FILE";

/// A way to one node.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    way_out: &'static str,
}

/// Where to call a listener: one on all addresses is called on the loopback one.
pub(crate) fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        let loopback = if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        listen.set_ip(loopback);
    }
    listen
}

impl Client {
    /// A client for the node `args` or the environment names. Does not connect yet.
    ///
    /// # Errors
    /// [`Exit::Usage`] if that is not an `http://` address.
    pub fn new(args: &NodeArgs) -> Result<Self, CliError> {
        let named = args.node.clone().or_else(|| std::env::var(NODE_VARIABLE).ok());
        let named = named.unwrap_or_else(|| NODE_DEFAULT.to_owned());
        Self::at(&named, NODE_WAY_OUT)
    }

    fn at(named: &str, way_out: &'static str) -> Result<Self, CliError> {
        let base = base(named)?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("fba/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.new_agent(), base, way_out })
    }

    /// The answer to `GET path`.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the node does not answer or is not ready, [`Exit::No`] if there is no such thing,
    /// [`Exit::Data`] if the node refuses the question or its answer is not understood.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        let (status, body) = self.fetch(path)?;
        if status == 200 { self.understood(path, &body) } else { Err(self.refused(status, &body)) }
    }

    /// Like [`Client::get`]; `None` if there is no such thing.
    ///
    /// # Errors
    /// As there, but for what is missing.
    pub fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, CliError> {
        match self.fetch(path)? {
            (200, body) => self.understood(path, &body).map(Some),
            (404, _) => Ok(None),
            (status, body) => Err(self.refused(status, &body)),
        }
    }

    /// The answer to `GET path` as text.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn text(&self, path: &str) -> Result<String, CliError> {
        let (status, body) = self.fetch(path)?;
        if status != 200 {
            return Err(self.refused(status, &body));
        }
        String::from_utf8(body).map_err(|error| CliError::new(Exit::Data, format!("{path} is not text: {error}")))
    }

    /// Submits signed bytes; waits for the close for as long as `wait` says.
    ///
    /// # Errors
    /// As [`Client::get`]; [`Exit::No`] if the transaction is refused.
    pub fn submit(&self, bytes: &[u8], wait: Option<Duration>) -> Result<dto::TransactionStatus, CliError> {
        let path = match wait {
            Some(wait) => format!("/v1/transactions?wait=closed&timeout_ms={}", wait.as_millis()),
            None => "/v1/transactions".to_owned(),
        };
        let request = self.agent.post(format!("{}{path}", self.base)).content_type("application/cbor");
        let limit = ANSWER_TIMEOUT + wait.unwrap_or_default();
        let request = request.config().timeout_global(Some(limit)).build();
        let (status, body) = self.read(request.send(bytes))?;
        if matches!(status, 200 | 202) { self.understood(&path, &body) } else { Err(self.refused(status, &body)) }
    }

    /// The node's event stream after ledger `since`. Reading it blocks until something happens.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn events(&self, since: Option<u64>) -> Result<impl io::Read + Send + 'static, CliError> {
        let query = since.map(|since| format!("?since={since}")).unwrap_or_default();
        let request = self.agent.get(format!("{}/v1/events{query}", self.base));
        let request = request.config().timeout_recv_response(Some(ANSWER_TIMEOUT)).build();
        let response = request.call().map_err(|error| self.unreachable(&error))?;
        if response.status().as_u16() != 200 {
            let (status, body) = self.read(Ok(response))?;
            return Err(self.refused(status, &body));
        }
        Ok(response.into_body().into_reader())
    }

    fn fetch(&self, path: &str) -> Result<(u16, Vec<u8>), CliError> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.read(request.config().timeout_global(Some(ANSWER_TIMEOUT)).build().call())
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, Vec<u8>), CliError> {
        let mut response = answer.map_err(|error| self.unreachable(&error))?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok((response.status().as_u16(), body.map_err(|error| self.unreachable(&error))?))
    }

    fn understood<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(body).map_err(|error| {
            let message = format!("{}{path} answers, but not as a node of this version does: {error}", self.base);
            CliError::new(Exit::Data, message)
        })
    }

    /// The node answered with an error.
    fn refused(&self, status: u16, body: &[u8]) -> CliError {
        let exit = match status {
            404 | 409 | 422 => Exit::No,
            408 | 429 | 500.. => Exit::Unavailable,
            _ => Exit::Data,
        };
        match serde_json::from_slice::<dto::ErrorBody>(body) {
            Ok(known) => CliError::new(exit, known.error.message),
            Err(_) => {
                CliError::new(exit, format!("{} answered with HTTP status {status}; is it an fba node?", self.base))
            }
        }
    }

    /// The node did not answer.
    fn unreachable(&self, error: &ureq::Error) -> CliError {
        let refused = matches!(error, ureq::Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused);
        let why = if refused { "connection refused".to_owned() } else { error.to_string() };
        let Self { base, way_out, .. } = self;
        CliError::new(Exit::Unavailable, format_args!("no node answers at {base} ({why}): {way_out}"))
    }
}

/// A way to the admin side of one node, with its token.
#[derive(Clone, Debug)]
pub struct AdminClient {
    client: Client,
    token: Token,
}

impl AdminClient {
    /// A client for the admin side at this address. Does not connect yet.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it is not an `http://` address.
    pub fn new(named: &str, token: Token) -> Result<Self, CliError> {
        Ok(Self { client: Client::at(named, ADMIN_WAY_OUT)?, token })
    }

    /// The answer to `GET path`.
    ///
    /// # Errors
    /// As [`Client::get`]; [`Exit::Permission`] for a wrong token.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.ask("GET", path, Vec::new())
    }

    /// The answer to `method path` with this body.
    ///
    /// # Errors
    /// As [`AdminClient::get`].
    pub fn send<T: DeserializeOwned>(&self, method: &str, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        let body = serde_json::to_vec(body).map_err(|error| CliError::new(Exit::Data, error))?;
        self.ask(method, path, body)
    }

    fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, body: Vec<u8>) -> Result<T, CliError> {
        let client = &self.client;
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", client.base))
            .header("authorization", format!("Bearer {}", self.token.digits()))
            .header("content-type", "application/json");
        let request = request.body(body).map_err(|error| CliError::new(Exit::Usage, error))?;
        let request = client.agent.configure_request(request).timeout_global(Some(ANSWER_TIMEOUT)).build();
        match client.read(client.agent.run(request))? {
            (200..=299, body) => client.understood(path, &body),
            (401 | 403, body) => Err(CliError { exit: Exit::Permission, ..client.refused(403, &body) }),
            (status, body) => Err(client.refused(status, &body)),
        }
    }
}

/// `http://host:port`, from that or from `host:port`.
fn base(named: &str) -> Result<String, CliError> {
    let wrong = |why: &str| {
        let message = format!("{named:?} is not a node's address: {why}; write it like {NODE_DEFAULT}");
        CliError::new(Exit::Usage, message)
    };
    if named.starts_with("https://") {
        return Err(wrong("this command speaks plain HTTP; use a proxy or a tunnel"));
    }
    if named.contains("://") && !named.starts_with("http://") {
        return Err(wrong("only http:// is spoken here"));
    }
    let bare = named.strip_prefix("http://").unwrap_or(named).trim_end_matches('/');
    let uri = format!("http://{bare}");
    let parsed: ureq::http::Uri = uri.parse().map_err(|_| wrong("it does not parse"))?;
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        return Err(wrong("it has a path"));
    }
    parsed.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
    Ok(uri)
}

/// One segment of a path: everything but letters, digits and `-._~` as `%XX`.
#[must_use]
pub fn segment(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |&byte: &u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    bytes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_scheme() {
        for (named, expected) in [
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
            ("localhost:80/", "http://localhost:80"),
            ("[::1]:8001", "http://[::1]:8001"),
        ] {
            assert_eq!(base(named).unwrap(), expected);
        }
        for named in ["https://x", "http://", "ftp://x", "x/y", "a b", ""] {
            assert_eq!(base(named).unwrap_err().exit, Exit::Usage, "{named}");
        }
    }

    #[test]
    fn nobody_there_is_said_with_the_address_and_a_way_out() {
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::new(&NodeArgs { node: Some(free.to_string()), json: false }).unwrap();
        let error = client.get::<dto::Node>("/v1/node").unwrap_err();
        assert_eq!(error.exit, Exit::Unavailable);
        for part in [free.to_string().as_str(), "refused", "fba run"] {
            assert!(error.message.contains(part), "{part} is missing in {error}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_called_on_loopback() {
        for (listen, called) in
            [("0.0.0.0:9001", "127.0.0.1:9001"), ("[::]:9001", "[::1]:9001"), ("192.0.2.1:9001", "192.0.2.1:9001")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), called);
        }
    }

    #[test]
    fn any_bytes_fit_into_a_path() {
        assert_eq!(segment(b"a-Z~/ %\xff"), "a-Z~%2F%20%25%FF");
    }
}
