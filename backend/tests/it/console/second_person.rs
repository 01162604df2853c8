//! What two people approved, one alone does not change: it is proposed by one, shown with
//! before and after, and approved by another.

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use serde_json::{Value, json};

use super::rounds::{edit, form, make, step, three};
use crate::common::console::{Answer, Console, Session};
use crate::common::now_ms;

async fn on_sale(console: &Console, li: &Session, wang: &Session) -> Value {
    let round = make(console, li, &form("153")).await;
    let round = step(console, li, &round, "submit").await.body;
    let answer = step(console, wang, &round, "approve").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body
}

async fn propose(console: &Console, by: &Session, amount: u64) -> Value {
    let change =
        json!({ "round": "1", "product": "153", "amount": amount, "reason": "More came." });
    let made = console.post(by, "/ops/api/proposals", &change).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body
}

async fn decide(console: &Console, by: &Session, proposal: &Value, step: &str) -> Answer {
    let path = format!("/ops/api/proposals/{}/{step}", proposal["id"]);
    console.post(by, &path, &json!({ "reason": "No." })).await
}

async fn approve(console: &Console, by: &Session, proposal: &Value) -> Answer {
    let path = format!("/ops/api/proposals/{}/approve", proposal["id"]);
    console.post(by, &path, &json!({})).await
}

async fn amount(console: &Console) -> u64 {
    let mut conn = console.link.conn().await.unwrap();
    redis::cmd("HGET")
        .arg("seckill::{1::153::01}::stock")
        .arg("sale_stock_amount")
        .query_async(&mut conn)
        .await
        .unwrap()
}

