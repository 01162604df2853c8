//! Stock in Redis: its amounts, what moves it after it was sold, what waits on
//! disk while Redis is away, and the fence around a Redis that is older. It may use the
//! sale's catalogue, the database and Redis; it knows nothing of the queue or of edges, and
//! of HTTP only what the sites say to each other.

/// Changes how many items a product has while it sells.
pub mod adjust;
/// Fences segments whose Redis knows less than the archive, or than this process.
pub mod fence;
/// Keeps the stock in step with its orders, and expires unpaid ones.
pub mod following;
/// What segments have forgotten of their sales, and journals will make again.
pub(crate) mod forgotten;
/// The purchase journal on disk: admitted requests that wait for Redis.
pub mod journal;
/// Reads the amounts of products and segments.
pub mod levels;
/// Announces that items are about to be for sale again.
pub mod reopening;
/// Rounds that are over leave Redis.
pub mod retire;
/// Other sites that sell the same rounds, and the items that move between them.
pub mod sites;
/// The steps that a purchase's stock takes: confirm and release.
pub mod steps;
/// Moves stock between the segments of a product.
pub mod transfer;
