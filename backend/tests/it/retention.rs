//! What is old and settled leaves the database, exported before; what is open stays.

/// Passes that fail, or are repeated.
mod failures;

use axum::http::StatusCode;
use seckill::config::{Config, Keep, gather};
use seckill::inspect::verify::verify_archived;
use seckill::orders::retention::{Outcome, Retention};
use seckill::stock::retire::{Retired, Retirer};
use seckill::store::{Actor, AuditQuery};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::database;
use crate::common::shop::Shop;
use crate::common::{eventually, item, now_ms};
use crate::retirement::store_round;

const DAY_MS: u64 = 86_400_000;

fn keep(folder: &TempDir) -> Keep {
    Keep {
        orders: Some(3),
        ledger: None,
        notices: None,
        audit: None,
        findings: None,
        folder: folder.path().join("removed"),
    }
}

async fn pass(shop: &Shop, keep: &Keep, days: u64, dry_run: bool) -> Vec<Outcome> {
    let retention = Retention {
        store: &shop.store,
        keep,
        by: &Actor::system(),
        dry_run,
    };
    let now = now_ms() + days * DAY_MS;
    let pass = retention.pass(now).await;
    assert!(pass.failure.is_none(), "{:?}", pass.failure);
    pass.outcomes
}

async fn execute(shop: &Shop, statement: &'static str) {
    database::execute(&shop.database_url, statement).await;
}

async fn count(shop: &Shop, statement: &'static str) -> i64 {
    database::number(&shop.database_url, statement).await
}

/// A shop whose round is retired, with a paid and a cancelled order.
async fn over() -> Shop {
    let mut shop = Shop::open(10).await;
    store_round(&shop).await;
    shop.run_all();
    shop.settle();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    let order = shop.until_ordered("li").await;
    shop.post(&format!("/api/orders/{order}/pay"), "li").await;
    assert_eq!(shop.click("wang", "r").await.0, StatusCode::ACCEPTED);
    let order = shop.until_ordered("wang").await;
    shop.post(&format!("/api/orders/{order}/cancel"), "wang")
        .await;
    shop.until_drained().await;
    let (store, redis, segments) = (shop.store.clone(), shop.link.clone(), shop.segments.clone());
    eventually("the round retires", || async {
        let retirer = Retirer {
            store: &store,
            redis: &redis,
            segments: &segments,
        };
        (retirer.retire("1").await.unwrap() == Retired::Now).then_some(())
    })
    .await;
    shop
}

#[tokio::test]
async fn a_settled_round_is_exported_then_removed_and_the_archive_still_verifies() {
    let (shop, folder) = (over().await, TempDir::new().unwrap());
    let mut keep = keep(&folder);
    assert_eq!(pass(&shop, &keep, 2, false).await, [], "it is not old yet");
    let would = pass(&shop, &keep, 4, true).await;
    assert_eq!((would.len(), would[0].stays), (1, None));
    assert_eq!(count(&shop, "SELECT COUNT(*) FROM orders").await, 2);

    let sold = shop.store.round_totals("1").await.unwrap();
    assert_eq!(sold["153"].paid_cents, 99_900);
    let done = pass(&shop, &keep, 4, false).await;
    assert_eq!((done[0].what, done[0].removed), ("orders", 2));
    let file = done[0].file.clone().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for (table, of) in [
        ("orders", "\"li\""),
        ("orders", "\"wang\""),
        ("payments", "paid"),
    ] {
        let begins = format!("\"table\":\"{table}\"");
        assert!(
            text.lines()
                .any(|line| line.contains(&begins) && line.contains(of)),
            "{table} {of}: {text}"
        );
    }
    assert_eq!(
        shop.store.round_totals("1").await.unwrap(),
        sold,
        "the report says what it said before"
    );
    let (at_ms, removed) = shop.store.orders_removed("1").await.unwrap().unwrap();
    assert_eq!(removed, 2, "orders, and not the rows that belong to them");
    assert!(at_ms > now_ms(), "as of the pass");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o077, 0, "buyers' names are for nobody else");
    for left in [
        "SELECT COUNT(*) FROM orders",
        "SELECT COUNT(*) FROM payments",
        "SELECT COUNT(*) FROM notices",
    ] {
        assert_eq!(count(&shop, left).await, 0, "{left}");
    }
    let report = verify_archived(&shop.store).await.unwrap();
    assert!(report.pass, "{}", report.text());
    assert!(report.counts.events > 0, "the ledger is still there");

    keep.ledger = Some(3);
    let done = pass(&shop, &keep, 4, false).await;
    assert_eq!(
        (done.len(), done[0].what),
        (1, "ledger"),
        "orders are gone once"
    );
    assert!(done[0].removed > 0);
    assert_eq!(count(&shop, "SELECT COUNT(*) FROM ledger").await, 0);
    let report = verify_archived(&shop.store).await.unwrap();
    assert!(report.pass, "{}", report.text());
    assert_eq!(pass(&shop, &keep, 400, false).await, []);
    let log = removals(&shop).await;
    assert_eq!(log.len(), 2);
    assert_eq!(log[1]["file"], file);
    shop.shut().await;
}

