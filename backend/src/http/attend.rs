//! HTTP on many connections with the memory of a few.
//!
//! A connection that is being read or answered needs some 20 KiB of buffers and
//! state; one that waits for its client needs its socket. So at most
//! [`ATTENDED`] are attended at once. When more have data to read, those without a
//! request under way give up their slots and are parked until their clients send
//! again; connections that wait for a slot get one in the order of arrival. Below
//! that number no connection is ever parked.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

/// Watches a connection for requests under way.
mod watched;

use watched::{Activity, ResponseBody, Watched};

/// For how long connections are still taken once the server is to stop, if none came
/// meanwhile: those that the system has accepted, and nobody here has seen yet.
const LAST_COME: Duration = Duration::from_millis(50);
/// For how long a connection without a request is kept once the server is to stop: a proxy
/// may just be sending one on it. Its response says that it is the last.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Connections that are attended at once.
pub(super) const ATTENDED: usize = 1024;

/// A stream that can be waited on without a buffer.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns when there is data to read, or the peer has closed the connection.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Socket for TcpStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        TcpStream::readable(self)
    }
}

impl Socket for UnixStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        UnixStream::readable(self)
    }
}

/// Serves until `stop`, then finishes the requests under way. `close` is called in between:
/// it sees to it that nobody connects any more, if that can be done without a connection
/// that nobody takes.
pub(super) async fn serve<L>(
    mut listener: L,
    router: Router,
    attended: usize,
    stop: CancellationToken,
    close: impl FnOnce(),
) where
    L: Listener,
    L::Io: Socket,
{
    let slots = Slots::new(attended);
    let connections = TaskTracker::new();
    let take = |stream: L::Io| {
        let (router, slots, stop) = (router.clone(), Arc::clone(&slots), stop.clone());
        connections.spawn(connection(stream, router, slots, stop));
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            (stream, _) = listener.accept() => take(stream),
        }
    }
    close();
    let began = Instant::now();
    while began.elapsed() < LAST_REQUEST
        && let Ok((stream, _)) = timeout(LAST_COME, listener.accept()).await
    {
        take(stream);
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// One connection, parked and attended in turn.
async fn connection<S: Socket>(
    stream: S,
    router: Router,
    slots: Arc<Slots>,
    stop: CancellationToken,
) {
    let mut parked = Watched::new(stream);
    let mut last_request = pin!(until_last_request(&stop));
    loop {
        let readable = tokio::select! {
            biased;
            // First: on a machine that stood still, both may be true.
            readable = parked.stream().readable() => readable,
            () = &mut last_request => return,
        };
        if readable.is_err() {
            return;
        }
        let _slot = slots.take().await;
        // Boxed, so that a parked connection does not have its size.
        match Box::pin(attend(parked, &router, &slots, &stop)).await {
            Some(again) => parked = again,
            None => return,
        }
    }
}

/// Returns when a server that is to stop waits for no further request.
async fn until_last_request(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_REQUEST).await;
}

/// Serves a connection until it ends, or until others need its slot while it has no
/// request under way.
async fn attend<S: Socket>(
    stream: Watched<S>,
    router: &Router,
    slots: &Slots,
    stop: &CancellationToken,
) -> Option<Watched<S>> {
    let activity = stream.activity();
    let handler = Handler {
        router: router.clone(),
        activity: Arc::clone(&activity),
        stop: stop.clone(),
    };
    let mut last_request = pin!(until_last_request(stop));
    let mut http = Builder::new().serve_connection(TokioIo::new(stream), handler);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            // An error ends the connection as well: the client has left.
            _ = &mut http => return None,
            () = &mut last_request, if !is_leaving => {
                Pin::new(&mut http).graceful_shutdown();
                is_leaving = true;
            }
            () = slots.needed_of(&activity), if !is_leaving => {
                if activity.is_between_requests() {
                    return Some(park(http));
                }
                // After parking, the rest of a body could not be distinguished from a
                // next request, so this connection ends instead.
                Pin::new(&mut http).graceful_shutdown();
                is_leaving = true;
            }
        }
    }
}

/// Takes the stream back, with the part of the next request that was already read.
fn park<S: Socket>(http: Connection<TokioIo<Watched<S>>, Handler>) -> Watched<S> {
    let parts = http.into_parts();
    let mut stream = parts.io.into_inner();
    stream.put_back(parts.read_buf);
    stream
}

/// Calls the router for a connection.
struct Handler {
    router: Router,
    activity: Arc<Activity>,
    stop: CancellationToken,
}

impl hyper::service::Service<Request<Incoming>> for Handler {
    type Response = axum::http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = self.activity.request(request.body());
        let response = self.router.clone().call(request.map(Body::new));
        let stop = self.stop.clone();
        Box::pin(async move {
            let mut response = response.await?;
            if stop.is_cancelled() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response.map(|body| ResponseBody::new(body, under_way)))
        })
    }
}

/// The slots of attended connections.
struct Slots {
    free: Arc<Semaphore>,
    /// The number of connections that wait for a slot.
    waiting: AtomicUsize,
    /// Notified whenever one more waits.
    needed: Notify,
}

impl Slots {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            needed: Notify::new(),
        })
    }

    /// Waits for a slot, which is free again when it is dropped.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(slot);
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.needed.notify_waiters();
        let slot = Arc::clone(&self.free).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        // The semaphore is never closed.
        slot.ok()
    }

    /// Returns when another connection waits for a slot while this one is idle. Polled
    /// after the connection, whose progress wakes it.
    async fn needed_of(&self, activity: &Activity) {
        loop {
            let mut notified = pin!(self.needed.notified());
            let is_needed = poll_fn(|cx| {
                if !activity.is_idle() {
                    return Poll::Pending;
                }
                // Registered before the check, so that no waiter is missed.
                let is_notified = notified.as_mut().poll(cx).is_ready();
                if self.waiting.load(Ordering::SeqCst) > 0 {
                    return Poll::Ready(true);
                }
                if is_notified {
                    return Poll::Ready(false);
                }
                Poll::Pending
            });
            if is_needed.await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
