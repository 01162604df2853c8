//! A stream and a response body that show whether a request is under way.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The activity of a connection, as seen from outside of it.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// A request was read and its response is not yet written.
    under_way: AtomicBool,
    /// The latest request had a body, whose rest may still come.
    had_body: AtomicBool,
    /// The client accepts no more data at the moment.
    is_blocked: AtomicBool,
}

impl Activity {
    /// Notes that a request begins; it ends when the returned guard is dropped.
    pub(super) fn request(self: &Arc<Self>, body: &Incoming) -> UnderWay {
        self.under_way.store(true, Ordering::Relaxed);
        self.had_body
            .store(!body.is_end_stream(), Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Whether no request is under way and no data waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        !self.under_way.load(Ordering::Relaxed) && !self.is_blocked.load(Ordering::Relaxed)
    }

    /// Whether the next data is certainly a new request.
    pub(super) fn is_between_requests(&self) -> bool {
        self.is_idle() && !self.had_body.load(Ordering::Relaxed)
    }
}

/// A request under way, until its response is written.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.store(false, Ordering::Relaxed);
    }
}

/// The body of a response; the connection drops it when all of it is written.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    _under_way: UnderWay,
}

impl ResponseBody {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        Self {
            body,
            _under_way: under_way,
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that records its activity, and takes data back that was read too early.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    unread: Bytes,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            unread: Bytes::new(),
            activity: Arc::default(),
        }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }

    /// Puts data back, to be read again before all other.
    pub(super) fn put_back(&mut self, read: Bytes) {
        // A copy, since `read` keeps the whole buffer alive that it is a part of.
        self.unread = Bytes::copy_from_slice(&read);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let fits = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(fits));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let is_blocked = written.is_pending();
        self.activity
            .is_blocked
            .store(is_blocked, Ordering::Relaxed);
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