#[tokio::test]
async fn nothing_of_a_round_is_removed_while_anything_of_it_is_open() {
    let (shop, folder) = (over().await, TempDir::new().unwrap());
    let keep = Keep {
        ledger: Some(3),
        ..keep(&folder)
    };
    let open = [
        (
            "UPDATE orders SET state = 'created' WHERE \"user\" = 'li'",
            "UPDATE orders SET state = 'paid' WHERE \"user\" = 'li'",
        ),
        (
            "UPDATE orders SET stock_due = 'release' WHERE \"user\" = 'wang'",
            "UPDATE orders SET stock_due = NULL",
        ),
        (
            "UPDATE payments SET state = 'refund_due'",
            "UPDATE payments SET state = 'paid'",
        ),
        (
            "INSERT INTO refunds (id, payment, amount, state, asked_by, created_ms, updated_ms)
             SELECT 'r', id, 1, 'pending', 'li', 1, 1 FROM payments",
            "UPDATE refunds SET state = 'done'",
        ),
        (
            "INSERT INTO notices (order_id, kind, channel, state, attempts, due_ms, created_ms,
             updated_ms) SELECT id, 'paid', 'email', 'waiting', 1, 1, 1, 1 FROM orders",
            "UPDATE notices SET state = 'sent'",
        ),
        (
            "INSERT INTO inventory_holds (round, product, hold, generation, sku, amount, state,
             updated_ms) VALUES ('1', '153', 'h', 1, 's', 10, 'settling', 1)",
            "UPDATE inventory_holds SET state = 'settled'",
        ),
        (
            "INSERT INTO order_events (order_id, kind, at_ms)
             SELECT id, 'paid', 1 FROM orders WHERE \"user\" = 'li'",
            "DELETE FROM order_feeds",
        ),
        (
            "UPDATE orders SET updated_ms = updated_ms + 500000000 WHERE \"user\" = 'li'",
            "UPDATE orders SET updated_ms = created_ms",
        ),
    ];
    let rows = "SELECT (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM ledger)";
    let before = count(&shop, rows).await;
    for (opens, closes) in open {
        if opens.contains("order_events") {
            execute(
                &shop,
                "INSERT INTO order_feeds (name, position) VALUES ('webhook', 0)",
            )
            .await;
        }
        execute(&shop, opens).await;
        for outcome in pass(&shop, &keep, 4, false).await {
            assert!(outcome.stays.is_some(), "{opens}: {outcome:?}");
        }
        assert_eq!(count(&shop, rows).await, before, "{opens}");
        execute(&shop, closes).await;
    }
    let done = pass(&shop, &keep, 4, false).await;
    assert!(done.iter().all(|it| it.stays.is_none()), "{done:?}");
    assert_eq!(count(&shop, rows).await, 0);
    assert_eq!(count(&shop, "SELECT COUNT(*) FROM refunds").await, 1);
    shop.shut().await;
}

