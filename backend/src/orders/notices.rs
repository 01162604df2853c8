//! Tells buyers what became of their orders, by a webhook and by e-mail.
//!
//! What is to be told is written into the database with the change of the order
//! ([`crate::store::notifications`]). Here it is taken in batches, told, and put down:
//! each notice at least once, and once unless a worker dies between telling and
//! putting down. Its id is the same at every try, so that a receiver can tell.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use seckill_core::orders::notification;
use seckill_core::orders::notification::{Channel, Kind, Lang};
use seckill_core::orders::order;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::purchase::Reason;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::redis::RedisLink;
use crate::store::notifications::{SendOutcome, StoredNotification};
use crate::store::{Store, StoreError};

/// By e-mail.
pub mod email;
/// Which language a buyer reads.
pub mod language;
/// By a signed HTTP call.
pub mod webhook;

/// How long to wait before looking again when there was nothing to tell.
const EVERY: Duration = Duration::from_millis(500);
/// Notices taken at once.
const BATCH: u32 = 64;
/// Notices of a channel under way at once.
const AT_ONCE: usize = 8;
/// How long one notice may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long whoever took a batch has for it: all of it, one after the other in
/// lanes of [`AT_ONCE`], with room to spare.
const LEASE_MS: u64 = 300_000;

/// A notice with all that there is to tell.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The same at every try.
    pub id: String,
    /// What became of the order.
    pub kind: Kind,
    /// When, epoch milliseconds.
    pub at_ms: u64,
    /// The order.
    pub order: OrderId,
    /// Where it stands now, which may be further than what is told.
    pub state: order::State,
    /// Why it was cancelled or failed.
    pub reason: Option<Reason>,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// What shoppers call the product.
    pub title: String,
    /// Buyer.
    pub user: String,
    /// The language he reads.
    pub lang: Lang,
    /// Items.
    pub quantity: u32,
    /// What the order costs in all, in cents.
    pub total_cents: u64,
    /// Until when it is to be paid, epoch milliseconds.
    pub pay_by_ms: u64,
    /// The same as the shop's clock shows it.
    pub pay_by: String,
    /// The payment that is to be given back, and how much it is in cents.
    pub refund: Option<(String, u64)>,
}

/// What came of telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The receiver has it.
    Yes,
    /// There is nobody to tell.
    Nobody(String),
    /// Not now; it may work later.
    NotNow(String),
    /// It will never work.
    Never(String),
}

/// A way to tell: the port that webhook and e-mail keep.
pub trait Messenger: Send + Sync + 'static {
    /// Which way it is.
    fn channel(&self) -> Channel;
    /// Tells once.
    fn tell(&self, notice: &Notice) -> impl Future<Output = Told> + Send;
}

impl<M: Messenger> Messenger for Arc<M> {
    fn channel(&self) -> Channel {
        (**self).channel()
    }

    fn tell(&self, notice: &Notice) -> impl Future<Output = Told> + Send {
        (**self).tell(notice)
    }
}

/// What telling needs besides a way.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Notices and orders.
    pub store: Store,
    /// Which language a buyer reads.
    pub redis: RedisLink,
    /// The language of buyers of whom none is known.
    pub language: Lang,
    /// The shop's zone, for times in letters.
    pub zone: TimeZone,
}

