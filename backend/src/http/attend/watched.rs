//! A stream and an answer that tell whether anything is under way.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is known of a connection from outside.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// A request was taken and its answer is not yet written.
    in_hand: AtomicBool,
    /// The latest request had a body, of which something may still come.
    had_body: AtomicBool,
    /// The client takes no more of an answer at the moment.
    is_blocked: AtomicBool,
}

impl Signs {
    /// A request begins; it is in hand until what is returned is dropped.
    pub(super) fn request(self: &Arc<Self>, body: &Incoming) -> InHand {
        self.in_hand.store(true, Ordering::Relaxed);
        self.had_body
            .store(!body.is_end_stream(), Ordering::Relaxed);
        InHand(Arc::clone(self))
    }

    /// Whether nothing is to be answered or written.
    pub(super) fn are_idle(&self) -> bool {
        !self.in_hand.load(Ordering::Relaxed) && !self.is_blocked.load(Ordering::Relaxed)
    }

    /// Whether what comes next is certainly a request.
    pub(super) fn are_between_requests(&self) -> bool {
        self.are_idle() && !self.had_body.load(Ordering::Relaxed)
    }
}

/// A request, until its answer is written.
#[derive(Debug)]
pub(super) struct InHand(Arc<Signs>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.store(false, Ordering::Relaxed);
    }
}

/// The body of an answer; the connection drops it when it has all of it.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    _in_hand: InHand,
}

impl Answer {
    pub(super) fn new(body: Body, in_hand: InHand) -> Self {
        Self {
            body,
            _in_hand: in_hand,
        }
    }
}

impl HttpBody for Answer {
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

/// A stream that gives signs, and takes back what was read too much.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    unread: Bytes,
    signs: Arc<Signs>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            unread: Bytes::new(),
            signs: Arc::default(),
        }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) fn signs(&self) -> Arc<Signs> {
        Arc::clone(&self.signs)
    }

    /// These are to be read again, before all others.
    pub(super) fn put_back(&mut self, read: Bytes) {
        // A copy of its own: it would else keep the whole buffer that it is in.
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
        self.signs.is_blocked.store(is_blocked, Ordering::Relaxed);
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
