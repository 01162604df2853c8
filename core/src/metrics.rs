//! Prometheus's text form (version 0.0.4), as `seckill_status` answers it.
//!
//! Each family is written by one call, with its HELP and TYPE, so that none can
//! come twice or in pieces.

use std::fmt::{Display, Write as _};

/// Upper bounds of the latency histogram's buckets, in microseconds. Redis beside
/// the edge answers in a tenth of a millisecond; 50 ms is the usual time limit.
pub const LATENCY_BOUNDS_US: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// Which bucket a duration falls into; the last one has no upper bound.
#[must_use]
pub fn latency_bucket(micros: u64) -> usize {
    LATENCY_BOUNDS_US.partition_point(|bound| *bound < micros)
}

/// What a family's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its name ends in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// A page of metrics. All names begin with `seckill_`, which is added here.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail, here and below.
        let _ = write!(
            self.text,
            "# HELP seckill_{name} {help}\n# TYPE seckill_{name} {kind}\n"
        );
    }

    /// A family of one number.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: u64) {
        self.head(name, kind.as_str(), help);
        let _ = writeln!(self.text, "seckill_{name} {value}");
    }

    /// A family with one number for each value of a label. The values are our
    /// own words, which need no escaping.
    pub fn each<L: Display>(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        label: &str,
        numbers: impl IntoIterator<Item = (L, u64)>,
    ) {
        self.head(name, kind.as_str(), help);
        for (of, value) in numbers {
            let _ = writeln!(self.text, "seckill_{name}{{{label}=\"{of}\"}} {value}");
        }
    }

    /// A histogram of durations: how many fell into each bucket of
    /// [`LATENCY_BOUNDS_US`], the last one above all bounds, and their sum in
    /// microseconds.
    pub fn latency(
        &mut self,
        name: &str,
        help: &str,
        buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
        sum_us: u64,
    ) {
        self.head(name, "histogram", help);
        let mut below = 0;
        for (bound_us, n) in LATENCY_BOUNDS_US.iter().zip(buckets) {
            below += n;
            let bound = *bound_us as f64 / 1e6;
            let _ = writeln!(self.text, "seckill_{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let all: u64 = buckets.iter().sum();
        let sum = sum_us as f64 / 1e6;
        let _ = write!(
            self.text,
            "seckill_{name}_bucket{{le=\"+Inf\"}} {all}\nseckill_{name}_sum {sum}\nseckill_{name}_count {all}\n"
        );
    }

    /// The finished page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        assert_eq!(latency_bucket(0), 0);
        assert_eq!(latency_bucket(100), 0);
        assert_eq!(latency_bucket(101), 1);
        assert_eq!(latency_bucket(1_000_000), 11);
        assert_eq!(latency_bucket(1_000_001), 12);
    }

    #[test]
    fn a_page_reads_as_prometheus_wants_it() {
        let mut page = Page::default();
        page.one("edges", Kind::Gauge, "Living edges.", 2);
        let family = ("refused_total", Kind::Counter, "Refusals.");
        page.each(family, "code", [("busy", 3), ("ended", 0)]);
        let mut buckets = [0; 13];
        (buckets[0], buckets[1], buckets[12]) = (5, 2, 1);
        page.latency("wait_seconds", "Waiting.", buckets, 1_500_000);
        let text = page.into_text();
        for line in [
            "# HELP seckill_edges Living edges.",
            "# TYPE seckill_edges gauge",
            "seckill_edges 2",
            "seckill_refused_total{code=\"busy\"} 3",
            "# TYPE seckill_wait_seconds histogram",
            "seckill_wait_seconds_bucket{le=\"0.0001\"} 5",
            "seckill_wait_seconds_bucket{le=\"0.00025\"} 7",
            "seckill_wait_seconds_bucket{le=\"1\"} 7",
            "seckill_wait_seconds_bucket{le=\"+Inf\"} 8",
            "seckill_wait_seconds_sum 1.5",
            "seckill_wait_seconds_count 8",
        ] {
            assert!(
                text.lines().any(|it| it == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
