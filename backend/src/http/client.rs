//! Requests to other services, over HTTPS or HTTP.

use std::error::Error;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// The cure when the certificate of a service is refused.
pub(crate) mod trust;

/// A client of one service, which keeps its connections.
#[derive(Debug)]
pub(crate) enum HttpClient {
    /// A client for HTTP without TLS.
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// A client for HTTPS. It verifies the service by the authorities that this machine
    /// trusts, or those in `SSL_CERT_FILE`.
    Secure(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpClient {
    /// A client for a service whose address has this scheme.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and the scheme is `https`.
    pub(crate) fn new(scheme: Option<&str>) -> io::Result<Self> {
        let builder = Client::builder(TokioExecutor::new());
        if scheme != Some("https") {
            return Ok(Self::Plain(builder.build(HttpConnector::new())));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_only()
            .enable_http1()
            .build();
        Ok(Self::Secure(builder.build(connector)))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// A sentence with all causes of the failure.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, String> {
        let response = match self {
            Self::Plain(client) => client.request(request).await,
            Self::Secure(client) => client.request(request).await,
        };
        match response {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => Err(trust::with_cure(in_full(&error))),
        }
    }

    /// Sends a request and reads the whole response, of at most `most` bytes, all of it
    /// within `patience`.
    ///
    /// # Errors
    /// A sentence with all causes of the failure.
    pub(crate) async fn fetch(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
        patience: Duration,
    ) -> Result<Response<Bytes>, String> {
        let fetched = async {
            let (parts, body) = self.send(request).await?.into_parts();
            let body = Limited::new(body, most).collect().await;
            let body = body.map_err(|error| error.to_string())?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        let late = |_| format!("no response within {} s", patience.as_secs());
        timeout(patience, fetched).await.map_err(late)?
    }
}

/// All causes of the error: by itself it says only "client error".
fn in_full(error: &dyn Error) -> String {
    let first = error.source().unwrap_or(error);
    let mut text = first.to_string();
    let mut cause = first.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
