//! The orders role: retries, dead letters, backlogs, unpaid orders.

use std::time::{Duration, Instant};

use crate::common::shop::Shop;
use crate::common::{eventually, item, now_ms, stock};
use redis::AsyncCommands as _;
use redis::streams::StreamInfoStreamReply;
use seckill::orders;
use seckill::queue::dead_letters::KeptLetter;
use seckill::queue::{DeadLetters, Message, Queue as _, Queues, StreamsQueue};
use seckill::redis::segments::Segments;
use seckill::stock::following;
use seckill_core::keys;
use seckill_core::orders::message::OrderMessage;

const SECOND: Duration = Duration::from_secs(1);

fn letters(shop: &Shop) -> DeadLetters {
    DeadLetters::new(shop.link.clone(), Segments::on(shop.link.clone()))
}

async fn kept(shop: &Shop) -> Vec<KeptLetter> {
    letters(shop).list(None, 100).await.unwrap()
}

fn poison(user: &str) -> OrderMessage {
    OrderMessage {
        v: 1,
        request: "poison".into(),
        round: "1".into(),
        product: "153".into(),
        segment: 1,
        user: user.into(),
        // The database takes no order of nothing.
        quantity: 0,
        price_cents: 99_900,
        permit: String::new(),
        at_ms: now_ms(),
        order: None,
        traceparent: None,
        relayed_us: None,
    }
}

#[tokio::test]
async fn what_the_database_refuses_is_tried_again_ever_later_and_then_a_dead_letter() {
    let mut shop = Shop::open(10).await;
    let queues = Queues::streams(&shop.link);
    let message = Message::new(poison("zhao").to_json(), "poison");
    queues.orders.publish(&[message]).await;
    let options = orders::Options {
        attempts: 3,
        ..Default::default()
    };
    let started = Instant::now();
    shop.relay();
    shop.archive();
    shop.orders_from(queues, options);
    // The queue moves on meanwhile.
    assert_eq!(shop.click("li", "r").await.0.as_u16(), 202);
    shop.until_ordered("li").await;
    let letter = eventually("it is a dead letter", || async { kept(&shop).await.pop() }).await;
    assert_eq!(letter.letter.attempts, 3);
    let reason = letter.letter.reason.to_lowercase();
    assert!(reason.contains("check"), "{letter:?}");
    // One second, then two.
    assert!(started.elapsed() >= 3 * SECOND, "{:?}", started.elapsed());
    shop.shut().await;
}

