//! What selling means at one of several sites.

use redis::AsyncCommands as _;
use seckill_core::ids::Item;
use seckill_core::keys;

use super::alone::Alone;
use crate::config::SiteSettings;
use crate::redis::{RedisLink, RedisLinkError};
use crate::stock::sites::MAY_COME;
use crate::stock::sites::lease::SellingLease;

/// One of several sites, as what sells knows it; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct SiteState {
    redis: RedisLink,
    /// `None` at the home, which sells on whatever it hears.
    lease: Option<SellingLease>,
}

impl SiteState {
    /// This site. Must be called inside a runtime, since it follows the site's lease.
    #[must_use]
    pub fn new(settings: &SiteSettings, redis: &RedisLink) -> Self {
        Self {
            lease: (!settings.is_home()).then(|| SellingLease::following(redis.clone())),
            redis: redis.clone(),
        }
    }

    /// Whether it may sell: a site that its home has not heard for too long may not.
    #[must_use]
    pub fn may_sell(&self) -> bool {
        self.lease.as_ref().is_none_or(SellingLease::may_sell)
    }

    /// Whether items of this product may come from another site.
    pub(super) async fn may_come(&self, item: &Item) -> Result<bool, RedisLinkError> {
        let mut conn = self.redis.conn().await?;
        Ok(conn.hexists(keys::reopening(item), MAY_COME).await?)
    }
}

/// Whether a process may sell: its site's home has heard it lately, or there are no other
/// sites.
pub(super) fn may_sell(site: Option<&SiteState>, alone: Option<&Alone>) -> bool {
    site.is_none_or(SiteState::may_sell) && alone.is_none_or(Alone::may_sell)
}
