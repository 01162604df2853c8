//! Requests to the caches in front of the origin.

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long a cache may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client that keeps its connections to the caches.
pub(super) type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The URL of a path behind the address of a cache.
pub(super) fn joined(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// Opens a client that speaks HTTP and HTTPS.
///
/// # Errors
/// The system's certificates cannot be read.
pub(super) fn open() -> io::Result<Http> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()?
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// A request as the renderer sends it.
pub(super) fn request(
    method: Method,
    url: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::USER_AGENT, "seckill")
        .body(Full::new(body))
        .map_err(|error| error.to_string())
}

/// Sends a request; returns the status of the response once all of it was received.
pub(super) async fn exchange(http: &Http, request: Request<Full<Bytes>>) -> Result<u16, String> {
    let work = async {
        let response = http.request(request).await.map_err(|error| cause(&error))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        body.map_err(|error| error.to_string())?;
        Ok(status)
    };
    let status = tokio::time::timeout(TIMEOUT, work).await;
    status.unwrap_or_else(|_| Err(format!("no response within {TIMEOUT:?}")))
}

/// The innermost cause: the client's own error says only that the request failed.
fn cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => cause(source),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_appended_to_an_address_with_one_slash() {
        assert_eq!(joined("http://cache/", "/x"), "http://cache/x");
        assert_eq!(joined("http://cache:80", "/x"), "http://cache:80/x");
    }
}
