//! Gives up dead letters: a purchase of which no order can be made fails, its stock and
//! its permit return, and its buyer may buy again.
//!
//! As for every failed purchase the database decides first, and stock follows.

use seckill_core::keys;
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::order::{OrderId, OrderIds};
use seckill_core::orders::purchase::Reason;
use tokio_util::sync::CancellationToken;

use super::worker_id;
use crate::now_ms;
use crate::queue::dead_letters::KeptLetter;
use crate::queue::{DeadLetters, QueueError};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::orders::{NewOrder, Placed};

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// Its purchase failed; stock and permit return.
    Failed {
        /// The buyer.
        user: String,
    },
    /// Its purchase had failed before; the letter is gone.
    HadFailed {
        /// The buyer.
        user: String,
    },
    /// Its purchase has an order, which stays; the letter is gone.
    HasOrder(OrderId),
    /// It was no purchase, such as a delayed cancel; the letter is gone.
    Removed,
    /// There is no such letter.
    Gone,
    /// It stays a dead letter, for this reason.
    Stays(String),
}

/// Why it is not known what became of a letter; calling again is safe.
#[derive(Debug, thiserror::Error)]
pub enum GiveUpError {
    /// The dead letters cannot be read; nothing was done.
    #[error(transparent)]
    Unread(QueueError),
    /// The letter cannot be removed.
    #[error(transparent)]
    Letters(#[from] QueueError),
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GiveUpError {
    /// Whether the purchase may have failed all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        !matches!(self, Self::Unread(_))
    }
}

/// Gives up dead letters.
#[derive(Debug)]
pub struct GiveUp<'a> {
    letters: DeadLetters,
    store: &'a Store,
    ids: OrderIds,
}

impl<'a> GiveUp<'a> {
    /// Makes it, with order numbers of its own.
    pub async fn new(redis: &RedisLink, segments: &Segments, store: &'a Store) -> Self {
        let drawn = worker_id::draw(redis, None, &CancellationToken::new()).await;
        Self {
            letters: DeadLetters::new(redis.clone(), segments.clone()),
            store,
            // A number is drawn unless the wait for it is cancelled, which nobody does.
            ids: OrderIds::new(drawn.unwrap_or_default()),
        }
    }

    /// Gives up the letter of this number.
    ///
    /// # Errors
    /// [`GiveUpError`]; the letter is still there.
    pub async fn letter(&mut self, id: &str) -> Result<GivenUp, GiveUpError> {
        let found = self.letters.find(id).await;
        let Some(kept) = found.map_err(GiveUpError::Unread)? else {
            return Ok(GivenUp::Gone);
        };
        let outcome = match read(&kept) {
            Content::Purchase(purchase) => self.fail(*purchase).await?,
            Content::NoPurchase => GivenUp::Removed,
            Content::Unreadable => {
                let reason = "its purchase cannot be read, so that it is not known whose stock to \
                              release; redrive it with the version that wrote it";
                GivenUp::Stays(reason.to_owned())
            }
        };
        if !matches!(outcome, GivenUp::Stays(_)) {
            self.letters.remove(id).await?;
        }
        Ok(outcome)
    }

    async fn fail(&mut self, purchase: OrderMessage) -> Result<GivenUp, GiveUpError> {
        let (now, user) = (now_ms(), purchase.user.clone());
        let order = NewOrder {
            id: self.ids.next(now),
            purchase,
            pay_by_ms: now,
        };
        let failed = self
            .store
            .fail_batch(std::slice::from_ref(&order), Reason::Refused, now);
        match failed.await {
            Ok(placed) => match placed.first() {
                Some(Placed::Before(id)) => Ok(GivenUp::HasOrder(*id)),
                Some(Placed::Failed) => Ok(match self.store.any_order(order.id).await? {
                    Some(_) => GivenUp::Failed { user },
                    // It failed under another number.
                    None => GivenUp::HadFailed { user },
                }),
                _ => Err(StoreError::NumberInUse.into()),
            },
            Err(error) if error.is_passing() => Err(error.into()),
            Err(error) => Ok(GivenUp::Stays(format!(
                "the database does not take it as a failed order either: {error}"
            ))),
        }
    }
}

/// What a letter holds.
enum Content {
    Purchase(Box<OrderMessage>),
    NoPurchase,
    Unreadable,
}

fn read(kept: &KeptLetter) -> Content {
    let letter = &kept.letter;
    if letter.source == keys::QUEUE_CANCELS {
        return Content::NoPurchase;
    }
    if let Ok(purchase) = OrderMessage::parse(&letter.body) {
        return Content::Purchase(Box::new(purchase));
    }
    // An event of an outbox, all of whose fields are texts.
    let event: Option<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_slice(&letter.body).ok();
    match event.as_ref().and_then(|event| event.get("kind")?.as_str()) {
        Some("purchase") | None => Content::Unreadable,
        Some(_) => Content::NoPurchase,
    }
}
