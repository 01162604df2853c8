//! The outline of a piece: a square of which each side is straight, has a knob or
//! has a dent, as in a jigsaw.

use std::f32::consts::FRAC_PI_2;

use super::noise::Dice;

/// Side of the square in which a piece lies, in pixels.
pub(super) const BOX: usize = 66;
const CENTRE: f32 = BOX as f32 / 2.0;
/// Half the side of a piece's body.
const HALF: f32 = 21.0;
/// Radius of a knob or dent.
const KNOB: f32 = 8.0;
/// How far the centre of a knob is outside of its side, and that of a dent inside.
const OUT: f32 = 3.0;
/// Radius of the body's corners.
const CORNER: f32 = 4.0;

/// What a side of a piece is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Straight,
    Knob,
    Dent,
}

/// A piece: its sides from the top, clockwise. Two of them at least are not straight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape([Side; 4]);

impl Shape {
    pub(super) fn new(dice: &mut Dice) -> Self {
        loop {
            let shape = Self(std::array::from_fn(|_| match dice.below(5) {
                0 => Side::Straight,
                1 | 2 => Side::Knob,
                _ => Side::Dent,
            }));
            if shape
                .0
                .iter()
                .filter(|side| **side != Side::Straight)
                .count()
                >= 2
            {
                return shape;
            }
        }
    }

    /// A shape that differs in two sides at least, so that people see it at once.
    pub(super) fn unlike(&self, dice: &mut Dice) -> Self {
        loop {
            let other = Self::new(dice);
            if other
                .0
                .iter()
                .zip(self.0)
                .filter(|(a, b)| **a != *b)
                .count()
                >= 2
            {
                return other;
            }
        }
    }

    /// How far a point of the box is outside of the piece; inside it is negative.
    pub(super) fn distance(&self, x: f32, y: f32) -> f32 {
        let (mut x, mut y) = (x - CENTRE, y - CENTRE);
        let (over_x, over_y) = (x.abs() - HALF + CORNER, y.abs() - HALF + CORNER);
        let mut distance =
            over_x.max(0.0).hypot(over_y.max(0.0)) + over_x.max(over_y).min(0.0) - CORNER;
        for side in self.0 {
            // This side is on top now.
            match side {
                Side::Straight => {}
                Side::Knob => distance = distance.min(x.hypot(y + HALF + OUT) - KNOB),
                Side::Dent => distance = distance.max(KNOB - x.hypot(y + HALF - OUT)),
            }
            (x, y) = (y, -x);
        }
        distance
    }

    /// The outline as an SVG path, in pixels of the box.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        let half_chord = (KNOB * KNOB - OUT * OUT).sqrt();
        for (turn, side) in self.0.into_iter().enumerate() {
            let (sin, cos) = (turn as f32 * FRAC_PI_2).sin_cos();
            let point = |x: f32, y: f32| {
                format!(
                    "{:.1} {:.1}",
                    CENTRE + x * cos - y * sin,
                    CENTRE + x * sin + y * cos
                )
            };
            let begin = if turn == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{begin}{}", point(CORNER - HALF, -HALF)));
            if side != Side::Straight {
                let sweep = u8::from(side == Side::Knob);
                path.push_str(&format!(
                    "L{}A{KNOB} {KNOB} 0 1 {sweep} {}",
                    point(-half_chord, -HALF),
                    point(half_chord, -HALF)
                ));
            }
            path.push_str(&format!(
                "L{}A{CORNER} {CORNER} 0 0 1 {}",
                point(HALF - CORNER, -HALF),
                point(HALF, CORNER - HALF)
            ));
        }
        path.push('Z');
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_are_inside_and_dents_outside() {
        let shape = Shape([Side::Knob, Side::Dent, Side::Straight, Side::Straight]);
        assert!(shape.distance(CENTRE, CENTRE) < 0.0);
        assert!(
            shape.distance(CENTRE, CENTRE - HALF - OUT) < 0.0,
            "the knob on top"
        );
        assert!(
            shape.distance(CENTRE + HALF - OUT, CENTRE) > 0.0,
            "the dent on the right"
        );
        assert!(
            shape.distance(CENTRE - HALF - OUT, CENTRE) > 0.0,
            "nothing on the left"
        );
        assert!(shape.distance(0.5, 0.5) > 0.0);
    }

    #[test]
    fn the_outline_is_where_the_distance_is_zero() {
        let mut dice = Dice::new(4);
        for _ in 0..50 {
            let shape = Shape::new(&mut dice);
            let path = shape.path();
            assert!(path.starts_with('M') && path.ends_with('Z'));
            // The points where the straight parts end lie on the outline.
            for part in path
                .trim_start_matches('M')
                .split(['L', 'A', 'Z'])
                .filter(|part| part.split(' ').count() == 2)
            {
                let numbers: Vec<f32> = part
                    .split(' ')
                    .map(|number| number.parse().unwrap())
                    .collect();
                let off = shape.distance(numbers[0], numbers[1]);
                assert!(off.abs() < 0.2, "{path}: {part} is off by {off}");
            }
        }
    }

    #[test]
    fn a_decoy_differs_in_two_sides() {
        let mut dice = Dice::new(8);
        for _ in 0..100 {
            let shape = Shape::new(&mut dice);
            let other = shape.unlike(&mut dice);
            assert!(
                shape
                    .0
                    .iter()
                    .zip(other.0)
                    .filter(|(a, b)| **a != *b)
                    .count()
                    >= 2
            );
        }
    }
}
