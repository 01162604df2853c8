//! What an edge must know of a product to decide about a request: written at
//! approval, read by every edge at most a second later.

use serde::{Deserialize, Serialize};

use crate::sale::halt::Halt;
use crate::sale::window::{Phase, SaleState, Window};

/// How long after a price was lowered a purchase may still have been made at the price
/// before, in ms: far more than clocks differ and copies of the catalogue are behind.
const PRICE_SETTLES_MS: u64 = 10_000;

/// One product's line in the catalogue, stored as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it sells.
    #[serde(flatten)]
    pub window: Window,
    /// How many permits the edges may grant together.
    pub limit: u64,
    /// Most items in one purchase.
    pub per_buyer: u32,
    /// Number of stock segments, numbered from 1.
    pub segments: u16,
    /// Price of one item in cents.
    pub price_cents: u64,
    /// Whether an operator has stopped its sale. Entries that an older version wrote have
    /// no such field, and an older version leaves it unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    /// When the price was lowered last while it sold, epoch milliseconds; 0 if never. What
    /// was bought before has another price. Older entries have no such field.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priced_ms: u64,
}

// The form that serde wants.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// Reads the stored form.
    ///
    /// # Errors
    /// The parser's message, which names the field.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers only: there is nothing in it that could fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether a purchase of this moment, epoch milliseconds by Redis's clock, was made at
    /// this price for certain: not before the price was lowered, and not while some purchase
    /// role may still have sold at the one before.
    #[must_use]
    pub fn is_price_of(&self, at_ms: u64) -> bool {
        self.priced_ms == 0 || at_ms >= self.priced_ms.saturating_add(PRICE_SETTLES_MS)
    }

    /// Whether it sells at `now_ms` or may sell later: it is not over, and not withdrawn.
    #[must_use]
    pub fn may_sell(&self, now_ms: u64) -> bool {
        self.window.ends_ms > now_ms && self.halt != Some(Halt::Withdrawn)
    }

    /// Its state at `now_ms`, given whether permits are exhausted. A pause has no
    /// meaning once the window is over; a withdrawal has.
    #[must_use]
    pub fn state(&self, now_ms: u64, exhausted: bool) -> SaleState {
        match (self.halt, self.window.phase(now_ms)) {
            (Some(Halt::Withdrawn), _) => SaleState::Withdrawn,
            (_, Phase::Ended) => SaleState::Ended,
            (Some(Halt::Paused), _) => SaleState::Paused,
            (None, Phase::Scheduled | Phase::Lead) => SaleState::Scheduled,
            (None, Phase::Open) if exhausted => SaleState::SoldOut,
            (None, Phase::Open) => SaleState::Open,
        }
    }

    /// Which segment holds this buyer's record: the same one at every call, so
    /// that a second click meets the first (FNV-1a, spread over the segments).
    #[must_use]
    pub fn segment_of(&self, user: &str) -> u16 {
        let hash = user.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let segments = u64::from(self.segments.max(1));
        1 + u16::try_from(hash % segments).unwrap_or(0)
    }
}

/// Divides an amount evenly among segments; the remainder goes to the first.
///
/// 1,000 among three: 334, 333, 333.
#[must_use]
pub fn split_evenly(amount: u64, segments: u16) -> Vec<u64> {
    let segments = segments.max(1);
    let (each, over) = (amount / u64::from(segments), amount % u64::from(segments));
    let mut amounts = vec![each; usize::from(segments)];
    amounts[0] += over;
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sold_out_is_only_said_while_selling_and_a_halt_comes_first() {
        let mut entry = Entry {
            window: Window {
                opens_ms: 100,
                ends_ms: 200,
            },
            limit: 3,
            per_buyer: 1,
            segments: 1,
            price_cents: 1,
            halt: None,
            priced_ms: 0,
        };
        assert_eq!(entry.state(50, true), SaleState::Scheduled);
        assert_eq!(entry.state(150, true), SaleState::SoldOut);
        assert_eq!(entry.state(150, false), SaleState::Open);
        assert_eq!(entry.state(200, true), SaleState::Ended);
        entry.halt = Some(Halt::Paused);
        assert_eq!(entry.state(50, false), SaleState::Paused);
        assert_eq!(entry.state(150, true), SaleState::Paused);
        assert_eq!(entry.state(200, false), SaleState::Ended);
        entry.halt = Some(Halt::Withdrawn);
        for now_ms in [50, 150, 200] {
            assert_eq!(entry.state(now_ms, false), SaleState::Withdrawn);
        }
    }

    #[test]
    fn an_even_split_adds_up() {
        assert_eq!(split_evenly(1_000, 3), [334, 333, 333]);
        assert_eq!(split_evenly(2, 3), [2, 0, 0]);
        assert_eq!(split_evenly(5, 0), [5]);
    }

    #[test]
    fn an_entry_reads_back_as_written() {
        let entry = Entry {
            window: Window {
                opens_ms: 1,
                ends_ms: 2,
            },
            limit: 3,
            per_buyer: 1,
            segments: 3,
            price_cents: 99_900,
            halt: None,
            priced_ms: 0,
        };
        assert_eq!(Entry::parse(&entry.to_json()).unwrap(), entry);
        assert!(
            !entry.to_json().contains("halt") && !entry.to_json().contains("priced"),
            "as older versions write it"
        );
        assert!(entry.is_price_of(0), "it was never another");
        let cheaper = Entry {
            priced_ms: 50_000,
            ..entry
        };
        assert_eq!(Entry::parse(&cheaper.to_json()).unwrap(), cheaper);
        assert!(!cheaper.is_price_of(49_999) && !cheaper.is_price_of(50_001));
        assert!(cheaper.is_price_of(50_000 + PRICE_SETTLES_MS));
        let halt = Some(Halt::Paused);
        let paused = Entry { halt, ..entry };
        assert_eq!(Entry::parse(&paused.to_json()).unwrap(), paused);
        assert!(
            Entry::parse("{}")
                .unwrap_err()
                .to_string()
                .contains("missing field")
        );
        let spread: std::collections::BTreeSet<_> = (0..100)
            .map(|i| entry.segment_of(&format!("user{i}")))
            .collect();
        assert_eq!(spread.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
