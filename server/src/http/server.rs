//! The web side's own threads: an accept loop that counts, hyper connections with deadlines, warp routes behind them.
//!
//! warp's own accept loop offers no connection limit and installs no timer, without which hyper's header timeout is
//! off; so connections are accepted here and the routes are served as a hyper service. HTTP/1.1 only: the API gains
//! nothing from multiplexing, and what is not there cannot be attacked.

use crate::http::bare::{self, Dressed};
use crate::http::endpoints::Surface;
use crate::http::error::ApiError;
use crate::http::gate::{self, HostNames, RequestIds};
use crate::http::rates::Rates;
use crate::http::seats::{Seat, Seats};
use crate::http::stall::WriteDeadline;
use crate::http::{HttpConfig, HttpError, Limits, Stop};
use crate::runtime;
use crate::telemetry::Metrics;
use futures::FutureExt;
use futures::future::{Either, select};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tracing::Instrument;
use warp::filters::BoxedFilter;
use warp::http::{Method, Request};
use warp::reply::Response;

/// Threads that answer requests.
const THREADS: usize = 2;
/// Largest block of request headers; a larger one is answered 431.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Most request headers.
const HEADERS_MAX: usize = 64;
/// How long requests under way may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait after the operating system refused a connection, typically for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest part of a path in the log.
const PATH_LOGGED_MAX: usize = 200;

/// A running server.
#[derive(Debug)]
pub struct HttpHandle {
    local_addr: SocketAddr,
    stop: tokio::sync::watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl HttpHandle {
    /// The address listened on, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends all event streams, lets requests under way finish for at most two seconds, and returns when all threads
    /// have gone. Blocks.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the web thread ended by a panic");
        }
    }
}

/// What is served: where, by which routes, until when.
pub(crate) struct Served {
    /// The addresses there are. Nothing else reaches the routes.
    pub(crate) surface: Surface,
    pub(crate) routes: BoxedFilter<(Response,)>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: Stop,
}

/// Binds `config.listen` and serves until told to stop.
pub(crate) fn start(
    config: &HttpConfig,
    service: Served,
    stop: tokio::sync::watch::Sender<bool>,
) -> Result<HttpHandle, HttpError> {
    let bind = |source| HttpError::Bind { address: config.listen, source };
    let listener = StdListener::bind(config.listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let local_addr = listener.local_addr().map_err(bind)?;
    let runtime = runtime::web_runtime(THREADS).map_err(HttpError::Threads)?;
    let server = Server {
        names: HostNames::new(local_addr, &config.names),
        limits: config.limits,
        rates: Rates::new(&config.limits),
        ids: Arc::default(),
        service,
    };
    let thread = std::thread::Builder::new().name("web-main".to_owned()).spawn(move || {
        runtime.block_on(Arc::new(server).run(listener));
        runtime.shutdown_timeout(Duration::from_secs(1));
    });
    Ok(HttpHandle { local_addr, stop, thread: thread.map_err(HttpError::Threads)? })
}

struct Server {
    names: HostNames,
    limits: Limits,
    rates: Rates,
    ids: Arc<RequestIds>,
    service: Served,
}

impl Server {
    async fn run(self: Arc<Self>, listener: StdListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the HTTP listener cannot be used"),
        };
        let seats = Seats::new(self.limits.connections, self.limits.connections_per_address);
        // Either side ends it; only the signal ever does.
        select(pin!(self.accept_all(&listener, &seats)), pin!(self.service.stop.clone().wait())).await.factor_first();
        drop(listener);
        if tokio::time::timeout(GRACE, seats.all_left()).await.is_err() {
            tracing::warn!("HTTP requests were cut off: they took longer than {} s to finish", GRACE.as_secs());
        }
    }

    async fn accept_all(self: &Arc<Self>, listener: &TcpListener, seats: &Seats) {
        loop {
            // No seat, no accept: whoever comes waits in the kernel's bounded backlog.
            let seat = seats.any().await;
            match listener.accept().await {
                Ok((stream, from)) => {
                    if let Some(seat) = seats.of_address(seat, from.ip()) {
                        self.serve(stream, from.ip(), seat);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, from: IpAddr, seat: Seat) {
        // Small answers leave at once; failing to ask for that costs only time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let server = Arc::clone(self);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(from, request).await) }
        });
        let stream = WriteDeadline::new(stream, self.limits.write);
        let metrics = Arc::clone(&self.service.metrics);
        let io = TokioIo::new(Dressed::new(stream, Arc::clone(&self.ids), metrics));
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read)
            .max_header_size(HEADER_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(4 * HEADER_BYTES_MAX)
            .serve_connection(io, service);
        let server = Arc::clone(self);
        tokio::spawn(async move {
            server.service.metrics.http_connections.inc();
            let outcome = match select(&mut connection, pin!(server.service.stop.clone().wait())).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(((), _)) => {
                    Pin::new(&mut connection).graceful_shutdown();
                    (&mut connection).await
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "an HTTP connection ended early");
                let parts = connection.into_parts();
                // Idle connections end in silence; whoever began a request is told.
                if error.is_timeout() && !parts.read_buf.is_empty() {
                    server.say_too_slow(&parts.io.into_inner().into_inner().into_inner());
                }
            }
            server.service.metrics.http_connections.dec();
            drop(seat);
        });
    }

    /// The last word on a connection, if it can be said at once.
    fn say_too_slow(&self, stream: &TcpStream) {
        self.service.metrics.answered(408, self.limits.header_read);
        if let Err(error) = stream.try_write(&bare::too_slow(&self.ids)) {
            tracing::debug!(%error, "a slow client was not told why it was cut off");
        }
    }

    async fn answer(&self, from: IpAddr, request: Request<hyper::body::Incoming>) -> Response {
        let (id, begun) = (self.ids.next(), Instant::now());
        let method = request.method().clone();
        let path: String = request.uri().path().chars().take(PATH_LOGGED_MAX).collect();
        let span = tracing::error_span!("http", request = %id);
        // A handler's panic is answered; a panic of any other thread ends the process (cli/run.rs).
        let routed = AssertUnwindSafe(self.routed(from, request)).catch_unwind().instrument(span.clone());
        let mut response = routed.await.unwrap_or_else(|_| ApiError::internal().into());
        gate::seal(response.headers_mut(), &id);
        let status = response.status().as_u16();
        span.in_scope(
            || tracing::debug!(%from, %method, path, status, took_ms = begun.elapsed().as_millis(), "answered"),
        );
        self.service.metrics.answered(status, begun.elapsed());
        response
    }

    async fn routed(&self, from: IpAddr, mut request: Request<hyper::body::Incoming>) -> Response {
        let checked = self
            .rates
            .check(from, request.method() == Method::POST)
            .and_then(|()| gate::check(&request, &self.names, &self.service.surface));
        if let Err(error) = checked {
            return error.into();
        }
        // hyper leaves the body out of the answer to a HEAD.
        if request.method() == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        let routes = TowerToHyperService::new(warp::service(self.service.routes.clone()));
        routes.call(request).await.unwrap_or_else(|never| match never {})
    }
}
