//! Pictures of products: checked, scaled, and stored under the origin.
//!
//! The format is recognised by the content, not the name. A picture is decoded and
//! encoded anew, so that nothing else in the file, such as metadata, reaches a
//! shopper.

use std::io::{self, Cursor};
use std::path::Path;

use image::imageops::FilterType;
use image::{
    DynamicImage, ImageBuffer, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits,
    Rgb, RgbImage,
};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use seckill_core::pages::picture::{Picture, WIDTHS};
use serde::Deserialize;

use super::origin::{Origin, replace};

/// Largest file, in bytes.
pub const MAX_BYTES: usize = 12 << 20;
/// Most pixels: a phone's camera has no more by default, and they take 160 MB of
/// memory.
pub const MAX_PIXELS: u64 = 40_000_000;
/// Longest side, in pixels.
const MAX_SIDE: u32 = 20_000;
/// Shortest side, in pixels.
const MIN_SIDE: u32 = 16;
/// Largest ratio of the longer to the shorter side.
const MAX_RATIO: u32 = 8;
/// JPEG quality of 100: differences are hard to see, and a picture 960 pixels wide
/// takes about 60 KB.
const QUALITY: u8 = 82;

/// Why a picture was refused.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// It has too many bytes.
    #[error("the picture has {} and may have {} MB; save it smaller or as JPEG", mega(.0), MAX_BYTES >> 20)]
    TooLarge(Option<usize>),
    /// It has too many pixels.
    #[error("the picture has {width} × {height} pixels and may have {} million in all; scale it down, 960 pixels of width are shown at most", MAX_PIXELS / 1_000_000)]
    TooManyPixels {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// It is too small or too long for a page.
    #[error(
        "the picture has {width} × {height} pixels; it must have {MIN_SIDE} on either side, and be at most {MAX_RATIO} times as long as broad"
    )]
    Shape {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The part to show is not in it.
    #[error(
        "the part to show is not within the picture, which has {width} × {height} pixels; choose it again"
    )]
    Outside {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// Its format is not supported.
    #[error(
        "this is no PNG, JPEG or WebP picture, whatever its name says; save it as one of these"
    )]
    Format,
    /// It cannot be decoded.
    #[error("the picture is damaged ({0}); save it again")]
    Damaged(ImageError),
    /// It could not be written.
    #[error("the picture could not be stored: {0}")]
    Disk(#[from] io::Error),
}

/// The size in MB, if it is known: a file that is too large is not read to its end.
fn mega(bytes: &Option<usize>) -> String {
    match bytes {
        Some(bytes) => format!("{} MB", bytes.div_ceil(1 << 20)),
        None => "more MB than it may".to_owned(),
    }
}

/// The part of a picture that is shown, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Pixels left of it.
    pub x: u32,
    /// Pixels above it.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Stores the renditions of a picture, or of a part of it, under `origin`. The same
/// file again gives the same picture. Blocks, for about a second if it is large.
///
/// # Errors
/// [`PictureError`].
pub fn store(origin: &Path, bytes: &[u8], crop: Option<Crop>) -> Result<Picture, PictureError> {
    let mut image = decode(bytes)?;
    if let Some(crop) = crop {
        image = cropped(&image, crop)?;
    }
    let width = image.width().min(WIDTHS[WIDTHS.len() - 1]);
    let height = scaled(image.height(), width, image.width());
    let picture = match crop {
        None => Picture::of(bytes, width, height),
        // Two parts of a file are two pictures.
        Some(Crop { x, y, .. }) => {
            let part = format!("{x},{y},{},{}", image.width(), image.height());
            Picture::of(&[bytes, part.as_bytes()].concat(), width, height)
        }
    };
    renew(origin, &picture)?;
    for rendition in picture.renditions() {
        let path = origin.join("pictures").join(&rendition.file);
        if path.is_file() {
            continue;
        }
        let small = if rendition.width == image.width() {
            image.clone()
        } else {
            let (width, height) = (rendition.width, rendition.height);
            DynamicImage::ImageRgb8(image.clone())
                .resize_exact(width, height, FilterType::Lanczos3)
                .into_rgb8()
        };
        replace(&path, &encode(&small)?)?;
    }
    Ok(picture)
}

