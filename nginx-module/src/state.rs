//! What the workers of this edge share: one zone of shared memory.
//!
//! Everything in it is an atomic, and there are no locks: a lock held by a
//! killed worker would stay locked for ever.

pub(crate) mod counters;
mod zone;

pub(crate) use zone::{MAX_BUCKETS, MIN_ZONE_SIZE, Zone, add};
