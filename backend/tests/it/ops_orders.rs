//! `seckill orders …`, as an operator uses it.

use std::process::Output;

use crate::common::program;
use crate::common::shop::{Shop, click};
use crate::common::{eventually, item, record, stock};
use redis::AsyncCommands as _;
use seckill::queue::{DeadLetter, DeadLetters, Queue as _, Queues};
use seckill::redis::segments::Segments;
use seckill::store::AuditQuery;
use seckill_core::keys;
use seckill_core::orders::message::OrderMessage;
use serde_json::{Value, json};
use tempfile::TempDir;

fn seckill(shop: &Shop, arguments: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    program()
        .args(arguments)
        .env("SECKILL_DATA", folder.path())
        .env("SECKILL_REDIS_URL", shop.redis.url())
        .env("SECKILL_DATABASE_URL", &shop.database_url)
        .output()
        .unwrap()
}

/// What a command that succeeds prints.
fn output(shop: &Shop, arguments: &[&str]) -> String {
    let output = seckill(shop, arguments);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that fails complains of.
fn complained(shop: &Shop, arguments: &[&str]) -> String {
    let output = seckill(shop, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

#[tokio::test]
async fn orders_are_listed_for_people_and_for_programs() {
    let mut shop = Shop::open(10).await;
    assert_eq!(output(&shop, &["orders", "list"]), "No such orders.\n");
    shop.run_all();
    for user in ["li", "wang"] {
        assert_eq!(shop.click(user, "r").await.0.as_u16(), 202);
        shop.until_ordered(user).await;
    }
    let listed = output(&shop, &["orders", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let one = json(&output(
        &shop,
        &["orders", "list", "--user", "li", "--json"],
    ));
    let number = shop.until_ordered("li").await;
    assert_eq!(
        (&one[0]["order"], &one[0]["state"]),
        (&Value::from(number), &Value::from("created"))
    );
    let paid = output(&shop, &["orders", "list", "--state", "paid", "--json"]);
    assert_eq!(json(&paid), Value::Array(vec![]));
    let complaint = complained(&shop, &["orders", "list", "--state", "sold"]);
    assert!(complaint.contains("created, paid"), "{complaint}");
    shop.shut().await;
}

#[tokio::test]
async fn dead_letters_are_listed_with_their_reasons_and_sent_again() {
    let shop = Shop::open(10).await;
    let none = output(&shop, &["orders", "dead-letters"]);
    assert!(none.contains("no dead letters"), "{none}");
    let letters = DeadLetters::new(shop.link.clone(), Segments::on(shop.link.clone()));
    for reason in ["the first reason", "the second reason", "the third reason"] {
        let letter = DeadLetter {
            body: b"\x00nonsense".to_vec(),
            reason: reason.to_owned(),
            source: keys::QUEUE_ORDERS.to_owned(),
            attempts: 1,
        };
        letters.bury(letter).await.unwrap();
    }
    let listed = output(&shop, &["orders", "dead-letters", "list"]);
    assert!(
        listed.contains("the second reason") && listed.contains("redrive"),
        "{listed}"
    );
    let all = json(&output(&shop, &["orders", "dead-letters", "--json"]));
    assert_eq!(all[2]["reason"], "the third reason");
    let id = all[1]["id"].as_str().unwrap();

    let redrive = ["orders", "dead-letters", "redrive"];
    let complaint = complained(&shop, &redrive);
    assert!(complaint.contains("--all"), "say which: {complaint}");
    for wrong in ["12-0", "everything"] {
        let complaint = complained(&shop, &[&redrive[..], &[wrong]].concat());
        assert!(complaint.contains("no dead letter"), "{complaint}");
    }
    let sent = output(&shop, &[&redrive[..], &[id]].concat());
    assert!(sent.starts_with("1 sent"), "{sent}");
    let sent = output(&shop, &["orders", "redrive", "--all"]);
    assert!(sent.starts_with("2 sent"), "{sent}");
    let queue = Queues::streams(&shop.link).orders;
    let got = queue
        .next(10, std::time::Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(got.len(), 3);
    let status = seckill(&shop, &["status", "--json"]).stdout;
    let status = json(&String::from_utf8(status).unwrap());
    assert_eq!(
        (&status["dead_letters"], &status["queue"]),
        (&0.into(), &3.into())
    );
    assert!(status["queue_age_ms"].is_null(), "no worker looks");
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_given_up_returns_stock_and_permit_and_frees_its_buyer() {
    let mut shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    let _: () = conn.set(keys::permits(&item()), 1).await.unwrap();
    let click = click("li", "r", Some("e.l.1"));
    assert_eq!(shop.send(click).await.0.as_u16(), 202);
    let bought = record(&shop.link, "li").await.unwrap();
    let purchase = OrderMessage {
        v: 1,
        request: "r".into(),
        round: "1".into(),
        product: "153".into(),
        segment: 1,
        user: "li".into(),
        quantity: 1,
        price_cents: 99_900,
        permit: "e.l.1".into(),
        at_ms: bought.at_ms,
        order: None,
        traceparent: None,
        relayed_us: None,
    };
    let letters = DeadLetters::new(shop.link.clone(), Segments::on(shop.link.clone()));
    let letter = DeadLetter {
        body: purchase.to_json().into_bytes(),
        reason: "no order can be made of it".to_owned(),
        source: keys::QUEUE_ORDERS.to_owned(),
        attempts: 5,
    };
    letters.bury(letter.clone()).await.unwrap();
    let id = letters.list(None, 1).await.unwrap()[0].id.clone();

    let complaint = complained(&shop, &["orders", "give-up", &id, "--reason", " "]);
    assert!(complaint.contains("it is empty"), "{complaint}");
    let given_up = ["orders", "give-up", &id, "--reason", "test account"];
    let said = output(&shop, &given_up);
    assert!(said.contains("li failed"), "{said}");
    assert_eq!(letters.count().await.unwrap(), 0);
    let complaint = complained(&shop, &given_up);
    assert!(complaint.contains("no dead letter"), "{complaint}");

    // A second letter of it, as a queue delivers twice.
    letters.bury(letter).await.unwrap();
    let second = letters.list(None, 1).await.unwrap()[0].id.clone();
    let given_up = ["orders", "give-up", &second, "--reason", "twice"];
    let said = output(&shop, &given_up);
    assert!(said.contains("li had failed before"), "{said}");
    assert_eq!(letters.count().await.unwrap(), 0);

    shop.relay();
    shop.settle();
    eventually("stock and permit are back", || async {
        let permits: u64 = conn.clone().get(keys::permits(&item())).await.unwrap();
        (stock(&shop.link).await == (10, 0, 0) && permits == 0).then_some(())
    })
    .await;
    assert_eq!(shop.result("li").await["status"], "failed");
    assert!(shop.buys("li", "again").await);
    let wanted = AuditQuery {
        action: "letter.giveup".to_owned(),
        limit: 10,
        ..AuditQuery::default()
    };
    let log = shop.store.audit(&wanted).await.unwrap();
    let details: Vec<&Value> = log.iter().map(|entry| &entry.detail).collect();
    assert_eq!(
        details,
        [
            &json!({ "reason": "twice", "before": "failed" }),
            &json!({ "reason": "test account" }),
        ]
    );
    shop.shut().await;
}

#[tokio::test]
async fn an_approval_of_a_paused_round_does_not_say_that_it_sells() {
    let shop = Shop::open(10).await;
    crate::retirement::store_round(&shop).await;
    let approve = ["sale", "approve", "1"];
    assert_eq!(output(&shop, &approve), "Round 1: approved and on sale.\n");
    output(&shop, &["round", "pause", "1"]);
    let said = output(&shop, &approve);
    assert!(
        said.contains("paused") && !said.contains("on sale"),
        "{said}"
    );
    assert!(said.contains("seckill round resume 1"), "{said}");
    shop.shut().await;
}
