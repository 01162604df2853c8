//! A change at the console is whole or not at all: every refusal of every write leaves
//! stock, limits, versions, rounds and the audit log as they were.

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::store::AuditQuery;
use seckill::store::round::StoredRound;
use serde_json::{Value, json};

use super::rounds::{edit, form, make, step, three};
use crate::common::console::{Console, Session};
use crate::common::now_ms;

const HOUR: u64 = 3_600_000;

/// All that a write at the console may change.
#[derive(Debug, PartialEq)]
struct Everything {
    /// Every key of Redis but sessions, each with its value.
    redis: Vec<(String, Vec<u8>)>,
    rounds: Vec<StoredRound>,
    audit: Vec<seckill::store::AuditEntry>,
}

async fn look(console: &Console) -> Everything {
    let mut conn = console.link.conn().await.unwrap();
    let mut keys: Vec<String> = conn.keys("seckill::*").await.unwrap();
    keys.retain(|key| !key.starts_with("seckill::console::"));
    keys.sort();
    let mut redis = Vec::new();
    for key in keys {
        let value: Vec<u8> = redis::cmd("DUMP")
            .arg(&key)
            .query_async(&mut conn)
            .await
            .unwrap();
        redis.push((key, value));
    }
    let query = AuditQuery {
        limit: 1_000,
        ..AuditQuery::default()
    };
    Everything {
        redis,
        rounds: console.store.rounds().await.unwrap(),
        audit: console.store.audit(&query).await.unwrap(),
    }
}

/// A round of two products on sale, and a draft that sells the first of them directly
/// after it.
async fn market(console: &Console, li: &Session, wang: &Session) -> (Value, Value) {
    let mut noon = form("153");
    let mut other = noon["products"][0].clone();
    other["id"] = json!("154");
    noon["products"].as_array_mut().unwrap().push(other);
    let noon = make(console, li, &noon).await;
    let noon = step(console, li, &noon, "submit").await.body;
    let noon = step(console, wang, &noon, "approve").await.body;
    assert_eq!(noon["state"], "published", "{noon}");
    let mut next = form("153");
    next["starts_ms"] = noon["ends_ms"].clone();
    next["ends_ms"] = json!(noon["ends_ms"].as_u64().unwrap() + HOUR);
    (noon, make(console, li, &next).await)
}