#[tokio::test]
async fn a_dead_letter_is_placed_once_its_fault_is_mended_and_it_is_sent_again() {
    let mut shop = Shop::open(10).await;
    shop.relay();
    shop.archive();
    assert_eq!(shop.click("li", "r").await.0.as_u16(), 202);
    // A message that an older worker could not read, as after half an upgrade.
    let queues = Queues::streams(&shop.link);
    let got = eventually("the relay has published it", || async {
        queues.orders.next(1, SECOND).await.unwrap().pop()
    })
    .await;
    let newer = String::from_utf8(got.body.clone()).unwrap();
    let newer = newer.replace(r#""v":1"#, r#""v":7"#);
    queues.orders.ack(&[got.receipt]).await.unwrap();
    queues.orders.publish(&[Message::new(newer, "r")]).await;
    shop.orders(queues.orders.clone());
    let letter = eventually("it is a dead letter", || async { kept(&shop).await.pop() }).await;
    assert!(letter.letter.reason.contains("version 7"), "{letter:?}");
    assert_eq!(shop.result("li").await["status"], "succeeded");

    // The mending: the letter is replaced by one that can be read.
    let mut conn = shop.link.conn().await.unwrap();
    let mut delete = redis::cmd("DEL");
    delete.arg(keys::QUEUE_DEAD_LETTERS);
    delete.exec_async(&mut conn).await.unwrap();
    let mended = seckill::queue::DeadLetter {
        body: got.body,
        ..letter.letter
    };
    letters(&shop).bury(mended).await.unwrap();
    let every = Duration::from_millis(100);
    let redrive = orders::redrive::run(
        letters(&shop),
        shop.link.clone(),
        queues,
        every,
        shop.stop.clone(),
    );
    shop.roles.spawn(redrive);
    shop.until_ordered("li").await;
    shop.until_drained().await;
    assert_eq!(kept(&shop).await, []);
    shop.shut().await;
}

#[tokio::test]
async fn part_of_a_backlog_is_let_go_and_the_rest_is_placed() {
    let mut shop = Shop::open(100).await;
    for n in 0..60 {
        assert_eq!(shop.click(&format!("u{n}"), "r").await.0.as_u16(), 202);
    }
    shop.relay();
    shop.archive();
    let backlog_after = Duration::from_millis(200);
    eventually("all are published and have waited too long", || async {
        let mut conn = shop.link.conn().await.ok()?;
        let queue: StreamInfoStreamReply = conn.xinfo_stream(keys::QUEUE_ORDERS).await.ok()?;
        let (youngest_ms, _) = queue.last_generated_id.split_once('-')?;
        let waited = Duration::from_millis(now_ms().checked_sub(youngest_ms.parse().ok()?)?);
        (queue.length == 60 && waited > backlog_after).then_some(())
    })
    .await;
    let options = orders::Options {
        per_second: 10,
        backlog_after,
        release_per_second: 1000,
        ..Default::default()
    };
    shop.orders_from(Queues::streams(&shop.link), options);
    let sweep = following::run(
        shop.store.clone(),
        Segments::on(shop.link.clone()),
        shop.stop.clone(),
    );
    shop.roles.spawn(sweep);
    shop.until_drained().await;
    let placed = shop.store.live_orders(&item()).await.unwrap();
    assert!((10..40).contains(&placed), "{placed} were placed");
    let locked = i64::try_from(placed).unwrap();
    eventually("stock follows", || async {
        (stock(&shop.link).await == (100 - locked, locked, 0)).then_some(())
    })
    .await;
    let mut let_go = Vec::new();
    for n in 0..60 {
        let user = format!("u{n}");
        let result = shop.result(&user).await;
        if result["status"] == "failed" {
            assert_eq!(result["reason"], "backlog");
            let_go.push(user);
        } else {
            assert_eq!(result["status"], "ordered", "{user}");
        }
    }
    assert_eq!(let_go.len() as u64 + placed, 60, "nobody is forgotten");
    // They may buy again.
    assert_eq!(shop.click(&let_go[0], "again").await.0.as_u16(), 202);
    let mut conn = shop.link.conn().await.unwrap();
    let mut get = redis::cmd("GET");
    let age: Option<u64> = get
        .arg(keys::QUEUE_AGE)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert!(age.is_some(), "the age is there for the status");
    shop.until_ordered(&let_go[0]).await;
    shop.shut().await;
}

#[tokio::test]
async fn an_order_that_is_not_paid_in_time_is_cancelled_by_its_delayed_message() {
    let mut shop = Shop::open(10).await;
    let queues = Queues::streams(&shop.link);
    let options = orders::Options {
        pay_within: SECOND,
        ..Default::default()
    };
    shop.relay();
    shop.archive();
    shop.orders_from(queues.clone(), options);
    let segments = Segments::on(shop.link.clone());
    let cancels = orders::cancels::run(
        queues.cancels.clone(),
        letters(&shop),
        shop.store.clone(),
        segments,
        shop.stop.clone(),
    );
    shop.roles.spawn(cancels);
    // One that nobody can read is put aside.
    queues
        .cancels
        .publish(&[Message::new("nonsense", "")])
        .await;
    assert_eq!(shop.click("li", "r").await.0.as_u16(), 202);
    shop.until_ordered("li").await;
    eventually("it is cancelled", || async {
        (shop.result("li").await["status"] == "cancelled").then_some(())
    })
    .await;
    assert_eq!(stock(&shop.link).await, (10, 0, 0));
    let letter = eventually("the other is a dead letter", || async {
        kept(&shop).await.pop()
    })
    .await;
    assert_eq!(letter.letter.source, keys::QUEUE_CANCELS);
    shop.shut().await;
}

#[tokio::test]
async fn a_worker_whose_redis_comes_back_writes_the_records_then() {
    let mut shop = Shop::open(10).await;
    shop.relay();
    shop.archive();
    assert_eq!(shop.click("li", "r").await.0.as_u16(), 202);
    // Something in the record's place keeps the worker from writing it.
    let mut conn = shop.link.conn().await.unwrap();
    let buyers = keys::buyers(&item(), 1);
    let mut pipe = redis::pipe();
    pipe.rename(&buyers, "aside").ignore();
    pipe.set(&buyers, "in the way").ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    shop.orders(StreamsQueue::orders(shop.link.clone()));
    shop.until_orders(1).await;
    let mut mend = redis::pipe();
    mend.del(&buyers).ignore();
    mend.rename("aside", &buyers).ignore();
    mend.exec_async(&mut conn).await.unwrap();
    shop.until_ordered("li").await;
    shop.until_drained().await;
    assert_eq!(kept(&shop).await, []);
    shop.shut().await;
}
