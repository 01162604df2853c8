//! Reasons and notes: texts that operators write, and that others read at the console and
//! on terminals.

use std::borrow::Cow;

use thiserror::Error;

use crate::sale::label::{self, Unfit};

/// Why a reason or a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadReason {
    /// It is missing or too long.
    #[error("{what} has {count} characters; write {least} to {most}")]
    Length {
        /// What it is, such as `reason`.
        what: &'static str,
        /// Its characters.
        count: usize,
        /// The fewest that it may have.
        least: usize,
        /// The most that it may have.
        most: usize,
    },
    /// It has a character that would act on a terminal, or that nobody sees.
    #[error("{what} contains {}; write it without", named(*.unfit))]
    Character {
        /// What it is, such as `reason`.
        what: &'static str,
        /// The first such character.
        unfit: Unfit,
    },
}

/// A character as a sentence names it.
fn named(unfit: Unfit) -> String {
    let character = unfit.character();
    match unfit {
        Unfit::Empty => "nothing that can be seen".to_owned(),
        Unfit::Control(_) => format!("the control character {character}"),
        Unfit::Invisible(_) => format!("an invisible character, {character}"),
        Unfit::Direction(_) => {
            format!("{character}, which changes the direction of the text around it")
        }
        Unfit::Garbled(_) => {
            format!("{character}, which stands for a character that could not be read")
        }
    }
}

/// Checks a reason or a note of `least` to `most` characters, and trims it. The console
/// has a text area for it, so that it may have several lines.
///
/// # Errors
/// [`BadReason`]; `what` names the text in its sentence.
pub fn check<'a>(
    what: &'static str,
    text: &'a str,
    (least, most): (usize, usize),
) -> Result<&'a str, BadReason> {
    let text = text.trim();
    label::check_text(text).map_err(|unfit| BadReason::Character { what, unfit })?;
    let count = text.chars().count();
    if !(least..=most).contains(&count) {
        return Err(BadReason::Length {
            what,
            count,
            least,
            most,
        });
    }
    Ok(text)
}

/// A stored text as it may be printed on a terminal: characters that would act on it, or
/// turn the text around, are written as `\u001b`. Line breaks and tabs stay. What is
/// written so within a JSON text means the same.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let stays = |c: char| matches!(c, '\n' | '\t');
    escaped(text, |c, next| stays(c) || c == '\r' && next == Some('\n'))
}

/// The same on one line: a line break in a stored text would forge a line of a list.
#[must_use]
pub fn on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_, _| false)
}

fn escaped(text: &str, stays: impl Fn(char, Option<char>) -> bool) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() || label::turns(c);
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if !acts(c) || stays(c, chars.peek().copied()) => written.push(c),
            '\n' => written.push_str("\\n"),
            c => written.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_refused_by_its_length_or_the_name_of_its_character() {
        assert_eq!(check("reason", " two\nlines ", (1, 9)), Ok("two\nlines"));
        assert_eq!(check("reason", "", (0, 9)), Ok(""));
        for (bad, sentence) in [
            (" ", "reason has 0 characters; write 1 to 9"),
            ("0123456789", "reason has 10 characters; write 1 to 9"),
            (
                "a\0b",
                "reason contains the control character U+0000; write it without",
            ),
            (
                "\u{1b}[2J",
                "reason contains the control character U+001B; write it without",
            ),
            (
                "\u{200b}",
                "reason contains an invisible character, U+200B; write it without",
            ),
            (
                "a\u{202e}b",
                "reason contains U+202E, which changes the direction of the text around it; write it without",
            ),
        ] {
            let refusal = check("reason", bad, (1, 9)).unwrap_err();
            assert_eq!(refusal.to_string(), sentence, "{bad:?}");
        }
    }

    #[test]
    fn what_is_printed_acts_on_no_terminal_and_forges_no_line() {
        assert_eq!(printable("plain · 手机\n"), "plain · 手机\n");
        assert_eq!(printable("a,b\r\nc"), "a,b\r\nc", "a line of CSV");
        assert_eq!(
            printable("\u{1b}[2J\u{7}\u{9b}\rx"),
            "\\u001b[2J\\u0007\\u009b\\u000dx"
        );
        assert_eq!(printable("a\u{202e}b"), "a\\u202eb");
        let forged = "ok\n  2026-11-30T00:00:00Z  payment";
        assert_eq!(on_one_line(forged), "ok\\n  2026-11-30T00:00:00Z  payment");
    }
}
