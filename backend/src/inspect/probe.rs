//! Checks the health of a part, over the same socket that its clients use.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs, UnixStream};
use tokio::time::timeout;

use crate::config::Listen;

/// How long one check may take.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// What the reply of a Redis to PING means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisHealth {
    /// It serves.
    Serving,
    /// It runs, but still reads its append-only file.
    Loading,
    /// No reply in time.
    Away,
}

/// Whether the response to `GET path` at this address is 200.
pub async fn is_well(listen: &Listen, path: &str) -> bool {
    matches!(status(listen, path).await, Ok(200))
}

/// The status of the response to `GET path`.
///
/// # Errors
/// No response in time, or none in HTTP.
pub async fn status(listen: &Listen, path: &str) -> io::Result<u16> {
    let request = get("localhost", path);
    read_status(&match listen {
        Listen::Unix(socket) => over_unix(socket, &request).await,
        Listen::Tcp(address) => over_tcp(address, &request).await,
    }?)
}

/// The same of a machine that is named.
///
/// # Errors
/// No response in time, or none in HTTP.
pub async fn status_at(host: &str, port: u16, path: &str) -> io::Result<u16> {
    read_status(&over_tcp((host, port), &get(host, path)).await?)
}

fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

fn read_status(head: &str) -> io::Result<u16> {
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP response"))
}

/// The health of the Redis at this socket.
pub async fn redis(socket: &Path) -> RedisHealth {
    match over_unix(socket, "PING\r\n").await {
        Ok(reply) if reply.starts_with("-LOADING") => RedisHealth::Loading,
        // Anything else, even a refusal for want of a password, is a living Redis.
        Ok(reply) if reply.starts_with(['+', '-']) => RedisHealth::Serving,
        _ => RedisHealth::Away,
    }
}

async fn over_unix(socket: &Path, request: &str) -> io::Result<String> {
    limited(async { exchange(UnixStream::connect(socket).await?, request).await }).await
}

async fn over_tcp(address: impl ToSocketAddrs, request: &str) -> io::Result<String> {
    limited(async { exchange(TcpStream::connect(address).await?, request).await }).await
}

async fn limited(work: impl Future<Output = io::Result<String>>) -> io::Result<String> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Sends `request` and reads the first part of the response.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &str,
) -> io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 256];
    let length = stream.read(&mut head).await?;
    Ok(String::from_utf8_lossy(&head[..length]).into_owned())
}
