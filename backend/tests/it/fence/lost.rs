//! What a segment has forgotten of a process's sales, though its last event does not say so.

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::orders;
use seckill::queue::{Queues, StreamsQueue};
use seckill::redis::RedisLink;
use seckill::redis::scripts::stock::Sold;
use seckill::redis::segments::{Segment, Segments};
use seckill::stock::fence::Fence;
use seckill::store::LazyStore;
use seckill_core::keys;
use seckill_core::stock::ledger::EntryId;

use super::{
    all_have_their_items, buys, forgetting, halted, heals, open, until_archived, until_it_sells,
    until_made_again,
};
use crate::common::shop::Shop;
use crate::common::{eventually, item, now_ms, scripts, stock};
use crate::journal::disk::request;
use crate::stock_rebuild;

/// Another process reaches an older Redis first, and knows nothing of what it lacks.
async fn another_sells(link: &RedisLink) {
    another_sells_to(link, "other").await;
}

async fn another_sells_to(link: &RedisLink, user: &str) {
    let mut conn = link.conn().await.unwrap();
    let sold = scripts::buy(&mut conn, &scripts::click(user, "r-other")).await;
    assert_eq!(sold.unwrap(), Sold::Accepted);
}

/// Ends the connections of everybody else.
async fn disconnect(link: &RedisLink) {
    let mut conn = link.conn().await.unwrap();
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
        .exec_async(&mut conn)
        .await
        .unwrap();
}

