//! The queue over RocketMQ 5, by the gRPC contract of its proxy: messages are
//! pulled, acknowledged one by one, given back for a time of their own, and
//! published with the moment of their delivery.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Capabilities, Delivery, Message, Published, Queue, QueueError, Receipt, unsent};

/// Calls and sessions.
mod proxy;
/// Taking messages.
mod receiving;
/// Messages of the contract.
mod wire;

use proxy::{CallError, Proxy, Session};
use receiving::Receiving;
use wire::{
    AckMessageEntry, AckMessageRequest, AckMessageResponse, ChangeInvisibleDurationRequest,
    ChangeInvisibleDurationResponse, FilterExpression, FilterType, MessageType, Resource,
    SendMessageRequest, SendMessageResponse, Subscription, SubscriptionEntry, SystemProperties,
    WireMessage, code,
};

/// How long a message that was handed out stays with its worker; the proxy
/// allows no less than ten seconds.
const HOLD: Duration = Duration::from_secs(10);
/// Longest delay: the proxy keeps a message that was given back for half a day
/// at most, and one that was published for a day.
const LONGEST_DELAY: Duration = Duration::from_secs(12 * 3600);
/// Largest message, in bytes; an order message has some 300. The broker would
/// take 4 MB.
const MAX_BODY: usize = 64 * 1024;

/// The calls.
mod method {
    pub(super) const QUERY_ROUTE: &str = "/apache.rocketmq.v2.MessagingService/QueryRoute";
    pub(super) const SEND: &str = "/apache.rocketmq.v2.MessagingService/SendMessage";
    pub(super) const RECEIVE: &str = "/apache.rocketmq.v2.MessagingService/ReceiveMessage";
    pub(super) const ACK: &str = "/apache.rocketmq.v2.MessagingService/AckMessage";
    pub(super) const CHANGE_INVISIBLE: &str =
        "/apache.rocketmq.v2.MessagingService/ChangeInvisibleDuration";
}

/// What kind of topic it is, as its attribute `message.type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicType {
    /// `NORMAL`: messages are delivered at once.
    Normal,
    /// `DELAY`: each message has its own moment of delivery.
    Delay,
}

/// A queue in one topic, read by one consumer group.
#[derive(Clone)]
pub struct RocketMqQueue {
    consumer: Consumer,
    kind: TopicType,
    receiving: Arc<Mutex<Receiving>>,
}

/// One end of it.
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
        };
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
        let mut calls = JoinSet::new();
        for (at, message) in batch.iter().enumerate() {
            if matches!(outcome[at], Published::Rejected(_)) {
                continue;
            }
            // One a call: a request of several stands or falls as a whole, and
            // takes no delayed ones.
            let (consumer, message) = (self.consumer.clone(), self.outgoing(message));
            calls.spawn(async move { (at, send(&consumer, message).await) });
        }
        while let Some(done) = calls.join_next().await {
            if let Ok((at, published)) = done {
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
        let question = AckMessageRequest {
            group: Some(resource(group)),
            topic: Some(resource(topic)),
            entries: entries
                .map(|(message_id, receipt_handle)| AckMessageEntry {
                    message_id: message_id.to_owned(),
                    receipt_handle: receipt_handle.to_owned(),
                })
                .collect(),
        };
        let answer: AckMessageResponse = proxy.ask(method::ACK, question).await?;
        // One whose time has run out belongs to somebody else by now.
        let also = [code::MULTIPLE_RESULTS, code::INVALID_RECEIPT_HANDLE];
        proxy.accept(answer.status, &also)?;
        for entry in answer.entries {
            proxy.accept(entry.status, &also)?;
        }
        Ok(())
    }

    async fn release(&self, receipts: &[Receipt], after: Duration) -> Result<(), QueueError> {
        let mut receipts = receipts.to_vec();
        let after = after.min(LONGEST_DELAY);
        Ok(change_invisible(&self.consumer, &mut receipts, after).await?)
    }

    async fn extend(&self, receipts: &mut [Receipt]) -> Result<(), QueueError> {
        Ok(change_invisible(&self.consumer, receipts, HOLD).await?)
    }
}

async fn send(consumer: &Consumer, message: WireMessage) -> Published {
    let question = SendMessageRequest {
        messages: vec![message],
    };
    let answer: Result<SendMessageResponse, _> = consumer.proxy.ask(method::SEND, question).await;
    let outcome = answer.and_then(|answer| consumer.proxy.accept(answer.status, &[]));
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
                    "{error}; make the topic \"{topic}\" with: mqadmin updateTopic -t {topic} \
                     -c CLUSTER -a +message.type=NORMAL (DELAY for cancels)"
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

/// Hides messages that were handed out for another while. Each has a new receipt
/// from then on.
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
        let question = ChangeInvisibleDurationRequest {
            group: Some(resource(&consumer.group)),
            topic: Some(resource(&consumer.topic)),
            receipt_handle: receipt_handle.to_owned(),
            invisible_duration: span(time),
            message_id: message_id.to_owned(),
        };
        let (proxy, message_id) = (consumer.proxy.clone(), message_id.to_owned());
        calls.spawn(async move {
            let answer: ChangeInvisibleDurationResponse =
                proxy.ask(method::CHANGE_INVISIBLE, question).await?;
            proxy.accept(answer.status, &[code::INVALID_RECEIPT_HANDLE])?;
            Ok((at, message_id, answer.receipt_handle))
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

/// Message id and handle.
fn parts(receipt: &Receipt) -> Option<(&str, &str)> {
    receipt.0.split_once(' ')
}

/// A new message id: 17 bytes in hexadecimal, the first of which is the version.
fn message_id() -> String {
    let mut random = [0; 16];
    // Without randomness an id would be of no use to those who look for it; the
    // message is as good.
    let _ = getrandom::fill(&mut random);
    let digits: String = random.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("01{digits}")
}

impl From<CallError> for QueueError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
