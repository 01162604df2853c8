//! Asks another site: signed requests, whose answers are signed too.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use seckill_core::signing::keyring::Keyring;
use seckill_core::signing::site;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::messages::Refusal;
use crate::config::SitePeer;
use crate::http::client::HttpClient;
use crate::now_ms;

/// Largest request or answer, in bytes: some ten thousand products.
pub(super) const MAX_BODY: usize = 4 << 20;
/// How long an exchange may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Why another site gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It cannot be reached, or what came was not its answer: it may have done what it was
    /// asked for.
    #[error("site {0} is away: {1}")]
    Away(String, String),
    /// It refused.
    #[error("site {0} refused ({1}): {2}")]
    Refused(String, String, String),
}

/// Another site.
#[derive(Debug)]
pub struct Peer {
    own: String,
    name: String,
    base: Uri,
    client: HttpClient,
    keys: Arc<Keyring>,
}

impl Peer {
    pub(super) fn new(own: &str, peer: &SitePeer, keys: &Arc<Keyring>) -> std::io::Result<Self> {
        Ok(Self {
            own: own.to_owned(),
            name: peer.name.clone(),
            base: peer.url.clone(),
            client: HttpClient::new(peer.url.scheme_str())?,
            keys: Arc::clone(keys),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks it, and reads its answer.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        asked: &impl Serialize,
    ) -> Result<T, PeerError> {
        let away = |why: String| PeerError::Away(self.name.clone(), why);
        let body = serde_json::to_vec(asked).map_err(|error| away(error.to_string()))?;
        let nonce = nonce().map_err(|error| away(error.to_string()))?;
        let signed = site::Request {
            from: &self.own,
            to: &self.name,
            at_ms: now_ms(),
            nonce: &nonce,
            path,
        };
        let base = self.base.to_string();
        let uri = format!("{}{path}", base.trim_end_matches('/'));
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(site::HEADER, signed.sign(&self.keys, &body))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| away(error.to_string()))?;
        let response = self.client.fetch(request, MAX_BODY, TIMEOUT).await;
        let response = response.map_err(away)?;
        let (status, body) = (response.status(), response.body());
        let header = response.headers().get(site::HEADER);
        let header = header.and_then(|it| it.to_str().ok()).unwrap_or_default();
        if !site::is_answer(header, &self.keys, &nonce, status.as_u16(), body) {
            return Err(away(format!(
                "what answers {status} at {base} does not sign as a site; compare site_peers, and \
                 the files site_keys"
            )));
        }
        if status == StatusCode::OK {
            return serde_json::from_slice(body).map_err(|error| away(error.to_string()));
        }
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_else(|_| Refusal {
            code: status.as_str().to_owned(),
            message: String::new(),
        });
        Err(PeerError::Refused(
            self.name.clone(),
            refusal.code,
            refusal.message,
        ))
    }
}

fn nonce() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// An id that no other transfer has, with the name of the site that asks.
///
/// # Errors
/// The system gives no random bytes.
pub fn transfer_id(own: &str) -> Result<String, getrandom::Error> {
    let mut random = [0; 12];
    getrandom::fill(&mut random)?;
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{own}-{random}"))
}
