//! Pictures of products, by what is in them.
//!
//! A picture's name is all that is stored of it: the hash of its content and its
//! size. File names are built of a name that was read by [`Picture::parse`], thus
//! of digits only, so that no path can be smuggled in.

use std::fmt;

use serde::Serialize;

use crate::pages::assets;

/// Where pictures are served.
pub const FOLDER: &str = "/pictures/";
/// Widths that are made of every picture, in pixels: a phone, and a desktop or a
/// phone of high density. A picture that is narrower is not made wider.
pub const WIDTHS: [u32; 2] = [480, 960];
/// Most pictures of one product.
pub const MOST: usize = 5;
/// Longest side that a name can have.
const LONGEST: u32 = 100_000;

/// A picture as the pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    hash: String,
    width: u32,
    height: u32,
}

/// One of the sizes in which a picture is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Its name under [`FOLDER`].
    pub file: String,
}

/// A picture as the documents for pages name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The address of the narrowest rendition.
    pub src: String,
    /// The value of an `img`'s `srcset`.
    pub srcset: String,
    /// Width of the widest rendition, in pixels.
    pub width: u32,
    /// Height of the widest rendition, in pixels.
    pub height: u32,
}

/// A picture, and what it shows in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The picture.
    pub picture: Picture,
    /// Its alternative text, for those who do not see it; empty if the operator wrote
    /// none, when the product's title stands for it.
    pub alt: String,
}

/// Reads the pictures of a product with their alternative texts, as
/// [`alt_lines`] stores them.
#[must_use]
pub fn described(names: &str, alts: &str) -> Vec<Described> {
    // A name that is no picture's takes its text along.
    let alts = alts.split('\n').chain(std::iter::repeat(""));
    let both = names.split(',').zip(alts).filter_map(|(name, alt)| {
        let (picture, alt) = (Picture::parse(name)?, alt.to_owned());
        Some(Described { picture, alt })
    });
    both.take(MOST).collect()
}

/// The stored form of the pictures' alternative texts: a line each, in the order of the
/// pictures. No text has a line break in it.
#[must_use]
pub fn alt_lines(alts: &[String]) -> String {
    alts.join("\n")
}

/// Reads what [`alt_lines`] stored.
#[must_use]
pub fn parse_alts(lines: &str) -> Vec<String> {
    match lines {
        "" => Vec::new(),
        lines => lines.split('\n').map(str::to_owned).collect(),
    }
}

/// Reads the pictures of a product, `NAME,NAME`: the first is shown where there is
/// room for one. What is not the name of a picture is left out.
#[must_use]
pub fn parse_all(text: &str) -> Vec<Picture> {
    let names = text.split(',').filter_map(Picture::parse);
    names.take(MOST).collect()
}

/// The picture that stands for a product, if it has one.
#[must_use]
pub fn first(text: &str) -> Option<Shown> {
    parse_all(text).first().map(Picture::shown)
}

impl Picture {
    /// The picture of these bytes, as uploaded, whose widest rendition has this size.
    #[must_use]
    pub fn of(bytes: &[u8], width: u32, height: u32) -> Self {
        Self {
            hash: assets::content_hash(bytes),
            width: width.max(1),
            height: height.max(1),
        }
    }

