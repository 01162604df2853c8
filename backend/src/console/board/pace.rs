//! How fast the items of a round are taken. Orders do not say it: one may be for several
//! items, and under a crowd they are placed later than their items were taken.

use std::collections::VecDeque;

/// Over how long a pace is taken, in ms: a slow sale is not said to stand still.
const WINDOW_MS: u64 = 10_000;
/// Below this, in ms, it would be a guess.
const SHORTEST_MS: u64 = 1_000;

/// Follows the items of one round that are in orders, paid or not.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When, and how many there were then.
    marks: VecDeque<(u64, i64)>,
}

impl Pace {
    /// Adds the count at `now_ms`. `None`, for one that is not known as a whole, begins
    /// anew: what is read again was not bought at that moment.
    pub(super) fn add(&mut self, now_ms: u64, taken: Option<i64>) {
        let Some(taken) = taken else {
            self.marks.clear();
            return;
        };
        self.marks.push_back((now_ms, taken));
        // One that is older than the window stays, as the point to count from.
        while self
            .marks
            .get(1)
            .is_some_and(|(at, _)| at + WINDOW_MS <= now_ms)
        {
            self.marks.pop_front();
        }
    }

    /// Items per second, less those that came back from cancelled orders; `None` until it
    /// was followed for a second.
    pub(super) fn per_second(&self) -> Option<f64> {
        let (first, last) = (self.marks.front()?, self.marks.back()?);
        let ms = last
            .0
            .checked_sub(first.0)
            .filter(|ms| *ms >= SHORTEST_MS)?;
        Some((last.1 - first.1).max(0) as f64 * 1e3 / ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_that_of_ten_seconds_and_of_items() {
        let mut pace = Pace::default();
        pace.add(0, Some(100));
        pace.add(400, Some(110));
        assert_eq!(pace.per_second(), None, "too short to say");
        // One order of two items every second, from a crowd of before.
        for (second, taken) in (1..=20).zip((112..).step_by(2)) {
            pace.add(second * 1_000, Some(taken));
        }
        assert_eq!(pace.per_second(), Some(2.0));
    }

    #[test]
    fn items_that_come_back_or_are_read_again_are_no_sales() {
        let mut pace = Pace::default();
        pace.add(0, Some(10));
        pace.add(2_000, Some(4));
        assert_eq!(pace.per_second(), Some(0.0));
        pace.add(4_000, None);
        pace.add(6_000, Some(90));
        assert_eq!(pace.per_second(), None);
    }
}
