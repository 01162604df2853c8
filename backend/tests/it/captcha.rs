//! The captcha: puzzles, what other services say, and the pass they win.

mod hand;
mod pass;
mod puzzle;
mod service;
