//! Text that strangers wrote and others read: titles, names, descriptions, reasons.
//!
//! A title is trusted for what it looks like. Characters that nobody sees, or that
//! turn the direction of the text around them, make two titles look alike, or one
//! look like another; they are refused where text comes in (Unicode Technical Report
//! 36, "Unicode Security Considerations"). Joiners stay allowed between two visible
//! characters, because Persian words and many emoji need them. The direction of a
//! whole text is the page's business (`dir="auto"`).

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing in it can be seen.
    Empty,
    /// A line break, where there may be none, or a control character.
    Control(char),
    /// A character that cannot be seen.
    Invisible(char),
    /// A character that changes the direction of the text around it.
    Direction(char),
    /// What stands for a character that could not be read (U+FFFD), or a code that stands
    /// for none: the text was read in another encoding than it was written in.
    Garbled(char),
}

impl Unfit {
    /// The character, as people write it: `U+200B`. Empty where there is none.
    #[must_use]
    pub fn character(self) -> String {
        match self {
            Self::Control(c) | Self::Invisible(c) | Self::Direction(c) | Self::Garbled(c) => {
                format!("U+{:04X}", u32::from(c))
            }
            Self::Empty => String::new(),
        }
    }
}

/// Checks a name for people, on one line.
///
/// # Errors
/// [`Unfit`], for the first character that does not fit.
pub fn check_label(text: &str) -> Result<(), Unfit> {
    check(text, |_| false)?;
    if text.chars().any(|c| !c.is_whitespace()) {
        Ok(())
    } else {
        Err(Unfit::Empty)
    }
}

/// Checks a text of any number of lines, which may be empty.
///
/// # Errors
/// [`Unfit`], for the first character that does not fit.
pub fn check_text(text: &str) -> Result<(), Unfit> {
    check(text, |c| matches!(c, '\n' | '\r'))
}

fn check(text: &str, may_break: impl Fn(char) -> bool) -> Result<(), Unfit> {
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_control() && !may_break(c) {
            return Err(Unfit::Control(c));
        }
        if turns(c) {
            return Err(Unfit::Direction(c));
        }
        if is_garbled(c) {
            return Err(Unfit::Garbled(c));
        }
        let joins = is_joiner(c)
            && before.is_some_and(is_seen)
            && chars.peek().is_some_and(|c| is_seen(*c));
        if is_invisible(c) && !joins {
            return Err(Unfit::Invisible(c));
        }
        before = Some(c);
    }
    Ok(())
}

/// Whether something of it shows, or it changes what stands before it (an emoji's
/// variation selector).
fn is_seen(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !is_invisible(c)
}

/// Zero-width joiner and non-joiner.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Marks, embeddings, overrides and isolates of direction.
pub(crate) fn turns(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// The replacement character, and what Unicode never makes a character of.
fn is_garbled(c: char) -> bool {
    c == '\u{fffd}' || matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

/// Characters without ink: zero-width, fillers, tags, and line separators that
/// editors do not show.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}'
        | '\u{2060}'..='\u{2065}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_passes() {
        for good in [
            "折叠屏手机 · Folding phone",
            "هاتف قابل للطي",
            "می‌خواهم",
            "👨‍👩‍👧 family ❤️",
            "Café №5 — 50 %",
        ] {
            assert_eq!(check_label(good), Ok(()), "{good}");
        }
        assert_eq!(check_text("one\r\n\ntwo"), Ok(()));
        assert_eq!(check_text(""), Ok(()));
    }

    #[test]
    fn what_nobody_sees_is_refused_by_its_number() {
        for bad in [
            '\u{200b}',
            '\u{feff}',
            '\u{2060}',
            '\u{3164}',
            '\u{00ad}',
            '\u{2800}',
            '\u{e0041}',
            '\u{2028}',
        ] {
            assert_eq!(
                check_label(&format!("Pho{bad}ne")),
                Err(Unfit::Invisible(bad)),
                "{bad:?}"
            );
            assert_eq!(
                check_text(&format!("Pho{bad}ne")),
                Err(Unfit::Invisible(bad)),
                "{bad:?}"
            );
        }
        assert_eq!(Unfit::Invisible('\u{200b}').character(), "U+200B");
        assert_eq!(Unfit::Control('\0').character(), "U+0000");
        // A joiner with nothing to join.
        for bad in [
            "\u{200d}",
            "Phone\u{200d}",
            "\u{200c}Phone",
            "a \u{200d}b",
            "a\u{200d}\u{200d}b",
        ] {
            assert!(
                matches!(check_label(bad), Err(Unfit::Invisible(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn what_turns_a_text_around_is_refused() {
        for bad in [
            '\u{202e}', '\u{202a}', '\u{2066}', '\u{2069}', '\u{200e}', '\u{200f}', '\u{061c}',
        ] {
            assert_eq!(
                check_label(&format!("a{bad}b")),
                Err(Unfit::Direction(bad)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn what_was_read_in_another_encoding_is_refused() {
        for bad in ['\u{fffd}', '\u{fffe}', '\u{ffff}', '\u{fdd0}', '\u{1ffff}'] {
            let title = format!("a{bad}b");
            assert_eq!(check_label(&title), Err(Unfit::Garbled(bad)), "{bad:?}");
            assert_eq!(check_text(&title), Err(Unfit::Garbled(bad)), "{bad:?}");
        }
        assert_eq!(Unfit::Garbled('\u{fffd}').character(), "U+FFFD");
    }

    #[test]
    fn a_label_shows_something_on_one_line() {
        assert_eq!(check_label(""), Err(Unfit::Empty));
        assert_eq!(check_label(" \u{3000}"), Err(Unfit::Empty));
        assert_eq!(check_label("a\nb"), Err(Unfit::Control('\n')));
        assert_eq!(check_text("a\u{7}"), Err(Unfit::Control('\u{7}')));
    }
}
