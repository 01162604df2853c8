//! Paying, cancelling and expiring, from the HTTP call to the stock.

/// Paying while orders wait to be placed.
mod backlog;
/// Counterparts of the payment providers.
mod counterparts;
/// Notifications to buyers.
mod notices;
/// One suite for every payment provider.
mod providers;
/// Returning money and comparing payments.
mod refunds;
mod secure;
/// Our requests, sent to Stripe's own mock.
mod stripe_mock;

use crate::common;
use std::time::Duration;

use crate::common::shop::Shop;
use crate::common::{eventually, now_ms, payment_ring, record, stock};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use seckill_core::orders::payment;
use seckill_core::orders::purchase::State;
use serde_json::{Value, json};

/// A notice as the provider posts it, signed at `at_ms`.
fn notice(body: &Value, at_ms: u64) -> Request<Body> {
    let body = body.to_string();
    let signature = payment::sign(&payment_ring(), at_ms, body.as_bytes());
    Request::post("/api/payments/callback")
        .header("x-seckill-signature", signature)
        .body(Body::from(body))
        .unwrap()
}

fn paid(payment: &str, order: &str, amount_cents: u64) -> Value {
    json!({ "payment": payment, "order": order, "amount_cents": amount_cents, "status": "paid" })
}

/// A shop in which these users have an order each; returns their numbers.
async fn ordered(users: &[&str]) -> (Shop, Vec<String>) {
    let mut shop = Shop::open(10).await;
    shop.run_all();
    let mut orders = Vec::new();
    for user in users {
        assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
        orders.push(shop.until_ordered(user).await);
    }
    (shop, orders)
}

#[tokio::test]
async fn a_buyer_pays_and_another_cancels_and_the_stock_follows() {
    let (shop, orders) = ordered(&["li", "wang"]).await;
    let (li, wang) = (&orders[0], &orders[1]);
    let order = shop.get(&format!("/api/orders/{li}"), "li").await.1;
    let deadline = order["pay_by_ms"].as_u64().unwrap();
    let left = deadline - now_ms();
    assert!((590_000..=600_000).contains(&left), "{left}");

    for _ in 0..2 {
        let (status, body) = shop.post(&format!("/api/orders/{li}/pay"), "li").await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &"paid".into()));
        let (status, body) = shop
            .post(&format!("/api/orders/{wang}/cancel"), "wang")
            .await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::OK, &"cancelled".into())
        );
    }
    assert_eq!(stock(&shop.link).await, (9, 0, 1));
    assert_eq!(shop.result("li").await["status"], "paid");
    let wang_sees = shop.result("wang").await;
    assert_eq!(
        (&wang_sees["status"], &wang_sees["reason"]),
        (&"cancelled".into(), &"cancelled".into())
    );

    let (status, body) = shop.post(&format!("/api/orders/{li}/cancel"), "li").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"order_paid".into())
    );
    let (status, body) = shop.post(&format!("/api/orders/{wang}/pay"), "wang").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"order_cancelled".into())
    );
    assert_eq!(shop.click("li", "again").await.0, StatusCode::CONFLICT);
    assert_eq!(shop.click("wang", "again").await.0, StatusCode::ACCEPTED);
    let again = shop.until_ordered("wang").await;
    assert_ne!(&again, wang);
    shop.shut().await;
}