async fn log(console: &Console, who: &Session) -> Vec<(String, String)> {
    let log = console.get(who, "/ops/api/audit").await.body;
    let entries = log["entries"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .map(|it| (text(&it["who"]), text(&it["action"])))
        .filter(|(_, action)| action != "session.begin")
        .collect()
}

#[tokio::test]
async fn a_live_amount_is_raised_by_two_people_and_by_no_one_of_them_alone() {
    let (console, li, wang, zhao) = three().await;
    let round = on_sale(&console, &li, &wang).await;
    let raise = json!({ "amount": 1_000_000_000 });
    let mut raised = edit(&round);
    raised["products"][0]["amount"] = json!(1_000_000_000);
    for person in [&li, &wang, &zhao] {
        let refused = console.post(person, "/ops/api/stock/1/153", &raise).await;
        let edited = console.put(person, "/ops/api/rounds/1", &raised).await;
        for refused in [refused, edited] {
            assert_eq!(
                (refused.status, &refused.body["code"]),
                (StatusCode::FORBIDDEN, &json!("second_person")),
                "{}",
                refused.body
            );
            let change = json!([{ "field": "153.amount", "from": 100, "to": 1_000_000_000 }]);
            assert_eq!(refused.body["changes"], change);
        }
    }
    assert_eq!(amount(&console).await, 100);

    let proposal = propose(&console, &wang, 150).await;
    assert_eq!(
        proposal["changes"],
        json!([{ "field": "153.amount", "from": 100, "to": 150 }])
    );
    assert_eq!(proposal["titles"], json!({ "153": "Phone" }));
    let own = approve(&console, &wang, &proposal).await;
    assert_eq!(
        (own.status, &own.body["code"]),
        (StatusCode::FORBIDDEN, &json!("own_proposal"))
    );
    let operator = approve(&console, &li, &proposal).await;
    assert_eq!(operator.body["code"], "supervisor_only");
    assert_eq!(amount(&console).await, 100);

    let done = approve(&console, &zhao, &proposal).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(
        (&done.body["state"], &done.body["decided_by"]),
        (&json!("approved"), &json!("zhao"))
    );
    assert!(done.body["carried_ms"].is_u64());
    assert_eq!(amount(&console).await, 150);
    let entries = log(&console, &li).await;
    let did: Vec<(&str, &str)> = entries
        .iter()
        .take(4)
        .map(|(who, did)| (who.as_str(), did.as_str()))
        .collect();
    assert_eq!(
        did,
        [
            ("zhao", "round.edit"),
            ("zhao", "stock.adjust"),
            ("zhao", "proposal.approve"),
            ("wang", "proposal.make"),
        ]
    );
    let log = console.get(&li, "/ops/api/audit?action=proposal.").await;
    for entry in log.body["entries"].as_array().unwrap() {
        assert_eq!(entry["detail"]["changes"], proposal["changes"], "{entry}");
    }
}

#[tokio::test]
async fn one_person_alone_lowers_an_amount_and_stops_a_sale() {
    let (console, li, wang, _) = three().await;
    let round = on_sale(&console, &li, &wang).await;
    let mut fewer = edit(&round);
    fewer["products"][0]["amount"] = json!(60);
    let saved = console.put(&li, "/ops/api/rounds/1", &fewer).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    let lowered = json!({ "amount": 50 });
    let lowered = console.post(&li, "/ops/api/stock/1/153", &lowered).await;
    assert_eq!(lowered.status, StatusCode::OK, "{}", lowered.body);
    for step in ["pause", "resume", "withdraw"] {
        let path = format!("/ops/api/rounds/1/{step}");
        let done = console
            .post(&li, &path, &json!({ "reason": "Wrong." }))
            .await;
        assert_eq!(done.status, StatusCode::OK, "{step}: {}", done.body);
    }
}

#[tokio::test]
async fn every_edit_of_what_was_approved_takes_a_second_person() {
    let (console, li, wang, _) = three().await;
    let round = on_sale(&console, &li, &wang).await;
    let ends = round["ends_ms"].as_u64().unwrap();
    let edits = [
        ("/name", json!("Renamed")),
        ("/ends_ms", json!(ends + 60_000)),
        ("/products/0/title", json!("Brick")),
        ("/products/0/text", json!("Does not fold.")),
        ("/products/0/picture", json!("other.webp")),
        ("/products/0/picture_alt", json!(["Folded, from the front"])),
    ];
    for (field, value) in edits {
        let mut edited = edit(&round);
        *edited.pointer_mut(field).unwrap() = value;
        // Together with what one person may do, too.
        edited["products"][0]["amount"] = json!(90);
        let refused = console.put(&wang, "/ops/api/rounds/1", &edited).await;
        assert_eq!(refused.body["code"], "second_person", "{field}");
        assert_eq!(refused.body["changes"].as_array().unwrap().len(), 2);
    }
    assert_eq!(amount(&console).await, 100);
    // What shoppers have seen becomes no dearer, whoever asks.
    for (field, value, code) in [
        ("price_cents", 99_901, "price_raised"),
        ("list_price_cents", 299_900, "fixed"),
    ] {
        let mut edited = edit(&round);
        edited["products"][0][field] = json!(value);
        let refused = console.put(&li, "/ops/api/rounds/1", &edited).await;
        assert_eq!(refused.body["mistakes"][0]["code"], code);
        let change = json!({ "round": "1", "form": edited });
        let refused = console.post(&li, "/ops/api/proposals", &change).await;
        assert_eq!(refused.body["mistakes"][0]["code"], code);
    }
}

#[tokio::test]
async fn a_live_price_is_lowered_by_two_people() {
    let (console, li, wang, zhao) = three().await;
    let round = on_sale(&console, &li, &wang).await;
    let line = async || {
        let mut conn = console.link.conn().await.unwrap();
        let text: String = redis::cmd("HGET")
            .arg(keys::CATALOGUE)
            .arg("1::153")
            .query_async(&mut conn)
            .await
            .unwrap();
        Entry::parse(&text).unwrap()
    };
    assert_eq!(
        (line().await.price_cents, line().await.priced_ms),
        (99_900, 0)
    );
    let mut cheaper = edit(&round);
    cheaper["products"][0]["price_cents"] = json!(89_900);
    let change = json!([{ "field": "153.price_cents", "from": 99_900, "to": 89_900 }]);
    for person in [&li, &wang, &zhao] {
        let refused = console.put(person, "/ops/api/rounds/1", &cheaper).await;
        assert_eq!(refused.body["code"], "second_person", "{}", refused.body);
        assert_eq!(refused.body["changes"], change);
    }
    let proposal = json!({ "round": "1", "form": cheaper, "reason": "Too dear." });
    let proposal = console.post(&wang, "/ops/api/proposals", &proposal).await;
    assert_eq!(proposal.status, StatusCode::CREATED, "{}", proposal.body);
    let own = approve(&console, &wang, &proposal.body).await;
    assert_eq!(own.body["code"], "own_proposal");
    assert_eq!(line().await.price_cents, 99_900);
    let before_ms = now_ms();
    let done = approve(&console, &zhao, &proposal.body).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let now = line().await;
    assert_eq!(now.price_cents, 89_900);
    assert!(now.priced_ms >= before_ms && !now.is_price_of(before_ms));
    let log = console.get(&li, "/ops/api/audit?action=round.edit").await;
    let entry = &log.body["entries"][0];
    assert_eq!(
        (&entry["who"], &entry["detail"]["changes"]),
        (&json!("zhao"), &change)
    );
    assert_eq!(entry["detail"]["proposed_by"], "wang");

    // Another edit leaves when that was.
    let round = console.get(&li, "/ops/api/rounds/1").await.body;
    let mut renamed = edit(&round);
    renamed["products"][0]["title"] = json!("Brick");
    let proposal = json!({ "round": "1", "form": renamed, "reason": "It is one." });
    let proposal = console.post(&wang, "/ops/api/proposals", &proposal).await;
    let done = approve(&console, &zhao, &proposal.body).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(line().await, now);
}

#[tokio::test]
async fn of_two_supervisors_at_once_one_approves_a_change_and_it_is_made_once() {
    let (console, li, wang, zhao) = three().await;
    on_sale(&console, &li, &wang).await;
    let proposal = propose(&console, &li, 150).await;
    assert_eq!(
        propose(&console, &li, 150).await["id"],
        proposal["id"],
        "the same change is proposed once"
    );
    let (one, other) = tokio::join!(
        approve(&console, &wang, &proposal),
        approve(&console, &zhao, &proposal)
    );
    let mut answers = [one, other];
    answers.sort_by_key(|answer| answer.status);
    let [first, second] = answers;
    assert_eq!(first.status, StatusCode::OK, "{}", first.body);
    assert_eq!(second.body["code"], "already_decided", "{}", second.body);
    assert_eq!(amount(&console).await, 150);
    let entries = log(&console, &li).await;
    let raised = entries.iter().filter(|(_, did)| did == "stock.adjust");
    assert_eq!(raised.count(), 1);
}

#[tokio::test]
async fn a_change_whose_ground_moved_is_outdated_and_does_nothing() {
    let (console, li, wang, zhao) = three().await;
    let round = on_sale(&console, &li, &wang).await;
    let mut renamed = edit(&round);
    renamed["name"] = json!("Renamed");
    let change = json!({ "round": "1", "form": renamed });
    let rename = console.post(&li, "/ops/api/proposals", &change).await.body;
    let raise = propose(&console, &zhao, 150).await;
    // What stops and goes on again moves nothing.
    for step in ["pause", "resume"] {
        let path = format!("/ops/api/rounds/1/{step}");
        console
            .post(&li, &path, &json!({ "reason": "A look." }))
            .await;
    }
    let waiting = console.get(&wang, "/ops/api/proposals?state=waiting").await;
    assert_eq!(waiting.body["total"], 2);
    assert_eq!(waiting.body["proposals"][0]["has_moved"], false);
    assert_eq!(
        approve(&console, &wang, &raise).await.status,
        StatusCode::OK
    );

    // The whole round that was proposed has the old amount: it would be lowered.
    let waiting = console.get(&wang, "/ops/api/proposals?state=waiting").await;
    assert_eq!(waiting.body["proposals"][0]["has_moved"], true);
    let refused = approve(&console, &wang, &rename).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("outdated"))
    );
    assert_eq!(amount(&console).await, 150);
    // Nobody approved it, as the log says.
    let entries = log(&console, &li).await;
    let latest = [("wang", "proposal.outdate"), ("wang", "round.edit")];
    for ((who, did), expected) in entries.iter().zip(latest) {
        assert_eq!((&**who, &**did), expected, "{entries:?}");
    }
    let path = format!("/ops/api/proposals/{}", rename["id"]);
    assert_eq!(console.get(&li, &path).await.body["state"], "outdated");
    let again = approve(&console, &zhao, &rename).await;
    assert_eq!(again.body["code"], "already_decided");
}

