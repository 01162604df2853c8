//! What can be healed is healed, and sells, whatever becomes of the rest.

use redis::AsyncCommands as _;
use seckill::inspect::rebuild::Options;
use seckill::redis::scripts::stock::{self as stock_scripts};
use seckill_core::ids::Item;
use seckill_core::keys;

use super::heals;
use crate::common::shop::Shop;
use crate::common::{database, eventually, item};
use crate::stock_rebuild;

async fn halted(shop: &Shop, item: &Item, segment: u16) -> Option<String> {
    let mut conn = shop.segments.conn(item, segment).await.unwrap();
    let key = keys::stock(item, segment);
    conn.hget(key, keys::STOCK_HALTED).await.unwrap()
}

async fn halt(shop: &Shop, item: &Item, segment: u16) {
    let mut conn = shop.segments.conn(item, segment).await.unwrap();
    let halt = stock_scripts::halt(item, segment, "behind|a test");
    assert!(halt.run(&mut conn).await.unwrap());
}

async fn until_it_sells(shop: &Shop, item: &Item, segment: u16) {
    eventually("it sells", || async {
        halted(shop, item, segment).await.is_none().then_some(())
    })
    .await;
}

/// Puts on sale what the database has on record.
async fn put_on_sale(shop: &Shop) {
    let options = Options {
        while_running: true,
        ..Options::default()
    };
    stock_rebuild::rebuild(shop, options).await.unwrap();
}

/// Why it can happen: the archive of one product is behind for longer than healing waits, or
/// its ledger does not add up. Simulated by an amount that the database does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_not_exact_keeps_no_other_halted_and_is_tried_again() {
    let mut shop = stock_rebuild::open(10).await;
    for (product, position) in [("152", 0), ("154", 2)] {
        let statements = format!(
            "INSERT INTO round_products (round, product, position, title, amount, price_cents,
                 list_price_cents, per_buyer, segments)
                 VALUES ('1', '{product}', {position}, 'Phone', 10, 99900, 99900, 2, '');
             INSERT INTO frozen_stock (round, product, amount, frozen_ms, segments)
                 VALUES ('1', '{product}', 10, 1, '10');"
        );
        database::execute(&shop.database_url, statements).await;
    }
    put_on_sale(&shop).await;
    let others = ["152", "154"].map(|product| Item::new("1", product).unwrap());
    let mut conn = shop.link.conn().await.unwrap();
    let more = stock_scripts::adjust(&item(), 1, "more", 5);
    assert_eq!(more.run(&mut conn).await.unwrap(), 5);
    for product in others.iter().chain([&item()]) {
        halt(&shop, product, 1).await;
    }
    heals(&mut shop);
    for other in &others {
        until_it_sells(&shop, other, 1).await;
    }
    assert!(halted(&shop, &item(), 1).await.is_some());
    // Another one of the same round comes back older, later.
    halt(&shop, &others[1], 1).await;
    until_it_sells(&shop, &others[1], 1).await;
    assert!(halted(&shop, &item(), 1).await.is_some());

    let known = "UPDATE frozen_stock SET amount = 15 WHERE product = '153'";
    database::execute(&shop.database_url, known.to_owned()).await;
    until_it_sells(&shop, &item(), 1).await;
    shop.shut().await;
}

/// Why it can happen: a process was killed after it noted what a segment has forgotten, and
/// before that was in its journal.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_makes_again_holds_up_its_own_segment_only_and_only_once() {
    let mut shop = stock_rebuild::open_on_masters(&[10, 10]).await;
    stock_rebuild::store_round(&shop, "2", &[10]).await;
    put_on_sale(&shop).await;
    let later = Item::new("2", "153").unwrap();
    let mut conn = shop.segments.conn(&item(), 1).await.unwrap();
    let forgotten = keys::forgotten(&item(), 1);
    let _: u64 = conn.sadd(&forgotten, "gone|r").await.unwrap();
    halt(&shop, &item(), 1).await;
    halt(&shop, &item(), 2).await;
    halt(&shop, &later, 1).await;
    heals(&mut shop);
    until_it_sells(&shop, &item(), 2).await;
    until_it_sells(&shop, &later, 1).await;
    let waits = halted(&shop, &item(), 1).await.unwrap();
    assert!(waits.starts_with(keys::HALTED_REPLAYS), "{waits}");

    until_it_sells(&shop, &item(), 1).await;
    let is_noted: bool = conn.exists(&forgotten).await.unwrap();
    assert!(!is_noted, "the next time nobody waits for it");
    shop.shut().await;
}
