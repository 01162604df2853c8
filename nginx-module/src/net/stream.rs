//! A byte stream over an nginx connection, for protocol code that wants
//! `AsyncRead` and `AsyncWrite`.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ngx::ffi::{
    NGX_AGAIN, NGX_ERROR, NGX_LOG_EMERG, NGX_OK, ngx_close_connection, ngx_connection_t, ngx_cycle,
    ngx_event_connect_peer, ngx_event_get_peer, ngx_event_t, ngx_handle_read_event,
    ngx_handle_write_event, ngx_int_t, ngx_log_t, ngx_peer_connection_t, ngx_str_t,
    ngx_tcp_nodelay,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::address::SocketAddress;

/// Counts the bytes that came over a connection: as long as the number rises, the
/// server is not stalled.
#[derive(Clone, Default)]
pub(crate) struct Meter(Rc<Cell<u64>>);

impl Meter {
    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.0.get()
    }
}

/// What nginx's event handlers reach through `connection.data`. Boxed, so that
/// its address stays while the stream itself moves.
struct Shared {
    log: ngx_log_t,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

thread_local! {
    /// The open connections, for [`turn`].
    static OPEN: RefCell<Vec<*mut ngx_connection_t>> = const { RefCell::new(Vec::new()) };
}

/// Waits until one of the streams is ready, or `limit` has passed, and wakes those who wait
/// for it: for the end of a worker, when nginx's own event loop has ended.
pub(crate) fn turn(limit: Duration) {
    let open = OPEN.with_borrow(Vec::clone);
    // SAFETY: listed connections are open, and those of `open` stay so: nothing runs here
    // but handlers that only wake. Their data is the stream's Shared.
    unsafe {
        let waits = |connection: &*mut ngx_connection_t| {
            let shared = &*(**connection).data.cast::<Shared>();
            let events = match shared.writer {
                Some(_) => libc::POLLIN | libc::POLLOUT,
                None => libc::POLLIN,
            };
            libc::pollfd {
                fd: (**connection).fd,
                events,
                revents: 0,
            }
        };
        let mut polled: Vec<libc::pollfd> = open.iter().map(waits).collect();
        let ms = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
        libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, ms);
        for (connection, polled) in open.iter().zip(polled) {
            if polled.revents & !libc::POLLOUT != 0 {
                let read = (**connection).read;
                (*read).set_ready(1);
                // As nginx's event loop does: how much there is is not known. After a read
                // that emptied the socket it is 0, with which nginx reads no more.
                (*read).available = -1;
                on_read(read);
            }
            if polled.revents & !libc::POLLIN != 0 {
                (*(**connection).write).set_ready(1);
                on_write((**connection).write);
            }
        }
    }
}

/// A connection to a server, driven by nginx's event loop. Closed on drop.
pub(crate) struct PeerStream {
    connection: *mut ngx_connection_t,
    shared: Box<Shared>,
    /// Whether it is TCP, where small writes must not wait for each other.
    is_tcp: bool,
    meter: Meter,
}

// SAFETY: the redis crate requires Send because its drivers usually run on a
// thread pool. Here everything stays on the worker's one thread.
unsafe impl Send for PeerStream {}

extern "C" fn on_read(event: *mut ngx_event_t) {
    // SAFETY: see `wake`.
    unsafe { wake(event, |shared| &mut shared.reader) }
}

extern "C" fn on_write(event: *mut ngx_event_t) {
    // SAFETY: see `wake`.
    unsafe { wake(event, |shared| &mut shared.writer) }
}

/// Only takes the waker and wakes: nothing of the future runs in here.
///
/// # Safety
/// `event` belongs to a connection opened by [`PeerStream::connect`]: its data
/// is the connection, whose data is the boxed [`Shared`]. Both outlive the
/// handler, because drop closes the connection before it frees the box.
unsafe fn wake(event: *mut ngx_event_t, side: fn(&mut Shared) -> &mut Option<Waker>) {
    // SAFETY: by this function's contract.
    let shared = unsafe {
        let connection = (*event).data.cast::<ngx_connection_t>();
        &mut *(*connection).data.cast::<Shared>()
    };
    if let Some(waker) = side(shared).take() {
        waker.wake();
    }
}

