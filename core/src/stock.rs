//! The stock of a segment, as its ledger records it.
//!
//! Here belongs what can be concluded from events alone: the amounts, what is wrong
//! with them, and what a lost segment must become. It may use `orders` and the ids
//! of `permits`. The scripts that move stock are in `lua/stock/`.

/// The events of a segment, and replaying them.
pub mod ledger;
/// What stock must be after its Redis was lost.
pub mod rebuild;