#[tokio::test]
async fn an_order_exists_for_its_buyer_only_and_costs_what_it_costs() {
    let (shop, orders) = ordered(&["li"]).await;
    let path = format!("/api/orders/{}/pay", orders[0]);
    for (path, user) in [
        (path.as_str(), "wang"),
        ("/api/orders/7/pay", "li"),
        ("/api/orders/x/pay", "li"),
        ("/api/orders/7/cancel", "li"),
    ] {
        assert_eq!(
            shop.post(path, user).await.0,
            StatusCode::NOT_FOUND,
            "{path} {user}"
        );
    }
    for body in [r#"{"amount_cents":1}"#, r#"{"amount":99900}"#, "nonsense"] {
        let request = Request::post(&path).header("cookie", common::cookie("li"));
        let answer = shop.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.0, StatusCode::BAD_REQUEST, "{body}");
    }
    let request = Request::post(&path).header("cookie", common::cookie("li"));
    let right = request
        .body(Body::from(r#"{"amount_cents":99900}"#))
        .unwrap();
    assert_eq!(shop.send(right).await.0, StatusCode::OK);
    shop.shut().await;
}

#[tokio::test]
async fn a_notice_is_believed_if_it_is_signed_and_fresh_and_done_once() {
    let (shop, orders) = ordered(&["li"]).await;
    let body = paid("p-1", &orders[0], 99_900);
    let unsigned = Request::post("/api/payments/callback");
    let unsigned = unsigned.body(Body::from(body.to_string())).unwrap();
    assert_eq!(shop.send(unsigned).await.1["code"], "bad_signature");
    let old = notice(&body, now_ms() - 86_400_000);
    assert_eq!(shop.send(old).await.1["code"], "expired");
    assert_eq!(
        shop.result("li").await["status"],
        "ordered",
        "nothing was done so far"
    );

    for _ in 0..3 {
        let (status, body) = shop.send(notice(&body, now_ms())).await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &"paid".into()));
    }
    assert_eq!(stock(&shop.link).await, (9, 0, 1));
    let order = shop
        .get(&format!("/api/orders/{}", orders[0]), "li")
        .await
        .1;
    assert_eq!(order["status"], "paid");
    assert_eq!(order["payments"].as_array().unwrap().len(), 1);
    let unknown = notice(&paid("p-2", "12345", 99_900), now_ms());
    let (status, body) = shop.send(unknown).await;
    assert_eq!(
        (status, &body["status"], &body["reason"]),
        (
            StatusCode::OK,
            &"refund_due".into(),
            &"unknown_order".into()
        ),
        "it is on record: the provider need not repeat it"
    );
    // What cannot be read is refused, and whatever can be is on record: it is money.
    let negative =
        json!({ "payment": "p", "order": orders[0], "amount_cents": -1, "status": "paid" });
    let too_much = paid("p", &orders[0], u64::MAX);
    let [empty, blank] = ["", " \r\n"].map(|id| paid(id, &orders[0], 99_900));
    for bad in [json!({}), json!([]), negative, too_much, empty, blank] {
        assert_eq!(
            shop.send(notice(&bad, now_ms())).await.0,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
    let odd = shop.send(notice(&paid("p 3", "x", 1), now_ms())).await;
    assert_eq!(odd.0, StatusCode::OK);
    let due = shop.store.refunds_due().await.unwrap();
    assert!(due.iter().any(|it| it.id == "p 3" && it.order == "x"));
    shop.shut().await;
}

#[tokio::test]
async fn a_known_id_with_other_money_is_refused_and_changes_nothing() {
    let (shop, orders) = ordered(&["li", "wang"]).await;
    let [li, wang] = [&orders[0], &orders[1]];
    // A first attempt of another order, which failed, is no money.
    let mut failed = paid("inv-7", wang, 99_900);
    failed["status"] = "failed".into();
    assert_eq!(shop.send(notice(&failed, now_ms())).await.0, StatusCode::OK);
    let first = paid("inv-7", li, 99_900);
    let (status, body) = shop.send(notice(&first, now_ms())).await;
    let got = (status, &body["status"], &body["order"]);
    assert_eq!(got, (StatusCode::OK, &"paid".into(), &json!(li)));

    let mut dollars = first.clone();
    dollars["currency"] = "USD".into();
    let mut refunded = paid("inv-7", li, 1);
    refunded["status"] = "refunded".into();
    let mut elsewhere = paid("inv-7", wang, 99_900);
    elsewhere["status"] = "refunded".into();
    for other in [
        paid("inv-7", wang, 99_900),
        paid("inv-7", "12345", 99_900),
        paid("inv-7", li, 99_901),
        dollars,
        refunded,
        elsewhere,
    ] {
        let (status, body) = shop.send(notice(&other, now_ms())).await;
        let got = (status, &body["code"]);
        assert_eq!(
            got,
            (StatusCode::CONFLICT, &"payment_conflict".into()),
            "{other}"
        );
        let message = body["message"].as_str().unwrap();
        assert!(
            message.contains("inv-7") && message.contains(li.as_str()),
            "{message}"
        );
    }
    assert_eq!(
        shop.send(notice(&first, now_ms())).await.1["status"],
        "paid"
    );
    assert_eq!(shop.result("li").await["status"], "paid");
    assert_eq!(shop.result("wang").await["status"], "ordered");
    assert_eq!(shop.store.refunds_due().await.unwrap(), []);
    // Under an id of its own it is taken.
    let own = paid("inv-8", wang, 99_900);
    assert_eq!(shop.send(notice(&own, now_ms())).await.0, StatusCode::OK);
    // A refund need not name its order.
    let mut refunded = paid("inv-7", "", 99_900);
    refunded["status"] = "refunded".into();
    let (status, body) = shop.send(notice(&refunded, now_ms())).await;
    let got = (status, &body["status"]);
    assert_eq!(got, (StatusCode::OK, &"refunded".into()));
    let order = shop.get(&format!("/api/orders/{li}"), "li").await.1;
    assert_eq!(order["status"], "cancelled");
    shop.shut().await;
}

#[tokio::test]
async fn money_that_comes_after_the_cancel_is_on_record_to_be_given_back() {
    let (shop, orders) = ordered(&["li", "wang"]).await;
    shop.post(&format!("/api/orders/{}/cancel", orders[0]), "li")
        .await;
    let late = notice(&paid("p-1", &orders[0], 99_900), now_ms());
    let (status, body) = shop.send(late).await;
    assert_eq!(
        status,
        StatusCode::OK,
        "the provider need not send it again"
    );
    assert_eq!(
        (&body["status"], &body["reason"]),
        (&"refund_due".into(), &"cancelled".into())
    );
    let wrong = notice(&paid("p-2", &orders[1], 1), now_ms());
    assert_eq!(shop.send(wrong).await.1["reason"], "wrong_amount");
    let order = shop
        .get(&format!("/api/orders/{}", orders[0]), "li")
        .await
        .1;
    assert_eq!(order["payments"][0]["status"], "refund_due");
    assert_eq!(shop.store.refunds_due().await.unwrap().len(), 2);
    assert_eq!(
        stock(&shop.link).await,
        (9, 1, 0),
        "the stock went back once"
    );
    shop.shut().await;
}

#[tokio::test]
async fn an_order_that_nobody_pays_expires_and_its_stock_is_sold_again() {
    let mut shop = Shop::open(10).await;
    shop.pay_within = Duration::from_secs(1);
    shop.run_all();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    shop.until_ordered("li").await;
    shop.settle();
    eventually("the stock is back", || async {
        (stock(&shop.link).await == (10, 0, 0)).then_some(())
    })
    .await;
    let result = shop.result("li").await;
    assert_eq!(
        (&result["status"], &result["reason"]),
        (&"cancelled".into(), &"unpaid".into())
    );
    shop.shut().await;
}

#[tokio::test]
async fn stock_follows_after_redis_was_away_at_the_moment_of_paying() {
    let (mut shop, orders) = ordered(&["li", "wang"]).await;
    shop.redis.kill();
    for (path, user) in [("pay", "li"), ("cancel", "wang")] {
        let order = &orders[usize::from(user == "wang")];
        let (status, _) = shop
            .post(&format!("/api/orders/{order}/{path}"), user)
            .await;
        assert_eq!(status, StatusCode::OK, "the database has decided");
    }
    shop.redis.start_again().await;
    eventually("the link is back", || async { shop.link.conn().await.ok() }).await;
    shop.settle();
    eventually("the stock follows", || async {
        (stock(&shop.link).await == (9, 0, 1)).then_some(())
    })
    .await;
    assert_eq!(record(&shop.link, "li").await.unwrap().state, State::Paid);
    assert_eq!(
        record(&shop.link, "wang").await.unwrap().state,
        State::Cancelled
    );
    shop.shut().await;
}
