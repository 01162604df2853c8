//! Rate limiting: one token bucket per edge, and the site's rate divided among edges.

/// A token bucket kept in one 64-bit word.
pub mod bucket;
/// Which edges are alive, and what share of the site's rate each one has.
pub mod census;
