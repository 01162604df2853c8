//! What an operator's stop switch has done to a product: nobody may buy it, although
//! its window says otherwise.
//!
//! A stop stands in the product's catalogue entry (`halt`), so that it reaches every edge
//! and every purchase role the way a new limit does. An end that was brought forward needs
//! no entry: the window ends earlier.

use serde::{Deserialize, Serialize};

/// Why nobody may buy a product at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// Sales are interrupted, and will be resumed or ended.
    Paused,
    /// It is no longer sold, and will not be again in this round.
    Withdrawn,
}

impl Halt {
    /// Its stored form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Halt::Paused => "paused",
            Halt::Withdrawn => "withdrawn",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Halt::Paused, Halt::Withdrawn]
            .into_iter()
            .find(|halt| halt.as_str() == text)
    }

    /// The stronger of two stops, of a round and of one of its products: a product of a
    /// paused round that was itself withdrawn is withdrawn.
    #[must_use]
    pub fn stronger(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(Halt::Withdrawn), _) | (_, Some(Halt::Withdrawn)) => Some(Halt::Withdrawn),
            (one, other) => one.or(other),
        }
    }

    /// A number for shared memory; 0 is for no stop.
    #[must_use]
    pub const fn to_word(halt: Option<Self>) -> u32 {
        match halt {
            None => 0,
            Some(Halt::Paused) => 1,
            Some(Halt::Withdrawn) => 2,
        }
    }

    /// Reads the number. One that no version writes is a pause: a product that may be
    /// stopped is not sold.
    #[must_use]
    pub const fn from_word(word: u32) -> Option<Self> {
        match word {
            0 => None,
            2 => Some(Halt::Withdrawn),
            _ => Some(Halt::Paused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_reads_back_from_text_and_from_memory() {
        for halt in [Halt::Paused, Halt::Withdrawn] {
            assert_eq!(Halt::parse(halt.as_str()), Some(halt));
            assert_eq!(Halt::from_word(Halt::to_word(Some(halt))), Some(halt));
        }
        assert_eq!(Halt::from_word(Halt::to_word(None)), None);
        assert_eq!(Halt::parse("ended"), None);
    }

    #[test]
    fn what_was_withdrawn_stays_withdrawn_in_a_paused_round() {
        let (paused, withdrawn) = (Some(Halt::Paused), Some(Halt::Withdrawn));
        assert_eq!(Halt::stronger(paused, withdrawn), withdrawn);
        assert_eq!(Halt::stronger(withdrawn, paused), withdrawn);
        assert_eq!(Halt::stronger(None, paused), paused);
        assert_eq!(Halt::stronger(None, None), None);
    }
}
