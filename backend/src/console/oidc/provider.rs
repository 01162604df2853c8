//! The OpenID provider: what it publishes about itself, and exchanging a code for an ID
//! token.
//!
//! Its discovery document and its keys are read when somebody logs in, and then kept for
//! some minutes. Whatever it sends is bounded in size and time, and none of its addresses
//! is used that is not as well protected as that of the issuer.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use http_body_util::Full;
use seckill_core::signing::jwt::id_token::{Expected, IdRefusal, IdToken};
use seckill_core::signing::jwt::keys::MAX_SET;
use seckill_core::signing::jwt::{KeySet, Refusal};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::PAGES;
use crate::config::oidc::{Oidc, is_trusted};
use crate::http::client::HttpClient;
use crate::now_ms;

/// How long what was read is used.
const KEPT: Duration = Duration::from_secs(300);
/// Least time between two readings: strangers can begin logins at will.
const SPACING: Duration = Duration::from_secs(5);
/// Longest time that a request to the provider takes.
const PATIENCE: Duration = Duration::from_secs(4);
/// Longest discovery document and longest response to a code, in bytes.
const MAX_RESPONSE: usize = 256 * 1024;
/// Longest ID token that goes into an address, in bytes: servers take addresses of 8 KiB.
const MAX_HINT: usize = 4096;
/// Where the console receives the code.
pub(super) const CALLBACK: &str = "/ops/api/login/oidc/callback";

/// Why the provider vouches for nobody. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProviderError {
    /// It cannot be reached, takes too long, or its response makes no sense.
    #[error("{0}")]
    Away(String),
    /// It refuses the code, or us.
    #[error("{0}")]
    Refused(String),
    /// Its ID token is not believed.
    #[error(transparent)]
    Token(#[from] IdRefusal),
}

/// The discovery document (OpenID Connect Discovery 1.0, 3; RFC 9207, 3).
#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    /// OpenID Connect RP-Initiated Logout 1.0, 2.1.
    #[serde(default)]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Debug)]
struct Published {
    metadata: Metadata,
    keys: KeySet,
    read_at: Instant,
}

#[derive(Debug, Default)]
struct Known {
    published: Option<Arc<Published>>,
    tried_at: Option<Instant>,
}

/// The response to a code.
#[derive(Deserialize)]
struct TokenResponse {
    id_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What whoever finishes a login has to show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proofs<'a> {
    /// `nonce`: what the ID token has to repeat.
    pub(super) nonce: &'a str,
    /// PKCE (RFC 7636): whoever redeems the code has to show it.
    pub(super) verifier: &'a str,
}

/// The provider of the settings.
#[derive(Debug)]
pub(in crate::console) struct Provider {
    pub(super) settings: Oidc,
    redirect_uri: String,
    /// Where it sends people who logged out.
    after_logout: String,
    client: OnceLock<HttpClient>,
    known: Mutex<Known>,
}

impl Provider {
    /// The provider for a console at this address. Nothing is read yet.
    pub(in crate::console) fn new(settings: &Oidc, console_url: &str) -> Self {
        Self {
            settings: settings.clone(),
            redirect_uri: format!("{console_url}{CALLBACK}"),
            after_logout: format!("{console_url}{PAGES}"),
            client: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    /// Where a browser goes to log in (OpenID Connect Core 1.0, 3.1.2.1). The provider
    /// sends it back with this `state`, which names the login.
    pub(super) async fn login_url(
        &self,
        state: &str,
        proofs: Proofs<'_>,
    ) -> Result<String, ProviderError> {
        let published = self.published().await?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(proofs.verifier.as_bytes()));
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.settings.scope)
            .append_pair("state", state)
            .append_pair("nonce", proofs.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let to = &published.metadata.authorization_endpoint;
        let joint = if to.contains('?') { '&' } else { '?' };
        Ok(format!("{to}{joint}{query}"))
    }

    /// Where a browser goes to log out at the provider too (OpenID Connect RP-Initiated
    /// Logout 1.0, 2), from a session that began with this ID token; `None` if the provider
    /// names no such place, or the settings turn it off.
    pub(super) async fn logout_url(
        &self,
        id_token: Option<&str>,
    ) -> Result<Option<String>, ProviderError> {
        if !self.settings.logs_out {
            return Ok(None);
        }
        let published = self.published().await?;
        let Some(to) = &published.metadata.end_session_endpoint else {
            return Ok(None);
        };
        let mut query = Serializer::new(String::new());
        if let Some(token) = id_token.filter(|it| it.len() <= MAX_HINT) {
            query.append_pair("id_token_hint", token);
        }
        let query = query
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", &self.after_logout)
            .finish();
        let joint = if to.contains('?') { '&' } else { '?' };
        Ok(Some(format!("{to}{joint}{query}")))
    }

    /// Whether a response that bears this `iss` is this provider's (RFC 9207).
    pub(super) async fn is_from(&self, iss: Option<&str>) -> Result<bool, ProviderError> {
        if let Some(iss) = iss {
            return Ok(iss == self.settings.issuer);
        }
        let published = self.published().await?;
        let says_so = published
            .metadata
            .authorization_response_iss_parameter_supported;
        Ok(!says_so)
    }

    /// Exchanges a code for an ID token, and verifies that; also returns it as it came. A
    /// key that is not known is looked for in the keys as they are now.
    pub(super) async fn redeem(
        &self,
        code: &str,
        proofs: Proofs<'_>,
    ) -> Result<(IdToken, String), ProviderError> {
        let published = self.published().await?;
        let text = self.id_token(&published.metadata, code, proofs).await?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client: &self.settings.client_id,
            nonce: proofs.nonce,
        };
        match IdToken::believe(&text, expected, &published.keys, now_ms()) {
            Err(IdRefusal::Token(Refusal::UnknownKey)) => {
                let newer = self.newer(&published).await?;
                let token = IdToken::believe(&text, expected, &newer.keys, now_ms())?;
                Ok((token, text))
            }
            believed => Ok((believed?, text)),
        }
    }

