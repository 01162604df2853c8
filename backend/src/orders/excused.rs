//! When the database was away: what a message waited for it is no backlog.
//!
//! A backlog is failed so that the rest stays fast. Waiting for a database that is away
//! says nothing of how fast orders are placed, and to fail accepted purchases for it
//! would drop them without need.

use std::collections::VecDeque;

/// Spells that are remembered.
const MOST: usize = 64;

/// When the database was away lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Excused {
    /// Begin and end of each outage, epoch milliseconds; oldest first, without overlaps.
    spells: VecDeque<(u64, u64)>,
    /// Since when it is away, if it is.
    since: Option<u64>,
}

impl Excused {
    /// It did not do what it was asked at `asked_ms`.
    pub(super) fn away(&mut self, asked_ms: u64) {
        self.since.get_or_insert(asked_ms);
    }

    /// It did.
    pub(super) fn back(&mut self, now_ms: u64) {
        let Some(since) = self.since.take() else {
            return;
        };
        if self.spells.len() == MOST {
            self.spells.pop_front();
        }
        self.spells.push_back((since, now_ms.max(since)));
    }

    /// For how many of the ms between `from_ms` and `now_ms` it was away.
    pub(super) fn between(&self, from_ms: u64, now_ms: u64) -> u64 {
        let open = self.since.map(|since| (since, now_ms));
        let spells = self.spells.iter().copied().chain(open);
        let overlap =
            |(since, until): (u64, u64)| until.min(now_ms).saturating_sub(since.max(from_ms));
        spells.map(overlap).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_that_it_was_away_is_excused() {
        let mut excused = Excused::default();
        assert_eq!(excused.between(0, 1_000), 0);
        excused.away(100);
        // It fails again and again: it is still the same spell.
        excused.away(150);
        assert_eq!(excused.between(120, 180), 60);
        excused.back(200);
        excused.back(250);
        assert_eq!(excused.between(0, 1_000), 100);
        assert_eq!(excused.between(150, 1_000), 50);
        assert_eq!(excused.between(201, 1_000), 0);
        excused.away(400);
        assert_eq!(excused.between(0, 500), 200);
    }
}
