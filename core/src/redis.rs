//! What a Redis server says of itself: by the errors it replies, by its role, by
//! the word of its Sentinels; and when a change of that is worth a line in a log.

/// What an error reply means for the connection it came by.
pub mod condition;
/// Host names: the files by which the system looks them up.
pub mod names;
/// When a change between reachable and away is logged.
pub mod outage;
/// Which server takes writes: roles, and what Sentinels report.
pub mod role;
