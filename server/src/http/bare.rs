//! The answers hyper makes by itself, in our own form.
//!
//! To a head it cannot read, hyper answers 400, 414 or 431 with neither body nor headers of ours, before any service
//! is asked. [`Dressed`] stands between hyper and the socket and writes our answer instead. What hyper wrote is told
//! from what we wrote by the request id, which [`gate::seal`] puts on every answer of ours.

use crate::http::error::ApiError;
use crate::http::gate::{self, RequestIds};
use crate::telemetry::Metrics;
use bytes::{Buf, Bytes};
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use warp::http::{HeaderValue, Response, StatusCode, header};

/// How every answer of hyper's to a bad head begins.
const START: &[u8] = b"HTTP/1.1 4";
/// The end of a head, and of the whole answer: hyper's have no body.
const END: &[u8] = b"\r\n\r\n";

/// A whole answer as bytes for the socket, after which the connection ends.
pub(crate) fn answer(error: ApiError, ids: &RequestIds) -> Bytes {
    let mut response: Response<_> = warp::reply::Response::from(error.clone());
    let body = error.to_json();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let id = ids.next();
    gate::seal(headers, &id);
    tracing::debug!(request = %id, status = error.status.as_u16(), code = error.code, "HTTP head refused");
    let mut bytes = format!("HTTP/1.1 {}\r\n", error.status).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes.into()
}

/// The answer to whoever did not finish a head in time.
pub(crate) fn too_slow(ids: &RequestIds) -> Bytes {
    let error = ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the request's head took too long to arrive");
    answer(error, ids)
}

/// What to say instead of `written`, if that is hyper's own.
fn instead_of(written: &[u8]) -> Option<ApiError> {
    let id = gate::REQUEST_ID.as_bytes();
    let is_bare = written.starts_with(START)
        && written.ends_with(END)
        && !written.windows(id.len()).any(|part| part.eq_ignore_ascii_case(id));
    let (status, code, message) = match written.get(9..12).filter(|_| is_bare)? {
        b"400" => (StatusCode::BAD_REQUEST, "bad_head", "this is not the head of an HTTP/1.1 request"),
        b"414" => (StatusCode::URI_TOO_LONG, "target_too_long", "the request target is too long"),
        b"431" => {
            let message = "the request has more or longer headers than docs/http.md allows";
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", message)
        }
        _ => return None,
    };
    Some(ApiError::new(status, code, message))
}

/// A stream on which no bare answer leaves.
pub(crate) struct Dressed<S> {
    inner: S,
    ids: Arc<RequestIds>,
    metrics: Arc<Metrics>,
    /// What is still to be written in place of hyper's answer.
    instead: Bytes,
}

impl<S> Dressed<S> {
    pub(crate) fn new(inner: S, ids: Arc<RequestIds>, metrics: Arc<Metrics>) -> Self {
        Self { inner, ids, metrics, instead: Bytes::new() }
    }

    pub(crate) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncWrite + Unpin> Dressed<S> {
    /// If `written` is hyper's own, writes ours, and says that all of `written` is done with when ours has left.
    fn dress(&mut self, cx: &mut Context<'_>, written: &[u8]) -> Option<Poll<Result<usize>>> {
        if self.instead.is_empty() {
            let error = instead_of(written)?;
            // hyper says when it has answered, not since when it has been reading.
            self.metrics.answered(error.status.as_u16(), Duration::ZERO);
            self.instead = answer(error, &self.ids);
        }
        Some(self.write_instead(cx, written.len()))
    }

    fn write_instead(&mut self, cx: &mut Context<'_>, done: usize) -> Poll<Result<usize>> {
        while !self.instead.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.instead))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(count);
        }
        Poll::Ready(Ok(done))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Dressed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Dressed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.dress(cx, bytes) {
            Some(done) => done,
            None => Pin::new(&mut self.inner).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        // A head is never split over parts.
        let first = parts.iter().find(|part| !part.is_empty());
        match first.and_then(|first| self.dress(cx, first)) {
            Some(done) => done,
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hypers_own_answers_are_replaced() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(instead_of(bare).map(|error| error.status.as_u16()), Some(431));
        let ids = RequestIds::default();
        let ours = ApiError::bad_request("bad_hash", "a hash is 64 hexadecimal digits");
        let (ours, late) = (answer(ours, &ids), too_slow(&ids));
        for written in
            [&ours[..], &late[..], b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 4", b"HTTP/1.1 404 Not Found\r\n\r\n", b""]
        {
            assert_eq!(instead_of(written), None, "{}", String::from_utf8_lossy(written));
        }
    }
}