/// Tells through one channel until told to stop. Several may run: they share the
/// work.
pub async fn run<M: Messenger>(desk: Desk, messenger: M, stop: CancellationToken) {
    let messenger = Arc::new(messenger);
    while !stop.is_cancelled() {
        match tell_due(&desk, &messenger, stop.clone()).await {
            // There may be more.
            Ok(count) if count >= BATCH as usize => continue,
            Ok(_) => {}
            Err(error) => {
                let channel = messenger.channel().as_str();
                tracing::warn!(%error, channel, "buyers wait to be told of their orders");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Tells one batch; returns how much it was.
async fn tell_due<M: Messenger>(
    desk: &Desk,
    messenger: &Arc<M>,
    stop: CancellationToken,
) -> Result<usize, StoreError> {
    let now = now_ms();
    let taken = desk
        .store
        .claim_notifications(messenger.channel(), BATCH, now, now + LEASE_MS)
        .await?;
    let count = taken.len();
    let lanes = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = JoinSet::new();
    for stored in taken {
        let (desk, messenger) = (desk.clone(), Arc::clone(messenger));
        let (lanes, stop) = (Arc::clone(&lanes), stop.clone());
        under_way.spawn(async move {
            let _lane = lanes.acquire().await;
            let told = if stop.is_cancelled() {
                Told::NotNow("the shop was stopped".to_owned())
            } else {
                tell(&desk, messenger.as_ref(), &stored).await
            };
            let tried = outcome(told, stored.attempts, now_ms());
            (stored, tried)
        });
    }
    let mut tried = Vec::with_capacity(count);
    while let Some(one) = under_way.join_next().await {
        match one {
            Ok(one) => {
                say(&one);
                tried.push(one);
            }
            Err(error) => tracing::error!(%error, "telling a buyer broke off"),
        }
    }
    desk.store.record_outcomes(&tried, now_ms()).await?;
    Ok(count)
}

fn say((notice, tried): &(StoredNotification, SendOutcome)) {
    let (order, channel) = (notice.key.order, notice.key.channel.as_str());
    let (kind, attempts) = (notice.key.kind.as_str(), notice.attempts);
    match tried {
        SendOutcome::Sent => tracing::debug!(%order, kind, channel, "told"),
        SendOutcome::Skipped(reason) => {
            tracing::debug!(%order, kind, channel, reason, "nobody to tell")
        }
        SendOutcome::Retry { reason, .. } => {
            tracing::warn!(%order, kind, channel, attempts, reason, "not told, will be tried again");
        }
        SendOutcome::Dead(reason) => {
            tracing::error!(%order, kind, channel, attempts, reason, "not told, and given up; once the cause is mended: seckill notices retry");
        }
    }
}

async fn tell<M: Messenger>(desk: &Desk, messenger: &M, stored: &StoredNotification) -> Told {
    let notice = match gather(desk, stored).await {
        Ok(Some(notice)) => notice,
        Ok(None) => return Told::Never("its order is not in the database".to_owned()),
        Err(error) => return Told::NotNow(error.to_string()),
    };
    match tokio::time::timeout(PATIENCE, messenger.tell(&notice)).await {
        Ok(told) => told,
        Err(_) => Told::NotNow(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What a try means for the notice.
fn outcome(told: Told, attempts: u32, now_ms: u64) -> SendOutcome {
    match told {
        Told::Yes => SendOutcome::Sent,
        Told::Nobody(reason) => SendOutcome::Skipped(reason),
        Told::Never(reason) => SendOutcome::Dead(reason),
        Told::NotNow(reason) => match notification::pause_ms(attempts) {
            Some(pause) => SendOutcome::Retry {
                due_ms: now_ms + pause,
                reason,
            },
            None => SendOutcome::Dead(reason),
        },
    }
}

/// Reads all that there is to tell; `None` if there is no such order.
async fn gather(desk: &Desk, stored: &StoredNotification) -> Result<Option<Notice>, StoreError> {
    let key = &stored.key;
    let Some(order) = desk.store.order_of_notification(stored).await? else {
        return Ok(None);
    };
    let refund = match key.kind {
        Kind::RefundDue => {
            let payments = desk.store.payments_of(&order).await?;
            let found = payments.into_iter().find(|it| it.id == key.payment);
            found.map(|payment| (payment.id, payment.amount_cents))
        }
        _ => None,
    };
    let titles = desk.store.titles(std::slice::from_ref(&order)).await?;
    let title = titles.into_values().next().map(|title| title.product);
    let lang = language::of(&desk.redis, &order.user).await;
    let zone = &desk.zone;
    Ok(Some(Notice {
        id: id(stored),
        kind: key.kind,
        at_ms: stored.created_ms,
        title: title.unwrap_or_else(|| order.product.clone()),
        lang: lang.unwrap_or(desk.language),
        pay_by: clock(order.pay_by_ms, zone),
        refund,
        total_cents: order.total_cents(),
        order: order.id,
        state: order.state,
        reason: order.reason,
        pay_by_ms: order.pay_by_ms,
        quantity: order.quantity,
        round: order.round,
        product: order.product,
        user: order.user,
    }))
}

fn id(stored: &StoredNotification) -> String {
    let key = &stored.key;
    match key.payment.as_str() {
        "" => format!("{}.{}", key.order, key.kind.as_str()),
        payment => format!("{}.{}.{payment}", key.order, key.kind.as_str()),
    }
}

fn clock(ms: u64, zone: &TimeZone) -> String {
    let at = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| {
        at.to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_tried_again_later_and_later_and_given_up_in_the_end() {
        let failed = |attempts| outcome(Told::NotNow("away".to_owned()), attempts, 1_000);
        let again = |due_ms| SendOutcome::Retry {
            due_ms,
            reason: "away".to_owned(),
        };
        assert_eq!(failed(1), again(6_000));
        assert_eq!(failed(2), again(21_000));
        assert_eq!(
            failed(notification::ATTEMPTS),
            SendOutcome::Dead("away".to_owned())
        );
        let never = outcome(Told::Never("no such box".to_owned()), 1, 1_000);
        assert_eq!(never, SendOutcome::Dead("no such box".to_owned()));
        assert_eq!(outcome(Told::Yes, 3, 1_000), SendOutcome::Sent);
    }

    #[test]
    fn times_are_the_shops_own() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        assert_eq!(clock(1_795_406_953_580, &zone), "2026-11-23 12:09:13");
    }
}
