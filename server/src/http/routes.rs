//! The table of routes: one line each, handlers below.

use crate::http::error::{ApiError, answer, json, json_bytes};
use crate::http::events::{self, Streams};
use crate::http::history::{Before, Reads};
use crate::http::slots::Slots;
use crate::http::submit::{self, Gateway, SubmitQuery};
use crate::http::view::{Identity, Published, SyncState, stuck_after};
use crate::http::{Stop, assets, dto, quorum, slots};
use crate::key::{node_from_strkey, node_strkey};
use crate::ledger::{AccountId, TRANSACTION_BYTES_MAX};
use crate::telemetry::Metrics;
use fba_core::Hash;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

/// Most items on one page.
pub const PAGE_MAX: usize = 200;
/// Items on a page if nobody says otherwise.
const PAGE_DEFAULT: usize = 50;

/// Everything the handlers need.
pub(crate) struct Site {
    pub(crate) identity: Identity,
    pub(crate) view: Published,
    pub(crate) slots: Slots,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) reads: Reads,
    pub(crate) streams: Streams,
    pub(crate) gateway: Gateway,
    pub(crate) events: events::Events,
    pub(crate) body_read: Duration,
    pub(crate) stop: Stop,
}

type Route = BoxedFilter<(Response,)>;

/// The API's own description, as docs/openapi.json has it.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// Every route of the server. `endpoints.rs` says which addresses and methods reach them.
pub(crate) fn routes(site: Arc<Site>) -> Route {
    let list = [node_routes(&site), ledger_routes(&site), account_routes(&site), health_routes(&site)];
    let first = events_route(with(&site)).or(submit_route(with(&site))).unify().boxed();
    let api = list.into_iter().flatten().fold(first, |all, route| all.or(route).unify().boxed());
    api.or(dashboard()).unify().recover(rejected).unify().boxed()
}

fn with(site: &Arc<Site>) -> impl Filter<Extract = (Arc<Site>,), Error = Infallible> + Clone + Send + Sync + use<> {
    let site = Arc::clone(site);
    warp::any().map(move || Arc::clone(&site))
}

fn node_routes(site: &Arc<Site>) -> Vec<Route> {
    let get = || warp::get().and(with(site));
    vec![
        warp::path!("v1" / "node").and(get()).then(node).boxed(),
        warp::path!("v1" / "info").and(get()).then(node).boxed(),
        warp::path!("v1" / "quorum").and(warp::query()).and(get()).then(quorum_view).boxed(),
        warp::path!("v1" / "peers").and(get()).then(peers).boxed(),
        warp::path!("v1" / "slots").and(warp::query()).and(get()).then(slot_list).boxed(),
        warp::path!("v1" / "slots" / String).and(get()).then(slot).boxed(),
        warp::path!("v1" / "openapi.json").and(warp::get()).map(openapi).boxed(),
    ]
}

fn ledger_routes(site: &Arc<Site>) -> Vec<Route> {
    let get = || warp::get().and(with(site));
    let one = || warp::path("v1").and(warp::path("ledgers")).and(warp::path::param::<String>());
    vec![
        warp::path!("v1" / "ledgers").and(warp::query()).and(get()).then(ledgers).boxed(),
        one().and(warp::path::end()).and(get()).then(ledger).boxed(),
        one().and(warp::path!("transactions")).and(warp::query()).and(get()).then(ledger_transactions).boxed(),
        one().and(warp::path!("proof")).and(get()).then(ledger_proof).boxed(),
        warp::path!("v1" / "transactions" / String).and(get()).then(transaction).boxed(),
    ]
}

fn account_routes(site: &Arc<Site>) -> Vec<Route> {
    let get = || warp::get().and(with(site));
    let one = || warp::path("v1").and(warp::path("accounts")).and(warp::path::param::<String>());
    vec![
        one().and(warp::path::end()).and(get()).then(account).boxed(),
        one().and(warp::path!("transactions")).and(warp::query()).and(get()).then(account_transactions).boxed(),
        one().and(warp::path!("data")).and(warp::query()).and(get()).then(data_keys).boxed(),
        one().and(warp::path!("data" / String)).and(get()).then(data).boxed(),
    ]
}

fn health_routes(site: &Arc<Site>) -> Vec<Route> {
    let get = || warp::get().and(with(site));
    vec![
        warp::path!("livez").and(warp::get()).map(|| json(StatusCode::OK, &Health { status: "alive" })).boxed(),
        warp::path!("readyz").and(get()).then(readyz).boxed(),
        warp::path!("metrics").and(get()).then(metrics).boxed(),
    ]
}

fn openapi() -> Response {
    json_bytes(StatusCode::OK, OPENAPI)
}

