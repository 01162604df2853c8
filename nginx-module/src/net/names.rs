//! Host names to addresses, again for every connection: a server that moved is found
//! at its new address.
//!
//! A worker must not block, so that a lookup there is by nginx's resolver: the one
//! that the `http` block configures, or else one for the name servers of
//! `/etc/resolv.conf`, with that file's search domains.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ngx::ffi::{
    NGX_OK, ngx_conf_t, ngx_int_t, ngx_resolve_name, ngx_resolve_name_done, ngx_resolve_start,
    ngx_resolver_addr_t, ngx_resolver_create, ngx_resolver_ctx_t, ngx_resolver_t, ngx_str_t,
    sockaddr,
};
use seckill_core::redis::names::{ResolvConf, in_hosts_file};

use crate::rt;

/// Longest time for a lookup with all its search domains.
const LONGEST: Duration = Duration::from_millis(500);

/// The ways by which this nginx looks names up, and what it found last.
pub(crate) struct Names {
    resolver: *mut ngx_resolver_t,
    conf: ResolvConf,
    /// Addresses found last, by name: when name servers are away, those go on.
    found: RefCell<HashMap<String, Vec<IpAddr>>>,
}

impl Names {
    /// By `configured`, the resolver of the `http` block, or by the system's name
    /// servers where it is null.
    ///
    /// # Safety
    /// `cf` is the configuration being read, and `configured` null or a resolver that
    /// lives as long as it.
    pub(crate) unsafe fn new(cf: *mut ngx_conf_t, configured: *mut ngx_resolver_t) -> Self {
        let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let conf = ResolvConf::parse(&text);
        let resolver = if configured.is_null() {
            // SAFETY: by this function's contract.
            unsafe { create(cf, &conf) }
        } else {
            configured
        };
        Self {
            resolver,
            conf,
            found: RefCell::default(),
        }
    }

    /// Looks a name up while the configuration is read, which may block, as nginx's own
    /// lookups do then; whether it has an address. Where no name server is reached
    /// later, a worker connects to what was found here.
    pub(crate) fn resolve_now(&self, host: &str) -> bool {
        let found = (host, 0).to_socket_addrs().map(|found| {
            let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            addresses
        });
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                self.found.borrow_mut().insert(host.to_owned(), addresses);
                true
            }
            _ => false,
        }
    }

    /// The addresses of a host; empty if it has none that is known.
    pub(crate) async fn find(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        let addresses = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => self.look_up(host).await,
        };
        let with_port = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
        with_port.collect()
    }

    async fn look_up(&self, host: &str) -> Vec<IpAddr> {
        // A small local file, which the kernel has in its memory.
        let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        let listed = in_hosts_file(&hosts, host);
        if !listed.is_empty() {
            return listed;
        }
        let asked = rt::timeout(LONGEST, self.ask(host)).await;
        match asked.filter(|addresses| !addresses.is_empty()) {
            Some(addresses) => {
                let mut found = self.found.borrow_mut();
                found.insert(host.to_owned(), addresses.clone());
                addresses
            }
            None => self.found.borrow().get(host).cloned().unwrap_or_default(),
        }
    }

    async fn ask(&self, host: &str) -> Vec<IpAddr> {
        if self.resolver.is_null() {
            return Vec::new();
        }
        for name in self.conf.candidates(host) {
            let addresses = Lookup::new(self.resolver, name).await;
            if !addresses.is_empty() {
                return addresses;
            }
        }
        Vec::new()
    }
}

/// A resolver for the system's name servers; null if there are none.
///
/// # Safety
/// `cf` is the configuration being read.
unsafe fn create(cf: *mut ngx_conf_t, conf: &ResolvConf) -> *mut ngx_resolver_t {
    // SAFETY: by this function's contract; the resolver copies what it keeps of the
    // names, whose texts are in the configuration's pool.
    unsafe {
        let mut names: Vec<ngx_str_t> = conf
            .servers
            .iter()
            .map(|server| {
                let text = match server {
                    IpAddr::V4(v4) => v4.to_string(),
                    IpAddr::V6(v6) => format!("[{v6}]"),
                };
                ngx_str_t::from_str((*cf).pool, &text)
            })
            .collect();
        if names.is_empty() {
            return ptr::null_mut();
        }
        ngx_resolver_create(cf, names.as_mut_ptr(), names.len())
    }
}

