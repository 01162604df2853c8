//! The captcha: which answer to a puzzle is right, and the pass that it earns.
//!
//! Here belong puzzles, the judgement of answers, and the pass as a signed text
//! (`signing`). Which passes were spent is remembered elsewhere: by an edge in
//! `shared::passes`, for all edges by the stock script.

/// The pass: signing and verifying.
pub mod pass;
/// A puzzle: what is stored of it, and whether an answer is right.
pub mod puzzle;
/// Whether a hand may have dragged a slider along a recorded track.
pub mod track;
/// Proof of work, the alternative to a drag.
pub mod work;
