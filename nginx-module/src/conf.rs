//! Configuration: what the directives said, as types.

pub(crate) mod directives;
pub(crate) mod variables;

use std::cell::OnceCell;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use ngx::ffi::{ngx_shm_zone_t, ngx_uint_t};
use seckill_core::Verdict;
use seckill_core::gate::Buyer;
use seckill_core::gate::directive::{Fallback, RateLimit, Scope};
use seckill_core::permits::lease::Spent;
use seckill_core::permits::permit::PermitId;
use seckill_core::rate::census::Pace;
use seckill_core::signing::keyring::{Digest, Keyring};

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
    /// Whether some location says `seckill_fallback pass`, so that this edge keeps
    /// a share of what is left for when Redis is away.
    pub(crate) keeps_share: bool,
    /// The first directive seen that needs zone, Redis and keys.
    pub(crate) needs_all: Option<&'static str>,
    /// Made at its first use, when the zone is there.
    site: OnceCell<Site>,
}

impl Default for MainConf {
    fn default() -> Self {
        Self {
            zone: ptr::null_mut(),
            redis: None,
            keyring: None,
            node: None,
            rates: Vec::new(),
            keeps_share: false,
            needs_all: None,
            site: OnceCell::new(),
        }
    }
}

/// What is needed to speak to Redis for this edge. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Site {
    /// Shared memory.
    pub(crate) zone: Zone,
    /// This edge's name.
    pub(crate) node: Rc<str>,
    /// How long a command may take.
    pub(crate) timeout: Duration,
    /// Whether it keeps a share of what is left for when Redis is away.
    pub(crate) keeps_share: bool,
    /// How often this edge says that it is alive.
    pub(crate) pace: Pace,
    /// Index and figure of each bucket that is shared with the other edges.
    pub(crate) shared_rates: Rc<[(usize, RateLimit)]>,
}

impl Site {
    /// From the configuration; `None` where it is incomplete.
    pub(crate) fn of(main: &MainConf) -> Option<Self> {
        if let Some(site) = main.site.get() {
            return Some(site.clone());
        }
        let site = Self::new(main)?;
        Some(main.site.get_or_init(|| site).clone())
    }

    fn new(main: &MainConf) -> Option<Self> {
        let zone = Zone::of(main.zone)?;
        let node = main.node.clone().unwrap_or_else(|| zone.name());
        let timeout = main.redis.as_ref()?.spec.timeout;
        let rates = main.rates.iter().copied().enumerate();
        let shared_rates: Rc<[_]> = rates
            .filter(|(_, limit)| limit.scope == Scope::Site)
            .collect();
        Some(Self {
            zone,
            node: node.into(),
            timeout,
            keeps_share: main.keeps_share,
            pace: if shared_rates.is_empty() {
                Pace::ALONE
            } else {
                Pace::SHARING
            },
            shared_rates,
        })
    }

    /// The permit's full name, as the back end wants it.
    pub(crate) fn permit(&self, spent: &Spent) -> Option<PermitId> {
        PermitId::new(&self.node, &self.lease(spent.lease), spent.n)
    }

    /// A lease's own part of its name: the zone's birth, because numbers begin
    /// anew with a zone, and the number.
    pub(crate) fn lease(&self, number: u64) -> String {
        format!("{:x}-{number:x}", self.zone.born_ms())
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
    /// What happens when Redis is away and no permit is in hand.
    pub(crate) fallback: Option<Fallback>,
    /// Whether the gate also wants a captcha pass.
    pub(crate) captcha: Option<bool>,
}

impl ngx::http::Merge for LocConf {
    fn merge(&mut self, outer: &Self) -> Result<(), ngx::http::MergeConfigError> {
        self.gate = self.gate.or(outer.gate);
        self.rate = self.rate.or(outer.rate);
        self.user = self.user.or(outer.user);
        self.digest = self.digest.or(outer.digest);
        self.fallback = self.fallback.or(outer.fallback);
        self.captcha = self.captcha.or(outer.captcha);
        Ok(())
    }
}

/// Everything that a handler needs to decide, for one request.
pub(crate) struct Edge<'a> {
    /// Shared memory.
    pub(crate) zone: Zone,
    /// Secrets.
    pub(crate) keyring: &'a Keyring,
    /// How hidden URLs are digested here.
    pub(crate) digest: Digest,
    /// Whether requests here may be passed from this edge's share while Redis is
    /// away.
    pub(crate) passes: bool,
    /// Whether a captcha pass is needed here.
    pub(crate) captcha: bool,
    user: Option<ngx_uint_t>,
    rate: Option<(usize, RateLimit)>,
    main: &'a MainConf,
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
        Ok(Self {
            zone,
            keyring: main.keyring.as_ref().ok_or(Verdict::Unavailable)?,
            digest: location.digest.unwrap_or_default(),
            passes: location.fallback == Some(Fallback::Pass),
            captcha: location.captcha == Some(true),
            user: location.user,
            main,
            rate: location.rate.map(|index| (index, main.rates[index])),
        })
    }

    /// What is needed to take permits.
    pub(crate) fn site(&self) -> Option<Site> {
        Site::of(self.main)
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
