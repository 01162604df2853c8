//! A seeded schedule of several faults: the same seed, the same schedule.

use std::time::Duration;

use super::fault::Fault;
use super::{BEFORE, Plan, Strike};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// A plan of faults that fill this long, one after the other with pauses between them.
#[must_use]
pub fn plan(seed: u64, length: Duration) -> Plan {
    let mut dice = Dice(seed);
    // What goes together on one system, so that any may follow any: no faults that need
    // root, Java, or a second Redis.
    let fits = |fault: &Fault| {
        let needs = fault.needs();
        !(needs.small_disk || needs.replica || needs.queue || needs.clock)
    };
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(fits).collect();
    let mut strikes = Vec::new();
    let mut at = BEFORE;
    while at < length {
        let pick = usize::try_from(dice.below(faults.len() as u64)).unwrap_or_default();
        let fault = faults[pick];
        let lasts = match fault.lasts() {
            Duration::ZERO => Duration::ZERO,
            _ => Duration::from_millis(500 + dice.below(4_000)),
        };
        strikes.push(Strike { at, fault, lasts });
        // Some have time to recover, some are struck again at once.
        at += lasts + Duration::from_millis(3_000 + dice.below(6_000));
    }
    Plan {
        name: format!("random-{seed}"),
        strikes,
        per_second: 20,
    }
}

/// Schedules that are shorter by one strike, which may fail all the same: first by halves,
/// then by single strikes.
#[must_use]
pub fn shorter(plan: &Plan) -> Vec<Plan> {
    let count = plan.strikes.len();
    if count < 2 {
        return Vec::new();
    }
    let with = |kept: Vec<Strike>| Plan {
        strikes: earlier(kept),
        ..plan.clone()
    };
    let (first, second) = plan.strikes.split_at(count / 2);
    let mut plans = vec![with(first.to_vec()), with(second.to_vec())];
    if count > 2 {
        plans.extend((0..count).map(|left_out| {
            let others = plan.strikes.iter().enumerate();
            let others = others.filter(|(at, _)| *at != left_out);
            with(others.map(|(_, strike)| strike.clone()).collect())
        }));
    }
    plans
}

/// The same strikes with the same pauses, the first one at the usual time.
fn earlier(mut strikes: Vec<Strike>) -> Vec<Strike> {
    let by = strikes.first().map_or(BEFORE, |first| first.at) - BEFORE;
    strikes.iter_mut().for_each(|strike| strike.at -= by);
    strikes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_shortened_by_halves_and_by_single_strikes() {
        let whole = plan(7, Duration::from_secs(60));
        let count = whole.strikes.len();
        let shorter = shorter(&whole);
        assert_eq!(shorter.len(), 2 + count);
        for plan in &shorter {
            assert!(plan.strikes.len() < count);
            assert_eq!(plan.strikes[0].at, BEFORE);
            assert!(plan.strikes.windows(2).all(|it| it[0].at < it[1].at));
        }
        let mut one = whole;
        one.strikes.truncate(1);
        assert!(super::shorter(&one).is_empty());
    }

    #[test]
    fn a_seed_gives_the_same_schedule_again_and_another_seed_another() {
        let minute = Duration::from_secs(60);
        assert_eq!(plan(7, minute), plan(7, minute));
        assert_ne!(plan(7, minute).strikes, plan(8, minute).strikes);
        let strikes = plan(7, minute).strikes;
        assert!(strikes.len() > 4 && strikes.windows(2).all(|it| it[0].at < it[1].at));
    }
}
