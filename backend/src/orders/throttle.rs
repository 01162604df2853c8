//! Flow control (course §142): a fixed number of orders a second, whatever the queue
//! holds.

use std::time::Duration;

use tokio::time::Instant;

/// An allowance of orders that grows with time, up to one second's worth.
///
/// With 500 a second, an idle second allows 500 at once, and then one every 2 ms. The
/// core's token bucket takes one token a call; here a whole batch is taken in one.
#[derive(Debug)]
pub(super) struct Throttle {
    per_second: f64,
    allowance: f64,
    at: Instant,
}

impl Throttle {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            per_second,
            allowance: per_second,
            at: now,
        }
    }

    /// How many orders may be placed now.
    pub(super) fn allowed(&mut self, now: Instant) -> usize {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.allowance = (self.allowance + grown).min(self.per_second);
        self.at = now;
        self.allowance as usize
    }

    /// Takes what was placed out of the allowance.
    pub(super) fn used(&mut self, orders: usize) {
        self.allowance -= orders as f64;
    }

    /// How long until an order is allowed again; long enough for a small batch.
    pub(super) fn pause(&self) -> Duration {
        let one = Duration::from_secs_f64(1.0 / self.per_second);
        one.max(Duration::from_millis(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_allows_its_rate_and_no_more_is_saved_up() {
        let start = Instant::now();
        let mut throttle = Throttle::new(500, start);
        assert_eq!(throttle.allowed(start), 500);
        throttle.used(500);
        assert_eq!(throttle.allowed(start), 0);
        assert_eq!(throttle.allowed(start + Duration::from_millis(100)), 50);
        assert_eq!(throttle.allowed(start + Duration::from_secs(60)), 500);
    }
}
