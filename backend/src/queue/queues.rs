//! The two queues of a shop, opened as the configuration says.

use super::rocketmq::{RocketMqQueue, TopicType};
use super::{AnyQueue, StreamsQueue};
use crate::config::{Config, QueueKind};
use crate::redis::RedisLink;

/// The queues of a shop.
#[derive(Clone)]
pub struct Queues<O = AnyQueue, C = AnyQueue> {
    /// Purchases from which orders are to be placed.
    pub orders: O,
    /// Orders that are to be cancelled unless they are paid by the time of delivery.
    pub cancels: C,
}

impl Queues<StreamsQueue, StreamsQueue> {
    /// Both queues over Redis Streams.
    #[must_use]
    pub fn streams(redis: &RedisLink) -> Self {
        Self {
            orders: StreamsQueue::orders(redis.clone()),
            cancels: StreamsQueue::cancels(redis.clone()),
        }
    }
}

impl Queues {
    /// The queues that `config` names. They connect on first use.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the RocketMQ endpoint.
    pub fn open(config: &Config, redis: &RedisLink) -> Result<Self, String> {
        if config.queue == QueueKind::Streams {
            let Queues { orders, cancels } = Queues::streams(redis);
            return Ok(Self {
                orders: AnyQueue::Streams(orders),
                cancels: AnyQueue::Streams(cancels),
            });
        }
        let endpoint = &config.rocketmq_endpoint;
        let queue = |topic: &str, kind| {
            let queue = RocketMqQueue::new(endpoint, topic, kind, &format!("{topic}-workers"));
            let wrong = |reason| format!("rocketmq_endpoint = \"{endpoint}\" is wrong: {reason}");
            Ok::<_, String>(AnyQueue::RocketMq(queue.map_err(wrong)?))
        };
        Ok(Self {
            orders: queue(&config.rocketmq_orders_topic, TopicType::Normal)?,
            cancels: queue(&config.rocketmq_cancels_topic, TopicType::Delay)?,
        })
    }
}
