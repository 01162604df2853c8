//! The port to the message queue, its adapters, and the dead letters.
//!
//! Workers pull, so that each decides how fast it works. Delivery is at least once:
//! a message that was delivered and neither acknowledged nor extended is delivered
//! again, to the next worker that asks. An adapter knows one queue product; what is
//! in a message is not known here. This module uses the configuration and the
//! connections to Redis.

use std::future::Future;
use std::time::Duration;

/// A queue of either adapter.
pub mod any;
/// Messages that failed for good.
pub mod dead_letters;
/// The two queues of a shop.
mod queues;
/// The adapter over RocketMQ 5.
pub mod rocketmq;
/// The adapter over Redis Streams.
pub mod streams;

pub use any::AnyQueue;
pub use dead_letters::{DeadLetter, DeadLetters};
pub use queues::Queues;
pub use rocketmq::RocketMqQueue;
pub use streams::StreamsQueue;

/// The limits of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Longest delay of a published or requeued message. One that is to wait longer is
    /// delivered after this time, and its worker requeues it.
    pub longest_delay: Duration,
    /// How long a delivered message stays with its worker.
    pub hold: Duration,
    /// Largest body, in bytes.
    pub max_body: usize,
}

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its content.
    pub body: Vec<u8>,
    /// A request id or an order number, to find it by in the queue's own tools.
    pub key: String,
    /// How long its delivery is delayed.
    pub after: Duration,
}

impl Message {
    /// A message that is delivered at once.
    #[must_use]
    pub fn new(body: impl Into<Vec<u8>>, key: &str) -> Self {
        Self {
            body: body.into(),
            key: key.to_owned(),
            after: Duration::ZERO,
        }
    }

    /// The same message, delivered `after` it was published.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// The outcome of publishing a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The queue has it.
    Stored,
    /// The queue does not have it, for this reason; publish it again later.
    NotStored(String),
    /// The outcome is unknown, for this reason; publish it again: consumers are
    /// idempotent.
    Unknown(String),
    /// The queue will never accept it, for this reason.
    Rejected(String),
}

/// A message as it was delivered to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Names this delivery.
    pub receipt: Receipt,
    /// The message.
    pub body: Vec<u8>,
    /// The key that it was published with.
    pub key: String,
    /// The number of its deliveries, including this one.
    pub attempt: u32,
}

/// Names one delivery to its queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub(crate) String);

/// Why a call of the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Its server is away or did not reply.
    #[error("the queue cannot be used: {0}")]
    Unavailable(String),
}

/// A message queue, from either end.
pub trait Queue: Clone + Send + Sync + 'static {
    /// Its limits.
    fn capabilities(&self) -> Capabilities;

    /// Publishes messages; returns the outcome of each, in order.
    fn publish(&self, batch: &[Message]) -> impl Future<Output = Vec<Published>> + Send;

    /// Receives up to `max` messages; waits up to `wait` for the first.
    fn next(
        &self,
        max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// Acknowledges deliveries: their messages are done and never delivered again.
    fn ack(&self, receipts: &[Receipt]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Requeues deliveries: their messages are delivered again after `after`, or
    /// [`Capabilities::longest_delay`] if that is shorter.
    fn requeue(
        &self,
        receipts: &[Receipt],
        after: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Extends deliveries that are still being worked on by another
    /// [`Capabilities::hold`]. The receipts are replaced by those that are valid
    /// from then on.
    fn extend(
        &self,
        receipts: &mut [Receipt],
    ) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// The outcome of publishing a message before it is sent: one that is too large is
/// rejected.
fn unsent(message: &Message, most: usize) -> Published {
    let len = message.body.len();
    if len > most {
        Published::Rejected(format!(
            "the message has {len} bytes, the queue accepts {most}"
        ))
    } else {
        Published::NotStored("not yet sent".into())
    }
}

/// Whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
