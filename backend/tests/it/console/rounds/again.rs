//! What was withdrawn or ended is sold again, in a new round.

use super::*;

/// A round of two products.
fn two(one: &str, other: &str) -> Value {
    let mut form = form(one);
    let mut second = form["products"][0].clone();
    second["id"] = json!(other);
    form["products"].as_array_mut().unwrap().push(second);
    form
}

async fn stop(console: &Console, by: &Session, path: &str) {
    let path = format!("/ops/api/rounds/1/{path}");
    let done = console.post(by, &path, &json!({})).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
}

async fn code(console: &Console, by: &Session, form: &Value) -> Value {
    let made = console.post(by, "/ops/api/rounds", form).await;
    made.body["mistakes"][0]["code"].clone()
}

#[tokio::test]
async fn what_was_withdrawn_may_be_sold_in_a_new_round_in_the_same_hours() {
    let (console, li, wang, _) = three().await;
    approved(&console, &li, &wang, &two("153", "154")).await;
    // A pause may be resumed.
    stop(&console, &li, "pause").await;
    assert_eq!(code(&console, &li, &form("153")).await, "overlap");
    stop(&console, &li, "products/153/withdraw").await;
    assert_eq!(code(&console, &li, &form("154")).await, "overlap");
    approved(&console, &li, &wang, &form("153")).await;
    // The old round is still edited.
    stop(&console, &li, "resume").await;
    let old = console.get(&li, "/ops/api/rounds/1").await.body;
    let mut later = edit(&old);
    later["products"][1]["amount"] = json!(90);
    let saved = save(&console, &li, &old, &later).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    stop(&console, &li, "withdraw").await;
    approved(&console, &li, &wang, &form("154")).await;
    // Of all of a round, which has not begun, the copy has its hours.
    let withdrawn = approved(&console, &li, &wang, &two("155", "156")).await;
    let id = withdrawn["id"].as_str().unwrap();
    let path = format!("/ops/api/rounds/{id}/copy");
    let next_day = console.post(&li, &path, &json!({})).await.body;
    assert_ne!(next_day["starts_ms"], withdrawn["starts_ms"]);
    let withdraw = format!("/ops/api/rounds/{id}/withdraw");
    let done = console.post(&li, &withdraw, &json!({})).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let copy = console.post(&li, &path, &json!({})).await;
    assert_eq!(copy.status, StatusCode::CREATED, "{}", copy.body);
    assert_eq!(copy.body["starts_ms"], withdrawn["starts_ms"]);
}

#[tokio::test]
async fn what_ended_alone_may_be_sold_in_a_new_round_also_when_it_is_withdrawn_later() {
    let (console, li, wang, _) = three().await;
    let mut first = two("153", "154");
    first["ends_ms"] = json!(now_ms() + 5 * HOUR);
    approved(&console, &li, &wang, &first).await;
    let begun = format!("UPDATE rounds SET opens_ms = {}", now_ms() - 1_000);
    database::execute(&console.database_url, begun).await;
    stop(&console, &li, "products/153/end").await;
    let next = make(&console, &li, &form("153")).await;
    // As if the next one had begun before the first was withdrawn.
    let begun = format!("UPDATE rounds SET opens_ms = {} WHERE id = '2'", now_ms());
    database::execute(&console.database_url, begun).await;
    stop(&console, &li, "products/153/withdraw").await;
    let mut edited = edit(&next);
    edited["name"] = json!("Noon again");
    let saved = save(&console, &li, &next, &edited).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
}
