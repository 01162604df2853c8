//! What has happened at this edge since the zone was made.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seckill_core::Verdict;

/// A number that only rises.
#[repr(transparent)]
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
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
    /// Requests that had to wait for Redis.
    pub(crate) parked: Counter,
    /// Requests that no longer wait, whatever came of it.
    pub(crate) unparked: Counter,
    /// Permits asked of Redis.
    pub(crate) permits_asked: Counter,
    /// Permits granted by Redis.
    pub(crate) permits_granted: Counter,
    /// Permits given back because the client had left.
    pub(crate) permits_returned: Counter,
    /// Hidden URLs handed out.
    pub(crate) paths: Counter,
    /// Commands sent to Redis for requests.
    pub(crate) redis_commands: Counter,
    /// Microseconds that those took, together.
    pub(crate) redis_micros: Counter,
    /// Of those, how many failed or took too long.
    pub(crate) redis_failures: Counter,
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

    /// Writes the Prometheus text form.
    pub(crate) fn write_prometheus(&self, out: &mut String) {
        let mut family = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing to a String does not fail.
            let _ = write!(
                out,
                "# HELP seckill_{name} {help}\n# TYPE seckill_{name} {kind}\nseckill_{name} {value}\n"
            );
        };
        family(
            "admitted_total",
            "counter",
            "Requests that the gate let pass.",
            self.admitted.get(),
        );
        family(
            "paths_total",
            "counter",
            "Hidden URLs handed out.",
            self.paths.get(),
        );
        let parked = self.parked.get().saturating_sub(self.unparked.get());
        family(
            "parked",
            "gauge",
            "Requests that wait for Redis now.",
            parked,
        );
        family(
            "parked_total",
            "counter",
            "Requests that had to wait for Redis.",
            self.parked.get(),
        );
        family(
            "permits_asked_total",
            "counter",
            "Permits asked of Redis.",
            self.permits_asked.get(),
        );
        family(
            "permits_granted_total",
            "counter",
            "Permits granted by Redis.",
            self.permits_granted.get(),
        );
        family(
            "permits_returned_total",
            "counter",
            "Permits given back because the client had left.",
            self.permits_returned.get(),
        );
        family(
            "redis_commands_total",
            "counter",
            "Commands sent to Redis for requests.",
            self.redis_commands.get(),
        );
        family(
            "redis_command_microseconds_total",
            "counter",
            "Time that those commands took, together.",
            self.redis_micros.get(),
        );
        family(
            "redis_failures_total",
            "counter",
            "Commands to Redis that failed or took too long.",
            self.redis_failures.get(),
        );
        family(
            "redis_connects_total",
            "counter",
            "Times that a worker connected to Redis.",
            self.redis_connects.get(),
        );
        out.push_str("# HELP seckill_refused_total Requests refused at the gate, by code.\n");
        out.push_str("# TYPE seckill_refused_total counter\n");
        for verdict in Verdict::ALL {
            let n = self.refused[verdict as usize].get();
            let _ = writeln!(
                out,
                "seckill_refused_total{{code=\"{}\"}} {n}",
                verdict.code()
            );
        }
    }
}
