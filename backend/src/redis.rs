//! Redis: connections that reconnect, the scripts, and which master holds which
//! segment. Nothing here knows what a sale is.

/// A connection that is made again when it is lost.
mod link;
/// The Lua scripts, compiled in.
pub mod scripts;
/// The Redis masters that hold the stock, and which segment lives on which.
pub mod segments;

pub use link::{RESPONSE_TIMEOUT, RedisLink, RedisLinkError};
