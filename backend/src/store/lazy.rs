//! The database for parts that can do some of their work without it: opened when it
//! is first needed, and tried again by the next call if it was away.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError};
use crate::time::periodic;

/// How long opening may take before the database counts as away.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two attempts of a part that cannot work without it.
const RETRY: Duration = Duration::from_millis(500);

/// An attempt to open it.
type Opening = JoinHandle<Result<(), StoreError>>;
/// Begins one.
type Open = Arc<dyn Fn() -> BoxFuture<Result<Store, StoreError>> + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A database that may be away when this is made; cloning it is cheap.
#[derive(Clone)]
pub struct LazyStore {
    open: Open,
    opened: Arc<OnceCell<Store>>,
    /// The attempt under way. It goes on when nobody waits for it any more: bringing the
    /// tables up to date may take longer than any caller's patience.
    flight: Arc<Mutex<Option<Opening>>>,
    patience: Duration,
}

impl std::fmt::Debug for LazyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LazyStore")
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

impl LazyStore {
    /// The databases at these addresses, see [`Store::open_sharded`]; opened by the
    /// first [`LazyStore::get`].
    #[must_use]
    pub fn at(url: &str, shards: &[String]) -> Self {
        let (url, shards) = (url.to_owned(), shards.to_vec());
        Self::opened_by(Arc::new(move || {
            let (url, shards) = (url.clone(), shards.clone());
            Box::pin(async move { Store::open_sharded(&url, &shards).await })
        }))
    }

    /// A database that is open already.
    #[must_use]
    pub fn opened(store: Store) -> Self {
        let same = store.clone();
        let mut lazy = Self::opened_by(Arc::new(move || {
            let store = same.clone();
            Box::pin(async move { Ok(store) })
        }));
        lazy.opened = Arc::new(OnceCell::new_with(Some(store)));
        lazy
    }

    fn opened_by(open: Open) -> Self {
        Self {
            open,
            opened: Arc::default(),
            flight: Arc::default(),
            patience: OPEN_TIMEOUT,
        }
    }

    /// The same, set up by this when it is opened, such as with who is notified.
    #[must_use]
    pub fn set_up(self, set_up: impl Fn(Store) -> Store + Send + Sync + 'static) -> Self {
        let (open, set_up) = (self.open.clone(), Arc::new(set_up));
        let open: Open = Arc::new(move || {
            let (opening, set_up) = (open(), Arc::clone(&set_up));
            Box::pin(async move { opening.await.map(&*set_up) })
        });
        Self { open, ..self }
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
    /// It cannot be opened, or not within three seconds; it may be open at the next call.
    pub async fn get(&self) -> Result<&Store, StoreError> {
        if let Some(store) = self.opened.get() {
            return Ok(store);
        }
        match tokio::time::timeout(self.patience, self.attempt()).await {
            Ok(opened) => opened,
            Err(_) => Err(StoreError::Statement(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Waits for the attempt under way, or for one of its own.
    async fn attempt(&self) -> Result<&Store, StoreError> {
        let mut flight = self.flight.lock().await;
        if self.opened.get().is_none() {
            let opening = flight.get_or_insert_with(|| {
                let (opening, opened) = ((self.open)(), Arc::clone(&self.opened));
                tokio::spawn(async move {
                    let store = opening.await?;
                    // Only one attempt at a time is under way.
                    let _ = opened.set(store);
                    Ok(())
                })
            });
            let ended = opening.await;
            *flight = None;
            ended.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Statement(sqlx::Error::PoolClosed)),
            })?;
        }
        let closed = StoreError::Statement(sqlx::Error::PoolClosed);
        self.opened.get().ok_or(closed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn an_opening_that_takes_longer_than_its_callers_wait_is_not_begun_again() {
        let begun = Arc::new(AtomicU32::new(0));
        let opens = Arc::clone(&begun);
        let mut lazy = LazyStore::opened_by(Arc::new(move || {
            opens.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Store::open("sqlite::memory:").await
            })
        }));
        lazy.patience = Duration::from_millis(20);
        assert!(lazy.get().await.unwrap_err().may_come());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while lazy.get().await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "it is open at last");
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_opening_that_failed_is_begun_again_by_the_next_caller() {
        let begun = Arc::new(AtomicU32::new(0));
        let opens = Arc::clone(&begun);
        let lazy = LazyStore::opened_by(Arc::new(move || {
            let n = opens.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match n {
                    0 => Err(StoreError::Statement(sqlx::Error::PoolTimedOut)),
                    _ => Store::open("sqlite::memory:").await,
                }
            })
        }));
        assert!(lazy.get().await.is_err());
        assert!(lazy.get().await.is_ok());
        assert!(lazy.get().await.is_ok());
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }
}
