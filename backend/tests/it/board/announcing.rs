//! What operators say to everybody who waits, and what is wrong, told to the shop's own
//! systems.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use redis::AsyncCommands as _;
use seckill::console::board::hook::{self, AlertHook};
use seckill::console::board::{Board, Sources};
use seckill::pages::announcement;
use seckill::redis::segments::Segments;
use seckill::store::LazyStore;
use seckill::store::accounts::Role;
use seckill_core::keys;
use seckill_core::signing::keyring::Keyring;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::common::console::Console;
use crate::common::receivers::http_server;
use crate::common::{eventually, now_ms};

const PATH: &str = "/ops/api/announcement";

#[tokio::test]
async fn what_an_operator_says_is_in_the_origin_within_a_second_and_gone_when_it_is_over() {
    let (console, origin) = (Console::open().await, TempDir::new().unwrap());
    let li = console.person("li", Role::Operator).await;
    let stop = CancellationToken::new();
    let writer = announcement::run(origin.path().to_owned(), console.link.clone(), stop.clone());
    let writer = tokio::spawn(writer);
    let file = origin.path().join("shop/announcement.json");
    let shown = || -> Option<Value> {
        let text = std::fs::read_to_string(&file).ok()?;
        serde_json::from_str(&text).ok()
    };
    eventually("nothing is said yet", || async {
        shown().filter(|it| it["text"].is_null()).map(|_| ())
    })
    .await;

    let words = "Delivery takes two days. <b>Sorry</b> & thank you";
    let said = json!({ "text": words, "minutes": 10 });
    let answer = console.post(&li, PATH, &said).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["announcement"]["by"], "li");
    eventually("the origin has it", || async {
        shown().filter(|it| it["text"] == words).map(|_| ())
    })
    .await;
    let until_ms = shown().unwrap()["until_ms"].as_u64().unwrap();
    assert!((now_ms() + 500_000..now_ms() + 601_000).contains(&until_ms));
    assert!(shown().unwrap()["by"].is_null(), "shoppers read no names");
    // Its time is over whether or not anybody ends it.
    let mut conn = console.link.conn().await.unwrap();
    let left_s: i64 = conn.ttl(keys::ANNOUNCEMENT).await.unwrap();
    assert!((590..=600).contains(&left_s), "{left_s}");

    let ended = console.request(Method::DELETE, PATH).of(&li).send().await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.body);
    eventually("the origin says nothing", || async {
        shown().filter(|it| it["text"].is_null()).map(|_| ())
    })
    .await;
    console.request(Method::DELETE, PATH).of(&li).send().await;
    let log = console
        .get(&li, "/ops/api/audit?action=announcement.")
        .await;
    let did: Vec<&str> = log.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(did, ["announcement.end", "announcement.say"]);
    stop.cancel();
    writer.await.unwrap();
}

#[tokio::test]
async fn an_announcement_that_cannot_be_shown_is_refused_field_by_field() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let long = "x".repeat(201);
    for (text, minutes, code) in [
        ("  ", 10, "announcement_length"),
        (long.as_str(), 10, "announcement_length"),
        ("two\nlines", 10, "announcement_plain"),
        ("turned \u{202e}around", 10, "announcement_plain"),
        ("well", 0, "announcement_minutes"),
        ("well", 100_000, "announcement_minutes"),
    ] {
        let said = json!({ "text": text, "minutes": minutes });
        let refused = console.post(&li, PATH, &said).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        assert_eq!(refused.body["mistakes"][0]["code"], code, "{text}");
    }
    let now = console.get(&li, PATH).await.body;
    assert_eq!(now["announcement"], Value::Null);
}

#[tokio::test]
async fn an_alert_is_posted_signed_once_when_it_begins_and_once_when_it_is_over() {
    let console = Console::open().await;
    let (url, inbox) = http_server(&["503"]).await;
    let keys = Arc::new(Keyring::parse("n1 0123456789abcdef0123456789abcdef").unwrap());
    let stop = CancellationToken::new();
    let segments = Segments::on(console.link.clone());
    let store = LazyStore::opened(console.store.clone());
    let parts = (console.link.clone(), segments);
    let sources = Sources::new(&console.config, parts, store, stop.clone());
    let board = Board::new(sources);
    // Two ops roles, of which one posts.
    let mut roles = Vec::new();
    for _ in 0..2 {
        let hook = AlertHook::new(url.parse().unwrap(), keys.clone()).unwrap();
        let (board, link) = (board.clone(), console.link.clone());
        roles.push(tokio::spawn(hook::run(
            board,
            link,
            Arc::new(hook),
            stop.clone(),
        )));
    }
    let events = |name: &str| -> Vec<Value> {
        let of = |(_, body, taken): &(_, axum::body::Bytes, bool)| {
            let body: Value = serde_json::from_slice(body).unwrap();
            (*taken && body["event"] == name && body["code"] == "dead_letters").then_some(body)
        };
        inbox.got().iter().filter_map(of).collect()
    };
    let mut conn = console.link.conn().await.unwrap();
    let letter: String = redis::cmd("XADD")
        .arg("seckill::queue::dead_letters")
        .arg("*")
        .arg(&["reason", "the database refused it"])
        .query_async(&mut conn)
        .await
        .unwrap();
    eventually("its begin is posted", || async {
        (events("alert.began").len() == 1).then_some(())
    })
    .await;
    let (headers, body, _) = inbox.got().last().cloned().unwrap();
    let signature = headers["x-seckill-signature"].to_str().unwrap();
    let signed = seckill_core::orders::payment::verify(&keys, signature, &body, now_ms());
    assert!(signed.is_ok(), "{signature}");
    assert!(headers.contains_key("idempotency-key"));
    let _: i64 = conn
        .xdel("seckill::queue::dead_letters", &[letter])
        .await
        .unwrap();
    eventually("its end is posted", || async {
        (events("alert.over").len() == 1).then_some(())
    })
    .await;
    assert_eq!(events("alert.began").len(), 1);
    stop.cancel();
    for role in roles {
        role.await.unwrap();
    }
}
