//! What the workers of this edge share: one zone of shared memory.
//!
//! Everything in it is an atomic, and there are no locks: a lock held by a
//! killed worker would stay locked for ever.

pub(crate) mod bans;
pub(crate) mod counters;
mod duty;
mod known;
mod mapping;
mod pass;
mod zone;

pub(crate) use known::Known;
pub(crate) use mapping::{SharedZone, wanted};
pub(crate) use pass::Claimed;
pub(crate) use zone::{MAX_BUCKETS, Zone};
