//! Flow control (course §142): a fixed number of orders a second, whatever the queue
//! holds.

use std::time::Duration;

use tokio::time::Instant;

use crate::redis::scripts::queue::allow;
use crate::redis::{RedisLink, RedisLinkError};

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

/// The site's flow control: all workers draw from one bucket in Redis, so that two of them
/// place no more than one. While Redis is away, each goes on at the whole rate by itself:
/// purchases are rare then.
#[derive(Debug)]
pub(super) struct SiteThrottle {
    redis: RedisLink,
    per_second: u32,
    alone: Throttle,
    /// Allowances that were drawn and not used yet.
    drawn: usize,
}

impl SiteThrottle {
    pub(super) fn new(redis: RedisLink, per_second: u32, now: Instant) -> Self {
        Self {
            redis,
            per_second,
            alone: Throttle::new(per_second, now),
            drawn: 0,
        }
    }

    /// How many orders, `most` at most, may be placed now. What is not used of it has to
    /// be put back.
    pub(super) async fn draw(&mut self, most: usize) -> usize {
        let wanted = i64::try_from(most.saturating_sub(self.drawn)).unwrap_or(i64::MAX);
        if wanted > 0 {
            self.drawn += match self.ask(wanted).await {
                Ok(granted) => granted,
                Err(error) => {
                    tracing::debug!(%error, "the site's rate of orders is not known");
                    self.alone.allowed(Instant::now()).min(most)
                }
            };
        }
        self.drawn.min(most)
    }

    /// Takes what was placed out of what was drawn, and puts the rest back for others.
    pub(super) async fn used(&mut self, orders: usize) {
        self.alone.used(orders);
        let rest = std::mem::take(&mut self.drawn).saturating_sub(orders);
        if rest > 0
            && let Err(error) = self.ask(-i64::try_from(rest).unwrap_or(0)).await
        {
            tracing::debug!(%error, "unused allowances are not put back");
        }
    }

    /// How long until an order may be allowed again.
    pub(super) fn pause(&self) -> Duration {
        self.alone.pause()
    }

    async fn ask(&self, wanted: i64) -> Result<usize, RedisLinkError> {
        let mut conn = self.redis.conn().await?;
        Ok(allow(self.per_second.max(1), wanted).run(&mut conn).await?)
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
