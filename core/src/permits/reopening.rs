//! For how long an edge may say "sold out" by what it has read, and what those who put
//! items up for sale again do about it.
//!
//! An edge refuses the crowd from shared memory, by counts that are up to a poll old. Items
//! may come back meanwhile: an order is cancelled, or an amount is raised. Two rules keep
//! "sold out" true all the same, with no look at Redis for any request:
//!
//! 1. An edge says it for at most [`KNOWN_MS`] by one reading, counted on its own monotonic
//!    clock from *before* it asked.
//! 2. Whoever is about to put items up for sale announces it in Redis first
//!    (`lua/permits/reopen.lua`), and waits for [`KNOWN_MS`] if the product is sold out. As
//!    long as this *reopening* stands, no reading says "sold out". It ends with the refund of
//!    the permits, in one step.
//!
//! So when the items are for sale, every edge has either read of it or stopped
//! saying it. It needs no list of the edges, and no two clocks that agree.
//!
//! Worked example. An edge asks at 0.00 s and reads that all is sold. At 0.10 s an order
//! expires; it is announced, and its item is for sale from 0.85 s. The edge reads
//! of it at 0.25 s and is busy from then on; had it been cut off, it would be busy
//! from 0.75 s. At 0.86 s the permit is refunded, and at 1.00 s at the latest the edge sells.

use std::fmt::Display;

/// For how long after an edge asked it may say "sold out", in ms: three polls of the counts,
/// so that one that is late does no harm.
pub const KNOWN_MS: u64 = 750;

/// The id of the refund for a purchase that is released, under which it is announced too.
#[must_use]
pub fn refund_id(user: &str, request: &str, bought_ms: impl Display) -> String {
    format!("{user}:{request}:{bought_ms}")
}

/// How the refund for a purchase that had no permit is remembered beside its id: with the
/// number of permits that went back (`lua/permits/refund.lua`).
#[must_use]
pub fn refund_without_permit(id: &str, back: u64) -> String {
    format!("{id}/{back}")
}

/// How many permits of a product are to be had, as far as an edge knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// Some, or it is not known that there are none.
    Perhaps,
    /// All are granted and used.
    SoldOut,
    /// All were when Redis was last asked, which is too long ago.
    WasSoldOut,
}

/// What a reading that was asked for at `asked_ms` and found all permits used says at
/// `now_ms`, both on the same monotonic clock. A clock that ran backwards ends it as well.
#[must_use]
pub fn supply(asked_ms: u64, now_ms: u64) -> Supply {
    let age = now_ms.checked_sub(asked_ms);
    match age.is_some_and(|age| age < KNOWN_MS) {
        true => Supply::SoldOut,
        false => Supply::WasSoldOut,
    }
}

#[cfg(test)]
mod tests;