/// Has the existing renditions of a picture count as just uploaded, lest a sweep remove
/// them: under the lock that sweeps hold.
fn renew(origin: &Path, picture: &Picture) -> io::Result<()> {
    let origin = Origin::open(origin)?;
    let locked = origin.lock()?;
    let renditions = picture.renditions();
    renditions
        .iter()
        .try_for_each(|it| locked.renew(&format!("pictures/{}", it.file)))
}

/// Whether all renditions of a picture exist.
#[must_use]
pub fn is_there(origin: &Path, picture: &Picture) -> bool {
    let folder = origin.join("pictures");
    let all = picture.renditions();
    all.iter().all(|it| folder.join(&it.file).is_file())
}

fn cropped(image: &RgbImage, crop: Crop) -> Result<RgbImage, PictureError> {
    let Crop {
        x,
        y,
        width,
        height,
    } = crop;
    let ends_within =
        |from: u32, length: u32, side: u32| from.checked_add(length).is_some_and(|end| end <= side);
    if !ends_within(x, width, image.width()) || !ends_within(y, height, image.height()) {
        let (width, height) = (image.width(), image.height());
        return Err(PictureError::Outside { width, height });
    }
    check_shape(width, height)?;
    Ok(image::imageops::crop_imm(image, x, y, width, height).to_image())
}

fn check_shape(width: u32, height: u32) -> Result<(), PictureError> {
    let (short, long) = (width.min(height), width.max(height));
    if short < MIN_SIDE || long / short > MAX_RATIO {
        return Err(PictureError::Shape { width, height });
    }
    Ok(())
}

