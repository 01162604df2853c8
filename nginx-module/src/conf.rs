//! The configuration as types.

use std::cell::OnceCell;
use std::ffi::c_void;
use std::rc::Rc;
use std::time::Duration;

use ngx::ffi::{ngx_http_core_loc_conf_t, ngx_uint_t};
use seckill_core::edge::EdgeLine;
use seckill_core::gate::directive::jwt::Jwks;
use seckill_core::gate::directive::{Address, Fallback, RateLimit, RedisTarget, Scope};
use seckill_core::permits::lease::Spent;
use seckill_core::permits::permit;
use seckill_core::rate::census::Pace;
use seckill_core::shared::siphash::Seed;
use seckill_core::signing::keyring::{Digest, Keyring};
use seckill_core::signing::recent::Recent;
use seckill_core::signing::trace::Tracing;

use crate::net::names::Names;
use crate::state::{LimitZone, SharedZone, Zone};
use crate::tokens::Jwt;
use crate::{random, rt};
use seckill_tls::TlsClient;

/// A user and their password, read from where the directive says.
#[derive(Clone, Default)]
pub(crate) struct Login {
    /// An ACL user; `None` for Redis's default user.
    pub(crate) user: Option<String>,
    /// The password, if one is needed.
    pub(crate) password: Option<String>,
}

/// Where Redis is, and how to log in to it.
#[derive(Clone)]
pub(crate) struct Target {
    /// The arguments of `seckill_redis`.
    pub(crate) spec: RedisTarget,
    /// The login at the server.
    pub(crate) login: Login,
    /// The login at the Sentinels.
    pub(crate) sentinel_login: Login,
    /// TLS with all of them, if it is on.
    pub(crate) tls: Option<TlsClient>,
    /// How host names are looked up; set when the whole configuration was read.
    pub(crate) names: Option<Rc<Names>>,
}

impl Target {
    /// Names the place where the data is: the servers, the master's name, the database.
    fn source(&self) -> u64 {
        let db = self.spec.db.to_string();
        Seed::new([0, 0]).hash_texts(0, [&self.name(), &db]) | 1
    }

    /// The servers as an operator knows them.
    pub(crate) fn name(&self) -> String {
        let shown: Vec<String> = self.spec.addresses.iter().map(Address::to_string).collect();
        let shown = shown.join(", ");
        match &self.spec.sentinel {
            Some(name) => format!("\"{name}\" of the Sentinels {shown}"),
            None => shown,
        }
    }
}

/// The configuration of the `http` block.
#[derive(Default)]
pub(crate) struct MainConf {
    /// The shared memory that `seckill_zone` names.
    pub(crate) zone: SharedZone,
    /// The server that `seckill_redis` names.
    pub(crate) redis: Option<Target>,
    /// The keys in the file that `seckill_keys` names.
    pub(crate) keyring: Option<Keyring>,
    /// This edge's name, as `seckill_node` gives it.
    pub(crate) node: Option<String>,
    /// The `seckill_jwt` directives, in the order of the file.
    pub(crate) jwts: Vec<Jwt>,
    /// The limits of the `seckill_rate` directives, in the order of the file.
    pub(crate) rates: Vec<RateLimit>,
    /// Where in the zone their buckets are; set once the configuration is in force.
    buckets: OnceCell<Vec<usize>>,
    /// The zones of `seckill_rate key=…`, which nginx knows by their addresses.
    pub(crate) limits: Vec<Rc<LimitZone>>,
    /// Whether some location has `seckill_fallback pass`, so that this edge keeps a
    /// share of what is left for when Redis is away.
    pub(crate) keeps_share: bool,
    /// The first directive seen that needs zone, Redis and keys.
    pub(crate) needs_all: Option<&'static str>,
    /// The first directive seen that needs a zone, if nothing else.
    pub(crate) needs_zone: Option<&'static str>,
    /// Whether some limit by key needs zone and Redis.
    pub(crate) needs_redis: bool,
    /// Where gates, hidden URLs and responses of the module are configured, for warnings.
    pub(crate) places: Vec<Place>,
    /// Made at its first use, when the zone is there.
    edge: OnceCell<Edge>,
    /// Clicks that this worker has verified by `keyring`; made at its first use, since the
    /// master needs none.
    recent: OnceCell<Recent>,
}

/// A location with a directive of the module, as it was met in the file.
pub(crate) struct Place {
    /// The directive.
    pub(crate) directive: &'static str,
    /// File and line.
    pub(crate) at: String,
    /// The location's configuration, which lives as long as this.
    pub(crate) location: *const LocConf,
    /// Names the server block.
    pub(crate) server: *const c_void,
    /// nginx's own configuration of that location, for directives that respond.
    pub(crate) core: *const ngx_http_core_loc_conf_t,
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

    /// The limits of the `seckill_rate` directives, each with the place of its bucket: none
    /// before [`Self::place_buckets`].
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (usize, RateLimit)> {
        let places = self.buckets.get().into_iter().flatten().copied();
        places.zip(self.rates.iter().copied())
    }

    /// Finds the places of the buckets. To be called in the master, before [`Self::edge`].
    pub(crate) fn place_buckets(&self, zone: &Zone) {
        self.buckets.get_or_init(|| zone.place_buckets(&self.rates));
    }

    /// The clicks that this worker has verified.
    pub(crate) fn recent(&self) -> &Recent {
        self.recent
            .get_or_init(|| Recent::new([random::word(), random::word()]))
    }
}

