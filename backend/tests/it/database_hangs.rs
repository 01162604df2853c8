//! A database that stands still, its connections open: nobody waits for it for ever, and
//! what waited for it is no backlog.

use std::time::{Duration, Instant};

use seckill::orders;
use seckill::queue::Queues;
use seckill::store::Store;

use crate::common::mariadb::{self, TestMariadb};
use crate::common::postgres::{self, TestPostgres};
use crate::common::shop::Shop;
use crate::common::{eventually, item};

/// A call of a database that hangs ends with an error.
async fn fails(store: &Store) -> String {
    let call = store.list_orders(None, None, 10);
    let ended = tokio::time::timeout(Duration::from_secs(60), call).await;
    ended
        .expect("the call ends by itself")
        .expect_err("the database stands still")
        .to_string()
}

/// A server that may be stopped.
trait Server {
    fn freeze(&self);
    fn thaw(&self);
}

impl Server for TestMariadb {
    fn freeze(&self) {
        self.freeze();
    }

    fn thaw(&self) {
        self.thaw();
    }
}

impl Server for TestPostgres {
    fn freeze(&self) {
        self.freeze();
    }

    fn thaw(&self) {
        self.thaw();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_mariadb_that_hangs_end_and_it_is_used_again_when_it_goes_on() {
    let server = TestMariadb::start().await;
    let store = mariadb::store(&server, "hangs").await;
    calls_end_and_it_is_used_again(&server, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_postgres_that_hangs_end_and_it_is_used_again_when_it_goes_on() {
    let server = TestPostgres::start().await;
    let store = postgres::store(&server, "hangs").await;
    calls_end_and_it_is_used_again(&server, store).await;
}

async fn calls_end_and_it_is_used_again(server: &impl Server, store: Store) {
    store.list_orders(None, None, 10).await.unwrap();
    server.freeze();
    // More calls than there are connections: none of them may keep one for itself.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        calls.spawn(async move { fails(&store).await });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    fails(&store).await;
    server.thaw();
    eventually("it is used again", || async {
        store.list_orders(None, None, 10).await.ok()
    })
    .await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_a_mariadb_that_hung_is_placed_and_not_failed() {
    let server = TestMariadb::start().await;
    let store = mariadb::store(&server, "waits").await;
    what_waited_is_placed(&server, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_a_postgres_that_hung_is_placed_and_not_failed() {
    let server = TestPostgres::start().await;
    let store = postgres::store(&server, "waits").await;
    what_waited_is_placed(&server, store).await;
}

async fn what_waited_is_placed(server: &impl Server, store: Store) {
    let mut shop = Shop::open(20).await;
    shop.store = store;
    shop.relay();
    let options = orders::Options {
        // Shorter than the database is away.
        backlog_after: Duration::from_secs(2),
        in_flight: 2,
        ..orders::Options::default()
    };
    shop.orders_from(Queues::streams(&shop.link), options);
    assert!(shop.buys("first", "r").await);
    shop.until_orders(1).await;
    server.freeze();
    for n in 0..10 {
        assert!(shop.buys(&format!("u{n}"), "r").await);
    }
    // So long that every message is older than a backlog, and a call was ended.
    let began = Instant::now();
    eventually("they have waited", || async {
        (began.elapsed() > Duration::from_secs(6)).then_some(())
    })
    .await;
    server.thaw();
    shop.until_orders(11).await;
    for n in 0..10 {
        let result = shop.result(&format!("u{n}")).await;
        assert_ne!(result["status"], "failed", "{result}");
    }
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 11);
    shop.shut().await;
}
