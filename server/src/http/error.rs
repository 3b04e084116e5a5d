//! The one form of every error: a status, `{"error":{"code","message"}}`, and `Retry-After` where waiting helps, or
//! `Allow` where another method would.

use crate::http::dto;
use crate::http::history::HistoryError;
use bytes::Bytes;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

/// An answer that is not what was asked for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after_s: Option<u64>,
    /// The methods that would have been taken, as the `Allow` header lists them.
    pub(crate) allow: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), retry_after_s: None, allow: None }
    }

    pub(crate) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn unavailable(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(1)
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub(crate) fn allow(mut self, methods: String) -> Self {
        self.allow = Some(methods);
        self
    }

    /// The body of the answer.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let detail = dto::ErrorDetail { code: self.code.clone(), message: self.message.clone() };
        serde_json::to_vec(&dto::ErrorBody { error: detail }).expect("two strings")
    }

    /// Our own mistake: the log says which.
    pub(crate) fn internal() -> Self {
        let message = "the server failed to answer; its log says why, under this answer's X-Request-Id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        // The message may name files: it goes to the log, not to strangers.
        tracing::error!(%error, "reading the store for HTTP failed");
        Self::unavailable("store", "the node could not read its store; its log says why")
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        let mut response = json_bytes(error.status, error.to_json());
        if let Some(seconds) = error.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = error.allow.and_then(|methods| HeaderValue::try_from(methods).ok()) {
            response.headers_mut().insert(header::ALLOW, methods);
        }
        response
    }
}

/// `body` as JSON with this status.
pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("DTOs have string keys and no fallible serializer");
    json_bytes(status, bytes)
}

/// JSON that is written already.
pub(crate) fn json_bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Response {
    let mut response = Response::new(bytes.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer, or the error in its one form.
pub(crate) fn answer<T: serde::Serialize>(result: Result<T, ApiError>) -> Response {
    match result {
        Ok(body) => json(StatusCode::OK, &body),
        Err(error) => error.into(),
    }
}
