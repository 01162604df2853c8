//! The adapter that the configuration chooses.

use std::time::Duration;

use super::rocketmq::{RocketMqQueue, TopicType};
use super::{Capabilities, Delivery, Message, Published, Queue, QueueError, Receipt, StreamsQueue};
use crate::config::{Config, QueueKind};
use crate::redis::RedisLink;

/// The queues of a shop.
#[derive(Clone)]
pub struct Queues<O = ChosenQueue, C = ChosenQueue> {
    /// Purchases that are to become orders.
    pub orders: O,
    /// Orders that are to be cancelled unless they are paid by then.
    pub cancels: C,
}

impl Queues<StreamsQueue, StreamsQueue> {
    /// Those over Redis Streams.
    #[must_use]
    pub fn streams(redis: &RedisLink) -> Self {
        Self {
            orders: StreamsQueue::orders(redis.clone()),
            cancels: StreamsQueue::cancels(redis.clone()),
        }
    }
}

impl Queues {
    /// Those that `config` asks for. They connect on first use.
    ///
    /// # Errors
    /// A sentence that says what is wrong with an address.
    pub fn open(config: &Config, redis: &RedisLink) -> Result<Self, String> {
        if config.queue == QueueKind::Streams {
            let Queues { orders, cancels } = Queues::streams(redis);
            return Ok(Self {
                orders: ChosenQueue::Streams(orders),
                cancels: ChosenQueue::Streams(cancels),
            });
        }
        let endpoint = &config.rocketmq_endpoint;
        let queue = |topic: &str, kind| {
            let queue = RocketMqQueue::new(endpoint, topic, kind, &format!("{topic}-workers"));
            let wrong = |reason| format!("rocketmq_endpoint = \"{endpoint}\" is wrong: {reason}");
            Ok::<_, String>(ChosenQueue::RocketMq(queue.map_err(wrong)?))
        };
        Ok(Self {
            orders: queue(&config.rocketmq_orders_topic, TopicType::Normal)?,
            cancels: queue(&config.rocketmq_cancels_topic, TopicType::Delay)?,
        })
    }
}

/// One of the adapters.
#[derive(Clone)]
pub enum ChosenQueue {
    /// Redis Streams.
    Streams(StreamsQueue),
    /// RocketMQ.
    RocketMq(RocketMqQueue),
}

/// Hands a call on to the adapter.
macro_rules! hand_on {
    ($self:ident, $queue:ident => $call:expr) => {
        match $self {
            Self::Streams($queue) => $call,
            Self::RocketMq($queue) => $call,
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
