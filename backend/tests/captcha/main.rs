//! The captcha: puzzles, what other services say, and the pass they win.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

#[path = "../common/mod.rs"]
mod common;

mod hand;
mod pass;
mod puzzle;
mod service;
