//! The queue over a real RocketMQ.

use std::process::{Child, Stdio};

use crate::common::rocketmq::TestRocketMq;
use crate::common::shop::Shop;
use crate::common::{eventually, item, program, queue_suite, stock};
use seckill::queue::DeadLetters;
use seckill::queue::rocketmq::TopicType;
use seckill::redis::segments::Segments;
use seckill_core::keys;
use tempfile::TempDir;

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

/// The orders role as a process of its own, which can be killed.
fn worker(shop: &Shop, mq: &TestRocketMq, folder: &TempDir) -> Child {
    program()
        .args(["serve", "--roles", "orders"])
        .env("SECKILL_DATA", folder.path())
        .env("SECKILL_REDIS_URL", shop.redis.url())
        .env("SECKILL_DATABASE_URL", &shop.database_url)
        .env("SECKILL_QUEUE", "rocketmq")
        .env("SECKILL_ROCKETMQ_ENDPOINT", mq.endpoint())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn outbox_length(shop: &Shop) -> u64 {
    let mut conn = shop.link.conn().await.unwrap();
    let mut length = redis::cmd("XLEN");
    length.arg(keys::outbox(&item(), 1));
    length.query_async(&mut conn).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rocketmq_killed_and_workers_killed_lose_no_order_and_double_none() {
    let Some(mq) = TestRocketMq::start(&[]) else {
        return;
    };
    let mut shop = Shop::open(90).await;
    let folder = TempDir::new().unwrap();
    shop.relay_to(mq.queue("seckill-orders", TopicType::Normal));
    shop.archive();
    let mut hands = worker(&shop, &mq, &folder);
    let buy = async |shop: &Shop, from: usize| {
        for n in from..from + 30 {
            let (status, _) = shop.click(&format!("u{n}"), "r").await;
            assert_eq!(status.as_u16(), 202);
        }
    };
    buy(&shop, 0).await;
    eventually("the first orders are placed", || async {
        (shop.store.live_orders(&item()).await.unwrap() > 0).then_some(())
    })
    .await;
    kill(hands);
    hands = worker(&shop, &mq, &folder);

    mq.kill();
    // Selling goes on; what is sold waits in the outbox.
    buy(&shop, 30).await;
    assert!(outbox_length(&shop).await >= 30);
    mq.start_again();
    buy(&shop, 60).await;
    kill(hands);
    hands = worker(&shop, &mq, &folder);

    shop.until_orders(90).await;
    for n in 0..90 {
        shop.until_ordered(&format!("u{n}")).await;
    }
    eventually("the outbox is empty", || async {
        (outbox_length(&shop).await == 0).then_some(())
    })
    .await;
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 90);
    assert_eq!(stock(&shop.link).await, (0, 90, 0));
    let letters = DeadLetters::new(shop.link.clone(), Segments::on(shop.link.clone()));
    assert_eq!(letters.list(None, 10).await.unwrap(), []);
    kill(hands);
    shop.shut().await;
}
