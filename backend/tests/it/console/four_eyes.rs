//! Four eyes: accounts in the same hands are no two people.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::accounts::{log_in, made};
use super::rounds::{form, make, step, three};
use crate::common::console::{Console, Session};

/// Has a round made and submitted.
async fn submitted(console: &Console, by: &Session, product: &str) -> Value {
    let round = make(console, by, &form(product)).await;
    step(console, by, &round, "submit").await.body
}

/// Gives an account a new password, and chooses another one with it.
async fn reset(console: &Console, by: &Session, name: &str) -> Session {
    let path = format!("/ops/api/accounts/{name}/reset");
    let given = console.post(by, &path, &json!({})).await;
    assert_eq!(given.status, StatusCode::OK, "{}", given.body);
    let password = given.body["password"].as_str().unwrap();
    let session = log_in(console, name, password, None).await.session();
    let change = json!({ "password": password, "new": "another of my own" });
    let chosen = console.post(&session, "/ops/api/me/password", &change);
    chosen.await.session()
}

/// Nobody else than the giver of this account is meant.
async fn refuses(console: &Console, by: &Session, round: &Value, hand: &str) {
    let refused = step(console, by, round, "approve").await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::FORBIDDEN, &json!("account_too_new")),
        "{}",
        refused.body
    );
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.starts_with(hand), "{message}");
}

async fn approves(console: &Console, by: &Session, round: &Value) {
    let done = step(console, by, round, "approve").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
}

#[tokio::test]
async fn whom_a_supervisor_gave_an_account_does_not_approve_their_work_the_same_day() {
    let (console, li, wang, zhao) = three().await;
    let puppet = made(&console, &wang, "puppet", "supervisor").await;
    let round = make(&console, &wang, &form("153")).await;
    let round = step(&console, &wang, &round, "submit").await.body;
    let refused = step(&console, &puppet, &round, "approve").await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::FORBIDDEN, &json!("account_too_new")),
        "{}",
        refused.body
    );
    // Of what others did, it is a second pair of eyes.
    let other = make(&console, &li, &form("154")).await;
    let other = step(&console, &li, &other, "submit").await.body;
    let done = step(&console, &puppet, &other, "approve").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let done = step(&console, &zhao, &round, "approve").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let id = round["id"].as_str().unwrap();
    let change = json!({ "round": id, "product": "153", "amount": 150 });
    let proposal = console.post(&wang, "/ops/api/proposals", &change).await;
    let path = format!("/ops/api/proposals/{}/approve", proposal.body["id"]);
    let refused = console.post(&puppet, &path, &json!({})).await;
    assert_eq!(refused.body["code"], "account_too_new", "{}", refused.body);
    // A reset or another role counts the same.
    let zhao = reset(&console, &wang, "zhao").await;
    let refused = console.post(&zhao, &path, &json!({})).await;
    assert_eq!(refused.body["code"], "account_too_new", "{}", refused.body);
}

#[tokio::test]
async fn accounts_that_come_by_way_of_others_are_in_the_hands_of_the_first_giver() {
    let (console, _, wang, zhao) = three().await;
    let round = submitted(&console, &wang, "153").await;
    let bea = made(&console, &wang, "bea", "supervisor").await;
    let cyd = made(&console, &bea, "cyd", "supervisor").await;
    refuses(&console, &cyd, &round, "wang").await;
    approves(&console, &zhao, &round).await;
    // Changes of what is approved likewise.
    let change = json!({ "round": round["id"], "product": "153", "amount": 150 });
    let proposal = console.post(&wang, "/ops/api/proposals", &change).await;
    let path = format!("/ops/api/proposals/{}/approve", proposal.body["id"]);
    let refused = console.post(&cyd, &path, &json!({})).await;
    assert_eq!(refused.body["code"], "account_too_new", "{}", refused.body);
    let done = console.post(&zhao, &path, &json!({})).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
}

#[tokio::test]
async fn a_later_giver_does_not_hide_the_one_before() {
    let (console, _, wang, zhao) = three().await;
    let round = submitted(&console, &wang, "153").await;
    made(&console, &wang, "bea", "supervisor").await;
    for disabled in [true, false] {
        let change = json!({ "disabled": disabled });
        let done = console.put(&zhao, "/ops/api/accounts/bea", &change).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    }
    let bea = log_in(&console, "bea", "a password of my own", None).await;
    refuses(&console, &bea.session(), &round, "wang").await;
}

#[tokio::test]
async fn nobody_approves_what_was_done_with_an_account_that_they_gave() {
    let (console, li, wang, zhao) = three().await;
    let puppet = made(&console, &wang, "puppet", "operator").await;
    let round = submitted(&console, &puppet, "153").await;
    refuses(&console, &wang, &round, "wang").await;
    // Nor does a second account of the same giver.
    let other = made(&console, &wang, "other", "supervisor").await;
    refuses(&console, &other, &round, "wang").await;
    approves(&console, &zhao, &round).await;
    // Whoever gets an account later has not what its owner did before.
    let round = submitted(&console, &li, "154").await;
    reset(&console, &wang, "li").await;
    approves(&console, &wang, &round).await;
}
