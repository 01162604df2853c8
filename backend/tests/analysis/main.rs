//! The analysis role on a real Redis and a real database: what is written into an
//! access log, and who is banned for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

#[path = "../common/mod.rs"]
mod common;

/// What people decide.
mod console;
/// One log file.
mod following;
/// Who is found and banned.
mod judging;
/// A shop whose log is written by hand.
mod shop;
