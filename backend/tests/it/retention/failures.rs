//! Passes that fail, or are repeated: what went is counted and named once, and the rest stays.

use std::path::PathBuf;

use seckill::config::Keep;
use seckill::orders::retention::Retention;
use seckill::store::Actor;
use serde_json::json;
use sha2::Digest as _;
use tempfile::TempDir;

use super::{DAY_MS, execute, keep, older_rounds, over, pass, removals};
use crate::common::database;
use crate::common::now_ms;
use crate::common::shop::Shop;

#[tokio::test]
async fn a_round_that_fails_does_not_keep_later_ones_and_is_said() {
    let (shop, folder) = (over().await, TempDir::new().unwrap());
    older_rounds(&shop, 1..=2).await;
    let keep = keep(&folder);
    let now = now_ms() + 4 * DAY_MS;
    for n in 1..=2 {
        // Where its export should be is something else.
        std::fs::create_dir_all(keep.folder.join(format!("orders-old{n}-{now}.jsonl"))).unwrap();
    }
    let retention = Retention {
        store: &shop.store,
        keep: &keep,
        by: &Actor::system(),
        dry_run: false,
    };
    let pass = retention.pass(now).await;
    let failure = pass.failure.unwrap().to_string();
    assert!(failure.contains("orders-old1-"), "{failure}");
    let done = pass.outcomes.iter();
    let done: Vec<_> = done.map(|it| (it.round.as_deref(), it.removed)).collect();
    assert_eq!(done, [(Some("1"), 2)]);
    shop.shut().await;
}

fn exports(keep: &Keep) -> Vec<PathBuf> {
    let files = std::fs::read_dir(&keep.folder).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[tokio::test]
async fn what_went_before_a_failure_is_in_a_file_that_the_audit_log_names() {
    let (shop, folder) = (Shop::open(1).await, TempDir::new().unwrap());
    let keep = Keep {
        orders: None,
        audit: Some(3),
        ..keep(&folder)
    };
    let rows: Vec<String> = (1..=600)
        .map(|n| format!("(1, 'li', 'console', 'ban.add', 'user u{n}', '{{}}')"))
        .collect();
    let insert = format!(
        "INSERT INTO audit (at_ms, who, via, action, target, detail) VALUES {}",
        rows.join(", ")
    );
    database::execute(&shop.database_url, insert).await;
    // The first page goes; on the second is a row that something else refers to.
    execute(
        &shop,
        "CREATE TABLE pin (entry BIGINT REFERENCES audit (id))",
    )
    .await;
    execute(&shop, "INSERT INTO pin SELECT MAX(id) FROM audit").await;
    let retention = Retention {
        store: &shop.store,
        keep: &keep,
        by: &Actor::system(),
        dry_run: false,
    };
    let failed = retention.pass(now_ms()).await;
    assert!(failed.failure.is_some());
    let [done] = &failed.outcomes[..] else {
        panic!("{failed:?}");
    };
    assert_eq!(done.removed, 500);
    let path = done.file.clone().unwrap();
    let text = std::fs::read(&path).unwrap();
    let digest = sha2::Sha256::digest(&text);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    let entry = json!({ "what": "audit", "rows": lines, "file": path, "digest": digest });
    let named = std::slice::from_ref(&entry);
    assert_eq!(removals(&shop).await, named);

    // Nothing goes: the pass leaves neither a file nor an entry.
    execute(
        &shop,
        "INSERT INTO pin SELECT id FROM audit WHERE at_ms = 1",
    )
    .await;
    let failed = retention.pass(now_ms()).await;
    assert!(failed.failure.is_some() && failed.outcomes.is_empty());
    assert_eq!(removals(&shop).await, named);
    assert_eq!(exports(&keep), [PathBuf::from(path)]);

    execute(&shop, "DROP TABLE pin").await;
    assert_eq!(pass(&shop, &keep, 0, false).await[0].removed, 100);
    assert_eq!(removals(&shop).await.len(), 2);
    shop.shut().await;
}

#[tokio::test]
async fn an_export_of_a_round_that_fails_leaves_no_file() {
    let (shop, folder) = (over().await, TempDir::new().unwrap());
    let keep = keep(&folder);
    execute(&shop, "ALTER TABLE order_notes RENAME TO elsewhere").await;
    let retention = Retention {
        store: &shop.store,
        keep: &keep,
        by: &Actor::system(),
        dry_run: false,
    };
    let failed = retention.pass(now_ms() + 4 * DAY_MS).await;
    assert!(failed.failure.is_some() && failed.outcomes.is_empty());
    assert_eq!(exports(&keep), Vec::<PathBuf>::new());
    execute(&shop, "ALTER TABLE elsewhere RENAME TO order_notes").await;
    let done = pass(&shop, &keep, 4, false).await;
    assert_eq!((done[0].what, done[0].removed), ("orders", 2));
    assert_eq!(exports(&keep).len(), 1);
    shop.shut().await;
}

/// Simulates: a pass exports the orders of a round, and fails before it has removed them, so
/// that they are exported once more.
#[tokio::test]
async fn what_was_only_exported_does_not_count_as_removed() {
    let (shop, folder) = (over().await, TempDir::new().unwrap());
    let keep = keep(&folder);
    execute(
        &shop,
        "CREATE TABLE pin (entry BIGINT REFERENCES orders (id))",
    )
    .await;
    execute(&shop, "INSERT INTO pin SELECT id FROM orders").await;
    let retention = Retention {
        store: &shop.store,
        keep: &keep,
        by: &Actor::system(),
        dry_run: false,
    };
    let counted = async || {
        let found = shop.store.orders_removed("1").await.unwrap();
        found.map(|(_, removed)| removed)
    };
    let failed = retention.pass(now_ms() + 4 * DAY_MS).await;
    assert!(failed.failure.is_some() && failed.outcomes.is_empty());
    assert_eq!(counted().await, Some(0), "all of them are still there");
    execute(&shop, "DROP TABLE pin").await;
    assert_eq!(pass(&shop, &keep, 4, false).await[0].removed, 2);
    assert_eq!(counted().await, Some(2));
    shop.shut().await;
}
