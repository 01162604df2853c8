//! Rounds made, submitted, approved by another person, and edited where that is safe.

use axum::http::{Method, StatusCode};
use redis::AsyncCommands as _;
use seckill::store::accounts::Role;
use seckill_core::keys;
use serde_json::{Value, json};

use crate::common::console::{Answer, Console, Session};
use crate::common::{database, now_ms};

mod again;
mod edits;

const HOUR: u64 = 3_600_000;

/// A round of one product that opens in an hour.
pub(crate) fn form(product: &str) -> Value {
    let starts = (now_ms() / 1_000 + 3_600) * 1_000;
    json!({
        "name": "Noon", "starts_ms": starts, "ends_ms": starts + HOUR,
        "products": [{
            "id": product, "title": "Phone", "amount": 100, "price_cents": 99_900,
            "list_price_cents": 399_900, "per_buyer": 2,
            "text": "Folds **twice**.", "picture": "phone.webp",
        }],
    })
}

pub(crate) async fn make(console: &Console, by: &Session, form: &Value) -> Value {
    let made = console.post(by, "/ops/api/rounds", form).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body[0].clone()
}

pub(crate) async fn step(console: &Console, by: &Session, round: &Value, step: &str) -> Answer {
    let path = format!("/ops/api/rounds/{}/{step}", round["id"].as_str().unwrap());
    let body = match step {
        "reject" => json!({ "version": round["version"], "reason": "The price is wrong." }),
        "publish" => json!({}),
        _ => json!({ "version": round["version"] }),
    };
    console.post(by, &path, &body).await
}

/// The same round as a form, to be edited.
pub(crate) fn edit(round: &Value) -> Value {
    let mut form = json!({ "version": round["version"], "name": round["name"],
        "starts_ms": round["starts_ms"], "ends_ms": round["ends_ms"],
        "products": round["products"] });
    for product in form["products"].as_array_mut().unwrap() {
        for shown in ["page", "stopped"] {
            product.as_object_mut().unwrap().remove(shown);
        }
    }
    form
}

async fn save(console: &Console, by: &Session, round: &Value, form: &Value) -> Answer {
    let path = format!("/ops/api/rounds/{}", round["id"].as_str().unwrap());
    console.put(by, &path, form).await
}

pub(crate) async fn three() -> (Console, Session, Session, Session) {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let wang = console.person("wang", Role::Supervisor).await;
    let zhao = console.person("zhao", Role::Supervisor).await;
    (console, li, wang, zhao)
}

async fn approved(console: &Console, li: &Session, wang: &Session, form: &Value) -> Value {
    let round = make(console, li, form).await;
    let round = step(console, li, &round, "submit").await.body;
    let answer = step(console, wang, &round, "approve").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["problem"], Value::Null);
    answer.body
}

#[tokio::test]
async fn an_operator_makes_a_round_a_supervisor_approves_it_and_it_is_on_sale() {
    let (console, li, wang, _) = three().await;
    let mut form = form("153");
    form["products"][0]["picture"] = json!("phone.webp,back.webp");
    form["products"][0]["picture_alt"] = json!(["", " Its back "]);
    let round = make(&console, &li, &form).await;
    assert_eq!(round["products"][0]["picture_alt"], json!(["", "Its back"]));
    assert_eq!(
        (&round["id"], &round["state"]),
        (&json!("1"), &json!("draft"))
    );
    let refused = step(&console, &wang, &round, "approve").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "a draft is not ready");
    let round = step(&console, &li, &round, "submit").await.body;
    let refused = step(&console, &li, &round, "approve").await;
    assert_eq!(refused.body["code"], "supervisor_only");
    let round = step(&console, &wang, &round, "approve").await.body;
    assert_eq!(round["state"], "published");
    assert_eq!(round["decided_by"], "wang");

    let mut conn = console.link.conn().await.unwrap();
    let stock: Vec<i64> = redis::cmd("HMGET")
        .arg("seckill::{1::153::01}::stock")
        .arg(&[
            "sale_stock_amount",
            "locked_stock_amount",
            "saled_stock_amount",
        ])
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(stock, [100, 0, 0]);
    let shown: [String; 2] = conn
        .hmget("seckill::{1::153}::info", &["picture", "picture_alt"])
        .await
        .unwrap();
    assert_eq!(shown, ["phone.webp,back.webp", "\nIts back"]);
    let page = round["products"][0]["page"].as_str().unwrap();
    console.render().await;
    let html = std::fs::read_to_string(console.config.pages_dir().join(&page[1..])).unwrap();
    assert!(html.contains("Folds <strong>twice</strong>."), "{html}");
    let again = step(&console, &li, &round, "publish").await;
    assert_eq!(
        again.body["problem"],
        Value::Null,
        "publishing again does no harm"
    );
}

