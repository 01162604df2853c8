//! Notifies buyers of what became of their orders, by a webhook and by e-mail.
//!
//! A notification is written into the database with the change of the order
//! ([`crate::store::notifications`]). Here notifications are taken in batches and sent,
//! and the outcome is recorded: each is sent at least once, and only once unless a
//! worker dies between sending and recording. Its id is the same at every attempt, so
//! that a receiver recognizes a repetition.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use seckill_core::orders::money::{Currency, Money};
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
use crate::time::periodic::Passes;
use crate::trace::{self, Service, Span};

/// Sends notifications as e-mails.
pub mod email;
/// The language in which a buyer is notified.
pub mod language;
/// Sends notifications as signed HTTP requests.
pub mod webhook;

/// Pause after a pass that left nothing to send.
const EVERY: Duration = Duration::from_millis(500);
/// Notifications taken at once.
const BATCH: u32 = 64;
/// Notifications of a channel, and one database, that are sent at the same time.
const IN_PARALLEL: usize = 8;
/// Longest time for sending one notification.
const TIMEOUT: Duration = Duration::from_secs(20);
/// For how long a batch belongs to the worker that took it, in ms: long enough for all
/// of it to time out, [`IN_PARALLEL`] at a time, with room to spare.
const LEASE_MS: u64 = 300_000;

/// A notification with all that it says.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Its id, the same at every attempt.
    pub id: String,
    /// What became of the order.
    pub kind: Kind,
    /// When that happened, epoch milliseconds.
    pub at_ms: u64,
    /// The order.
    pub order: OrderId,
    /// The order's present state, which may be further than `kind` says.
    pub state: order::State,
    /// Why it was cancelled or failed.
    pub reason: Option<Reason>,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// What shoppers call the product.
    pub title: String,
    /// The buyer.
    pub user: String,
    /// The buyer's language.
    pub lang: Lang,
    /// How many items.
    pub quantity: u32,
    /// What the order costs in all.
    pub total: Money,
    /// Until when it is to be paid, epoch milliseconds.
    pub pay_by_ms: u64,
    /// The same by the shop's clock, for people.
    pub pay_by: String,
    /// The trace that the receiver may continue, as a `traceparent`.
    pub traceparent: Option<String>,
    /// The payment that is to be refunded, and its amount in the currency in which it came.
    pub refund: Option<(String, Money)>,
}

/// The outcome of one attempt to send; all but the first with a reason for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered,
    /// The buyer has no address on this channel.
    NoRecipient(String),
    /// It failed and may work later.
    Retry(String),
    /// It failed and will never work.
    Failed(String),
}

/// A way to send notifications: the port behind which webhook and e-mail stand.
pub trait Messenger: Send + Sync + 'static {
    /// The channel that it serves.
    fn channel(&self) -> Channel;
    /// Makes one attempt.
    fn send(&self, notification: &Notification) -> impl Future<Output = Attempt> + Send;
}

impl<M: Messenger> Messenger for Arc<M> {
    fn channel(&self) -> Channel {
        (**self).channel()
    }

    fn send(&self, notification: &Notification) -> impl Future<Output = Attempt> + Send {
        (**self).send(notification)
    }
}

/// Completes notifications from the stores, whatever channel sends them.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// The database, with notifications and orders.
    pub store: Store,
    /// The main Redis, with the buyers' languages.
    pub redis: RedisLink,
    /// The language of buyers whose own is not known.
    pub language: Lang,
    /// The shop's time zone, for times in e-mails.
    pub zone: TimeZone,
    /// The currency of prices.
    pub currency: Currency,
}

/// Sends through one channel until `stop`, from each database with orders by itself.
/// Several may run: they share the work.
pub async fn run<M: Messenger>(notifier: Notifier, messenger: M, stop: CancellationToken) {
    let messenger = Arc::new(messenger);
    let databases = notifier.store.each_database().into_iter();
    let senders = databases.map(|store| {
        let notifier = Notifier {
            store,
            ..notifier.clone()
        };
        go_on(notifier, Arc::clone(&messenger), stop.clone())
    });
    JoinSet::from_iter(senders).join_all().await;
}

async fn go_on<M: Messenger>(notifier: Notifier, messenger: Arc<M>, stop: CancellationToken) {
    let waiting = match messenger.channel() {
        Channel::Webhook => "webhook notifications wait to be sent",
        Channel::Email => "e-mail notifications wait to be sent",
    };
    let mut passes = Passes::new(stop.clone(), waiting, EVERY);
    while passes.go_on() {
        let outcome = send_due(&notifier, &messenger, stop.clone()).await;
        // After a full batch there may be more.
        let pause = outcome.map(|sent| match sent >= BATCH as usize {
            true => Duration::ZERO,
            false => EVERY,
        });
        passes.pause_after(pause).await;
    }
}

/// Sends one batch; returns how many notifications it had.
async fn send_due<M: Messenger>(
    notifier: &Notifier,
    messenger: &Arc<M>,
    stop: CancellationToken,
) -> Result<usize, StoreError> {
    let now = now_ms();
    let taken = notifier
        .store
        .claim_notifications(messenger.channel(), BATCH, now, now + LEASE_MS)
        .await?;
    let count = taken.len();
    let lanes = Arc::new(Semaphore::new(IN_PARALLEL));
    let mut under_way = JoinSet::new();
    for mut stored in taken {
        let (notifier, messenger) = (notifier.clone(), Arc::clone(messenger));
        let (lanes, stop) = (Arc::clone(&lanes), stop.clone());
        under_way.spawn(async move {
            let _lane = lanes.acquire().await;
            let span = begin(&mut stored);
            let attempt = if stop.is_cancelled() {
                Attempt::Retry("the shop was stopped".to_owned())
            } else {
                send(&notifier, messenger.as_ref(), &stored).await
            };
            let outcome = outcome(attempt, stored.attempts, now_ms());
            if let Some(span) = span {
                span.with("seckill.outcome", word(&outcome)).end();
            }
            (stored, outcome)
        });
    }
    let mut outcomes = Vec::with_capacity(count);
    while let Some(one) = under_way.join_next().await {
        match one {
            Ok(one) => {
                log(&one);
                outcomes.push(one);
            }
            Err(error) => tracing::error!(%error, "sending a notification broke off"),
        }
    }
    notifier.store.record_outcomes(&outcomes, now_ms()).await?;
    Ok(count)
}

