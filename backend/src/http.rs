//! HTTP as a server and as a client: listeners, connections, errors, TLS. Nothing here
//! knows what is served or called; it uses the configuration.

/// Serves many connections with little memory.
pub mod attend;
/// Request bodies where none belong.
pub(crate) mod body;
/// Requests to other services.
pub(crate) mod client;
/// The elements of keys and certificates.
pub(crate) mod der;
/// Error responses and internal faults, each with its status.
pub mod error;
/// Whether a role is alive, and whether it is ready.
pub mod health;
/// Listening sockets.
pub mod listener;
/// Counts what a role serves, and serves the counts.
pub(crate) mod observed;