fn events_route(
    with: impl Filter<Extract = (Arc<Site>,), Error = Infallible> + Clone + Send + Sync + 'static,
) -> Route {
    warp::path!("v1" / "events")
        .and(warp::get())
        .and(warp::query())
        .and(warp::header::optional("last-event-id"))
        .and(with)
        .then(event_stream)
        .boxed()
}

fn submit_route(
    with: impl Filter<Extract = (Arc<Site>,), Error = Infallible> + Clone + Send + Sync + 'static,
) -> Route {
    warp::path!("v1" / "transactions")
        .and(warp::post())
        .and(warp::query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .and(with)
        .then(|query: SubmitQuery, headers: HeaderMap, body, site: Arc<Site>| async move {
            let result = async {
                check_content(&headers)?;
                let body =
                    submit::read_body(TRANSACTION_BYTES_MAX, declared_length(&headers), body, site.body_read).await?;
                site.gateway.submit(query, body).await
            };
            result.await.unwrap_or_else(Response::from)
        })
        .boxed()
}

/// The body is what it says it is, and is not wrapped in anything.
fn check_content(headers: &HeaderMap) -> Result<(), ApiError> {
    let essence = |value: &HeaderValue| value.to_str().ok().and_then(|full| full.split(';').next()).map(str::to_owned);
    let kind = headers.get(header::CONTENT_TYPE).and_then(essence).unwrap_or_default();
    let is_cbor = kind.trim().eq_ignore_ascii_case("application/cbor");
    let is_plain = headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    if is_cbor && is_plain {
        return Ok(());
    }
    let message = "send the signed bytes of the transaction as application/cbor, without a Content-Encoding";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_cbor", message))
}

/// hyper has checked that it is a number, and refused two that differ.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Everything outside the API is the dashboard's.
fn dashboard() -> Route {
    warp::path::full()
        .and_then(|path: warp::path::FullPath| async move {
            // Reached only if an address is in the table and has no route.
            let is_api = path.as_str().starts_with("/v1/");
            if is_api { Err(warp::reject::not_found()) } else { Ok(path) }
        })
        .and(warp::get())
        .and(warp::header::optional("if-none-match"))
        .map(|path: warp::path::FullPath, tags: Option<String>| assets::serve(path.as_str(), tags.as_deref()))
        .boxed()
}

/// What no route took.
async fn rejected(rejection: Rejection) -> Result<Response, Infallible> {
    if rejection.find::<warp::reject::InvalidQuery>().is_some() {
        return Ok(ApiError::bad_request("bad_query", "the query has an unknown or malformed parameter").into());
    }
    if let Some(bad) = rejection.find::<warp::reject::InvalidHeader>() {
        return Ok(ApiError::bad_request("bad_header", format!("the header {} is malformed", bad.name())).into());
    }
    // Addresses and methods were checked before: our own mistake.
    tracing::error!(?rejection, "an HTTP request was rejected without a reason");
    Ok(ApiError::internal().into())
}

#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
}

/// `?limit=&before=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page<B> {
    limit: Option<usize>,
    before: Option<B>,
}

impl<B> Page<B> {
    fn limit(&self) -> Result<usize, ApiError> {
        limit_of(self.limit)
    }
}

fn limit_of(asked: Option<usize>) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(PAGE_DEFAULT);
    let allowed = (1..=PAGE_MAX).contains(&limit);
    allowed.then_some(limit).ok_or_else(|| ApiError::bad_request("bad_query", format!("limit is 1 to {PAGE_MAX}")))
}

/// `?since=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    since: Option<u64>,
}

async fn node(site: Arc<Site>) -> Response {
    let (identity, view) = (&site.identity, site.view.load());
    let name = identity.names.get(&identity.node);
    let body = dto::Node {
        node: node_strkey(identity.node),
        name: name.map(|name| name.name.clone()),
        organization: name.and_then(|name| name.organization.clone()),
        network: identity.network.to_string(),
        validator: identity.validator,
        sync: dto::Sync::from(&*view),
        ledger: dto::LastClosed {
            sequence: view.ledger.sequence,
            hash: view.ledger.hash.to_string(),
            close_time_ms: view.ledger.close_time_ms,
            age_ms: unix_ms().saturating_sub(view.ledger.close_time_ms),
        },
        slot: dto::Slot::from(&view.slot),
        peers: view.peers.len() as u64,
        queued: view.queued,
        uptime_ms: u64::try_from(site.metrics.uptime().as_millis()).unwrap_or(u64::MAX),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parameters: dto::Parameters::from(&identity.parameters),
        quorum: view.quorum.clone(),
        clock: view.clock.clone(),
    };
    json(StatusCode::OK, &body)
}

