//! Input that is refused: each mistake at its field, with its value and a cure.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::rounds::{edit, form, make, step, three};
use crate::common::now_ms;

#[tokio::test]
async fn each_mistake_is_reported_at_its_field_with_its_value_and_its_cure() {
    let (console, li, ..) = three().await;
    let past = now_ms() - 1_000;
    let cases: Vec<(&str, Value, &str, &str)> = vec![
        (
            "/starts_ms",
            json!(past),
            "starts_ms",
            "is in the past; choose a start",
        ),
        ("/ends_ms", json!(past), "ends_ms", "is not after the start"),
        (
            "/ends_ms",
            json!(null),
            "ends_ms",
            "choose a day and a time",
        ),
        (
            "/name",
            json!(" "),
            "name",
            "This is empty; write 1 to 120 characters",
        ),
        ("/name", json!("x".repeat(121)), "name", "121 characters"),
        (
            "/days",
            json!(0),
            "days",
            "0 is not allowed; write a whole number from 1 to 92",
        ),
        ("/products", json!([]), "products", "add at least one"),
        (
            "/products/0/amount",
            json!(0),
            "products.0.amount",
            "0 is not allowed; write a whole number from 1",
        ),
        (
            "/products/0/amount",
            json!(-5),
            "products.0.amount",
            "-5 is not allowed",
        ),
        (
            "/products/0/amount",
            json!(1.5),
            "products.0.amount",
            "1.5 is not allowed",
        ),
        (
            "/products/0/amount",
            json!("many"),
            "products.0.amount",
            "many is not allowed",
        ),
        (
            "/products/0/price_cents",
            json!(-1),
            "products.0.price_cents",
            "-0.01 cannot be a price",
        ),
        (
            "/products/0/price_cents",
            json!(400_000),
            "products.0.price_cents",
            "4000.00, is above the list price, 3999.00",
        ),
        (
            "/products/0/per_buyer",
            json!(101),
            "products.0.per_buyer",
            "101 for one buyer is more than the amount, 100",
        ),
        (
            "/products/0/id",
            json!("../153"),
            "products.0.id",
            "\"../153\" cannot be an id",
        ),
        (
            "/products/0/picture",
            json!("../../keys"),
            "products.0.picture",
            "without a folder",
        ),
        (
            "/products/0/picture_alt",
            json!(["", "Back"]),
            "products.0.picture_alt",
            "2 texts, and the product has 1 pictures",
        ),
        (
            "/products/0/picture_alt",
            json!(["Fro\u{200b}nt"]),
            "products.0.picture_alt.0",
            "an invisible character, U+200B",
        ),
        (
            "/products/0/picture_alt",
            json!(["a\u{202e}b"]),
            "products.0.picture_alt.0",
            "U+202E, which changes the direction",
        ),
        (
            "/products/0/picture_alt",
            json!(["x".repeat(201)]),
            "products.0.picture_alt.0",
            "201 characters; write at most 200",
        ),
        (
            "/products/0/title",
            json!("two\nlines"),
            "products.0.title",
            "write one line",
        ),
        (
            "/products/0/title",
            json!("Pho\u{200b}ne"),
            "products.0.title",
            "an invisible character, U+200B",
        ),
        (
            "/name",
            json!("noon\u{202e}elas"),
            "name",
            "U+202E, which changes the direction",
        ),
        (
            "/products/0/text",
            json!("x".repeat(4_001)),
            "products.0.text",
            "4001 characters",
        ),
        (
            "/products/0/segments",
            json!([1, 2]),
            "products.0.segments",
            "add up to 3, and the amount is 100",
        ),
    ];
    for (pointer, value, field, words) in cases {
        let mut bad = form("153");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[name] = value.clone();
        for path in ["/ops/api/rounds", "/ops/api/rounds/check"] {
            let refused = console.post(&li, path, &bad).await;
            assert_eq!(
                refused.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{pointer}: {}",
                refused.body
            );
            let mistake = &refused.body["mistakes"][0];
            assert_eq!(mistake["field"], field, "{}", refused.body);
            let message = mistake["message"].as_str().unwrap();
            assert!(message.contains(words), "{pointer} {value}: {message}");
        }
    }
    let list = console.get(&li, "/ops/api/rounds").await.body;
    assert_eq!(list["total"], 0, "nothing of it was stored");
}

