//! HTTP on many connections with the memory of a few.
//!
//! A connection that is being read or answered needs some 20 KiB of buffers and
//! state; one that waits for its client needs its socket. So at most
//! [`ATTENDED`] are attended at once. When more have something to say, those in
//! which nothing is under way give up their places and are parked until their
//! clients speak again; whoever waits for a place is served in the order of
//! arrival. Below that number no connection is ever parked.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

/// What a connection shows of itself while it is attended.
mod watched;

use watched::{Answer, Signs, Watched};

/// Connections that are attended at once.
pub(super) const ATTENDED: usize = 1024;

/// A stream that can be waited on without a buffer.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns when there is something to read, or the peer has left.
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

/// Serves until `stop`, then finishes the requests in hand.
pub(super) async fn serve<L>(
    mut listener: L,
    router: Router,
    attended: usize,
    stop: CancellationToken,
) where
    L: Listener,
    L::Io: Socket,
{
    let places = Places::new(attended);
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (router, places, stop) = (router.clone(), Arc::clone(&places), stop.clone());
        connections.spawn(connection(stream, router, places, stop));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// One connection, parked and attended in turn.
async fn connection<S: Socket>(
    stream: S,
    router: Router,
    places: Arc<Places>,
    stop: CancellationToken,
) {
    let mut parked = Watched::new(stream);
    loop {
        let spoke = tokio::select! {
            () = stop.cancelled() => return,
            spoke = parked.stream().readable() => spoke,
        };
        if spoke.is_err() {
            return;
        }
        let _place = places.take().await;
        // Boxed, so that a parked connection does not have its size.
        match Box::pin(attend(parked, &router, &places, &stop)).await {
            Some(again) => parked = again,
            None => return,
        }
    }
}

/// Serves a connection until it ends, or until others need its place and
/// nothing is under way in it.
async fn attend<S: Socket>(
    stream: Watched<S>,
    router: &Router,
    places: &Places,
    stop: &CancellationToken,
) -> Option<Watched<S>> {
    let signs = stream.signs();
    let answering = Answering {
        router: router.clone(),
        signs: Arc::clone(&signs),
    };
    let mut http = Builder::new().serve_connection(TokioIo::new(stream), answering);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            // An error is the client's way to leave.
            _ = &mut http => return None,
            () = stop.cancelled(), if !is_leaving => {
                Pin::new(&mut http).graceful_shutdown();
                is_leaving = true;
            }
            () = places.needed_of(&signs), if !is_leaving => {
                if signs.are_between_requests() {
                    return Some(park(http));
                }
                // What is left of a body cannot be told from a next request by
                // anybody else, so that it does not go on elsewhere.
                Pin::new(&mut http).graceful_shutdown();
                is_leaving = true;
            }
        }
    }
}

/// The stream again, with what was read of a request that is not yet complete.
fn park<S: Socket>(http: Connection<TokioIo<Watched<S>>, Answering>) -> Watched<S> {
    let parts = http.into_parts();
    let mut stream = parts.io.into_inner();
    stream.put_back(parts.read_buf);
    stream
}

/// The router, as a connection calls it.
struct Answering {
    router: Router,
    signs: Arc<Signs>,
}

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = axum::http::Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_hand = self.signs.request(request.body());
        let answered = self.router.clone().call(request.map(Body::new));
        Box::pin(async move {
            let response = answered.await?;
            Ok(response.map(|body| Answer::new(body, in_hand)))
        })
    }
}

/// The places for attended connections.
struct Places {
    free: Arc<Semaphore>,
    /// How many wait for one.
    waiting: AtomicUsize,
    /// Told whenever one more waits.
    needed: Notify,
}

impl Places {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            needed: Notify::new(),
        })
    }

    /// A place; given back when it is dropped.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(place);
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.needed.notify_waiters();
        let place = Arc::clone(&self.free).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        // The semaphore is never closed.
        place.ok()
    }

    /// Returns when somebody waits for a place while no request is in hand
    /// behind `signs`. Polled after the connection, whose progress wakes it.
    async fn needed_of(&self, signs: &Signs) {
        loop {
            let mut told = pin!(self.needed.notified());
            let is_told = poll_fn(|cx| {
                if !signs.are_idle() {
                    return Poll::Pending;
                }
                // Heard from here on, so that nobody begins to wait unnoticed.
                let told = told.as_mut().poll(cx).is_ready();
                if self.waiting.load(Ordering::SeqCst) > 0 {
                    return Poll::Ready(true);
                }
                if told {
                    return Poll::Ready(false);
                }
                Poll::Pending
            });
            if is_told.await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
