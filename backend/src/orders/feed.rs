//! The order feed: sends every change of an order to the shop's own systems, by a signed
//! webhook and to a topic of RocketMQ. Of an order all changes arrive in order, and each
//! at least once.
//!
//! What happened is in the database ([`crate::store::feed`]), written in the transaction
//! that changed the order. A receiver has a position there, which moves on once a batch
//! has arrived; while it is away its events wait, and nothing else does. One worker at a
//! time sends to a receiver: the one that holds its lease.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, Uri, header};
use http_body_util::Full;
use seckill_core::orders::money::Currency;
use seckill_core::orders::notification::Kind;
use seckill_core::orders::payment;
use seckill_core::orders::purchase::Reason;
use seckill_core::signing::keyring::Keyring;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::http::client::HttpClient;
use crate::now_ms;
use crate::queue::{Message, Published, Queue};
use crate::store::feed::OrderEvent;
use crate::store::titles::Titles;
use crate::store::{Store, StoreError};
use crate::time::periodic;

/// The receiver of the webhook, as commands name it.
pub const WEBHOOK: &str = "webhook";
/// The receiver on RocketMQ, as commands name it.
pub const TOPIC: &str = "topic";

/// Events in one batch.
const BATCH: u32 = 200;
/// Pause while there is nothing to send, and longest pause while sending fails.
const IDLE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long sending a batch may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// For how long a receiver belongs to the worker that sends to it, in ms.
const LEASE_MS: u64 = 60_000;
/// How often old events are deleted, in passes that found nothing to send.
const FORGET_EVERY: u32 = 300;
/// Most events that are deleted at once.
const FORGOTTEN: u32 = 5_000;

/// Something that takes events: the port behind which webhook and topic stand.
pub trait Receiver: Send + Sync + 'static {
    /// Its name, under which its position is kept.
    fn name(&self) -> &'static str;
    /// Delivers a batch, in order; it arrived as a whole, or is sent again as a whole.
    fn deliver(&self, events: &[Sent]) -> impl Future<Output = Result<(), String>> + Send;
}

/// An event as it is sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The order's number, by which events stay in order.
    pub order: String,
    /// All that it says.
    pub body: Value,
}

/// What the feed says besides the events themselves.
#[derive(Debug, Clone)]
pub struct Feed {
    /// The database.
    pub store: Store,
    /// The currency of all prices.
    pub currency: Currency,
    /// How long events are kept that every receiver has.
    pub keep: Duration,
}

/// Sends to one receiver from one database until `stop`.
pub async fn run(feed: Feed, receiver: Arc<impl Receiver>, shard: usize, stop: CancellationToken) {
    let sender = sender();
    let key = (shard, receiver.name(), sender.as_str());
    let (mut pause, mut idle) = (IDLE, 0_u32);
    while !stop.is_cancelled() {
        match send_next(&feed, receiver.as_ref(), key).await {
            Ok(0) => {
                pause = IDLE;
                idle += 1;
                if idle % FORGET_EVERY == 1 {
                    forget(&feed).await;
                }
                periodic::sleep(&stop, IDLE).await;
            }
            Ok(_) => pause = IDLE,
            Err(trouble) => {
                report(&feed, key, &trouble, pause == IDLE).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                periodic::sleep(&stop, pause).await;
            }
        }
    }
}

/// Sends one batch; returns how many events it had, 0 also if another worker sends.
async fn send_next(
    feed: &Feed,
    receiver: &impl Receiver,
    key: (usize, &str, &str),
) -> Result<usize, String> {
    let store = &feed.store;
    let failed = |error: StoreError| error.to_string();
    let now = now_ms();
    let claimed = store
        .claim_feed(key, now, now + LEASE_MS)
        .await
        .map_err(failed)?;
    let Some(position) = claimed else {
        return Ok(0);
    };
    let read = store.events_after(key.0, position, BATCH, now).await;
    let (events, reached) = read.map_err(failed)?;
    if !events.is_empty() {
        let orders: Vec<_> = events.iter().map(|event| event.order.clone()).collect();
        let titles = store.titles(&orders).await.map_err(failed)?;
        let sent: Vec<Sent> = events
            .iter()
            .map(|it| as_sent(it, &titles, feed.currency))
            .collect();
        let delivered = tokio::time::timeout(TIMEOUT, receiver.deliver(&sent)).await;
        delivered.map_err(|_| format!("no response within {} s", TIMEOUT.as_secs()))??;
    }
    if reached != position {
        store
            .advance_feed(key, position, reached)
            .await
            .map_err(failed)?;
    }
    Ok(events.len())
}

