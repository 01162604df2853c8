//! A queue of either adapter, for programs that learn at run time which one is in use.

use std::time::Duration;

use super::rocketmq::RocketMqQueue;
use super::{Capabilities, Delivery, Message, Published, Queue, QueueError, Receipt, StreamsQueue};

/// A queue over Redis Streams or RocketMQ.
#[derive(Clone)]
pub enum AnyQueue {
    /// Redis Streams.
    Streams(StreamsQueue),
    /// A queue of RocketMQ 5.
    RocketMq(RocketMqQueue),
}

/// Calls the adapter that a queue is of.
macro_rules! dispatch {
    ($self:ident, $queue:ident => $call:expr) => {
        match $self {
            Self::Streams($queue) => $call,
            Self::RocketMq($queue) => $call,
        }
    };
}

impl Queue for AnyQueue {
    fn capabilities(&self) -> Capabilities {
        dispatch!(self, queue => queue.capabilities())
    }

    async fn publish(&self, batch: &[Message]) -> Vec<Published> {
        dispatch!(self, queue => queue.publish(batch).await)
    }

    async fn next(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        dispatch!(self, queue => queue.next(max, wait).await)
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        dispatch!(self, queue => queue.ack(receipts).await)
    }

    async fn requeue(&self, receipts: &[Receipt], after: Duration) -> Result<(), QueueError> {
        dispatch!(self, queue => queue.requeue(receipts, after).await)
    }

    async fn extend(&self, receipts: &mut [Receipt]) -> Result<(), QueueError> {
        dispatch!(self, queue => queue.extend(receipts).await)
    }
}
