//! The live board, and operators' other tasks: bans, dead letters, refunds, amounts; on
//! a real Redis and a real database.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

/// What operators announce, and alerts that are posted.
mod announcing;
/// What the board shows.
mod following;
/// Bans, dead letters, refunds and amounts.
mod operations;
/// The recorded past.
mod past;
/// A watcher of the board, for tests.
mod watching;
