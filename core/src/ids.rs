//! Identifiers are checked once, at the border; behind it they are known to be
//! safe inside a URL, a Redis key, a file name and a JSON string.

use std::fmt;

/// Longest round or product id, in bytes.
pub const MAX_ID: usize = 32;
/// Longest user id, in bytes.
pub const MAX_USER: usize = 64;
/// Longest request id (`Idempotency-Key`), in bytes.
pub const MAX_REQUEST: usize = 64;

/// Whether `s` may name a round or a product: 1 to 32 of `A-Z a-z 0-9 _`.
///
/// The hyphen is left out because pages are called `{round}-{product}.html`.
#[must_use]
pub fn is_id(s: &str) -> bool {
    (1..=MAX_ID).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether `s` may name a user: 1 to 64 of `A-Z a-z 0-9 _ . @ + -`.
#[must_use]
pub fn is_user(s: &str) -> bool {
    (1..=MAX_USER).contains(&s.len())
        && s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.@+-".contains(&b))
}

/// Whether `s` may be a request id: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[must_use]
pub fn is_request(s: &str) -> bool {
    (1..=MAX_REQUEST).contains(&s.len())
        && s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

/// Splits `text` into exactly `N` parts at the ASCII byte `separator`.
///
/// In place of `str::split`, whose search by character costs the gate more than
/// the rest of the parsing together.
pub(crate) fn split_exactly<const N: usize>(text: &str, separator: u8) -> Option<[&str; N]> {
    let mut parts = [""; N];
    let (mut begin, mut found) = (0, 0);
    for (at, byte) in text.bytes().enumerate() {
        if byte == separator {
            *parts.get_mut(found)? = &text[begin..at];
            found += 1;
            begin = at + 1;
        }
    }
    *parts.get_mut(found)? = &text[begin..];
    (found + 1 == N).then_some(parts)
}

/// One product in one round, the unit that is sold: written `round::product`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    round: String,
    product: String,
}

impl Item {
    /// The item of these two ids, or `None` if one of them is malformed.
    #[must_use]
    pub fn new(round: &str, product: &str) -> Option<Self> {
        (is_id(round) && is_id(product)).then(|| Self {
            round: round.to_owned(),
            product: product.to_owned(),
        })
    }

    /// Reads the written form `round::product`.
    #[must_use]
    pub fn parse(s: &str) -> Option<Self> {
        let (round, product) = s.split_once("::")?;
        Self::new(round, product)
    }

    /// The round's id.
    #[must_use]
    pub fn round(&self) -> &str {
        &self.round
    }

    /// The product's id.
    #[must_use]
    pub fn product(&self) -> &str {
        &self.product
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.round, self.product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_break_out_of_a_key_a_url_or_a_file_name() {
        for bad in [
            "",
            "a-b",
            "a:b",
            "a/b",
            "..",
            "a b",
            "é",
            "{1}",
            &"x".repeat(33),
        ] {
            assert!(!is_id(bad), "{bad:?}");
        }
        assert!(is_id("153") && is_id("Noon_2026"));
        assert!(is_user("li.wei+1@example.com") && !is_user("a\"b") && !is_user("a\n"));
        assert!(is_request("3f2a-9_Z") && !is_request("a b") && !is_request(""));
    }

    #[test]
    fn splits_into_exactly_as_many_parts_as_asked() {
        assert_eq!(split_exactly("a/b/", b'/'), Some(["a", "b", ""]));
        assert_eq!(split_exactly::<2>("a/b/", b'/'), None);
        assert_eq!(split_exactly::<4>("a/b/", b'/'), None);
        assert_eq!(split_exactly("", b'/'), Some([""]));
    }

    #[test]
    fn an_item_reads_back_as_written() {
        let item = Item::new("1", "153").unwrap();
        assert_eq!(Item::parse(&item.to_string()), Some(item));
        assert_eq!(Item::parse("1::"), None);
        assert_eq!(Item::parse("1"), None);
    }
}
