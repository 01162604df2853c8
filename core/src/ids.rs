//! Identifiers are checked once, where they come in; from there on they are known to
//! be safe inside a URL, a Redis key, a file name and a JSON string.

use std::fmt;

/// Numbers in digits.
pub mod digits;
/// Buyers' ids: as the shop's login names them, and as they are written here.
pub mod user;

pub use user::is_user;

/// Longest round or product id, in bytes.
pub const MAX_ID: usize = 32;
/// Longest name of an operator's account, in bytes.
pub const MAX_ACCOUNT: usize = 64;
/// Longest request id (`Idempotency-Key`), in bytes.
pub const MAX_REQUEST: usize = 64;

/// Whether `s` may name a round or a product: 1 to 32 of `A-Z a-z 0-9 _`.
///
/// The hyphen is left out because pages are called `{round}-{product}.html`.
#[must_use]
pub fn is_id(s: &str) -> bool {
    (1..=MAX_ID).contains(&s.len()) && consists_of(ID, s)
}

/// Whether `s` may name an operator's account: 1 to 64 of `A-Z a-z 0-9 _ . @ + -`, and not
/// only dots, which browsers take for a step in the path of an address.
#[must_use]
pub fn is_account(s: &str) -> bool {
    let only_dots = s.trim_matches('.').is_empty();
    !only_dots && (1..=MAX_ACCOUNT).contains(&s.len()) && consists_of(ACCOUNT, s)
}

/// Whether `s` may be a request id: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[must_use]
pub fn is_request(s: &str) -> bool {
    (1..=MAX_REQUEST).contains(&s.len()) && consists_of(REQUEST, s)
}

/// The id in a header `Idempotency-Key`: as it is, or in the quotes that the IETF's
/// draft of that header wants (a structured field's string). Both forms name the
/// same request.
#[must_use]
pub fn unquoted(header: &str) -> &str {
    let inner = header
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(header)
}

/// The kinds of text, one bit each.
const DIGIT: u8 = 1;
const HEX: u8 = 2;
const WORD: u8 = 4;
const ID: u8 = 8;
const ACCOUNT: u8 = 16;
const REQUEST: u8 = 32;
/// Stands for itself in a user id as it is written here.
const USER: u8 = 64;

/// For every byte the kinds of text in which it may stand.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_digit() {
            kinds[at] |= DIGIT;
        }
        if matches!(byte, b'0'..=b'9' | b'a'..=b'f') {
            kinds[at] |= HEX;
        }
        if byte.is_ascii_alphanumeric() {
            kinds[at] |= WORD | ID | ACCOUNT | USER | REQUEST;
        }
        if byte == b'_' {
            kinds[at] |= ID | ACCOUNT | USER | REQUEST;
        }
        if byte == b'-' {
            kinds[at] |= ACCOUNT | USER | REQUEST;
        }
        if matches!(byte, b'.' | b'@' | b'+') {
            kinds[at] |= ACCOUNT | USER;
        }
        if byte == b'~' {
            kinds[at] |= USER;
        }
        at += 1;
    }
    kinds
};

/// A number of decimal digits alone: no sign, no spaces, at most 19 of them.
#[must_use]
pub(crate) fn number(text: &str) -> Option<u64> {
    // The largest number of 19 digits fits.
    let is_number = (1..20).contains(&text.len()) && consists_of(DIGIT, text);
    let value = |sum: u64, byte: u8| sum.wrapping_mul(10).wrapping_add(u64::from(byte & 15));
    is_number.then(|| text.bytes().fold(0, value))
}

fn consists_of(kind: u8, text: &str) -> bool {
    text.bytes()
        .all(|byte| KINDS[usize::from(byte)] & kind != 0)
}

/// Reads a text from left to right, field by field. Each byte is read once:
/// `str::split` and a check of each part afterwards cost the gate more than the
/// rest of the parsing together.
pub(crate) struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next field: 1 to `max` bytes of one kind, followed by `end`, which is
    /// skipped.
    fn next(&mut self, kind: u8, max: usize, end: u8) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let mut length = 0;
        while KINDS[usize::from(*bytes.get(length)?)] & kind != 0 {
            length += 1;
        }
        let is_field = (1..=max).contains(&length) && bytes[length] == end;
        let field = is_field.then(|| self.rest.split_at_checked(length))?;
        let (field, rest) = field?;
        self.rest = rest.get(1..)?;
        Some(field)
    }

    /// An id of a round or a product.
    pub(crate) fn id(&mut self, end: u8) -> Option<&'a str> {
        self.next(ID, MAX_ID, end)
    }

    /// Decimal digits.
    pub(crate) fn digits(&mut self, max: usize, end: u8) -> Option<&'a str> {
        self.next(DIGIT, max, end)
    }

    /// Lower-case hexadecimal digits.
    pub(crate) fn hex(&mut self, max: usize, end: u8) -> Option<&'a str> {
        self.next(HEX, max, end)
    }

    /// Letters and digits.
    pub(crate) fn word(&mut self, max: usize, end: u8) -> Option<&'a str> {
        self.next(WORD, max, end)
    }

    /// What has not been read yet.
    pub(crate) fn rest(self) -> &'a str {
        self.rest
    }
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
        assert!(is_account("li.wei+1@example.com") && !is_account("a\"b") && !is_account("a\n"));
        assert!(is_account(".li.") && !is_account(".") && !is_account("..") && !is_account(""));
        assert!(is_request("3f2a-9_Z") && !is_request("a b") && !is_request(""));
    }

    #[test]
    fn a_request_id_is_the_same_with_quotes_and_without() {
        assert_eq!(unquoted("\"3f2a-9\""), "3f2a-9");
        assert_eq!(unquoted("3f2a-9"), "3f2a-9");
        for text in ["\"", "\"a", "a\"", "\"a\"b\"", "\"\"a\"\""] {
            assert!(!is_request(unquoted(text)), "{text}");
        }
    }

    #[test]
    fn fields_are_read_up_to_their_ends() {
        let mut fields = Fields::of("a_1/09/beef/k1.rest/x");
        assert_eq!(fields.id(b'/'), Some("a_1"));
        assert_eq!(fields.digits(2, b'/'), Some("09"));
        assert_eq!(fields.hex(4, b'/'), Some("beef"));
        assert_eq!(fields.word(2, b'.'), Some("k1"));
        assert_eq!(fields.rest(), "rest/x");
    }

    #[test]
    fn a_field_that_is_empty_too_long_or_ends_otherwise_is_none() {
        for text in ["", "/", "12345/", "1234", "1234.", "12a/", "é/"] {
            assert_eq!(Fields::of(text).digits(4, b'/'), None, "{text}");
        }
    }

    #[test]
    fn an_item_reads_back_as_written() {
        let item = Item::new("1", "153").unwrap();
        assert_eq!(Item::parse(&item.to_string()), Some(item));
        assert_eq!(Item::parse("1::"), None);
        assert_eq!(Item::parse("1"), None);
    }
}
