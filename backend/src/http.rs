//! HTTP, without knowledge of what is served or called.

/// Serving many connections with little memory.
pub mod attend;
/// Calls to other services.
pub(crate) mod client;
/// Error responses and internal faults, each with its status.
pub mod error;
/// Listening sockets.
pub mod listener;
