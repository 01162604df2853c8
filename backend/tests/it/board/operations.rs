//! Bans, dead letters, refunds and amounts at the console.

use axum::http::{Method, StatusCode};
use seckill::queue::{DeadLetter, DeadLetters};
use seckill::redis::segments::Segments;
use seckill::store::accounts::Role;
use seckill_core::keys;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::payment::{Notice, ProviderName, Reported};
use serde_json::{Value, json};

use super::watching::set_stock;
use crate::common;
use crate::common::console::{Console, Session};
use crate::common::now_ms;

#[tokio::test]
async fn nobody_watches_without_a_login() {
    let console = Console::open().await;
    for path in ["/ops/api/board", "/ops/api/board/stream", "/ops/api/bans"] {
        let answer = console.request(Method::GET, path).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let li = console.person("li", Role::Operator).await;
    let answer = console.get(&li, "/ops/api/board").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["board"]["products"], json!({}));
}

/// What the audit log says of these actions, newest first: who, what, on what.
async fn audited(console: &Console, who: &Session, action: &str) -> Vec<String> {
    let path = format!("/ops/api/audit?action={action}");
    let answer = console.get(who, &path).await;
    let entries = answer.body["entries"].as_array().unwrap().clone();
    let line = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap().to_owned();
        format!("{} {} {}", text("who"), text("action"), text("target"))
    };
    entries.iter().map(line).collect()
}

#[tokio::test]
async fn a_ban_is_added_found_and_lifted_and_each_step_is_audited() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let network = json!({"kind": "address", "value": "203.0.113.0/24", "reason": "90 clicks a second", "for": "1h"});
    let answer = console.post(&li, "/ops/api/bans", &network).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["ban"], "address:203.0.113.0/24");
    assert_eq!(answer.body["was_banned"], false);
    let user = json!({"kind": "user", "value": "eve", "reason": "resells", "for": null});
    let answer = console.post(&li, "/ops/api/bans", &user).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);

    let all = console.get(&li, "/ops/api/bans").await.body;
    assert_eq!((&all["all"], &all["matching"]), (&json!(2), &json!(2)));
    assert_eq!(all["bans"][0]["by"], "li");
    let found = console
        .get(&li, "/ops/api/bans?search=203.0.113.200")
        .await
        .body;
    assert_eq!(found["bans"].as_array().unwrap().len(), 1);
    assert_eq!(found["bans"][0]["value"], "203.0.113.0/24");
    let second = console
        .get(&li, "/ops/api/bans?page=2&per_page=1")
        .await
        .body;
    assert_eq!(second["bans"].as_array().unwrap().len(), 1);
    let users = console.get(&li, "/ops/api/bans?kind=user").await.body;
    assert_eq!(users["bans"][0]["value"], "eve");

    let whom = json!({"kind": "user", "value": "eve"});
    let lifted = console.post(&li, "/ops/api/bans/lift", &whom).await.body;
    assert_eq!(lifted["was_banned"], true);
    let again = console.post(&li, "/ops/api/bans/lift", &whom).await.body;
    assert_eq!(again["was_banned"], false);
    let log = audited(&console, &li, "ban.").await;
    assert_eq!(
        log,
        [
            "li ban.lift user:eve",
            "li ban.add user:eve",
            "li ban.add address:203.0.113.0/24"
        ]
    );
}

