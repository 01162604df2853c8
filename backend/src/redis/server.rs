//! A server: where it is, the login there, and whether it is reached by TLS.

use std::io;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisResult,
};
use seckill_tls::TlsClient;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;

/// A server, with the login there and how it is reached.
#[derive(Debug, Clone)]
pub(super) struct Server {
    client: Client,
    tls: Option<TlsClient>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Server {
    /// Reads an address without TLS.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str, tls: Option<TlsClient>) -> Result<Self, String> {
        let client = Client::open(url).map_err(|error| error.to_string())?;
        Ok(Self { client, tls })
    }

    /// The same login and TLS at another server.
    ///
    /// # Errors
    /// What is wrong with its address.
    pub(super) fn at(&self, host: String, port: u16) -> Result<Self, String> {
        let info = self.info().clone();
        let info = info.set_addr(ConnectionAddr::Tcp(host, port));
        Ok(Self {
            client: Client::open(info).map_err(|error| error.to_string())?,
            tls: self.tls.clone(),
        })
    }

    /// Connects, and logs in. A task drives the connection, until its last handle is dropped
    /// or the task is aborted.
    ///
    /// # Errors
    /// It is not there, with TLS not whom it should be, or refuses the login.
    pub(super) async fn open(
        &self,
        config: AsyncConnectionConfig,
    ) -> RedisResult<(MultiplexedConnection, AbortHandle)> {
        let login = self.info().redis_settings();
        self.open_as(login, config).await
    }

    /// The same with another login.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub(super) async fn open_as(
        &self,
        login: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<(MultiplexedConnection, AbortHandle)> {
        let stream = self.connect().await?;
        let opened = MultiplexedConnection::new_with_config(login, stream, config).await;
        opened.map(|(conn, driver)| (conn, tokio::spawn(driver).abort_handle()))
    }

    /// Its address, and login and database there.
    pub(super) fn info(&self) -> &ConnectionInfo {
        self.client.get_connection_info()
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let (host, port) = match self.info().addr() {
            ConnectionAddr::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            ConnectionAddr::Tcp(host, port) => (host.as_str(), *port),
            _ => return Err(io::Error::other("this kind of connection is not supported")),
        };
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => Ok(Box::new(tls.connect(stream, host).await?)),
            None => Ok(Box::new(stream)),
        }
    }

    /// `host:port`, or the path of a socket.
    pub(super) fn address(&self) -> String {
        match self.info().addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            other => other.to_string(),
        }
    }
}
