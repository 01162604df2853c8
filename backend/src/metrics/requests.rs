//! Requests by route: how many there were, with which status, and how long they took.
//! A route is the pattern that matched, so that there are as many series as routes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use super::{Kind, Text};

/// Upper bounds of the buckets, in microseconds: what a purchase takes, what a shopper
/// notices, and what times out at the edge.
const BOUNDS_US: [u64; 11] = [
    500, 1_000, 2_000, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 3_000_000, 10_000_000,
];

/// The label for a request that no route matches.
pub const NO_ROUTE: &str = "none";

/// One route of one role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Route {
    role: &'static str,
    method: String,
    path: String,
}

/// What was counted of it.
#[derive(Debug)]
struct Counts {
    /// How many responses had each status, from 100 on.
    statuses: [AtomicU64; 500],
    /// How many requests fell into each bucket; the last has no bound.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Counts {
    fn new() -> Self {
        Self {
            statuses: [const { AtomicU64::new(0) }; 500],
            buckets: [const { AtomicU64::new(0) }; BOUNDS_US.len() + 1],
            sum_us: AtomicU64::new(0),
        }
    }

    fn count(&self, status: u16, took: Duration) {
        let status = usize::from(status).saturating_sub(100);
        if let Some(cell) = self.statuses.get(status) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

static ROUTES: LazyLock<RwLock<HashMap<Route, Arc<Counts>>>> = LazyLock::new(RwLock::default);

/// Counts a request that has been responded to.
pub fn count(role: &'static str, method: &str, path: &str, status: u16, took: Duration) {
    counts_of(role, method, path).count(status, took);
}

fn counts_of(role: &'static str, method: &str, path: &str) -> Arc<Counts> {
    let route = Route {
        role,
        method: method.to_owned(),
        path: path.to_owned(),
    };
    let known = ROUTES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(counts) = known.get(&route) {
        return Arc::clone(counts);
    }
    drop(known);
    let mut all = ROUTES.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(all.entry(route).or_insert_with(|| Arc::new(Counts::new())))
}

/// Writes all routes.
pub(super) fn write(text: &mut Text) {
    let mut routes: Vec<(Route, Arc<Counts>)> = {
        let all = ROUTES.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = all.iter();
        pairs
            .map(|(route, counts)| (route.clone(), Arc::clone(counts)))
            .collect()
    };
    routes.sort_by(|(a, _), (b, _)| a.cmp(b));
    text.family(
        "seckill_http_requests_total",
        Kind::Counter,
        "Requests by role, method, route and status.",
    );
    for (route, counts) in &routes {
        for (at, cell) in counts.statuses.iter().enumerate() {
            let n = cell.load(Ordering::Relaxed);
            if n > 0 {
                let status = (at + 100).to_string();
                let labels = labels(route, ("status", &status));
                text.sample(&labels, n);
            }
        }
    }
    text.family(
        "seckill_http_request_seconds",
        Kind::Histogram,
        "How long requests took, by role, method and route.",
    );
    for (route, counts) in &routes {
        let mut below = 0;
        for (at, cell) in counts.buckets.iter().enumerate() {
            below += cell.load(Ordering::Relaxed);
            let bound = BOUNDS_US
                .get(at)
                .map_or_else(|| "+Inf".to_owned(), |us| (*us as f64 / 1e6).to_string());
            text.part("_bucket", &labels(route, ("le", &bound)), below);
        }
        let plain = labels(route, ("", ""));
        let plain = &plain[..plain.len() - 1];
        let sum = counts.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        text.part("_sum", plain, sum).part("_count", plain, below);
    }
}

fn labels<'a>(route: &'a Route, last: (&'a str, &'a str)) -> [(&'a str, &'a str); 4] {
    [
        ("role", route.role),
        ("method", &route.method),
        ("route", &route.path),
        last,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_status_and_buckets_add_up() {
        let route = "/test/{id}";
        count("test", "GET", route, 200, Duration::from_micros(400));
        count("test", "GET", route, 200, Duration::from_micros(500));
        count("test", "GET", route, 503, Duration::from_secs(60));
        let mut text = Text::default();
        write(&mut text);
        let text = text.finish();
        let expect = |line: &str| assert!(text.contains(line), "{line}\n{text}");
        let labels = "role=\"test\",method=\"GET\",route=\"/test/{id}\"";
        expect(&format!("requests_total{{{labels},status=\"200\"}} 2\n"));
        expect(&format!("requests_total{{{labels},status=\"503\"}} 1\n"));
        expect(&format!("seconds_bucket{{{labels},le=\"0.0005\"}} 2\n"));
        expect(&format!("seconds_bucket{{{labels},le=\"10\"}} 2\n"));
        expect(&format!("seconds_bucket{{{labels},le=\"+Inf\"}} 3\n"));
        expect(&format!("seconds_count{{{labels}}} 3\n"));
    }
}
