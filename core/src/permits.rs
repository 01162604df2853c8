//! Permits to buy. An edge leases them from Redis in blocks and spends them by itself.
//!
//! Here belong the rules that keep the sum of all permits exact, and the words in
//! shared memory that follow them. The commands to Redis are the module's
//! (`nginx-module/src/net`) and the back end's (`backend/src/edges/leases.rs`).
//! It uses no other module.

/// The permits that an edge has in hand for one product.
pub mod hand;
/// Leases: blocks of permits, taken in advance and spent for a bounded time.
pub mod lease;
/// What became of the permit of an admitted request.
pub mod outcome;
/// A permit: its header, and how many a lease may grant or must return.
pub mod permit;
/// For how long "sold out" may be said, and how items come back on sale.
pub mod reopening;
/// The share of permits that an edge holds for the time when Redis is away.
pub mod standby;
/// What became of each lease's permits, as totals that are reported to Redis.
pub mod tally;
