//! Logins under way: what the browser and the provider have to show when it comes back.
//!
//! They are in Redis, so that another ops role may finish what one began, and each is
//! good once. A login belongs to the browser that began it: by a cookie, of which Redis
//! has the digest.

use axum::http::HeaderMap;
use seckill_core::keys;
use seckill_core::signing::session::cookie;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::provider::Proofs;
use crate::console::error::ConsoleError;
use crate::console::sessions::{digest, is_id, random_hex};
use crate::redis::RedisLink;

/// The cookie that ties a login to a browser.
pub(super) const COOKIE: &str = "seckill_console_login";
/// How long somebody may take at the provider, in seconds.
pub(super) const WITHIN_S: u64 = 600;

/// A login under way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The digest of the browser's cookie.
    browser: String,
    nonce: String,
    verifier: String,
    /// The id's digest of the session that the new one replaces: the browser does not
    /// send its cookie when it comes back from another site.
    pub(super) earlier: Option<String>,
}

impl Pending {
    pub(super) fn proofs(&self) -> Proofs<'_> {
        Proofs {
            nonce: &self.nonce,
            verifier: &self.verifier,
        }
    }
}

/// What a login that begins hands out.
pub(super) struct Begun {
    /// The cookie's value.
    pub(super) browser: String,
    /// The parameter `state` of the request to the provider.
    pub(super) state: String,
    pub(super) pending: Pending,
}

impl Begun {
    /// A login of this browser. One that logs in in two tabs keeps its cookie.
    pub(super) fn new(headers: &HeaderMap, earlier: Option<&str>) -> Result<Self, ConsoleError> {
        let browser = match browser(headers) {
            Some(browser) => browser.to_owned(),
            None => random_hex()?,
        };
        Ok(Self {
            pending: Pending {
                browser: digest(&browser),
                nonce: random_hex()?,
                verifier: random_hex()?,
                earlier: earlier.map(digest),
            },
            state: random_hex()?,
            browser,
        })
    }

    pub(super) async fn keep(&self, redis: &RedisLink) -> Result<(), ConsoleError> {
        let text = serde_json::to_string(&self.pending);
        let text = text.map_err(|error| ConsoleError::internal(&error))?;
        let mut conn = redis.conn().await?;
        let mut set = redis::cmd("SET");
        set.arg(keys::console_login(&digest(&self.state)))
            .arg(text)
            .arg("EX")
            .arg(WITHIN_S);
        let () = set.query_async(&mut conn).await?;
        Ok(())
    }
}

/// Takes the login of this `state`, which is good once; `None` if there is none, it has
/// expired, or another browser began it.
pub(super) async fn take(
    redis: &RedisLink,
    headers: &HeaderMap,
    state: Option<&str>,
) -> Result<Option<Pending>, ConsoleError> {
    let Some((state, browser)) = state.filter(|it| is_id(it)).zip(browser(headers)) else {
        return Ok(None);
    };
    let mut conn = redis.conn().await?;
    let mut take = redis::cmd("GETDEL");
    take.arg(keys::console_login(&digest(state)));
    let text: Option<String> = take.query_async(&mut conn).await?;
    let pending: Option<Pending> = text.and_then(|text| serde_json::from_str(&text).ok());
    let browser = digest(browser);
    let is_its = |it: &Pending| bool::from(it.browser.as_bytes().ct_eq(browser.as_bytes()));
    Ok(pending.filter(is_its))
}

fn browser(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(axum::http::header::COOKIE)
        .iter()
        .find_map(|cookies| cookie(cookies.as_bytes(), COOKIE))
        .filter(|it| is_id(it))
}
