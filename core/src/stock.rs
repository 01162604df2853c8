//! The stock of a segment as its ledger tells it.

/// The events of a segment, and replaying them.
pub mod ledger;
/// What stock must be after its Redis was lost.
pub mod rebuild;
