//! Keeps a process that was not told of the other sites from selling all of an amount here.
//!
//! The relay role writes into Redis what it hears of the others. A process without `site`
//! that finds it there has not got the settings of the roles.

use std::collections::HashMap;

use redis::AsyncCommands as _;
use seckill_core::keys;
use serde::Deserialize;

use crate::config::SiteSettings;
use crate::now_ms;
use crate::redis::{RedisLink, RedisLinkError};
use crate::time::rfc3339;

/// For how long the others count after they were last heard, in ms: a week, in which a site
/// may be down before a sale. Sites that were given up are forgotten by then.
const REMEMBERED_MS: u64 = 604_800_000;

/// Why nothing is imported, approved or raised as for a site that sells alone.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// This site sells with others.
    #[error(
        "\"site\" is not set here, but site {peer} reported to this one at {}: all items would be \
         sold here instead of this site's share; set site, site_peers and site_home as the roles \
         of this site have them",
        rfc3339(*heard_ms)
    )]
    OneOfSeveral {
        /// The site that was heard last.
        peer: String,
        /// When, epoch milliseconds.
        heard_ms: u64,
    },
    /// Redis is away.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
}

/// Of what was last heard of a site, as the relay role writes it.
#[derive(Deserialize)]
struct Heard {
    /// When, epoch milliseconds.
    at_ms: u64,
}

/// Refuses a process that has no settings `site…` where another site reports.
///
/// # Errors
/// [`AloneError`].
pub async fn refuse(site: Option<&SiteSettings>, redis: &RedisLink) -> Result<(), AloneError> {
    if site.is_some() {
        return Ok(());
    }
    let read = redis.conn().await?.hgetall(keys::SITE_REPORTS).await;
    let heard: HashMap<String, String> = read.map_err(RedisLinkError::from)?;
    let lately = now_ms().saturating_sub(REMEMBERED_MS);
    let heard = heard.into_iter().filter_map(|(peer, text)| {
        let Heard { at_ms } = serde_json::from_str(&text).ok()?;
        Some((at_ms, peer))
    });
    match heard.max().filter(|(heard_ms, _)| *heard_ms > lately) {
        Some((heard_ms, peer)) => Err(AloneError::OneOfSeveral { peer, heard_ms }),
        None => Ok(()),
    }
}