    async fn id_token(
        &self,
        metadata: &Metadata,
        code: &str,
        proofs: Proofs<'_>,
    ) -> Result<String, ProviderError> {
        let request = self.token_request(metadata, code, proofs)?;
        let response = self.fetch(request, MAX_RESPONSE, "token_endpoint").await?;
        let (status, body) = (response.status(), response.into_body());
        let read: Option<TokenResponse> = serde_json::from_slice(&body).ok();
        match read {
            Some(TokenResponse {
                id_token: Some(token),
                ..
            }) if status == StatusCode::OK => Ok(token),
            Some(TokenResponse {
                error: Some(error),
                error_description: why,
                ..
            }) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                let why = why.unwrap_or_default();
                Err(ProviderError::Refused(said(&format!("{error}: {why}"))))
            }
            _ => Err(ProviderError::Away(format!(
                "token_endpoint: HTTP status {status} without an id_token"
            ))),
        }
    }

    fn token_request(
        &self,
        metadata: &Metadata,
        code: &str,
        proofs: Proofs<'_>,
    ) -> Result<Request<Full<Bytes>>, ProviderError> {
        let mut body = Serializer::new(String::new());
        body.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("code_verifier", proofs.verifier);
        let mut request = Request::post(&metadata.token_endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        let id = &self.settings.client_id;
        match &self.settings.client_secret {
            None => {
                body.append_pair("client_id", id);
            }
            Some(secret) if metadata.wants_secret_in_body() => {
                body.append_pair("client_id", id)
                    .append_pair("client_secret", &secret.0);
            }
            // RFC 6749, 2.3.1: both are form-encoded first.
            Some(secret) => {
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", encoded(id), encoded(&secret.0));
                let value = format!("Basic {}", STANDARD.encode(pair));
                request = request.header(header::AUTHORIZATION, value);
            }
        }
        request
            .body(Full::from(body.finish()))
            .map_err(|error| ProviderError::Away(format!("token_endpoint: {error}")))
    }

    /// What the provider publishes, as it was read in the last minutes; while it is away,
    /// as it was read last.
    async fn published(&self) -> Result<Arc<Published>, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(published) = &known.published
            && published.read_at.elapsed() < KEPT
        {
            return Ok(published.clone());
        }
        match self.read_into(&mut known).await {
            Ok(published) => Ok(published),
            Err(error) => match &known.published {
                Some(last) => {
                    tracing::warn!(%error, "the login provider cannot be read; what it published last stays in force");
                    Ok(last.clone())
                }
                None => Err(error),
            },
        }
    }

    /// What it publishes now, or published a few seconds ago.
    async fn newer(&self, than: &Arc<Published>) -> Result<Arc<Published>, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(published) = &known.published
            && !Arc::ptr_eq(published, than)
        {
            return Ok(published.clone());
        }
        match self.read_into(&mut known).await {
            // It was read a moment ago: the key is unknown indeed.
            Err(_) if than.read_at.elapsed() < SPACING => Ok(than.clone()),
            read => read,
        }
    }

    async fn read_into(&self, known: &mut Known) -> Result<Arc<Published>, ProviderError> {
        // Those who wait for a provider that hangs do not each try again.
        if known.tried_at.is_some_and(|at| at.elapsed() < SPACING) {
            let why = format!("it was tried less than {} s ago", SPACING.as_secs());
            return Err(ProviderError::Away(why));
        }
        let read = self.read().await;
        known.tried_at = Some(Instant::now());
        let published = Arc::new(read?);
        known.published = Some(published.clone());
        Ok(published)
    }

    async fn read(&self) -> Result<Published, ProviderError> {
        let issuer = &self.settings.issuer;
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let url = format!("{base}/.well-known/openid-configuration");
        let document = self.get(&url, MAX_RESPONSE).await?;
        let away = |why: String| ProviderError::Away(format!("{url}: {why}"));
        let mut metadata: Metadata =
            serde_json::from_slice(&document).map_err(|error| away(error.to_string()))?;
        metadata.check(issuer).map_err(away)?;
        metadata.drop_bad_logout(issuer);
        let keys = self.get(&metadata.jwks_uri, MAX_SET).await?;
        let keys = KeySet::parse_public(&keys).map_err(|error| {
            ProviderError::Away(format!("{}: {error}", said(&metadata.jwks_uri)))
        })?;
        tracing::info!(
            issuer,
            keys = keys.len(),
            "the console's login provider is read"
        );
        Ok(Published {
            metadata,
            keys,
            read_at: Instant::now(),
        })
    }

    async fn get(&self, url: &str, most: usize) -> Result<Bytes, ProviderError> {
        let request = Request::get(url)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())
            .map_err(|error| ProviderError::Away(format!("{}: {error}", said(url))))?;
        let response = self.fetch(request, most, &said(url)).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(ProviderError::Away(format!(
                "{}: HTTP status {status}",
                said(url)
            ))),
        }
    }

    async fn fetch(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
        name: &str,
    ) -> Result<Response<Bytes>, ProviderError> {
        let away = |why: String| ProviderError::Away(format!("{name}: {why}"));
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let scheme = self.settings.issuer.split_once("://").map(|(it, _)| it);
                let made = HttpClient::new(scheme).map_err(|error| away(error.to_string()))?;
                self.client.get_or_init(|| made)
            }
        };
        client.fetch(request, most, PATIENCE).await.map_err(away)
    }
}