#[tokio::test]
async fn supervisors_cannot_approve_rounds_that_they_made_or_changed() {
    let (console, li, wang, zhao) = three().await;
    let own = make(&console, &wang, &form("1")).await;
    let own = step(&console, &wang, &own, "submit").await.body;
    let refused = step(&console, &wang, &own, "approve").await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::FORBIDDEN, &json!("own_round"))
    );
    assert!(
        refused.body["message"]
            .as_str()
            .unwrap()
            .contains("another supervisor")
    );

    let edited = make(&console, &li, &form("2")).await;
    let mut change = edit(&edited);
    change["name"] = json!("Noon, by Wang");
    let edited = save(&console, &wang, &edited, &change).await.body;
    let edited = step(&console, &li, &edited, "submit").await.body;
    assert_eq!(
        step(&console, &wang, &edited, "approve").await.body["code"],
        "own_round"
    );
    assert_eq!(
        step(&console, &zhao, &edited, "approve").await.status,
        StatusCode::OK
    );
    assert_eq!(
        step(&console, &zhao, &own, "approve").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn of_two_supervisors_at_once_one_approves_and_the_other_reads_who_did() {
    let (console, li, wang, zhao) = three().await;
    for number in 0..5 {
        let round = make(&console, &li, &form(&format!("p{number}"))).await;
        let round = step(&console, &li, &round, "submit").await.body;
        let (one, other) = tokio::join!(
            step(&console, &wang, &round, "approve"),
            step(&console, &zhao, &round, "approve")
        );
        let mut answers = [(one, "wang"), (other, "zhao")];
        answers.sort_by_key(|(answer, _)| answer.status);
        let [(first, winner), (second, _)] = answers;
        assert_eq!(first.status, StatusCode::OK, "{}", first.body);
        assert_eq!(second.status, StatusCode::CONFLICT, "{}", second.body);
        assert_eq!(second.body["code"], "already_approved");
        let message = second.body["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("{winner} approved this round")),
            "{message}"
        );
        let path = format!(
            "/ops/api/audit?action=round.approve&target={}",
            round["id"].as_str().unwrap()
        );
        let log = console.get(&li, &path).await.body;
        assert_eq!(
            log["entries"].as_array().unwrap().len(),
            1,
            "one approval on record"
        );
        assert_eq!(log["entries"][0]["who"], winner);
    }
}

#[tokio::test]
async fn a_rejected_round_says_why_and_is_a_draft_again_once_it_is_edited() {
    let (console, li, wang, _) = three().await;
    let round = make(&console, &li, &form("153")).await;
    let round = step(&console, &li, &round, "submit").await.body;
    let waiting = save(&console, &li, &round, &edit(&round)).await;
    assert_eq!(waiting.body["code"], "waits_for_approval");
    let round = step(&console, &wang, &round, "reject").await.body;
    assert_eq!(
        (&round["state"], &round["reason"]),
        (&json!("rejected"), &json!("The price is wrong."))
    );
    let round = save(&console, &li, &round, &edit(&round)).await.body;
    assert_eq!(
        (&round["state"], &round["reason"]),
        (&json!("draft"), &Value::Null)
    );
    let round = step(&console, &li, &round, "submit").await.body;
    let round = step(&console, &li, &round, "withdraw").await.body;
    let path = format!("/ops/api/rounds/1?version={}", round["version"]);
    assert_eq!(
        console
            .request(Method::DELETE, &path)
            .of(&li)
            .send()
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        console.get(&li, "/ops/api/rounds/1").await.status,
        StatusCode::NOT_FOUND
    );
    let log = console.get(&li, "/ops/api/audit?target=1").await.body;
    let did: Vec<&str> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        did,
        [
            "round.delete",
            "round.withdraw",
            "round.submit",
            "round.edit",
            "round.reject",
            "round.submit",
            "round.create"
        ]
    );
}