fn unix_ms() -> u64 {
    // A clock before 1970 gives age 0.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn ledgers(page: Page<u64>, site: Arc<Site>) -> Response {
    let result = async {
        let (limit, before) = (page.limit()?, page.before);
        let ledgers = site.reads.run(move |history| history.ledgers_before(before, limit)).await?;
        Ok(dto::Ledgers { ledgers })
    };
    answer(result.await)
}

/// Which ledger a path names.
#[derive(Clone, Copy)]
enum Which {
    Latest,
    Sequence(u64),
    Hash(Hash),
}

fn which(text: &str) -> Result<Which, ApiError> {
    if text == "latest" {
        return Ok(Which::Latest);
    }
    if text.len() == 64 {
        return parse_hash(text).map(Which::Hash);
    }
    let wrong = |_| ApiError::bad_request("bad_ledger", "name a ledger by sequence number, header hash or `latest`");
    text.parse().map(Which::Sequence).map_err(wrong)
}

fn parse_hash(text: &str) -> Result<Hash, ApiError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map(|()| Hash(bytes))
        .map_err(|_| ApiError::bad_request("bad_hash", "a hash is 64 hexadecimal digits"))
}

fn parse_account(text: &str) -> Result<AccountId, ApiError> {
    node_from_strkey(text)
        .map(|key| AccountId(key.0))
        .map_err(|error| ApiError::bad_request("bad_account", error.to_string()))
}

async fn find_ledger(site: &Site, text: &str) -> Result<dto::Ledger, ApiError> {
    let which = which(text)?;
    let read = site.reads.run(move |history| match which {
        Which::Latest => Ok(history.ledgers_before(None, 1)?.pop()),
        Which::Sequence(sequence) => history.ledger(sequence),
        Which::Hash(hash) => history.ledger_by_hash(hash),
    });
    read.await?.ok_or_else(|| ApiError::not_found("no such ledger is closed here"))
}

async fn ledger(text: String, site: Arc<Site>) -> Response {
    answer(find_ledger(&site, &text).await)
}

/// `?limit=&from=`: transactions of a ledger are numbered, oldest first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    limit: Option<usize>,
    from: Option<u64>,
}

async fn ledger_transactions(text: String, places: Places, site: Arc<Site>) -> Response {
    let result = async {
        let limit = limit_of(places.limit)?;
        let sequence = find_ledger(&site, &text).await?.sequence;
        let from = places.from.unwrap_or(0);
        let found = site.reads.run(move |history| history.transactions_of(sequence, from, limit)).await?;
        let transactions = found.ok_or_else(|| ApiError::not_found("no such ledger is closed here"))?;
        Ok(dto::Transactions { transactions })
    };
    answer(result.await)
}

async fn ledger_proof(text: String, site: Arc<Site>) -> Response {
    let result = async {
        let sequence = find_ledger(&site, &text).await?.sequence;
        let found = site.reads.run(move |history| history.proof(sequence)).await?;
        let proof = found.ok_or_else(|| ApiError::not_found("no such ledger is closed here"))?;
        let identity = &site.identity;
        Ok(dto::LedgerProof { network: identity.network.to_string(), node: node_strkey(identity.node), proof })
    };
    answer(result.await)
}

async fn transaction(text: String, site: Arc<Site>) -> Response {
    let result = async { site.gateway.status(parse_hash(&text)?).await };
    result.await.unwrap_or_else(Response::from)
}

async fn account(text: String, site: Arc<Site>) -> Response {
    let result = async {
        let id = parse_account(&text)?;
        let found = site.reads.run(move |history| history.account(id)).await?;
        found.ok_or_else(|| ApiError::not_found(format!("there is no account {text}")))
    };
    answer(result.await)
}

async fn account_transactions(text: String, page: Page<String>, site: Arc<Site>) -> Response {
    let result = async {
        let (id, limit) = (parse_account(&text)?, page.limit()?);
        let before = page.before.as_deref().map(parse_before).transpose()?;
        let read = site.reads.run(move |history| history.transactions_of_account(id, before, limit));
        Ok(dto::Transactions { transactions: read.await? })
    };
    answer(result.await)
}

/// `LEDGER-INDEX`
fn parse_before(text: &str) -> Result<Before, ApiError> {
    let pair = text.split_once('-').and_then(|(ledger, index)| Some((ledger.parse().ok()?, index.parse().ok()?)));
    pair.ok_or_else(|| ApiError::bad_request("bad_query", "before is LEDGER-INDEX of the last transaction seen"))
}

/// `?limit=&after=`: keys in the order of their bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    limit: Option<usize>,
    after: Option<String>,
}

