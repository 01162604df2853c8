//! What is PostgreSQL's own: its tables, its migrations, and a server that is killed while
//! orders are placed. The suites of the store, of hanging databases and of
//! `scripts/test-postgres.sh` run on it as on the others.

use sqlx::{AnyConnection, Executor as _};
use tokio::task::JoinSet;

use seckill::store::{Store, StoreError};

use crate::common::postgres::{self, TestPostgres};
use crate::common::shop::Shop;
use crate::common::{database, eventually, item, stock};

/// The columns of its tables, with whether each may be empty.
async fn columns(url: &str) -> Vec<String> {
    let statement = match url.starts_with("sqlite") {
        true => {
            "SELECT m.name || '.' || c.name || CASE WHEN c.\"notnull\" OR c.pk THEN ' always'
             ELSE '' END FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND m.name NOT LIKE '\\_%' ESCAPE '\\'
             AND m.name NOT LIKE 'sqlite%'"
        }
        false => {
            "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN ' always'
             ELSE '' END FROM information_schema.columns WHERE table_schema = 'public'
             AND table_name NOT LIKE '\\_%'"
        }
    };
    let mut columns = database::texts(url, statement).await;
    columns.sort_unstable();
    columns
}

async fn columns_of_sqlite() -> Vec<String> {
    let folder = tempfile::TempDir::new().unwrap();
    let file = format!("sqlite://{}", folder.path().join("s.db").display());
    Store::open(&file).await.unwrap();
    columns(&file).await
}

#[tokio::test]
async fn its_tables_have_the_columns_that_sqlite_has() {
    let server = TestPostgres::start().await;
    let store = postgres::store(&server, "tables").await;
    let found = columns(&server.url("tables")).await;
    assert_eq!(found, columns_of_sqlite().await);
    store.close().await;
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let server = TestPostgres::start().await;
    server.create("half");
    // The last table of the first migration is there already.
    database::execute(&server.url("half"), "CREATE TABLE board_history (x BIGINT)").await;
    let error = Store::open(&server.url("half")).await.unwrap_err();
    assert!(matches!(error, StoreError::Migrate { .. }), "{error}");
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'orders'";
    assert_eq!(database::number(&server.url("half"), tables).await, 0);
    database::execute(&server.url("half"), "DROP TABLE board_history").await;
    Store::open(&server.url("half")).await.unwrap();
}

/// Makes a table of the name that the first migration gives its last one, in a transaction
/// that does not end: the migration waits for it.
async fn in_the_way(url: &str) -> AnyConnection {
    let mut other = database::connect(url).await;
    let made = "BEGIN; CREATE TABLE board_history (x BIGINT)";
    other.execute(sqlx::raw_sql(made)).await.unwrap();
    other
}

async fn until_it_waits(server: &TestPostgres, database: &str) {
    let waiting = format!(
        "SELECT 1/count(*) FROM pg_stat_activity
         WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    );
    eventually("the migration waits", || async {
        server.run(&waiting).then_some(())
    })
    .await;
}

#[tokio::test]
async fn killed_during_migrations_it_has_all_of_them_after_the_next_start() {
    let mut server = TestPostgres::start().await;
    server.create("half");
    let url = server.url("half");
    let other = in_the_way(&url).await;
    let opening = tokio::spawn({
        let url = url.clone();
        async move { Store::open(&url).await.map(drop) }
    });
    until_it_waits(&server, "half").await;
    server.kill();
    drop(other);
    // The program dies with it.
    opening.abort();
    server.start_again().await;
    assert_eq!(columns(&url).await, Vec::<String>::new());
    Store::open(&url).await.unwrap();
    assert_eq!(columns(&url).await, columns_of_sqlite().await);
}

#[tokio::test]
async fn many_that_open_a_new_database_at_once_all_do() {
    let server = TestPostgres::start().await;
    server.create("new");
    let mut opening = JoinSet::new();
    for _ in 0..6 {
        let url = server.url("new");
        opening.spawn(async move { Store::open(&url).await });
    }
    while let Some(opened) = opening.join_next().await {
        opened.unwrap().unwrap();
    }
}

/// A session that failed kept the lock for migrations, and went back into the pool with it.
#[tokio::test]
async fn a_migration_that_is_tried_again_locks_nobody_out() {
    let server = TestPostgres::start().await;
    server.create("again");
    let url = server.url("again");
    let mut other = in_the_way(&url).await;
    let opening = tokio::spawn({
        let url = url.clone();
        async move { Store::open(&url).await }
    });
    until_it_waits(&server, "again").await;
    assert!(server.run(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
         WHERE datname = 'again' AND wait_event_type = 'Lock'"
    ));
    eventually("the first attempt fails", || async {
        server.log().contains("canceling statement").then_some(())
    })
    .await;
    other.execute("ROLLBACK").await.unwrap();
    let _first = opening.await.unwrap().unwrap();
    Store::open(&url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_orders_are_placed_it_loses_and_doubles_nothing() {
    const STRIKES: u64 = 3;
    const BUYERS: u64 = 40;
    let mut server = TestPostgres::start().await;
    let mut shop = Shop::open(STRIKES * BUYERS).await;
    shop.store = postgres::store(&server, "shop").await;
    shop.run_all();
    for strike in 0..STRIKES {
        let before = shop.store.live_orders(&item()).await.unwrap();
        let buying = async {
            for n in 0..BUYERS {
                assert!(shop.buys(&format!("u{strike}-{n}"), "r").await);
            }
        };
        let striking = async {
            eventually("orders of this strike are placed", || async {
                let placed = shop.store.live_orders(&item()).await.ok()?;
                (placed > before + 3).then_some(())
            })
            .await;
            server.kill();
            server.start_again().await;
        };
        tokio::join!(buying, striking);
        eventually("every order is placed", || async {
            let placed = shop.store.live_orders(&item()).await.ok()?;
            (placed == (strike + 1) * BUYERS).then_some(())
        })
        .await;
    }
    shop.until_drained().await;
    let twice = "SELECT COUNT(*) - COUNT(DISTINCT \"user\") FROM orders";
    assert_eq!(database::number(&server.url("shop"), twice).await, 0);
    let all = i64::try_from(STRIKES * BUYERS).unwrap();
    assert_eq!(stock(&shop.link).await, (0, all, 0));
    let report = shop.verify().await;
    assert!(report.breaches.is_empty(), "{}", report.text());
    shop.shut().await;
}
