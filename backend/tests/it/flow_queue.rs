//! The queue over Redis Streams, the relay's dead letters, the store, and the
//! link itself.

use std::time::Duration;

use crate::common::shop::Shop;
use crate::common::{TestRedis, eventually, item, queue_suite};
use redis::streams::StreamRangeReply;
use seckill::queue::dead_letters::{KeptLetter, Redriven};
use seckill::queue::{
    DeadLetter, DeadLetters, Message, Published, Queue as _, Queues, StreamsQueue,
};
use seckill::redis::segments::Segments;
use seckill::redis::{RedisLink, RedisLinkError};
use seckill::store::Store;
use seckill_core::keys;

const SECOND: Duration = Duration::from_secs(1);

fn queue(link: &RedisLink, hold: Duration) -> StreamsQueue {
    StreamsQueue::new(link.clone(), keys::QUEUE_ORDERS, hold)
}

async fn publish(queue: &StreamsQueue, bodies: &[&str]) {
    let batch: Vec<Message> = bodies
        .iter()
        .map(|body| queue_suite::message(body))
        .collect();
    queue_suite::publish(queue, &batch).await;
}

/// Runs a test of the suite that every adapter has to pass.
macro_rules! keeps_what_every_queue_keeps {
    ($($name:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let redis = TestRedis::start().await;
            queue_suite::$name(queue(&redis.link().await, Duration::from_millis(600))).await;
        }
    )*};
}

keeps_what_every_queue_keeps! {
    every_message_comes_and_once_if_it_is_acknowledged;
    a_released_message_comes_again_after_its_time_and_counts;
    a_message_is_taken_over_when_its_hold_ends_but_not_while_it_is_extended;
    a_delayed_message_comes_when_it_is_due;
    a_message_that_is_too_large_is_rejected_with_the_reason;
}

#[tokio::test]
async fn messages_come_in_order_and_take_no_memory_once_done() {
    let redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, 30 * SECOND);
    publish(&queue, &["a", "b", "c"]).await;
    let got = queue.next(10, SECOND).await.unwrap();
    let bodies: Vec<&[u8]> = got.iter().map(|one| one.body.as_slice()).collect();
    assert_eq!(bodies, [b"a", b"b", b"c"]);
    queue.ack(&queue_suite::receipts(&got)).await.unwrap();
    let mut conn = redis.link().await.conn().await.unwrap();
    let left: u64 = redis::cmd("XLEN")
        .arg(keys::QUEUE_ORDERS)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn extending_counts_no_delivery() {
    let redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, Duration::from_millis(300));
    publish(&queue, &["a"]).await;
    let mut held = queue_suite::receipts(&queue.next(1, SECOND).await.unwrap());
    for _ in 0..3 {
        queue.extend(&mut held).await.unwrap();
    }
    assert_eq!(queue_suite::one(&queue).await.attempt, 2);
}

#[tokio::test]
async fn a_delayed_message_keeps_every_byte() {
    let redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, SECOND);
    let body = b"0|a|b\n\x00|\xff\r\n".to_vec();
    let sent = Message::new(body.clone(), "key|with|bars").after(Duration::from_millis(1));
    queue_suite::publish(&queue, &[sent]).await;
    let got = queue_suite::one(&queue).await;
    assert_eq!(got.body, body);
    queue.requeue(&[got.receipt], Duration::ZERO).await.unwrap();
    assert_eq!(queue_suite::one(&queue).await.body, body);
}