impl PeerStream {
    /// Connects; resolves when the socket is ready for writing. What comes over it is
    /// counted by the meter.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) async fn connect(address: &SocketAddress, meter: Meter) -> io::Result<Self> {
        let mut stream = Self::open(address, meter)?;
        std::future::poll_fn(|context| stream.poll_connected(context)).await?;
        if stream.is_tcp {
            // SAFETY: the connection is open. A failure only costs latency.
            unsafe { ngx_tcp_nodelay(stream.connection) };
        }
        Ok(stream)
    }

    fn open(address: &SocketAddress, meter: Meter) -> io::Result<Self> {
        // SAFETY: the cycle and its log live as long as the worker. The log is
        // copied because nginx writes per-connection state into it.
        let log = unsafe { ptr::read((*ngx_cycle).log) };
        let mut shared = Box::new(Shared {
            log,
            reader: None,
            writer: None,
        });
        shared.log.data = ptr::null_mut();
        shared.log.handler = None;
        shared.log.action = ptr::null_mut();
        // A server that is away is reported once, by the supervisor, and not
        // by nginx at each attempt.
        shared.log.log_level = NGX_LOG_EMERG as _;
        let mut name = ngx_str_t {
            len: address.name().len(),
            data: address.name().as_ptr().cast_mut(),
        };

        // SAFETY: an all-zero peer is what nginx starts from; the fields set
        // are those that ngx_event_connect_peer reads, and it keeps none of
        // them but the log, which the box holds at a fixed address.
        let connection = unsafe {
            let mut peer: ngx_peer_connection_t = std::mem::zeroed();
            peer.sockaddr = address.as_ptr();
            peer.socklen = address.len();
            peer.name = &mut name;
            peer.get = Some(ngx_event_get_peer);
            peer.log = &mut shared.log;
            peer.type_ = libc::SOCK_STREAM;
            let rc = ngx_event_connect_peer(&mut peer);
            if rc != NGX_OK as ngx_int_t && rc != NGX_AGAIN as ngx_int_t {
                let error = io::Error::last_os_error();
                // After some failures nginx leaves an open connection behind.
                if !peer.connection.is_null() {
                    ngx_close_connection(peer.connection);
                }
                return Err(error);
            }
            peer.connection
        };
        // SAFETY: the connection was just made and is ours alone.
        unsafe {
            (*connection).data = ptr::from_mut(shared.as_mut()).cast();
            (*(*connection).read).handler = Some(on_read);
            (*(*connection).write).handler = Some(on_write);
        }
        OPEN.with_borrow_mut(|open| open.push(connection));
        Ok(Self {
            connection,
            shared,
            is_tcp: address.is_tcp(),
            meter,
        })
    }

    fn poll_connected(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // SAFETY: the connection is open until drop.
        unsafe {
            if (*(*self.connection).write).ready() == 0 {
                self.shared.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            let mut error: c_int = 0;
            let mut length = size_of::<c_int>() as libc::socklen_t;
            let rc = libc::getsockopt(
                (*self.connection).fd,
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut error).cast(),
                &mut length,
            );
            Poll::Ready(match (rc, error) {
                (0, 0) => Ok(()),
                (0, code) => Err(io::Error::from_raw_os_error(code)),
                _ => Err(io::Error::last_os_error()),
            })
        }
    }
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| open.retain(|connection| *connection != self.connection));
        // SAFETY: opened by `open`, closed only here.
        unsafe { ngx_close_connection(self.connection) };
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.initialize_unfilled();
        if room.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // SAFETY: the connection is open; `room` is valid for its length.
        let received = unsafe {
            match (*self.connection).recv {
                Some(recv) => recv(self.connection, room.as_mut_ptr(), room.len()),
                None => NGX_ERROR as isize,
            }
        };
        match received {
            n if n >= 0 => {
                // Zero is the end of the stream: the buffer stays as it is.
                buffer.advance(n as usize);
                let received = &self.meter.0;
                received.set(received.get() + n as u64);
                Poll::Ready(Ok(()))
            }
            n if n == NGX_AGAIN as isize => {
                self.shared.reader = Some(context.waker().clone());
                // SAFETY: the connection's read event is registered.
                if unsafe { ngx_handle_read_event((*self.connection).read, 0) }
                    != NGX_OK as ngx_int_t
                {
                    return Poll::Ready(Err(io::Error::other("cannot wait for the socket")));
                }
                Poll::Pending
            }
            _ => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        // SAFETY: the connection is open; `send` only reads from `data`.
        let sent = unsafe {
            match (*self.connection).send {
                Some(send) => send(self.connection, data.as_ptr().cast_mut(), data.len()),
                None => NGX_ERROR as isize,
            }
        };
        match sent {
            n if n > 0 => Poll::Ready(Ok(n as usize)),
            n if n == 0 || n == NGX_AGAIN as isize => {
                self.shared.writer = Some(context.waker().clone());
                // SAFETY: the connection's write event is registered.
                if unsafe { ngx_handle_write_event((*self.connection).write, 0) }
                    != NGX_OK as ngx_int_t
                {
                    return Poll::Ready(Err(io::Error::other("cannot wait for the socket")));
                }
                Poll::Pending
            }
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
