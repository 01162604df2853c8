//! Random numbers for drawing, and smooth noise. What is secret about a picture
//! does not come from here.

/// SplitMix64: quick, and any seed will do.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A random number from 0 to 1.
    pub(super) fn part(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A random number from -1 to 1.
    pub(super) fn around(&mut self) -> f32 {
        self.part() * 2.0 - 1.0
    }

    /// A whole number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn mixed(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Smooth noise over a plane, from -1 to 1, different for each seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    seed: u64,
}

impl Field {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self { seed: dice.next() }
    }

    fn corner(self, x: i32, y: i32) -> f32 {
        let place = (x as u32 as u64) << 32 | u64::from(y as u32);
        (mixed(self.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 40) as f32
            / (1u32 << 23) as f32
            - 1.0
    }

    /// One octave: values at the corners of a grid, eased between them.
    fn octave(self, x: f32, y: f32) -> f32 {
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let between = |a: f32, b: f32, t: f32| a + (b - a) * t;
        let (left, top) = (x.floor(), y.floor());
        let (column, row) = (left as i32, top as i32);
        let (along, down) = (ease(x - left), ease(y - top));
        let upper = between(
            self.corner(column, row),
            self.corner(column + 1, row),
            along,
        );
        let lower = between(
            self.corner(column, row + 1),
            self.corner(column + 1, row + 1),
            along,
        );
        between(upper, lower, down)
    }

    /// Several octaves, each twice as fine and half as strong.
    pub(super) fn at(self, x: f32, y: f32, octaves: u32) -> f32 {
        let (mut sum, mut size, mut fine) = (0.0, 0.5, 1.0);
        for _ in 0..octaves {
            sum += self.octave(x * fine, y * fine) * size;
            (size, fine) = (size * 0.5, fine * 2.03);
        }
        sum
    }
}