#[tokio::test]
async fn a_change_for_which_it_was_a_bad_moment_waits_and_can_be_approved_again() {
    let (console, li, wang, zhao) = three().await;
    on_sale(&console, &li, &wang).await;
    let raise = propose(&console, &wang, 150).await;
    // Somebody else adjusts the product.
    let mut conn = console.link.conn().await.unwrap();
    let lock = keys::adjusting(&Item::new("1", "153").unwrap());
    let () = conn.set(&lock, "somebody").await.unwrap();
    let refused = approve(&console, &zhao, &raise).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("stock_moves")),
        "{}",
        refused.body
    );
    let path = format!("/ops/api/proposals/{}", raise["id"]);
    let left = console.get(&li, &path).await.body;
    assert_eq!(
        (&left["state"], &left["decided_by"], &left["has_moved"]),
        (&json!("waiting"), &Value::Null, &json!(false))
    );
    let () = conn.del(&lock).await.unwrap();
    let done = approve(&console, &zhao, &raise).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(amount(&console).await, 150);
}

#[tokio::test]
async fn a_proposed_change_is_rejected_or_withdrawn_and_then_does_nothing() {
    let (console, li, wang, zhao) = three().await;
    on_sale(&console, &li, &wang).await;
    let rejected = propose(&console, &li, 150).await;
    assert_eq!(
        decide(&console, &wang, &rejected, "reject").await.body["decision"],
        "No."
    );
    let withdrawn = propose(&console, &wang, 160).await;
    let path = format!("/ops/api/proposals/{}/withdraw", withdrawn["id"]);
    let refused = console.post(&li, &path, &json!({})).await;
    assert_eq!(refused.body["code"], "supervisor_only");
    let gone = console.post(&wang, &path, &json!({})).await;
    assert_eq!(gone.body["state"], "withdrawn");
    for proposal in [rejected, withdrawn] {
        let late = approve(&console, &zhao, &proposal).await;
        assert_eq!(late.body["code"], "already_decided", "{}", late.body);
    }
    assert_eq!(amount(&console).await, 100);
}

