//! The console: its door, its rounds, what an attacker or a slip of the hand tries.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

/// What cannot be taken, and how that is told.
mod bad_input;
/// Who gets in and who stays in.
mod door;
/// Rounds made, approved, edited.
mod rounds;
/// With the database stopped.
mod without_database;
