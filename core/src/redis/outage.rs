//! When a change between reachable and away is logged: once for the whole edge,
//! though every worker has a connection of its own, and ever more rarely while the
//! server comes and goes.
//!
//! The state is one word, so that the workers can share it in shared memory.

/// Shortest time between two lines, in ms; it doubles with each line that follows
/// another within [`QUIET_MS`].
const FIRST_GAP_MS: u64 = 1_000;
/// Longest time between two lines while the state keeps changing, in ms.
const LONGEST_GAP_MS: u64 = 64_000;
/// After so long without a line the gap is the first one again, in ms.
const QUIET_MS: u64 = 2 * LONGEST_GAP_MS;

const AWAY_BIT: u64 = 1;
const STEP_SHIFT: u32 = 1;
const STEP_MASK: u64 = 0xf;
const TIME_SHIFT: u32 = 8;

/// The state that was logged last. Zero: nothing was logged yet, which counts as
/// reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Logged(pub u64);

impl Logged {
    /// Whether the line that was written last said "away".
    #[must_use]
    pub fn is_away(self) -> bool {
        self.0 & AWAY_BIT != 0
    }

    /// The state after a line is written now, at `now_ms` of a monotonic clock; `None`
    /// if none is due: the state is as logged, or the last line is too young. Then
    /// ask again later.
    #[must_use]
    pub fn next(self, away: bool, now_ms: u64) -> Option<Self> {
        if away == self.is_away() {
            return None;
        }
        let (last_ms, step) = (self.0 >> TIME_SHIFT, self.0 >> STEP_SHIFT & STEP_MASK);
        let age_ms = now_ms.saturating_sub(last_ms);
        let gap_ms = (FIRST_GAP_MS << step).min(LONGEST_GAP_MS);
        // Coming back after the first line is news in any case: an operator waits
        // for it. From then on the gap holds.
        let is_first_return = !away && step <= 1;
        if self.0 != 0 && age_ms < gap_ms && !is_first_return {
            return None;
        }
        let step = if self.0 == 0 || age_ms >= QUIET_MS {
            0
        } else {
            step
        };
        let next_step = (step + 1).min(STEP_MASK);
        Some(Self(
            now_ms << TIME_SHIFT | next_step << STEP_SHIFT | u64::from(away),
        ))
    }
}

/// Connections that are lost within so long of one that was counted are part of that loss,
/// in ms: a server that restarts ends the connections of every worker and link.
const ONE_LOSS_MS: u64 = 10_000;

/// Whether a connection that is lost now counts as another loss, if the one that was
/// counted last was lost `since_ms` ago; `None` if none was.
#[must_use]
pub fn is_another_loss(since_ms: Option<u64>) -> bool {
    since_ms.is_none_or(|since_ms| since_ms >= ONE_LOSS_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_workers_lose_at_once_is_one_loss() {
        assert!(is_another_loss(None));
        assert!(!is_another_loss(Some(0)));
        assert!(!is_another_loss(Some(9_999)));
        assert!(is_another_loss(Some(10_000)));
    }

    /// Lines written over `until_ms` if the state is `state(ms)`.
    fn lines(until_ms: u64, state: impl Fn(u64) -> bool) -> Vec<(u64, bool)> {
        let mut logged = Logged::default();
        let mut lines = Vec::new();
        for now_ms in (1_000..until_ms).step_by(10) {
            if let Some(next) = logged.next(state(now_ms), now_ms) {
                logged = next;
                lines.push((now_ms, logged.is_away()));
            }
        }
        lines
    }

    #[test]
    fn an_outage_has_one_line_at_its_beginning_and_one_at_its_end() {
        let outage = lines(600_000, |now| (5_000..9_000).contains(&now));
        assert_eq!(outage, [(5_000, true), (9_000, false)]);
        let brief = lines(600_000, |now| (5_000..5_050).contains(&now));
        assert_eq!(brief, [(5_000, true), (5_050, false)]);
        assert_eq!(lines(600_000, |_| false), []);
    }

    #[test]
    fn a_server_that_comes_and_goes_has_a_few_lines_and_the_last_one_is_right() {
        // Ten minutes of flapping every 200 ms, then away for good.
        let flapping = lines(1_000_000, |now| now >= 600_000 || now / 200 % 2 == 1);
        assert!(flapping.len() < 30, "{} lines", flapping.len());
        assert_eq!(flapping.last().map(|(_, away)| *away), Some(true));
    }

    #[test]
    fn after_a_quiet_time_the_next_outage_is_told_at_once() {
        let two = |now: u64| {
            (5_000..50_000).contains(&now) && now / 500 % 2 == 1
                || (400_000..401_000).contains(&now)
        };
        let lines = lines(600_000, two);
        assert!(lines.contains(&(400_000, true)), "{lines:?}");
        assert!(lines.contains(&(401_000, false)), "{lines:?}");
    }
}
