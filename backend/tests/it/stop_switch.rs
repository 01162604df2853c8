//! The stop switch: what it changes at the shop, in the catalogue and in the audit log,
//! what it refuses, and what becomes of orders.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::sale::switch::Switch;
use seckill::stock::following;
use seckill::store::accounts::Role;
use seckill::store::stop::Cancelling;
use seckill::store::stops::{StopOrder, StopStep};
use seckill::store::{Actor, AuditQuery};
use seckill_core::keys;
use seckill_core::orders::notification::Channel;
use seckill_core::orders::order::State;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::halt::Halt;
use serde_json::{Value, json};

use crate::common::console::{Answer, Console, Session};
use crate::common::database;
use crate::common::shop::Shop;
use crate::common::{eventually, item, now_ms, record, stock};
use crate::console::rounds::{edit, form, make, step};
use crate::retirement::store_round;

/// Redis follows the database.
mod redis_follows;

/// A console with a round of two products on sale, an operator and a supervisor.
async fn on_sale() -> (Console, Session, Session) {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let wang = console.person("wang", Role::Supervisor).await;
    let mut form = form("153");
    let mut other = form["products"][0].clone();
    other["id"] = json!("154");
    form["products"].as_array_mut().unwrap().push(other);
    let round = make(&console, &li, &form).await;
    let round = step(&console, &li, &round, "submit").await.body;
    assert_eq!(
        step(&console, &wang, &round, "approve").await.status,
        StatusCode::OK
    );
    (console, li, wang)
}

/// Has the round begun.
async fn begin(console: &Console) {
    let opens_ms = now_ms() - 1_000;
    let statement = format!("UPDATE rounds SET opens_ms = {opens_ms}");
    database::execute(&console.database_url, statement).await;
}

async fn entry(console: &Console, product: &str) -> Entry {
    let mut conn = console.link.conn().await.unwrap();
    let field = format!("1::{product}");
    let text: String = conn.hget(keys::CATALOGUE, field).await.unwrap();
    Entry::parse(&text).unwrap()
}

async fn press(console: &Console, by: &Session, path: &str, body: Value) -> Answer {
    console
        .post(by, &format!("/ops/api/rounds/1/{path}"), &body)
        .await
}

/// The audit log's entries about the stop switch, oldest first.
async fn log(console: &Console) -> Vec<(String, String, Value)> {
    let query = AuditQuery {
        action: "sale.".to_owned(),
        limit: 100,
        ..AuditQuery::default()
    };
    let entries = console.store.audit(&query).await.unwrap();
    let told = entries.into_iter().rev();
    told.map(|it| (it.action, it.target, it.detail)).collect()
}

