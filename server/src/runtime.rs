//! The async runtimes: the only file that names async-std and its executor, and the only one that builds a tokio runtime.
//!
//! The web side uses tokio's sockets, timers and channels by name, because hyper and warp run on nothing else.
//! async-std is no longer developed upstream. Everything else in the crate asks this module for tasks, timers and
//! name resolution, so moving to smol (the same reactor underneath) is a change of this file and of one quinn feature.

use async_channel::{Receiver, Sender};
use futures::future::{Either, select};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A running task; dropping it lets the task run on, awaiting it gives its result.
pub type Task<T> = async_std::task::JoinHandle<T>;

/// The time given to [`timeout`] has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("timed out")]
pub struct Elapsed;

/// Threads of the runtime: half as many as there are processors, and at most so many. Its tasks only move bytes, and with
/// a thread per processor nearly every packet wakes another thread than the last, which costs more than it saves.
const THREADS_MAX: usize = 4;

/// Starts the runtime for a server; a test or a tool that does not call this gets async-std's own number of threads. The
/// environment variable `ASYNC_STD_THREAD_COUNT` overrides it.
pub fn start() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (processors / 2).clamp(1, THREADS_MAX);
    // The first configuration counts: async-std's own, made when it is first used, comes too late then.
    async_global_executor::init_with_config(
        async_global_executor::GlobalExecutorConfig::default()
            .with_env_var("ASYNC_STD_THREAD_COUNT")
            .with_min_threads(threads)
            .with_thread_name_fn(|| "overlay".to_owned()),
    );
}

/// Runs `future` on the runtime's threads.
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    async_std::task::spawn(future)
}

/// Runs `work`, which may block, on a thread made for that.
pub fn spawn_blocking<F, T>(work: F) -> Task<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    async_std::task::spawn_blocking(work)
}

/// Runs `future` on this thread until it is done.
pub fn block_on<F: Future>(future: F) -> F::Output {
    async_std::task::block_on(future)
}

/// Waits.
pub async fn sleep(duration: Duration) {
    async_std::task::sleep(duration).await;
}

/// The result of `future`, if it comes within `limit`. Otherwise `future` is dropped.
///
/// # Errors
/// [`Elapsed`].
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    async_std::future::timeout(limit, future).await.map_err(|_| Elapsed)
}

/// Ticks every `period`, for the first time after one period.
pub fn interval(period: Duration) -> impl futures::Stream<Item = ()> + Send + Unpin {
    async_std::stream::interval(period)
}

/// The addresses of `host:port`; names are looked up anew on every call.
///
/// # Errors
/// When the text has no port or the name has no address.
pub async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    use async_std::net::ToSocketAddrs;
    Ok(address.to_socket_addrs().await?.collect())
}

/// What quinn runs its timers, tasks and socket on, and a channel that is closed when the last of its tasks has ended:
/// only then is the UDP port free again.
#[must_use]
pub fn quic_runtime() -> (Arc<dyn quinn::Runtime>, Receiver<()>) {
    let (alive, ended) = async_channel::bounded(1);
    (Arc::new(QuicRuntime { inner: quinn::AsyncStdRuntime, alive }), ended)
}

#[derive(Debug)]
struct QuicRuntime {
    inner: quinn::AsyncStdRuntime,
    /// Nothing is ever sent.
    alive: Sender<()>,
}

impl quinn::Runtime for QuicRuntime {
    fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn quinn::AsyncTimer>> {
        self.inner.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let alive = self.alive.clone();
        spawn(async move {
            future.await;
            drop(alive);
        });
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn quinn::AsyncUdpSocket>> {
        self.inner.wrap_udp_socket(socket)
    }
}

/// The name of the threads that answer HTTP, those that block among them.
pub const WEB_THREAD: &str = "web";

/// A tokio runtime of its own for the web side, so that HTTP load cannot delay consensus. Drive it from a thread of
/// its own with `block_on`, and end it with `shutdown_timeout`.
///
/// # Errors
/// When the threads cannot be started.
pub fn web_runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name(WEB_THREAD)
        .enable_io()
        .enable_time()
        .build()
}

/// Tasks that are stopped together and whose end can be waited for.
///
/// [`Tasks::stop`] drops every future of the group at its next await point.
#[derive(Clone)]
pub struct Tasks {
    stop: Receiver<()>,
    ended: Receiver<()>,
    /// Held by the group until it is stopped: nothing is ever sent, the closing of the channels is the signal.
    held: Arc<Mutex<Option<Held>>>,
}

struct Held {
    _stop: Sender<()>,
    alive: Sender<()>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        let (sender, stop) = async_channel::bounded(1);
        let (alive, ended) = async_channel::bounded(1);
        Self { stop, ended, held: Arc::new(Mutex::new(Some(Held { _stop: sender, alive }))) }
    }

    /// Runs `future` until it is done or the group is stopped. `None`: the group was stopped before.
    pub fn spawn<F>(&self, future: F) -> Option<Task<()>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let alive = self.held.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.alive.clone();
        let stop = self.stop.clone();
        Some(spawn(async move {
            select(pin!(future), pin!(stop.recv())).await;
            drop(alive);
        }))
    }

    /// Stops every task of the group; no new one can be started.
    pub fn stop(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits until all tasks have ended, at most `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] if some had not.
    pub async fn ended(&self, limit: Duration) -> Result<(), Elapsed> {
        timeout(limit, self.ended.recv()).await.map(|_| ())
    }
}

/// The first of two futures to be done; the other one is dropped.
pub async fn first<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    match select(pin!(a), pin!(b)).await {
        Either::Left((output, _)) => Either::Left(output),
        Either::Right((output, _)) => Either::Right(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_group_ends_its_tasks_and_starts_no_more() {
        block_on(async {
            let tasks = Tasks::new();
            assert!(tasks.spawn(std::future::pending()).is_some());
            assert_eq!(tasks.ended(Duration::from_millis(1)).await, Err(Elapsed));
            tasks.stop();
            assert_eq!(tasks.ended(Duration::from_secs(10)).await, Ok(()));
            assert!(tasks.spawn(async {}).is_none());
        });
    }
}
