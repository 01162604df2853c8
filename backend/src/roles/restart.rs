//! How long to wait before something that ended is started again, and when to
//! stop trying.
//!
//! The pause doubles from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`]. Whatever stayed up
//! for [`STEADY`] has recovered, and begins with the shortest pause again. Something
//! that has not recovered [`GIVE_UP_AFTER`] its first end is given up: what is broken
//! for a minute needs a person, not another start.
//!
//! For example, a redis-server that ends at once whenever it is started is started
//! after 0.1, 0.2, 0.4, 0.8, 1.6, 3.2 and then every 5 seconds, 17 times in all.

use std::time::{Duration, Instant};

/// Pause before the first new start.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two starts.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Up for so long, it has recovered.
pub const STEADY: Duration = Duration::from_secs(5);
/// After so long without recovering, it is not started again.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// What to do about something that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it again after this pause.
    Start {
        /// How long to wait first.
        after: Duration,
    },
    /// Leave it: it could not stay up.
    GiveUp {
        /// How often it ended since it was last steady.
        ends: u32,
        /// How long ago it ended first since then.
        within: Duration,
    },
}

/// The memory of how one child or task has ended lately.
#[derive(Debug, Clone, Default)]
pub struct Restarts {
    /// When it first ended since it was last steady, and how often it has since.
    spell: Option<(Instant, u32)>,
}

impl Restarts {
    /// Decides what to do about something that was up for `up_for` and ended at `now`.
    pub fn after_end(&mut self, up_for: Duration, now: Instant) -> Next {
        let (began, ends) = match self.spell {
            Some((began, ends)) if up_for < STEADY => (began, ends.saturating_add(1)),
            _ => (now, 1),
        };
        self.spell = Some((began, ends));
        let within = now.saturating_duration_since(began);
        if within >= GIVE_UP_AFTER {
            return Next::GiveUp { ends, within };
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (ends - 1).min(16));
        Next::Start {
            after: doubled.min(LONGEST_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses in ms between the ends of something that is up for `up_for` each
    /// time, and how often it ended until it was given up.
    fn pauses(up_for: Duration) -> (Vec<u128>, Option<u32>) {
        let (mut restarts, mut now, mut pauses) = (Restarts::default(), Instant::now(), Vec::new());
        for _ in 0..100 {
            now += up_for;
            match restarts.after_end(up_for, now) {
                Next::Start { after } => {
                    pauses.push(after.as_millis());
                    now += after;
                }
                Next::GiveUp { ends, within } => {
                    assert!(within >= GIVE_UP_AFTER, "{within:?}");
                    return (pauses, Some(ends));
                }
            }
        }
        (pauses, None)
    }

    #[test]
    fn pauses_double_to_five_seconds_and_end_after_a_minute() {
        let (pauses, ends) = pauses(Duration::ZERO);
        assert_eq!(
            pauses[..8],
            [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]
        );
        assert_eq!(ends, Some(18));
        assert_eq!(pauses.len(), 17);
    }

    #[test]
    fn what_stayed_up_for_a_while_is_started_soon_and_never_given_up() {
        assert_eq!(pauses(STEADY), (vec![100; 100], None));
        let (_, ends) = pauses(STEADY - Duration::from_millis(1));
        assert!(ends.is_some());
    }

    #[test]
    fn a_recovery_forgets_the_trouble_before_it() {
        let (mut restarts, began) = (Restarts::default(), Instant::now());
        for second in 0..59 {
            restarts.after_end(Duration::ZERO, began + Duration::from_secs(second));
        }
        let later = began + Duration::from_secs(70);
        let after = FIRST_PAUSE;
        assert_eq!(restarts.after_end(STEADY, later), Next::Start { after });
    }
}
