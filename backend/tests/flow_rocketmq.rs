//! The queue over a real RocketMQ.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use common::queue_suite;
use common::rocketmq::TestRocketMq;
use seckill::queue::rocketmq::TopicType;

#[tokio::test(flavor = "multi_thread")]
async fn rocketmq_keeps_what_every_queue_keeps() {
    let topics = ["once", "released", "held", "large"].map(|name| format!("{name}:NORMAL"));
    let mut topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    topics.push("delayed:DELAY");
    let Some(mq) = TestRocketMq::start(&topics) else {
        return;
    };
    let queue = |topic| mq.queue(topic, TopicType::Normal);
    // All at once: most of the time each of them waits.
    tokio::join!(
        queue_suite::every_message_comes_and_once_if_it_is_acknowledged(queue("once")),
        queue_suite::a_released_message_comes_again_after_its_time_and_counts(queue("released")),
        queue_suite::a_message_is_taken_over_when_its_hold_ends_but_not_while_it_is_extended(
            queue("held")
        ),
        queue_suite::a_message_that_is_too_large_is_rejected_with_the_reason(queue("large")),
        queue_suite::a_delayed_message_comes_when_it_is_due(mq.queue("delayed", TopicType::Delay)),
    );
}
