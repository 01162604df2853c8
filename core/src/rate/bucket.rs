//! Token bucket (course §123-124), kept as one number so that worker processes
//! can share it in one atomic word.
//!
//! Instead of counting tokens, it keeps the *theoretical arrival time*: the
//! instant at which the bucket would be full again (the generic cell rate
//! algorithm, ITU-T I.371). With 50,000 requests per second a token is worth
//! 20,000 ns; each request moves the instant that much ahead, and is refused
//! when the instant lies more than `burst` tokens in the future.

use crate::rate::census::{Change, Pace};

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

/// The outcome of [`Rate::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Granted; the word to store.
    Granted(u64),
    /// Refused; nanoseconds until a token will be there.
    Refused {
        /// Nanoseconds to wait.
        wait_ns: u64,
    },
}

const SECOND_NS: u64 = 1_000_000_000;
/// How far beyond an empty bucket's a word may lie without being another rate's: callers
/// read the clock a moment apart.
const SLACK_NS: u64 = SECOND_NS / 4;

impl Rate {
    /// A bucket filled with `per_second` tokens a second that holds `burst`.
    /// Both are at least one.
    #[must_use]
    pub fn new(per_second: u64, burst: u64) -> Self {
        Self {
            per_second: per_second.clamp(1, SECOND_NS),
            burst: burst.max(1),
        }
    }

    /// Tokens a second.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        self.per_second
    }

    /// Takes one token at `now_ns`, given the stored word (0 at first).
    ///
    /// `now_ns` is monotonic nanoseconds, the same clock for every caller that
    /// shares the word. Pure: the caller stores the word with compare-and-swap
    /// and tries again if another worker was faster.
    #[must_use]
    pub fn take(&self, word: u64, now_ns: u64) -> Take {
        let token_ns = SECOND_NS / self.per_second;
        let full_at = word.max(now_ns).saturating_add(token_ns);
        match full_at.checked_sub(now_ns.saturating_add(self.depth_ns())) {
            Some(wait_ns) if wait_ns > 0 => Take::Refused { wait_ns },
            _ => Take::Granted(full_at),
        }
    }

    /// The word of a bucket whose rate may have been another one before, as a reload changes
    /// it: one that lies further ahead than this rate ever puts it is that of an empty bucket.
    /// Else a bucket that was emptied at one request a second would let pass nobody for its
    /// whole burst, and be it for a day.
    #[must_use]
    pub fn bounded(&self, word: u64, now_ns: u64) -> u64 {
        let empty = now_ns.saturating_add(self.depth_ns());
        if word > empty.saturating_add(SLACK_NS) {
            empty
        } else {
            word
        }
    }

    /// How long an empty bucket takes to fill.
    fn depth_ns(&self) -> u64 {
        (SECOND_NS / self.per_second).saturating_mul(self.burst)
    }

    /// The word after a change in the number of edges that share the rate. This
    /// rate is the share after the change; the word keeps meaning how full the
    /// bucket is, whatever the share was before.
    #[must_use]
    pub fn apply(&self, word: u64, now_ns: u64, change: Change) -> u64 {
        let empty = now_ns.saturating_add(self.depth_ns());
        match change {
            Change::None => word,
            Change::Drain => empty,
            // A word of the past is a full bucket, so that no more is inherited
            // than fits.
            Change::Credit(ns) => word.saturating_sub(ns),
            Change::Debit(ns) => {
                let paid = word.max(now_ns).saturating_add(ns);
                let noticed_ns = u64::try_from(Pace::NOTICED.as_nanos()).unwrap_or(0);
                let most = empty.saturating_add(noticed_ns);
                paid.min(most.max(word))
            }
        }
    }

    /// Tokens in the bucket at `now_ns`.
    #[must_use]
    pub fn level(&self, word: u64, now_ns: u64) -> u64 {
        let token_ns = SECOND_NS / self.per_second;
        self.burst
            .saturating_sub(word.saturating_sub(now_ns).div_ceil(token_ns))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_bucket_gives_its_burst_then_its_rate() {
        let rate = Rate::new(10, 5);
        let mut word = 0;
        let mut granted_by = |now| match rate.take(word, now) {
            Take::Granted(next) => {
                word = next;
                true
            }
            Take::Refused { .. } => false,
        };
        assert_eq!((0..20).filter(|_| granted_by(0)).count(), 5);
        assert!(!granted_by(SECOND_NS / 10 - 1));
        assert!(granted_by(SECOND_NS / 10));
        assert!(!granted_by(SECOND_NS / 10));
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let rate = Rate::new(10, 1);
        let Take::Granted(word) = rate.take(0, 0) else {
            panic!("first token")
        };
        assert_eq!(
            rate.take(word, 0),
            Take::Refused {
                wait_ns: SECOND_NS / 10
            }
        );
        assert_eq!(rate.level(word, 0), 0);
        assert_eq!(rate.level(word, SECOND_NS), 1);
    }

    #[test]
    fn a_bucket_that_another_rate_emptied_is_empty() {
        let (slow, fast) = (Rate::new(1, 60), Rate::new(1_000, 20));
        let now = 100 * SECOND_NS;
        let emptied = now + 60 * SECOND_NS;
        let word = fast.bounded(emptied, now);
        assert_eq!(fast.level(word, now), 0);
        let wait_ns = SECOND_NS / 1_000;
        assert_eq!(fast.take(word, now), Take::Refused { wait_ns });
        assert!(matches!(fast.take(word, now + wait_ns), Take::Granted(_)));
        // Its own it keeps, also if the clock was read a moment before.
        assert_eq!(slow.bounded(emptied, now), emptied);
        assert_eq!(slow.bounded(emptied, now - SLACK_NS), emptied);
        assert_eq!(slow.bounded(0, now), 0);
    }

    #[test]
    fn a_burst_beyond_any_time_is_no_limit_and_no_fault() {
        let rate = Rate::new(1, u64::MAX);
        let mut word = 0;
        for _ in 0..3 {
            let Take::Granted(next) = rate.take(word, SECOND_NS) else {
                panic!("refused");
            };
            word = next;
        }
        assert_eq!(rate.apply(0, SECOND_NS, Change::Drain), u64::MAX);
        let debit = rate.apply(word, SECOND_NS, Change::Debit(u64::MAX));
        assert_eq!(debit, u64::MAX);
    }

    proptest! {
        /// Over any arrivals, never more than rate x time + burst pass.
        #[test]
        fn never_exceeds_rate_times_time_plus_burst(
            per_second in 1u64..100_000,
            burst in 1u64..1_000,
            gaps in prop::collection::vec(0u64..50_000_000, 1..400),
        ) {
            let rate = Rate::new(per_second, burst);
            let (mut word, mut now, mut granted) = (0, 0, 0u64);
            for gap in gaps {
                now += gap;
                if let Take::Granted(next) = rate.take(word, now) {
                    word = next;
                    granted += 1;
                }
                // One nanosecond of truncation a token is allowed for.
                let ceiling = burst as u128
                    + (now as u128 * per_second as u128).div_ceil(SECOND_NS as u128 - per_second as u128);
                prop_assert!(u128::from(granted) <= ceiling);
            }
        }
    }
}
