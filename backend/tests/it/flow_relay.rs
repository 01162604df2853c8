//! The relay, with itself dying and its surroundings broken.

use crate::common;
use std::time::Duration;

use crate::common::shop::Shop;
use crate::common::{eventually, item};
use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::outbox::relay;
use seckill::queue::StreamsQueue;
use seckill::redis::consumer_group::{self, ConsumerGroup, ReadReply};
use seckill::redis::segments::Segments;
use seckill_core::ids::Item;
use seckill_core::keys;

#[tokio::test]
async fn relays_killed_again_and_again_lose_no_order_and_double_none() {
    let mut shop = Shop::open(60).await;
    for n in 0..60 {
        assert_eq!(
            shop.click(&format!("u{n}"), "r").await.0,
            StatusCode::ACCEPTED
        );
    }
    for pause in 0..12 {
        let queue = StreamsQueue::orders(shop.link.clone());
        let relay = tokio::spawn(relay::run(
            shop.link.clone(),
            Segments::on(shop.link.clone()),
            queue,
            shop.stop.clone(),
        ));
        // Each is aborted at another point of its work.
        tokio::time::sleep(Duration::from_micros(pause * 700)).await;
        relay.abort();
    }
    shop.run_all();
    shop.relay();
    shop.until_orders(60).await;
    shop.until_drained().await;
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 60);
    shop.shut().await;
}

#[tokio::test]
async fn one_broken_outbox_does_not_hold_up_the_others() {
    let mut shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    let other = Item::new("1", "154").unwrap();
    let entry = common::entry(10, 1).to_json();
    let mut pipe = redis::pipe();
    pipe.set(keys::outbox(&other, 1), "not a stream").ignore();
    pipe.hset(keys::CATALOGUE, other.to_string(), entry)
        .ignore();
    pipe.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
        .ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    shop.run_all();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    shop.until_ordered("li").await;
    shop.shut().await;
}

#[tokio::test]
async fn while_the_queue_cannot_store_the_outbox_keeps_what_was_sold() {
    let mut shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    redis::cmd("SET")
        .arg(keys::QUEUE_ORDERS)
        .arg("in the way")
        .exec_async(&mut conn)
        .await
        .unwrap();
    shop.relay();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    let pending = || async {
        let mut conn = shop.link.conn().await.unwrap();
        let mut ask = redis::cmd("XPENDING");
        ask.arg(keys::outbox(&item(), 1)).arg("relay");
        let (count, ..): (u64, Option<String>, Option<String>, redis::Value) =
            ask.query_async(&mut conn).await.ok()?;
        (count == 1).then_some(())
    };
    eventually("the relay has tried", pending).await;
    assert_eq!(shop.result("li").await["status"], "succeeded");
    redis::cmd("DEL")
        .arg(keys::QUEUE_ORDERS)
        .exec_async(&mut conn)
        .await
        .unwrap();
    shop.orders(StreamsQueue::orders(shop.link.clone()));
    shop.until_ordered("li").await;
    shop.until_drained().await;
    shop.shut().await;
}

#[tokio::test]
async fn a_product_approved_while_the_relay_runs_is_relayed() {
    let mut shop = Shop::open(10).await;
    shop.run_all();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    shop.until_ordered("li").await;
    let mut conn = shop.link.conn().await.unwrap();
    let other = Item::new("2", "7").unwrap();
    let mut pipe = redis::pipe();
    pipe.hset(
        keys::CATALOGUE,
        other.to_string(),
        common::entry(10, 1).to_json(),
    )
    .ignore();
    pipe.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
        .ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    let mut add = redis::cmd("XADD");
    add.arg(keys::outbox(&other, 1))
        .arg("*")
        .arg(&["kind", "purchase", "v", "1"]);
    add.arg(&[
        "request", "r", "round", "2", "product", "7", "segment", "1", "user", "li",
    ]);
    add.arg(&[
        "quantity",
        "1",
        "price_cents",
        "5",
        "permit",
        "",
        "at_ms",
        "1",
    ]);
    add.exec_async(&mut conn).await.unwrap();
    eventually("its order is placed", || async {
        (shop.store.live_orders(&other).await.unwrap() == 1).then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test]
async fn a_read_that_waits_on_an_outbox_that_is_deleted_finds_it_gone() {
    let redis = common::TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    let (group, stream) = (
        ConsumerGroup {
            name: "relay",
            consumer: "relay",
        },
        "retired",
    );
    group.create(stream).exec_async(&mut conn).await.unwrap();
    let mut waiting = link.dedicated().await.unwrap();
    let read = tokio::spawn(async move {
        let read = group.read(&[stream], 1, Some(common::DEADLINE));
        read.query_async::<ReadReply>(&mut waiting).await
    });
    eventually("it waits", || async {
        let mut info = redis::cmd("INFO");
        let clients = info.arg("clients").query_async(&mut conn.clone()).await;
        let clients: String = clients.unwrap();
        clients.contains("blocked_clients:1").then_some(())
    })
    .await;
    let () = conn.unlink(stream).await.unwrap();
    let error = read.await.unwrap().unwrap_err();
    assert!(consumer_group::is_gone(&error), "{error}");
}
