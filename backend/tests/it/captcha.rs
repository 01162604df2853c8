//! The captcha: puzzles, commercial services, and the passes that they earn.

mod hand;
mod pass;
mod puzzle;
mod service;
