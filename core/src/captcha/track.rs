//! How a slider was dragged: whether a hand may have done it.
//!
//! The track is what the browser saw of the drag, so that a program can make one
//! up. What it has to make up is the point: real time spent, no straight line, no
//! constant or polynomial speed, a tremor that is no dice, and a track that
//! nobody has used before. Each rule names a way in which scripts give
//! themselves away; each threshold leaves room for slow machines, careful hands
//! and coarse clocks, since a shopper who is wrongly refused has to drag again.
//! Lengths are pixels of the picture.

use sha2::{Digest as _, Sha256};

/// Fewest moments: at 60 a second a drag of [`MIN_DRAG_MS`] has eighteen.
pub const MIN_MOMENTS: usize = 10;
/// Most moments: what fits into the body of a request. Pages thin out longer ones.
pub const MAX_MOMENTS: usize = 300;
/// Shortest drag, in ms. Hands need 400 and more to hit within a few pixels.
pub const MIN_DRAG_MS: f64 = 300.0;
/// Shortest time from the puzzle's making to the first touch, in ms: the picture
/// has to travel, to be drawn and to be seen.
pub const MIN_LOOK_MS: f64 = 300.0;
/// Longest part of the way in one step: more is a jump, not a drag.
pub const MAX_STEP: f64 = 0.5;
/// Farthest that a drag may stray, in pixels.
pub const MAX_STRAY: f64 = 2_000.0;
/// How far the hand must leave its own straight line, in pixels (root of the mean
/// square). Rounding to whole pixels alone leaves it by 0.3.
pub const MIN_BOW: f64 = 0.45;
/// How unequal the ways of equal times must be: standard deviation by mean. A
/// hand starts, hurries and brakes, which gives 0.5 and more.
pub const MIN_UNEVEN: f64 = 0.25;
/// Into how many equal times the moving part is cut for that.
const SLICES: usize = 8;
/// How far the way over time must leave every cubic, in pixels (root of the mean
/// square). Straight and eased animations are cubics, but for rounding (0.3).
pub const MIN_UNSMOOTH: f64 = 0.45;
/// How much a height must follow the one before (autocorrelation): a hand
/// drifts, random numbers do not (0).
pub const MIN_DRIFT: f64 = 0.3;

/// Where the piece was at one moment of the drag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Milliseconds since the handle was taken.
    pub at_ms: f64,
    /// How far the piece had come.
    pub x: f64,
    /// How far the hand was below the point where it took the handle.
    pub y: f64,
}

/// What gives a track away. For logs and counters only: a bot must not learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Too few or too many moments, times that run backwards, places far away.
    Malformed,
    /// Shorter than [`MIN_DRAG_MS`].
    TooFast,
    /// It says to have taken longer than there was time for.
    Impossible,
    /// One step of more than [`MAX_STEP`] of the way.
    Jump,
    /// All moments equally far apart, to a tenth of a millisecond.
    Clockwork,
    /// A line, level or slanting.
    TooStraight,
    /// The same speed all the way.
    ConstantSpeed,
    /// A curve out of a formula.
    TooSmooth,
    /// Heights that were thrown like dice.
    Dice,
}

/// Looks for a flaw in a track; `passed_ms` is the time since the puzzle was made,
/// by the server's clock.
///
/// # Errors
/// The first [`Flaw`] that is found.
pub fn judge(track: &[Moment], passed_ms: u64) -> Result<(), Flaw> {
    let drag = Drag::read(track).ok_or(Flaw::Malformed)?;
    if drag.duration < MIN_DRAG_MS {
        return Err(Flaw::TooFast);
    }
    if drag.duration + MIN_LOOK_MS > passed_ms as f64 {
        return Err(Flaw::Impossible);
    }
    if drag.longest_step() > MAX_STEP * drag.way {
        return Err(Flaw::Jump);
    }
    if drag.is_clockwork() {
        return Err(Flaw::Clockwork);
    }
    let sway = drag.sway();
    if mean_size(&sway) < MIN_BOW {
        return Err(Flaw::TooStraight);
    }
    if drag.unevenness() < MIN_UNEVEN {
        return Err(Flaw::ConstantSpeed);
    }
    if drag.unsmoothness() < MIN_UNSMOOTH {
        return Err(Flaw::TooSmooth);
    }
    if autocorrelation(&sway) < MIN_DRIFT {
        return Err(Flaw::Dice);
    }
    Ok(())
}

/// Two marks by which a track is known again: one of its rhythm and heights, which
/// stays when the way is stretched to fit another puzzle; one of its shape, which
/// stays when the times are changed.
#[must_use]
pub fn marks(track: &[Moment]) -> [[u8; 8]; 2] {
    let way = track.last().map_or(0.0, |last| last.x).max(1.0);
    let (mut rhythm, mut shape) = (Sha256::new(), Sha256::new());
    let mut before_ms = 0.0;
    for moment in track {
        let height = (moment.y * 2.0).round() as i64;
        let pause = (moment.at_ms - before_ms).round() as i64;
        let part = (moment.x / way * 100.0).round() as i64;
        before_ms = moment.at_ms;
        rhythm.update(pause.to_be_bytes());
        rhythm.update(height.to_be_bytes());
        shape.update(part.to_be_bytes());
        shape.update(height.to_be_bytes());
    }
    [rhythm, shape].map(|hash| {
        let digest = hash.finalize();
        std::array::from_fn(|index| digest[index])
    })
}

/// A track that is in order, with what is known of it at once.
struct Drag<'a> {
    moments: &'a [Moment],
    /// How long the whole drag took, in ms.
    duration: f64,
    /// The distance from the first place to the last, in pixels.
    way: f64,
}

