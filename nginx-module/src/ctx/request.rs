//! A request as the handlers see it.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use ngx::ffi::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_POST, ngx_conf_t, ngx_http_get_indexed_variable,
    ngx_http_get_variable_index, ngx_http_request_t, ngx_str_t, ngx_table_elt_t, ngx_uint_t,
};
use seckill_core::captcha::pass;
use seckill_core::ids::{self, digits};
use seckill_core::signing::{session, trace};

use crate::random;

/// Index of the variable `$request_id`.
static REQUEST_ID: AtomicUsize = AtomicUsize::new(0);

/// Finds the variables that requests are asked for. False if memory is short.
///
/// # Safety
/// `cf` is the configuration being read.
pub(crate) unsafe fn find_variables(cf: *mut ngx_conf_t) -> bool {
    // SAFETY: by this function's contract; the name is copied.
    let index = unsafe {
        let mut name = ngx_str_t::from_str((*cf).pool, "request_id");
        ngx_http_get_variable_index(cf, &mut name)
    };
    let index = usize::try_from(index).ok();
    index.inspect(|index| REQUEST_ID.store(*index, Ordering::Relaxed));
    index.is_some()
}

/// Borrows nginx's request for the length of one handler call.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    raw: *mut ngx_http_request_t,
    life: PhantomData<&'a ngx_http_request_t>,
}

/// The headers that the gate uses, found in one pass.
#[derive(Default, Clone, Copy)]
pub(crate) struct Headers<'a> {
    /// Value of the session cookie.
    pub(crate) session: Option<&'a str>,
    /// `Idempotency-Key`, without quotes; a value that is not text counts as malformed.
    pub(crate) request: Option<&'a str>,
    /// The captcha pass, unverified.
    pub(crate) captcha: Option<&'a str>,
    /// The header `Authorization`.
    pub(crate) authorization: Option<&'a [u8]>,
    /// Whether request id, pass or token was sent twice, so that others on the way may read
    /// another one of them.
    pub(crate) is_ambiguous: bool,
}

/// Keeps a header's value; notes one that was there before.
fn keep<'a>(slot: &mut Option<&'a str>, value: Option<&'a str>, twice: &mut bool) {
    *twice |= slot.replace(value.unwrap_or_default()).is_some();
}

