//! A landscape that nobody has seen before: sky, clouds, sun, and ranges of hills.

use super::noise::{Dice, Field};
use super::{Canvas, HEIGHT, WIDTH};

type Colour = [f32; 3];

/// Colours that go together: sky above and at the horizon, sun, farthest and
/// nearest hills.
const PALETTES: [[u32; 5]; 12] = [
    [0x3b82c4, 0xcfe8f7, 0xfff6d8, 0x9fb9cc, 0x2f5d50],
    [0x24386b, 0xf29e6d, 0xffe3a8, 0x8a6f93, 0x2b2a4c],
    [0x5a7fb5, 0xf7d9c4, 0xfff1cf, 0xb59db0, 0x5b4a6f],
    [0x1f6f78, 0xd6f0dd, 0xfffbe0, 0x8fc0ac, 0x1d4d43],
    [0x6b3fa0, 0xf6b7c1, 0xffe9d2, 0xb07fb5, 0x3f2663],
    [0xc8553d, 0xf9dcae, 0xfff4c7, 0xd99a6c, 0x6a2f2b],
    [0x2c5a8c, 0xa7dbe8, 0xf4fff4, 0x6fa7b8, 0x20405c],
    [0x88a6c9, 0xf3efe4, 0xffffff, 0xb9c3c9, 0x55676f],
    [0x3a7d44, 0xe9f5c9, 0xfffde0, 0x97bf83, 0x22492e],
    [0x14213d, 0x6c8fc7, 0xfdf0d5, 0x47608f, 0x101a30],
    [0xd98ba5, 0xfbe6d6, 0xfff8e6, 0xc9909f, 0x6d4258],
    [0x4d908e, 0xf9e7b3, 0xffffe6, 0xa3b18a, 0x3c5f41],
];

fn colour(hex: u32) -> Colour {
    [hex >> 16, hex >> 8 & 0xff, hex & 0xff].map(|channel| channel as f32)
}

fn mix(a: Colour, b: Colour, part: f32) -> Colour {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * part)
}

/// A range of hills.
struct Range {
    /// The height of its ridge in each column, from the top.
    ridge: Vec<f32>,
    colour: Colour,
    texture: Field,
    /// How coarse its texture is.
    grain: f32,
}

/// What a picture shows.
pub(super) struct Landscape {
    palette: [Colour; 5],
    horizon: f32,
    sun: (f32, f32, f32),
    clouds: Field,
    cloudy: f32,
    ranges: Vec<Range>,
}

impl Landscape {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let shift = dice.around() * 14.0;
        let palette = PALETTES[dice.below(PALETTES.len())]
            .map(|hex| colour(hex).map(|channel| channel + shift + dice.around() * 10.0));
        let horizon = HEIGHT as f32 * (0.34 + 0.2 * dice.part());
        let count = 3 + dice.below(3);
        let ranges = (0..count)
            .map(|index| range(index, count, horizon, &palette, dice))
            .collect();
        Self {
            horizon,
            sun: (
                WIDTH as f32 * (0.1 + 0.8 * dice.part()),
                horizon * (0.25 + 0.6 * dice.part()),
                8.0 + 14.0 * dice.part(),
            ),
            clouds: Field::new(dice),
            cloudy: 0.35 + 0.5 * dice.part(),
            palette,
            ranges,
        }
    }

    pub(super) fn paint(&self, dice: &mut Dice) -> Canvas {
        let mut canvas = Canvas::new(WIDTH, HEIGHT);
        let tilt = dice.around() * 0.25;
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                canvas.set(x, y, self.colour_at(x, y, tilt));
            }
        }
        canvas
    }

    fn colour_at(&self, x: usize, y: usize, tilt: f32) -> Colour {
        let (at_x, at_y) = (x as f32, y as f32);
        // The nearest range that covers the point hides all that is behind.
        let front = self
            .ranges
            .iter()
            .rposition(|range| range.ridge[x] <= at_y - 0.5);
        let mut colour = match front {
            Some(index) => self.ranges[index].colour_at(at_x, at_y, x, self.palette[1]),
            None => self.sky(at_x, at_y, tilt),
        };
        // Ridges in front of it cover part of the pixel.
        for range in &self.ranges[front.map_or(0, |index| index + 1)..] {
            let covered = (at_y + 0.5 - range.ridge[x]).clamp(0.0, 1.0);
            colour = mix(colour, range.colour, covered);
        }
        colour
    }

    fn sky(&self, x: f32, y: f32, tilt: f32) -> Colour {
        let down = (y / (self.horizon * 1.35) + tilt * (x / WIDTH as f32 - 0.5)).clamp(0.0, 1.0);
        let sky = mix(self.palette[0], self.palette[1], down);
        let (sun_x, sun_y, radius) = self.sun;
        let away = (x - sun_x).hypot(y - sun_y);
        let glow = (1.0 - away / (radius * 6.0)).max(0.0).powi(2) * 0.55;
        let disc = (radius - away + 0.5).clamp(0.0, 1.0);
        let lit = mix(sky, self.palette[2], glow.max(disc));
        let cloud = self.clouds.at(x / 62.0, y / 21.0, 4);
        mix(
            lit,
            [250.0, 250.0, 252.0],
            ((cloud - 0.02) * 2.2).clamp(0.0, 1.0) * self.cloudy,
        )
    }
}

impl Range {
    fn colour_at(&self, x: f32, y: f32, column: usize, haze: Colour) -> Colour {
        let below = y - self.ridge[column];
        let rough = self.texture.at(x / self.grain, y / (self.grain * 0.7), 3) * 44.0;
        // Light on the ridge, haze at the foot.
        let lit = (1.0 - below / 9.0).clamp(0.0, 1.0) * 20.0;
        let base = mix(self.colour, haze, (below / 130.0).clamp(0.0, 0.4));
        base.map(|channel| channel + rough + lit)
    }
}

fn range(
    index: usize,
    count: usize,
    horizon: f32,
    palette: &[Colour; 5],
    dice: &mut Dice,
) -> Range {
    let part = (index as f32 + 0.4) / count as f32;
    let (ridge, texture) = (Field::new(dice), Field::new(dice));
    let height = horizon + (HEIGHT as f32 - horizon) * part * (0.82 + 0.15 * dice.part());
    let (steep, wide) = (
        16.0 + 26.0 * dice.part(),
        48.0 + 90.0 * dice.part() * (1.2 - part),
    );
    let octaves = 3 + dice.below(3) as u32;
    Range {
        ridge: (0..WIDTH)
            .map(|x| height + ridge.at(x as f32 / wide, 0.0, octaves) * steep)
            .collect(),
        colour: mix(
            palette[3],
            palette[4],
            (part + dice.around() * 0.1).clamp(0.0, 1.0),
        ),
        texture,
        grain: 7.0 + 16.0 * dice.part(),
    }
}
