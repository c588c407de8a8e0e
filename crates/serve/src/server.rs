//! The listener, and the one place with an async runtime: HTTP/1.1 by hyper, TLS by rustls.
//!
//! Slow clients cost a socket and a few kilobytes, never a thread, and not for long: headers must come within
//! [`Limits::header`](crate::Limits), bodies at some pace, answers must be taken at some pace. Where all connections are
//! taken, the one that has been without a request the longest makes room; where each has a request, a new one is closed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use corten_diagnostic::{Failure, Report};
use corten_store::{Store, StoreError};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use crate::answer::Payload;
use crate::holdings::Holdings;
use crate::options::{Options, plain};
use crate::service::{Asked, Service};
use crate::uploads::Uploads;

/// Threads that wait for the disk.
const DISK_THREADS: usize = 32;
/// Threads that wait for the network.
const MOST_THREADS: usize = 4;
/// Bytes of a request's headers, and how many there may be.
const LARGEST_HEADERS: usize = 64 << 10;
const MOST_HEADERS: usize = 64;
/// Bytes that a client must take in each span.
const LEAST_TAKEN: usize = 4 << 10;
/// How often abandoned uploads are looked for, and what was looked at is let go.
const CLEANING: Duration = Duration::from_secs(60);

/// Opens the store.
pub type Opener = Box<dyn Fn() -> Result<Store, StoreError> + Send + Sync>;
/// Is told of each request.
pub type Logger = Box<dyn Fn(&Asked) + Send + Sync>;

/// A registry that listens and does not answer yet.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    stop: Stopper,
}

/// Ends a server from another thread.
#[derive(Clone, Default)]
pub struct Stopper(Arc<Notify>);