/// This edge as Redis knows it, and what its commands need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edge {
    /// Shared memory.
    pub(crate) zone: Zone,
    /// How many configurations had used it, this one included.
    configuration: u64,
    /// This edge's name in its leases, which outlive a reload with another `seckill_node`.
    pub(crate) node: Rc<str>,
    /// Its line among the living edges.
    pub(crate) line: Rc<EdgeLine>,
    /// How long a command may take.
    pub(crate) timeout: Duration,
    /// Whether this edge keeps a share of what is left for when Redis is away.
    pub(crate) keeps_share: bool,
    /// How often this edge sends a heartbeat.
    pub(crate) pace: Pace,
    /// Place and limit of each bucket that is shared with the other edges.
    pub(crate) shared_rates: Rc<[(usize, RateLimit)]>,
    /// URLs of the key sets that the back end fetches.
    pub(crate) jwks: Rc<[String]>,
}

impl Edge {
    fn new(main: &MainConf) -> Option<Self> {
        let redis = main.redis.as_ref()?;
        let zone = main.zone.ready()?.clone().of_source(redis.source());
        let identity = zone.identity();
        let own_name = || format!("edge-{identity:x}");
        let node = main.node.clone().unwrap_or_else(own_name);
        let lease_node = zone.lease_node(&node);
        let line = EdgeLine {
            node,
            identity,
            room: zone.room_for_products(),
            host: host_name(),
        };
        let timeout = redis.spec.timeout;
        let shared_rates: Rc<[_]> = main
            .buckets()
            .filter(|(_, limit)| limit.scope == Scope::Site)
            .collect();
        let jwks = main.jwts.iter().filter_map(|jwt| match &jwt.jwks {
            Jwks::Url(url) => Some(url.clone()),
            Jwks::File(_) => None,
        });
        Some(Self {
            jwks: jwks.collect(),
            configuration: zone.configurations(),
            zone,
            node: lease_node.into(),
            line: line.into(),
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

    /// Whether no later configuration has used the zone: a worker that leaves all the same
    /// leaves because the edge ends.
    pub(crate) fn is_latest(&self) -> bool {
        self.zone.configurations() == self.configuration
    }

    /// Whether this worker is leaving because the edge ends: nginx was told to quit, or a
    /// zone of another size is another edge. It takes no new connections, and may have
    /// requests for hours: for those alone the edge must not count as alive or keep
    /// anything. What they need they take as usual.
    pub(crate) fn is_ending(&self) -> bool {
        rt::is_leaving() && self.is_latest()
    }

    /// The permit's full name, `{edge}.{lease}.{n}`.
    pub(crate) fn permit(&self, spent: &Spent) -> String {
        permit::write(&self.node, (self.zone.identity(), spent.lease), spent.n)
    }

    /// The lease's part of that name: the edge's random identity, since another edge may
    /// have the same name, and the lease's number.
    pub(crate) fn lease(&self, number: u64) -> String {
        permit::lease(self.zone.identity(), number)
    }

    /// The number of the lease with this id in Redis, if it is one of this edge's.
    pub(crate) fn lease_number(&self, id: &str) -> Option<u64> {
        let lease = id.strip_prefix(&*self.node)?.strip_prefix('.')?;
        permit::lease_number(self.zone.identity(), lease)
    }
}

/// The name of this machine, as far as it is plain text.
fn host_name() -> String {
    let mut bytes = [0_u8; 256];
    // SAFETY: the buffer is valid for writing all but its last byte, which stays 0.
    let failed = unsafe { libc::gethostname(bytes.as_mut_ptr().cast(), bytes.len() - 1) };
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    let name = String::from_utf8_lossy(&bytes[..length]);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if failed != 0 || name.is_empty() || !name.chars().all(is_plain) {
        return "unknown".to_owned();
    }
    name.into_owned()
}

/// The configuration of a location, with what it inherits.
#[derive(Default)]
pub(crate) struct LocConf {
    /// Whether `seckill_gate` is on.
    pub(crate) gate: Option<bool>,
    /// Index into [`MainConf::rates`]; `Some(None)` for `off`.
    pub(crate) rate: Option<Option<usize>>,
    /// Index into [`MainConf::limits`]: whom requests here are counted with; `Some(None)`
    /// for `off`.
    pub(crate) limit: Option<Option<usize>>,
    /// Index of the variable that names the buyer; `Some(None)` for `off`.
    pub(crate) user: Option<Option<ngx_uint_t>>,
    /// Index into [`MainConf::jwts`]; `Some(None)` for `off`.
    pub(crate) jwt: Option<Option<usize>>,
    /// The digest that `seckill_digest` chooses.
    pub(crate) digest: Option<Digest>,
    /// `seckill_fallback`: what happens when Redis is away and no permit is in hand.
    pub(crate) fallback: Option<Fallback>,
    /// `seckill_captcha`: whether the gate requires a captcha pass.
    pub(crate) captcha: Option<bool>,
    /// `seckill_trace`; `Some(None)` for `off`.
    pub(crate) trace: Option<Option<Tracing>>,
}

impl ngx::http::Merge for LocConf {
    fn merge(&mut self, outer: &Self) -> Result<(), ngx::http::MergeConfigError> {
        self.gate = self.gate.or(outer.gate);
        self.rate = self.rate.or(outer.rate);
        self.limit = self.limit.or(outer.limit);
        // Who is buying is said in one way: the inner one of the two holds.
        let (user, jwt) = (self.user, self.jwt);
        let instead = |other: bool| other.then_some(None);
        self.user = user.or_else(|| instead(jwt.flatten().is_some()).or(outer.user));
        self.jwt = jwt.or_else(|| instead(user.flatten().is_some()).or(outer.jwt));
        self.digest = self.digest.or(outer.digest);
        self.fallback = self.fallback.or(outer.fallback);
        self.captcha = self.captcha.or(outer.captcha);
        self.trace = self.trace.or(outer.trace);
        Ok(())
    }
}
