//! From a click over HTTP to an order in the database, on real parts.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::shop::{Shop, click};
use crate::common::{eventually, item, record, stock};
use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::edges::leases as permits;
use seckill::orders;
use seckill::queue::{Queue as _, Queues, StreamsQueue};
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill_core::keys;
use seckill_core::orders::purchase::State;
use seckill_core::shared::winners;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

#[tokio::test]
async fn a_click_becomes_an_order_that_its_buyer_sees() {
    let mut shop = Shop::open(10).await;
    shop.run_all();
    assert_eq!(shop.result("li").await["status"], "none");
    let (status, answer) = shop.click("li", "r-1").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(
        (&answer["status"], &answer["request"]),
        (&"processing".into(), &"r-1".into())
    );

    let order = shop.until_ordered("li").await;
    let (status, listed) = shop.get("/api/orders", "li").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(listed["orders"][0]["order"], order.as_str());
    assert_eq!(listed["orders"][0]["total_cents"], 99_900);
    let path = format!("/api/orders/{order}");
    assert_eq!(shop.get(&path, "li").await.1["status"], "created");
    assert_eq!(shop.get(&path, "wang").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        shop.get("/api/orders", "wang").await.1["orders"],
        serde_json::json!([])
    );
    assert_eq!(stock(&shop.link).await, (9, 1, 0));
    shop.until_drained().await;
    shop.shut().await;
}

#[tokio::test]
async fn fifty_clicks_of_one_buyer_at_once_become_one_order() {
    let mut shop = Shop::open(10).await;
    shop.run_all();
    let mut clicks = JoinSet::new();
    for n in 0..50 {
        let app = shop.app.clone();
        let request = click("li", &format!("r-{n}"), None);
        clicks.spawn(async move { app.oneshot(request).await.unwrap().status() });
    }
    let answers = clicks.join_all().await;
    assert_eq!(
        answers
            .iter()
            .filter(|status| **status == StatusCode::ACCEPTED)
            .count(),
        1
    );
    assert_eq!(
        answers
            .iter()
            .filter(|status| **status == StatusCode::CONFLICT)
            .count(),
        49
    );
    shop.until_ordered("li").await;
    shop.until_drained().await;
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 1);
    shop.shut().await;
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer() {
    let mut shop = Shop::open(10).await;
    shop.run_all();
    let first = shop.click("li", "r-1").await;
    assert_eq!(shop.click("li", "r-1").await, first);
    let order = shop.until_ordered("li").await;
    assert_eq!(
        shop.click("li", "r-1").await,
        first,
        "also when the order is there"
    );
    assert_eq!(shop.until_ordered("li").await, order);
    assert_eq!(shop.click("li", "r-2").await.1["code"], "duplicate");
    // Request ids are the clients' own: another buyer may send the same.
    assert_eq!(shop.click("wang", "r-1").await.0, StatusCode::ACCEPTED);
    assert_ne!(shop.until_ordered("wang").await, order);
    shop.shut().await;
}

#[tokio::test]
async fn five_hundred_buyers_of_a_hundred_items_get_a_hundred_orders() {
    let mut shop = Shop::open(100).await;
    shop.run_all();
    let mut clicks = JoinSet::new();
    for n in 0..500 {
        let app = shop.app.clone();
        let request = click(&format!("u{n}"), "r", None);
        clicks.spawn(async move { app.oneshot(request).await.unwrap().status() });
    }
    let answers = clicks.join_all().await;
    assert_eq!(
        answers
            .iter()
            .filter(|status| **status == StatusCode::ACCEPTED)
            .count(),
        100
    );
    assert_eq!(
        answers
            .iter()
            .filter(|status| **status == StatusCode::GONE)
            .count(),
        400
    );
    shop.until_orders(100).await;
    shop.until_drained().await;
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 100);
    assert_eq!(stock(&shop.link).await, (0, 100, 0));
    shop.shut().await;
}

#[tokio::test]
async fn what_a_dead_worker_held_is_placed_once_by_another() {
    let mut shop = Shop::open(10).await;
    shop.relay();
    let short = |link: &RedisLink| {
        let hold = Duration::from_millis(300);
        StreamsQueue::new(link.clone(), keys::QUEUE_ORDERS, hold)
    };
    for n in 0..5 {
        assert_eq!(
            shop.click(&format!("u{n}"), "r").await.0,
            StatusCode::ACCEPTED
        );
    }
    // A worker takes all of them and dies before it has done anything.
    let queue = short(&shop.link);
    let doomed = tokio::spawn(async move {
        let mut held = Vec::new();
        while held.len() < 5 {
            held.extend(queue.next(5, Duration::from_secs(1)).await.unwrap());
        }
        held.len()
    });
    assert_eq!(doomed.await.unwrap(), 5);
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 0);

    let queue = short(&shop.link);
    shop.orders(queue);
    shop.until_orders(5).await;
    shop.until_drained().await;
    let mut orders = BTreeSet::new();
    for n in 0..5 {
        orders.insert(shop.until_ordered(&format!("u{n}")).await);
    }
    assert_eq!(orders.len(), 5);
    shop.shut().await;
}