#[tokio::test]
async fn a_product_cannot_be_in_two_rounds_at_once() {
    let (console, li, wang, _) = three().await;
    make(&console, &li, &form("153")).await;
    let refused = console.post(&li, "/ops/api/rounds", &form("153")).await;
    let message = refused.body["mistakes"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Product 153 is also in round 1 (Noon), which runs from "),
        "{message}"
    );
    assert!(
        message.contains("Choose a time that does not overlap"),
        "{message}"
    );
    // Nor by an import, nor by moving a round there.
    let sale = console
        .get(&li, "/ops/api/rounds/export?form=json")
        .await
        .body
        .to_string();
    let import = console
        .request(Method::POST, "/ops/api/rounds/import")
        .of(&li)
        .header("content-type", "application/json");
    let other = sale.replacen("\"id\":\"1\"", "\"id\":\"2\"", 1);
    let refused = import.text(&other).send().await;
    assert_eq!(
        refused.body["mistakes"][0]["code"], "overlap_in_file",
        "{}",
        refused.body
    );
    let mut later = form("153");
    for field in ["starts_ms", "ends_ms"] {
        later[field] = json!(later[field].as_u64().unwrap() + 3_600_000);
    }
    let later = make(&console, &wang, &later).await;
    let mut moved = edit(&later);
    moved["starts_ms"] = form("153")["starts_ms"].clone();
    let refused = console.put(&wang, "/ops/api/rounds/2", &moved).await;
    assert_eq!(
        refused.body["mistakes"][0]["code"], "overlap",
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn ten_thousand_products_are_imported_quickly() {
    let (console, li, ..) = three().await;
    let products: Vec<Value> = (0..10_000)
        .map(|n| {
            json!({ "id": format!("p{n}"), "title": format!("Product {n}"), "amount": 10,
                         "price_cents": 100, "text": "One of ten thousand." })
        })
        .collect();
    let sale = json!({ "round": [{ "id": "1", "name": "All", "starts": "2098-01-01T12:00:00+08:00",
                                   "ends": "+1h", "product": products }] });
    let began = Instant::now();
    let import = console
        .request(Method::POST, "/ops/api/rounds/import")
        .of(&li)
        .json(&sale);
    let answer = import.send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let took = began.elapsed();
    // An unoptimised build on a busy machine; what matters is that it does not grow
    // with the square.
    assert!(took < Duration::from_secs(20), "{took:?}");
    let list = console.get(&li, "/ops/api/rounds").await.body;
    assert_eq!(list["rounds"][0]["product_count"], 10_000);
    assert_eq!(list["rounds"][0]["items"], 100_000);
}

#[tokio::test]
async fn a_path_that_climbs_out_leads_nowhere() {
    let (console, li, ..) = three().await;
    let round = make(&console, &li, &form("153")).await;
    for id in [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "1%00",
        "1%2fcopy",
        "1'%20OR%20'1'='1",
    ] {
        let path = format!("/ops/api/rounds/{id}");
        let shown = console.get(&li, &path).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{id}: {}", shown.body);
        let saved = console.put(&li, &path, &edit(&round)).await;
        assert_eq!(saved.status, StatusCode::NOT_FOUND, "{id}: {}", saved.body);
    }
    let mut named = form("9");
    named["id"] = json!("../../../tmp/x");
    let refused = console.post(&li, "/ops/api/rounds", &named).await;
    assert_eq!(refused.body["mistakes"][0]["code"], "id_form");
}

#[tokio::test]
async fn a_round_whose_start_has_passed_is_neither_submitted_nor_approved() {
    let (console, li, wang, _) = three().await;
    let mut soon = form("153");
    soon["starts_ms"] = json!(now_ms() + 3_000);
    let round = make(&console, &li, &soon).await;
    let waiting = step(&console, &li, &round, "submit").await.body;
    while now_ms() < soon["starts_ms"].as_u64().unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = step(&console, &wang, &waiting, "approve").await;
    assert_eq!(refused.body["code"], "start_passed", "{}", refused.body);
    assert!(
        refused.body["message"]
            .as_str()
            .unwrap()
            .contains("give it a later one")
    );
}
