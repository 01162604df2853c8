//! The responses of a race, counted while it runs and summed up at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Counts of one race.
#[derive(Debug)]
pub struct Tally {
    codes: BTreeMap<String, u64>,
    latencies_us: Vec<u64>,
    last_other: Instant,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            codes: BTreeMap::new(),
            latencies_us: Vec::new(),
            last_other: Instant::now(),
        }
    }
}

impl Tally {
    /// Counts one response of the edge, and how long it took.
    pub fn note(&mut self, code: &str, took: Duration) {
        *self.codes.entry(code.to_owned()).or_default() += 1;
        self.latencies_us
            .push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if code != "sold_out" && code != "duplicate" {
            self.last_other = Instant::now();
        }
    }

    /// For how long every response was "sold out" or "duplicate".
    #[must_use]
    pub fn quiet_for(&self) -> Duration {
        self.last_other.elapsed()
    }
}

/// Latency of the clicks, milliseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Half were faster.
    pub p50: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// Sums up a list in microseconds.
    #[must_use]
    pub fn of(mut latencies_us: Vec<u64>) -> Self {
        latencies_us.sort_unstable();
        let last = latencies_us.len().saturating_sub(1);
        let at = |percent: usize| {
            let micros = latencies_us.get(last * percent / 100).copied().unwrap_or(0);
            Duration::from_micros(micros).as_secs_f64() * 1_000.0
        };
        Self {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

/// How the race ended for one buyer.
#[derive(Debug, Clone, Default)]
pub struct BuyerOutcome {
    /// The buyer.
    pub user: String,
    /// The last code of each of their clicks.
    pub clicks: Vec<String>,
    /// The state of their purchase after the race.
    pub status: String,
    /// Their order.
    pub order: Option<String>,
}

/// The summary, as printed.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many took part.
    pub buyers: usize,
    /// How many got 202 for a click.
    pub accepted: usize,
    /// How many have an order in the end.
    pub ordered: usize,
    /// Different order numbers among those.
    pub orders: usize,
    /// Responses by code; `no_connection` and `no_answer` stand for those that did not
    /// come.
    pub codes: BTreeMap<String, u64>,
    /// Clicks by the code of their last response.
    pub last_words: BTreeMap<String, u64>,
    /// How long the response to a click took, milliseconds.
    pub latency_ms: Latency,
    /// From the opening to the last response, milliseconds.
    pub elapsed_ms: u64,
    /// What must not happen and did; empty after a good race.
    pub breaches: Vec<String>,
}

impl Report {
    /// Sums up a race.
    #[must_use]
    pub fn new(outcomes: &[BuyerOutcome], tally: Tally, elapsed: Duration) -> Self {
        let mut last_words = BTreeMap::new();
        for word in outcomes.iter().flat_map(|outcome| &outcome.clicks) {
            *last_words.entry(word.clone()).or_default() += 1;
        }
        let orders: BTreeSet<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.order.as_ref())
            .collect();
        Self {
            buyers: outcomes.len(),
            accepted: outcomes
                .iter()
                .filter(|outcome| was_accepted(outcome))
                .count(),
            ordered: outcomes
                .iter()
                .filter(|outcome| outcome.order.is_some())
                .count(),
            orders: orders.len(),
            codes: tally.codes,
            last_words,
            latency_ms: Latency::of(tally.latencies_us),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            breaches: breaches(outcomes, orders.len()),
        }
    }
}

fn was_accepted(outcome: &BuyerOutcome) -> bool {
    outcome.clicks.iter().any(|word| word == "202")
}

/// What must not happen to a buyer: two purchases, an accepted purchase that is unknown
/// afterwards, an order that shares its number with another.
fn breaches(outcomes: &[BuyerOutcome], different_orders: usize) -> Vec<String> {
    let mut found = Vec::new();
    for outcome in outcomes {
        let accepted = outcome.clicks.iter().filter(|word| *word == "202").count();
        let user = &outcome.user;
        if accepted > 1 {
            found.push(format!("{user} was accepted {accepted} times"));
        }
        if accepted > 0 && matches!(outcome.status.as_str(), "none" | "unknown" | "") {
            let status = &outcome.status;
            found.push(format!(
                "{user} was accepted, and now the purchase is \"{status}\""
            ));
        }
        if outcome.order.is_some()
            != matches!(outcome.status.as_str(), "ordered" | "paid" | "cancelled")
        {
            let (status, order) = (&outcome.status, &outcome.order);
            found.push(format!(
                "{user} has status \"{status}\" with order {order:?}"
            ));
        }
    }
    let ordered = outcomes
        .iter()
        .filter(|outcome| outcome.order.is_some())
        .count();
    if ordered != different_orders {
        found.push(format!(
            "{ordered} buyers share {different_orders} order numbers"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(clicks: &[&str], status: &str, order: Option<&str>) -> BuyerOutcome {
        BuyerOutcome {
            user: "li".to_owned(),
            clicks: clicks.iter().map(|&word| word.to_owned()).collect(),
            status: status.to_owned(),
            order: order.map(str::to_owned),
        }
    }

    #[test]
    fn a_good_race_has_no_breach() {
        let outcomes = [
            outcome(&["202", "duplicate"], "ordered", Some("1")),
            outcome(&["sold_out"], "none", None),
        ];
        let report = Report::new(&outcomes, Tally::default(), Duration::from_secs(1));
        assert_eq!((report.accepted, report.ordered, report.orders), (1, 1, 1));
        assert!(report.breaches.is_empty(), "{:?}", report.breaches);
        assert_eq!(report.last_words["duplicate"], 1);
    }

    #[test]
    fn each_breach_is_named() {
        let twice = outcome(&["202", "202"], "ordered", Some("1"));
        let vanished = outcome(&["202"], "none", None);
        let shared = outcome(&["202"], "ordered", Some("1"));
        let report = Report::new(
            &[twice, vanished, shared],
            Tally::default(),
            Duration::from_secs(1),
        );
        assert_eq!(
            report.breaches,
            [
                "li was accepted 2 times",
                "li was accepted, and now the purchase is \"none\"",
                "2 buyers share 1 order numbers",
            ]
        );
    }

    #[test]
    fn percentiles_of_a_hundred_are_what_one_counts_by_hand() {
        let latency = Latency::of((1..=101).map(|n| n * 1_000).collect());
        let near = |a: f64, b: f64| (a - b).abs() < 0.001;
        assert!(near(latency.p50, 51.0) && near(latency.p99, 100.0) && near(latency.max, 101.0));
        assert!(near(Latency::of(Vec::new()).max, 0.0));
    }

    #[test]
    fn only_sold_out_and_duplicate_count_as_quiet() {
        let mut tally = Tally::default();
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        tally.last_other = long_ago;
        tally.note("sold_out", Duration::ZERO);
        assert!(tally.quiet_for() >= Duration::from_secs(60));
        tally.note("202", Duration::ZERO);
        assert!(tally.quiet_for() < Duration::from_secs(60));
    }
}
