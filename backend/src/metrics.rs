//! What this process counts, in Prometheus's text format.
//!
//! Counters are statics, so that a part counts without being handed anything; they
//! cost an atomic addition. A family has a name, a kind and a help text in one place.

use std::fmt::{self, Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// Figures of the process: memory, processor time, open files.
pub mod process;
/// Requests by route: how many, with which status, how long they took.
pub mod requests;

/// What a family's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, until the process restarts.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A counter of this process.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    help: &'static str,
    value: AtomicU64,
}

impl Counter {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            value: AtomicU64::new(0),
        }
    }

    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds so many.
    pub fn add(&self, n: usize) {
        self.value.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// Purchases that the relay gave to the queue.
pub static RELAYED: Counter = Counter::new(
    "seckill_relayed_total",
    "Purchases that the relay published to the queue.",
);
/// Orders that were placed by this process.
pub static PLACED: Counter = Counter::new(
    "seckill_orders_placed_total",
    "Messages of which this process placed an order, repeated ones included.",
);
/// Messages that wait for another attempt, because the database failed.
pub static RETRIED: Counter = Counter::new(
    "seckill_orders_retried_total",
    "Messages requeued because no order could be placed at this attempt.",
);
/// Purchases that failed, whose stock returns.
pub static FAILED: Counter = Counter::new(
    "seckill_orders_failed_total",
    "Purchases of which no order was made and whose stock returns.",
);
/// Permits that came back from leases of edges that are gone.
pub static RECLAIMED: Counter = Counter::new(
    "seckill_permits_reclaimed_total",
    "Permits returned from the leases of edges that did not return them.",
);
/// Tasks of the roles that ended and were started again.
pub static RESTARTS: Counter = Counter::new(
    "seckill_task_restarts_total",
    "Tasks of the roles that ended unexpectedly and were started again.",
);
/// Connections that were made to a Redis.
pub static REDIS_CONNECTS: Counter = Counter::new(
    "seckill_backend_redis_connects_total",
    "Connections made to a Redis.",
);
/// Times that a Redis was lost; what several links lose together counts once.
pub static REDIS_LOSSES: Counter = Counter::new(
    "seckill_backend_redis_losses_total",
    "Times that a Redis was lost and found again; what is lost within ten seconds counts once.",
);

/// Spans that did not reach the collector of traces.
pub static SPANS_DROPPED: Counter = Counter::new(
    "seckill_spans_dropped_total",
    "Spans of traces that were dropped: the collector was away, too slow, or refused them.",
);

/// Sessions, tokens and buyers that were revoked.
pub static SESSIONS_REVOKED: Counter = Counter::new(
    "seckill_sessions_revoked_total",
    "Revocations by this process: of a session or token, or of all that a buyer has.",
);
/// Requests with what was revoked.
pub static REVOKED_REFUSED: Counter = Counter::new(
    "seckill_backend_revoked_total",
    "Requests with a session or token that is revoked.",
);

/// All of them.
static COUNTERS: [&Counter; 11] = [
    &RELAYED,
    &PLACED,
    &RETRIED,
    &FAILED,
    &RECLAIMED,
    &RESTARTS,
    &REDIS_CONNECTS,
    &REDIS_LOSSES,
    &SPANS_DROPPED,
    &SESSIONS_REVOKED,
    &REVOKED_REFUSED,
];

/// Metrics as text.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> &mut Self {
        self.family = name;
        let kind = kind.as_str();
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.part("", labels, value)
    }

    /// A sample whose name is the family's with `suffix`, as a histogram's are.
    pub fn part(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) -> &mut Self {
        let name = self.family;
        if labels.is_empty() {
            self.line(format_args!("{name}{suffix} {value}\n"));
            return self;
        }
        self.line(format_args!("{name}{suffix}{{"));
        for (at, (label, value)) in labels.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            self.line(format_args!("{comma}{label}=\"{}\"", Escaped(value)));
        }
        self.line(format_args!("}} {value}\n"));
        self
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing into a string does not fail.
        let _ = self.text.write_fmt(arguments);
    }
}

/// A label's value as the format wants it.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Everything that this process counts.
#[must_use]
pub fn of_process() -> String {
    let mut text = Text::default();
    text.family(
        "seckill_build_info",
        Kind::Gauge,
        "The version, as a label.",
    )
    .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    for counter in COUNTERS {
        text.family(counter.name, Kind::Counter, counter.help)
            .sample(&[], counter.value());
    }
    requests::write(&mut text);
    process::write(&mut text);
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_may_hold_anything() {
        let mut text = Text::default();
        text.family("f", Kind::Gauge, "Help.")
            .sample(&[("a", "x\"y\\z\n"), ("b", "手机")], 1.5)
            .sample(&[], 2);
        assert_eq!(
            text.finish(),
            "# HELP f Help.\n# TYPE f gauge\nf{a=\"x\\\"y\\\\z\\n\",b=\"手机\"} 1.5\nf 2\n"
        );
    }

    #[test]
    fn every_family_is_named_once() {
        let text = of_process();
        let mut names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{text}");
    }
}
