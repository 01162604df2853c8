//! Reads the catalogue in Redis, and keeps a copy of it in memory for the purchase
//! role.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use tokio::sync::watch;

use crate::redis::{RedisLink, RedisLinkError};

/// How often the version is read.
const POLL: Duration = Duration::from_millis(250);

/// Every approved product, with its entry.
pub type Products = HashMap<Item, Entry>;

/// Reads the whole catalogue. An entry that cannot be read is left out and
/// logged: one bad product must not stop the others from selling.
///
/// # Errors
/// Redis is away, or the key holds something else.
pub async fn read(conn: &mut MultiplexedConnection) -> Result<Products, RedisLinkError> {
    read_version(conn).await.map(|(products, _)| products)
}

/// Reads the whole catalogue with its version, both of the same instant: of a Redis that
/// is emptied and filled again in between, a version read before is no version of what
/// was read.
///
/// # Errors
/// As for [`read`].
pub(crate) async fn read_version(
    conn: &mut MultiplexedConnection,
) -> Result<(Products, Option<String>), RedisLinkError> {
    let mut fields: HashMap<String, String> = redis::cmd("HGETALL")
        .arg(keys::CATALOGUE)
        .query_async(conn)
        .await?;
    let version = fields.remove(keys::CATALOGUE_VERSION);
    let readable = fields.iter().filter_map(|(field, text)| {
        let entry = Item::parse(field)
            .ok_or("not round::product".to_owned())
            .and_then(|item| {
                Entry::parse(text)
                    .map(|entry| (item, entry))
                    .map_err(|error| error.to_string())
            });
        entry
            .inspect_err(|reason| {
                tracing::error!(
                    field,
                    reason,
                    "a catalogue entry cannot be read; approve its round again"
                );
            })
            .ok()
    });
    Ok((readable.collect(), version))
}

/// The version, which changes with every edit; `None` before the first approval.
pub(crate) async fn version(
    conn: &mut MultiplexedConnection,
) -> Result<Option<String>, RedisLinkError> {
    let mut get = redis::cmd("HGET");
    Ok(get
        .arg(keys::CATALOGUE)
        .arg(keys::CATALOGUE_VERSION)
        .query_async(conn)
        .await?)
}

/// A copy of the catalogue in memory, at most a quarter of a second behind. While
/// Redis is away, it stays as it was last read.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// `None` until the catalogue was read once.
    products: Arc<RwLock<Option<Arc<Products>>>>,
    /// Whether it was read once.
    is_read: watch::Receiver<bool>,
}

impl Mirror {
    /// A copy that a task of its own keeps up to date, until the last clone is
    /// dropped. Must be called inside a runtime.
    #[must_use]
    pub fn following(redis: RedisLink) -> Self {
        let (reads, is_read) = watch::channel(false);
        let products = Arc::default();
        let copy = Self { products, is_read };
        let products = Arc::downgrade(&copy.products);
        tokio::spawn(async move {
            let mut seen = None;
            while let Some(products) = products.upgrade() {
                match refresh(&redis, &products, &mut seen).await {
                    Ok(()) => drop(reads.send(true)),
                    Err(error) => tracing::debug!(%error, "the catalogue was not refreshed"),
                }
                drop(products);
                tokio::time::sleep(POLL).await;
            }
        });
        copy
    }

    /// Waits until Redis has been read once.
    pub async fn until_read(&self) {
        // It fails only if nobody reads any more.
        let _ = self.is_read.clone().wait_for(|is_read| *is_read).await;
    }

    /// The products, or `None` as long as Redis has not been read once.
    #[must_use]
    pub fn products(&self) -> Option<Arc<Products>> {
        self.products
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Reads the catalogue again if its version is another than `seen`.
async fn refresh(
    redis: &RedisLink,
    products: &RwLock<Option<Arc<Products>>>,
    seen: &mut Option<Option<String>>,
) -> Result<(), RedisLinkError> {
    let mut conn = redis.conn().await?;
    if *seen == Some(version(&mut conn).await?) {
        return Ok(());
    }
    let (fresh, version) = read_version(&mut conn).await?;
    let has_vanished = version.is_none() && matches!(seen, Some(Some(_)));
    if has_vanished {
        // This Redis came back empty. Rounds that sell stay known until they are put back.
        return Ok(());
    }
    tracing::info!(products = fresh.len(), "catalogue read");
    *products.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(fresh));
    *seen = Some(version);
    Ok(())
}
