//! Selling without `site`: not where other sites report to this one's Redis.
//!
//! A purchase role that was not told of the others has no lease. It would sell on when its
//! site may not any more, and the home may have taken over what it holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::alone::{self, AloneError};
use crate::sale::catalogue::{Mirror, Products};

/// How often it looks for a new catalogue, and for the end of what it found.
const POLL: Duration = Duration::from_millis(250);
/// How often it asks though the catalogue is the same.
const EVERY: Duration = Duration::from_secs(5);

/// Whether a process without `site` may sell; cloning it is cheap.
#[derive(Debug, Clone)]
pub(super) struct Alone(watch::Receiver<Option<bool>>);

impl Alone {
    /// Asks Redis for other sites now, whenever the catalogue is another, and every [`EVERY`],
    /// by a task of its own, until the last clone is dropped. Must be called inside a runtime.
    #[must_use]
    pub(super) fn following(redis: RedisLink, catalogue: Mirror) -> Self {
        let (known, may_sell) = watch::channel(None);
        tokio::spawn(async move {
            let mut last: Option<(Option<Arc<Products>>, Instant)> = None;
            let mut is_refused = false;
            while !known.is_closed() {
                let products = catalogue.products();
                let is_asked = last.as_ref().is_some_and(|(seen, at)| {
                    at.elapsed() < EVERY && is_same(seen.as_ref(), products.as_ref())
                });
                let may_sell = *known.borrow();
                if !(is_asked && may_sell == Some(true)) {
                    match alone::refuse(None, &redis).await {
                        Ok(()) => set(&known, true, None),
                        Err(AloneError::Link(error @ RedisLinkError::Refused(_)))
                            if !is_refused =>
                        {
                            is_refused = true;
                            tracing::error!(%error, "nothing is sold by this purchase role until it is known whether other sites sell, too: HGETALL seckill::site::reports");
                            continue;
                        }
                        Err(AloneError::Link(error)) => {
                            tracing::debug!(%error, "whether other sites sell was not read");
                            sleep(POLL).await;
                            continue;
                        }
                        Err(error) => set(&known, false, Some(&error)),
                    }
                    last = Some((products, Instant::now()));
                }
                sleep(POLL).await;
            }
        });
        Self(may_sell)
    }

    /// Whether it may sell. It may not until it is known.
    #[must_use]
    pub(super) fn may_sell(&self) -> bool {
        *self.0.borrow() == Some(true)
    }

    /// Waits until Redis has been read once.
    pub(super) async fn until_known(&self) {
        // It fails only if nobody reads any more.
        let _ = self.0.clone().wait_for(Option::is_some).await;
    }
}

/// Takes over what was read, and says once what it means.
fn set(known: &watch::Sender<Option<bool>>, may_sell: bool, why: Option<&AloneError>) {
    let before = known.send_replace(Some(may_sell));
    match why {
        Some(why) if before != Some(false) => tracing::error!(
            "nothing is sold by this purchase role: {why}. If the other sites were given up: \
             redis-cli DEL seckill::site::reports"
        ),
        None if before == Some(false) => tracing::info!("over: other sites sell with this one"),
        _ => {}
    }
}

fn is_same(one: Option<&Arc<Products>>, other: Option<&Arc<Products>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}
