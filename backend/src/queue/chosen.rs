//! The adapter that the configuration chooses.

use std::time::Duration;

use super::{Capabilities, Delivery, Message, Published, Queue, QueueError, Receipt, StreamsQueue};
use crate::redis_link::RedisLink;

/// The queues of a shop.
#[derive(Clone)]
pub struct Queues {
    /// Purchases that are to become orders.
    pub orders: ChosenQueue,
    /// Orders that are to be cancelled unless they are paid by then.
    pub cancels: ChosenQueue,
}

impl Queues {
    /// Those over Redis Streams.
    #[must_use]
    pub fn streams(redis: &RedisLink) -> Self {
        Self {
            orders: ChosenQueue::Streams(StreamsQueue::orders(redis.clone())),
            cancels: ChosenQueue::Streams(StreamsQueue::cancels(redis.clone())),
        }
    }
}

/// One of the adapters.
#[derive(Clone)]
pub enum ChosenQueue {
    /// Redis Streams.
    Streams(StreamsQueue),
}

/// Hands a call on to the adapter.
macro_rules! hand_on {
    ($self:ident, $queue:ident => $call:expr) => {
        match $self {
            Self::Streams($queue) => $call,
        }
    };
}

impl Queue for ChosenQueue {
    fn capabilities(&self) -> Capabilities {
        hand_on!(self, queue => queue.capabilities())
    }

    async fn publish(&self, batch: &[Message]) -> Vec<Published> {
        hand_on!(self, queue => queue.publish(batch).await)
    }

    async fn next(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        hand_on!(self, queue => queue.next(max, wait).await)
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        hand_on!(self, queue => queue.ack(receipts).await)
    }

    async fn release(&self, receipts: &[Receipt], after: Duration) -> Result<(), QueueError> {
        hand_on!(self, queue => queue.release(receipts, after).await)
    }

    async fn extend(&self, receipts: &mut [Receipt]) -> Result<(), QueueError> {
        hand_on!(self, queue => queue.extend(receipts).await)
    }
}
