//! Redis: connections that reconnect, a typed function for each script, and which
//! master holds which segment. It may use the core's types and key names; it decides
//! nothing about a sale.

/// How long to pause between two attempts to connect.
mod backoff;
/// The commands of a stream's consumer group.
pub mod consumer_group;
/// What nginx is to be configured with for the same Redis.
mod directive;
/// Why Redis gave no result.
mod error;
/// Which life of which server a connection leads to.
mod life;
/// A connection that is made again when it is lost.
mod link;
/// What an address says behind its question mark.
mod options;
/// Waiting until replicas have what was written.
mod replication;
/// The Lua scripts, compiled in: one typed function each.
pub mod scripts;
/// The Redis masters that hold the stock, and which segment lives on which.
pub mod segments;
/// Which server is the master, as Sentinels say.
mod sentinel;
/// A server, and how it is reached.
mod server;
/// Where a connection leads.
mod target;
/// TLS, and what an address says of it.
mod tls;

pub use directive::directive;
pub use error::RedisLinkError;
pub use link::{Admission, Guard, RESPONSE_TIMEOUT, RedisLink};
pub use replication::Replication;