/// What the resolver's handler reaches. Boxed, so that its address stays.
struct State {
    name: String,
    /// The resolver's context until it is done.
    context: *mut ngx_resolver_ctx_t,
    found: Option<Vec<IpAddr>>,
    waker: Option<Waker>,
}

/// One question to the resolver.
struct Lookup {
    resolver: *mut ngx_resolver_t,
    state: Box<State>,
    is_sent: bool,
}

impl Lookup {
    fn new(resolver: *mut ngx_resolver_t, name: String) -> Self {
        Self {
            resolver,
            state: Box::new(State {
                name,
                context: ptr::null_mut(),
                found: None,
                waker: None,
            }),
            is_sent: false,
        }
    }

    fn send(&mut self) {
        let state = self.state.as_mut();
        // SAFETY: the resolver lives as long as the worker's configuration. Name and
        // state stay at their addresses until the context is done, which `resolved`
        // or `drop` sees to. The handler may run inside of ngx_resolve_name.
        unsafe {
            let context = ngx_resolve_start(self.resolver, ptr::null_mut());
            // NGX_NO_RESOLVER is -1.
            if context.is_null() || context.addr() == usize::MAX {
                state.found = Some(Vec::new());
                return;
            }
            (*context).name = ngx_str_t {
                len: state.name.len(),
                data: state.name.as_mut_ptr(),
            };
            (*context).handler = Some(resolved);
            (*context).timeout = LONGEST.as_millis() as _;
            // A worker that is leaving does not wait for it.
            (*context).set_cancelable(1);
            (*context).data = ptr::from_mut(state).cast();
            state.context = context;
            if ngx_resolve_name(context) != NGX_OK as ngx_int_t {
                // It has freed the context.
                state.context = ptr::null_mut();
                state.found = Some(Vec::new());
            }
        }
    }
}

extern "C" fn resolved(context: *mut ngx_resolver_ctx_t) {
    // SAFETY: `data` is the boxed State of a Lookup, which outlives the context.
    unsafe {
        let state = &mut *(*context).data.cast::<State>();
        let mut found = Vec::new();
        if (*context).state == 0 && !(*context).addrs.is_null() {
            let addresses: &[ngx_resolver_addr_t] =
                std::slice::from_raw_parts((*context).addrs, (*context).naddrs);
            found.extend(addresses.iter().filter_map(|one| ip_of(one.sockaddr)));
        }
        ngx_resolve_name_done(context);
        state.context = ptr::null_mut();
        state.found = Some(found);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// # Safety
/// `address` is a socket address of the length that its family says.
unsafe fn ip_of(address: *const sockaddr) -> Option<IpAddr> {
    // SAFETY: by this function's contract.
    unsafe {
        match libc::c_int::from((*address).sa_family) {
            libc::AF_INET => {
                let v4 = &*address.cast::<libc::sockaddr_in>();
                let bytes = v4.sin_addr.s_addr.to_ne_bytes();
                Some(Ipv4Addr::from(bytes).into())
            }
            libc::AF_INET6 => {
                let v6 = &*address.cast::<libc::sockaddr_in6>();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

impl Future for Lookup {
    type Output = Vec<IpAddr>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_sent {
            self.is_sent = true;
            self.send();
        }
        match self.state.found.take() {
            Some(found) => Poll::Ready(found),
            None => {
                self.state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if !self.state.context.is_null() {
            // SAFETY: the context is not done yet, and is no longer used hereafter.
            unsafe { ngx_resolve_name_done(self.state.context) };
        }
    }
}
