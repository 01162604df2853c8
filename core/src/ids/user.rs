//! Buyers' ids.
//!
//! The shop's login names its users as it likes: `li`, `auth0|5f7c`, `f:uuid:li`,
//! `张三`, in any bytes. Such a *name* is written here in percent-encoding (RFC 3986,
//! 2.1): letters, digits and `_ . @ + - ~` stand for themselves, every other byte is
//! `%` and two upper-case hexadecimal digits. `auth0|5f7c` is written `auth0%7C5f7c`.
//!
//! A name is written in one way only and can be read back, so that the written id is
//! the same buyer everywhere: in cookies, signatures, Redis, the database, logs and at
//! the console. It has no byte that a key, a log line, a header or JSON would have to
//! escape.

use std::borrow::Cow;

use super::{KINDS, USER};

/// Longest name, in bytes, as the login has it.
pub const MAX_NAME: usize = 255;
/// Longest written id, in bytes.
pub const MAX_USER: usize = 3 * MAX_NAME;

/// Whether `s` is a written id, of a name of 1 to [`MAX_NAME`] bytes.
#[must_use]
pub fn is_user(s: &str) -> bool {
    let bytes = s.as_bytes();
    let Some(first) = bytes.iter().position(|byte| !is_plain(*byte)) else {
        return (1..=MAX_NAME).contains(&bytes.len());
    };
    let (mut at, mut length) = (first, first);
    while at < bytes.len() {
        if is_plain(bytes[at]) {
            at += 1;
        } else if let Some(false) = escaped(&bytes[at..]).map(is_plain) {
            at += 3;
        } else {
            return false;
        }
        length += 1;
    }
    length <= MAX_NAME
}

/// Writes the id of the buyer whom the shop's login names so; `None` if the name is
/// empty or longer than [`MAX_NAME`] bytes.
#[must_use]
pub fn write(name: &[u8]) -> Option<Cow<'_, str>> {
    if !(1..=MAX_NAME).contains(&name.len()) {
        return None;
    }
    if name.iter().all(|byte| is_plain(*byte)) {
        return std::str::from_utf8(name).ok().map(Cow::Borrowed);
    }
    let mut written = String::with_capacity(3 * name.len());
    for &byte in name {
        if is_plain(byte) {
            written.push(char::from(byte));
        } else {
            written.push('%');
            written.push(char::from(DIGITS[usize::from(byte >> 4)]));
            written.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    Some(Cow::Owned(written))
}

/// The name of a written id, as the shop's login has it. Bytes that are no text are
/// replaced; only [`name_bytes`] has them.
#[must_use]
pub fn name(written: &str) -> Cow<'_, str> {
    if !written.contains('%') {
        return Cow::Borrowed(written);
    }
    Cow::Owned(String::from_utf8_lossy(&name_bytes(written)).into_owned())
}

/// The name of a written id, byte by byte.
#[must_use]
pub fn name_bytes(written: &str) -> Vec<u8> {
    let mut rest = written.as_bytes();
    let mut name = Vec::with_capacity(rest.len());
    while let Some((&first, later)) = rest.split_first() {
        let byte = escaped(rest);
        name.push(byte.unwrap_or(first));
        rest = byte.map_or(later, |_| &rest[3..]);
    }
    name
}

/// The written id of a buyer whom a person names: by their written id, as logs have it,
/// or by their name, as the login has it. `None` if it can be neither.
///
/// A name that is itself the written id of another name, `a%7Cb`, is taken for that
/// other one; its own written id is `a%257Cb`.
#[must_use]
pub fn given(text: &str) -> Option<Cow<'_, str>> {
    if is_user(text) {
        Some(Cow::Borrowed(text))
    } else {
        write(text.as_bytes())
    }
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

fn is_plain(byte: u8) -> bool {
    KINDS[usize::from(byte)] & USER != 0
}

/// The byte for which `%` and two digits at the beginning stand.
fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte);
    match text {
        [b'%', high, low, ..] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_is_written_as_it_is() {
        for name in ["li", "li.wei+1@example.com", "a_b-c~d", &"x".repeat(255)] {
            assert_eq!(write(name.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_providers_call_their_users_is_written_and_read_back() {
        for (name, written) in [
            ("auth0|5f7c8ec7c33c6c00", "auth0%7C5f7c8ec7c33c6c00"),
            ("f:6d1e:li", "f%3A6d1e%3Ali"),
            ("张三", "%E5%BC%A0%E4%B8%89"),
            ("a b\n", "a%20b%0A"),
            ("100%", "100%25"),
            ("CN=Li,O=Shop", "CN%3DLi%2CO%3DShop"),
        ] {
            assert_eq!(write(name.as_bytes()).as_deref(), Some(written));
            assert_eq!(super::name(written), name);
            assert!(is_user(written));
            assert_eq!(given(name).as_deref(), Some(written));
            assert_eq!(given(written).as_deref(), Some(written));
        }
    }

    #[test]
    fn what_no_name_is_written_as_is_refused() {
        for text in [
            "", "%", "%4", "a%zz", "%7c", "%41", "a|b", "a b", "é", "a\nb", "a%", "%%7C",
        ] {
            assert!(!is_user(text), "{text:?}");
        }
        assert!(!is_user(&"x".repeat(256)));
        assert!(is_user(&"%E5".repeat(255)) && !is_user(&"%E5".repeat(256)));
    }

    #[test]
    fn a_name_has_at_least_one_and_at_most_255_bytes() {
        assert_eq!(write(b""), None);
        assert_eq!(write(&[b'x'; 256]), None);
        assert_eq!(write(&[0xff; 255]).map(|id| id.len()), Some(MAX_USER));
    }

    proptest! {
        /// Whatever the bytes, two names are never written alike.
        #[test]
        fn any_name_is_read_back(name in prop::collection::vec(any::<u8>(), 1..=MAX_NAME)) {
            let written = write(&name).unwrap();
            prop_assert!(is_user(&written));
            prop_assert_eq!(name_bytes(&written), name);
        }

        /// There is one way only to write a name.
        #[test]
        fn what_is_taken_for_a_written_id_is_one(text in "[a-c%0-9A-F|~.]{1,12}") {
            if is_user(&text) {
                let name = name_bytes(&text);
                let written = write(&name).unwrap();
                prop_assert_eq!(&*written, &*text);
            }
        }
    }
}
