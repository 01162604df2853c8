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
    assert_eq!(
        refused.body["mistakes"][0]["values"],
        json!(["153", "2", "1", "Noon"])
    );
    let message = refused.body["mistakes"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Product 153 of round \"2\" is also in round \"1\" (Noon)"),
        "{message}"
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
async fn a_file_that_would_change_a_submitted_round_names_it_and_what_to_do() {
    let (console, li, ..) = three().await;
    let round = make(&console, &li, &form("153")).await;
    step(&console, &li, &round, "submit").await;
    let export = console.get(&li, "/ops/api/rounds/export?form=json").await;
    let changed = export.body.to_string().replacen("Noon", "Evening", 1);
    let import = console
        .request(Method::POST, "/ops/api/rounds/import")
        .of(&li)
        .header("content-type", "application/json");
    let refused = import.text(&changed).send().await;
    let mistake = &refused.body["mistakes"][0];
    assert_eq!(
        (&mistake["code"], &mistake["values"]),
        (&json!("round_fixed"), &json!(["1"])),
        "{}",
        refused.body
    );
    assert_eq!(
        mistake["message"],
        "Round \"1\" is submitted, and no file changes it (its name is Noon, the file says Evening); \
         withdraw it at the console first."
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

#[tokio::test]
async fn what_operators_write_has_no_character_that_acts_on_a_terminal_or_is_not_seen() {
    let (console, li, wang, _) = three().await;
    let round = make(&console, &li, &form("153")).await;
    let version = &round["version"];
    for (character, named) in [
        ("\u{0}", "U+0000"),
        ("\u{1b}", "U+001B"),
        ("\u{7}", "U+0007"),
        ("\u{202e}", "U+202E"),
        ("\u{200b}", "U+200B"),
    ] {
        let text = format!("a{character}b");
        for (path, body) in [
            ("orders/1/note", json!({ "text": text })),
            ("orders/1/cancel", json!({ "text": text })),
            ("orders/1/refund", json!({ "text": text })),
            ("rounds/1/pause", json!({ "reason": text })),
            (
                "rounds/1/reject",
                json!({ "reason": text, "version": version }),
            ),
            ("proposals/1/reject", json!({ "reason": text })),
            (
                "proposals",
                json!({ "round": "1", "product": "153", "amount": 5, "reason": text }),
            ),
        ] {
            let refused = console
                .post(&wang, &format!("/ops/api/{path}"), &body)
                .await;
            assert_eq!(refused.body["code"], "bad_request", "{path} {named}");
            let message = refused.body["message"].as_str().unwrap();
            assert!(message.contains(named), "{path}: {message}");
        }
        let said = json!({ "text": text, "minutes": 5 });
        let refused = console.post(&li, "/ops/api/announcement", &said).await;
        let message = refused.body.to_string();
        assert!(message.contains(named), "{message}");
    }
    let address = json!({ "kind": "address", "subject": "1.2.3.4\u{0}" });
    for path in ["findings/dismiss", "findings/confirm"] {
        let path = format!("/ops/api/{path}");
        let refused = console.post(&li, &path, &address).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    }
}

#[tokio::test]
async fn a_path_or_a_query_that_cannot_be_read_is_refused_in_json_with_a_code() {
    let (console, _, wang, _) = three().await;
    for (path, code) in [
        ("proposals/abc", "bad_request"),
        ("rounds/%FF", "bad_request"),
        ("board/history?range=x", "bad_request"),
        ("orders?user=a%00b", "bad_request"),
        ("orders?payment=a%00b", "bad_request"),
        ("orders/export?round=%1B", "bad_request"),
        ("audit?who=a%00b", "bad_request"),
        ("audit?foo=1", "bad_request"),
        ("audit/export?foo=1", "bad_request"),
        ("rounds?stat=draft", "bad_request"),
        ("rounds?q=%00", "bad_request"),
        ("rounds/export?from=json", "bad_request"),
        ("proposals?foo=1", "bad_request"),
        ("bans?foo=1", "bad_request"),
        ("findings?foo=1", "bad_request"),
        ("dead-letters?foo=1", "bad_request"),
        ("rounds/1%00", "not_found"),
        ("orders/1%00", "not_found"),
    ] {
        let refused = console.get(&wang, &format!("/ops/api/{path}")).await;
        assert_eq!(refused.body["code"], code, "{path}: {}", refused.body);
        assert!(refused.body["message"].is_string(), "{path}");
    }
    let role = json!({ "role": "operator" });
    let refused = console.put(&wang, "/ops/api/accounts/a%00b", &role).await;
    assert_eq!(refused.body["code"], "not_found");
}

#[tokio::test]
async fn a_hundred_thousand_mistakes_are_refused_quickly_and_the_first_hundred_reported() {
    let (console, li, ..) = three().await;
    let mut sale =
        "[[round]]\nid = \"1\"\nname = \"All\"\nstarts = \"+1h\"\nends = \"+1h\"\n".to_owned();
    for n in 0..10_000 {
        sale.push_str(&format!(
            "[[round.product]]\nid = \"p{n}\"\ntitle = \"P\"\namount = \"1\"\nprice = 1\n"
        ));
    }
    let began = Instant::now();
    let import = console.request(Method::POST, "/ops/api/rounds/import");
    let refused = import.of(&li).text(&sale).send().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let mistakes = refused.body["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 101);
    let last = mistakes.last().unwrap();
    assert_eq!(last["code"], "more_mistakes");
    // Of each product its amount, a field that there is not, and a price that is missing.
    assert_eq!(last["values"], json!(["29900"]));
}

#[tokio::test]
async fn what_cannot_be_done_with_a_round_that_exists_is_refused_and_not_dropped() {
    let (console, li, wang, _) = three().await;
    let round = make(&console, &li, &form("153")).await;
    let with = |round: &Value, name: &str, value: Value| {
        let mut edit = edit(round);
        edit[name] = value;
        edit
    };
    let code = async |by, edit: &Value| {
        let answer = console.put(by, "/ops/api/rounds/1", edit).await;
        answer.body["mistakes"][0]["code"].clone()
    };
    assert_eq!(
        code(&li, &with(&round, "days", json!(3))).await,
        "fixed_days"
    );
    assert_eq!(code(&li, &with(&round, "id", json!("2"))).await, "fixed_id");
    // What says what is so already is taken, and without a change nothing is noted.
    let same = with(&with(&round, "days", json!(1)), "id", json!("1"));
    let saved = console.put(&li, "/ops/api/rounds/1", &same).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    assert_eq!(saved.body["version"], round["version"]);
    let log = console.get(&wang, "/ops/api/audit?action=round.edit").await;
    assert_eq!(log.body["entries"], json!([]));

    let round = step(&console, &li, &round, "submit").await.body;
    let round = step(&console, &wang, &round, "approve").await.body;
    let mut fewer = edit(&round);
    fewer["products"][0]["amount"] = json!(90);
    for (name, value, refused) in [
        ("days", json!(5), "fixed_days"),
        ("id", json!("2"), "fixed_id"),
    ] {
        let mut fewer = fewer.clone();
        fewer[name] = value;
        assert_eq!(code(&li, &fewer).await, refused);
        let proposal = json!({ "round": "1", "form": fewer, "reason": "less" });
        let answer = console.post(&li, "/ops/api/proposals", &proposal).await;
        assert_eq!(answer.body["mistakes"][0]["code"], refused);
    }
    let mut divided = fewer.clone();
    divided["products"][0]["segments"] = json!([40, 50]);
    assert_eq!(code(&li, &divided).await, "fixed_segments");
    // The editor sends the segments as they are.
    fewer["products"][0]["segments"] = round["products"][0]["segments"].clone();
    let saved = console.put(&li, "/ops/api/rounds/1", &fewer).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    assert_eq!(saved.body["products"][0]["amount"], 90);
}
