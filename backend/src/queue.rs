//! Port to the message queue.
//!
//! Pull, not push, so that the worker decides how fast it works. Delivery is at
//! least once: a message that was handed out and neither acknowledged nor
//! extended comes again, to whoever asks next.

use std::future::Future;
use std::time::Duration;

/// A queue of either adapter.
pub mod any;
/// Messages that nobody could use.
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

/// What an adapter can do of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Longest delay, of a published or a released message. What is to wait
    /// longer comes sooner, and its reader puts it off again.
    pub longest_delay: Duration,
    /// How long a message that was handed out stays with its worker.
    pub hold: Duration,
    /// Largest body, in bytes.
    pub max_body: usize,
}

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What is said.
    pub body: Vec<u8>,
    /// What people find it by in the queue's own tools: a request or an order.
    pub key: String,
    /// How long it is kept back before anybody gets it.
    pub after: Duration,
}

impl Message {
    /// One that is to be delivered at once.
    #[must_use]
    pub fn new(body: impl Into<Vec<u8>>, key: &str) -> Self {
        Self {
            body: body.into(),
            key: key.to_owned(),
            after: Duration::ZERO,
        }
    }

    /// The same, delivered `after` it was published.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// What became of a published message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The queue has it.
    Stored,
    /// The queue does not have it; publish it again later.
    NotStored(String),
    /// It may or may not have it; publish it again, readers absorb doubles.
    Unknown(String),
    /// It will never take this one, for this reason.
    Rejected(String),
}

/// A message handed out to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What to acknowledge it by.
    pub receipt: Receipt,
    /// The message.
    pub body: Vec<u8>,
    /// The key it was published with.
    pub key: String,
    /// How many times it was handed out, this time included.
    pub attempt: u32,
}

/// Names one delivery to its queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub(crate) String);

/// The queue could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Its server is away or did not answer.
    #[error("the queue cannot be used: {0}")]
    Unavailable(String),
}

/// A message queue, from either end.
pub trait Queue: Clone + Send + Sync + 'static {
    /// What it can do of itself.
    fn capabilities(&self) -> Capabilities;

    /// Publishes each message, and tells of each, in order, what became of it.
    fn publish(&self, batch: &[Message]) -> impl Future<Output = Vec<Published>> + Send;

    /// Up to `max` messages; waits up to `wait` for the first, then takes what is there.
    fn next(
        &self,
        max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// These are done and never come again.
    fn ack(&self, receipts: &[Receipt]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// These come again after `after`, or [`Capabilities::longest_delay`] if that is sooner.
    fn release(
        &self,
        receipts: &[Receipt],
        after: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// These are still being worked on: holds them for another
    /// [`Capabilities::hold`]. The receipts are replaced by those that count
    /// from then on.
    fn extend(
        &self,
        receipts: &mut [Receipt],
    ) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// What publishing comes to as long as nothing was heard of the server: too
/// large a message will never be taken.
fn unsent(message: &Message, most: usize) -> Published {
    let len = message.body.len();
    if len > most {
        Published::Rejected(format!(
            "the message has {len} bytes, the queue takes {most}"
        ))
    } else {
        Published::NotStored("not yet sent".into())
    }
}

/// Whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
