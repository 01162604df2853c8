//! `orders_per_second` is the site's: however many workers there are, and while some come
//! and go, they place no more than that together.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use seckill::orders;
use seckill::queue::{Message, Queue as _, Queues};
use seckill_core::orders::message::OrderMessage;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::common::database;
use crate::common::now_ms;
use crate::common::shop::Shop;

const RATE: u32 = 50;
const ORDERS: u64 = 300;
/// Far more than they take, for a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

fn message(n: u64) -> OrderMessage {
    OrderMessage {
        v: 1,
        request: format!("r{n}"),
        round: "1".into(),
        product: "153".into(),
        segment: 1,
        user: format!("u{n}"),
        quantity: 1,
        price_cents: 99_900,
        permit: String::new(),
        at_ms: now_ms(),
        // Each worker gives its own numbers, which say whose they are.
        order: None,
        traceparent: None,
        relayed_us: None,
    }
}

/// Starts a worker as the orders role does, with a connection of its own.
async fn worker(shop: &Shop, workers: &mut JoinSet<()>) -> CancellationToken {
    let stop = CancellationToken::new();
    let options = orders::Options {
        per_second: RATE,
        // So that one that stops has little in hand.
        in_flight: 5,
        ..Default::default()
    };
    let link = shop.redis.link().await;
    workers.spawn(orders::run(
        Queues::streams(&link),
        shop.store.clone(),
        link,
        shop.segments.clone(),
        options,
        stop.clone(),
    ));
    stop
}

async fn placed(shop: &Shop) -> u64 {
    let n = database::number(&shop.database_url, "SELECT COUNT(*) FROM orders").await;
    u64::try_from(n).unwrap()
}

/// Waits until so many are placed; at every look no more than the rate allows since
/// `began`, with the one second's worth that is saved up.
async fn until_placed(shop: &Shop, wanted: u64, began: Instant) {
    loop {
        let n = placed(shop).await;
        let seconds = began.elapsed().as_secs_f64();
        let most = f64::from(RATE) * (seconds + 1.0);
        assert!(n as f64 <= most, "{n} placed in {seconds:.2} s");
        if n >= wanted {
            return;
        }
        assert!(began.elapsed() < LONGEST, "only {n} in {LONGEST:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_come_and_go_place_the_sites_rate_together() {
    let shop = Shop::open(1_000).await;
    let messages: Vec<Message> = (0..ORDERS)
        .map(|n| Message::new(message(n).to_json(), &format!("r{n}")))
        .collect();
    Queues::streams(&shop.link).orders.publish(&messages).await;
    let mut workers = JoinSet::new();
    let began = Instant::now();
    let first = worker(&shop, &mut workers).await;
    let second = worker(&shop, &mut workers).await;
    until_placed(&shop, ORDERS / 3, began).await;
    // One leaves, and two come.
    first.cancel();
    let others = [
        worker(&shop, &mut workers).await,
        worker(&shop, &mut workers).await,
    ];
    until_placed(&shop, ORDERS, began).await;
    let all = "SELECT CAST(id AS CHAR(20)) FROM orders";
    let numbers = database::texts(&shop.database_url, all).await;
    // The worker's own number is between time and sequence.
    let worker_of = |id: &String| id.trim().parse::<u64>().unwrap() >> 12 & 0x3ff;
    let whose: BTreeSet<u64> = numbers.iter().map(worker_of).collect();
    assert!(whose.len() >= 3, "all had a part: {whose:?}");
    for stop in others.iter().chain([&second]) {
        stop.cancel();
    }
    workers.join_all().await;
    shop.shut().await;
}
