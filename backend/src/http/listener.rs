//! Listening sockets: Unix or TCP, by configuration.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::serve::ListenerExt as _;
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
                let listener = std::net::TcpListener::bind(address).map_err(|error| {
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