async fn data_keys(account: String, page: Keys, site: Arc<Site>) -> Response {
    let result = async {
        let (id, limit) = (parse_account(&account)?, limit_of(page.limit)?);
        let bad_after = |_| ApiError::bad_request("bad_query", "after is the hex of the last key seen");
        let after = page.after.map(hex::decode).transpose().map_err(bad_after)?;
        let found = site.reads.run(move |history| history.data_keys(id, after.as_deref(), limit)).await?;
        let keys = found.ok_or_else(|| ApiError::not_found(format!("there is no account {account}")))?;
        Ok(dto::DataKeys { account, keys: keys.iter().map(|key| dto::Bytes::from(&**key)).collect() })
    };
    answer(result.await)
}

async fn data(account: String, key: String, site: Arc<Site>) -> Response {
    let result = async {
        let (id, key) = (parse_account(&account)?, percent_decoded(&key)?);
        let wanted = key.clone();
        let found = site.reads.run(move |history| history.data(id, &wanted)).await?;
        let value = found.ok_or_else(|| ApiError::not_found("the account has no such data entry"))?;
        Ok(dto::DataEntry { account, key: dto::Bytes::from(&*key), value: dto::Bytes::from(&*value) })
    };
    answer(result.await)
}

/// The bytes of a path segment. Keys are bytes: any of them can be written `%XX`.
fn percent_decoded(segment: &str) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let decoded = match byte {
            b'%' => rest.next().zip(rest.next()).and_then(|(high, low)| hex_byte(high, low)),
            other => Some(other),
        };
        bytes.push(decoded.ok_or_else(|| ApiError::bad_request("bad_key", "% is followed by two hexadecimal digits"))?);
    }
    Ok(bytes)
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// `?transitive=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuorumQuery {
    #[serde(default)]
    transitive: bool,
}

async fn quorum_view(query: QuorumQuery, site: Arc<Site>) -> Response {
    let view = site.view.load();
    if query.transitive {
        return json(StatusCode::OK, &quorum::transitive(&site.identity, &view));
    }
    json(StatusCode::OK, &quorum::quorum(&site.identity, &view))
}

/// `?limit=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<usize>,
}

async fn slot_list(query: Limit, site: Arc<Site>) -> Response {
    answer(limit_of(query.limit).map(|limit| slots::list(&site.slots, limit)))
}

async fn slot(text: String, site: Arc<Site>) -> Response {
    let bad = |_| ApiError::bad_request("bad_slot", "name a slot by its number, or `latest`");
    let wanted = if text == "latest" { Ok(None) } else { text.parse().map(Some).map_err(bad) };
    let missing = || ApiError::not_found("no such slot is kept: /v1/slots lists those that are");
    answer(wanted.and_then(|slot| slots::find(&site.slots, slot).ok_or_else(missing)))
}

async fn peers(site: Arc<Site>) -> Response {
    let view = site.view.load();
    let names = &site.identity.names;
    let peers = view.peers.iter().map(|peer| dto::Peer {
        node: node_strkey(peer.node),
        name: names.get(&peer.node).map(|name| name.name.clone()),
        address: peer.address.clone(),
        inbound: peer.inbound,
        since_ms: peer.since_ms,
        rtt_us: peer.rtt_us,
        bytes_in: peer.bytes_in,
        bytes_out: peer.bytes_out,
    });
    let (bans, departures) = (view.away.bans.to_vec(), view.away.departures.to_vec());
    json(StatusCode::OK, &dto::Peers { peers: peers.collect(), bans, departures })
}

async fn event_stream(query: Since, last_event_id: Option<u64>, site: Arc<Site>) -> Response {
    // A browser that reconnects by itself repeats the old address and sends the newer id.
    let since = last_event_id.or(query.since);
    match site.streams.open(since).await {
        Ok(feed) => events::reply(feed, site.stop.clone()),
        Err(error) => error.into(),
    }
}

/// Ready means: follows the network, and closes keep coming.
async fn readyz(site: Arc<Site>) -> Response {
    let view = site.view.load();
    if view.sync != SyncState::Synced {
        let reason = view.reason.clone().unwrap_or_else(|| format!("the node is {}", view.sync.name()));
        return ApiError::unavailable(view.sync.name(), reason).into();
    }
    let silent = site.view.since_close();
    if silent > stuck_after(&site.identity.parameters) {
        let reason = format!("no ledger closed for {} s", silent.as_secs());
        return ApiError::unavailable(SyncState::Stuck.name(), reason).into();
    }
    json(StatusCode::OK, &Health { status: "ready" })
}

async fn metrics(site: Arc<Site>) -> Response {
    site.metrics.event_streams.set(i64::try_from(site.events.readers()).unwrap_or(i64::MAX));
    let mut response = site.metrics.encode().into_response();
    let form = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, form);
    response
}
