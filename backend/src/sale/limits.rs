//! The limits of a round and a product, for sale files and the console's forms.

/// Largest amount of one product, so that no sum of amounts can overflow.
pub const MAX_AMOUNT: u64 = 1_000_000_000;
/// Most stock segments of one product: their numbers have two digits in keys.
pub const MAX_SEGMENTS: usize = 99;
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

/// Whether `name` can be a picture's: a plain file name, never a path.
#[must_use]
pub fn is_picture(name: &str) -> bool {
    let is_mark = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.len() <= MAX_PICTURE && !name.starts_with('.') && name.chars().all(is_mark)
}