/// Begins the span of an attempt, which the receiver may continue.
fn begin(stored: &mut StoredNotification) -> Option<Span> {
    let (parent, key) = (stored.traceparent.as_deref(), &stored.key);
    let waited_ms = now_ms().saturating_sub(stored.created_ms);
    let span = Span::below(parent, Service::Orders, trace::Kind::Client, "notify buyer")?
        .with("seckill.order", key.order.to_string())
        .with("seckill.event", key.kind.as_str())
        .with("seckill.channel", key.channel.as_str())
        .with("seckill.attempt", u64::from(stored.attempts))
        .with("seckill.waited_ms", waited_ms);
    stored.traceparent = Some(span.context().to_string());
    Some(span)
}

/// An outcome in one word.
fn word(outcome: &SendOutcome) -> &'static str {
    match outcome {
        SendOutcome::Sent => "sent",
        SendOutcome::Skipped(_) => "no_recipient",
        SendOutcome::Retry { .. } => "retried_later",
        SendOutcome::Dead(_) => "given_up",
    }
}

fn log((stored, outcome): &(StoredNotification, SendOutcome)) {
    let (order, channel) = (stored.key.order, stored.key.channel.as_str());
    let (kind, attempts) = (stored.key.kind.as_str(), stored.attempts);
    match outcome {
        SendOutcome::Sent => tracing::debug!(%order, kind, channel, "buyer notified"),
        SendOutcome::Skipped(reason) => {
            tracing::debug!(%order, kind, channel, reason, "no recipient on this channel");
        }
        SendOutcome::Retry { reason, .. } => {
            tracing::warn!(%order, kind, channel, attempts, reason, "notification not sent; it will be retried");
        }
        SendOutcome::Dead(reason) => {
            tracing::error!(%order, kind, channel, attempts, reason, "notification not sent and given up; once the cause is mended, run \"seckill notices retry\"");
        }
    }
}

async fn send<M: Messenger>(
    notifier: &Notifier,
    messenger: &M,
    stored: &StoredNotification,
) -> Attempt {
    let notification = match notifier.complete(stored).await {
        Ok(Some(notification)) => notification,
        Ok(None) => return Attempt::Failed("its order is not in the database".to_owned()),
        Err(error) => return Attempt::Retry(error.to_string()),
    };
    match tokio::time::timeout(TIMEOUT, messenger.send(&notification)).await {
        Ok(attempt) => attempt,
        Err(_) => Attempt::Retry(format!("no response within {} s", TIMEOUT.as_secs())),
    }
}

/// What an attempt means for the notification.
fn outcome(attempt: Attempt, attempts: u32, now_ms: u64) -> SendOutcome {
    match attempt {
        Attempt::Delivered => SendOutcome::Sent,
        Attempt::NoRecipient(reason) => SendOutcome::Skipped(reason),
        Attempt::Failed(reason) => SendOutcome::Dead(reason),
        Attempt::Retry(reason) => match notification::pause_ms(attempts) {
            Some(pause) => SendOutcome::Retry {
                due_ms: now_ms + pause,
                reason,
            },
            None => SendOutcome::Dead(reason),
        },
    }
}

impl Notifier {
    /// Reads what a notification says; `None` if its order does not exist.
    async fn complete(
        &self,
        stored: &StoredNotification,
    ) -> Result<Option<Notification>, StoreError> {
        let key = &stored.key;
        let Some(order) = self.store.order_of_notification(stored).await? else {
            return Ok(None);
        };
        let refund = match key.kind {
            Kind::RefundDue => {
                let payments = self.store.payments_of(&order).await?;
                let found = payments.into_iter().find(|it| it.key == key.payment);
                found.map(|payment| {
                    let amount = payment.amount(self.currency);
                    (payment.id, amount)
                })
            }
            _ => None,
        };
        let titles = self.store.titles(std::slice::from_ref(&order)).await?;
        let title = titles.into_values().next().map(|title| title.product);
        let lang = language::of(&self.redis, &order.user).await;
        let zone = &self.zone;
        Ok(Some(Notification {
            id: id(stored),
            kind: key.kind,
            at_ms: stored.created_ms,
            traceparent: stored.traceparent.clone(),
            title: title.unwrap_or_else(|| order.product.clone()),
            lang: lang.unwrap_or(self.language),
            pay_by: clock(order.pay_by_ms, zone),
            refund,
            total: Money::new(order.total_cents(), self.currency),
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
    fn a_notification_is_retried_at_growing_intervals_and_given_up_in_the_end() {
        let failed = |attempts| outcome(Attempt::Retry("away".to_owned()), attempts, 1_000);
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
        let never = outcome(Attempt::Failed("no such box".to_owned()), 1, 1_000);
        assert_eq!(never, SendOutcome::Dead("no such box".to_owned()));
        assert_eq!(outcome(Attempt::Delivered, 3, 1_000), SendOutcome::Sent);
    }

    #[test]
    fn times_are_the_shops_own() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        assert_eq!(clock(1_795_406_953_580, &zone), "2026-11-23 12:09:13");
    }
}