#[tokio::test]
async fn publishing_reports_whether_redis_may_have_the_message() {
    let mut redis = TestRedis::start().await;
    let queue = queue(&redis.link().await, SECOND);
    let batch = [queue_suite::message("a")];
    assert_eq!(queue.publish(&batch).await, [Published::Stored]);
    redis.freeze();
    let frozen = queue.publish(&batch).await;
    assert!(matches!(frozen[0], Published::Unknown(_)), "{frozen:?}");
    redis.thaw();
    redis.kill();
    eventually("nothing is sent any more", || async {
        matches!(queue.publish(&batch).await[0], Published::NotStored(_)).then_some(())
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

fn letters(link: &RedisLink) -> DeadLetters {
    DeadLetters::new(link.clone(), Segments::on(link.clone()))
}

async fn dead_letters(link: &RedisLink) -> Vec<(String, String)> {
    let letters = letters(link).list(None, 100).await.unwrap();
    let named = |kept: KeptLetter| (kept.letter.source, kept.letter.reason);
    letters.into_iter().map(named).collect()
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
    // What the database refuses is tried again for a while.
    let letters = eventually("all are there", || async {
        let letters = dead_letters(&shop.link).await;
        (letters.len() == 4).then_some(letters)
    })
    .await;
    for (source, named) in [
        (keys::QUEUE_ORDERS, "does not parse"),
        (keys::QUEUE_ORDERS, "version 99"),
        (keys::QUEUE_ORDERS, "check"),
        (outbox.as_str(), "greeting"),
    ] {
        let found = letters
            .iter()
            .any(|(from, why)| from == source && why.to_lowercase().contains(named));
        assert!(found, "{named}: {letters:?}");
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_dead_letter_keeps_the_message_as_it_was_until_it_is_sent_again() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let (queues, letters) = (Queues::streams(&link), letters(&link));
    let letter = DeadLetter {
        body: b"\xff\x00".to_vec(),
        reason: "because".to_owned(),
        source: keys::QUEUE_ORDERS.to_owned(),
        attempts: 3,
    };
    for _ in 0..3 {
        letters.bury(letter.clone()).await.unwrap();
    }
    let kept = letters.list(None, 2).await.unwrap();
    let ids: Vec<&str> = kept.iter().map(|kept| kept.id.as_str()).collect();
    assert_eq!(kept[1].letter, letter);
    let rest = letters.list(Some(ids[1]), 10).await.unwrap();
    assert_eq!(rest.len(), 1, "the next page begins behind the last one");

    assert_eq!(
        letters.redrive(ids[0], &queues).await.unwrap(),
        Redriven::Sent
    );
    assert_eq!(
        letters.redrive(ids[0], &queues).await.unwrap(),
        Redriven::Gone
    );
    assert_eq!(queue_suite::one(&queues.orders).await.body, letter.body);
    assert_eq!(letters.redrive_all(&queues).await.unwrap(), (2, vec![]));
    assert_eq!(letters.list(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_event_is_sent_back_to_its_outbox_and_stays_when_that_is_broken() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let (queues, letters) = (Queues::streams(&link), letters(&link));
    let (outbox, broken) = (keys::outbox(&item(), 1), keys::outbox(&item(), 2));
    let letter = |source: &str| DeadLetter {
        body: br#"{"kind":"refund","round":"1"}"#.to_vec(),
        reason: "because".to_owned(),
        source: source.to_owned(),
        attempts: 1,
    };
    letters.bury(letter(&outbox)).await.unwrap();
    letters.bury(letter(&broken)).await.unwrap();
    let mut conn = link.conn().await.unwrap();
    let mut pipe = redis::pipe();
    pipe.set(&broken, "in the way").ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    let (sent, stay) = letters.redrive_all(&queues).await.unwrap();
    assert_eq!((sent, stay.len()), (1, 1), "{stay:?}");
    let mut range = redis::cmd("XRANGE");
    range.arg(&outbox).arg("-").arg("+");
    let events: StreamRangeReply = range.query_async(&mut conn).await.unwrap();
    assert_eq!(events.ids[0].get::<String>("kind").unwrap(), "refund");
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
        error.contains("oracle://******@host/******") && error.contains("sqlite:///"),
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
    eventually("the link is back", || async { link.conn().await.ok() }).await;
}

#[tokio::test]
async fn a_command_waits_for_a_redis_that_is_slow_to_answer() {
    let redis = TestRedis::start().await;
    redis.freeze();
    let stall = async {
        // Longer than a role waits.
        tokio::time::sleep(SECOND).await;
        redis.thaw();
    };
    let url = redis.url();
    let (connected, ()) = tokio::join!(RedisLink::connect(&url), stall);
    connected.unwrap();
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