/// Until a segment is halted that has forgotten so many of this process's sales.
async fn until_halted(shop: &Shop, sales: usize) {
    eventually("it is halted, and its sales are kept", || async {
        let kept = shop.journals().forgotten.waiting();
        halted(shop).await.filter(|_| kept == sales)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_redis_forgot_is_made_again_though_another_role_has_sold_since() {
    let mut shop = open(10).await;
    shop.archive();
    buys(&shop, 0..2).await;
    until_archived(&shop, 3).await;
    shop.redis.snapshot().await;
    shop.stop_roles().await;
    buys(&shop, 2..6).await;
    shop.redis
        .change_snapshot(async |link| another_sells(&link).await)
        .await;
    shop.redis.go_back().await;
    until_halted(&shop, 4).await;
    shop.archive();
    shop.replays();
    heals(&mut shop);
    until_made_again(&shop).await;
    all_have_their_items(&shop, 0..6).await;
    until_it_sells(&shop).await;
    assert_eq!(stock(&shop.link).await, (3, 7, 0));
    shop.shut().await;
}

/// The archive's last event is no newer than that of the other role.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgot_what_is_archived_is_halted_though_another_role_has_sold_since() {
    let mut shop = open(10).await;
    shop.archive();
    shop.redis.snapshot().await;
    buys(&shop, 0..4).await;
    until_archived(&shop, 5).await;
    shop.stop_roles().await;
    shop.redis
        .change_snapshot(async |link| another_sells(&link).await)
        .await;
    shop.redis.go_back().await;
    until_halted(&shop, 4).await;
    shop.shut().await;
}

/// A rebuild gives purchases that it finds in the orders new events.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_under_another_event_is_not_forgotten() {
    let mut shop = open(10).await;
    shop.redis.snapshot().await;
    buys(&shop, 0..2).await;
    let buyers = keys::buyers(&item(), 1);
    let mut conn = shop.redis.link().await.conn().await.unwrap();
    let records: Vec<(String, String)> = conn.hgetall(&buyers).await.unwrap();
    assert_eq!(records.len(), 2);
    let rebuilt = async |link: RedisLink| {
        another_sells(&link).await;
        let mut conn = link.conn().await.unwrap();
        let _: () = conn.hset_multiple(&buyers, &records).await.unwrap();
    };
    shop.redis.change_snapshot(rebuilt).await;
    shop.redis.go_back().await;
    eventually("it sells", || async {
        shop.buys("late", "r").await.then_some(())
    })
    .await;
    assert_eq!(halted(&shop).await, None);
    assert_eq!(shop.journals().forgotten.waiting(), 0);
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgets_once_more_before_it_is_healed_is_halted_again() {
    let mut shop = forgetting(6).await;
    shop.redis.go_back_again().await;
    eventually("it is halted again", || async { halted(&shop).await }).await;
    eventually("what waits to be made again is noted again", || async {
        let mut conn = shop.redis.link().await.conn().await.unwrap();
        let noted: usize = conn.scard(keys::forgotten(&item(), 1)).await.unwrap();
        (noted == 4).then_some(())
    })
    .await;
    shop.shut().await;
}

/// A process that ended while it replayed loads the whole file again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_again_halts_nothing_though_its_journal_is_loaded_again() {
    let shop = open(10).await;
    assert!(shop.buys("li", "r-li").await);
    let journal = shop.journals().forgotten.clone();
    journal.append(request("li")).await.unwrap();
    disconnect(&shop.redis.link().await).await;
    eventually("it connects again, and knows the buyer", || async {
        let (status, answer) = shop.click_once("li", "r-li").await;
        assert_ne!(answer["code"], "halted");
        (status == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    assert_eq!(halted(&shop).await, None);
    let mut conn = shop.redis.link().await.conn().await.unwrap();
    let noted: usize = conn.scard(keys::forgotten(&item(), 1)).await.unwrap();
    assert_eq!(noted, 0);
    shop.shut().await;
}

/// Their record says no more than that they have an item.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_redis_forgot_is_missed_though_another_role_sold_to_its_buyer_again() {
    let mut shop = open(10).await;
    shop.redis.snapshot().await;
    buys(&shop, 0..1).await;
    shop.relay();
    let queues = Queues {
        orders: StreamsQueue::orders(shop.link.clone()),
        cancels: StreamsQueue::cancels(shop.link.clone()),
    };
    // Without the archive.
    shop.orders_from(queues, orders::Options::default());
    shop.until_orders(1).await;
    shop.stop_roles().await;
    shop.redis
        .change_snapshot(async |link| another_sells_to(&link, "u0").await)
        .await;
    shop.redis.go_back().await;
    eventually("it is halted", || async { halted(&shop).await }).await;
    assert_eq!(stock(&shop.link).await, (9, 1, 0), "one is missing");
    shop.archive();
    heals(&mut shop);
    until_it_sells(&shop).await;
    assert_eq!(stock(&shop.link).await, (8, 2, 0));
    assert_eq!(shop.journals().waiting(), 0, "nothing is made again");
    disconnect(&shop.redis.link().await).await;
    assert!(shop.buys("late", "r").await);
    assert_eq!(halted(&shop).await, None, "it is not missed again");
    shop.shut().await;
}

/// Whose first purchase is in the archive alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_bought_cancelled_and_bought_elsewhere_halts_nothing() {
    let mut shop = open(10).await;
    shop.run_all();
    shop.settle();
    buys(&shop, 0..1).await;
    let order = shop.until_ordered("u0").await;
    let cancelled = shop
        .post(&format!("/api/orders/{order}/cancel"), "u0")
        .await;
    assert_eq!(cancelled.0, StatusCode::OK);
    eventually("the item is for sale again", || async {
        (stock(&shop.link).await == (10, 0, 0)).then_some(())
    })
    .await;
    another_sells_to(&shop.redis.link().await, "u0").await;
    until_archived(&shop, 4).await;
    let link = shop.redis.link().await;
    let mut conn = link.conn().await.unwrap();
    let outbox = keys::outbox(&item(), 1);
    redis::cmd("XTRIM")
        .arg(&[outbox.as_str(), "MAXLEN", "0"])
        .exec_async(&mut conn)
        .await
        .unwrap();
    disconnect(&link).await;
    assert!(shop.buys("late", "r").await);
    assert_eq!(halted(&shop).await, None);
    shop.shut().await;
}

/// Why it can happen: the database is away for minutes, and the queue survives. Simulated:
/// what a process remembers of its sales is bounded by their number, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_archive_can_tell_is_asked_though_the_sale_has_gone_on() {
    let shop = stock_rebuild::open(10).await;
    let folder = tempfile::TempDir::new().unwrap();
    let later = folder.path().join("later");
    let link = RedisLink::lazy(&shop.redis.url()).unwrap();
    let segments = Segments::on(link.clone());
    let archive = LazyStore::at(&format!("sqlite://{}/seckill.db", later.display()), &[]);
    let fence = Fence::around(link, segments.clone(), archive, None);
    let home = Segment {
        item: item(),
        number: 1,
    };
    let before = |seq| EntryId {
        ms: now_ms() - 10_000,
        seq,
    };
    fence.note(&home, before(0), request("u0"), None);
    another_sells_to(&shop.redis.link().await, "u0").await;
    segments.conn(&item(), 1).await.unwrap();
    assert_eq!(halted(&shop).await, None, "the archive cannot be read");
    for seq in 1..=50_000 {
        fence.note(&home, before(seq), request("crowd"), None);
    }
    let (_, database) = shop.database_url.split_once("://").unwrap();
    let real = std::path::Path::new(database).parent().unwrap();
    std::os::unix::fs::symlink(real, &later).unwrap();
    let reason = eventually("it is halted", || halted(&shop)).await;
    assert!(reason.contains("|purchase "), "{reason}");
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_bought_and_cancelled_twice_is_not_made_again() {
    let mut shop = open(10).await;
    shop.run_all();
    shop.settle();
    shop.redis.snapshot().await;
    for request in ["r1", "r2"] {
        eventually("they may buy", || async {
            shop.buys("u0", request).await.then_some(())
        })
        .await;
        let order = shop.until_ordered("u0").await;
        let cancelled = shop
            .post(&format!("/api/orders/{order}/cancel"), "u0")
            .await;
        assert_eq!(cancelled.0, StatusCode::OK);
        eventually("the item is for sale again", || async {
            (stock(&shop.link).await == (10, 0, 0)).then_some(())
        })
        .await;
    }
    until_archived(&shop, 5).await;
    shop.redis.go_back().await;
    until_halted(&shop, 2).await;
    heals(&mut shop);
    until_made_again(&shop).await;
    until_it_sells(&shop).await;
    shop.until_drained().await;
    assert_eq!(stock(&shop.link).await, (10, 0, 0));
    assert_eq!(shop.result("u0").await["status"], "cancelled");
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_segment_does_not_wait_for_any_more_does_not_halt_it_again() {
    let mut shop = forgetting(10).await;
    heals(&mut shop);
    until_it_sells(&shop).await;
    assert!(shop.journals().forgotten.waiting() > 0, "nobody replays");
    disconnect(&shop.redis.link().await).await;
    // This one's own buyers wait behind its journal.
    eventually("it has connected again", || async {
        (shop.get("/healthz", "").await.0 == StatusCode::OK).then_some(())
    })
    .await;
    shop.result("u0").await;
    assert_eq!(halted(&shop).await, None);
    shop.replays();
    until_made_again(&shop).await;
    all_have_their_items(&shop, 0..6).await;
    shop.shut().await;
}
