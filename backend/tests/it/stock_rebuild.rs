//! A Redis is lost in the middle of a sale, and its stock is put back from the
//! database: nothing is oversold, selling goes on to the last item, and the ledger
//! holds.

mod masters;
mod told;

use crate::common;
use crate::common::database;
use crate::common::shop::{self, Shop};
use crate::common::{entry, eventually, item, stock};
use axum::http::StatusCode;
use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::inspect::rebuild::{Options, RebuildError, Rebuilder, Report};
use seckill_core::ids::Item;
use seckill_core::keys;

/// A shop whose round of so many items the database knows too.
pub(crate) async fn open(amount: u64) -> Shop {
    known(Shop::open(amount).await, &[amount]).await
}

/// The same, with this much on each of its masters.
pub(crate) async fn open_on_masters(amounts: &[u64]) -> Shop {
    known(Shop::open_on_masters(amounts).await, amounts).await
}

/// The shop, with its round in the database, this much in each segment.
async fn known(shop: Shop, segments: &[u64]) -> Shop {
    store_round(&shop, "1", segments).await;
    shop
}

/// Puts a round on record, as one that is on sale, with this much in each segment.
pub(crate) async fn store_round(shop: &Shop, id: &str, segments: &[u64]) {
    let amount: u64 = segments.iter().sum();
    let segments: Vec<String> = segments.iter().map(u64::to_string).collect();
    let segments = segments.join(",");
    let window = entry(amount, 1).window;
    let (opens, ends) = (window.opens_ms, window.ends_ms);
    let statements = format!(
        "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms, approved_ms, published_ms)
             VALUES ('{id}', 'Noon', {opens}, {ends}, 'approved', 1, 1, 1);
         INSERT INTO round_products (round, product, position, title, amount, price_cents,
             list_price_cents, per_buyer, segments)
             VALUES ('{id}', '153', 1, 'Phone', {amount}, 99900, 99900, 2, '');
         INSERT INTO frozen_stock (round, product, amount, frozen_ms, segments)
             VALUES ('{id}', '153', {amount}, 1, '{segments}');"
    );
    database::execute(&shop.database_url, statements).await;
}

pub(crate) async fn rebuild(shop: &Shop, options: Options) -> Result<Report, RebuildError> {
    let rebuilder = Rebuilder {
        store: &shop.store,
        redis: &shop.link,
        segments: &shop.segments,
        zone: &TimeZone::UTC,
        queue_is_visible: true,
    };
    let done = rebuilder.rebuild(&options).await?;
    match done.failed.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(done.report),
    }
}

/// Sells to a, b, …; a pays, b cancels.
async fn sell_some(shop: &Shop, users: &[&str]) {
    for (n, user) in users.iter().enumerate() {
        let permit = format!("e.l.{}", n + 1);
        let click = shop::click(user, "r", Some(&permit));
        assert_eq!(shop.send(click).await.0, StatusCode::ACCEPTED);
        let order = shop.until_ordered(user).await;
        let step = match *user {
            "a" => "pay",
            "b" => "cancel",
            _ => continue,
        };
        let path = format!("/api/orders/{order}/{step}");
        assert_eq!(shop.post(&path, user).await.0, StatusCode::OK);
    }
}

/// Buys until nothing is left; returns how many items that were.
async fn sell_out(shop: &Shop) -> i64 {
    let mut sold = 0;
    for n in 0..1000 {
        let (status, answer) = shop.click(&format!("late{n}"), "r").await;
        match status {
            StatusCode::ACCEPTED => sold += 1,
            _ => {
                assert_eq!(answer["code"], "sold_out", "{answer}");
                return sold;
            }
        }
    }
    panic!("it never ends");
}