/// An nginx string.
///
/// # Safety
/// The string's memory lives as long as `'a`.
pub(super) unsafe fn bytes<'a>(string: ngx_str_t) -> &'a [u8] {
    if string.len == 0 {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe { std::slice::from_raw_parts(string.data, string.len) }
}

/// An nginx string as text; `None` if it is not UTF-8.
///
/// # Safety
/// As for [`bytes`].
pub(super) unsafe fn text<'a>(string: ngx_str_t) -> Option<&'a str> {
    // SAFETY: by this function's contract.
    let bytes = unsafe { bytes(string) };
    if bytes.is_ascii() {
        // Nearly always, and found out in less time than whether it is UTF-8.
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

impl<'a> Request<'a> {
    /// # Safety
    /// The request is alive for `'a`.
    pub(crate) unsafe fn new(raw: *mut ngx_http_request_t) -> Self {
        Self {
            raw,
            life: PhantomData,
        }
    }

    /// nginx's own structure, for the code that needs it: `ctx` and `settings`.
    pub(crate) fn as_ptr(&self) -> *mut ngx_http_request_t {
        self.raw
    }

    fn raw(&self) -> &'a ngx_http_request_t {
        // SAFETY: by `new`'s contract.
        unsafe { &*self.raw }
    }

    /// Whether it is a client's request, and not a part of a page that nginx composes.
    pub(crate) fn is_main(&self) -> bool {
        std::ptr::eq(self.raw, self.raw().main)
    }

    /// Whether the method is POST.
    pub(crate) fn is_post(&self) -> bool {
        self.raw().method == NGX_HTTP_POST as ngx_uint_t
    }

    /// Whether the method is GET or HEAD.
    pub(crate) fn is_read(&self) -> bool {
        self.raw().method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as ngx_uint_t != 0
    }

    /// Whether the request has a body.
    pub(crate) fn has_body(&self) -> bool {
        let headers = &self.raw().headers_in;
        headers.content_length_n > 0 || headers.chunked() != 0
    }

    /// The decoded path; empty if it is not UTF-8. Every valid path is.
    pub(crate) fn path(&self) -> &'a str {
        // SAFETY: the path lives in the request's pool.
        unsafe { text(self.raw().uri) }.unwrap_or_default()
    }

    /// Whether the back end reads the same path as [`Self::path`]: nginx passes on the
    /// request line's own path, which may differ from the decoded and merged one.
    pub(crate) fn is_path_plain(&self) -> bool {
        let raw = self.raw();
        if raw.valid_unparsed_uri() == 0 {
            // Rewritten: nginx passes on what `path` says.
            return true;
        }
        // SAFETY: both live in the request's buffers.
        let [line, path] = unsafe { [bytes(raw.unparsed_uri), bytes(raw.uri)] };
        let rest = line.strip_prefix(path);
        rest.is_some_and(|rest| rest.first().is_none_or(|next| *next == b'?'))
    }

    /// Whether the query is empty or text that every HTTP server accepts in one. Of the
    /// request line's own, which is passed on, nginx hides what is behind a `#`.
    pub(crate) fn is_query_plain(&self) -> bool {
        let raw = self.raw();
        // SAFETY: both live in the request's header buffer.
        let [line, args] = unsafe { [bytes(raw.unparsed_uri), bytes(raw.args)] };
        let query = match raw.valid_unparsed_uri() {
            0 => args,
            _ => line.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or(args),
        };
        query
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#'))
    }

    /// The value of one query argument, undecoded.
    pub(crate) fn argument(&self, name: &str) -> Option<&'a str> {
        // SAFETY: the query lives in the request's header buffer.
        let query = unsafe { text(self.raw().args) }.filter(|query| !query.is_empty())?;
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All headers, in the order in which they came.
    fn elements(&self) -> impl Iterator<Item = &'a ngx_table_elt_t> + use<'a> {
        // SAFETY: the list's parts are linked within the request's pool, and each holds
        // `nelts` elements of the list's type.
        let parts =
            std::iter::successors(Some(&self.raw().headers_in.headers.part), |part| unsafe {
                part.next.as_ref()
            });
        parts.flat_map(|part| match part.nelts {
            0 => &[][..],
            // SAFETY: as above.
            n => unsafe { std::slice::from_raw_parts(part.elts.cast::<ngx_table_elt_t>(), n) },
        })
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&'a str> {
        self.elements().find_map(|element| {
            // SAFETY: keys and values live in the request's buffers.
            let (key, value) = unsafe { (bytes(element.key), bytes(element.value)) };
            let is_cookie = key.eq_ignore_ascii_case(b"cookie");
            is_cookie.then(|| session::cookie(value, name)).flatten()
        })
    }

    /// The headers that the gate uses.
    pub(crate) fn headers(&self) -> Headers<'a> {
        let mut found = Headers::default();
        self.elements().for_each(|element| {
            // SAFETY: keys and values live in the request's buffers.
            let (key, value) = unsafe { (bytes(element.key), || text(element.value)) };
            let twice = &mut found.is_ambiguous;
            match key.len() {
                6 if key.eq_ignore_ascii_case(b"cookie") => {
                    // SAFETY: as above.
                    let header = unsafe { bytes(element.value) };
                    found.session = found.session.or(session::cookie(header, session::COOKIE));
                }
                13 if key.eq_ignore_ascii_case(b"authorization") => {
                    // SAFETY: as above.
                    let header = unsafe { bytes(element.value) };
                    *twice |= found.authorization.replace(header).is_some();
                }
                15 if key.eq_ignore_ascii_case(b"idempotency-key") => {
                    keep(&mut found.request, value().map(ids::unquoted), twice);
                }
                17 if key.eq_ignore_ascii_case(pass::HEADER.as_bytes()) => {
                    keep(&mut found.captcha, value(), twice);
                }
                _ => {}
            }
        });
        found
    }

    /// The value of the request's `traceparent`; `None` if there is not exactly one, as the
    /// specification wants it.
    pub(crate) fn traceparent(&self) -> Option<&'a str> {
        let mut found = self.elements().filter_map(|element| {
            // SAFETY: keys and values live in the request's buffers.
            let (key, value) = unsafe { (bytes(element.key), text(element.value)) };
            let is_own = key.eq_ignore_ascii_case(trace::TRACEPARENT.as_bytes());
            is_own.then_some(value.unwrap_or_default())
        });
        found.next().filter(|_| found.next().is_none())
    }

    /// When nginx began to read the request, epoch microseconds to the millisecond.
    pub(crate) fn began_us(&self) -> u64 {
        let raw = self.raw();
        raw.start_sec as u64 * 1_000_000 + raw.start_msec as u64 * 1000
    }

    /// The client's address; `None` on a unix socket. Behind a trusted proxy it is the
    /// one that nginx's realip module took from the proxy's header.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        // SAFETY: a request has a connection, whose socket address lives as long
        // and is as long as its family says. The families' structures may lie at
        // any address, hence the unaligned reads.
        unsafe {
            let address = (*self.raw().connection).sockaddr;
            match i32::from((*address).sa_family) {
                libc::AF_INET => {
                    let v4 = address.cast::<libc::sockaddr_in>().read_unaligned();
                    let bits = u32::from_be(v4.sin_addr.s_addr);
                    Some(IpAddr::V4(Ipv4Addr::from_bits(bits)))
                }
                libc::AF_INET6 => {
                    let v6 = address.cast::<libc::sockaddr_in6>().read_unaligned();
                    Some(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
                }
                _ => None,
            }
        }
    }

    /// The value of an indexed variable; empty if it has none, or is no text.
    pub(crate) fn variable(&self, index: ngx_uint_t) -> &'a str {
        std::str::from_utf8(self.variable_bytes(index)).unwrap_or_default()
    }

    /// The same as it is.
    pub(crate) fn variable_bytes(&self, index: ngx_uint_t) -> &'a [u8] {
        // SAFETY: the request is alive and the index came from nginx; values
        // live in the request's pool.
        unsafe {
            match ngx_http_get_indexed_variable(self.raw, index).as_ref() {
                Some(value) if value.not_found() == 0 && value.len() > 0 => {
                    std::slice::from_raw_parts(value.data, value.len() as usize)
                }
                _ => &[],
            }
        }
    }

    /// nginx's own id of the request, `$request_id`. If nobody has asked for it yet, it
    /// becomes one of ours: as unpredictable, and made in a tenth of the time that nginx's
    /// call into OpenSSL takes, which is longer than all digests.
    pub(crate) fn own_id(&self) -> &'a str {
        let index = REQUEST_ID.load(Ordering::Relaxed);
        // SAFETY: the request is alive and has as many variables as the configuration
        // has indexed, of which this is one; values live in the request's pool.
        unsafe {
            let variable = &mut *self.raw().variables.add(index);
            if variable.valid() == 0 && variable.not_found() == 0 {
                let id = digits::hex([random::word(), random::word()]);
                if let Some(id) = ngx_str_t::from_bytes(self.raw().pool, &id) {
                    variable.data = id.data;
                    variable.set_len(id.len as u32);
                    variable.set_valid(1);
                }
            }
        }
        self.variable(index)
    }

    /// A text that lives as long as the request: itself, or a copy in its pool. Empty
    /// if memory is short.
    pub(crate) fn keep(&self, kept: Cow<'a, str>) -> &'a str {
        match kept {
            Cow::Borrowed(text) => text,
            // SAFETY: the request's pool lives as long as `'a`.
            Cow::Owned(copied) => unsafe {
                text(ngx_str_t::from_str(self.raw().pool, &copied)).unwrap_or_default()
            },
        }
    }

    /// The status of the response; 0 if there was none.
    pub(crate) fn status(&self) -> u16 {
        u16::try_from(self.raw().headers_out.status).unwrap_or(0)
    }

    /// Whether the request waits and its deadline (see [`super::park`]) has not passed.
    pub(crate) fn is_delayed(&self) -> bool {
        // SAFETY: a request has a connection, which has both events.
        unsafe { (*(*self.raw().connection).write).delayed() != 0 }
    }
}
