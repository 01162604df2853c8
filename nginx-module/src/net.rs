//! Sockets that nginx's event loop drives: addresses and byte streams.

pub(crate) mod address;
pub(crate) mod stream;
