//! Listening sockets: Unix or TCP, by configuration.

use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::serve::ListenerExt as _;
use nix::errno::Errno;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use super::attend::{self, ATTENDED};
use crate::config::Listen;
use crate::config::listen::MAX_SOCKET_PATH;

/// A socket that is bound and not yet served.
pub(crate) enum Bound {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Bound {
    /// Binds a socket. Must be called inside a runtime.
    ///
    /// # Errors
    /// A sentence with the cause and the cure.
    pub(crate) fn new(listen: &Listen) -> Result<Self, String> {
        match listen {
            Listen::Unix(path) => {
                let listener = bind_unix(path)?;
                Ok(Bound::Unix(listener, path.clone()))
            }
            Listen::Tcp(address) => {
                let bound = bind_tcp(*address, std::net::TcpListener::bind);
                let listener = bound.map_err(|error| {
                    if error.kind() == io::ErrorKind::AddrInUse {
                        "another process listens there; stop it, or choose another port".to_owned()
                    } else {
                        error.to_string()
                    }
                })?;
                let adopted = listener
                    .set_nonblocking(true)
                    .and_then(|()| TcpListener::from_std(listener));
                adopted.map(Bound::Tcp).map_err(|error| error.to_string())
            }
        }
    }

    /// Serves until `stop`, then finishes the requests under way.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        match self {
            Bound::Unix(listener, path) => {
                // Before the last ones are taken: who connects then finds nobody, at once, and
                // a proxy turns to another server. It may be gone already.
                let close = || drop(std::fs::remove_file(&path));
                attend::serve(listener, router, ATTENDED, stop, close).await;
            }
            Bound::Tcp(listener) => {
                // A response is written at once: waiting for more data gains nothing.
                let listener = listener.tap_io(|stream| {
                    let _ = stream.set_nodelay(true);
                });
                attend::serve(listener, router, ATTENDED, stop, || {}).await;
            }
        }
    }
}

/// `[::]` is every address of this machine, those of IPv4 too: where the kernel has no
/// IPv6, the latter are all.
fn bind_tcp<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let without_ipv6 = Some(Errno::EAFNOSUPPORT as i32);
    match bind(address) {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED && error.raw_os_error() == without_ipv6 =>
        {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn bind_unix(path: &Path) -> Result<UnixListener, String> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        return Err(format!(
            "the path has {length} bytes and the kernel takes {MAX_SOCKET_PATH}; choose a shorter \
             one, or a shorter SECKILL_DATA"
        ));
    }
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
    // nginx's workers may run as another user; every request is verified anyway.
    std::fs::set_permissions(path, Permissions::from_mode(0o666))
        .map_err(|error| error.to_string())?;
    Ok(listener)
}

/// Removes the socket that a killed process left behind. A socket that is listened on
/// and a file of another kind are errors.
fn remove_stale(path: &Path) -> Result<(), String> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err("a file that is no socket is in the way; move it away".to_owned());
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err("another process listens there; stop it first".to_owned());
    }
    std::fs::remove_file(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_listened_on_also_where_there_is_no_ipv6() {
        let every: SocketAddr = "[::]:7001".parse().unwrap();
        let old_kernel = |address: SocketAddr| match address {
            SocketAddr::V4(_) => Ok(address.to_string()),
            SocketAddr::V6(_) => Err(Errno::EAFNOSUPPORT.into()),
        };
        assert_eq!(bind_tcp(every, old_kernel).unwrap(), "0.0.0.0:7001");
        let one: SocketAddr = "[fd00::1]:7001".parse().unwrap();
        assert!(
            bind_tcp(one, old_kernel).is_err(),
            "that is no address here"
        );
        let new_kernel = |address: SocketAddr| Ok(address.to_string());
        assert_eq!(bind_tcp(every, new_kernel).unwrap(), "[::]:7001");
    }
}
