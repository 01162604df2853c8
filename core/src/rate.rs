//! Rate limiting: one token bucket per edge, and the site's rate divided among edges.
//!
//! Here belongs what decides by the number of requests alone. It uses no other
//! module, so that a request can be refused before anything about it is known.

/// A token bucket kept in one 64-bit word.
pub mod bucket;
/// Which edges are alive, and what share of the site's rate each one has.
pub mod census;
/// Which bucket belongs to which limit after a reload.
pub mod places;
