//! Asks a part whether it is well, over the same socket that its users take.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::Listen;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// What a Redis says to a PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisHealth {
    /// It serves.
    Serving,
    /// It is there, but still reads its append-only file.
    Loading,
    /// Nobody answers.
    Away,
}

/// Whether `GET path` at this address is answered with 200.
pub async fn is_well(listen: &Listen, path: &str) -> bool {
    matches!(status(listen, path).await, Ok(200))
}

/// The status of the answer to `GET path`.
///
/// # Errors
/// Nobody answered in time, or not in HTTP.
pub async fn status(listen: &Listen, path: &str) -> io::Result<u16> {
    let ask = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let head = match listen {
        Listen::Unix(socket) => ask_unix(socket, &ask).await,
        Listen::Tcp(address) => {
            limited(async { exchange(TcpStream::connect(address).await?, &ask).await }).await
        }
    }?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

/// What the Redis at this socket says.
pub async fn redis(socket: &Path) -> RedisHealth {
    match ask_unix(socket, "PING\r\n").await {
        Ok(reply) if reply.starts_with("-LOADING") => RedisHealth::Loading,
        // Anything else, even a refusal for want of a password, is a living Redis.
        Ok(reply) if reply.starts_with(['+', '-']) => RedisHealth::Serving,
        _ => RedisHealth::Away,
    }
}

async fn ask_unix(socket: &Path, ask: &str) -> io::Result<String> {
    limited(async { exchange(UnixStream::connect(socket).await?, ask).await }).await
}

async fn limited(work: impl Future<Output = io::Result<String>>) -> io::Result<String> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Sends `ask` and reads the first part of the answer.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    ask: &str,
) -> io::Result<String> {
    stream.write_all(ask.as_bytes()).await?;
    let mut head = [0; 256];
    let length = stream.read(&mut head).await?;
    Ok(String::from_utf8_lossy(&head[..length]).into_owned())
}