async fn report(feed: &Feed, (shard, name, _): (usize, &str, &str), trouble: &str, first: bool) {
    if first {
        tracing::warn!(
            receiver = name,
            trouble,
            "orders wait to be sent on; trying again"
        );
    } else {
        tracing::debug!(receiver = name, trouble, "orders wait to be sent on");
    }
    let noted = feed.store.note_feed_trouble(shard, name, trouble, now_ms());
    if let Err(error) = noted.await {
        tracing::debug!(%error, "the trouble of a receiver is not on record");
    }
}

async fn forget(feed: &Feed) {
    let keep_ms = u64::try_from(feed.keep.as_millis()).unwrap_or(u64::MAX);
    let before_ms = now_ms().saturating_sub(keep_ms);
    if let Err(error) = feed.store.forget_events(before_ms, FORGOTTEN).await {
        tracing::debug!(%error, "old events of orders stay for now");
    }
}

/// A name for this sender, which nobody else has.
fn sender() -> String {
    let mut random = [0; 8];
    // Without randomness the process and the time still tell senders apart.
    let _ = getrandom::fill(&mut random);
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{random}-{}", std::process::id(), now_ms())
}

/// An event as its receivers read it. Numbers of orders are text, as everywhere.
fn as_sent(event: &OrderEvent, titles: &Titles, currency: Currency) -> Sent {
    let order = &event.order;
    let title = titles.get(&(order.round.clone(), order.product.clone()));
    let mut body = json!({
        "position": format!("{}.{}", event.shard, event.position),
        "event": match event.kind {
            Kind::RefundDue => "payment.refund_due".to_owned(),
            kind => format!("order.{}", kind.as_str()),
        },
        "at_ms": event.at_ms,
        "order": order.id.to_string(),
        "status": order.state.as_str(),
        "reason": order.reason.map(Reason::as_str),
        "user": order.user,
        "round": order.round,
        "round_name": title.map(|title| title.round.as_str()),
        "product": order.product,
        "title": title.map(|title| title.product.as_str()),
        "quantity": order.quantity,
        "price_cents": order.price_cents,
        "total_cents": order.total_cents(),
        "currency": currency.as_str(),
        "created_ms": order.created_ms,
        "pay_by_ms": order.pay_by_ms,
    });
    if let Some(details) = &event.details {
        body["details"] = serde_json::from_str(details).unwrap_or_default();
    }
    if let Some(payment) = &event.payment {
        body["payment"] = json!({
            "id": payment.id,
            "provider": payment.provider.as_str(),
            "amount_cents": payment.amount_cents,
            "currency": payment.currency.as_ref().map(Currency::as_str),
            "status": payment.state.as_str(),
            "reason": payment.reason,
        });
    }
    Sent {
        order: order.id.to_string(),
        body,
    }
}

/// Posts batches to one address, signed like notifications.
#[derive(Debug)]
pub struct WebhookReceiver {
    client: HttpClient,
    to: Uri,
    keys: Arc<Keyring>,
}

impl WebhookReceiver {
    /// Posts to `to`, signed with the first of `keys`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and `to` needs them.
    pub fn new(to: Uri, keys: Arc<Keyring>) -> std::io::Result<Self> {
        let client = HttpClient::new(to.scheme_str())?;
        Ok(Self { client, to, keys })
    }
}

impl Receiver for WebhookReceiver {
    fn name(&self) -> &'static str {
        WEBHOOK
    }

    async fn deliver(&self, events: &[Sent]) -> Result<(), String> {
        let bodies: Vec<&Value> = events.iter().map(|event| &event.body).collect();
        let body = json!({ "events": bodies }).to_string();
        // Signed anew at every attempt: receivers refuse what was signed long ago.
        let signature = payment::sign(&self.keys, now_ms(), body.as_bytes());
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.to)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "seckill")
            .header("x-seckill-signature", signature)
            .body(Full::from(body))
            .map_err(|error| format!("no request can be made of it: {error}"))?;
        let response = self.client.send(request).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the receiver responded {status}")),
        }
    }
}

/// Publishes events to a topic, each as a message under its order's number.
pub struct TopicReceiver<Q> {
    queue: Q,
}

impl<Q: Queue> TopicReceiver<Q> {
    /// Publishes to this queue.
    #[must_use]
    pub fn new(queue: Q) -> Self {
        Self { queue }
    }
}

impl<Q: Queue> Receiver for TopicReceiver<Q> {
    fn name(&self) -> &'static str {
        TOPIC
    }

    async fn deliver(&self, events: &[Sent]) -> Result<(), String> {
        let message = |event: &Sent| Message::new(event.body.to_string(), &event.order);
        let messages: Vec<Message> = events.iter().map(message).collect();
        let outcomes = self.queue.publish(&messages).await;
        let failed = outcomes.into_iter().find_map(|outcome| match outcome {
            Published::Stored => None,
            Published::NotStored(reason)
            | Published::Unknown(reason)
            | Published::Rejected(reason) => Some(reason),
        });
        failed.map_or(Ok(()), Err)
    }
}
