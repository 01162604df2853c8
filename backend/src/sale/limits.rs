//! The limits of a round and a product, for sale files and the console's forms.

use seckill_core::pages::picture;

/// Largest amount of one product, so that no sum of amounts can overflow.
pub const MAX_AMOUNT: u64 = 1_000_000_000;
/// Most stock segments of one product: their numbers have two digits in keys.
pub const MAX_SEGMENTS: usize = 99;
/// Most products of one round.
pub const MAX_PRODUCTS: usize = 10_000;
/// Highest price, in cents.
pub const MAX_PRICE_CENTS: u64 = 1_000_000_000_000;
/// Longest name or title, in characters.
pub const MAX_NAME: usize = 120;
/// Longest description of a product, in characters.
pub const MAX_TEXT: usize = 4_000;
/// Most days of a repeated round.
pub const MAX_DAYS: u32 = 92;
/// Longest file name of a picture, in bytes.
pub const MAX_PICTURE: usize = 100;
/// Longest alternative text of a picture, in characters.
pub const MAX_ALT: usize = 200;
/// Longest list of a product's pictures, in bytes.
const MAX_PICTURES: usize = 255;

/// Whether `names` can be a product's pictures: plain file names divided by commas,
/// never paths. None is a list as well.
#[must_use]
pub fn is_picture(names: &str) -> bool {
    let is_mark = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = |name: &str| {
        name.len() <= MAX_PICTURE && !name.starts_with('.') && name.chars().all(is_mark)
    };
    let is_list = || {
        names
            .split(',')
            .all(|name| !name.is_empty() && is_name(name))
    };
    let count = names.split(',').count();
    names.is_empty() || names.len() <= MAX_PICTURES && count <= picture::MOST && is_list()
}

/// The number of a product's pictures.
#[must_use]
pub fn picture_count(names: &str) -> usize {
    names.split(',').filter(|name| !name.is_empty()).count()
}
