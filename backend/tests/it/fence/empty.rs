//! A Redis comes back empty: the only one, or a master of the stock while the main Redis is
//! well.

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill_core::keys;

use super::{LIMITS, buys, ends_with_an_item, heals, open};
use crate::common::masters::totals;
use crate::common::shop::Shop;
use crate::common::{entry, eventually, item, record};
use crate::stock_rebuild;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_redis_is_put_back_without_a_person() {
    let mut shop = open(10).await;
    shop.run_all();
    buys(&shop, 0..4).await;
    shop.until_orders(4).await;
    shop.until_drained().await;
    let mut conn = shop.link.conn().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    assert_eq!(shop.result("u0").await["status"], "unknown");
    heals(&mut shop);
    let mut sold = 0;
    for n in 10..20 {
        sold += u32::from(ends_with_an_item(&shop, &format!("late{n}")).await);
    }
    assert_eq!(sold, 6);
    assert!(record(&shop.link, "u0").await.is_some());
    shop.shut().await;
}

/// Empties the master of segment 2, as one whose disk was lost comes back.
async fn lose_the_second(shop: &Shop) {
    let mut conn = shop.masters[1].link().await.conn().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
        .exec_async(&mut conn)
        .await
        .unwrap();
}

/// A buyer whose record is in segment 2.
fn buyer_of_second(prefix: &str) -> String {
    let mut names = (0..).map(|n| format!("{prefix}{n}"));
    let entry = entry(20, 2);
    names.find(|user| entry.segment_of(user) == 2).unwrap()
}

async fn has_stock(shop: &Shop) -> bool {
    let mut conn = shop.masters[1].link().await.conn().await.unwrap();
    conn.exists(keys::stock(&item(), 2)).await.unwrap()
}

async fn until_archived(shop: &Shop, events: usize) {
    eventually("it is archived", || async {
        let of = async |segment| shop.store.ledger(&item(), segment).await.unwrap().len();
        (of(1).await + of(2).await == events).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_master_of_the_stock_is_put_back_without_a_person() {
    let mut shop = stock_rebuild::open_on_masters(&[10, 10]).await;
    shop.fenced(LIMITS).await;
    shop.archive();
    buys(&shop, 0..6).await;
    until_archived(&shop, 8).await;
    // What is sold now only this process knows.
    shop.stop_roles().await;
    buys(&shop, 6..12).await;
    lose_the_second(&shop).await;
    let entry = entry(20, 2);
    let (status, answer) = shop.click_once(&buyer_of_second("early"), "r").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(!has_stock(&shop).await);
    heals(&mut shop);
    shop.replays();
    for user in (0..12).map(|n| format!("u{n}")) {
        eventually("they have it still, or again", || async {
            (shop.result(&user).await["status"] == "succeeded").then_some(())
        })
        .await;
    }
    let late = buyer_of_second("late");
    eventually("it sells again", || async {
        shop.buys(&late, "r").await.then_some(())
    })
    .await;
    assert_eq!(totals(&shop.segments, &entry).await, (7, 13, 0));
    shop.shut().await;
}

/// Why it can happen: a segment is put back a second after its master came back, and by then
/// its last event is a new one.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_empty_master_forgot_is_journalled_though_nobody_clicks() {
    let mut shop = stock_rebuild::open_on_masters(&[10, 10]).await;
    shop.fenced(LIMITS).await;
    shop.stop_roles().await;
    for user in ["a", "b", "c"].map(buyer_of_second) {
        assert!(shop.buys(&user, "r").await, "{user}");
    }
    lose_the_second(&shop).await;
    eventually("all is journalled", || async {
        (shop.journals().waiting() == 3).then_some(())
    })
    .await;
    shop.shut().await;
}

/// A process whose connection is older than the round: it learns of the catalogue by reading
/// it, not by its next connection, which finds neither stock nor catalogue.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sold_of_a_round_that_came_later_is_made_again_in_an_empty_redis() {
    let mut shop = stock_rebuild::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    let () = conn.rename(keys::CATALOGUE, "aside").await.unwrap();
    shop.fenced(LIMITS).await;
    shop.segments.conn(&item(), 1).await.unwrap();
    let () = conn.rename("aside", keys::CATALOGUE).await.unwrap();
    eventually("the round is known", || async {
        shop.buys("u0", "r").await.then_some(())
    })
    .await;
    buys(&shop, 1..4).await;
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    let all = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    redis::cmd("CLIENT")
        .arg(&all)
        .exec_async(&mut conn)
        .await
        .unwrap();
    eventually("all four are journalled", || async {
        shop.click_once("early", "r").await;
        (shop.journals().waiting() >= 4).then_some(())
    })
    .await;
    heals(&mut shop);
    shop.replays();
    for n in 0..4 {
        let user = format!("u{n}");
        eventually("they have it again", || async {
            (shop.result(&user).await["status"] == "succeeded").then_some(())
        })
        .await;
    }
    shop.shut().await;
}
