//! The recorded past of the board.

use axum::http::StatusCode;
use seckill::store::accounts::Role;
use seckill::store::{Actor, Done};
use serde_json::{Value, json};

use crate::common::console::{Console, Session};
use crate::common::{database, now_ms};
use crate::console::rounds;

/// A whole ten seconds.
const FROM: u64 = 1_700_000_000_000;

#[tokio::test]
async fn the_past_is_shown_in_means_with_what_happened_meanwhile() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    for n in 0..6 {
        let data = json!({ "received": 10.0 * n as f64, "orders": 2.0 }).to_string();
        let at_ms = FROM + n * 10_000;
        assert!(console.store.record_history(at_ms, &data).await.unwrap());
        // Another ops role, the same moment.
        assert!(!console.store.record_history(at_ms, "{}").await.unwrap());
    }
    let ban = Done {
        action: "ban.add",
        target: "user:eve".to_owned(),
        detail: json!({}),
    };
    let by = Actor::system();
    console
        .store
        .note_audit(&by, &ban, FROM + 15_000)
        .await
        .unwrap();

    let path = |points: u64| {
        let to = FROM + 80_000;
        format!("/ops/api/board/history?from_ms={FROM}&to_ms={to}&points={points}")
    };
    let answer = console.get(&li, &path(4)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["step_ms"], 20_000);
    assert_eq!(answer.body["received"], json!([5.0, 25.0, 45.0, null]));
    assert_eq!(answer.body["orders"], json!([2.0, 2.0, 2.0, null]));
    let mark = &answer.body["marks"][0];
    assert_eq!(mark["kind"], "ban.add");
    assert_eq!(mark["subject"], "user:eve");

    console.store.forget_history(FROM + 30_000).await.unwrap();
    let left = console.get(&li, &path(8)).await.body;
    assert_eq!(left["received"][2], json!(null));
    assert_eq!(left["received"][3], json!(30.0));
    let refused = console
        .get(
            &li,
            &format!("/ops/api/board/history?from_ms={FROM}&to_ms=1"),
        )
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_report_says_what_a_round_sold_and_what_came_for_it() {
    let (console, li, ..) = rounds::three().await;
    let round = rounds::make(&console, &li, &rounds::form("153")).await;
    let starts_ms = round["starts_ms"].as_u64().unwrap();
    // A point is of the ten seconds before it: the first one is of a time before the start.
    for (at_ms, rate) in [(0, 900.0), (10_000, 5.0), (20_000, 30.0)] {
        let data = json!({ "received": rate }).to_string();
        let at_ms = starts_ms + at_ms;
        assert!(console.store.record_history(at_ms, &data).await.unwrap());
    }
    let path = format!("/ops/api/rounds/{}/report", round["id"].as_str().unwrap());
    let report = console.get(&li, &path).await;
    assert_eq!(report.status, StatusCode::OK, "{}", report.body);
    assert_eq!(report.body["name"], "Noon");
    assert_eq!(report.body["requests"], 350);
    assert_eq!(report.body["peak_per_second"], 30.0);
    assert_eq!(report.body["requests_shared"], false);
    let product = &report.body["products"][0];
    assert_eq!(
        (&product["amount"], &product["paid_items"]),
        (&json!(100), &json!(0))
    );
    assert_eq!(product["first_ms"], json!(null));
    assert_eq!(report.body["orders_removed_ms"], json!(null));

    // As a version left it that kept no figures of what it removed.
    let removed = format!(
        "INSERT INTO removals (round, what, removed, file, digest, at_ms)
         VALUES ('{}', 'orders', 7, 'f', 'd', 1700000000000)",
        round["id"].as_str().unwrap()
    );
    database::execute(&console.database_url, removed).await;
    let report = console.get(&li, &path).await.body;
    assert_eq!(report["orders_removed_ms"], json!(1_700_000_000_000_u64));
    assert_eq!(report["figures_lost"], json!(true));
    let unknown = console.get(&li, "/ops/api/rounds/none/report").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

/// Puts a round of this product on sale, and lets it sell between these times.
async fn selling(
    console: &Console,
    by: (&Session, &Session),
    product: &str,
    (opens, ends): (u64, u64),
) -> String {
    let round = rounds::make(console, by.0, &rounds::form(product)).await;
    let round = rounds::step(console, by.0, &round, "submit").await.body;
    let round = rounds::step(console, by.1, &round, "approve").await.body;
    let id = round["id"].as_str().unwrap().to_owned();
    let statement =
        format!("UPDATE rounds SET opens_ms = {opens}, ends_ms = {ends} WHERE id = '{id}'");
    database::execute(&console.database_url, statement).await;
    id
}

/// What a round's report or the board's history says that happened.
fn kinds(body: &Value) -> Vec<String> {
    let marks = body["marks"].as_array().unwrap().iter();
    let text = |mark: &Value| format!("{} {}", mark["kind"].as_str().unwrap(), mark["round"]);
    marks.map(text).collect()
}

#[tokio::test]
async fn a_report_tells_of_its_own_round_and_of_the_site_and_not_of_what_is_to_come() {
    let (console, li, wang, _) = rounds::three().await;
    let now = now_ms();
    let own = selling(&console, (&li, &wang), "153", (now - 60_000, now + 600_000)).await;
    let other = selling(&console, (&li, &wang), "154", (now - 30_000, now + 300_000)).await;
    for id in [&other, &own] {
        let path = format!("/ops/api/rounds/{id}/pause");
        let paused = console.post(&li, &path, &json!({})).await;
        assert_eq!(paused.status, StatusCode::OK, "{}", paused.body);
    }
    let ban = json!({"kind": "user", "value": "eve", "reason": "resells", "for": null});
    console.post(&li, "/ops/api/bans", &ban).await;

    let path = format!("/ops/api/rounds/{own}/report");
    let report = console.get(&li, &path).await.body;
    let expected = [
        "round.opens \"1\"",
        "round.approve \"1\"",
        "sale.pause \"1\"",
        "ban.add null",
    ];
    assert_eq!(kinds(&report), expected, "{report:#}");
    assert_eq!(report["state"], "paused");
    assert_eq!(
        report["requests_shared"], true,
        "the other one sold meanwhile"
    );
    // An end that an operator brought forward is the last that happened.
    let resume = format!("/ops/api/rounds/{own}/resume");
    console.post(&li, &resume, &json!({})).await;
    console
        .post(&li, &format!("/ops/api/rounds/{own}/end"), &json!({}))
        .await;
    let report = console.get(&li, &path).await.body;
    assert_eq!(report["state"], "ended");
    let mut last = kinds(&report).split_off(4);
    last.sort();
    let expected = ["round.ends \"1\"", "sale.end \"1\"", "sale.resume \"1\""];
    assert_eq!(last, expected, "{report:#}");
}

#[tokio::test]
async fn a_round_that_was_withdrawn_before_its_start_never_opened() {
    let (console, li, wang, _) = rounds::three().await;
    let now = now_ms();
    let (by, later) = ((&li, &wang), (now + 600_000, now + 700_000));
    let id = selling(&console, by, "153", later).await;
    selling(&console, by, "154", (now - 60_000, now + 300_000)).await;
    let path = format!("/ops/api/rounds/{id}/withdraw");
    let withdrawn = console.post(&li, &path, &json!({})).await;
    assert_eq!(withdrawn.body["state"], "withdrawn", "{}", withdrawn.body);
    // What comes meanwhile comes for the other one.
    let data = json!({ "received": 9.0 }).to_string();
    assert!(
        console
            .store
            .record_history(now + 10_000, &data)
            .await
            .unwrap()
    );
    let path = format!("/ops/api/rounds/{id}/report");
    let report = console.get(&li, &path).await.body;
    assert_eq!(report["starts_ms"], now + 600_000);
    let came = (&report["requests"], &report["requests_shared"]);
    assert_eq!(came, (&Value::Null, &json!(false)));
    assert_eq!(kinds(&report), ["sale.withdraw \"1\""]);

    // Its time comes, and goes by.
    let statement = "UPDATE rounds SET opens_ms = (SELECT MAX(at_ms) FROM stops), \
                     ends_ms = (SELECT MAX(at_ms) + 1 FROM stops) WHERE id = '1'";
    database::execute(&console.database_url, statement).await;
    let report = console.get(&li, &path).await.body;
    assert_eq!(report["state"], "withdrawn", "{report:#}");
    assert_eq!(kinds(&report), ["sale.withdraw \"1\""]);
    let path = format!("/ops/api/board/history?from_ms={}", now - 1_000);
    let history = console.get(&li, &path).await.body;
    let opened = kinds(&history)
        .into_iter()
        .find(|it| it == "round.opens \"1\"");
    assert_eq!(opened, None, "{history:#}");
}

#[tokio::test]
async fn a_price_is_marked_once_it_is_lowered_and_not_when_that_is_proposed() {
    let (console, li, wang, _) = rounds::three().await;
    let (by, now) = ((&li, &wang), now_ms());
    let id = selling(&console, by, "153", (now - 60_000, now + 600_000)).await;
    let path = format!("/ops/api/rounds/{id}");
    let mut form = rounds::edit(&console.get(&li, &path).await.body);
    form["name"] = json!("Noon, and cheaper");
    form["products"][0]["price_cents"] = json!(89_900);
    let change = json!({ "round": id, "form": form, "reason": "It sells slowly." });
    let made = console.post(&li, "/ops/api/proposals", &change).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let report = format!("{path}/report");
    let before = kinds(&console.get(&li, &report).await.body);
    assert_eq!(before, ["round.opens \"1\"", "round.approve \"1\""]);

    let approve = format!("/ops/api/proposals/{}/approve", made.body["id"]);
    let approved = console.post(&wang, &approve, &json!({})).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.body);
    let report = console.get(&li, &report).await.body;
    let marks = report["marks"].as_array().unwrap();
    assert_eq!(marks.len(), 3, "{report:#}");
    let (kind, subject) = (&marks[2]["kind"], &marks[2]["subject"]);
    assert_eq!(
        (kind, subject),
        (&json!("round.price_cut"), &json!("1::153"))
    );
    // A draft sells to nobody.
    let draft = rounds::make(&console, &li, &rounds::form("154")).await;
    let mut form = rounds::edit(&draft);
    form["products"][0]["price_cents"] = json!(1);
    let path = format!("/ops/api/rounds/{}", draft["id"].as_str().unwrap());
    let saved = console.put(&li, &path, &form).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    let path = format!("/ops/api/board/history?from_ms={}", now - 100_000);
    let history = kinds(&console.get(&li, &path).await.body);
    let cuts = history.iter().filter(|it| it.contains("price"));
    assert_eq!(cuts.count(), 1, "{history:?}");
}

