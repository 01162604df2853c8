//! The configuration as types.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use ngx::ffi::ngx_uint_t;
use seckill_core::gate::directive::{Fallback, RateLimit, RedisTarget, Scope};
use seckill_core::permits::lease::Spent;
use seckill_core::permits::permit::PermitId;
use seckill_core::rate::census::Pace;
use seckill_core::signing::keyring::{Digest, Keyring};

use crate::net::address::SocketAddress;
use crate::state::{SharedZone, Zone};

/// Where Redis is, and how to log in to it.
#[derive(Clone)]
pub(crate) struct Target {
    /// The arguments of `seckill_redis`.
    pub(crate) spec: RedisTarget,
    /// Its address, resolved.
    pub(crate) address: SocketAddress,
}

/// The configuration of the `http` block.
#[derive(Default)]
pub(crate) struct MainConf {
    /// The shared memory that `seckill_zone` names.
    pub(crate) zone: SharedZone,
    /// `seckill_redis`.
    pub(crate) redis: Option<Target>,
    /// The keys in the file that `seckill_keys` names.
    pub(crate) keyring: Option<Keyring>,
    /// `seckill_node`.
    pub(crate) node: Option<String>,
    /// The limits of the `seckill_rate` directives, in the order of the file.
    pub(crate) rates: Vec<RateLimit>,
    /// Whether some location has `seckill_fallback pass`, so that this edge keeps a
    /// share of what is left for when Redis is away.
    pub(crate) keeps_share: bool,
    /// The first directive seen that needs zone, Redis and keys.
    pub(crate) needs_all: Option<&'static str>,
    /// Made at its first use, when the zone is there.
    edge: OnceCell<Edge>,
}

impl MainConf {
    /// This edge, for Redis; `None` where the configuration is incomplete.
    pub(crate) fn edge(&self) -> Option<Edge> {
        if let Some(edge) = self.edge.get() {
            return Some(edge.clone());
        }
        let edge = Edge::new(self)?;
        Some(self.edge.get_or_init(|| edge).clone())
    }
}

/// This edge as Redis knows it, and what its commands need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edge {
    /// Shared memory.
    pub(crate) zone: Zone,
    /// This edge's name.
    pub(crate) node: Rc<str>,
    /// How long a command may take.
    pub(crate) timeout: Duration,
    /// Whether this edge keeps a share of what is left for when Redis is away.
    pub(crate) keeps_share: bool,
    /// How often this edge sends a heartbeat.
    pub(crate) pace: Pace,
    /// Index and limit of each bucket that is shared with the other edges.
    pub(crate) shared_rates: Rc<[(usize, RateLimit)]>,
}

impl Edge {
    fn new(main: &MainConf) -> Option<Self> {
        let zone = main.zone.ready()?.clone();
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

    /// The permit's full name, `{edge}.{lease}.{n}`.
    pub(crate) fn permit(&self, spent: &Spent) -> Option<PermitId> {
        PermitId::new(&self.node, &self.lease(spent.lease), spent.n)
    }

    /// The lease's part of that name: when the zone was made, because numbers begin
    /// anew with a zone, and the lease's number.
    pub(crate) fn lease(&self, number: u64) -> String {
        format!("{:x}-{number:x}", self.zone.born_ms())
    }
}

/// The configuration of a location, with what it inherits.
#[derive(Default)]
pub(crate) struct LocConf {
    /// `seckill_gate`.
    pub(crate) gate: Option<bool>,
    /// Index into [`MainConf::rates`], and of the bucket in the zone.
    pub(crate) rate: Option<usize>,
    /// Index of the variable that names the buyer.
    pub(crate) user: Option<ngx_uint_t>,
    /// `seckill_digest`.
    pub(crate) digest: Option<Digest>,
    /// `seckill_fallback`: what happens when Redis is away and no permit is in hand.
    pub(crate) fallback: Option<Fallback>,
    /// `seckill_captcha`: whether the gate requires a captcha pass.
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
