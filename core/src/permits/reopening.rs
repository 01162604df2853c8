//! For how long an edge may say "sold out" by what it has read, and what those who put
//! items up for sale again do about it.
//!
//! An edge refuses the crowd from shared memory, by counts that are up to a poll old. Items
//! may come back meanwhile: an order is cancelled, or an amount is raised. Two rules bound
//! what it says, with no look at Redis for any request:
//!
//! 1. An edge says it for at most [`KNOWN_MS`] by one reading, counted on its own monotonic
//!    clock from *before* it asked.
//! 2. Whoever is about to put items up for sale may announce it in Redis first
//!    ([`crate::keys::reopening`]), and wait for [`KNOWN_MS`] if the product is sold out. As
//!    long as this *reopening* stands, no reading says "sold out".
//!
//! By the second rule no edge says it while an item is for sale that was announced: it has
//! read of it, or stopped by the first. It needs no list of the edges, and no two clocks that
//! agree. For what comes back unannounced an edge may say it until its next poll.

/// For how long after an edge asked it may say "sold out", in ms: three polls of the counts,
/// so that one that is late does no harm.
pub const KNOWN_MS: u64 = 750;

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
