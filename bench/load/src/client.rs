//! Keep-alive connections to one address, shared by any number of shoppers: at
//! most as many requests are under way as there are connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, SET_COOKIE, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The `host:port` of an edge's address `http://host:port`.
///
/// # Errors
/// Another form.
pub(crate) fn authority(base: &str) -> anyhow::Result<String> {
    base.strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/').to_owned())
        .filter(|rest| rest.contains(':') && !rest.contains('/'))
        .with_context(|| format!("--base {base} must look like http://127.0.0.1:8080"))
}

/// Longest wait for one response.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The edge refuses connections, or the connection broke: the request may have
    /// taken effect.
    #[error("no connection to {0}")]
    Connection(String),
    /// Nothing came back in [`RESPONSE_TIMEOUT`]: the request may have taken effect.
    #[error("no response in {} s", RESPONSE_TIMEOUT.as_secs())]
    Timeout,
    /// The request cannot be written: a path or header with forbidden bytes.
    #[error("malformed request: {0}")]
    Request(#[from] hyper::http::Error),
}

/// A response, as far as a shopper needs it.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The first cookie that was set, as `name=value`.
    pub cookie: Option<String>,
    /// Body.
    pub body: Bytes,
}

impl Response {
    /// The string in field `name` of a JSON body.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let value: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(value.get(name)?.as_str()?.to_owned())
    }

    /// The whole number in field `name` of a JSON body.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let value: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        value.get(name)?.as_u64()
    }

    /// The refusal's stable code, or the status if the body has none.
    #[must_use]
    pub fn code(&self) -> String {
        if self.status < 300 {
            return self.status.to_string();
        }
        self.text("code").unwrap_or_else(|| self.status.to_string())
    }
}

/// A request to send.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path and query.
    pub path: &'a str,
    /// The session cookie, as `name=value`.
    pub cookie: Option<&'a str>,
    /// `Idempotency-Key`.
    pub request: Option<&'a str>,
    /// `X-Seckill-Captcha`.
    pub captcha: Option<&'a str>,
    /// JSON body; empty for none.
    pub body: &'a str,
}

impl<'a> Call<'a> {
    /// A plain request of this method.
    #[must_use]
    pub fn new(method: &'a Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            cookie: None,
            request: None,
            captcha: None,
            body: "",
        }
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// The connections to `authority` (`host:port`).
#[derive(Debug)]
pub struct Edge {
    authority: String,
    /// Source address of the connections; the system's choice if `None`.
    source: Option<Ipv4Addr>,
    /// The `User-Agent`.
    agent: String,
    slots: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Edge {
    /// Up to `connections` connections, opened when needed.
    #[must_use]
    pub fn new(authority: &str, connections: usize) -> Self {
        Self {
            authority: authority.to_owned(),
            source: None,
            agent: String::new(),
            slots: Semaphore::new(connections.max(1)),
            idle: Mutex::default(),
        }
    }

    /// The same, from this address of this machine and by a browser of this name.
    #[must_use]
    pub fn from(self, source: Option<Ipv4Addr>, agent: &str) -> Self {
        Self {
            source,
            agent: agent.to_owned(),
            ..self
        }
    }

    /// Sends one request and reads the whole response.
    ///
    /// # Errors
    /// [`CallError`]; except for a malformed request the outcome is unknown.
    pub async fn call(&self, call: Call<'_>) -> Result<Response, CallError> {
        // The semaphore is never closed, so that this cannot fail.
        let _slot = self.slots.acquire().await;
        timeout(RESPONSE_TIMEOUT, self.exchange(call))
            .await
            .map_err(|_| CallError::Timeout)?
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Response, CallError> {
        let request = self.request(call)?;
        let broken = |_| CallError::Connection(self.authority.clone());
        let mut connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let response = connection.send_request(request).await.map_err(broken)?;
        let (status, cookie) = (response.status().as_u16(), first_cookie(&response));
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(broken)?
            .to_bytes();
        if !connection.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
        Ok(Response {
            status,
            cookie,
            body,
        })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Connections that the edge has closed meanwhile are dropped.
        std::iter::from_fn(|| idle.pop()).find(SendRequest::is_ready)
    }

    async fn connect(&self) -> Result<Connection, CallError> {
        let broken = || CallError::Connection(self.authority.clone());
        let stream = self.dial().await.map_err(|_| broken())?;
        stream.set_nodelay(true).map_err(|_| broken())?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|_| broken())?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let Some(source) = self.source else {
            return TcpStream::connect(&self.authority).await;
        };
        let to = lookup_host(&self.authority)
            .await?
            .find(SocketAddr::is_ipv4);
        let to = to.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        socket.connect(to).await
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, CallError> {
        let mut builder = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, self.authority.as_str());
        if !self.agent.is_empty() {
            builder = builder.header(USER_AGENT, self.agent.as_str());
        }
        if let Some(cookie) = call.cookie {
            builder = builder.header("Cookie", cookie);
        }
        if let Some(request) = call.request {
            builder = builder.header("Idempotency-Key", request);
        }
        if let Some(pass) = call.captcha {
            builder = builder.header(seckill_core::captcha::pass::HEADER, pass);
        }
        if !call.body.is_empty() {
            builder = builder.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(builder.body(Full::new(Bytes::copy_from_slice(call.body.as_bytes())))?)
    }
}

fn first_cookie<T>(response: &hyper::Response<T>) -> Option<String> {
    let cookie = response.headers().get(SET_COOKIE)?.to_str().ok()?;
    Some(cookie.split(';').next().unwrap_or(cookie).trim().to_owned())
}
