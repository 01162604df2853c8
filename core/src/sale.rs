//! What is on sale, as the edge needs to know it, and the capacity that a sale needs.
//!
//! Here belong facts that hold before anybody buys: times, limits, amounts, sizes.
//! Nothing here knows of signatures, permits or orders.

/// What a rate of requests needs in edges, Redis, workers and connections.
pub mod capacity;
/// The catalogue entry of a product: window, permit limit, cap per buyer.
pub mod catalogue;
/// A crowd of buyers as requests and bytes.
pub mod crowd;
/// What an operator's stop switch has done: paused, withdrawn.
pub mod halt;
/// Which texts people may be shown: no invisible characters, none that turn directions.
pub mod label;
/// Reasons and notes: texts that operators write, and how stored texts are printed.
pub mod reasons;
/// Which products an edge keeps if its zone has no room for all.
pub mod urgency;
/// The time window of a round: scheduled, URLs handed out, open, ended.
pub mod window;
