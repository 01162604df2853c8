//! Hands and scripts.

use proptest::prelude::*;

use super::*;

/// Long enough ago for any drag here.
const PASSED_MS: u64 = 10_000;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    /// The next one, from -1 to 1.
    fn throw(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// A hand as it is known from the literature: a first quick movement of minimal
/// jerk that falls short or goes too far, and a correction; a slow sway; events
/// about 60 times a second, at whole pixels.
fn hand(way: f64, first_ms: f64, reach: f64, sway: f64, seed: u64) -> Vec<Moment> {
    let mut dice = Dice(seed);
    let jerk = |t: f64| {
        let t = t.clamp(0.0, 1.0);
        t.powi(3) * (10.0 - 15.0 * t + 6.0 * t * t)
    };
    let second_ms = first_ms * 0.7;
    let (mut at_ms, mut moments, mut drift) = (0.0, Vec::new(), 0.0);
    while at_ms < first_ms + second_ms + 120.0 {
        let main = way * reach * jerk(at_ms / first_ms);
        let rest = way * (1.0 - reach) * jerk((at_ms - first_ms * 0.85) / second_ms);
        drift += dice.throw() * 0.3;
        let y = sway * (at_ms / first_ms * 2.4).sin() + drift;
        moments.push(Moment {
            at_ms,
            x: (main + rest).round(),
            y: y.round(),
        });
        at_ms += 16.7 + dice.throw() * 2.0;
    }
    moments.push(Moment {
        at_ms,
        x: way,
        y: moments.last().unwrap().y,
    });
    moments
}

/// A script that moves by this rule: part of the time → part of the way.
fn script(rule: impl Fn(f64) -> f64, mut height: impl FnMut(f64) -> f64) -> Vec<Moment> {
    let mut dice = Dice(3);
    (0..=50)
        .map(|step| {
            let part = f64::from(step) / 50.0;
            let late = if step == 0 { 0.0 } else { dice.throw() };
            Moment {
                at_ms: part * 850.0 + late,
                x: (180.0 * rule(part)).round(),
                y: height(part).round(),
            }
        })
        .collect()
}

fn bow(part: f64) -> f64 {
    (part * 3.0).sin() * 4.0
}

#[test]
fn hands_pass() {
    for seed in 0..200 {
        let n = f64::from(u32::try_from(seed % 7).unwrap());
        let track = hand(
            90.0 + 27.0 * n,
            420.0 + 110.0 * n,
            0.88 + 0.03 * n,
            2.0 + n,
            seed,
        );
        assert_eq!(judge(&track, PASSED_MS), Ok(()), "seed {seed}: {track:?}");
    }
}

#[test]
fn a_straight_line_fails_level_or_slanting() {
    let ease = |t: f64| 1.0 - (1.0 - t).powi(4);
    assert_eq!(
        judge(&script(ease, |_| 0.0), PASSED_MS),
        Err(Flaw::TooStraight)
    );
    let slanting: Vec<Moment> = script(ease, |_| 0.0)
        .into_iter()
        .map(|m| Moment {
            y: (m.x * 0.11).round(),
            ..m
        })
        .collect();
    assert_eq!(judge(&slanting, PASSED_MS), Err(Flaw::TooStraight));
}

#[test]
fn constant_speed_fails_also_with_a_rest_before_and_after() {
    assert_eq!(
        judge(&script(|t| t, bow), PASSED_MS),
        Err(Flaw::ConstantSpeed)
    );
    let rested = script(|t| ((t - 0.2) / 0.5).clamp(0.0, 1.0), bow);
    assert_eq!(judge(&rested, PASSED_MS), Err(Flaw::ConstantSpeed));
}

#[test]
fn an_animation_fails() {
    let eases: [fn(f64) -> f64; 4] = [
        |t| t * t,
        |t| t * (2.0 - t),
        |t| t * t * (3.0 - 2.0 * t),
        |t| 1.0 - (1.0 - t).powi(3),
    ];
    for ease in eases {
        assert_eq!(judge(&script(ease, bow), PASSED_MS), Err(Flaw::TooSmooth));
    }
}

#[test]
fn heights_from_a_random_generator_fail() {
    let mut dice = Dice(9);
    let shaken: Vec<Moment> = hand(180.0, 700.0, 0.9, 0.0, 5)
        .into_iter()
        .map(|m| Moment {
            y: (dice.throw() * 3.0).round(),
            ..m
        })
        .collect();
    assert_eq!(judge(&shaken, PASSED_MS), Err(Flaw::Dice));
}

#[test]
fn events_at_an_exact_beat_fail() {
    let beaten: Vec<Moment> = hand(180.0, 700.0, 0.9, 3.0, 5)
        .into_iter()
        .enumerate()
        .map(|(index, m)| Moment {
            at_ms: index as f64 * 16.0,
            ..m
        })
        .collect();
    assert_eq!(judge(&beaten, PASSED_MS), Err(Flaw::Clockwork));
}

#[test]
fn a_drag_that_is_too_fast_fails_and_so_does_one_that_jumps() {
    let faster = |factor: f64| -> Vec<Moment> {
        let slow = hand(180.0, 700.0, 0.9, 3.0, 5);
        slow.into_iter()
            .map(|m| Moment {
                at_ms: m.at_ms / factor,
                ..m
            })
            .collect()
    };
    assert_eq!(judge(&faster(1.0), PASSED_MS), Ok(()));
    assert_eq!(judge(&faster(5.0), PASSED_MS), Err(Flaw::TooFast));
    let mut jumping = faster(1.0);
    jumping.drain(10..30);
    assert_eq!(judge(&jumping, PASSED_MS), Err(Flaw::Jump));
}

#[test]
fn nobody_drags_for_longer_than_he_had_the_puzzle() {
    let track = hand(180.0, 700.0, 0.9, 3.0, 5);
    let took = track.last().unwrap().at_ms as u64;
    assert_eq!(judge(&track, took + 250), Err(Flaw::Impossible));
    assert_eq!(judge(&track, took + 350), Ok(()));
}

#[test]
fn what_is_no_track_is_malformed() {
    let good = hand(180.0, 700.0, 0.9, 3.0, 5);
    let spoilt = |spoil: fn(&mut Vec<Moment>)| {
        let mut track = good.clone();
        spoil(&mut track);
        judge(&track, PASSED_MS)
    };
    assert_eq!(spoilt(Vec::clear), Err(Flaw::Malformed));
    assert_eq!(spoilt(|track| track.truncate(9)), Err(Flaw::Malformed));
    assert_eq!(
        spoilt(|track| track.extend(track.clone().repeat(9))),
        Err(Flaw::Malformed)
    );
    assert_eq!(spoilt(|track| track[5].at_ms = 0.0), Err(Flaw::Malformed));
    assert_eq!(spoilt(|track| track[5].x = f64::NAN), Err(Flaw::Malformed));
    assert_eq!(spoilt(|track| track[5].y = 1e300), Err(Flaw::Malformed));
    assert_eq!(
        spoilt(|track| track.last_mut().unwrap().at_ms = f64::INFINITY),
        Err(Flaw::Malformed)
    );
}

#[test]
fn a_stretched_or_retimed_copy_is_known_again_and_another_hand_is_not() {
    let track = hand(180.0, 700.0, 0.9, 3.0, 5);
    let [rhythm, shape] = marks(&track);
    let stretched: Vec<Moment> = track
        .iter()
        .map(|m| Moment { x: m.x * 1.2, ..*m })
        .collect();
    assert_eq!(marks(&stretched)[0], rhythm);
    let mut dice = Dice(1);
    let retimed: Vec<Moment> = track
        .iter()
        .map(|m| Moment {
            at_ms: m.at_ms * 1.1 + dice.throw(),
            ..*m
        })
        .collect();
    assert_eq!(marks(&retimed)[1], shape);
    let others: std::collections::HashSet<_> = (0..2_000)
        .map(|seed| marks(&hand(180.0, 700.0, 0.9, 3.0, seed)))
        .collect();
    assert_eq!(others.len(), 2_000);
}

proptest! {
    #[test]
    fn any_numbers_are_judged_without_a_panic(
        numbers in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY, prop::num::f64::ANY), 0..40),
        passed_ms: u64,
    ) {
        let track: Vec<Moment> = numbers.into_iter().map(|(at_ms, x, y)| Moment { at_ms, x, y }).collect();
        let _ = judge(&track, passed_ms);
        let _ = marks(&track);
    }

    #[test]
    fn no_level_line_passes_at_whatever_speed(steps in prop::collection::vec((1.0f64..60.0, 0.0f64..12.0), 12..200)) {
        let (mut at_ms, mut x) = (0.0, 0.0);
        let track: Vec<Moment> = steps
            .into_iter()
            .map(|(pause, step)| {
                at_ms += pause;
                x += step;
                Moment { at_ms, x, y: 2.0 }
            })
            .collect();
        prop_assert!(judge(&track, 60_000).is_err());
    }

    #[test]
    fn no_constant_speed_passes_whatever_the_heights(
        speed in 0.05f64..2.0,
        pauses in prop::collection::vec(4.0f64..24.0, 40..200),
        heights in prop::collection::vec(-9.0f64..9.0, 200),
    ) {
        let mut at_ms = 0.0;
        let track: Vec<Moment> = pauses
            .into_iter()
            .zip(heights)
            .map(|(pause, y)| {
                at_ms += pause;
                Moment { at_ms, x: at_ms * speed, y }
            })
            .collect();
        prop_assert!(judge(&track, 60_000).is_err());
    }
}
