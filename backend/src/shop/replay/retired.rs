//! Which journalled requests are for rounds that have retired, and will never be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::AsyncCommands as _;
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio::time::timeout;

use crate::redis::RedisLink;
use crate::store::LazyStore;

/// How long the database may take to say so; then it is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the database beside the replay: while it is silent, requests for other rounds do not
/// wait for it.
#[derive(Debug, Clone)]
pub(super) struct Retirements {
    redis: RedisLink,
    store: Option<LazyStore>,
    asked: Arc<Mutex<HashMap<Item, Asked>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The response is awaited.
    Waiting,
    /// It has retired, for good.
    Retired,
}

impl Retirements {
    /// Without a database, none is known to have retired.
    pub(super) fn new(redis: RedisLink, store: Option<LazyStore>) -> Self {
        Self {
            redis,
            store,
            asked: Arc::default(),
        }
    }

    /// Whether this product is known to have left Redis with its round. If it is not, that is
    /// asked, and known at a later call.
    pub(super) fn are_known_of(&self, item: &Item) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        if let Some(asked) = self.asked().get(item) {
            return *asked == Asked::Retired;
        }
        self.asked().insert(item.clone(), Asked::Waiting);
        let (own, store, item) = (self.clone(), store.clone(), item.clone());
        tokio::spawn(async move {
            let look = timeout(PATIENCE, has_retired(&own.redis, &store, &item));
            match look.await {
                Ok(true) => _ = own.asked().insert(item, Asked::Retired),
                _ => _ = own.asked().remove(&item),
            }
        });
        false
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Item, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a product has left Redis with its round, for good. One that is on sale has not,
/// and its stock will be put back.
async fn has_retired(redis: &RedisLink, store: &LazyStore, item: &Item) -> bool {
    let Ok(mut conn) = redis.conn().await else {
        return false;
    };
    let listed = conn.hexists(keys::CATALOGUE, item.to_string()).await;
    if listed.unwrap_or(true) {
        return false;
    }
    let read = async { store.get().await?.is_retired(item.round()).await };
    read.await.unwrap_or(false)
}
