//! The tables that the workers of one edge share, as safe code over atomics.
//!
//! They live in nginx's shared memory: the module maps it and hands slices of
//! these types in. What holds for all of them:
//!
//! - **All-zero bytes are the empty table.** Nothing has to be initialised.
//! - **No locks.** A worker may be killed at any instruction; what it leaves
//!   half done is at worst an entry that counts as absent until it is written
//!   again, and is never waited for.
//! - **Fixed size.** Nothing grows; what happens when a table is full is said
//!   in its own page.
//! - **Whoever calls brings the time**, in seconds, and the random seed.

/// The catalogue.
pub mod products;

mod chains;
