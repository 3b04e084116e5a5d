//! The dashboard's files, as built into the binary.

use crate::http::error::ApiError;
use warp::http::{HeaderValue, Response as HttpResponse, StatusCode, header};
use warp::reply::Response;

/// What `/` says when the dashboard was left out of the build.
const PLAIN: &str = "\
This is an fba node. It was built without the dashboard.

  /v1/node            this node, its sync state and last closed ledger
  /v1/ledgers         closed ledgers, newest first
  /v1/quorum          every known node and its quorum set
  /v1/peers           links that are up, bans, and why links ended
  /v1/slots           the newest slots, and why they moved
  /v1/openapi.json    every address and the shape of its answer
  /v1/events          closes and phases as server-sent events: curl -N
  /livez /readyz      health
  /metrics            Prometheus metrics

docs/http.md describes them all.
";

/// The file at `path` (beginning with `/`). A path without a dot is a page of the dashboard: they are all one file.
pub(crate) fn serve(path: &str, if_none_match: Option<&str>) -> Response {
    let name = path.trim_start_matches('/');
    let is_page = !name.rsplit('/').next().unwrap_or_default().contains('.');
    let Some(asset) = fba_web::asset(if is_page { "index.html" } else { name }) else {
        return if name.is_empty() { plain() } else { ApiError::not_found("there is no such page").into() };
    };
    let cache = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = if_none_match.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == asset.etag));
    let body = if known { Vec::new() } else { asset.bytes.into_owned() };
    let built = HttpResponse::builder()
        .status(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK })
        .header(header::CONTENT_TYPE, asset.content_type)
        .header(header::CACHE_CONTROL, cache)
        .header(header::ETAG, asset.etag)
        .body(body.into());
    built.unwrap_or_else(|_| ApiError::not_found("there is no such page").into())
}

fn plain() -> Response {
    let mut response = Response::new(PLAIN.into());
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
