//! The database for parts that can do some of their work without it: opened when it
//! is first needed, and tried again by the next call if it was away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError};
use crate::time::periodic;

/// How long opening may take before the database counts as away.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two attempts of a part that cannot work without it.
const RETRY: Duration = Duration::from_millis(500);

/// What is set on a store once it is open, such as who is notified.
#[derive(Clone)]
struct SetUp(Arc<dyn Fn(Store) -> Store + Send + Sync>);

impl Default for SetUp {
    fn default() -> Self {
        Self(Arc::new(|store| store))
    }
}

impl std::fmt::Debug for SetUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetUp")
    }
}

/// A database that may be away when this is made; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct LazyStore {
    url: String,
    shards: Vec<String>,
    set_up: SetUp,
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
            set_up: SetUp::default(),
            opened: Arc::default(),
        }
    }

    /// A database that is open already.
    #[must_use]
    pub fn opened(store: Store) -> Self {
        Self {
            url: String::new(),
            shards: Vec::new(),
            set_up: SetUp::default(),
            opened: Arc::new(OnceCell::new_with(Some(store))),
        }
    }

    /// The same, set up by this when it is opened.
    #[must_use]
    pub fn set_up(self, set_up: impl Fn(Store) -> Store + Send + Sync + 'static) -> Self {
        Self {
            set_up: SetUp(Arc::new(set_up)),
            ..self
        }
    }

    /// Waits until the database can be opened; `None` if `stop` came first.
    ///
    /// # Errors
    /// It can never be opened as it is ([`StoreError::may_come`]).
    pub async fn until_open(&self, stop: &CancellationToken) -> Result<Option<Store>, StoreError> {
        let mut warned = false;
        while !stop.is_cancelled() {
            match self.get().await {
                Ok(store) => return Ok(Some(store.clone())),
                Err(error) if !error.may_come() => return Err(error),
                Err(error) if !std::mem::replace(&mut warned, true) => {
                    tracing::warn!(%error, "waiting for the database");
                }
                Err(error) => tracing::debug!(%error, "waiting for the database"),
            }
            periodic::sleep(stop, RETRY).await;
        }
        Ok(None)
    }

    /// Whether the database is open and answers, within a second.
    pub async fn is_up(&self) -> bool {
        let answers = async { self.get().await?.check_reachable().await };
        let answers = tokio::time::timeout(Duration::from_secs(1), answers);
        matches!(answers.await, Ok(Ok(())))
    }

    /// The database, opened now if it is not open.
    ///
    /// # Errors
    /// It cannot be opened, or not within three seconds.
    pub async fn get(&self) -> Result<&Store, StoreError> {
        let open = self.opened.get_or_try_init(async || {
            let store = Store::open_sharded(&self.url, &self.shards).await?;
            Ok((self.set_up.0)(store))
        });
        match tokio::time::timeout(OPEN_TIMEOUT, open).await {
            Ok(opened) => opened,
            Err(_) => Err(StoreError::Statement(sqlx::Error::PoolTimedOut)),
        }
    }
}