    /// Reads `0123456789abcdef-960x720`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (hash, size) = text.split_once('-')?;
        let (width, height) = size.split_once('x')?;
        let is_hash = hash.len() == 16
            && hash
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let side = |text: &str| {
            let side: u32 = text.parse().ok()?;
            // One picture has one name.
            ((1..=LONGEST).contains(&side) && side.to_string() == text).then_some(side)
        };
        let (width, height) = (side(width)?, side(height)?);
        let hash = hash.to_owned();
        is_hash.then_some(Self {
            hash,
            width,
            height,
        })
    }

    /// Width of the widest rendition, in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the widest rendition, in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All sizes, from the narrowest to the widest.
    #[must_use]
    pub fn renditions(&self) -> Vec<Rendition> {
        let narrower = WIDTHS.into_iter().filter(|width| *width < self.width);
        narrower
            .chain([self.width])
            .map(|width| {
                let height = u64::from(self.height) * u64::from(width) / u64::from(self.width);
                Rendition {
                    width,
                    height: u32::try_from(height).unwrap_or(u32::MAX).max(1),
                    file: format!("{}-{width}.jpg", self.hash),
                }
            })
            .collect()
    }

    /// The value of an `img`'s `srcset`.
    #[must_use]
    pub fn srcset(&self) -> String {
        let all = self.renditions();
        let entries = all
            .iter()
            .map(|it| format!("{FOLDER}{} {}w", it.file, it.width));
        entries.collect::<Vec<_>>().join(", ")
    }

    /// What documents for pages say of it.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown {
            src: self.src(),
            srcset: self.srcset(),
            width: self.width,
            height: self.height,
        }
    }

    /// The address of the narrowest rendition.
    #[must_use]
    pub fn src(&self) -> String {
        let narrowest = self.width.min(WIDTHS[0]);
        format!("{FOLDER}{}-{narrowest}.jpg", self.hash)
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}x{}", self.hash, self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back() {
        let picture = Picture::of(b"bytes", 960, 720);
        assert_eq!(Picture::parse(&picture.to_string()), Some(picture));
    }

    #[test]
    fn nothing_but_a_name_is_read() {
        for bad in [
            "",
            "../../etc/passwd",
            "0123456789abcdef",
            "0123456789abcdef-960",
            "0123456789abcdef-0x1",
            "0123456789abcdef-+9x1",
            "0123456789abcdef-09x1",
            "0123456789ABCDEF-9x1",
            "0123456789abcde/-9x1",
            "0123456789abcdef-9x1/..",
            "0123456789abcdef-9x999999",
        ] {
            assert_eq!(Picture::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_picture_comes_in_the_widths_that_it_has() {
        let widths = |width| {
            let picture = Picture::of(b"", width, 100);
            let all = picture.renditions();
            all.into_iter().map(|it| it.width).collect::<Vec<_>>()
        };
        assert_eq!(widths(960), [480, 960]);
        assert_eq!(widths(700), [480, 700]);
        assert_eq!(widths(480), [480]);
        assert_eq!(widths(100), [100]);
    }

    #[test]
    fn a_product_has_several_pictures_and_the_first_stands_for_it() {
        let (one, two) = ("0123456789abcdef-960x720", "fedcba9876543210-480x480");
        assert_eq!(parse_all(&format!("{one},{two}")).len(), 2);
        assert_eq!(first(&format!("{two},{one}")).unwrap().width, 480);
        assert_eq!(parse_all(&format!("phone.jpg,{one}")).len(), 1);
        assert_eq!(parse_all(&[one; 9].join(",")).len(), MOST);
        assert_eq!(first(""), None);
    }

    #[test]
    fn a_text_stays_with_its_picture() {
        let (one, two) = ("0123456789abcdef-960x720", "fedcba9876543210-480x480");
        let alts = ["Front".to_owned(), String::new(), "Back".to_owned()];
        assert_eq!(parse_alts(&alt_lines(&alts)), alts);
        assert_eq!(parse_alts(&alt_lines(&[])), [""; 0]);
        let all = described(&format!("{one},phone.jpg,{two},{one}"), &alt_lines(&alts));
        let texts: Vec<&str> = all.iter().map(|it| it.alt.as_str()).collect();
        assert_eq!(texts, ["Front", "Back", ""]);
        assert_eq!(all[1].picture.to_string(), two);
        assert_eq!(described("", "Front"), []);
    }

    #[test]
    fn an_image_names_every_width() {
        let picture = Picture::parse("0123456789abcdef-960x721").unwrap();
        assert_eq!(
            picture.srcset(),
            "/pictures/0123456789abcdef-480.jpg 480w, /pictures/0123456789abcdef-960.jpg 960w"
        );
        assert_eq!(picture.src(), "/pictures/0123456789abcdef-480.jpg");
        assert_eq!(picture.renditions()[0].height, 360);
    }
}