impl<'a> Drag<'a> {
    fn read(moments: &'a [Moment]) -> Option<Self> {
        let near = |value: f64| value.abs() <= MAX_STRAY;
        let sound = (MIN_MOMENTS..=MAX_MOMENTS).contains(&moments.len())
            && moments
                .iter()
                .all(|m| m.at_ms >= 0.0 && m.at_ms.is_finite() && near(m.x) && near(m.y))
            && moments
                .windows(2)
                .all(|pair| pair[0].at_ms <= pair[1].at_ms);
        let (first, last) = (moments.first()?, moments.last()?);
        let way = last.x - first.x;
        (sound && way >= 1.0).then_some(Self {
            moments,
            duration: last.at_ms - first.at_ms,
            way,
        })
    }

    fn longest_step(&self) -> f64 {
        let steps = self
            .moments
            .windows(2)
            .map(|pair| (pair[1].x - pair[0].x).abs());
        steps.fold(0.0, f64::max)
    }

    fn is_clockwork(&self) -> bool {
        let tenths = |pair: &[Moment]| ((pair[1].at_ms - pair[0].at_ms) * 10.0).round();
        let mut pauses = self.moments.windows(2).map(tenths);
        pauses
            .next()
            .is_some_and(|first| pauses.all(|pause| pause == first))
    }

    /// How far each height is from the straight line that fits best.
    fn sway(&self) -> Vec<f64> {
        let over: Vec<f64> = self.moments.iter().map(|m| m.x).collect();
        let heights = self.moments.iter().map(|m| m.y).collect();
        residue(&over, heights, 1)
    }

    /// The part in which the piece moves: resting before and after, which costs a
    /// script nothing, must not make a constant speed look uneven.
    fn moving(&self) -> &'a [Moment] {
        let begin = self.moments[0].x + 1.0;
        let end = self.moments[0].x + self.way - 1.0;
        let from = self.moments.iter().rposition(|m| m.x <= begin).unwrap_or(0);
        let until = self
            .moments
            .iter()
            .position(|m| m.x >= end)
            .map_or(self.moments.len(), |at| at + 1);
        self.moments.get(from..until).unwrap_or_default()
    }

    /// How unequal the ways of equal times are.
    fn unevenness(&self) -> f64 {
        let moving = self.moving();
        let (Some(first), Some(last)) = (moving.first(), moving.last()) else {
            return 1.0;
        };
        let time =
            |slice: usize| first.at_ms + (last.at_ms - first.at_ms) * slice as f64 / SLICES as f64;
        let places: Vec<f64> = (0..=SLICES)
            .map(|slice| place_at(moving, time(slice)))
            .collect();
        let ways: Vec<f64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = ways.iter().sum::<f64>() / SLICES as f64;
        let spread = ways.iter().map(|way| (way - mean).powi(2)).sum::<f64>() / SLICES as f64;
        spread.sqrt() / mean.abs().max(f64::EPSILON)
    }

    /// How far the way over time is from the cubic that fits best.
    fn unsmoothness(&self) -> f64 {
        let moving = self.moving();
        if moving.len() < 5 {
            // A cubic goes through any four points.
            return 0.0;
        }
        let times: Vec<f64> = moving.iter().map(|m| m.at_ms).collect();
        let off = residue(&times, moving.iter().map(|m| m.x).collect(), 3);
        mean_size(&off)
    }
}

/// Where the piece was at a time between two moments.
fn place_at(moments: &[Moment], at_ms: f64) -> f64 {
    let after = moments.iter().position(|m| m.at_ms >= at_ms);
    match after {
        None => moments.last().map_or(0.0, |m| m.x),
        Some(0) => moments[0].x,
        Some(index) => {
            let (a, b) = (&moments[index - 1], &moments[index]);
            a.x + (b.x - a.x) * (at_ms - a.at_ms) / (b.at_ms - a.at_ms).max(f64::EPSILON)
        }
    }
}

/// What is left of `values` when the best polynomial of this degree over `points`
/// is taken off: one orthogonal polynomial after the other (Gram and Schmidt).
fn residue(points: &[f64], mut values: Vec<f64>, degree: usize) -> Vec<f64> {
    let low = points.iter().copied().fold(f64::INFINITY, f64::min);
    let high = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaled: Vec<f64> = points
        .iter()
        .map(|point| (2.0 * point - low - high) / (high - low).max(f64::EPSILON))
        .collect();
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(degree + 1);
    for power in 0..=degree {
        let mut next: Vec<f64> = scaled
            .iter()
            .map(|point| point.powi(power as i32))
            .collect();
        for known in &basis {
            take_off(&mut next, known);
        }
        // Points that are all the same leave nothing of higher powers.
        if dot(&next, &next) > 1e-9 {
            take_off(&mut values, &next);
            basis.push(next);
        }
    }
    values
}

/// Takes off `values` what lies along `direction`.
fn take_off(values: &mut [f64], direction: &[f64]) {
    let share = dot(values, direction) / dot(direction, direction);
    values
        .iter_mut()
        .zip(direction)
        .for_each(|(value, along)| *value -= share * along);
}

/// Root of the mean square.
fn mean_size(values: &[f64]) -> f64 {
    (dot(values, values) / values.len() as f64).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// How much a value follows the one before it: 1 wholly, 0 not at all. The values
/// are around 0.
fn autocorrelation(values: &[f64]) -> f64 {
    let all = dot(values, values);
    dot(&values[1..], &values[..values.len() - 1]) / all.max(f64::EPSILON)
}

#[cfg(test)]
mod tests;
