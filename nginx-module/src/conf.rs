//! Configuration: what the directives said, as types.

pub(crate) mod directives;
pub(crate) mod variables;

use std::ptr;
use std::time::Duration;

use ngx::ffi::{ngx_shm_zone_t, ngx_uint_t};
use seckill_core::Verdict;
use seckill_core::directive::RateLimit;
use seckill_core::gate::Buyer;
use seckill_core::keyring::{Digest, Keyring};

use crate::ctx::request::{Headers, Request};
use crate::net::link::Target;
use crate::ngx_http_seckill_module;
use crate::state::Zone;

/// Of the `http` block.
pub(crate) struct MainConf {
    pub(crate) zone: *mut ngx_shm_zone_t,
    pub(crate) redis: Option<Target>,
    pub(crate) keyring: Option<Keyring>,
    pub(crate) node: Option<String>,
    /// Buckets given to `seckill_rate` directives so far.
    pub(crate) rates: Vec<RateLimit>,
    /// The first directive seen that needs zone, Redis and keys.
    pub(crate) needs_all: Option<&'static str>,
}

impl Default for MainConf {
    fn default() -> Self {
        Self {
            zone: ptr::null_mut(),
            redis: None,
            keyring: None,
            node: None,
            rates: Vec::new(),
            needs_all: None,
        }
    }
}

impl MainConf {
    /// This edge's name; made at the end of the configuration if none was given.
    pub(crate) fn node(&self) -> &str {
        self.node.as_deref().unwrap_or("edge")
    }
}

/// Of a location, with what it inherits.
#[derive(Default)]
pub(crate) struct LocConf {
    pub(crate) gate: Option<bool>,
    /// Index into [`MainConf::rates`], and of the bucket in the zone.
    pub(crate) rate: Option<usize>,
    /// Index of the variable that names the buyer.
    pub(crate) user: Option<ngx_uint_t>,
    pub(crate) digest: Option<Digest>,
}

impl ngx::http::Merge for LocConf {
    fn merge(&mut self, outer: &Self) -> Result<(), ngx::http::MergeConfigError> {
        self.gate = self.gate.or(outer.gate);
        self.rate = self.rate.or(outer.rate);
        self.user = self.user.or(outer.user);
        self.digest = self.digest.or(outer.digest);
        Ok(())
    }
}

/// Everything that a handler needs to decide, for one request.
pub(crate) struct Edge<'a> {
    /// Shared memory.
    pub(crate) zone: Zone,
    /// Secrets.
    pub(crate) keyring: &'a Keyring,
    /// This edge's name.
    pub(crate) node: &'a str,
    /// How hidden URLs are digested here.
    pub(crate) digest: Digest,
    /// How long a request waits for Redis.
    pub(crate) redis_timeout: Duration,
    user: Option<ngx_uint_t>,
    rate: Option<(usize, RateLimit)>,
}

impl<'a> Edge<'a> {
    /// The edge as configured where the request is.
    ///
    /// # Errors
    /// [`Verdict::Unavailable`] where the configuration is incomplete, which
    /// `nginx -t` refuses.
    pub(crate) fn of(request: &Request<'a>) -> Result<Self, Verdict> {
        let (main, location) = confs(request);
        let zone = Zone::of(main.zone).ok_or(Verdict::Unavailable)?;
        let redis = main.redis.as_ref().ok_or(Verdict::Unavailable)?;
        Ok(Self {
            zone,
            keyring: main.keyring.as_ref().ok_or(Verdict::Unavailable)?,
            node: main.node(),
            digest: location.digest.unwrap_or_default(),
            redis_timeout: redis.spec.timeout,
            user: location.user,
            rate: location.rate.map(|index| (index, main.rates[index])),
        })
    }

    /// Whether the request's location is gated.
    pub(crate) fn guards(request: &Request<'a>) -> bool {
        confs(request).1.gate == Some(true)
    }

    /// Who is buying, as far as can be said without verifying it.
    pub(crate) fn buyer<'r>(&self, request: &Request<'r>, headers: &Headers<'r>) -> Buyer<'r> {
        match self.user {
            Some(index) => Buyer::Vouched(request.variable(index)),
            None => Buyer::Cookie(headers.session),
        }
    }

    /// Takes a token from the bucket in force here; true where there is none.
    pub(crate) fn take_token(&self) -> bool {
        self.rate.is_none_or(|(index, limit)| {
            self.zone.take_token(index, limit.share(self.zone.edges()))
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
