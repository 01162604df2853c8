//! The live board, and what operators do beside it: bans, dead letters, refunds,
//! amounts; on a real Redis and a real database.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

/// What the board shows.
mod following;
/// What operators do beside the board.
mod operations;
/// Somebody who watches.
mod watching;
