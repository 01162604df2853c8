//! Where a role listens, and how that is written.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The longest path that fits a Unix socket's address on Linux, in bytes.
pub const MAX_SOCKET_PATH: usize = 107;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `unix:/path`.
    Unix(PathBuf),
    /// `127.0.0.1:9000`.
    Tcp(SocketAddr),
}

impl Listen {
    /// Reads the written form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Some(Listen::Unix(PathBuf::from(path))),
            Some(_) => None,
            None => text.parse().ok().map(Listen::Tcp),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Tcp(address) => address.fmt(f),
        }
    }
}
