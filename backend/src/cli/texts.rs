//! Texts that are given as arguments.

use jiff::Timestamp;
use jiff::civil::Date;
use seckill_core::ids;

/// The byte order mark that editors and shells of Windows write before a text.
pub(super) const MARK: char = '\u{feff}';

/// A text that says something. An empty one is most often a variable of the shell that is
/// not set: taken for "any", it would match everything.
pub(super) fn filled(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty; write something, or leave it out".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// A buyer, by their name, as the shop's login has it, or by their written id, as logs
/// have it.
pub(super) fn buyer(text: &str) -> Result<String, String> {
    let written = ids::user::given(text).map(std::borrow::Cow::into_owned);
    written.ok_or_else(|| "write 1 to 255 bytes, or leave it out".to_owned())
}

/// A time such as those in the output of commands.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let right = "write a time such as 2026-11-28T12:00:00+08:00";
    text.parse().map_err(|_| right.to_owned())
}

/// A day.
pub(super) fn day(text: &str) -> Result<Date, String> {
    text.parse()
        .map_err(|_| "write a day such as 2026-11-27".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_text_and_a_name_is_written_as_it_is_stored() {
        assert!(filled("").is_err() && filled(" \t").is_err());
        assert_eq!(filled(" wrong price ").unwrap(), "wrong price");
        assert!(buyer("").is_err());
        for given in ["auth0|pb", "auth0%7Cpb"] {
            assert_eq!(buyer(given).unwrap(), "auth0%7Cpb");
        }
    }
}
