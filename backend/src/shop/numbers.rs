//! Order numbers, given with the purchase: so a buyer knows theirs before any database does.

use std::sync::{Arc, Mutex, PoisonError};

use seckill_core::orders::order::{OrderId, OrderIds};
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::orders::worker_id;
use crate::redis::RedisLink;

/// Gives order numbers, once Redis has given a worker id.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(Arc<Mutex<Option<OrderIds>>>);

impl Numbers {
    /// Draws its worker id in the background.
    pub(super) fn drawing(redis: RedisLink) -> Self {
        let numbers = Self::default();
        let drawn = numbers.clone();
        tokio::spawn(async move {
            let worker = worker_id::draw(&redis, None, &CancellationToken::new()).await;
            *drawn.0.lock().unwrap_or_else(PoisonError::into_inner) = worker.map(OrderIds::new);
        });
        numbers
    }

    /// The next number; `None` while there is no worker id, so that the order's placing
    /// draws one.
    pub(super) fn next(&self) -> Option<OrderId> {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.as_mut().map(|ids| ids.next(now_ms()))
    }
}
