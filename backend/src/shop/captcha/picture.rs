//! A picture with a hole, and the piece that was in it.
//!
//! All of it is drawn here, so that there is nothing to license and no stock of
//! photographs to be learnt by heart: a landscape out of noise, the hole, and
//! decoys, which are holes that the piece does not fit into. Comparing pixels
//! is made dear: piece and picture have grain of their own, edges fade, and holes
//! have the colours of the landscape. A trained network will find the hole all the
//! same; the track and the limits keep such programs slow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};

use self::landscape::Landscape;
use self::noise::Dice;
use self::shape::{BOX, Shape};

/// Hills, sky and sun.
mod landscape;
/// Random numbers and smooth noise.
mod noise;
/// The outline of a piece.
mod shape;

/// Width of a picture, in pixels.
pub const WIDTH: usize = 340;
/// Height of a picture, in pixels.
pub const HEIGHT: usize = 170;
/// Nearest place of the hole: the piece starts at 0 and must not cover it.
pub const NEAREST: usize = BOX + 20;
/// Farthest place of the hole.
pub const FARTHEST: usize = WIDTH - BOX - 6;
/// JPEG quality of the picture: small, and coarse enough to blur single pixels.
const QUALITY: u8 = 58;
/// JPEG quality of the piece.
const PIECE_QUALITY: u8 = 66;

/// A finished picture.
#[derive(Debug)]
pub struct Picture {
    /// How far the piece has to go, in pixels.
    pub answer: u16,
    /// What a page needs to show it, as JSON; not the answer.
    pub json: String,
}

/// Draws a picture. `place` decides where the hole is, `seed` everything else: neither
/// can be computed from the other.
///
/// # Errors
/// The encoder refuses, which it does for sizes that are not ours.
pub fn draw(place: u64, seed: u64) -> Result<Picture, EncodingError> {
    let mut dice = Dice::new(seed);
    let mut canvas = Landscape::new(&mut dice).paint(&mut dice);
    let span = (FARTHEST - NEAREST + 1) as u64;
    let left = NEAREST + (place % span) as usize;
    let top = 5 + ((place / span) % (HEIGHT - BOX - 10) as u64) as usize;
    let shape = Shape::new(&mut dice);
    let piece = cut(&canvas, &shape, (left, top), &mut dice);
    for (decoy, (x, y)) in decoys(&shape, (left, top), &mut dice) {
        press(&mut canvas, &decoy, (x, y), &mut dice);
    }
    press(&mut canvas, &shape, (left, top), &mut dice);
    canvas.grain(7.0, &mut dice);

    let picture = jpeg(&canvas, QUALITY)?;
    let piece = jpeg(&piece, PIECE_QUALITY)?;
    let json = format!(
        r#"{{"width":{WIDTH},"height":{HEIGHT},"size":{BOX},"top":{top},"outline":"{outline}","picture":"data:image/jpeg;base64,{picture}","piece":"data:image/jpeg;base64,{piece}"}}"#,
        outline = shape.path(),
        picture = STANDARD.encode(picture),
        piece = STANDARD.encode(piece),
    );
    Ok(Picture {
        answer: left as u16,
        json,
    })
}

/// Pixels, red, green and blue from 0 to 255.
#[derive(Debug, Clone)]
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![[0.0; 3]; width * height],
        }
    }

    fn at(&self, x: usize, y: usize) -> [f32; 3] {
        self.pixels[y.min(self.height - 1) * self.width + x.min(self.width - 1)]
    }

    fn set(&mut self, x: usize, y: usize, colour: [f32; 3]) {
        self.pixels[y * self.width + x] = colour;
    }

    /// Makes every pixel a little lighter or darker.
    fn grain(&mut self, amount: f32, dice: &mut Dice) {
        for pixel in &mut self.pixels {
            let off = dice.around() * amount;
            *pixel = pixel.map(|channel| channel + off);
        }
    }
}

