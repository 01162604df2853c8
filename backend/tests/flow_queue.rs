//! The queue over Redis Streams, the relay's dead letters, the store, and the
//! link itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use std::time::Duration;

use common::shop::Shop;
use common::{TestRedis, eventually, item};
use redis::streams::StreamRangeReply;
use seckill::queue::{DeadLetter, Delivery, Published, Queue as _, Receipt, StreamsQueue};
use seckill::redis_link::{RedisLink, RedisLinkError};
use seckill::store::Store;
use seckill_core::keys;

const SECOND: Duration = Duration::from_secs(1);

fn queue(link: &RedisLink, hold: Duration) -> StreamsQueue {
    StreamsQueue::new(
        link.clone(),
        keys::QUEUE_ORDERS,
        keys::QUEUE_DEAD_LETTERS,
        hold,
    )
}

async fn publish(queue: &StreamsQueue, bodies: &[&str]) {
    let batch: Vec<Vec<u8>> = bodies.iter().map(|body| body.as_bytes().to_vec()).collect();
    let stored = queue.publish(&batch).await;
    assert!(
        stored.iter().all(|one| *one == Published::Stored),
        "{stored:?}"
    );
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries
        .iter()
        .map(|one| std::str::from_utf8(&one.body).unwrap())
        .collect()
}

fn receipts(deliveries: &[Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|one| one.receipt.clone()).collect()
}

#[tokio::test]
async fn messages_come_in_order_and_once_until_they_are_acknowledged() {
    let redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, 30 * SECOND);
    assert_eq!(queue.next(10, Duration::from_millis(20)).await.unwrap(), []);
    publish(&queue, &["a", "b", "c"]).await;
    let first = queue.next(2, SECOND).await.unwrap();
    assert_eq!(bodies(&first), ["a", "b"]);
    assert!(first.iter().all(|one| one.attempt == 1));
    let rest = queue.next(2, SECOND).await.unwrap();
    assert_eq!(bodies(&rest), ["c"]);
    queue.ack(&receipts(&first)).await.unwrap();
    queue.ack(&receipts(&first)).await.unwrap();
    queue.ack(&receipts(&rest)).await.unwrap();
    let mut conn = redis.link().await.conn().await.unwrap();
    let left: u64 = redis::cmd("XLEN")
        .arg(keys::QUEUE_ORDERS)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(left, 0, "what is done takes no memory");
}

#[tokio::test]
async fn a_released_message_comes_again_and_counts_its_deliveries() {
    let redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, 30 * SECOND);
    publish(&queue, &["a"]).await;
    for attempt in 1..=3 {
        let got = queue.next(1, SECOND).await.unwrap();
        assert_eq!((bodies(&got), got[0].attempt), (vec!["a"], attempt));
        queue
            .release(&receipts(&got), Duration::ZERO)
            .await
            .unwrap();
    }
    let got = queue.next(1, SECOND).await.unwrap();
    queue.release(&receipts(&got), 10 * SECOND).await.unwrap();
    assert_eq!(
        queue.next(1, Duration::from_millis(50)).await.unwrap(),
        [],
        "not yet"
    );
}

#[tokio::test]
async fn a_message_is_taken_over_when_its_hold_ends_but_not_while_it_is_extended() {
    let redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, Duration::from_millis(400));
    publish(&queue, &["a"]).await;
    let held = queue.next(1, SECOND).await.unwrap();
    for _ in 0..6 {
        queue.extend(&receipts(&held)).await.unwrap();
        assert_eq!(queue.next(1, Duration::from_millis(100)).await.unwrap(), []);
    }
    let taken = eventually("it is taken over", || async {
        queue
            .next(1, Duration::from_millis(100))
            .await
            .unwrap()
            .pop()
    })
    .await;
    assert_eq!(taken.attempt, 2, "extending counts no delivery");
}

