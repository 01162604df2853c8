//! The tables' versions: an upgrade that is cut off, and a program on the tables of another.

use std::path::Path;

use seckill::store::Store;
use sqlx::migrate::{Migration, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};
use tempfile::TempDir;

use crate::common::mariadb::{self, TestMariadb};

/// The statements of a migration.
fn statements(step: &Migration) -> Vec<String> {
    let lines = step.sql.as_str().lines();
    let lines: Vec<&str> = lines
        .filter(|it| !it.trim_start().starts_with("--"))
        .collect();
    let text = lines.join("\n");
    let all = text
        .split(";\n")
        .map(|it| it.trim().trim_end_matches(';').to_owned());
    all.filter(|it| !it.is_empty()).collect()
}

/// All columns and indexes of a database.
async fn shape(server: &TestMariadb, database: &str) -> Vec<String> {
    let mut conn = MySqlConnection::connect(&server.url(database))
        .await
        .unwrap();
    let mut shape = Vec::new();
    for sql in [
        "SELECT CONCAT_WS(' ', table_name, column_name, column_type, is_nullable, column_default)
         FROM information_schema.columns WHERE table_schema = DATABASE()",
        "SELECT CONCAT_WS(' ', table_name, index_name, seq_in_index, column_name, non_unique)
         FROM information_schema.statistics WHERE table_schema = DATABASE()",
    ] {
        let part: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
        shape.extend(part);
    }
    shape.sort();
    shape
}

/// Leaves a database as a program that was killed leaves it: behind `done` statements of a
/// step, of which the table of migrations says `noted`.
async fn cut_off(server: &TestMariadb, database: &str, step: &Migration, done: usize, noted: i64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/mysql");
    let steps = Migrator::new(folder).await.unwrap();
    server.create(database);
    let mut conn = MySqlConnection::connect(&server.url(database))
        .await
        .unwrap();
    // Version 0 is nobody's: it makes the table of migrations, and nothing else.
    steps.run_to(step.version - 1, &mut conn).await.unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (?, ?, NOW(), 0, ?, ?)")
        .bind(step.version)
        .bind(&*step.description)
        .bind(&*step.checksum)
        .bind(noted)
        .execute(&mut conn)
        .await
        .unwrap();
    for statement in &statements(step)[..done] {
        conn.execute(AssertSqlSafe(statement.clone()))
            .await
            .unwrap();
    }
}

/// MySQL and MariaDB commit every change of a table by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_was_killed_at_any_statement_is_finished_by_the_next_start() {
    let server = TestMariadb::start_with(&["--innodb-flush-log-at-trx-commit=0".to_owned()]).await;
    mariadb::store(&server, "whole").await.close().await;
    let whole = shape(&server, "whole").await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/mysql");
    let steps = Migrator::new(folder).await.unwrap();
    for step in steps.iter() {
        let count = statements(step).len();
        for done in 0..=count {
            // Long ones everywhere, since they make tables anew; others in the middle.
            if count < 8 && done != count.div_ceil(2) {
                continue;
            }
            let exact = -1000 - i64::try_from(done).unwrap();
            // Noted; done and not noted; and begun by a program that notes nothing.
            let noted = [exact, exact + i64::from(done > 0), -1][done % 3];
            let database = format!("cut_{}_{done}", step.version);
            cut_off(&server, &database, step, done, noted).await;
            let store = Store::open(&server.url(&database)).await;
            store.expect(&database).close().await;
            let now = shape(&server, &database).await;
            assert_eq!(now, whole, "{database}, noted {noted}");
            assert!(server.run(&format!("DROP DATABASE {database}")));
        }
    }
}

/// A role of the version before starts beside those of the next, and after a way back.
#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_a_later_version_are_used_unless_it_says_that_they_cannot() {
    let server = TestMariadb::start().await;
    server.create("later");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("orders.db");
    for url in [format!("sqlite://{}", file.display()), server.url("later")] {
        Store::open(&url).await.unwrap().close().await;
        let mut conn = AnyConnection::connect(&url).await.unwrap();
        conn.execute("ALTER TABLE orders ADD COLUMN later INT NOT NULL DEFAULT 0")
            .await
            .unwrap();
        let add = "INSERT INTO _sqlx_migrations
                   (version, description, success, checksum, execution_time) VALUES";
        for (change, refused) in [
            ("9000, 'a later column'", false),
            ("9001, 'breaking orders'", true),
        ] {
            let add = format!("{add} ({change}, 1, 'x', 0)");
            conn.execute(AssertSqlSafe(add)).await.unwrap();
            match (Store::open(&url).await, refused) {
                (Ok(store), false) => {
                    assert!(store.list_orders(None, None, 10).await.unwrap().is_empty());
                    store.close().await;
                }
                (Err(error), true) => {
                    let error = error.to_string();
                    assert!(error.contains("later version"), "{error}");
                    assert!(error.contains("\"breaking orders\""), "{error}");
                }
                (opened, _) => panic!("{url}: {:?}", opened.map(|_| ())),
            }
        }
    }
}
