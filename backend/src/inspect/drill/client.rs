//! A browser: requests with a cookie, responses as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio::time::timeout;

use crate::http::client::HttpClient;

/// Longest wait for a response.
const PATIENCE: Duration = Duration::from_secs(10);

/// A browser.
#[derive(Debug, Clone)]
pub(super) struct Client {
    base: String,
    http: Arc<HttpClient>,
}

/// A response.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) json: Value,
    pub(super) cookie: Option<String>,
}

impl Client {
    pub(super) fn new(base: &str) -> Self {
        // Over HTTP there is no certificate that could not be read.
        let http = HttpClient::new(None).unwrap_or_else(|error| unreachable!("{error}"));
        Self {
            base: base.to_owned(),
            http: Arc::new(http),
        }
    }

    pub(super) async fn get(&self, path: &str, cookie: &str) -> Option<Reply> {
        self.send("GET", path, &[("cookie", cookie)], "").await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Option<Reply> {
        self.send_text(method, path, headers, body.to_owned()).await
    }

    pub(super) async fn send_text(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Option<Reply> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).ok()?;
        let response = timeout(PATIENCE, self.http.send(request))
            .await
            .ok()?
            .ok()?;
        let (head, body) = response.into_parts();
        let body = timeout(PATIENCE, body.collect())
            .await
            .ok()?
            .ok()?
            .to_bytes();
        let cookie = head.headers.get(header::SET_COOKIE);
        let cookie = cookie.and_then(|it| it.to_str().ok()?.split(';').next());
        Some(Reply {
            status: head.status.as_u16(),
            cookie: cookie.map(str::to_owned),
            json: serde_json::from_slice(&body).ok()?,
        })
    }
}
