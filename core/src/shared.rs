//! The tables that the workers of one edge share, as safe code over atomics.
//!
//! They live in nginx's shared memory: the module maps it and hands slices of
//! these types in. Here belong tables and how they share a zone; a table may use
//! the types of other modules that it stores. What holds for all of them:
//!
//! - **All-zero bytes are the empty table.** Nothing has to be initialised.
//! - **No locks.** A worker may be killed at any instruction; what it leaves
//!   half done is at worst an entry that counts as absent until it is written
//!   again, and is never waited for.
//! - **Fixed size.** Nothing grows; what happens when a table is full is said
//!   in its module's documentation.
//! - **The caller passes the time**, in seconds, and the random seed.
//!
//! Default sizes, computed by `plan`:
//!
//! | table | entries | bytes each | together |
//! |---|---|---|---|
//! | `products` | 10,000 | 256, a table 5/8 full | 3.9 MiB |
//! | `seen` | 1,000,000 | 16, a table 11/16 full | 22.2 MiB |
//! | `bans` | 1,000,000 | 16, a table half full, and two filters of a byte | 32.4 MiB |
//! | `passes` | 125,000 | 16, a table 11/16 full | 2.8 MiB |
//!
//! | `winners` | 250,000 | a byte, twice | 0.5 MiB |
//!
//! With nginx's own bookkeeping that is a zone of 63 MiB.

/// Banned addresses, networks and users.
pub mod bans;
/// Buckets by key, for `seckill_rate key=…`.
pub mod limits;
/// Captcha passes that were spent.
pub mod passes;
/// Addresses and networks as they are written in a ban.
pub mod prefix;
/// The catalogue: each product's window, limit and permits.
pub mod products;
/// Which worker reads from Redis for all of them.
pub mod refresher;
/// Buyers who were admitted already.
pub mod seen;
/// Who may be among the winners of a product, at whichever edge.
pub mod winners;

mod chains;
mod filter;
mod plan;
mod sets;

pub use crate::siphash;
pub use plan::{
    MIN_ZONE_BYTES, TablePlace, ZoneNeeds, ZonePlan, ZoneTooSmall, plan, usable, zone_for,
    zone_for_bans, zone_for_products,
};
pub use sets::{Set, WAYS};
