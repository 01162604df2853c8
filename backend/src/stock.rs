//! Stock in Redis: how much lies where, and what moves it after it was sold. It may
//! use the sale's catalogue, the database and Redis; it knows nothing of the queue, of
//! edges or of HTTP.

/// Changes how many items a product has while it sells.
pub mod adjust;
/// Keeps the stock in step with its orders, and expires unpaid ones.
pub mod following;
/// How much lies where.
pub mod levels;
/// Rounds that are over leave Redis.
pub mod retire;
/// The steps that a purchase's stock takes: confirm and release.
pub mod steps;
/// Moves stock between the segments of a product.
pub mod transfer;