#[tokio::test]
async fn a_round_on_several_days_is_a_round_a_day_with_a_stock_of_its_own() {
    let (console, li, ..) = three().await;
    let mut daily = form("153");
    daily["id"] = json!("noon");
    daily["days"] = json!(3);
    let made = console.post(&li, "/ops/api/rounds", &daily).await;
    let rounds = made.body.as_array().unwrap();
    assert_eq!(rounds.len(), 3, "{}", made.body);
    for (day, round) in (0..).zip(rounds) {
        assert!(round["id"].as_str().unwrap().starts_with("noon_20"));
        assert_eq!(round["series"], "noon");
        let starts = daily["starts_ms"].as_u64().unwrap() + day * 24 * HOUR;
        assert_eq!(round["starts_ms"].as_u64(), Some(starts));
    }
    let list = console
        .get(&li, "/ops/api/rounds?series=noon&state=draft")
        .await
        .body;
    assert_eq!(
        (&list["total"], &list["rounds"][0]["items"]),
        (&json!(3), &json!(100))
    );
    // A copy goes to the first day on which none of its products is in a round.
    let path = format!("/ops/api/rounds/{}/copy", rounds[0]["id"].as_str().unwrap());
    let copy = console.post(&li, &path, &json!({})).await;
    assert_eq!(copy.status, StatusCode::CREATED, "{}", copy.body);
    let starts = daily["starts_ms"].as_u64().unwrap() + 3 * 24 * HOUR;
    assert_eq!(copy.body["starts_ms"].as_u64(), Some(starts));
}

#[tokio::test]
async fn what_is_exported_imports_again_and_the_description_names_every_path() {
    let (console, li, ..) = three().await;
    make(&console, &li, &form("153")).await;
    for kind in ["toml", "json"] {
        let text = console
            .get(&li, &format!("/ops/api/rounds/export?form={kind}"))
            .await;
        let body = match &text.body {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        assert!(body.contains("phone.webp"), "{body}");
        let kind = format!("application/{kind}");
        let import = console
            .request(Method::POST, "/ops/api/rounds/import")
            .of(&li);
        let answer = import
            .header("content-type", &kind)
            .text(&body)
            .send()
            .await;
        assert_eq!(
            answer.body,
            json!([{ "round": "1", "change": "unchanged" }]),
            "{kind}"
        );
    }
    let document = console.get(&li, "/ops/api/openapi.json").await.body;
    for path in [
        "/login",
        "/rounds",
        "/rounds/{id}",
        "/rounds/{id}/approve",
        "/rounds/import",
        "/audit",
    ] {
        assert!(
            document["paths"][format!("/ops/api{path}")].is_object(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_step_that_a_draft_or_a_withdrawn_round_does_not_allow_says_so() {
    let (console, li, wang, _) = three().await;
    let round = make(&console, &li, &form("153")).await;
    for name in ["approve", "withdraw", "publish"] {
        let refused = step(&console, &wang, &round, name).await;
        let got = (refused.status, &refused.body["code"]);
        assert_eq!(
            got,
            (StatusCode::CONFLICT, &json!("not_submitted")),
            "{name}"
        );
    }
    let reject = json!({ "version": round["version"], "reason": "no" });
    let refused = console
        .post(&wang, "/ops/api/rounds/1/reject", &reject)
        .await;
    assert_eq!(refused.body["code"], "not_submitted");
    let mut old = round.clone();
    old["version"] = json!(77);
    let refused = step(&console, &wang, &old, "approve").await;
    assert_eq!(refused.body["code"], "changed_meanwhile");

    let round = step(&console, &li, &round, "submit").await.body;
    let round = step(&console, &wang, &round, "approve").await.body;
    let withdrawn = json!({ "reason": "wrong price" });
    let answer = console
        .post(&li, "/ops/api/rounds/1/withdraw", &withdrawn)
        .await;
    assert_eq!(answer.body["state"], "withdrawn", "{}", answer.body);
    let refused = step(&console, &li, &round, "publish").await;
    let got = (refused.status, &refused.body["code"]);
    assert_eq!(got, (StatusCode::CONFLICT, &json!("round_withdrawn")));
}