impl Stopper {
    /// Requests that are under way may go on for a while.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

impl Server {
    /// Listens. `open` opens the store, now and each time that what was looked at may go; `log` is told of each request.
    ///
    /// # Errors
    /// An address that cannot be listened on, or may not ([`crate::Exposed`]).
    pub fn bind(open: Opener, options: Options, log: Logger) -> Result<Self, Report> {
        options.check()?;
        let store = open()?;
        let Options { listen, users, tls, access, limits, .. } = options;
        let failed = |error: io::Error| {
            let failure = Failure::world(format!("listening on {listen}: {}", plain(&error)));
            match error.kind() {
                io::ErrorKind::AddrInUse => {
                    failure.hint("another program has the port: --listen 127.0.0.1:0 takes a free one")
                }
                io::ErrorKind::PermissionDenied => failure.hint("ports below 1024 are root's"),
                _ => failure,
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST_THREADS));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(DISK_THREADS)
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let own = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{}", address.port()));
        let own = own.into_iter().chain([address.to_string()]).collect();
        let service = Arc::new(Service {
            holdings: Mutex::new(Holdings::new(store, own)?),
            open,
            uploads: Uploads::default(),
            users,
            access,
            limits,
            checks: Service::checks(),
            log,
        });
        Ok(Self { runtime, listener, address, tls: tls.map(TlsAcceptor::from), service, stop: Stopper::default() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does each minute: throws away uploads that were given up, and lets go of what requests have looked at.
    pub fn tidier(&self) -> impl Fn() + Send + Sync + use<> {
        let (service, runtime) = (Arc::clone(&self.service), self.runtime.handle().clone());
        move || runtime.block_on(service.tidy())
    }

    /// Ends it.
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Lets SIGINT and SIGTERM end it; from then on, they do nothing else in this process.
    ///
    /// # Errors
    /// A system without signals.
    pub fn stop_on_signals(&self) -> Result<(), Failure> {
        let _runtime = self.runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let failed = |error: io::Error| Failure::world(format!("waiting for signals: {}", plain(&error)));
            let (mut signal, stop) = (signal(kind).map_err(failed)?, self.stop.clone());
            self.runtime.spawn(async move {
                while signal.recv().await.is_some() {
                    stop.stop();
                }
            });
        }
        Ok(())
    }

    /// Answers until it is stopped; a second stop cuts short what is under way.
    pub fn run(self) {
        let Self { runtime, listener, tls, service, stop, .. } = self;
        let grace = service.limits.grace;
        runtime.block_on(async move {
            let graceful = GracefulShutdown::new();
            let cleaner = tokio::spawn(clean(Arc::clone(&service)));
            {
                let mut accepting = pin!(accept(&listener, tls, &service, &graceful));
                let mut stopped = pin!(stop.0.notified());
                first(stopped.as_mut(), accepting.as_mut()).await;
            }
            drop(listener);
            cleaner.abort();
            let mut ending = pin!(tokio::time::timeout(grace, graceful.shutdown()));
            let mut again = pin!(stop.0.notified());
            first(again.as_mut(), ending.as_mut()).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// Waits for the first of two.
async fn first<A, B>(mut one: Pin<&mut impl Future<Output = A>>, mut other: Pin<&mut impl Future<Output = B>>) {
    std::future::poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => other.as_mut().poll(context).map(drop),
    })
    .await;
}

async fn clean(service: Arc<Service>) {
    loop {
        tokio::time::sleep(CLEANING).await;
        service.tidy().await;
    }
}

async fn accept(listener: &TcpListener, tls: Option<TlsAcceptor>, service: &Arc<Service>, graceful: &GracefulShutdown) {
    let connections = Arc::new(Connections::default());
    for number in 0.. {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Too many open files, most of the time.
            Err(_) => {
                // Whoever is left is at work.
                let _ = connections.make_room(0);
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if !connections.make_room(service.limits.connections.saturating_sub(1)) {
            continue;
        }
        drop(stream.set_nodelay(true));
        let (busy, tls, service) = (Arc::new(AtomicUsize::new(0)), tls.clone(), Arc::clone(service));
        let (own, watcher, those) = (Arc::clone(&busy), graceful.watcher(), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let limits = service.limits.clone();
            let io = Paced::new(stream, limits.patience);
            match tls {
                None => serve(io, service, own, peer, watcher).await,
                Some(tls) => {
                    if let Ok(Ok(io)) = tokio::time::timeout(limits.header, tls.accept(io)).await {
                        serve(io, service, own, peer, watcher).await;
                    }
                }
            }
            those.all().remove(&number);
        });
        let mut all = connections.all();
        if !task.is_finished() {
            all.insert(number, (busy, task.abort_handle()));
        }
    }
}

async fn serve<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    io: I,
    service: Arc<Service>,
    busy: Arc<AtomicUsize>,
    peer: SocketAddr,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let header = service.limits.header;
    let answer = service_fn(move |request| {
        let (service, busy) = (Arc::clone(&service), Busy::new(&busy));
        async move {
            let response = service.answer(request, peer).await;
            Ok::<_, Infallible>(response.map(|payload| Served { payload, _busy: busy }))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header);
    builder.max_buf_size(LARGEST_HEADERS).max_headers(MOST_HEADERS);
    // A connection that breaks, or sends what is no HTTP, is over; whoever it was knows.
    drop(watcher.watch(builder.serve_connection(TokioIo::new(io), answer)).await);
}

/// Connections by their age: how many requests each is about, and how it is ended.
#[derive(Default)]
struct Connections(Mutex<BTreeMap<u64, (Arc<AtomicUsize>, AbortHandle)>>);

impl Connections {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, (Arc<AtomicUsize>, AbortHandle)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the oldest that have no request, until at most so many are left; false where more have one.
    fn make_room(&self, most: usize) -> bool {
        let mut all = self.all();
        all.retain(|_, (_, handle)| !handle.is_finished());
        while all.len() > most {
            let idle = all.iter().find(|(_, (busy, _))| busy.load(Ordering::Relaxed) == 0);
            let Some(oldest) = idle.map(|(number, _)| *number) else { return false };
            if let Some((_, handle)) = all.remove(&oldest) {
                handle.abort();
            }
        }
        true
    }
}

/// A request that is under way, until its answer is sent or given up.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that counts as work until it is sent.
struct Served {
    payload: Payload,
    _busy: Busy,
}

impl Body for Served {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.payload).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}

/// A socket that gives up on a client who takes almost nothing.
struct Paced {
    stream: TcpStream,
    patience: Duration,
    span: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Paced {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, patience, span: None }
    }

    /// Nothing can be written now: for how long already?
    fn wait(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let patience = self.patience;
        let (span, taken) = self.span.get_or_insert_with(|| (Box::pin(tokio::time::sleep(patience)), 0));
        while span.as_mut().poll(context).is_ready() {
            if *taken < LEAST_TAKEN {
                return Err(io::ErrorKind::TimedOut.into());
            }
            *taken = 0;
            span.as_mut().reset(Instant::now() + patience);
        }
        Ok(())
    }

    fn written(&mut self, outcome: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(length)) => {
                if let Some((_, taken)) = &mut self.span {
                    *taken = taken.saturating_add(length);
                }
                Poll::Ready(Ok(length))
            }
            Poll::Pending => match self.wait(context) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
            failed => failed,
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.span = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
