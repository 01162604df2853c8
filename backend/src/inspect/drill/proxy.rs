//! A proxy between two parts: what passes it can be delayed, or held up with every
//! connection open, as a network does that loses everything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Most bytes that are passed on at once.
const BLOCK: usize = 64 << 10;

/// How bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// The proxy passes everything on at once.
    Open,
    /// So much later, in both directions.
    Slow(Duration),
    /// Not until that changes; nothing is lost, and nothing is closed.
    Cut,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    condition: watch::Sender<Condition>,
    socket: PathBuf,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens at `socket`, and leads to the socket `server`.
    pub(super) fn between(socket: &Path, server: &Path) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("{} cannot be listened at", socket.display()))?;
        let (condition, seen) = watch::channel(Condition::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server.to_owned(), seen));
        Ok(Self {
            condition,
            socket: socket.to_owned(),
            _tasks: tasks,
        })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }
}

async fn accept(listener: UnixListener, server: PathBuf, seen: watch::Receiver<Condition>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connect(client, server.clone(), seen.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(client: UnixStream, server: PathBuf, mut seen: watch::Receiver<Condition>) {
    if seen.wait_for(|it| *it != Condition::Cut).await.is_err() {
        return;
    }
    // Without a server the client's connection is closed.
    let Ok(server) = UnixStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, seen.clone()) => {}
        () = pass(from_server, to_client, seen) => {}
    }
}

/// Passes bytes on until one of the ends is closed.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut seen: watch::Receiver<Condition>,
) {
    let mut block = vec![0; BLOCK];
    loop {
        let Ok(read) = from.read(&mut block).await else {
            return;
        };
        let arrived = Instant::now();
        if read == 0 || seen.wait_for(|it| *it != Condition::Cut).await.is_err() {
            return;
        }
        let condition = *seen.borrow();
        if let Condition::Slow(delay) = condition {
            tokio::time::sleep_until(arrived + delay).await;
        }
        if to.write_all(&block[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(stream: &mut UnixStream, word: &[u8; 4]) -> [u8; 4] {
        stream.write_all(word).await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn what_was_held_up_arrives_when_the_way_is_open_again() {
        let folder = tempfile::tempdir().unwrap();
        let (near, far) = (folder.path().join("near"), folder.path().join("far"));
        let server = UnixListener::bind(&far).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut word = [0; 4];
            while stream.read_exact(&mut word).await.is_ok() {
                stream.write_all(&word).await.unwrap();
            }
        });
        let proxy = Proxy::between(&near, &far).unwrap();
        let mut stream = UnixStream::connect(proxy.socket()).await.unwrap();
        assert_eq!(&ask(&mut stream, b"open").await, b"open");
        proxy.set(Condition::Cut);
        let mut held = Box::pin(ask(&mut stream, b"held"));
        let patience = Duration::from_millis(100);
        assert!(tokio::time::timeout(patience, &mut held).await.is_err());
        proxy.set(Condition::Slow(Duration::from_millis(1)));
        assert_eq!(&held.await, b"held");
    }
}