#[tokio::test]
async fn publishing_tells_of_each_message_what_became_of_it() {
    let mut redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, SECOND);
    let batch = [
        b"small".to_vec(),
        vec![b'x'; queue.capabilities().max_body + 1],
    ];
    let outcomes = queue.publish(&batch).await;
    assert_eq!(outcomes[0], Published::Stored);
    assert!(matches!(&outcomes[1], Published::Rejected(reason) if reason.contains("65536")));

    redis.freeze();
    let frozen = queue.publish(&batch[..1]).await;
    assert!(matches!(frozen[0], Published::Unknown(_)), "{frozen:?}");
    redis.thaw();
    redis.kill();
    eventually("nothing is sent any more", || async {
        matches!(queue.publish(&batch[..1]).await[0], Published::NotStored(_)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_emptied_redis_does_not_stop_the_readers() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let queue = queue(&link, SECOND);
    publish(&queue, &["a"]).await;
    assert_eq!(queue.next(1, SECOND).await.unwrap().len(), 1);
    let mut conn = link.conn().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    publish(&queue, &["b"]).await;
    let got = eventually("the message comes", || async {
        queue
            .next(1, Duration::from_millis(100))
            .await
            .unwrap()
            .pop()
    })
    .await;
    assert_eq!(got.body, b"b");
}

async fn dead_letters(link: &RedisLink) -> Vec<(String, String)> {
    let mut conn = link.conn().await.unwrap();
    let mut range = redis::cmd("XRANGE");
    let reply: StreamRangeReply = range
        .arg(keys::QUEUE_DEAD_LETTERS)
        .arg("-")
        .arg("+")
        .query_async(&mut conn)
        .await
        .unwrap();
    let text = |entry: &redis::streams::StreamId, name| entry.get::<String>(name).unwrap();
    reply
        .ids
        .iter()
        .map(|entry| (text(entry, "source"), text(entry, "reason")))
        .collect()
}

#[tokio::test]
async fn what_nobody_can_use_ends_among_the_dead_letters_with_the_reason() {
    let mut shop = Shop::open(10).await;
    let queue = StreamsQueue::orders(shop.link.clone());
    let refused_by_the_database = r#"{"v":1,"request":"r","round":"1","product":"153","segment":1,
        "user":"zhao","quantity":0,"price_cents":1,"permit":"","at_ms":1}"#;
    publish(
        &queue,
        &["nonsense", r#"{"v":99}"#, refused_by_the_database],
    )
    .await;
    let mut conn = shop.link.conn().await.unwrap();
    let outbox = keys::outbox(&item(), 1);
    let mut add = redis::cmd("XADD");
    add.arg(&outbox)
        .arg("*")
        .arg("kind")
        .arg("greeting")
        .exec_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(shop.click("li", "r").await.0.as_u16(), 202);
    shop.run_all();
    shop.until_ordered("li").await;
    shop.until_drained().await;
    let letters = dead_letters(&shop.link).await;
    for (source, named) in [
        (keys::QUEUE_ORDERS, "does not parse"),
        (keys::QUEUE_ORDERS, "version 99"),
        (keys::QUEUE_ORDERS, "CHECK"),
        (outbox.as_str(), "greeting"),
    ] {
        let found = letters
            .iter()
            .any(|(from, why)| from == source && why.contains(named));
        assert!(found, "{named}: {letters:?}");
    }
    assert_eq!(letters.len(), 4);
    shop.shut().await;
}

#[tokio::test]
async fn a_dead_letter_keeps_the_message_as_it_was() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let queue = queue(&link, SECOND);
    let (body, reason, source) = (
        b"\xff\x00".to_vec(),
        "because".to_owned(),
        "here".to_owned(),
    );
    queue
        .bury(DeadLetter {
            body,
            reason,
            source,
            attempts: 3,
        })
        .await
        .unwrap();
    assert_eq!(
        dead_letters(&link).await,
        [("here".into(), "because".into())]
    );
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named() {
    let error = Store::open("sqlite:///no/such/folder/x.db")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/no/such/folder/x.db") && error.contains("folder"),
        "{error}"
    );
    let error = Store::open("oracle://li:s3cret@host/db")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("oracle://li:******@host/db") && error.contains("sqlite:///"),
        "{error}"
    );
}

#[tokio::test]
async fn the_link_says_what_was_not_sent_and_mends_itself() {
    let mut redis = TestRedis::start().await;
    let link = RedisLink::lazy(&redis.url()).unwrap();
    link.conn().await.unwrap();
    redis.kill();
    let error = eventually("the link knows", || async { link.conn().await.err() }).await;
    assert!(matches!(error, RedisLinkError::Away { .. }));
    assert!(error.to_string().contains("redis.sock"), "{error}");
    redis.start_again().await;
    let back = std::time::Instant::now();
    eventually("the link is back", || async { link.conn().await.ok() }).await;
    assert!(back.elapsed() < SECOND, "{:?}", back.elapsed());
}

#[tokio::test]
async fn a_hundred_callers_of_a_new_link_share_one_connection() {
    let redis = TestRedis::start().await;
    let link = RedisLink::lazy(&redis.url()).unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let link = link.clone();
        callers.spawn(async move { link.conn().await.is_ok() });
    }
    assert!(
        callers
            .join_all()
            .await
            .into_iter()
            .all(|connected| connected)
    );
    let mut conn = link.conn().await.unwrap();
    let info: String = redis::cmd("INFO")
        .arg("clients")
        .query_async(&mut conn)
        .await
        .unwrap();
    // One more may be the link that waited for the server to start, still closing.
    assert!(
        info.contains("connected_clients:1\r") || info.contains("connected_clients:2\r"),
        "{info}"
    );
}
