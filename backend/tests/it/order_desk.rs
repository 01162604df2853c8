//! Orders for operators: found by anything that names them, exported, cancelled,
//! refunded, noted, with everything that happened to one.

use axum::http::StatusCode;
use seckill::store::AuditQuery;
use seckill::store::accounts::Role;
use seckill::store::order_actions::{OrderAction, OrderActionError};
use seckill::store::order_history::OrderEvent;
use seckill::store::order_search::OrderQuery;
use seckill::store::refunds::RefundState;
use seckill_core::orders::money::Currency;
use seckill_core::orders::notification::Channel;
use seckill_core::orders::order::{OrderId, State};
use serde_json::{Value, json};

use crate::common::console::Console;
use crate::common::shop::Shop;
use crate::common::{eventually, now_ms, record, stock};
use crate::retirement::store_round;

/// A shop in which li has paid and wang has yet to.
async fn shop() -> (Shop, String, String) {
    let mut shop = Shop::open_notifying(10, Default::default(), &[Channel::Webhook]).await;
    store_round(&shop).await;
    shop.run_all();
    shop.settle();
    let mut orders = Vec::new();
    for user in ["li", "wang"] {
        assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
        orders.push(shop.until_ordered(user).await);
    }
    let paid = shop
        .post(&format!("/api/orders/{}/pay", orders[0]), "li")
        .await;
    assert_eq!(paid.0, StatusCode::OK);
    shop.until_drained().await;
    let wang = orders.pop().unwrap();
    (shop, orders.pop().unwrap(), wang)
}

fn id(text: &str) -> OrderId {
    OrderId(text.parse().unwrap())
}

