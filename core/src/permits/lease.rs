//! Leases: permits that an edge has taken in advance, and when it may spend them.
//!
//! Asking Redis for every request costs a round trip each. An edge therefore
//! takes a block of permits, a *lease*, and spends it by itself. Four rules keep
//! the sum over all edges exact:
//!
//! 1. Redis counts a block and records its lease in one step, never over the
//!    limit (`lua/permits/take.lua`).
//! 2. An edge spends a lease for at most [`LIFE_MS`], counted on its own
//!    monotonic clock from *before* it asked. It needs no word from anyone to
//!    stop.
//! 3. What is left then it returns, with all else that was not used
//!    (`lua/permits/report.lua`, [`super::tally`]).
//! 4. Whatever an edge did not give back, because it died or Redis was away, the
//!    back end does: it closes leases older than a request can be under way,
//!    which is longer than [`LIFE_MS`], and gives back what the stock script has
//!    not seen. A request that arrives after that is refused and costs nothing.
//!
//! Worked example. Two edges, limit 1,000, 900 granted. Edge A's blocks have
//! grown to 64, but only 100 permits are left for two edges, so that it asks for
//! 25. It spends 20 of them in its two seconds and gives five back.

/// How long an edge spends a lease, in ms.
pub const LIFE_MS: u64 = 2_000;
/// Most permits in one lease.
pub const MAX_BLOCK: u64 = 1_024;
/// A lease that was used up within this time was too small, in ms.
const QUICK_MS: u64 = 100;
/// A lease that lasted longer than this was too large, in ms.
const SLOW_MS: u64 = 500;

/// Bits of a [`Word`] that count what is left.
const LEFT_BITS: u32 = 16;
const LEFT_MASK: u64 = (1 << LEFT_BITS) - 1;

/// A lease in hand, in one 64-bit word, so that workers can spend from it with
/// compare-and-swap: its number in the upper bits, what is left in the lower.
///
/// Numbers are never used twice, so that a word that is seen unchanged *is*
/// unchanged. Zero means that there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word(pub u64);

/// A permit spent from a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The word to store in place of the one it was spent from.
    pub word: Word,
    /// The lease's number.
    pub lease: u64,
    /// Which of the lease's permits: unlike any other spent from it.
    pub n: u32,
}

impl Word {
    /// A fresh lease of `amount` permits, at most [`MAX_BLOCK`].
    #[must_use]
    pub fn new(lease: u64, amount: u64) -> Self {
        Self(lease << LEFT_BITS | amount.min(LEFT_MASK))
    }

    /// The lease's number.
    #[must_use]
    pub fn lease(self) -> u64 {
        self.0 >> LEFT_BITS
    }

    /// Permits left on it.
    #[must_use]
    pub fn left(self) -> u64 {
        self.0 & LEFT_MASK
    }

    /// Takes `quantity` permits for one request, if that many are left.
    #[must_use]
    pub fn spend(self, quantity: u32) -> Option<Spent> {
        let left = self.left();
        let rest = left.checked_sub(u64::from(quantity))?;
        Some(Spent {
            word: Self(self.0 - u64::from(quantity)),
            lease: self.lease(),
            // Counted from the end: the number of the first of those taken.
            n: u32::try_from(rest + 1).unwrap_or(u32::MAX),
        })
    }
}

/// Whether a lease asked for at `asked_ms` may still be spent, both on the same
/// monotonic clock. A clock that ran backwards ends it as well.
#[must_use]
pub fn may_spend(asked_ms: u64, now_ms: u64) -> bool {
    now_ms
        .checked_sub(asked_ms)
        .is_some_and(|age| age < LIFE_MS)
}

/// How many permits to take at once.
///
/// `block` is what demand suggests, `waiting` what requests wait for at this
/// moment, `left` what Redis last said is left for all `edges`. Near the limit
/// no edge takes more than half of its even share, down to one at a time, so that
/// the last permits go to whoever has a request in hand.
#[must_use]
pub fn ask(block: u64, waiting: u64, left: u64, edges: u64) -> u64 {
    let fair = left / (2 * edges.max(1));
    block.max(waiting).min(fair).clamp(1, MAX_BLOCK)
}

/// The next block size after a lease of `block` lasted `lasted_ms`.
#[must_use]
pub fn next_block(block: u64, lasted_ms: u64) -> u64 {
    let next = match lasted_ms {
        0..QUICK_MS => block.saturating_mul(2),
        QUICK_MS..SLOW_MS => block,
        _ => block / 2,
    };
    next.clamp(1, MAX_BLOCK)
}

/// Whether to fetch the next lease while the one in hand is still being spent.
#[must_use]
pub fn is_low(left: u64, block: u64) -> bool {
    left <= block / 4
}

/// How many permits to grant of `asked`, with `granted` of `limit` gone.
///
/// Never more than what is left; nothing when the limit was lowered below what
/// is granted.
#[must_use]
pub fn clip(asked: u64, granted: u64, limit: u64) -> u64 {
    asked.min(limit.saturating_sub(granted))
}

/// A lease as Redis records it: `{amount}:{taken_ms}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Permits taken with it.
    pub amount: u64,
    /// When, epoch milliseconds by Redis's clock.
    pub taken_ms: u64,
}

impl Record {
    /// Reads the recorded form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (amount, taken_ms) = text.split_once(':')?;
        Some(Self {
            amount: amount.parse().ok()?,
            taken_ms: taken_ms.parse().ok()?,
        })
    }

    /// Whether every request admitted on it must have arrived by `now_ms`, so
    /// that what the stock script has not seen may be returned.
    #[must_use]
    pub fn is_overdue(&self, now_ms: u64, in_flight_ms: u64) -> bool {
        now_ms.saturating_sub(self.taken_ms) > in_flight_ms
    }

    /// Whether it was taken or renewed less than [`FRESH_MS`] ago. A renewal stamps the
    /// record `hold_ms` ahead.
    #[must_use]
    pub fn is_fresh(&self, now_ms: u64, hold_ms: u64) -> bool {
        let ahead = if self.taken_ms > now_ms { hold_ms } else { 0 };
        now_ms.saturating_sub(self.taken_ms.saturating_sub(ahead)) < FRESH_MS
    }
}

/// For how long after it was taken or renewed a lease is left to its edge, in ms: an edge
/// that lives reports a lease as used within a quarter of a second, and for one that does
/// not all buyers of the product are read.
pub const FRESH_MS: u64 = 2_000;

/// How many permits go back when a lease of `amount` is closed with `spent` seen.
#[must_use]
pub fn unspent(amount: u64, spent: u64) -> u64 {
    amount.saturating_sub(spent)
}

#[cfg(test)]
mod tests;
