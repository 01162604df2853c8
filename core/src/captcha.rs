//! The captcha: which answer to a puzzle is right, and the pass that it earns.

/// The pass: signing and verifying.
pub mod pass;
/// A puzzle: what is stored of it, and whether an answer is right.
pub mod puzzle;
/// Whether a hand may have dragged a slider along a recorded track.
pub mod track;
/// Proof of work, the alternative to a drag.
pub mod work;
