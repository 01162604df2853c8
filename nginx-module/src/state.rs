//! The shared memory of this edge's workers: one zone.
//!
//! Everything in it is an atomic, and there are no locks: a lock held by a killed
//! worker would stay locked for ever.

pub(crate) mod bans;
pub(crate) mod counters;
mod limits;
mod mapping;
mod passes;
mod refresher;
pub(crate) mod seen;
mod zone;

pub(crate) use limits::{LimitCounts, LimitZone};
pub(crate) use mapping::{SharedZone, wanted};
pub(crate) use passes::ClaimedPass;
pub(crate) use seen::SeenClick;
pub(crate) use zone::{MAX_BUCKETS, Zone};
