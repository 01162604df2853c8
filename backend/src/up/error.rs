//! Why the system is not up, or no longer.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::roles::RoleError;

/// Why the system is not up, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {source}; make it writable, or choose another with SECKILL_DATA", path.display())]
    Data {
        /// The folder, or the file in it.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another `up` runs in this folder.
    #[error("another \"seckill up\" (process {pid}) runs in {}; stop it, or choose another folder with SECKILL_DATA", path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// Its process id, or "unknown".
        pid: String,
    },
    /// A socket's path would not fit.
    #[error("the socket {} has a path of {} bytes and the kernel takes 107; choose a shorter folder with SECKILL_DATA", path.display(), path.as_os_str().len())]
    LongPath {
        /// The socket.
        path: PathBuf,
    },
    /// Another program listens on a port.
    #[error(
        "port {port} is in use by {by}; stop that program, or choose another port with {variable}"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// Who has it, and where.
        by: String,
        /// The variable that moves it.
        variable: &'static str,
    },
    /// Two parts of this system are to listen on the same port.
    #[error(
        "{a} and {b} cannot share port {port}: {variable_a} and {variable_b} name it; choose another with one of them"
    )]
    PortShared {
        /// The port.
        port: u16,
        /// One part.
        a: &'static str,
        /// The variable that moves it.
        variable_a: &'static str,
        /// The other part.
        b: &'static str,
        /// The variable that moves that one.
        variable_b: &'static str,
    },
    /// This user may not listen on a port.
    #[error(
        "port {port} of {part} is below 1024, where only root may listen; choose another with {variable}, or run this with the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
    )]
    PortForbidden {
        /// The port.
        port: u16,
        /// The part that was to listen there.
        part: &'static str,
        /// The variable that moves it.
        variable: &'static str,
    },
    /// An address belongs to another machine, or to none.
    #[error(
        "{part} cannot listen on {address}: this machine has no such address; name one of its own, or 0.0.0.0 for all, with {variable}"
    )]
    NoSuchAddress {
        /// The part that was to listen there.
        part: &'static str,
        /// The address.
        address: SocketAddr,
        /// The variable that names it.
        variable: &'static str,
    },
    /// A program or file is not there.
    #[error("{what} was not found ({searched}); {cure}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Where it was searched for.
        searched: String,
        /// How to get it.
        cure: &'static str,
    },
    /// A part did not start.
    #[error("{name} did not start: {reason}")]
    Start {
        /// The part.
        name: &'static str,
        /// Why, with the last lines of its log.
        reason: String,
    },
    /// A child could not be kept up.
    #[error(
        "{name} ended {ends} times within {within:.0?}, so that everything was stopped; the last time, {end}"
    )]
    Died {
        /// The child.
        name: &'static str,
        /// How often it ended.
        ends: u32,
        /// How long after its first end.
        within: Duration,
        /// How it ended the last time, with the last lines of its log.
        end: String,
    },
    /// A process of a killed run cannot be stopped.
    #[error(
        "process {pid} ({name}), left by an earlier run in this data folder, does not stop; end it with \"kill -9 {pid}\""
    )]
    Leftover {
        /// Its id.
        pid: i32,
        /// Its program's name.
        name: String,
    },
    /// A role could not start, or could not be kept up.
    #[error(transparent)]
    Roles(#[from] RoleError),
    /// The demo sale, or a round whose approval was interrupted, cannot be sold.
    #[error("{0}")]
    Sale(String),
}