#[tokio::test]
async fn one_person_pauses_and_resumes_and_the_log_says_what_was_and_what_is() {
    let (console, li, _) = on_sale().await;
    let paused = press(&console, &li, "pause", json!({ "reason": "wrong price" })).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.body);
    assert_eq!(
        (&paused.body["state"], &paused.body["problem"]),
        (&json!("paused"), &Value::Null)
    );
    for product in ["153", "154"] {
        assert_eq!(entry(&console, product).await.halt, Some(Halt::Paused));
    }
    let again = press(&console, &li, "pause", json!({})).await;
    assert_eq!(
        (again.status, &again.body["version"]),
        (StatusCode::OK, &paused.body["version"])
    );
    let refused = press(&console, &li, "products/153/resume", json!({})).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("round_paused"))
    );
    let resumed = press(&console, &li, "resume", json!({})).await;
    assert_eq!(resumed.body["state"], "published");
    assert_eq!(entry(&console, "153").await.halt, None);

    let one = press(&console, &li, "products/154/pause", json!({})).await;
    assert_eq!(
        (&one.body["state"], &one.body["products"][1]["stopped"]),
        (&json!("published"), &json!("paused"))
    );
    assert_eq!(entry(&console, "153").await.halt, None);
    assert_eq!(entry(&console, "154").await.halt, Some(Halt::Paused));
    let told = log(&console).await;
    let expected = [
        (
            "sale.pause",
            "1",
            json!({ "stop": ["selling", "paused"], "reason": "wrong price" }),
        ),
        ("sale.resume", "1", json!({ "stop": ["paused", "selling"] })),
        (
            "sale.pause",
            "1::154",
            json!({ "stop": ["selling", "paused"] }),
        ),
    ];
    let expected =
        expected.map(|(action, target, detail)| (action.to_owned(), target.to_owned(), detail));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_board_says_what_is_stopped() {
    let (console, li, _) = on_sale().await;
    // Of the round and of its two products; and how many items are offered.
    let has_begun = AtomicBool::new(false);
    let shown = |what: &'static str, stops: [Option<&'static str>; 3], offered: u64| {
        let (console, li) = (console.clone(), li.clone());
        let stops = json!(stops);
        // However its products are stopped.
        let state = match has_begun.load(Ordering::Relaxed) {
            false => "scheduled",
            true => "open",
        };
        async move {
            let is_so = || async {
                let board = console.get(&li, "/ops/api/board").await.body["board"].take();
                let products =
                    ["1::153", "1::154"].map(|key| board["products"][key]["stop"].clone());
                let [one, other] = products;
                let now = json!([board["rounds"]["1"]["stop"], one, other]);
                let is_on = board["rounds"]["1"]["state"] == state;
                (is_on && now == stops && board["funnel"]["offered"] == offered).then_some(())
            };
            eventually(what, is_so).await;
        }
    };
    shown("it is to be sold", [None; 3], 200).await;
    press(&console, &li, "pause", json!({})).await;
    shown("it is paused", [Some("paused"); 3], 200).await;
    press(&console, &li, "resume", json!({})).await;
    shown("it is resumed", [None; 3], 200).await;
    begin(&console).await;
    has_begun.store(true, Ordering::Relaxed);
    press(&console, &li, "products/153/end", json!({})).await;
    shown("one is over", [None, Some("ended"), None], 200).await;
    // The round itself is not, as long as its own time.
    press(&console, &li, "products/154/end", json!({})).await;
    shown("both are over", [None, Some("ended"), Some("ended")], 200).await;
    press(&console, &li, "products/154/withdraw", json!({})).await;
    let stops = [None, Some("ended"), Some("withdrawn")];
    shown("one is withdrawn", stops, 100).await;
    press(&console, &li, "withdraw", json!({})).await;
    shown("all is withdrawn", [Some("withdrawn"); 3], 0).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name_and_changes_nothing() {
    let (console, li, wang) = on_sale().await;
    let draft = make(&console, &li, &form("9")).await;
    let path = format!("/ops/api/rounds/{}/pause", draft["id"].as_str().unwrap());
    let refused = console.post(&li, &path, &json!({})).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("not_on_sale"))
    );
    let before = console.store.round("1").await.unwrap();
    let cases = [
        ("end", json!({}), "not_begun"),
        ("pause", json!({ "cancel": "unpaid" }), "cancel_needs_end"),
        ("withdraw", json!({ "cancel": "all" }), "supervisor_only"),
        ("products/999/pause", json!({}), "not_found"),
        ("products/153/stop", json!({}), "not_found"),
        ("pause", json!({ "reason": "x".repeat(501) }), "bad_request"),
    ];
    for (path, body, code) in cases {
        let refused = press(&console, &li, path, body).await;
        assert!(refused.status.is_client_error());
        assert_eq!(refused.body["code"], code, "{path}: {}", refused.body);
    }
    assert_eq!(console.store.round("1").await.unwrap(), before);
    assert_eq!(log(&console).await, []);

    let withdrawn = press(&console, &wang, "withdraw", json!({ "cancel": "all" })).await;
    assert_eq!(withdrawn.body["state"], "withdrawn", "{}", withdrawn.body);
    assert_eq!(entry(&console, "153").await.halt, Some(Halt::Withdrawn));
    for path in ["pause", "resume", "end", "products/153/resume"] {
        let refused = press(&console, &li, path, json!({})).await;
        assert_eq!(refused.body["code"], "already_withdrawn", "{path}");
    }
    let days = console.get(&li, "/ops/api/rounds?state=withdrawn").await;
    assert_eq!(days.body["total"], 1, "{}", days.body);
}

#[tokio::test]
async fn an_end_comes_forward_and_stays() {
    let (console, li, _) = on_sale().await;
    begin(&console).await;
    let one = press(&console, &li, "products/154/end", json!({})).await;
    assert_eq!(one.body["products"][1]["stopped"], "ended", "{}", one.body);
    assert!(entry(&console, "154").await.window.ends_ms <= now_ms());
    assert!(entry(&console, "153").await.window.ends_ms > now_ms());
    let ended = press(&console, &li, "end", json!({})).await;
    assert_eq!(ended.body["state"], "ended", "{}", ended.body);
    assert!(entry(&console, "153").await.window.ends_ms <= now_ms());
    for path in ["pause", "resume"] {
        let refused = press(&console, &li, path, json!({})).await;
        assert_eq!(refused.body["code"], "round_over");
    }
    let mut later = edit(&ended.body);
    later["ends_ms"] = json!(now_ms() + 3_600_000);
    let refused = console.put(&li, "/ops/api/rounds/1", &later).await;
    assert_eq!(
        refused.body["mistakes"][0]["code"], "round_over",
        "{}",
        refused.body
    );
    let told = log(&console).await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].2["ends_ms"][1], ended.body["ends_ms"]);
}