fn jpeg(canvas: &Canvas, quality: u8) -> Result<Vec<u8>, EncodingError> {
    let bytes: Vec<u8> = canvas
        .pixels
        .iter()
        .flat_map(|pixel| pixel.map(|channel| channel.clamp(0.0, 255.0) as u8))
        .collect();
    let mut file = Vec::with_capacity(16 * 1024);
    let mut encoder = Encoder::new(&mut file, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(
        &bytes,
        canvas.width as u16,
        canvas.height as u16,
        ColorType::Rgb,
    )?;
    Ok(file)
}

/// The square of the picture in which the piece lies, in a light of its own.
fn cut(canvas: &Canvas, shape: &Shape, (left, top): (usize, usize), dice: &mut Dice) -> Canvas {
    let mut piece = Canvas::new(BOX, BOX);
    let light = 1.04 + 0.05 * dice.part();
    for y in 0..BOX {
        for x in 0..BOX {
            // A bevel: light from above left, shade below right.
            let inside = -shape.distance(x as f32 + 0.5, y as f32 + 0.5);
            let edge = (1.0 - inside / 4.0).clamp(0.0, 1.0);
            let facing = (BOX as f32 - x as f32 - y as f32) / BOX as f32;
            let bevel = edge * facing * 46.0;
            piece.set(
                x,
                y,
                canvas
                    .at(left + x, top + y)
                    .map(|channel| channel * light + bevel),
            );
        }
    }
    piece.grain(8.0, dice);
    piece
}

/// Presses a hole into the picture: darker, with a shade along its upper edge, and
/// edges that fade.
fn press(canvas: &mut Canvas, shape: &Shape, (left, top): (usize, usize), dice: &mut Dice) {
    let depth = 0.42 + 0.10 * dice.part();
    let tint = [10.0, 12.0, 26.0];
    for y in 0..BOX.min(canvas.height - top) {
        for x in 0..BOX.min(canvas.width - left) {
            let (at_x, at_y) = (x as f32 + 0.5, y as f32 + 0.5);
            let off = shape.distance(at_x, at_y);
            let covered = (0.5 - off / 2.4).clamp(0.0, 1.0);
            let shade =
                (1.0 - (shape.distance(at_x - 3.0, at_y - 3.5) + 4.0).abs() / 5.0).clamp(0.0, 1.0);
            let rim = (1.0 - (off - 1.0).abs() / 1.4).clamp(0.0, 1.0) * 26.0;
            let dark = covered * (depth + 0.20 * shade * covered);
            let colour = canvas.at(left + x, top + y);
            let mixed = std::array::from_fn(|channel| {
                colour[channel] * (1.0 - dark) + tint[channel] * dark + rim * (1.0 - covered)
            });
            canvas.set(left + x, top + y, mixed);
        }
    }
}

/// Holes of other shapes: one at the height of the true one, where the piece
/// passes it, and others wherever there is room.
fn decoys(shape: &Shape, hole: (usize, usize), dice: &mut Dice) -> Vec<(Shape, (usize, usize))> {
    let mut taken = vec![hole];
    let mut decoys = Vec::new();
    let free = |taken: &[(usize, usize)], x: usize, y: usize| {
        taken
            .iter()
            .all(|(a, b)| a.abs_diff(x) >= BOX - 4 || b.abs_diff(y) >= BOX - 4)
    };
    for attempt in 0..40 {
        let x = NEAREST - 12 + dice.below(FARTHEST - NEAREST + 16);
        let y = if attempt < 20 && decoys.is_empty() {
            // A little beside the piece's own height.
            (hole.1 + dice.below(13)).saturating_sub(6)
        } else {
            dice.below(HEIGHT - BOX)
        };
        let y = y.min(HEIGHT - BOX);
        if free(&taken, x, y) && x <= WIDTH - BOX {
            taken.push((x, y));
            decoys.push((shape.unlike(dice), (x, y)));
            if decoys.len() == 3 {
                break;
            }
        }
    }
    decoys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures() -> impl Iterator<Item = Picture> {
        (0..12).map(|n: u64| draw(n * 7_919, n * 77 + 1).unwrap())
    }

    #[test]
    fn a_picture_and_its_piece_are_small_and_valid_json() {
        for picture in pictures() {
            let shown: serde_json::Value = serde_json::from_str(&picture.json).unwrap();
            assert!(
                picture.json.len() <= 25 * 1024,
                "{} bytes",
                picture.json.len()
            );
            for part in ["picture", "piece"] {
                let data = shown[part]
                    .as_str()
                    .unwrap()
                    .strip_prefix("data:image/jpeg;base64,")
                    .unwrap();
                assert!(
                    STANDARD
                        .decode(data)
                        .unwrap()
                        .starts_with(&[0xff, 0xd8, 0xff])
                );
            }
        }
    }

    #[test]
    fn the_answer_is_in_reach_and_nowhere_in_what_the_page_gets() {
        for picture in pictures() {
            let answer = usize::from(picture.answer);
            assert!((NEAREST..=FARTHEST).contains(&answer));
            let shown: serde_json::Value = serde_json::from_str(&picture.json).unwrap();
            let fields: Vec<&String> = shown.as_object().unwrap().keys().collect();
            assert_eq!(
                fields,
                [
                    "height", "outline", "picture", "piece", "size", "top", "width"
                ]
            );
            // The same for every picture, whatever its answer.
            let sizes = ["height", "size", "width"].map(|field| shown[field].as_u64());
            assert_eq!(sizes, [HEIGHT, BOX, WIDTH].map(|size| Some(size as u64)));
        }
    }

    #[test]
    fn no_two_pictures_are_alike_and_holes_are_spread() {
        let pictures: Vec<Picture> = pictures().collect();
        let texts: std::collections::HashSet<_> = pictures.iter().map(|p| &p.json).collect();
        assert_eq!(texts.len(), pictures.len());
        let places: std::collections::HashSet<_> = pictures.iter().map(|p| p.answer / 20).collect();
        assert!(places.len() >= 6, "{places:?}");
    }

    #[test]
    fn decoys_leave_the_hole_alone_and_have_another_shape() {
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let shape = Shape::new(&mut dice);
            let hole = (
                NEAREST + dice.below(FARTHEST - NEAREST),
                5 + dice.below(HEIGHT - BOX - 10),
            );
            for (decoy, (x, y)) in decoys(&shape, hole, &mut dice) {
                assert_ne!(decoy, shape);
                assert!(x.abs_diff(hole.0) >= BOX - 4 || y.abs_diff(hole.1) >= BOX - 4);
                assert!(x + BOX <= WIDTH && y + BOX <= HEIGHT);
            }
        }
    }
}