impl Metadata {
    /// Refuses the document of another issuer, and addresses that are less protected than
    /// the issuer's own.
    fn check(&self, issuer: &str) -> Result<(), String> {
        if self.issuer != issuer {
            return Err(format!(
                "its issuer is {:?}, and console_oidc_issuer {issuer:?}; they are compared letter \
                 by letter",
                said(&self.issuer)
            ));
        }
        let endpoints = [
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("jwks_uri", &self.jwks_uri),
        ];
        for (name, url) in endpoints {
            if !is_as_protected(url, issuer) {
                return Err(format!(
                    "its {name} {:?} is not as well protected as the issuer",
                    said(url)
                ));
            }
        }
        Ok(())
    }

    /// Forgets a place to log out that cannot be used: logging in works without it.
    fn drop_bad_logout(&mut self, issuer: &str) {
        if let Some(url) = self.end_session_endpoint.take() {
            if is_as_protected(&url, issuer) {
                self.end_session_endpoint = Some(url);
            } else {
                let url = said(&url);
                tracing::warn!(
                    url,
                    "the login provider's end_session_endpoint is not as well protected as the \
                     issuer: nobody is logged out there"
                );
            }
        }
    }

    /// Without a list, it is the header (OpenID Connect Discovery 1.0, 3).
    fn wants_secret_in_body(&self) -> bool {
        let has = |all: &Vec<String>, name: &str| all.iter().any(|it| it == name);
        self.token_endpoint_auth_methods_supported
            .as_ref()
            .is_some_and(|all| has(all, "client_secret_post") && !has(all, "client_secret_basic"))
    }
}

/// Whether a URL may be used where the issuer's is: with the same scheme, as a header.
fn is_as_protected(url: &str, issuer: &str) -> bool {
    let scheme = |url: &str| url.split_once("://").map(|(it, _)| it.to_owned());
    let is_header = url.bytes().all(|byte| byte.is_ascii_graphic());
    is_trusted(url) && scheme(url) == scheme(issuer) && is_header
}

/// What somebody else said, short enough for a line of the log.
pub(super) fn said(text: &str) -> String {
    let kept = text.chars().filter(|it| !it.is_control()).take(200);
    kept.collect()
}
