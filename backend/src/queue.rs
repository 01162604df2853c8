//! Port to the message queue.
//!
//! Pull, not push, so that the worker decides how fast it works. Delivery is at
//! least once: a message that was handed out and neither acknowledged nor
//! extended comes again, to whoever asks next.

use std::future::Future;
use std::time::Duration;

/// The adapter over Redis Streams.
pub mod streams;

pub use streams::StreamsQueue;

/// What an adapter can do of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Longest delay it keeps a released message back for.
    pub longest_release: Duration,
    /// How long a message that was handed out stays with its worker.
    pub hold: Duration,
    /// Largest body, in bytes.
    pub max_body: usize,
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
    /// How many times it was handed out, this time included.
    pub attempt: u32,
}

/// Names one delivery to its queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub(crate) String);

/// A message that nobody could use, kept for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message as it was.
    pub body: Vec<u8>,
    /// Why it is here, as a sentence.
    pub reason: String,
    /// Where it came from: the queue or the outbox.
    pub source: String,
    /// How many times it was handed out.
    pub attempts: u32,
}

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
    fn publish(&self, batch: &[Vec<u8>]) -> impl Future<Output = Vec<Published>> + Send;

    /// Up to `max` messages; waits up to `wait` for the first, then takes what is there.
    fn next(
        &self,
        max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// These are done and never come again.
    fn ack(&self, receipts: &[Receipt]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// These come again after `after`, or [`Capabilities::longest_release`] if that is sooner.
    fn release(
        &self,
        receipts: &[Receipt],
        after: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// These are still being worked on: holds them for another [`Capabilities::hold`].
    fn extend(&self, receipts: &[Receipt]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Keeps a dead letter. Acknowledging the message is a step of its own,
    /// taken after this one, so that it is never in neither place.
    fn bury(&self, letter: DeadLetter) -> impl Future<Output = Result<(), QueueError>> + Send;
}
