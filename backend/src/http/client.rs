//! Calls to other services: over HTTPS, or, on the shop's own ground, without.

use std::error::Error;
use std::io;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// What to do about a receiver that is not trusted.
pub(crate) mod trust;

/// Connections to one service.
#[derive(Debug)]
pub(crate) enum HttpClient {
    /// Without certificates.
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// To a service that is verified by the authorities that this machine trusts, or
    /// those in `SSL_CERT_FILE`.
    Secure(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpClient {
    /// To a service whose address has this scheme.
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

    /// Sends a request; a failure is told with its causes.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, String> {
        let answer = match self {
            Self::Plain(client) => client.request(request).await,
            Self::Secure(client) => client.request(request).await,
        };
        match answer {
            Ok(answer) => Ok(answer.map(Body::new)),
            Err(error) => Err(trust::with_cure(in_full(&error))),
        }
    }
}

/// The error and what caused it: a client's own words are only "client error".
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
