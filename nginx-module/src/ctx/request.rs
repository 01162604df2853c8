//! A request as the handlers see it.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ngx::ffi::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_POST, ngx_http_get_indexed_variable, ngx_http_request_t,
    ngx_str_t, ngx_table_elt_t, ngx_uint_t,
};
use seckill_core::captcha::pass;
use seckill_core::signing::session;

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
    /// `Idempotency-Key`; a value that is not text counts as malformed.
    pub(crate) request: Option<&'a str>,
    /// The captcha pass, unverified.
    pub(crate) captcha: Option<&'a str>,
}

/// An nginx string as text; `None` if it is not UTF-8.
///
/// # Safety
/// The string's memory lives as long as `'a`.
pub(super) unsafe fn text<'a>(string: ngx_str_t) -> Option<&'a str> {
    if string.len == 0 {
        return Some("");
    }
    // SAFETY: by this function's contract.
    std::str::from_utf8(unsafe { std::slice::from_raw_parts(string.data, string.len) }).ok()
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

    /// For code that needs nginx's own structure: `ctx` and `settings`.
    pub(crate) fn as_ptr(&self) -> *mut ngx_http_request_t {
        self.raw
    }

    fn raw(&self) -> &'a ngx_http_request_t {
        // SAFETY: by `new`'s contract.
        unsafe { &*self.raw }
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

    /// The value of one query argument, undecoded.
    pub(crate) fn argument(&self, name: &str) -> Option<&'a str> {
        // SAFETY: the query lives in the request's header buffer.
        let query = unsafe { text(self.raw().args) }.unwrap_or_default();
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The headers that the gate uses.
    pub(crate) fn headers(&self) -> Headers<'a> {
        let mut found = Headers::default();
        let mut part = &self.raw().headers_in.headers.part;
        loop {
            // SAFETY: a part holds `nelts` elements of the list's type.
            let elements: &'a [ngx_table_elt_t] = match part.nelts {
                0 => &[],
                // SAFETY: as above.
                n => unsafe { std::slice::from_raw_parts(part.elts.cast(), n) },
            };
            for element in elements {
                // SAFETY: keys and values live in the request's buffers.
                let (key, value) = unsafe {
                    let key = std::slice::from_raw_parts(element.key.data, element.key.len);
                    (key, || text(element.value))
                };
                match key.len() {
                    6 if key.eq_ignore_ascii_case(b"cookie") => {
                        let header = value().unwrap_or_default();
                        found.session = found.session.or(session::cookie(header, session::COOKIE));
                    }
                    15 if key.eq_ignore_ascii_case(b"idempotency-key") => {
                        found.request = Some(value().unwrap_or_default());
                    }
                    17 if key.eq_ignore_ascii_case(pass::HEADER.as_bytes()) => {
                        found.captcha = Some(value().unwrap_or_default());
                    }
                    _ => {}
                }
            }
            // SAFETY: the parts are linked within the request's pool.
            match unsafe { part.next.as_ref() } {
                Some(next) => part = next,
                None => return found,
            }
        }
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

    /// The value of an indexed variable; empty if it has none.
    pub(crate) fn variable(&self, index: ngx_uint_t) -> &'a str {
        // SAFETY: the request is alive and the index came from nginx; values
        // live in the request's pool.
        unsafe {
            match ngx_http_get_indexed_variable(self.raw, index).as_ref() {
                Some(value) if value.not_found() == 0 => text(ngx_str_t {
                    len: value.len() as usize,
                    data: value.data,
                })
                .unwrap_or_default(),
                _ => "",
            }
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
