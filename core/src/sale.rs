//! What is on sale, as the edge needs to know it, and the capacity that a sale needs.
//!
//! Here belong facts that hold before anybody buys: times, limits, amounts, sizes.
//! Nothing here knows of signatures, permits or orders.

/// What a rate of requests needs in edges, Redis, workers and connections.
pub mod capacity;
/// The catalogue entry of a product: window, permit limit, cap per buyer.
pub mod catalogue;
/// The time window of a round: scheduled, URLs handed out, open, ended.
pub mod window;
