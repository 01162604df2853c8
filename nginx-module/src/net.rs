//! Redis, spoken to from inside the worker's event loop.

pub(crate) mod address;
pub(crate) mod bans;
pub(crate) mod link;
pub(crate) mod permits;
pub(crate) mod queue;
pub(crate) mod refresh;
mod regrabs;
mod standby;
mod stream;
