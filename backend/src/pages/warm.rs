//! Prewarms caches: requests a changed page once through a cache, and the files that
//! it loads, since a cached page whose scripts are not cached is no faster.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderValue, Method, header};
use seckill_core::pages::assets;

use super::blocking;
use super::cache_client::{Http, exchange, joined, request};
use super::origin::Origin;

/// Most files that are remembered as requested; more than a shop has.
const REMEMBERED: usize = 10_000;

/// Prewarms, and remembers the files that were requested: a file never changes under
/// its name, so that once is enough for all pages that need it.
#[derive(Debug, Default)]
pub(super) struct Prewarmer {
    files: Mutex<HashSet<String>>,
}

impl Prewarmer {
    /// Requests the page at `path` and its files, if it exists. Failures are logged and
    /// not retried: a cold file costs one shopper a moment, and nothing depends on it.
    pub(super) async fn page(
        &self,
        http: &Http,
        cache: &str,
        host: Option<HeaderValue>,
        origin: &Origin,
        path: &str,
    ) {
        let (held, name) = (origin.clone(), path.to_owned());
        let Ok(Some(text)) = blocking(move || Ok(read(&held, &name))).await else {
            return;
        };
        let mut cold = vec![path.to_owned()];
        for file in assets::files_of(&text) {
            let url = joined(cache, file);
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            if files.len() >= REMEMBERED {
                files.clear();
            }
            if !files.contains(&url) {
                cold.push(file.to_owned());
            }
        }
        for path in cold {
            match fetch(http, cache, host.clone(), &path).await {
                Ok(200) if path.starts_with(assets::FOLDER) => {
                    let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                    files.insert(joined(cache, &path));
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(path, %cache, %error, "not prewarmed"),
            }
        }
    }
}

/// The text at an address of the origin, as nginx would find it; empty if it is not
/// text.
fn read(origin: &Origin, path: &str) -> Option<String> {
    let name = match path {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let places = [name.to_owned(), format!("shop/{name}")];
    places.iter().find_map(|place| {
        let bytes = std::fs::read(origin.root().join(place)).ok()?;
        Some(String::from_utf8(bytes).unwrap_or_default())
    })
}

async fn fetch(
    http: &Http,
    cache: &str,
    host: Option<HeaderValue>,
    path: &str,
) -> Result<u16, String> {
    let mut request = request(Method::GET, &joined(cache, path), Bytes::new())?;
    let headers = request.headers_mut();
    // As browsers request it, so that they find this form in the cache.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if let Some(host) = host {
        headers.insert(header::HOST, host);
    }
    exchange(http, request).await
}
