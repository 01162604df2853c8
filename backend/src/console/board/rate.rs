//! Rates from counters that only rise, of edges that come, go and restart.

use std::collections::{BTreeMap, VecDeque};

/// Over how long a rate is taken, in ms: long enough to be steady, short enough
/// to show an opening.
const WINDOW_MS: u64 = 2_000;

/// Purchase requests at an edge's gate since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GateCounts {
    /// Requests admitted.
    pub(super) admitted: u64,
    /// Requests refused, by code.
    pub(super) refused: BTreeMap<String, u64>,
}

impl GateCounts {
    /// Requests that reached the gate.
    pub(super) fn received(&self) -> u64 {
        self.admitted + self.refused.values().sum::<u64>()
    }

    /// Adds the counts of another edge, or later ones of the same edge.
    pub(super) fn add(&mut self, more: &GateCounts) {
        self.admitted += more.admitted;
        for (code, n) in &more.refused {
            *self.refused.entry(code.clone()).or_default() += n;
        }
    }

    /// What was counted since `before`. A counter that fell means that the edge has
    /// restarted: then all of it is new.
    fn since(&self, before: &GateCounts) -> GateCounts {
        let fell = |code: &String, was: &u64| self.refused.get(code).unwrap_or(&0) < was;
        let restarted = self.admitted < before.admitted
            || before.refused.iter().any(|(code, was)| fell(code, was));
        if restarted {
            return self.clone();
        }
        let more = |(code, n): (&String, &u64)| {
            let was = before.refused.get(code).unwrap_or(&0);
            (code.clone(), n - was)
        };
        GateCounts {
            admitted: self.admitted - before.admitted,
            refused: self.refused.iter().map(more).collect(),
        }
    }
}

/// Requests per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// That reached the gate.
    pub(super) received: f64,
    /// That were admitted.
    pub(super) admitted: f64,
}

/// Follows the counters of one edge.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    last: Option<GateCounts>,
    total: GateCounts,
    /// When, and the totals then: received and admitted.
    marks: VecDeque<(u64, u64, u64)>,
}

impl RateMeter {
    /// Adds the edge's counts at `now_ms`, a monotonic time in ms.
    pub(super) fn add(&mut self, now_ms: u64, counted: GateCounts) {
        let new = match &self.last {
            Some(last) => counted.since(last),
            None => counted.clone(),
        };
        self.total.add(&new);
        self.last = Some(counted);
        self.marks
            .push_back((now_ms, self.total.received(), self.total.admitted));
        // One that is older than the window stays, as the point to count from.
        while self
            .marks
            .get(1)
            .is_some_and(|(at, ..)| at + WINDOW_MS <= now_ms)
        {
            self.marks.pop_front();
        }
    }

    /// The edge is away: there is no rate until it has responded twice.
    pub(super) fn reset(&mut self) {
        self.marks.clear();
    }

    /// The rate over the last two seconds; `None` until the edge has responded twice
    /// in a row.
    pub(super) fn rate(&self) -> Option<Rate> {
        let (first, last) = (self.marks.front()?, self.marks.back()?);
        let seconds = last.0.checked_sub(first.0).filter(|ms| *ms > 0)? as f64 / 1e3;
        Some(Rate {
            received: (last.1 - first.1) as f64 / seconds,
            admitted: (last.2 - first.2) as f64 / seconds,
        })
    }

    /// All that was counted, over restarts.
    pub(super) fn total(&self) -> &GateCounts {
        &self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(admitted: u64, busy: u64) -> GateCounts {
        GateCounts {
            admitted,
            refused: BTreeMap::from([("busy".to_owned(), busy)]),
        }
    }

    #[test]
    fn a_rate_is_taken_over_the_last_two_seconds() {
        let mut meter = RateMeter::default();
        meter.add(0, counted(1_000_000, 0));
        assert_eq!(meter.rate(), None);
        for second in 1..=4 {
            meter.add(
                second * 1_000,
                counted(1_000_000 + second * 10, second * 90),
            );
        }
        let rate = meter.rate().unwrap();
        assert!((rate.received - 100.0).abs() < 1e-9 && (rate.admitted - 10.0).abs() < 1e-9);
        meter.add(6_500, counted(1_000_040, 360));
        assert_eq!(meter.rate().unwrap().received, 0.0);
    }

    #[test]
    fn an_edge_that_restarts_loses_nothing_and_has_no_negative_rate() {
        let mut meter = RateMeter::default();
        meter.add(0, counted(100, 900));
        meter.add(1_000, counted(5, 45));
        assert_eq!(meter.total().received(), 1_050);
        assert!((meter.rate().unwrap().received - 50.0).abs() < 1e-9);
        // One counter may be above what it was, and still have started from zero.
        meter.add(2_000, counted(50, 3));
        assert_eq!(meter.total(), &counted(155, 948));
    }

    #[test]
    fn an_edge_that_was_away_has_no_rate_until_it_responded_twice() {
        let mut meter = RateMeter::default();
        meter.add(0, counted(1, 1));
        meter.add(1_000, counted(2, 2));
        meter.reset();
        meter.add(60_000, counted(60_000, 2));
        assert_eq!(meter.rate(), None);
        assert_eq!(meter.total().received(), 60_002);
    }
}
