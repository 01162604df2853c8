//! Calls of a provider's API.

use std::fmt;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use seckill_core::orders::payment::ProviderName;

use super::{ProviderError, TIMEOUT};
use crate::http::client::HttpClient;

/// Largest reply that is read, in bytes: a page of a hundred payments is far smaller.
const MAX_REPLY: usize = 4 << 20;
/// Characters of a provider's refusal that are kept.
const SHOWN: usize = 300;

/// A secret, which is never printed.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

/// The API of a provider.
#[derive(Debug)]
pub(super) struct Api {
    provider: ProviderName,
    client: HttpClient,
    /// Its address, without a slash at its end.
    pub(super) base: String,
}

/// What a provider replied with.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Api {
    /// A client of the provider at this address.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and the address needs them.
    pub(super) fn new(provider: ProviderName, base: &str) -> std::io::Result<Self> {
        let scheme = base.split_once("://").map(|(scheme, _)| scheme);
        Ok(Self {
            provider,
            client: HttpClient::new(scheme)?,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// Sends a request, and reads all of the reply.
    ///
    /// # Errors
    /// [`ProviderError::Away`], also for a reply of 429 or 5xx.
    pub(super) async fn send(
        &self,
        request: Builder,
        body: String,
    ) -> Result<Reply, ProviderError> {
        let request = request
            .header("user-agent", "seckill")
            .body(Full::from(body))
            .map_err(|error| self.refused(format!("no request can be made of it: {error}")))?;
        let exchange = async {
            let response: Response<Body> = self.client.send(request).await?;
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, MAX_REPLY).await;
            let body = body.map_err(|error| format!("its reply breaks off: {error}"))?;
            Ok::<_, String>((parts, body))
        };
        let outcome = tokio::time::timeout(TIMEOUT, exchange).await;
        let reason = |()| format!("no reply within {} s", TIMEOUT.as_secs());
        let (parts, body) = match outcome.map_err(|_| reason(())) {
            Ok(Ok(reply)) => reply,
            Ok(Err(reason)) | Err(reason) => return Err(self.away(reason)),
        };
        if parts.status == StatusCode::TOO_MANY_REQUESTS || parts.status.is_server_error() {
            return Err(self.away(format!("it replied {}", parts.status)));
        }
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    pub(super) fn away(&self, reason: impl Into<String>) -> ProviderError {
        ProviderError::Away(self.provider, reason.into())
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> ProviderError {
        ProviderError::Refused(self.provider, reason.into())
    }

    /// The refusal that a reply with another status than 2xx is.
    pub(super) fn refusal(&self, reply: &Reply) -> ProviderError {
        let text = String::from_utf8_lossy(&reply.body);
        let shown: String = text.chars().take(SHOWN).collect();
        self.refused(format!("{}: {shown}", reply.status))
    }
}

/// `key=value` pairs as a form has them.
pub(super) fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A part of a URL.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