#[tokio::test]
async fn whoever_worked_on_a_round_does_not_approve_it_whoever_changed_it_later() {
    let (console, li, wang, zhao) = three().await;
    let round = make(&console, &li, &form("153")).await;
    let mut change = edit(&round);
    change["products"][0]["amount"] = json!(100_000);
    let round = console.put(&wang, "/ops/api/rounds/1", &change).await.body;
    let mut change = edit(&round);
    change["name"] = json!("By Li again");
    let round = console.put(&li, "/ops/api/rounds/1", &change).await.body;
    let round = step(&console, &li, &round, "submit").await.body;
    let refused = step(&console, &wang, &round, "approve").await;
    assert_eq!(refused.body["code"], "own_round", "{}", refused.body);
    let done = step(&console, &zhao, &round, "approve").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
}

#[tokio::test]
async fn an_approver_sees_what_differs_from_the_round_that_was_copied() {
    let (console, li, wang, _) = three().await;
    on_sale(&console, &li, &wang).await;
    let copy = console
        .post(&li, "/ops/api/rounds/1/copy", &json!({}))
        .await;
    let copy = copy.body;
    let mut change = edit(&copy);
    change["products"][0]["price_cents"] = json!(9_900);
    change["products"][0]["picture"] = json!("other.webp");
    let path = format!("/ops/api/rounds/{}", copy["id"].as_str().unwrap());
    let saved = console.put(&li, &path, &change).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    let basis = console.get(&wang, &format!("{path}/basis")).await.body;
    assert_eq!(
        (&basis["kind"], &basis["round"], &basis["titles"]["153"]),
        (&json!("copy"), &json!("1"), &json!("Phone"))
    );
    let fields: Vec<&str> = basis["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["starts_ms", "ends_ms", "153.price_cents", "153.picture"]
    );
    let alone = console.get(&wang, "/ops/api/rounds/1/basis").await.body;
    assert_eq!(alone["kind"], Value::Null);
}

