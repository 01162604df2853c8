//! Purchases while Redis does not answer: the journal on disk, and its replay.

/// The files: killed at any byte, damaged, missing, foreign, shared.
pub(crate) mod disk;
/// A shop whose Redis goes away and comes back.
mod outage;
