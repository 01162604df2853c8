//! "siteverify": the protocol of Cloudflare Turnstile, hCaptcha and reCAPTCHA. A
//! form with `secret`, `response` and `remoteip` is posted; the answer is JSON
//! with `success` and, if that is false, `error-codes`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use tokio::time::timeout;

use super::{ServiceError, Verifier, Vouched};
use crate::http::client::HttpClient;

/// Timeout of a verdict: the shopper waits as well.
const PATIENCE: Duration = Duration::from_secs(3);
/// Largest response that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024;
/// Codes that mean a mistake in our configuration.
const OUR_FAULT: [&str; 4] = [
    "missing-input-secret",
    "invalid-input-secret",
    "sitekey-secret-mismatch",
    "not-using-dummy-secret",
];
/// Codes that mean a fault of the service.
const ITS_FAULT: [&str; 1] = ["internal-error"];

/// A service that is called over HTTP.
pub struct Siteverify {
    url: String,
    secret: String,
    patience: Duration,
    client: HttpClient,
}

impl fmt::Debug for Siteverify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret must not reach a log by way of a debug print.
        f.debug_struct("Siteverify")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    success: bool,
    #[serde(default, rename = "error-codes")]
    error_codes: Vec<String>,
}

impl Siteverify {
    /// Calls `url`, with the secret that the service gave to the shop.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and `url` needs them.
    pub fn new(url: &str, secret: &str) -> std::io::Result<Self> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        Ok(Self {
            url: url.to_owned(),
            secret: secret.to_owned(),
            patience: PATIENCE,
            client: HttpClient::new(scheme)?,
        })
    }

    /// Waits no longer than this for a verdict.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn ask(&self, form: String) -> Result<(u16, Vec<u8>), String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))
            .map_err(|error| error.to_string())?;
        let response = self.client.send(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        Ok((
            status,
            body.map_err(|error| error.to_string())?.to_bytes().to_vec(),
        ))
    }

    async fn verdict(&self, response: &str, address: Option<IpAddr>) -> Result<bool, ServiceError> {
        let form = form(&self.secret, response, address);
        let away = |reason: String| ServiceError::Away(self.url.clone(), reason);
        let (status, body) = timeout(self.patience, self.ask(form))
            .await
            .map_err(|_| away(format!("no response within {:?}", self.patience)))?
            .map_err(away)?;
        if status >= 500 || status == 429 {
            return Err(away(format!("HTTP status {status}")));
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
            ServiceError::Unclear(self.url.clone(), format!("status {status}, {error}"))
        })?;
        let says = |codes: &[&str]| {
            answer
                .error_codes
                .iter()
                .find(|code| codes.contains(&code.as_str()))
                .cloned()
        };
        if answer.success {
            return Ok(true);
        }
        if let Some(code) = says(&OUR_FAULT) {
            return Err(ServiceError::Secret(self.url.clone(), code));
        }
        if let Some(code) = says(&ITS_FAULT) {
            return Err(away(code));
        }
        tracing::debug!(codes = ?answer.error_codes, "the captcha service does not vouch for a shopper");
        Ok(false)
    }
}

impl Verifier for Siteverify {
    fn vouches<'a>(&'a self, response: &'a str, address: Option<IpAddr>) -> Vouched<'a> {
        Box::pin(self.verdict(response, address))
    }
}

/// The form's text.
fn form(secret: &str, response: &str, address: Option<IpAddr>) -> String {
    let mut form = format!("secret={}&response={}", encoded(secret), encoded(response));
    if let Some(address) = address {
        form.push_str(&format!("&remoteip={}", encoded(&address.to_string())));
    }
    form
}

/// Percent-encodes everything but characters without a meaning in forms.
fn encoded(text: &str) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| match byte {
            byte if is_plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shopper_sends_stays_one_field_of_the_form() {
        let address = "2001:db8::1".parse().ok();
        assert_eq!(
            form("s&c=ret", "a b&secret=x\u{e9}", address),
            "secret=s%26c%3Dret&response=a%20b%26secret%3Dx%C3%A9&remoteip=2001%3Adb8%3A%3A1"
        );
    }
}