/// Stores retired rounds with these numbers that ended before the shop's own.
async fn older_rounds(shop: &Shop, numbers: std::ops::RangeInclusive<u32>) {
    for n in numbers {
        let statement = format!(
            "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms, retired_ms,
             cleared) VALUES ('old{n}', 'Old', 1, {}, 'approved', 1, 3, 1)",
            1000 + n / 2
        );
        database::execute(&shop.database_url, &statement).await;
    }
}

#[tokio::test]
async fn rounds_that_have_to_stay_do_not_keep_later_ones() {
    let (shop, folder) = (over().await, TempDir::new().unwrap());
    older_rounds(&shop, 1..=120).await;
    execute(
        &shop,
        "INSERT INTO inventory_holds (round, product, hold, generation, sku, amount, state,
         updated_ms) SELECT id, '153', id, 1, 's', 10, 'settling', 1 FROM rounds
         WHERE id LIKE 'old%'",
    )
    .await;
    let done = pass(&shop, &keep(&folder), 4, false).await;
    let (stay, gone): (Vec<_>, Vec<_>) = done.iter().partition(|it| it.stays.is_some());
    assert_eq!(stay.len(), 120, "each is looked at, and once");
    let gone: Vec<_> = gone
        .iter()
        .map(|it| (it.round.as_deref(), it.removed))
        .collect();
    assert_eq!(gone, [(Some("1"), 2)]);
    shop.shut().await;
}

#[tokio::test]
async fn old_records_go_and_waiting_ones_and_those_of_open_rounds_stay() {
    let (shop, folder) = (over().await, TempDir::new().unwrap());
    let keep = Keep {
        orders: None,
        notices: Some(3),
        audit: Some(3),
        ..keep(&folder)
    };
    for statement in [
        "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms)
         VALUES ('2', 'Next', 1, 2, 'draft', 1)",
        "INSERT INTO audit (at_ms, who, via, action, target, detail)
         VALUES (1, 'li', 'console', 'round.create', '2', '{}'),
                (1, 'li', 'console', 'stock.adjust', '2::154', '{}'),
                (1, 'li', 'console', 'sale.pause', '1::153', '{}'),
                (1, 'li', 'console', 'round.delete', '22', '{}'),
                (1, 'li', 'console', 'announcement.end', '', '{}'),
                (1, 'li', 'console', 'ban.add', 'user u1', '{}')",
        "INSERT INTO notices (order_id, kind, channel, state, attempts, due_ms, created_ms,
         updated_ms) VALUES (1, 'paid', 'email', 'waiting', 1, 1, 1, 1),
         (2, 'paid', 'email', 'sent', 1, 1, 1, 1), (3, 'paid', 'email', 'dead', 1, 1, 1, 1)",
    ] {
        execute(&shop, statement).await;
    }
    let done = pass(&shop, &keep, 0, false).await;
    let what: Vec<(&str, u64)> = done.iter().map(|it| (it.what, it.removed)).collect();
    assert_eq!(what, [("notices", 2), ("audit", 4)]);
    for (left, n) in [
        ("SELECT COUNT(*) FROM notices WHERE state = 'waiting'", 1),
        ("SELECT COUNT(*) FROM audit WHERE at_ms = 1", 2),
        (
            "SELECT COUNT(*) FROM audit WHERE target IN ('2', '2::154')",
            2,
        ),
    ] {
        assert_eq!(count(&shop, left).await, n, "{left}");
    }
    for outcome in &done {
        let text = std::fs::read_to_string(outcome.file.as_ref().unwrap()).unwrap();
        assert_eq!(text.lines().count() as u64, outcome.removed);
    }
    assert!(shop.store.all_orders(&item()).await.unwrap().len() == 2);
    shop.shut().await;
}

