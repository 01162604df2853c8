//! The caches in front of the CDN origin: where purges go, and how.

use axum::http::{HeaderName, HeaderValue};

/// Which caches are purged, and how.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Caches (the path is appended), or webhooks (taken as they are).
    pub purge: Vec<String>,
    /// `PURGE` for caches; `POST` for webhooks, with `{"path","url"}` as JSON.
    pub method: PurgeMethod,
    /// A header that goes with every purge, such as a token.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// The shop's address as shoppers know it, for `Host` and `url`.
    pub site: Option<String>,
    /// Caches through which a changed page is fetched once, so that they have it.
    pub prewarm: Vec<String>,
}

/// How a purge is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PurgeMethod {
    /// HTTP PURGE of the address.
    #[default]
    Purge,
    /// POST to a webhook.
    Post,
}
