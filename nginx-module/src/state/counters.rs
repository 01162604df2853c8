//! What has happened at this edge since the zone was made.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seckill_core::Verdict;
use seckill_core::metrics::{Kind, LATENCY_BOUNDS_US, Page, latency_bucket};

/// A number that rises, or one that is taken from elsewhere.
#[repr(transparent)]
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Takes over what somebody else counted.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Adds one and says how many there are now.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }

    /// Its value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All of them. Lives in shared memory: zero bytes are its first state.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Counters {
    /// Refusals at the gate by verdict.
    pub(crate) refused: [Counter; Verdict::ALL.len()],
    /// Requests that the gate let pass.
    pub(crate) admitted: Counter,
    /// Of those, how many passed while Redis was away, from this edge's share.
    pub(crate) fallbacks: Counter,
    /// Requests that had to wait for Redis.
    pub(crate) parked: Counter,
    /// Requests that no longer wait, whatever came of it.
    pub(crate) unparked: Counter,
    /// Permits asked of Redis.
    pub(crate) permits_asked: Counter,
    /// Permits granted by Redis.
    pub(crate) permits_granted: Counter,
    /// Permits given back unspent.
    pub(crate) permits_returned: Counter,
    /// Hidden URLs handed out.
    pub(crate) paths: Counter,
    /// Commands sent to Redis for requests.
    pub(crate) redis_commands: Counter,
    /// Microseconds that those took, together.
    pub(crate) redis_micros: Counter,
    /// Of those, how many failed or took too long.
    pub(crate) redis_failures: Counter,
    /// How many of them took how long.
    pub(crate) redis_latency: [Counter; LATENCY_BOUNDS_US.len() + 1],
    /// Permits that the back end gave back at the whole site, as last read.
    pub(crate) reclaimed: Counter,
    /// Products that found no room in the zone when the catalogue was last read.
    pub(crate) left_out: Counter,
    /// Times that a worker connected to Redis.
    pub(crate) redis_connects: Counter,
    /// Next lease number.
    pub(crate) leases: Counter,
    /// Next arrival number.
    pub(crate) arrivals: Counter,
}

impl Counters {
    /// Counts a refusal.
    pub(crate) fn refuse(&self, verdict: Verdict) {
        self.refused[verdict as usize].add(1);
    }

    /// A command to Redis has ended after `micros`, whether it was answered or not.
    pub(crate) fn redis_took(&self, micros: u64) {
        self.redis_latency[latency_bucket(micros)].add(1);
        self.redis_micros.add(micros);
    }

    /// Writes all of them.
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
        let counters: [(&str, &str, &Counter); 10] = [
            (
                "admitted_total",
                "Requests that the gate let pass.",
                &self.admitted,
            ),
            (
                "fallback_admitted_total",
                "Of those, requests let pass while Redis was away, from this edge's share.",
                &self.fallbacks,
            ),
            ("paths_total", "Hidden URLs handed out.", &self.paths),
            (
                "parked_total",
                "Requests that had to wait for Redis.",
                &self.parked,
            ),
            (
                "permits_asked_total",
                "Permits asked of Redis.",
                &self.permits_asked,
            ),
            (
                "permits_granted_total",
                "Permits granted by Redis.",
                &self.permits_granted,
            ),
            (
                "permits_returned_total",
                "Permits that this edge gave back unspent.",
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
        ];
        for (name, help, counter) in counters {
            page.one(name, Kind::Counter, help, counter.get());
        }
        page.one(
            "site_permits_reclaimed_total",
            Kind::Counter,
            "Permits that the back end gave back for edges that did not, at the whole site.",
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