#[tokio::test]
async fn workers_killed_again_and_again_place_every_order_once() {
    let mut shop = Shop::open(60).await;
    let hold = Duration::from_millis(200);
    let queue = StreamsQueue::new(shop.link.clone(), keys::QUEUE_ORDERS, hold);
    for n in 0..60 {
        assert_eq!(
            shop.click(&format!("u{n}"), "r").await.0,
            StatusCode::ACCEPTED
        );
    }
    shop.relay();
    // Each is aborted at another point of its work.
    for pause in 0..15 {
        let options = orders::Options {
            in_flight: 7,
            ..Default::default()
        };
        let queues = Queues {
            orders: queue.clone(),
            cancels: StreamsQueue::cancels(shop.link.clone()),
        };
        let worker = shop.orders_from(queues, options);
        tokio::time::sleep(Duration::from_millis(pause * 3)).await;
        worker.abort();
    }
    shop.orders(queue);
    shop.until_orders(60).await;
    shop.until_drained().await;
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 60);
    shop.shut().await;
}

#[tokio::test]
async fn redis_killed_in_the_middle_loses_nothing_it_acknowledged() {
    let mut shop = Shop::open(100).await;
    shop.run_all();
    let mut accepted = BTreeSet::new();
    for n in 0..40 {
        let user = format!("u{n}");
        if shop.buys(&user, "r").await {
            accepted.insert(user);
        }
    }
    shop.redis.kill();
    let (status, refused) = shop.click_once("late", "r").await;
    // Away and known to be, or away since a moment ago: never a failure that is
    // not certain.
    match status {
        StatusCode::SERVICE_UNAVAILABLE => assert_eq!(refused["code"], "unavailable"),
        status => assert_eq!(status, StatusCode::ACCEPTED, "{refused}"),
    }
    eventually("it is known that Redis is away", || async {
        (shop.click_once("later", "r").await.1["code"] == "unavailable").then_some(())
    })
    .await;
    assert_eq!(shop.result("nobody").await["status"], "unknown");
    shop.redis.start_again().await;
    for n in 40..60 {
        let user = format!("u{n}");
        eventually("it sells again", || async {
            shop.buys(&user, "r").await.then_some(())
        })
        .await;
        accepted.insert(user);
    }
    for user in &accepted {
        shop.until_ordered(user).await;
    }
    shop.until_drained().await;
    let orders = shop.store.live_orders(&item()).await.unwrap();
    let (sale, locked, _) = stock(&shop.link).await;
    assert_eq!(
        (sale + locked, u64::try_from(locked).unwrap()),
        (100, orders)
    );
    shop.shut().await;
}

#[tokio::test]
async fn permits_of_requests_that_never_arrived_come_back() {
    let mut shop = Shop::open(10).await;
    shop.run_all();
    let mut conn = shop.link.conn().await.unwrap();
    // An edge takes ten, three requests arrive, one of them of a buyer who has
    // bought before; then the edge is gone.
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query_async(&mut conn).await.unwrap();
    let mut pipe = redis::pipe();
    pipe.incr(keys::permits(&item()), 10).ignore();
    pipe.hset(
        keys::leases(&item()),
        "e.l",
        format!("10:{}", seconds * 1000),
    )
    .ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    for (user, request, permit, status) in [
        ("li", "r1", "e.l.1", StatusCode::ACCEPTED),
        ("wang", "r1", "e.l.2", StatusCode::ACCEPTED),
        ("li", "r2", "e.l.3", StatusCode::CONFLICT),
    ] {
        assert_eq!(
            shop.send(click(user, request, Some(permit))).await.0,
            status
        );
    }
    let options = permits::Options {
        in_flight: Duration::from_secs(1),
        every: Duration::from_millis(50),
    };
    for _ in 0..2 {
        shop.roles.spawn(permits::run(
            shop.link.clone(),
            Segments::on(shop.link.clone()),
            options,
            shop.stop.clone(),
        ));
    }
    let granted = || async {
        let mut conn = shop.link.conn().await.unwrap();
        let mut pipe = redis::pipe();
        pipe.get(keys::permits(&item())).hlen(keys::leases(&item()));
        let now: (u64, u64) = pipe.query_async(&mut conn).await.unwrap();
        now
    };
    eventually("eight permits came back", || async {
        (granted().await == (2, 0)).then_some(())
    })
    .await;
    let list: Vec<u8> = shop
        .link
        .conn()
        .await
        .unwrap()
        .get(keys::winners(&item()))
        .await
        .unwrap();
    let mut listed: Vec<u64> = winners::of_bytes(&list).collect();
    let mut bought = ["li", "wang"].map(winners::fingerprint);
    listed.sort_unstable();
    listed.dedup();
    bought.sort_unstable();
    assert_eq!(
        listed, bought,
        "other edges know whom the dead one admitted"
    );
    let (status, late) = shop.send(click("zhao", "r1", Some("e.l.4"))).await;
    assert_eq!(
        (status, &late["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &"busy".into())
    );
    shop.until_drained().await;
    assert_eq!(
        granted().await,
        (2, 0),
        "the duplicate's permit was returned with its lease, and once"
    );
    assert_eq!(
        record(&shop.link, "li").await.unwrap().state,
        State::Ordered
    );
    shop.shut().await;
}