#[tokio::test]
async fn a_ban_that_cannot_be_one_is_refused_field_by_field() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let ban = json!({"kind": "address", "value": "300.1.1.1", "reason": " ", "for": "soon"});
    let answer = console.post(&li, "/ops/api/bans", &ban).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mistakes = answer.body["mistakes"].as_array().unwrap();
    let fields: Vec<_> = mistakes
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["value", "reason", "for"]);
    assert!(
        mistakes[0]["message"]
            .as_str()
            .unwrap()
            .contains("300.1.1.1")
    );
    for (value, code, named) in [
        ("0.0.0.0/0", "ban_wide", "0.0.0.0/0"),
        ("::/0", "ban_wide", "::/0"),
        ("10.0.0.1/8", "ban_behind", "10.0.0.0/8"),
    ] {
        let ban = json!({"kind": "address", "value": value, "reason": "a slip"});
        let answer = console.post(&li, "/ops/api/bans", &ban).await;
        let mistake = &answer.body["mistakes"][0];
        assert_eq!(mistake["code"], code, "{value}: {}", answer.body);
        assert_eq!(mistake["values"], json!([named]));
    }
    assert_eq!(console.redis_keys("seckill::{bans}*").await, [""; 0]);
    for path in [
        "/ops/api/bans?kind=dog",
        "/ops/api/bans?page=0",
        "/ops/api/bans?page=9999",
    ] {
        let answer = console.get(&li, path).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{path}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn dead_letters_are_shown_with_their_reason_and_sent_again() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let letters = DeadLetters::new(console.link.clone(), Segments::on(console.link.clone()));
    for n in 1..=3 {
        let letter = DeadLetter {
            body: format!("{{\"request\":\"r{n}\"}}").into_bytes(),
            reason: format!("the database refused it {n} times"),
            source: keys::QUEUE_ORDERS.to_owned(),
            attempts: n,
        };
        letters.bury(letter).await.unwrap();
    }
    let page = console.get(&li, "/ops/api/dead-letters?limit=2").await.body;
    assert_eq!(page["all"], 3);
    assert_eq!(
        page["letters"][0]["reason"],
        "the database refused it 1 times"
    );
    let next = page["next"].as_str().unwrap();
    let rest = console
        .get(&li, &format!("/ops/api/dead-letters?after={next}"))
        .await
        .body;
    assert_eq!(rest["letters"][0]["attempts"], 3);
    assert_eq!(rest["next"], Value::Null);

    let id = page["letters"][0]["id"].as_str().unwrap();
    let path = format!("/ops/api/dead-letters/{id}/redrive");
    let sent = console.post(&li, &path, &json!({})).await;
    assert_eq!(
        (sent.status, &sent.body["sent"]),
        (StatusCode::OK, &json!(1))
    );
    let again = console.post(&li, &path, &json!({})).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let all = console
        .post(&li, "/ops/api/dead-letters/redrive", &json!({}))
        .await;
    assert_eq!(all.body, json!({"sent": 2, "stay": []}));
    assert_eq!(letters.count().await.unwrap(), 0);
    let log = audited(&console, &li, "letter.").await;
    assert_eq!(log.len(), 2, "{log:?}");
    let wrong = console.get(&li, "/ops/api/dead-letters?after=x").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_amount_is_adjusted_once_and_never_below_what_is_sold() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    common::put_on_sale(&console.link, 100).await;
    let path = "/ops/api/stock/1/153";
    let shown = console.get(&li, path).await.body;
    assert_eq!(
        (&shown["sale"], &shown["limit"]),
        (&json!(100), &json!(100))
    );

    let fewer = json!({"amount": 90, "request": "a1"});
    let answer = console.post(&li, path, &fewer).await;
    assert_eq!(answer.body, json!({"from": 100, "to": 90, "before": false}));
    let again = console.post(&li, path, &fewer).await;
    assert_eq!(again.body["before"], true);
    assert_eq!(console.get(&li, path).await.body["sale"], 90);

    set_stock(&console.link, "sale_stock_amount", 80).await;
    set_stock(&console.link, "locked_stock_amount", 10).await;
    let fewer = console.post(&li, path, &json!({"amount": 9})).await;
    assert_eq!(fewer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mistake = &fewer.body["mistakes"][0];
    assert_eq!(mistake["code"], "below_sold");
    assert_eq!(mistake["values"], json!(["9", "10", "0", "10"]));
    let nothing = console
        .post(&li, "/ops/api/stock/9/9", &json!({"amount": 9}))
        .await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    let log = audited(&console, &li, "stock.").await;
    assert_eq!(log.last().unwrap(), "li stock.adjust 1::153");
}

#[tokio::test]
async fn nothing_is_due_to_be_given_back_in_a_new_shop() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let due = console.get(&li, "/ops/api/refunds").await;
    assert_eq!(due.status, StatusCode::OK);
    assert_eq!(due.body, json!({"refunds": [], "all": 0, "totals": []}));
}

#[tokio::test]
async fn refunds_are_listed_and_summed_in_the_currency_in_which_they_came() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let store = &console.store;
    let dollars = Currency::parse("USD").unwrap();
    let dinars = Currency::parse("KWD").unwrap();
    for (payment, minor, currency) in [
        ("a", 99_900, Currency::CNY),
        ("b", 12_900, dollars),
        ("c", 100, dollars),
        ("d", 1_500, dinars),
    ] {
        let notice = Notice {
            provider: ProviderName::Signed,
            payment: payment.to_owned(),
            order: "404".to_owned(),
            amount: Money::new(minor, currency),
            reported: Reported::Paid,
        };
        store
            .note_payment(&notice, Currency::CNY, now_ms())
            .await
            .unwrap();
    }
    let due = console.get(&li, "/ops/api/refunds").await.body;
    let of = |payment: &str| {
        let all = due["refunds"].as_array().unwrap();
        let found = all.iter().find(|it| it["payment"] == payment).unwrap();
        found["amount"].clone()
    };
    let yuan = json!({"sign": "¥", "digits": 2});
    let dollar = json!({"sign": "$", "digits": 2});
    let dinar = json!({"sign": "KWD\u{a0}", "digits": 3});
    assert_eq!(of("a"), json!({"cents": 99_900, "currency": yuan}));
    assert_eq!(of("b"), json!({"cents": 12_900, "currency": dollar}));
    assert_eq!(of("d"), json!({"cents": 1_500, "currency": dinar}));
    let totals = json!([
        {"cents": 99_900, "currency": yuan},
        {"cents": 1_500, "currency": dinar},
        {"cents": 13_000, "currency": dollar},
    ]);
    assert_eq!((&due["all"], &due["totals"]), (&json!(4), &totals));
}