#[tokio::test]
async fn the_log_is_filtered_by_who_what_when_and_subject_and_exported_without_formulas() {
    let (console, li, wang, _) = three().await;
    on_sale(&console, &li, &wang).await;
    let ban = json!({ "kind": "user", "value": "u1", "reason": "=HYPERLINK(1), \"x\"" });
    console.post(&li, "/ops/api/bans", &ban).await;
    let lowered = json!({ "amount": 50 });
    console.post(&wang, "/ops/api/stock/1/153", &lowered).await;
    let actions = async |query: &str| -> Vec<String> {
        let log = console.get(&li, &format!("/ops/api/audit?{query}")).await;
        let entries = log.body["entries"].as_array().unwrap().clone();
        let action = |it: &Value| it["action"].as_str().unwrap().to_owned();
        entries.iter().map(action).collect()
    };
    assert_eq!(
        actions("target=1").await,
        [
            "stock.adjust",
            "round.approve",
            "round.submit",
            "round.create"
        ],
        "a round's products are its own"
    );
    assert_eq!(actions("target=1&who=li&action=round.").await.len(), 2);
    assert_eq!(actions("action=ban.add").await, ["ban.add"]);
    let now = crate::common::now_ms();
    assert!(actions(&format!("from_ms={}", now + 1)).await.is_empty());
    assert!(
        actions(&format!("until_ms={}", now - 600_000))
            .await
            .is_empty()
    );
    let all = actions(&format!("from_ms={}", now - 600_000)).await;
    assert_eq!(all.len(), 3 + 5, "{all:?}");
    let wrong = console.get(&li, "/ops/api/audit?from_ms=noon").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let csv = console
        .get(&li, "/ops/api/audit/export?action=stock.")
        .await;
    let text = csv.body.as_str().unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[1].contains(",wang,console,stock.adjust,1::153,"),
        "{text}"
    );
    let csv = console.get(&li, "/ops/api/audit/export?target==1").await;
    assert_eq!(csv.status, StatusCode::OK);
    assert_eq!(
        actions("action=audit.").await,
        ["audit.export", "audit.export"]
    );
}

#[tokio::test]
async fn what_is_withdrawn_for_good_is_not_raised_and_may_be_lowered() {
    let (console, li, wang, zhao) = three().await;
    on_sale(&console, &li, &wang).await;
    let before = propose(&console, &wang, 150).await;
    let stopped = console
        .post(&li, "/ops/api/rounds/1/withdraw", &json!({}))
        .await;
    assert_eq!(stopped.body["state"], "withdrawn", "{}", stopped.body);
    let withdrawn = |answer: &Answer| {
        let got = (answer.status, answer.body["code"].clone());
        assert_eq!(
            got,
            (StatusCode::CONFLICT, json!("round_withdrawn")),
            "{}",
            answer.body
        );
    };
    let change = json!({ "round": "1", "product": "153", "amount": 150 });
    withdrawn(&console.post(&li, "/ops/api/proposals", &change).await);
    withdrawn(&approve(&console, &zhao, &before).await);
    let path = format!("/ops/api/proposals/{}", before["id"]);
    let left = console.get(&li, &path).await.body;
    assert_eq!(left["state"], "outdated", "{left}");
    let raise = json!({ "amount": 150 });
    withdrawn(&console.post(&li, "/ops/api/stock/1/153", &raise).await);
    assert_eq!(amount(&console).await, 100);
    let lower = json!({ "amount": 50 });
    let lowered = console.post(&li, "/ops/api/stock/1/153", &lower).await;
    assert_eq!(lowered.status, StatusCode::OK, "{}", lowered.body);
    assert_eq!(amount(&console).await, 50);
}
