//! The settings in force for one request: its location's configuration, and the
//! keys and the shared memory to decide by.

use ngx::ffi::ngx_uint_t;
use seckill_core::Verdict;
use seckill_core::gate::Credential;
use seckill_core::gate::directive::{Fallback, RateLimit};
use seckill_core::signing::keyring::{Digest, Keyring};

use crate::conf::{Edge, LocConf, MainConf};
use crate::ctx::request::{Headers, Request};
use crate::ngx_http_seckill_module;
use crate::state::Zone;

/// What a handler needs to decide about one request.
pub(crate) struct Settings<'a> {
    /// Shared memory.
    pub(crate) zone: Zone,
    /// Signing keys.
    pub(crate) keyring: &'a Keyring,
    /// How hidden URLs are digested here.
    pub(crate) digest: Digest,
    /// Whether requests here are admitted from this edge's share while Redis is away.
    pub(crate) has_fallback: bool,
    /// Whether a captcha pass is required here.
    pub(crate) captcha: bool,
    user: Option<ngx_uint_t>,
    rate: Option<(usize, RateLimit)>,
    main: &'a MainConf,
}

impl<'a> Settings<'a> {
    /// The settings where the request is.
    ///
    /// # Errors
    /// [`Verdict::Unavailable`] where the configuration is incomplete, which
    /// `nginx -t` refuses.
    pub(crate) fn of(request: &Request<'a>) -> Result<Self, Verdict> {
        let (main, location) = confs(request);
        Ok(Self {
            zone: main.zone.ready().ok_or(Verdict::Unavailable)?.clone(),
            keyring: main.keyring.as_ref().ok_or(Verdict::Unavailable)?,
            digest: location.digest.unwrap_or_default(),
            has_fallback: location.fallback == Some(Fallback::Pass),
            captcha: location.captcha == Some(true),
            user: location.user,
            main,
            rate: location.rate.map(|index| (index, main.rates[index])),
        })
    }

    /// This edge, for commands to Redis.
    pub(crate) fn edge(&self) -> Option<Edge> {
        self.main.edge()
    }

    /// Whether the request's location is gated.
    pub(crate) fn guards(request: &Request<'a>) -> bool {
        confs(request).1.gate == Some(true)
    }

    /// The buyer whom the request names, unverified.
    pub(crate) fn buyer<'r>(&self, request: &Request<'r>, headers: &Headers<'r>) -> Credential<'r> {
        match self.user {
            Some(index) => Credential::Vouched(request.variable(index)),
            None => Credential::Cookie(headers.session),
        }
    }

    /// Takes a token from the bucket in force here, at `now_ns` of the monotonic
    /// clock; true where there is none.
    pub(crate) fn take_token(&self, now_ns: u64) -> bool {
        self.rate.is_none_or(|(index, limit)| {
            self.zone
                .take_token(index, limit.share(self.zone.edges()), now_ns)
        })
    }
}

/// The configuration where the request is.
pub(crate) fn confs<'a>(request: &Request<'a>) -> (&'a MainConf, &'a LocConf) {
    // SAFETY: nginx made both with our constructors before any request, and
    // they live as long as the cycle, which a request keeps alive.
    unsafe {
        let raw = request.as_ptr();
        let index = ngx_http_seckill_module.ctx_index;
        let main = (*(*raw).main_conf.add(index)).cast::<MainConf>();
        let location = (*(*raw).loc_conf.add(index)).cast::<LocConf>();
        (&*main, &*location)
    }
}
