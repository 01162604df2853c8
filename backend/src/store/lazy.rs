//! The database for whoever can do part of his work without it: opened when it is
//! first needed, and again asked for when it was away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Store, StoreError};
use crate::config::Config;

/// How long opening may take before the database counts as away.
const PATIENCE: Duration = Duration::from_secs(3);

/// A database that may be away when this begins; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct LazyStore {
    url: String,
    shards: Vec<String>,
    opened: Arc<OnceCell<Store>>,
}

impl LazyStore {
    /// The database of this configuration; `opened` if some other role has it open.
    #[must_use]
    pub fn new(config: &Config, opened: Option<Store>) -> Self {
        Self {
            url: config.database_url.clone(),
            shards: config.order_databases.clone(),
            opened: Arc::new(OnceCell::new_with(opened)),
        }
    }

    /// One that is open.
    #[must_use]
    pub fn opened(store: Store) -> Self {
        Self {
            url: String::new(),
            shards: Vec::new(),
            opened: Arc::new(OnceCell::new_with(Some(store))),
        }
    }

    /// The database, opened now if it was not.
    ///
    /// # Errors
    /// It cannot be opened, or not within three seconds.
    pub async fn get(&self) -> Result<&Store, StoreError> {
        let open = self
            .opened
            .get_or_try_init(|| Store::open_sharded(&self.url, &self.shards));
        match tokio::time::timeout(PATIENCE, open).await {
            Ok(opened) => opened,
            Err(_) => Err(StoreError::Statement(sqlx::Error::PoolTimedOut)),
        }
    }
}
