//! Ends statements that wait for a database server that does not respond.
//!
//! A server that is stopped, or whose machine vanished, closes no connection: the kernel
//! at the other end still acknowledges, or nobody does for a quarter of an hour. Nothing
//! in a connection pool ends such a wait, and a dropped call would leave its connection
//! busy for as long. So the server is asked for a sign of life on a connection of its
//! own. When none comes, every connection of this process to it is shut down: all
//! statements fail at once, as if the server had closed them, and their callers do what
//! they do when a database is away. A statement that takes long on a server that is
//! well is left alone.

use std::fs;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::time::timeout;

use super::address::Kind;

/// Pause between two signs of life.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ends the watch when it is dropped.
#[derive(Debug)]
pub(super) struct Watched;

/// Watches the server at `url` as long as the handle lives. Must be called inside a
/// runtime.
pub(super) fn watch(url: &str) -> Arc<Watched> {
    let watched = Arc::new(Watched);
    tokio::spawn(run(url.to_owned(), Arc::downgrade(&watched)));
    watched
}

async fn run(url: String, watched: Weak<Watched>) {
    let mut probe = None;
    let mut silent = false;
    while watched.strong_count() > 0 {
        tokio::time::sleep(EVERY).await;
        // An error is a reply of a kind: nobody waits for ever then.
        if timeout(PATIENCE, sign_of_life(&mut probe, &url))
            .await
            .is_ok()
        {
            if std::mem::take(&mut silent) {
                tracing::info!("the database responds again");
            }
            continue;
        }
        probe = None;
        let cut = cut(&addresses(&url).await);
        if !std::mem::replace(&mut silent, true) {
            tracing::warn!(
                connections = cut,
                "the database did not respond for {PATIENCE:?}; statements that wait for it were ended"
            );
        }
    }
}

async fn sign_of_life(probe: &mut Option<AnyConnection>, url: &str) -> Result<(), sqlx::Error> {
    let mut conn = match probe.take() {
        Some(conn) => conn,
        None => AnyConnection::connect(url).await?,
    };
    conn.execute("SELECT 1").await?;
    *probe = Some(conn);
    Ok(())
}

/// Where a server listens.
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The addresses that the server's name stands for.
async fn addresses(url: &str) -> Vec<Address> {
    let (socket, host, port) = match Kind::of(url) == Some(Kind::Postgres) {
        true => match PgConnectOptions::from_str(url) {
            Ok(options) => (
                postgres_socket(&options),
                options.get_host().to_owned(),
                options.get_port(),
            ),
            Err(_) => return Vec::new(),
        },
        false => match MySqlConnectOptions::from_str(url) {
            Ok(options) => (
                options.get_socket().cloned(),
                options.get_host().to_owned(),
                options.get_port(),
            ),
            Err(_) => return Vec::new(),
        },
    };
    if let Some(socket) = socket {
        return vec![Address::Unix(socket)];
    }
    let found = tokio::net::lookup_host((host, port)).await;
    found.into_iter().flatten().map(Address::Tcp).collect()
}

/// The socket in the folder that stands in the place of PostgreSQL's host, if one does.
fn postgres_socket(options: &PgConnectOptions) -> Option<PathBuf> {
    let host = Path::new(options.get_host());
    let folder = match options.get_socket() {
        Some(folder) => folder.as_path(),
        None => host.is_absolute().then_some(host)?,
    };
    Some(folder.join(format!(".s.PGSQL.{}", options.get_port())))
}

/// Shuts down this process's connections to these addresses; returns how many.
fn cut(addresses: &[Address]) -> usize {
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let numbers: Vec<RawFd> = numbers.collect();
    numbers
        .into_iter()
        .filter(|fd| cut_one(*fd, addresses))
        .count()
}

fn cut_one(fd: RawFd, addresses: &[Address]) -> bool {
    let is_socket = |path: PathBuf| path.to_string_lossy().starts_with("socket:");
    if !fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(is_socket) {
        return false;
    }
    // SAFETY: the descriptor is borrowed only to be duplicated. Should its owner have
    // closed it since it was listed, duplicating fails, or duplicates whatever has the
    // number now; the peer of the duplicate is looked at before anything is done to it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let Ok(copy) = borrowed.try_clone_to_owned() else {
        return false;
    };
    addresses.iter().any(|address| shut_down(&copy, address))
}

fn shut_down(socket: &OwnedFd, address: &Address) -> bool {
    let Ok(copy) = socket.try_clone() else {
        return false;
    };
    match address {
        Address::Tcp(server) => {
            let stream = TcpStream::from(copy);
            stream.peer_addr().is_ok_and(|peer| peer == *server)
                && stream.shutdown(Shutdown::Both).is_ok()
        }
        Address::Unix(server) => {
            let stream = UnixStream::from(copy);
            stream
                .peer_addr()
                .is_ok_and(|peer| peer.as_pathname() == Some(server))
                && stream.shutdown(Shutdown::Both).is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_connections_to_the_server_are_shut_down() {
        let (server, other) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let address = server.local_addr().unwrap();
        let mut to_server = TcpStream::connect(address).unwrap();
        let to_other = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        let (_kept, _) = other.accept().unwrap();
        assert_eq!(cut(&[Address::Tcp(address)]), 1);
        assert_eq!(to_server.read(&mut [0; 8]).unwrap(), 0);
        to_other.set_nonblocking(true).unwrap();
        let waits = (&to_other).read(&mut [0; 8]).unwrap_err();
        assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock);
    }
}
