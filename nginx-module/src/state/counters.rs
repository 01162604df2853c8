//! The counters of this edge, from the making of its zone on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seckill_core::Verdict;
use seckill_core::metrics::{Kind, LATENCY_BOUNDS_US, Page, latency_bucket};
use seckill_core::redis::outage;

/// A number that rises, or one that was counted elsewhere.
#[repr(transparent)]
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Sets it to a number that was counted elsewhere.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Adds one; the new value.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }

    /// Its value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All counters, in shared memory. Zero bytes are their first state.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Counters {
    /// Refusals at the gate by verdict.
    pub(crate) refused: [Counter; Verdict::ALL.len()],
    /// Requests that the gate admitted.
    pub(crate) admitted: Counter,
    /// How many of them were admitted while Redis was away, from this edge's share.
    pub(crate) fallbacks: Counter,
    /// Repeated requests of admitted buyers, passed on without a permit to be answered
    /// again. Not counted as admitted.
    pub(crate) repeats: Counter,
    /// Requests that had to wait for Redis.
    pub(crate) parked: Counter,
    /// Requests that no longer wait, with whichever outcome.
    pub(crate) unparked: Counter,
    /// Permits requested from Redis.
    pub(crate) permits_requested: Counter,
    /// Permits granted by Redis.
    pub(crate) permits_granted: Counter,
    /// Permits returned unspent.
    pub(crate) permits_returned: Counter,
    /// Hidden URLs handed out.
    pub(crate) paths: Counter,
    /// Requests with a session or token that is revoked.
    pub(crate) revoked: Counter,
    /// Commands sent to Redis for requests.
    pub(crate) redis_commands: Counter,
    /// Microseconds that these took together.
    pub(crate) redis_micros: Counter,
    /// How many of these commands failed or took too long.
    pub(crate) redis_failures: Counter,
    /// The same commands by duration.
    pub(crate) redis_latency: [Counter; LATENCY_BOUNDS_US.len() + 1],
    /// Permits that the back end reclaimed at the whole site, as last read.
    pub(crate) reclaimed: Counter,
    /// Products for which the zone had no room when the catalogue was last read.
    pub(crate) left_out: Counter,
    /// Times that a worker connected to Redis.
    pub(crate) redis_connects: Counter,
    /// Times that Redis was lost; see [`outage::is_another_loss`].
    pub(crate) redis_losses: Counter,
    /// When that was counted last, monotonic ms; 0 for never.
    redis_lost_ms: AtomicU64,
    /// Last lease number that was used.
    pub(crate) leases: Counter,
    /// Last arrival number that was used.
    pub(crate) arrivals: Counter,
}

impl Counters {
    /// Counts a refusal.
    pub(crate) fn refuse(&self, verdict: Verdict) {
        self.refused[verdict as usize].add(1);
    }

    /// Counts that a worker lost its connection to Redis at `now_ms` of the monotonic clock.
    pub(crate) fn lose_redis(&self, now_ms: u64) {
        let last_ms = self.redis_lost_ms.load(Relaxed);
        let since_ms = (last_ms > 0).then(|| now_ms.saturating_sub(last_ms));
        let claim = || {
            let last = &self.redis_lost_ms;
            last.compare_exchange(last_ms, now_ms, Relaxed, Relaxed)
        };
        if outage::is_another_loss(since_ms) && claim().is_ok() {
            self.redis_losses.add(1);
        }
    }

    /// Counts a command to Redis that ended after `micros`, with a reply or without.
    pub(crate) fn redis_took(&self, micros: u64) {
        self.redis_latency[latency_bucket(micros)].add(1);
        self.redis_micros.add(micros);
    }

    /// Writes all counters as metrics.
    pub(crate) fn write(&self, page: &mut Page) {
        let refused = Verdict::ALL.map(|verdict| {
            let n = self.refused[verdict as usize].get();
            (verdict.code(), n)
        });
        let family = (
            "refused_total",
            Kind::Counter,
            "Requests refused at the gate, by code.",
        );
        page.each(family, "code", refused);
        let parked = self.parked.get().saturating_sub(self.unparked.get());
        page.one(
            "parked",
            Kind::Gauge,
            "Requests that wait for Redis now.",
            parked,
        );
        let counters: [(&str, &str, &Counter); 13] = [
            (
                "admitted_total",
                "Requests that the gate admitted.",
                &self.admitted,
            ),
            (
                "fallback_admitted_total",
                "Of those, requests admitted while Redis was away, from this edge's share.",
                &self.fallbacks,
            ),
            (
                "repeats_total",
                "Repeated requests of buyers who were admitted before, passed on without a permit to get their answer again.",
                &self.repeats,
            ),
            ("paths_total", "Hidden URLs handed out.", &self.paths),
            (
                "revoked_total",
                "Requests with a session or token that is revoked.",
                &self.revoked,
            ),
            (
                "parked_total",
                "Requests that had to wait for Redis.",
                &self.parked,
            ),
            (
                "permits_asked_total",
                "Permits requested from Redis.",
                &self.permits_requested,
            ),
            (
                "permits_granted_total",
                "Permits granted by Redis.",
                &self.permits_granted,
            ),
            (
                "permits_returned_total",
                "Permits that this edge returned unspent.",
                &self.permits_returned,
            ),
            (
                "redis_commands_total",
                "Commands sent to Redis for requests.",
                &self.redis_commands,
            ),
            (
                "redis_failures_total",
                "Of those, commands that failed or took too long.",
                &self.redis_failures,
            ),
            (
                "redis_connects_total",
                "Times that a worker connected to Redis.",
                &self.redis_connects,
            ),
            (
                "redis_losses_total",
                "Times that Redis was lost; what all workers lose within ten seconds counts once.",
                &self.redis_losses,
            ),
        ];
        for (name, help, counter) in counters {
            page.one(name, Kind::Counter, help, counter.get());
        }
        page.one(
            "site_permits_reclaimed_total",
            Kind::Counter,
            "Permits that the back end reclaimed from edges that did not return them, at the whole site.",
            self.reclaimed.get(),
        );
        page.latency(
            "redis_command_seconds",
            "Round trips to Redis for requests.",
            self.redis_latency.each_ref().map(Counter::get),
            self.redis_micros.get(),
        );
    }
}