#[tokio::test]
async fn an_order_is_found_by_anything_that_names_it() {
    let (shop, li, wang) = shop().await;
    let found = async |query: OrderQuery| -> Vec<String> {
        let query = OrderQuery { limit: 10, ..query };
        let orders = shop.store.search_orders(&query).await.unwrap();
        orders.iter().map(|order| order.id.to_string()).collect()
    };
    let all = OrderQuery::default;
    let both = [wang.clone(), li.clone()];
    let payment = format!("shop-{li}");
    assert_eq!(found(all()).await, both, "newest first");
    assert_eq!(
        found(OrderQuery {
            order: Some(id(&li)),
            ..all()
        })
        .await,
        [li.as_str()]
    );
    assert_eq!(
        found(OrderQuery {
            user: "wang".into(),
            ..all()
        })
        .await,
        [wang.as_str()]
    );
    assert_eq!(
        found(OrderQuery {
            product: "153".into(),
            ..all()
        })
        .await,
        both
    );
    assert_eq!(
        found(OrderQuery {
            round: "1".into(),
            state: Some(State::Paid),
            ..all()
        })
        .await,
        [li.as_str()]
    );
    assert_eq!(found(OrderQuery { payment, ..all() }).await, [li.as_str()]);
    assert_eq!(
        found(OrderQuery {
            before: Some(id(&wang)),
            ..all()
        })
        .await,
        [li.as_str()]
    );
    for nothing in [
        OrderQuery {
            payment: "none".into(),
            ..all()
        },
        OrderQuery {
            product: "999".into(),
            ..all()
        },
        OrderQuery {
            user: "zhao".into(),
            ..all()
        },
    ] {
        assert_eq!(found(nothing).await, Vec::<String>::new());
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_paid_order_is_refunded_once_and_the_stock_and_the_ledger_agree() {
    let (shop, li, wang) = shop().await;
    let order = async |text: &str| shop.store.any_order(id(text)).await.unwrap().unwrap();
    let act = async |text: &str, action| {
        let order = order(text).await;
        shop.store
            .act_on_order(&order, action, ("zhao", "broken"), now_ms())
            .await
    };
    let refused = act(&li, OrderAction::Cancel).await.unwrap_err();
    assert!(refused.to_string().contains("is paid") && refused.to_string().contains("refund it"));
    let refused = act(&wang, OrderAction::Refund).await.unwrap_err();
    assert!(
        refused.to_string().contains("cancel it instead"),
        "{refused}"
    );

    act(&li, OrderAction::Refund).await.unwrap();
    act(&wang, OrderAction::Cancel).await.unwrap();
    let again = act(&li, OrderAction::Refund).await.unwrap_err();
    assert!(matches!(
        again,
        OrderActionError::State {
            state: State::Cancelled,
            ..
        }
    ));
    assert_eq!(shop.store.refunds_due().await.unwrap().len(), 1);
    eventually("the stock is for sale again", || async {
        (stock(&shop.link).await == (10, 0, 0)).then_some(())
    })
    .await;
    let reason = record(&shop.link, "li").await.unwrap().reason;
    assert_eq!(reason.as_deref(), Some("operator"));
    shop.until_drained().await;
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());

    let history = shop
        .store
        .order_history(&order(&li).await, Currency::CNY)
        .await
        .unwrap();
    let payments: Vec<&OrderEvent> = history.iter().filter(|it| it.what == "payment").collect();
    let [paid, due] = &payments[..] else {
        panic!("{history:?}");
    };
    for (event, state) in [(paid, "received"), (due, "refund_due")] {
        assert!(event.detail.contains("999.00 CNY"), "{}", event.detail);
        // The same as values, for people who read another language.
        assert_eq!(
            (&event.facts["amount"]["cents"], &event.facts["state"]),
            (&json!(99_900), &json!(state))
        );
    }
    let refunded = history.iter().find(|it| it.what == "refund").unwrap();
    assert!(paid.at_ms < refunded.at_ms, "it was paid before");
    assert_eq!(due.at_ms, refunded.at_ms, "its refund is due since then");
    let facts = |what| &history.iter().find(|it| it.what == what).unwrap().facts;
    assert!(facts("placed")["pay_by_ms"].as_u64().is_some());
    assert_eq!(facts("purchase")["quantity"], 1);
    assert_eq!(facts("return")["reason"], "operator");
    assert_eq!(
        facts("refund"),
        &json!({}),
        "its text is the operator's own"
    );
    let told: Vec<&str> = history.iter().map(|event| event.what.as_str()).collect();
    for what in [
        "purchase",
        "placed",
        "confirm",
        "payment",
        "refund",
        "return",
        "notification",
    ] {
        assert!(told.contains(&what), "{what}: {told:?}");
    }
    assert!(history.is_sorted_by_key(|event| event.at_ms));
    shop.shut().await;
}

#[tokio::test]
async fn an_order_shows_who_asked_for_refunds_and_what_became_of_them() {
    let (shop, li, _) = shop().await;
    let order = shop.store.any_order(id(&li)).await.unwrap().unwrap();
    let payment = shop.store.payments_of(&order).await.unwrap().remove(0);
    let paid_ms = payment.received_ms;
    let ask = async |key: &str, amount, by: &str, after_ms| {
        let asked = shop
            .store
            .ask_refund(key, &payment, amount, by, paid_ms + after_ms);
        assert_eq!(asked.await.unwrap(), amount);
    };
    let note = async |key: &str, state, reason, after_ms| {
        let noted = shop
            .store
            .note_refund(key, state, reason, paid_ms + after_ms);
        noted.await.unwrap();
    };
    ask("r1", 900, "zhao", 1_000).await;
    note("r1", RefundState::Refused, Some("no balance"), 2_000).await;
    ask("r2", 99_900, "wang", 3_000).await;
    let told = async || -> Vec<(u64, String, String, Value)> {
        let history = shop.store.order_history(&order, Currency::CNY).await;
        let history = history.unwrap().into_iter();
        let refunds = history.filter(|it| it.what == "refund");
        refunds
            .map(|it| {
                let state = it.facts["state"].as_str().unwrap().to_owned();
                let cents = it.facts["amount"]["cents"].clone();
                (it.at_ms - paid_ms, it.who, state, cents)
            })
            .collect()
    };
    let event = |after_ms, who: &str, state: &str, cents| {
        (after_ms, who.to_owned(), state.to_owned(), json!(cents))
    };
    let first = [
        event(1_000, "zhao", "asked", 900),
        event(2_000, "", "refused", 900),
    ];
    let second = event(3_000, "wang", "asked", 99_900);
    let [asked, refused] = first;
    assert_eq!(told().await, [asked, refused, second.clone()]);

    // The refused one is asked for anew, by somebody else and later.
    ask("r1", 800, "qian", 4_000).await;
    note("r2", RefundState::Done, None, 5_000).await;
    assert_eq!(
        told().await,
        [
            second,
            event(4_000, "qian", "asked", 800),
            event(5_000, "", "done", 99_900),
        ]
    );
    shop.shut().await;
}

#[tokio::test]
async fn the_console_refunds_by_a_supervisor_only_and_exports_what_it_finds() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let refused = console
        .post(&li, "/ops/api/orders/1/refund", &json!({ "text": "x" }))
        .await;
    assert_eq!(refused.body["code"], "supervisor_only");
    for (path, code) in [
        ("/ops/api/orders?state=lost", "bad_request"),
        ("/ops/api/orders?order=x", "bad_request"),
        ("/ops/api/orders?colour=red", "bad_request"),
        ("/ops/api/orders/export?format=xls", "bad_request"),
        ("/ops/api/orders/7", "not_found"),
    ] {
        let refused = console.get(&li, path).await;
        assert_eq!(refused.body["code"], code, "{path}: {}", refused.body);
    }
    for query in [
        "",
        "?state=paid",
        "?format=json&payment=zzz&order=7&before=9",
    ] {
        let path = format!("/ops/api/orders/export{query}");
        assert_eq!(console.get(&li, &path).await.status, StatusCode::OK);
    }
    let path = "/ops/api/audit/export?from_ms=1&until_ms=2&before=3";
    assert_eq!(console.get(&li, path).await.status, StatusCode::OK);
    let wanted = AuditQuery {
        who: "li".to_owned(),
        limit: 4,
        ..AuditQuery::default()
    };
    let log = console.store.audit(&wanted).await.unwrap();
    let log: Vec<_> = log.iter().map(|it| (&*it.action, &it.detail)).collect();
    assert_eq!(
        log,
        [
            (
                "audit.export",
                &json!({ "from_ms": 1, "until_ms": 2, "before": 3 })
            ),
            (
                "order.export",
                &json!({ "format": "json", "payment": "zzz", "order": "7", "before": "9" })
            ),
            ("order.export", &json!({ "format": "csv", "state": "paid" })),
            ("order.export", &json!({ "format": "csv" })),
        ],
        "what was exported, and what of it"
    );
    let none = console.get(&li, "/ops/api/orders?user=nobody").await;
    assert_eq!(
        (none.status, &none.body["orders"]),
        (StatusCode::OK, &json!([]))
    );
}