#[tokio::test]
async fn every_lowered_price_of_a_large_edit_is_marked() {
    const PRODUCTS: usize = 1_000;
    let (console, li, wang, _) = rounds::three().await;
    let mut form = rounds::form("1");
    let product = form["products"][0].clone();
    let products = (1..=PRODUCTS).map(|n| {
        let mut product = product.clone();
        product["id"] = json!(n.to_string());
        product
    });
    form["products"] = products.collect();
    let round = rounds::make(&console, &li, &form).await;
    let round = rounds::step(&console, &li, &round, "submit").await.body;
    let round = rounds::step(&console, &wang, &round, "approve").await.body;
    // Cheaper each, with another text: more than an entry of the audit log lists.
    let mut form = rounds::edit(&round);
    for product in form["products"].as_array_mut().unwrap() {
        product["price_cents"] = json!(89_900);
        product["text"] = json!("Folds once.");
    }
    let change = json!({ "round": "1", "form": form, "reason": "It sells slowly." });
    let made = console.post(&li, "/ops/api/proposals", &change).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let approve = format!("/ops/api/proposals/{}/approve", made.body["id"]);
    let approved = console.post(&wang, &approve, &json!({})).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.body);

    let log = console.get(&li, "/ops/api/audit?action=round.edit").await;
    let detail = &log.body["entries"][0]["detail"];
    let listed = detail["changes"].as_array().unwrap();
    let is_price = |it: &&Value| it["field"].as_str().unwrap().ends_with(".price_cents");
    assert!(listed.iter().filter(is_price).count() > 800, "{detail}");
    assert_eq!(detail["left_out"], 2 * PRODUCTS - listed.len());
    let path = format!("/ops/api/board/history?from_ms={}", now_ms() - 100_000);
    let history = kinds(&console.get(&li, &path).await.body);
    let cuts = history.iter().filter(|it| it.contains("price_cut"));
    assert_eq!(cuts.count(), PRODUCTS);
}