async fn until_sells_again(shop: &Shop) {
    eventually("the product is known", || async {
        let (_, answer) = shop.click("probe", "r").await;
        (answer["status"] == "processing").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_put_back_and_sells_exactly_what_is_left() {
    let mut shop = open(10).await;
    shop.run_all();
    shop.settle();
    sell_some(&shop, &["a", "b", "c", "d"]).await;
    shop.until_drained().await;
    let mut conn = shop.link.conn().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();

    let dry = Options {
        dry_run: true,
        ..Options::default()
    };
    let would = rebuild(&shop, dry.clone()).await.unwrap();
    assert_eq!(would.products[0].segments[0].sale, 7, "{would:?}");
    let exists: u64 = redis::cmd("EXISTS")
        .arg(keys::stock(&item(), 1))
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(exists, 0, "a dry run wrote something");

    let done = rebuild(&shop, Options::default()).await.unwrap();
    assert_eq!(done, would);
    assert_eq!(stock(&shop.link).await, (7, 2, 1));
    let permits: i64 = redis::cmd("GET")
        .arg(keys::permits(&item()))
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(permits, 3);
    assert_eq!(rebuild(&shop, dry).await.unwrap(), Report::default());

    // A buyer of before is known, and one whose order was cancelled may buy again.
    until_sells_again(&shop).await;
    assert_eq!(shop.click("c", "again").await.1["code"], "duplicate");
    assert_eq!(shop.click("c", "r").await.1["status"], "processing");
    assert!(shop.buys("b", "again").await);
    assert_eq!(sell_out(&shop).await, 5);
    shop.until_orders(10).await;
    shop.until_drained().await;
    assert_eq!(stock(&shop.link).await, (0, 9, 1));
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_messages_that_only_one_side_knows_come_together_again() {
    let mut shop = open(10).await;
    shop.archive();
    // The purchase is archived, and its order message is lost: there is no relay.
    assert!(shop.buys("a", "r").await);
    eventually("it is archived", || async {
        (shop.store.ledger(&item(), 1).await.unwrap().len() == 2).then_some(())
    })
    .await;
    let mut conn = shop.link.conn().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    // Another's order is placed, and its purchase never archived.
    let now = common::now_ms();
    let statement = format!(
        "INSERT INTO orders (id, request, round, product, segment, \"user\", quantity, price_cents,
             permit, state, stock_due, pay_by_ms, locked_ms, created_ms, updated_ms)
             VALUES (77, 'r', '1', '153', 1, 'z', 2, 99900, 'e.l.9', 'paid', 'lost', {now}, 5, 5, 5)"
    );
    database::execute(&shop.database_url, statement).await;

    let done = rebuild(&shop, Options::default()).await.unwrap();
    let segment = &done.products[0].segments[0];
    assert_eq!((segment.adopted, segment.redriven), (1, 1), "{done:?}");
    assert_eq!(stock(&shop.link).await, (7, 1, 2));
    shop.relay();
    let queue = seckill::queue::StreamsQueue::orders(shop.link.clone());
    shop.orders(queue);
    shop.until_orders(2).await;
    shop.until_drained().await;
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_from_an_older_snapshot_that_sold_on_is_put_right() {
    let mut shop = open(10).await;
    shop.run_all();
    shop.settle();
    sell_some(&shop, &["a", "c"]).await;
    shop.until_drained().await;
    shop.redis.snapshot().await;
    sell_some(&shop, &["d", "e", "f"]).await;
    shop.until_drained().await;
    shop.redis.go_back().await;
    // It believes that 8 are left, and sells one of them before anybody notices.
    assert_eq!(stock(&shop.link).await.0, 8);
    eventually("it sells again", || async {
        (shop.click("g", "r").await.0 == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    shop.until_orders(6).await;
    shop.until_drained().await;

    let done = rebuild(&shop, Options::default()).await.unwrap();
    assert_eq!(done.products[0].oversold, 0);
    assert_eq!(stock(&shop.link).await, (4, 5, 1));
    assert_eq!(shop.click("d", "again").await.1["code"], "duplicate");
    assert_eq!(sell_out(&shop).await, 4);
    shop.until_orders(10).await;
    shop.until_drained().await;
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

/// Why it can happen: events have the time of the master that is lost, and the clock of its
/// replica is behind. Simulated by events from the future.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_counts_though_the_clock_of_the_new_master_is_behind() {
    let mut shop = open(10).await;
    shop.archive();
    let archived = async |events: usize| {
        eventually("it is archived", || async {
            (shop.store.ledger(&item(), 1).await.unwrap().len() == events).then_some(())
        })
        .await;
    };
    archived(1).await;
    shop.redis.snapshot().await;
    let mut conn = shop.link.conn().await.unwrap();
    let mut clock = redis::cmd("XSETID");
    let later = common::now_ms() + 3_600_000;
    clock
        .arg(keys::outbox(&item(), 1))
        .arg(format!("{later}-0"));
    clock.exec_async(&mut conn).await.unwrap();
    for user in ["a", "b", "c"] {
        assert!(shop.buys(user, "r").await, "{user}");
    }
    archived(4).await;
    shop.stop_roles().await;
    shop.redis.go_back().await;
    let mut conn = eventually("Redis answers", || async { shop.link.conn().await.ok() }).await;
    let halt = seckill::redis::scripts::stock::halt(&item(), 1, "a test");
    assert!(halt.run(&mut conn).await.unwrap());
    let options = Options {
        while_running: true,
        only_exact: true,
        ..Options::default()
    };
    rebuild(&shop, options).await.unwrap();
    assert_eq!(stock(&shop.link).await, (7, 3, 0));
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_whose_approval_redis_forgot_is_put_back_without_a_person() {
    let mut shop = open(10).await;
    shop.run_all();
    shop.settle();
    sell_some(&shop, &["a", "b", "c"]).await;
    shop.until_drained().await;
    // What it has is older than the approval: a catalogue without the round.
    let mut conn = shop.link.conn().await.unwrap();
    let of_round: Vec<String> = conn.keys("*{1*").await.unwrap();
    let () = conn.del(of_round).await.unwrap();
    let () = conn
        .hdel(keys::CATALOGUE, item().to_string())
        .await
        .unwrap();
    crate::fence::heals(&mut shop);
    until_sells_again(&shop).await;
    assert_eq!(sell_out(&shop).await, 7);
    shop.until_orders(10).await;
    shop.until_drained().await;
    assert_eq!(stock(&shop.link).await, (0, 9, 1));
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

#[tokio::test]
async fn a_round_that_cannot_be_healed_keeps_no_other_halted() {
    let mut shop = open(10).await;
    store_round(&shop, "0", &[10]).await;
    let damaged = Item::new("0", "153").unwrap();
    let mut conn = shop.link.conn().await.unwrap();
    let listed = entry(10, 1).to_json();
    let mut write = redis::pipe();
    write
        .hset(keys::CATALOGUE, damaged.to_string(), listed)
        .hset(keys::stock(&damaged, 1), keys::STOCK_HALTED, "behind|1")
        .set(keys::buyers(&damaged, 1), "something else")
        .hset(keys::stock(&item(), 1), keys::STOCK_HALTED, "behind|1");
    write.exec_async(&mut conn).await.unwrap();
    crate::fence::heals(&mut shop);
    eventually("the other sells again", || async {
        let key = keys::stock(&item(), 1);
        let halted: Option<String> = conn.clone().hget(key, keys::STOCK_HALTED).await.unwrap();
        halted.is_none().then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test]
async fn a_sale_that_runs_is_left_alone_unless_the_options_allow_it() {
    let shop = open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    let alive = common::now_ms() + 60_000;
    let mut add = redis::cmd("ZADD");
    add.arg(keys::EDGES).arg(alive).arg("edge1");
    add.exec_async(&mut conn).await.unwrap();
    let refused = rebuild(&shop, Options::default()).await.unwrap_err();
    assert!(refused.to_string().contains("living edges: 1"), "{refused}");
    let options = Options {
        while_running: true,
        ..Options::default()
    };
    rebuild(&shop, options).await.unwrap();
    assert_eq!(stock(&shop.link).await, (10, 0, 0));
    let unknown = Options {
        round: Some("9".into()),
        while_running: true,
        ..Options::default()
    };
    let refused = rebuild(&shop, unknown).await.unwrap_err();
    assert!(refused.to_string().contains("\"9\""), "{refused}");
    shop.shut().await;
}
