//! The archive of the ledger has a segment's events in their order at every moment, so
//! that what is lost with a Redis is heard of nowhere else than at its end.

use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;
use seckill::outbox::reader::ARCHIVE;
use seckill_core::keys;

use crate::common::shop::Shop;
use crate::common::{database, eventually, item};

/// Asserts that no event is missing before one that is archived; returns whether all are
/// there.
async fn is_whole(shop: &Shop) -> bool {
    let archived = shop.store.ledger(&item(), 1).await.unwrap();
    let archived: Vec<String> = archived.iter().map(|event| event.id.to_string()).collect();
    let mut conn = shop.link.conn().await.unwrap();
    let outbox = keys::outbox(&item(), 1);
    let all: StreamRangeReply = conn.xrange_all(outbox).await.unwrap();
    let all: Vec<String> = all.ids.into_iter().map(|entry| entry.id).collect();
    assert!(all.starts_with(&archived), "{archived:?} of {all:?}");
    all == archived
}

async fn until_whole(shop: &Shop) {
    eventually("all is archived", || async {
        is_whole(shop).await.then_some(())
    })
    .await;
}

async fn buys(shop: &Shop, users: std::ops::Range<u32>) {
    for n in users {
        assert!(shop.buys(&format!("u{n}"), "r").await, "u{n}");
    }
}

#[tokio::test]
async fn what_a_reader_died_with_is_archived_before_what_came_later() {
    let mut shop = Shop::open(100).await;
    buys(&shop, 0..4).await;
    let mut conn = shop.link.conn().await.unwrap();
    let outbox = keys::outbox(&item(), 1);
    let create = ARCHIVE.group.create(&outbox);
    create.exec_async(&mut conn).await.unwrap();
    let read = ARCHIVE.group.read(&[&outbox], 3, None);
    read.exec_async(&mut conn).await.unwrap();

    shop.archive();
    buys(&shop, 4..8).await;
    until_whole(&shop).await;
    shop.shut().await;
}

#[tokio::test]
async fn what_the_database_missed_is_archived_before_what_came_later() {
    let mut shop = Shop::open(100).await;
    shop.archive();
    buys(&shop, 0..2).await;
    until_whole(&shop).await;
    for n in 1..4 {
        database::execute(&shop.database_url, "ALTER TABLE ledger RENAME TO away").await;
        buys(&shop, 2 * n..2 * n + 1).await;
        let conn = shop.link.conn().await.unwrap();
        eventually("it is read in vain", || async {
            let pending: redis::Value = redis::cmd("XPENDING")
                .arg(keys::outbox(&item(), 1))
                .arg(ARCHIVE.group.name)
                .query_async(&mut conn.clone())
                .await
                .unwrap();
            let redis::Value::Array(pending) = pending else {
                return None;
            };
            (pending[0] == redis::Value::Int(1)).then_some(())
        })
        .await;
        database::execute(&shop.database_url, "ALTER TABLE away RENAME TO ledger").await;
        buys(&shop, 2 * n + 1..2 * n + 2).await;
        until_whole(&shop).await;
    }
    shop.shut().await;
}