fn scaled(side: u32, to: u32, from: u32) -> u32 {
    let scaled = u64::from(side) * u64::from(to) / u64::from(from.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

/// Decodes a picture, turned as its camera noted, on white.
fn decode(bytes: &[u8]) -> Result<RgbImage, PictureError> {
    if bytes.len() > MAX_BYTES {
        return Err(PictureError::TooLarge(Some(bytes.len())));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes));
    let format = image::guess_format(bytes).map_err(|_| PictureError::Format)?;
    if ![ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP].contains(&format) {
        return Err(PictureError::Format);
    }
    reader.set_format(format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(too_large_or_damaged)?;
    // Before anything is decoded: a small file may hold a huge picture.
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::TooManyPixels { width, height });
    }
    check_shape(width, height)?;
    let orientation = decoder.orientation().map_err(PictureError::Damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(too_large_or_damaged)?;
    image.apply_orientation(orientation);
    Ok(on_white(image))
}

fn too_large_or_damaged(error: ImageError) -> PictureError {
    match error {
        ImageError::Limits(_) => PictureError::TooManyPixels {
            width: MAX_SIDE,
            height: MAX_SIDE,
        },
        error => PictureError::Damaged(error),
    }
}

/// Puts a picture on white: JPEG has no transparency, and pages are white.
fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let (width, height) = image.dimensions();
    ImageBuffer::from_fn(width, height, |x, y| {
        let [r, g, b, alpha] = image.get_pixel(x, y).0;
        let over = |colour: u8| {
            let (colour, alpha) = (u16::from(colour), u16::from(alpha));
            let mixed = (colour * alpha + 255 * (255 - alpha)) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        Rgb([over(r), over(g), over(b)])
    })
}

/// As a JPEG whose Huffman tables are made for this picture, and which has its colours in
/// full: halved colours would be smaller still, and blur red edges.
fn encode(image: &RgbImage) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    let side = |pixels: u32| u16::try_from(pixels).map_err(io::Error::other);
    let (width, height) = (side(image.width())?, side(image.height())?);
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.set_optimized_huffman_tables(true);
    encoder
        .encode(image, width, height, ColorType::Rgb)
        .map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn photo(width: u32, height: u32) -> DynamicImage {
        let colour = |x: u32, y: u32| Rgb([(x % 251) as u8, (y % 241) as u8, 90]);
        DynamicImage::ImageRgb8(ImageBuffer::from_fn(width, height, colour))
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("seckill-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("pictures")).unwrap();
        folder
    }

    #[test]
    fn a_picture_is_made_small_and_stripped_of_all_else() {
        let folder = folder("pictures");
        let mut bytes = file(&photo(2_000, 1_500), ImageFormat::Jpeg);
        // Behind the picture hides a script.
        bytes.extend_from_slice(b"<script>alert(1)</script>");
        let picture = store(&folder, &bytes, None).unwrap();
        assert_eq!((picture.width(), picture.height()), (960, 720));
        for rendition in picture.renditions() {
            let made = std::fs::read(folder.join("pictures").join(&rendition.file)).unwrap();
            let seen = image::load_from_memory(&made).unwrap();
            assert_eq!(
                (seen.width(), seen.height()),
                (rendition.width, rendition.height)
            );
            assert!(!made.windows(8).any(|part| part == b"<script>"));
        }
        assert!(is_there(&folder, &picture));
        assert_eq!(store(&folder, &bytes, None).unwrap(), picture);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_format_is_known_by_its_content_and_lies_on_white() {
        let folder = folder("formats");
        let clear =
            DynamicImage::ImageRgba8(ImageBuffer::from_pixel(64, 48, image::Rgba([9, 9, 9, 0])));
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let picture = store(&folder, &file(&clear, format), None).unwrap();
            let made = folder.join("pictures").join(&picture.renditions()[0].file);
            let seen = image::open(made).unwrap().into_rgb8();
            assert!(
                seen.get_pixel(9, 9).0.iter().all(|part| *part > 250),
                "{format:?}"
            );
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_part_that_the_operator_chose_is_shown() {
        let folder = folder("cropped");
        // Its left half is dark, its right half light.
        let half = |x: u32, _| Rgb([if x < 300 { 20 } else { 230 }; 3]);
        let bytes = file(
            &DynamicImage::ImageRgb8(ImageBuffer::from_fn(600, 300, half)),
            ImageFormat::Png,
        );
        let crop = |x, width| Crop {
            x,
            y: 0,
            width,
            height: 300,
        };
        let right = store(&folder, &bytes, Some(crop(300, 300))).unwrap();
        assert_eq!((right.width(), right.height()), (300, 300));
        let made = folder.join("pictures").join(&right.renditions()[0].file);
        let seen = image::open(made).unwrap().into_rgb8();
        assert!(seen.get_pixel(20, 20).0[0] > 200);
        let left = store(&folder, &bytes, Some(crop(0, 300))).unwrap();
        assert_ne!(left, right, "two parts of a file are two pictures");
        for outside in [crop(301, 300), crop(u32::MAX, 2)] {
            let error = store(&folder, &bytes, Some(outside)).unwrap_err();
            assert!(error.to_string().contains("600 × 300"), "{error}");
        }
        assert!(
            store(&folder, &bytes, Some(crop(0, 9))).is_err(),
            "a splinter"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_the_limit() {
        let folder = folder("refused");
        let refused = |bytes: &[u8]| store(&folder, bytes, None).unwrap_err().to_string();
        assert!(refused(&vec![0xff; 30 << 20]).contains("30 MB and may have 12 MB"));
        for bad in [&b"GIF89a"[..], b"<svg xmlns='x'/>", b"", b"<html>"] {
            assert!(refused(bad).contains("no PNG, JPEG or WebP"));
        }
        let long = file(&photo(900, 20), ImageFormat::Png);
        assert!(refused(&long).contains("900 × 20"));
        let whole = file(&photo(64, 64), ImageFormat::Png);
        assert!(refused(&whole[..whole.len() / 2]).contains("damaged"));
        // A bomb: a kilobyte that says it has nine hundred million pixels.
        let mut bomb = whole;
        bomb[16..20].copy_from_slice(&15_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&15_000_u32.to_be_bytes());
        let crc = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(
            refused(&bomb).contains("may have 40 million"),
            "{}",
            refused(&bomb)
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
