//! The queue over RocketMQ 5, by the gRPC contract of its proxy: messages are
//! pulled, acknowledged one by one, requeued each with its own delay, and published
//! with the time of their delivery.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Capabilities, Delivery, Message, Published, Queue, QueueError, Receipt, unsent};

/// Calls and sessions.
mod proxy;
/// Receiving messages.
mod receiving;
/// The messages of the gRPC contract.
mod wire;

use proxy::{CallError, Proxy, Session};
use receiving::Receiving;
use wire::{
    AckMessageEntry, AckMessageRequest, AckMessageResponse, ChangeInvisibleDurationRequest,
    ChangeInvisibleDurationResponse, FilterExpression, FilterType, MessageType, Resource,
    SendMessageRequest, SendMessageResponse, Subscription, SubscriptionEntry, SystemProperties,
    WireMessage, code,
};

/// How long a delivered message stays with its worker; the proxy allows no less than
/// ten seconds.
const HOLD: Duration = Duration::from_secs(10);
/// Longest delay: the proxy hides a requeued message for half a day at most, and
/// delays a published one for a day.
const LONGEST_DELAY: Duration = Duration::from_secs(12 * 3600);
/// Largest message, in bytes; an order message has some 300. The broker would
/// take 4 MB.
const MAX_BODY: usize = 64 * 1024;

/// Paths of the calls.
mod method {
    pub(super) const QUERY_ROUTE: &str = "/apache.rocketmq.v2.MessagingService/QueryRoute";
    pub(super) const SEND: &str = "/apache.rocketmq.v2.MessagingService/SendMessage";
    pub(super) const RECEIVE: &str = "/apache.rocketmq.v2.MessagingService/ReceiveMessage";
    pub(super) const ACK: &str = "/apache.rocketmq.v2.MessagingService/AckMessage";
    pub(super) const CHANGE_INVISIBLE: &str =
        "/apache.rocketmq.v2.MessagingService/ChangeInvisibleDuration";
}

/// The kind of a topic, by its attribute `message.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicType {
    /// `NORMAL`: messages are delivered at once.
    Normal,
    /// `DELAY`: each message has its own time of delivery.
    Delay,
    /// `FIFO`: messages with the same key are delivered in the order of publishing.
    Fifo,
}

/// A queue in one topic, read by one consumer group.
#[derive(Clone)]
pub struct RocketMqQueue {
    consumer: Consumer,
    kind: TopicType,
    receiving: Arc<Mutex<Receiving>>,
}

/// A client of one topic, in one consumer group.
#[derive(Clone)]
struct Consumer {
    proxy: Proxy,
    topic: Arc<str>,
    group: Arc<str>,
    session: Arc<Session>,
}

impl RocketMqQueue {
    /// The queue in `topic` of the RocketMQ whose proxy listens for gRPC at
    /// `endpoint` (`HOST:PORT`), read by `group`. Connects on first use.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the endpoint.
    pub fn new(endpoint: &str, topic: &str, kind: TopicType, group: &str) -> Result<Self, String> {
        let proxy = Proxy::new(endpoint)?;
        let subscription = Subscription {
            group: Some(resource(group)),
            subscriptions: vec![SubscriptionEntry {
                topic: Some(resource(topic)),
                expression: Some(everything()),
            }],
            long_polling_timeout: None,
        };
        let session = Session::new(&proxy, subscription);
        Ok(Self {
            consumer: Consumer {
                proxy,
                topic: topic.into(),
                group: group.into(),
                session: Arc::new(session),
            },
            kind,
            receiving: Arc::default(),
        })
    }

    fn outgoing(&self, message: &Message) -> WireMessage {
        let delivered = std::time::SystemTime::now() + message.after.min(LONGEST_DELAY);
        let (kind, delivery) = match self.kind {
            TopicType::Normal => (MessageType::Normal, None),
            TopicType::Delay => (MessageType::Delay, Some(delivered.into())),
            TopicType::Fifo => (MessageType::Fifo, None),
        };
        let group = (self.kind == TopicType::Fifo).then(|| message.key.clone());
        let keys = Some(message.key.clone()).filter(|key| !key.is_empty());
        WireMessage {
            topic: Some(resource(&self.consumer.topic)),
            system_properties: Some(SystemProperties {
                keys: keys.into_iter().collect(),
                message_id: message_id(),
                message_type: kind.into(),
                born_timestamp: Some(std::time::SystemTime::now().into()),
                born_host: "seckill".to_owned(),
                delivery_timestamp: delivery,
                message_group: group,
                ..SystemProperties::default()
            }),
            body: message.body.clone(),
        }
    }
}