#[tokio::test]
async fn an_amount_may_become_nothing_and_something_again() {
    let (console, li, wang) = on_sale().await;
    for amount in [0, 7] {
        let change = json!({ "round": "1", "product": "153", "amount": amount });
        let made = console.post(&li, "/ops/api/proposals", &change).await;
        let path = format!("/ops/api/proposals/{}/approve", made.body["id"]);
        let set = console.post(&wang, &path, &json!({})).await;
        assert_eq!(
            (set.status, &set.body["state"]),
            (StatusCode::OK, &json!("approved")),
            "{} {}",
            made.body,
            set.body
        );
        assert_eq!(entry(&console, "153").await.limit, amount);
        let stored = console.store.round("1").await.unwrap().unwrap();
        assert_eq!(stored.frozen["153"].amount, amount);
    }
}

/// A shop whose round is also in the database, as an approval leaves it.
async fn shop() -> Shop {
    let shop = Shop::open_notifying(10, Default::default(), &[Channel::Webhook]).await;
    store_round(&shop).await;
    shop
}

impl Shop {
    async fn switch(&self, step: StopStep, cancel: Cancelling) {
        let order = StopOrder {
            step,
            round: "1",
            product: None,
            cancel,
            reason: "",
        };
        let (store, redis) = (&self.store, &self.link);
        let switched = Switch { store, redis }
            .carry_out(&order, &Actor::system(), now_ms())
            .await;
        let switched = switched.unwrap();
        assert!(switched.changed && switched.problem.is_none());
    }

    /// Clicks until the answer has this code.
    async fn until_refused(&self, code: &str) {
        eventually("the purchase role knows of the stop", || async {
            // Of a buyer who has one already, so that nothing is bought meanwhile.
            let (_, body) = self.click_once("li", "again").await;
            (body["code"] == code).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_withdrawn_round_of_which_half_is_paid_gives_everything_back() {
    let mut shop = shop().await;
    shop.run_all();
    let mut orders = Vec::new();
    for user in ["li", "wang", "zhao", "qian"] {
        assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
        orders.push((user, shop.until_ordered(user).await));
    }
    for (user, order) in &orders[..2] {
        let paid = shop.post(&format!("/api/orders/{order}/pay"), user).await;
        assert_eq!(paid.0, StatusCode::OK, "{}", paid.1);
    }
    shop.switch(StopStep::Withdraw, Cancelling::All).await;
    shop.until_refused("withdrawn").await;
    shop.settle();
    eventually("nothing is locked or sold any more", || async {
        (shop.store.live_orders(&item()).await.unwrap() == 0
            && stock(&shop.link).await == (10, 0, 0))
            .then_some(())
    })
    .await;
    let all = shop.store.all_orders(&item()).await.unwrap();
    assert!(all.iter().all(|order| order.state == State::Cancelled));
    let due = shop.store.refunds_due().await.unwrap();
    assert_eq!(due.len(), 2, "one for each that was paid");
    let li = record(&shop.link, "li").await.unwrap();
    assert_eq!(li.reason.as_deref(), Some("withdrawn"));
    shop.until_drained().await;
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

#[tokio::test]
async fn a_pause_settles_what_was_under_way_and_cancels_nothing() {
    let mut shop = shop().await;
    // Bought, and not yet placed: the other roles are not running.
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    shop.switch(StopStep::Pause, Cancelling::None).await;
    shop.until_refused("paused").await;
    shop.run_all();
    shop.settle();
    let order = shop.until_ordered("li").await;
    let paid = shop.post(&format!("/api/orders/{order}/pay"), "li").await;
    assert_eq!(
        (paid.0, &paid.1["status"]),
        (StatusCode::OK, &json!("paid"))
    );
    shop.switch(StopStep::Resume, Cancelling::None).await;
    eventually("it sells again", || async {
        shop.buys("qian", "r").await.then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test]
async fn a_purchase_that_is_placed_after_the_withdrawal_is_cancelled_too() {
    let mut shop = shop().await;
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    shop.switch(StopStep::Withdraw, Cancelling::Unpaid).await;
    shop.roles.spawn(following::run(
        shop.store.clone(),
        shop.segments.clone(),
        shop.stop.clone(),
    ));
    shop.run_all();
    eventually("li's order is cancelled", || async {
        (shop.result("li").await["reason"] == "withdrawn").then_some(())
    })
    .await;
    shop.shut().await;
}
