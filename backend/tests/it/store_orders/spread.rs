//! Each buyer's orders are in one of several databases.

use seckill::redis::segments::Segments;
use seckill::stock::following;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::common::database::execute;
use crate::common::eventually;
use crate::common::shop::Shop;

/// A store with orders in three databases, and their addresses.
async fn spread(folder: &TempDir) -> (Store, Vec<String>) {
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let shards: Vec<String> = ["a", "b", "c"].map(url).into();
    let store = Store::open_sharded(&url("main"), &shards).await.unwrap();
    (store, shards)
}

#[tokio::test]
async fn orders_spread_over_databases_are_found_where_their_buyer_leads() {
    let folder = TempDir::new().unwrap();
    let (store, shards) = spread(&folder).await;
    let orders: Vec<_> = (1..=60).map(|n| order(n, &format!("u{n}"), "r")).collect();
    let placed = store.place_batch(&orders, 5).await.unwrap();
    assert_eq!(
        placed,
        (1..=60)
            .map(|n| Placed::New(OrderId(n)))
            .collect::<Vec<_>>()
    );
    assert_eq!(store.live_orders(&item()).await.unwrap(), 60);
    for n in 1..=60 {
        let found = store.order(&format!("u{n}"), OrderId(n)).await.unwrap();
        assert_eq!(found.unwrap().id, OrderId(n));
    }
    for shard in &shards {
        let alone = Store::open(shard).await.unwrap();
        assert_ne!(
            alone.order_counts().await.unwrap().len(),
            0,
            "each has its share"
        );
        alone.close().await;
    }
    assert_eq!(store.expire_overdue(100, 200).await.unwrap(), 60);
    let due = store.stock_due(100, 300).await.unwrap();
    store
        .stock_followed(&due.iter().collect::<Vec<_>>(), None)
        .await
        .unwrap();
    assert_eq!(store.stock_due(100, 300).await.unwrap(), []);
    store.close().await;
}

/// How many of the sixty are cancelled, as far as their databases can be read.
async fn cancelled(store: &Store) -> usize {
    let mut count = 0;
    for n in 1..=60 {
        let found = store.order(&format!("u{n}"), OrderId(n)).await;
        let state = found.ok().flatten().map(|order| order.state);
        count += usize::from(state == Some(State::Cancelled));
    }
    count
}

#[tokio::test]
async fn a_database_that_is_away_holds_up_no_other() {
    let (shop, folder) = (Shop::open(1).await, TempDir::new().unwrap());
    let (store, shards) = spread(&folder).await;
    let orders: Vec<_> = (1..=60).map(|n| order(n, &format!("u{n}"), "r")).collect();
    store.place_batch(&orders, 5).await.unwrap();
    // The first of them, so that all others come behind it.
    execute(&shards[0], "ALTER TABLE orders RENAME TO elsewhere").await;
    let alone = Store::open_sharded(&shards[1], &[]).await.unwrap();
    let here: u64 = alone.live_orders(&item()).await.unwrap();
    alone.close().await;
    let stop = CancellationToken::new();
    let segments = Segments::on(shop.link.clone());
    let sweep = tokio::spawn(following::run(store.clone(), segments, stop.clone()));
    let others = eventually("orders of the other databases run out of time", || async {
        let count = cancelled(&store).await;
        (count > usize::try_from(here).unwrap()).then_some(count)
    })
    .await;
    assert!(others < 60, "one of them cannot be read");
    execute(&shards[0], "ALTER TABLE elsewhere RENAME TO orders").await;
    eventually("those of the one that is back follow", || async {
        (cancelled(&store).await == 60).then_some(())
    })
    .await;
    stop.cancel();
    sweep.await.unwrap();
    store.close().await;
    shop.shut().await;
}
