//! For how long a site may sell that its home does not hear: written into Redis by the relay
//! role, and followed by whatever sells. The arithmetic is in [`seckill_core::sites::lease`].

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seckill_core::keys;
use seckill_core::sites::lease::{Copy, Written};

use super::locked;
use crate::redis::{RedisLink, RedisLinkError};

/// How often it is read.
const POLL: Duration = Duration::from_millis(250);

/// Writes what is left of the lease.
///
/// # Errors
/// Redis is away.
pub(super) async fn write(redis: &RedisLink, left: Duration) -> Result<(), RedisLinkError> {
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    if left_ms == 0 {
        return Ok(());
    }
    let mut random = [0; 8];
    if getrandom::fill(&mut random).is_err() {
        return Ok(());
    }
    let written = Written {
        number: u64::from_be_bytes(random),
        left_ms,
    };
    let mut set = redis::cmd("SET");
    set.arg(keys::SITE_LEASE).arg(written.to_text());
    set.arg("PX").arg(left_ms);
    Ok(set.exec_async(&mut redis.conn().await?).await?)
}

/// Whether this site may sell, as a process that sells knows it; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct SellingLease {
    copy: Arc<Mutex<Copy>>,
    since: Instant,
}

impl SellingLease {
    /// Follows the lease in Redis, by a task of its own, until the last clone is dropped.
    /// Must be called inside a runtime.
    #[must_use]
    pub fn following(redis: RedisLink) -> Self {
        let lease = Self {
            copy: Arc::default(),
            since: Instant::now(),
        };
        let (copy, since) = (Arc::downgrade(&lease.copy), lease.since);
        tokio::spawn(async move {
            while let Some(copy) = copy.upgrade() {
                let asked_ms = millis(since.elapsed());
                match read(&redis).await {
                    Ok(found) => locked(&copy).read(found, asked_ms),
                    Err(error) => tracing::debug!(%error, "the site's lease was not read"),
                }
                drop(copy);
                tokio::time::sleep(POLL).await;
            }
        });
        lease
    }

    /// Whether it may sell now.
    #[must_use]
    pub fn may_sell(&self) -> bool {
        locked(&self.copy).may_sell(millis(self.since.elapsed()))
    }
}

async fn read(redis: &RedisLink) -> Result<Option<Written>, RedisLinkError> {
    let mut conn = redis.conn().await?;
    let text: Option<String> = redis::cmd("GET")
        .arg(keys::SITE_LEASE)
        .query_async(&mut conn)
        .await?;
    Ok(text.and_then(|text| Written::parse(&text)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
