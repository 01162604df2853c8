//! The time window in which a round sells, and what a waiting page shows of it.

use serde::{Deserialize, Serialize};

/// How long before the start the hidden URL is handed out, in ms (course §075).
pub const PATH_LEAD_MS: u64 = 60_000;

/// A round's time window: sells while `opens_ms <= now < ends_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Start, epoch milliseconds.
    pub opens_ms: u64,
    /// End, epoch milliseconds, not part of the window.
    pub ends_ms: u64,
}

/// Where `now` lies in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// More than [`PATH_LEAD_MS`] before the start.
    Scheduled,
    /// Within the last minute before the start: URLs are handed out.
    Lead,
    /// The sale is on.
    Open,
    /// The end has passed.
    Ended,
}

impl Window {
    /// The phase at `now_ms`.
    #[must_use]
    pub fn phase(&self, now_ms: u64) -> Phase {
        if now_ms >= self.ends_ms {
            Phase::Ended
        } else if now_ms >= self.opens_ms {
            Phase::Open
        } else if now_ms + PATH_LEAD_MS >= self.opens_ms {
            Phase::Lead
        } else {
            Phase::Scheduled
        }
    }
}

/// A product's state as a waiting page sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaleState {
    /// Not yet open.
    Scheduled,
    /// Selling, permits left.
    Open,
    /// Selling time, but no permit left at the moment.
    SoldOut,
    /// Interrupted by an operator.
    Paused,
    /// The end has passed.
    Ended,
    /// Taken off sale by an operator.
    Withdrawn,
}

impl SaleState {
    /// The state as the response of `…/state` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SaleState::Scheduled => "scheduled",
            SaleState::Open => "open",
            SaleState::SoldOut => "sold_out",
            SaleState::Paused => "paused",
            SaleState::Ended => "ended",
            SaleState::Withdrawn => "withdrawn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_change_at_their_exact_millisecond() {
        let window = Window {
            opens_ms: 100_000,
            ends_ms: 200_000,
        };
        let phases = [
            (0, Phase::Scheduled),
            (39_999, Phase::Scheduled),
            (40_000, Phase::Lead),
            (99_999, Phase::Lead),
            (100_000, Phase::Open),
            (199_999, Phase::Open),
            (200_000, Phase::Ended),
        ];
        for (now, phase) in phases {
            assert_eq!(window.phase(now), phase, "at {now}");
        }
    }
}
