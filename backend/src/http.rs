//! HTTP, without knowledge of what is served or called.

/// Serving many connections with little memory.
pub mod attend;
/// Request bodies where none belong.
pub(crate) mod body;
/// Calls to other services.
pub(crate) mod client;
/// Error responses and internal faults, each with its status.
pub mod error;
/// Listening sockets.
pub mod listener;
