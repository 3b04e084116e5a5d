//! The web side's own threads: an accept loop that counts, hyper connections with deadlines, warp routes behind them.
//!
//! warp's own accept loop offers no connection limit and installs no timer, without which hyper's header timeout is
//! off; so connections are accepted here and the routes are served as a hyper service. HTTP/1.1 only: the API gains
//! nothing from multiplexing, and what is not there cannot be attacked.

use crate::http::gate::{self, HostNames};
use crate::http::seats::{Seat, Seats};
use crate::http::stall::WriteDeadline;
use crate::http::{HttpConfig, HttpError, Limits, Stop};
use crate::telemetry::{HttpLabels, Metrics};
use futures::future::select;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use warp::filters::BoxedFilter;
use warp::http::{Method, Request};
use warp::reply::Response;

/// Threads that answer requests.
const THREADS: usize = 2;
/// Largest block of request headers; hyper answers 431 to a larger one.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Most request headers.
const HEADERS_MAX: usize = 64;
/// How long requests under way may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait after the operating system refused a connection, typically for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// What is served: by which routes, until when.
pub(crate) struct Served {
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("web")
        .enable_io()
        .enable_time()
        .build()
        .map_err(HttpError::Threads)?;
    let server = Server {
        names: HostNames::new(local_addr, &config.names),
        limits: config.limits,
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
    service: Served,
}

impl Server {
    async fn run(self: Arc<Self>, listener: StdListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the HTTP listener cannot be used"),
        };
        let graceful = GracefulShutdown::new();
        // Either side ends it; only the signal ever does.
        select(pin!(self.accept_all(&listener, &graceful)), pin!(self.service.stop.clone().wait())).await.factor_first();
        drop(listener);
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!("HTTP requests were cut off: they took longer than {} s to finish", GRACE.as_secs());
        }
    }

    async fn accept_all(self: &Arc<Self>, listener: &TcpListener, graceful: &GracefulShutdown) {
        let seats = Seats::new(self.limits.connections, self.limits.connections_per_address);
        loop {
            // No seat, no accept: whoever comes waits in the kernel's bounded backlog.
            let seat = seats.any().await;
            match listener.accept().await {
                Ok((stream, from)) => {
                    if let Some(seat) = seats.of_address(seat, from.ip()) {
                        self.serve(stream, seat, graceful);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, seat: Seat, graceful: &GracefulShutdown) {
        // Small answers leave at once; failing to ask for that costs only time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let server = Arc::clone(self);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let io = TokioIo::new(WriteDeadline::new(stream, self.limits.write));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read)
            .max_header_size(HEADER_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(4 * HEADER_BYTES_MAX)
            .serve_connection(io, service);
        let connection = graceful.watch(connection);
        let metrics = Arc::clone(&self.service.metrics);
        tokio::spawn(async move {
            metrics.http_connections.inc();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            metrics.http_connections.dec();
            drop(seat);
        });
    }

    async fn answer(&self, mut request: Request<hyper::body::Incoming>) -> Response {
        let mut response = match gate::check(&request, &self.names) {
            Err(error) => error.into(),
            Ok(()) => {
                // hyper leaves the body out of the answer to a HEAD.
                if request.method() == Method::HEAD {
                    *request.method_mut() = Method::GET;
                }
                let routes = TowerToHyperService::new(warp::service(self.service.routes.clone()));
                routes.call(request).await.unwrap_or_else(|never| match never {})
            }
        };
        gate::seal(response.headers_mut());
        let labels = HttpLabels { status_class: response.status().as_u16() / 100 };
        self.service.metrics.http_requests.get_or_create(&labels).inc();
        response
    }
}
