//! Sockets that nginx's event loop drives: names, addresses, byte streams and TLS.

pub(crate) mod address;
pub(crate) mod names;
pub(crate) mod stream;
