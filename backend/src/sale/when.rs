//! Times in a sale file: a moment with its offset, or a duration after another moment.

use jiff::Timestamp;

/// A time as the seller wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// A moment, epoch milliseconds.
    At(u64),
    /// A duration in milliseconds after the import (for a start) or the start (for an
    /// end).
    After(u64),
}

/// The forms of a time, for messages.
pub(super) const FORMS: &str = "a time with its offset such as \"2026-11-23T12:00:00+08:00\", \
                                or a duration such as \"+10s\", \"+10m\" or \"+1h\"";

impl When {
    /// Reads either form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('+') {
            Some(rest) => duration_ms(rest).map(When::After),
            None if !has_offset_of_a_place(text) => None,
            None => {
                let moment: Timestamp = text.parse().ok()?;
                u64::try_from(moment.as_millisecond()).ok().map(When::At)
            }
        }
    }

    /// The moment, in epoch milliseconds, counted from `from_ms` if relative.
    pub(super) fn from(self, from_ms: u64) -> u64 {
        match self {
            When::At(at_ms) => at_ms,
            When::After(ms) => from_ms.saturating_add(ms),
        }
    }

    /// Whether it moves with the import.
    pub(super) fn is_relative(self) -> bool {
        matches!(self, When::After(_))
    }
}

/// Whether the offset of a moment, if it has one, is that of a place: clocks are at most
/// fourteen hours ahead of UTC, and twelve behind it.
fn has_offset_of_a_place(text: &str) -> bool {
    let (text, _zone) = text.split_once('[').unwrap_or((text, ""));
    let clock = text
        .split_once(['T', 't', ' '])
        .map_or("", |(_, clock)| clock);
    let Some((_, offset)) = clock.split_once(['+', '-']) else {
        return true;
    };
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let number = |from: usize| digits.get(from..from + 2).and_then(|it| it.parse().ok());
    let minutes = number(0).unwrap_or(0_u32) * 60 + number(2).unwrap_or(0);
    let most = if clock.contains('+') { 14 } else { 12 };
    minutes <= most * 60
}

/// Reads `90s`, `1h30m`: numbers, each with its unit.
fn duration_ms(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_ms)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_moments_and_durations() {
        assert_eq!(
            When::parse("1970-01-01T08:00:01+08:00"),
            Some(When::At(1_000))
        );
        assert_eq!(When::parse("1970-01-01T00:00:01Z"), Some(When::At(1_000)));
        assert_eq!(When::parse("+10s"), Some(When::After(10_000)));
        assert_eq!(When::parse("+1h30m"), Some(When::After(5_400_000)));
        for bad in [
            "",
            "+",
            "+10",
            "10s",
            "+10x",
            "+-1s",
            "12:00",
            "2026-11-23T12:00:00",
            "2026-11-23T12:00:00+25:00",
            "2026-11-23T12:00:00+14:01",
            "2026-11-23T12:00:00-12:30",
        ] {
            assert_eq!(When::parse(bad), None, "{bad:?}");
        }
        for good in [
            "2026-11-23T12:00:00+14:00",
            "2026-11-23T12:00:00-12:00",
            "2026-11-23 12:00:00-03:30",
            "2026-11-23T12:00:00+08:00[Asia/Shanghai]",
        ] {
            assert!(When::parse(good).is_some(), "{good:?}");
        }
        assert_eq!(When::After(5).from(10), 15);
        assert_eq!(When::At(5).from(10), 5);
    }
}