#[tokio::test]
async fn every_refusal_of_every_write_changes_nothing() {
    let (console, li, wang, _) = three().await;
    let (noon, next) = market(&console, &li, &wang).await;
    let (noon_id, next_id) = (noon["id"].as_str().unwrap(), next["id"].as_str().unwrap());
    let at = |id: &str, rest: &str| format!("/ops/api/rounds/{id}{rest}");
    let change = |field: &str, value: Value| {
        let mut form = edit(&noon);
        // Something that would be allowed comes with each mistake.
        form["name"] = json!("Renamed");
        form["products"][0]["amount"] = json!(200);
        *form.pointer_mut(field).unwrap() = value;
        form
    };
    let later = now_ms() + 2 * HOUR;
    let mut gone = change("/name", json!("Renamed"));
    gone["products"].as_array_mut().unwrap().pop();
    let mut stale = change("/name", json!("Renamed"));
    stale["version"] = json!(noon["version"].as_u64().unwrap() - 1);
    let puts = [
        (
            noon_id,
            change(
                "/ends_ms",
                json!(noon["ends_ms"].as_u64().unwrap() + HOUR / 2),
            ),
            "mistakes",
        ),
        (
            noon_id,
            change("/ends_ms", json!(noon["ends_ms"].as_u64().unwrap() - 1_000)),
            "mistakes",
        ),
        (
            noon_id,
            change("/starts_ms", json!(now_ms() + 1_000)),
            "mistakes",
        ),
        (
            noon_id,
            change("/products/1/price_cents", json!(99_901)),
            "mistakes",
        ),
        (
            noon_id,
            change("/products/1/price_cents", json!(1)),
            "second_person",
        ),
        (
            noon_id,
            change("/products/1/list_price_cents", json!(500_000)),
            "mistakes",
        ),
        (
            noon_id,
            change("/products/1/per_buyer", json!(1)),
            "mistakes",
        ),
        (noon_id, change("/products/1/amount", json!(-1)), "mistakes"),
        (noon_id, change("/products/1/title", json!("")), "mistakes"),
        (
            noon_id,
            change("/products/1/picture", json!("../x")),
            "mistakes",
        ),
        (noon_id, gone, "mistakes"),
        (noon_id, stale, "already_approved"),
        ("nowhere", change("/name", json!("Renamed")), "not_found"),
        (
            next_id,
            json!({ "version": 1, "name": "", "starts_ms": later, "ends_ms": later }),
            "mistakes",
        ),
    ];
    let version = json!({ "version": 1 });
    let proposals = || "/ops/api/proposals".to_owned();
    let amount = |amount: u64| json!({ "round": noon_id, "product": "153", "amount": amount });
    let posts = [
        (
            format!("/ops/api/stock/{noon_id}/153"),
            json!({ "amount": 1_000_000_000 }),
            "second_person",
        ),
        (
            format!("/ops/api/stock/{noon_id}/153"),
            json!({ "amount": 101 }),
            "second_person",
        ),
        (proposals(), amount(100), "bad_request"),
        (proposals(), amount(2_000_000_000), "mistakes"),
        (proposals(), json!({ "round": noon_id }), "bad_request"),
        (
            proposals(),
            json!({ "round": next_id, "product": "153", "amount": 1 }),
            "not_approved",
        ),
        (
            proposals(),
            json!({ "round": noon_id, "product": "9", "amount": 1 }),
            "not_found",
        ),
        (
            "/ops/api/proposals/1/approve".to_owned(),
            json!({}),
            "supervisor_only",
        ),
        (
            "/ops/api/proposals/1/withdraw".to_owned(),
            json!({}),
            "not_found",
        ),
        (
            "/ops/api/rounds".to_owned(),
            json!({ "name": "" , "starts_ms": 1, "ends_ms": 0 }),
            "mistakes",
        ),
        (at(next_id, "/approve"), version.clone(), "supervisor_only"),
        (
            at(next_id, "/reject"),
            json!({ "version": 1, "reason": "x" }),
            "supervisor_only",
        ),
        (
            at(next_id, "/submit"),
            json!({ "version": 9 }),
            "changed_meanwhile",
        ),
        (at(noon_id, "/submit"), version.clone(), "already_approved"),
        (at(next_id, "/withdraw"), version.clone(), "not_submitted"),
        (at(next_id, "/withdraw"), json!({}), "bad_request"),
        (at(next_id, "/pause"), json!({}), "not_on_sale"),
        (at(noon_id, "/end"), json!({}), "not_begun"),
        (at(noon_id, "/products/9/pause"), json!({}), "not_found"),
        (at(next_id, "/publish"), json!({}), "not_submitted"),
        (at("nowhere", "/copy"), json!({}), "not_found"),
        (
            format!("/ops/api/stock/{noon_id}/153"),
            json!({ "amount": 2_000_000_000_u64 }),
            "mistakes",
        ),
        (
            format!("/ops/api/stock/{noon_id}/153"),
            json!({ "amount": 5, "request": "a b" }),
            "bad_request",
        ),
        (
            format!("/ops/api/stock/{noon_id}/9"),
            json!({ "amount": 5 }),
            "not_found",
        ),
        (
            "/ops/api/bans".to_owned(),
            json!({ "kind": "address", "value": "300.1.1.1", "reason": "x" }),
            "mistakes",
        ),
        (
            "/ops/api/bans".to_owned(),
            json!({ "kind": "user", "value": "u", "reason": "" }),
            "mistakes",
        ),
        (
            "/ops/api/bans/lift".to_owned(),
            json!({ "kind": "moon", "value": "u" }),
            "bad_request",
        ),
        (
            "/ops/api/dead-letters/1-1/redrive".to_owned(),
            json!({}),
            "not_found",
        ),
    ];
    let before = look(&console).await;
    for (id, form, code) in puts {
        let refused = console.put(&li, &at(id, ""), &form).await;
        assert!(
            refused.status.is_client_error(),
            "{id} {form}: {}",
            refused.body
        );
        assert_eq!(refused.body["code"], code, "{form}: {}", refused.body);
        assert_eq!(look(&console).await, before, "{form}");
    }
    for (path, body, code) in posts {
        let refused = console.post(&li, &path, &body).await;
        assert!(refused.status.is_client_error(), "{path}: {}", refused.body);
        assert_eq!(
            refused.body["code"], code,
            "{path} {body}: {}",
            refused.body
        );
        assert_eq!(look(&console).await, before, "{path} {body}");
    }
    // What is lifted though nobody was banned, and redriven though nothing is there, is
    // no refusal, and nothing that happened either.
    let lift = json!({ "kind": "user", "value": "nobody" });
    for (path, body) in [
        ("/ops/api/bans/lift", lift),
        ("/ops/api/dead-letters/redrive", json!({})),
    ] {
        let done = console.post(&li, path, &body).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
        assert_eq!(look(&console).await.audit, before.audit, "{path}");
    }
}

#[tokio::test]
async fn the_log_says_what_an_edit_changed_and_what_the_stock_was_and_is() {
    let (console, li, wang, _) = three().await;
    let (noon, _) = market(&console, &li, &wang).await;
    let mut form = edit(&noon);
    form["products"][0]["amount"] = json!(50);
    let saved = console.put(&li, "/ops/api/rounds/1", &form).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    let query = AuditQuery {
        limit: 2,
        ..AuditQuery::default()
    };
    let entries = console.store.audit(&query).await.unwrap();
    assert_eq!(
        (entries[0].action.as_str(), entries[1].action.as_str()),
        ("round.edit", "stock.adjust")
    );
    assert_eq!(entries[1].target, "1::153");
    assert_eq!(entries[1].detail["amount"], json!([100, 50]));
}