#[tokio::test]
async fn findings_go_once_their_subject_is_gone_and_their_ban_is_over() {
    let (shop, folder) = (Shop::open(1).await, TempDir::new().unwrap());
    let keep = Keep {
        orders: None,
        findings: Some(30),
        ..keep(&folder)
    };
    let ago = |days: u64| now_ms() - days * DAY_MS;
    // Each was last seen 100 days ago unless it says otherwise; a ban or a dismissal begins
    // after that, and ends later still.
    for (subject, state, last_ms, banned_until, good_until) in [
        ("proposed", "proposed", ago(100), None, None),
        (
            "banned",
            "banned",
            ago(100),
            Some(ago(100) + 7_200_000),
            None,
        ),
        ("confirmed", "confirmed", ago(100), Some(ago(99)), None),
        ("dismissed", "dismissed", ago(100), None, Some(ago(99))),
        ("stays banned", "banned", ago(100), Some(ago(29)), None),
        ("stays good", "dismissed", ago(100), None, Some(ago(29))),
        ("stays seen", "proposed", ago(29), None, None),
    ] {
        let time = |at: Option<u64>| at.map_or("NULL".to_owned(), |at| at.to_string());
        let statement = format!(
            "INSERT INTO findings (kind, subject, state, score, reasons, first_ms, last_ms,
             ban_until_ms, good_until_ms)
             VALUES ('user', '{subject}', '{state}', 1, '[]', 1, {last_ms}, {}, {})",
            time(banned_until),
            time(good_until),
        );
        database::execute(&shop.database_url, statement).await;
    }
    let would = pass(&shop, &keep, 0, true).await;
    assert_eq!((would.len(), would[0].removed), (1, 4), "{would:?}");
    let done = pass(&shop, &keep, 0, false).await;
    assert_eq!((done[0].what, done[0].removed), ("findings", 4));
    let left = "SELECT subject FROM findings ORDER BY subject";
    let left = database::texts(&shop.database_url, left).await;
    assert_eq!(left, ["stays banned", "stays good", "stays seen"]);
    assert_eq!(pass(&shop, &keep, 0, false).await, []);
    shop.shut().await;
}

/// The entries of the audit log on what retention has removed, newest first.
async fn removals(shop: &Shop) -> Vec<Value> {
    let query = AuditQuery {
        action: "retention.".to_owned(),
        limit: 10,
        ..AuditQuery::default()
    };
    let log = shop.store.audit(&query).await.unwrap();
    log.into_iter().map(|entry| entry.detail).collect()
}

#[test]
fn a_retention_shorter_than_a_payments_life_is_refused_at_the_start() {
    let read = |given: &[(&str, &str)]| {
        let given: Vec<(String, String)> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config::from_layers(gather(None, &given, Vec::new()).unwrap())
    };
    for days in ["1", "2"] {
        for key in ["ORDERS", "LEDGER", "NOTICES"] {
            let key = format!("SECKILL_KEEP_{key}_DAYS");
            let refused = read(&[(&key, days)]).unwrap_err().to_string();
            assert!(refused.contains("write 3 to 36500 days"), "{refused}");
        }
    }
    let week = [
        ("SECKILL_PAY_WITHIN", "604800"),
        ("SECKILL_KEEP_ORDERS_DAYS", "9"),
    ];
    let refused = read(&week).unwrap_err().to_string();
    assert!(refused.contains("write 10 to 36500 days"), "{refused}");
    let stays = [
        ("SECKILL_RETIRE_HOURS", "0"),
        ("SECKILL_KEEP_ORDERS_DAYS", "90"),
    ];
    let refused = read(&stays).unwrap_err().to_string();
    assert!(refused.contains("set retire_hours above 0"), "{refused}");
    let config = read(&[("SECKILL_KEEP_ORDERS_DAYS", "3")]).unwrap();
    assert_eq!((config.keep.orders, config.keep.audit), (Some(3), None));
    let never = read(&[("SECKILL_RETIRE_HOURS", "0")]).unwrap();
    assert_eq!(never.keep.orders, None, "by default all is kept");
}