impl Queue for RocketMqQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            longest_delay: LONGEST_DELAY,
            hold: HOLD,
            max_body: MAX_BODY,
        }
    }

    async fn publish(&self, batch: &[Message]) -> Vec<Published> {
        let mut outcome: Vec<Published> = batch.iter().map(|it| unsent(it, MAX_BODY)).collect();
        let mut rows: HashMap<String, Vec<(usize, WireMessage)>> = HashMap::new();
        for (at, message) in batch.iter().enumerate() {
            if matches!(outcome[at], Published::Rejected(_)) {
                continue;
            }
            // Those that have to stay in order go one after another.
            let row = match self.kind {
                TopicType::Fifo => message.key.clone(),
                _ => at.to_string(),
            };
            rows.entry(row)
                .or_default()
                .push((at, self.outgoing(message)));
        }
        let mut calls = JoinSet::new();
        for row in rows.into_values() {
            calls.spawn(send_row(self.consumer.clone(), row));
        }
        while let Some(done) = calls.join_next().await {
            for (at, published) in done.unwrap_or_default() {
                outcome[at] = published;
            }
        }
        outcome
    }

    async fn next(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let mut receiving = self.receiving.lock().await;
        Ok(receiving.next(&self.consumer, max, wait).await?)
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let Consumer {
            proxy,
            topic,
            group,
            ..
        } = &self.consumer;
        let entries = receipts.iter().filter_map(parts);
        let request = AckMessageRequest {
            group: Some(resource(group)),
            topic: Some(resource(topic)),
            entries: entries
                .map(|(message_id, receipt_handle)| AckMessageEntry {
                    message_id: message_id.to_owned(),
                    receipt_handle: receipt_handle.to_owned(),
                })
                .collect(),
        };
        let response: AckMessageResponse = proxy.call(method::ACK, request).await?;
        // A delivery whose hold has expired belongs to another worker by now.
        let also = [code::MULTIPLE_RESULTS, code::INVALID_RECEIPT_HANDLE];
        proxy.accept(response.status, &also)?;
        for entry in response.entries {
            proxy.accept(entry.status, &also)?;
        }
        Ok(())
    }

    async fn requeue(&self, receipts: &[Receipt], after: Duration) -> Result<(), QueueError> {
        let mut receipts = receipts.to_vec();
        let after = after.min(LONGEST_DELAY);
        Ok(change_invisible(&self.consumer, &mut receipts, after).await?)
    }

    async fn extend(&self, receipts: &mut [Receipt]) -> Result<(), QueueError> {
        Ok(change_invisible(&self.consumer, receipts, HOLD).await?)
    }
}

/// Sends messages one after another, up to the first that is not stored. One message a
/// call: a request with several fails as a whole, and cannot have delayed ones.
async fn send_row(consumer: Consumer, row: Vec<(usize, WireMessage)>) -> Vec<(usize, Published)> {
    let mut sent = Vec::with_capacity(row.len());
    for (at, message) in row {
        let published = send(&consumer, message).await;
        let is_stored = published == Published::Stored;
        sent.push((at, published));
        if !is_stored {
            break;
        }
    }
    sent
}

async fn send(consumer: &Consumer, message: WireMessage) -> Published {
    let request = SendMessageRequest {
        messages: vec![message],
    };
    let response: Result<SendMessageResponse, _> = consumer.proxy.call(method::SEND, request).await;
    let outcome = response.and_then(|response| consumer.proxy.accept(response.status, &[]));
    let Err(error) = outcome else {
        return Published::Stored;
    };
    let topic = &consumer.topic;
    match &error {
        CallError::Away { .. } => Published::NotStored(error.to_string()),
        CallError::Broken { .. } => Published::Unknown(error.to_string()),
        CallError::Refused { status, .. } => match status.code {
            code::TOPIC_NOT_FOUND | code::MESSAGE_PROPERTY_CONFLICT_WITH_TYPE => {
                Published::NotStored(format!(
                    "{error}; create the topic \"{topic}\" with: mqadmin updateTopic -t {topic} \
                     -c CLUSTER -a +message.type=NORMAL (DELAY for cancels, FIFO for the order feed)"
                ))
            }
            code::MESSAGE_BODY_TOO_LARGE
            | code::MESSAGE_BODY_EMPTY
            | code::PAYLOAD_TOO_LARGE
            | code::ILLEGAL_MESSAGE_KEY => Published::Rejected(error.to_string()),
            code if code >= code::INTERNAL_ERROR => Published::Unknown(error.to_string()),
            _ => Published::NotStored(error.to_string()),
        },
    }
}

/// Hides delivered messages for `time` from now on. Each gets a new receipt.
async fn change_invisible(
    consumer: &Consumer,
    receipts: &mut [Receipt],
    time: Duration,
) -> Result<(), CallError> {
    let mut calls = JoinSet::new();
    for (at, old) in receipts.iter().enumerate() {
        let Some((message_id, receipt_handle)) = parts(old) else {
            continue;
        };
        let request = ChangeInvisibleDurationRequest {
            group: Some(resource(&consumer.group)),
            topic: Some(resource(&consumer.topic)),
            receipt_handle: receipt_handle.to_owned(),
            invisible_duration: span(time),
            message_id: message_id.to_owned(),
        };
        let (proxy, message_id) = (consumer.proxy.clone(), message_id.to_owned());
        calls.spawn(async move {
            let response: ChangeInvisibleDurationResponse =
                proxy.call(method::CHANGE_INVISIBLE, request).await?;
            proxy.accept(response.status, &[code::INVALID_RECEIPT_HANDLE])?;
            Ok((at, message_id, response.receipt_handle))
        });
    }
    let mut outcome = Ok(());
    while let Some(done) = calls.join_next().await {
        match done {
            Ok(Ok((at, message_id, handle))) if !handle.is_empty() => {
                receipts[at] = receipt(&message_id, &handle);
            }
            Ok(Err(error)) => outcome = Err(error),
            _ => {}
        }
    }
    outcome
}

fn resource(name: &str) -> Resource {
    Resource {
        resource_namespace: String::new(),
        name: name.to_owned(),
    }
}

fn everything() -> FilterExpression {
    FilterExpression {
        kind: FilterType::Tag.into(),
        expression: "*".to_owned(),
    }
}

fn span(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

fn receipt(message_id: &str, handle: &str) -> Receipt {
    Receipt(format!("{message_id} {handle}"))
}

/// The message id and the handle in a receipt.
fn parts(receipt: &Receipt) -> Option<(&str, &str)> {
    receipt.0.split_once(' ')
}

/// A new message id: 17 bytes in hexadecimal, the first of which is the version.
fn message_id() -> String {
    let mut random = [0; 16];
    // Without randomness the id is of no use to people who search for it, and the
    // message works all the same.
    let _ = getrandom::fill(&mut random);
    let digits: String = random.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("01{digits}")
}

impl From<CallError> for QueueError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
