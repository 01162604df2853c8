//! The database for parts that can do some of their work without it: opened when it
//! is first needed, and tried again by the next call if it was away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Store, StoreError};

/// How long opening may take before the database counts as away.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// A database that may be away when this is made; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct LazyStore {
    url: String,
    shards: Vec<String>,
    opened: Arc<OnceCell<Store>>,
}

impl LazyStore {
    /// The databases at these addresses, see [`Store::open_sharded`]; opened by the
    /// first [`LazyStore::get`].
    #[must_use]
    pub fn at(url: &str, shards: &[String]) -> Self {
        Self {
            url: url.to_owned(),
            shards: shards.to_vec(),
            opened: Arc::default(),
        }
    }

    /// A database that is open already.
    #[must_use]
    pub fn opened(store: Store) -> Self {
        Self {
            url: String::new(),
            shards: Vec::new(),
            opened: Arc::new(OnceCell::new_with(Some(store))),
        }
    }

    /// The database, opened now if it is not open.
    ///
    /// # Errors
    /// It cannot be opened, or not within three seconds.
    pub async fn get(&self) -> Result<&Store, StoreError> {
        let open = self
            .opened
            .get_or_try_init(|| Store::open_sharded(&self.url, &self.shards));
        match tokio::time::timeout(OPEN_TIMEOUT, open).await {
            Ok(opened) => opened,
            Err(_) => Err(StoreError::Statement(sqlx::Error::PoolTimedOut)),
        }
    }
}
