//! Paying while the queue, or the database, is behind: no orders role is running.

use axum::http::{Request, StatusCode};
use redis::AsyncCommands as _;
use seckill::orders::payments::signed::Signed;
use seckill::orders::payments::{AnyProvider, Payments, Site};
use seckill::shop::{self, Options, ShopState};
use seckill::store::LazyStore;
use seckill_core::keys;
use seckill_core::orders::money::Currency;
use seckill_core::orders::order::OrderIds;
use seckill_core::sale::catalogue::Entry;
use serde_json::{Value, json};

use super::{notice, paid};
use crate::common::shop::Shop;
use crate::common::{cookie, eventually, item, now_ms, payment_ring, record, ring, stock};

const PRICE: u64 = 99_900;

fn payments() -> Payments {
    let signed = Signed::new(payment_ring(), Currency::CNY);
    let site = Site::new("https://shop.example.com");
    let signed = signed.with_page("https://pay.example.com/?o={order}&a={amount_cents}", site);
    Payments::new(Currency::CNY, vec![AnyProvider::Signed(signed)])
}

/// Buys, and returns the number that the result shows although nobody places orders.
async fn promised(shop: &Shop, user: &str) -> String {
    assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
    let result = shop.result(user).await;
    assert_eq!(result["status"], "succeeded", "{result}");
    result["order"].as_str().expect("its number").to_owned()
}

async fn pays(shop: &Shop, payment: &str, order: &str) -> Value {
    let request = notice(&paid(payment, order, PRICE), now_ms());
    let (status, body) = shop.send(request).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// The order is in the database under the number that was promised, once, and paid.
async fn is_paid_once(shop: &mut Shop, user: &str, order: &str) {
    shop.run_all();
    shop.settle();
    shop.until_drained().await;
    eventually("the stock has followed", || async {
        (stock(&shop.link).await == (9, 0, 1)).then_some(())
    })
    .await;
    let result = shop.result(user).await;
    assert_eq!(
        (&result["status"], result["order"].as_str()),
        (&"paid".into(), Some(order))
    );
    let list = shop.get("/api/orders", user).await.1;
    let list = list["orders"].as_array().unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    let shown = (
        list[0]["order"].as_str(),
        &list[0]["status"],
        &list[0]["placed"],
    );
    assert_eq!(shown, (Some(order), &"paid".into(), &true.into()));
    assert_eq!(shop.store.refunds_due().await.unwrap(), []);
    let report = shop.verify().await;
    assert!(report.breaches.is_empty(), "{:?}", report.breaches);
}

#[tokio::test]
async fn a_buyer_pays_on_our_page_before_their_message_had_its_turn() {
    let mut shop = Shop::open(10).await;
    let order = promised(&shop, "li").await;
    let listed = shop.get("/api/orders", "li").await.1;
    let listed = &listed["orders"][0];
    assert_eq!(
        (listed["order"].as_str(), &listed["placed"]),
        (Some(&*order), &false.into())
    );
    let pay = format!("/api/orders/{order}/pay");
    assert_eq!(shop.post(&pay, "wang").await.0, StatusCode::NOT_FOUND);
    for _ in 0..2 {
        let (status, body) = shop.post(&pay, "li").await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &"paid".into()));
    }
    is_paid_once(&mut shop, "li", &order).await;
    shop.shut().await;
}

#[tokio::test]
async fn a_notice_that_arrives_before_the_order_pays_it_and_the_second_is_to_be_refunded() {
    let mut shop = Shop::open_paid_by(10, payments()).await;
    let order = promised(&shop, "li").await;
    for _ in 0..2 {
        assert_eq!(pays(&shop, "p-1", &order).await["status"], "paid");
    }
    let second = pays(&shop, "p-2", &order).await;
    assert_eq!(
        (&second["status"], &second["reason"]),
        (&"refund_due".into(), &"already_paid".into())
    );
    // What was never promised is as unknown as before.
    let unknown = OrderIds::new(9).next(now_ms()).to_string();
    let request = notice(&paid("p-3", &unknown, PRICE), now_ms());
    assert_eq!(shop.send(request).await.1["reason"], "unknown_order");
    for (id, order) in [("p-2", &order), ("p-3", &unknown)] {
        let refunded = json!({ "payment": id, "order": order, "amount_cents": PRICE,
            "refunded_cents": PRICE, "status": "refunded" });
        let _ = shop.send(notice(&refunded, now_ms())).await;
    }
    is_paid_once(&mut shop, "li", &order).await;
    shop.shut().await;
}

#[tokio::test]
async fn an_order_that_was_looked_at_is_not_failed_with_the_backlog() {
    let mut shop = Shop::open_paid_by(10, payments()).await;
    let order = promised(&shop, "li").await;
    let (status, seen) = shop.get(&format!("/api/orders/{order}"), "li").await;
    assert_eq!(
        (status, &seen["placed"]),
        (StatusCode::OK, &true.into()),
        "{seen}"
    );
    assert!(seen["pay_url"].as_str().unwrap().contains(&order), "{seen}");
    let other = promised(&shop, "wang").await;
    let purchases = [("li", &order), ("wang", &other)];
    for (user, number) in purchases {
        let kept = record(&shop.link, user).await.unwrap();
        assert_eq!(&kept.order, number);
    }
    // What the worker decides when messages have waited for too long.
    let details = Request::put(format!("/api/orders/{other}/details"));
    let details = details.header("cookie", cookie("wang"));
    let body = r#"{"city":"Suzhou"}"#.into();
    let (status, kept) = shop.send(details.body(body).unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    let (status, _) = shop
        .post(&format!("/api/orders/{other}/cancel"), "wang")
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(pays(&shop, "p-1", &order).await["status"], "paid");
    let queues = seckill::queue::Queues::streams(&shop.link);
    shop.relay();
    shop.archive();
    let options = seckill::orders::Options {
        backlog_after: std::time::Duration::ZERO,
        per_second: 1,
        ..Default::default()
    };
    shop.orders_from(queues, options);
    shop.settle();
    shop.until_drained().await;
    assert_eq!(shop.result("li").await["status"], "paid");
    let cancelled = shop.result("wang").await;
    assert_eq!(
        (&cancelled["status"], &cancelled["reason"]),
        (&"cancelled".into(), &"cancelled".into())
    );
    shop.shut().await;
}

#[tokio::test]
async fn while_the_database_is_away_the_order_is_shown_with_one_payment_and_no_notice_is_lost() {
    let mut shop = Shop::open_paid_by(10, payments()).await;
    let with_database = shop.app.clone();
    let state = ShopState::new(
        shop.link.clone(),
        shop.segments.clone(),
        None,
        ring(),
        Options::default(),
    );
    let state = state
        .with_store(LazyStore::at("mysql://root@127.0.0.1:1/none", &[]))
        .with_payments(payments());
    let without = shop::router(state);
    shop.app = without.clone();
    eventually("the purchase role is healthy", || async {
        (shop.get("/healthz", "").await.0 == StatusCode::OK).then_some(())
    })
    .await;
    let order = promised(&shop, "li").await;
    let path = format!("/api/orders/{order}");
    let (status, seen) = shop.get(&path, "li").await;
    assert_eq!(status, StatusCode::OK, "{seen}");
    assert_eq!(
        (&seen["status"], &seen["placed"], &seen["total_cents"]),
        (&"created".into(), &false.into(), &PRICE.into())
    );
    let pay_url = seen["pay_url"].as_str().expect("where to pay").to_owned();
    assert!(pay_url.contains(&order), "{pay_url}");
    assert_eq!(
        shop.get(&path, "wang").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // The provider is to send it again.
    let early = notice(&paid("p-1", &order, PRICE), now_ms());
    assert_eq!(shop.send(early).await.0, StatusCode::SERVICE_UNAVAILABLE);

    shop.app = with_database;
    let again = shop.get(&path, "li").await.1;
    assert_eq!(
        (again["pay_url"].as_str(), &again["placed"]),
        (Some(&*pay_url), &true.into())
    );
    assert_eq!(pays(&shop, "p-1", &order).await["status"], "paid");
    is_paid_once(&mut shop, "li", &order).await;
    shop.shut().await;
}

#[tokio::test]
async fn a_notice_waits_for_redis_and_is_not_taken_for_one_of_an_unknown_order() {
    let mut shop = Shop::open_paid_by(10, payments()).await;
    let order = promised(&shop, "li").await;
    shop.redis.freeze();
    let early = notice(&paid("p-1", &order, PRICE), now_ms());
    assert_eq!(shop.send(early).await.0, StatusCode::SERVICE_UNAVAILABLE);
    shop.redis.thaw();
    eventually("it pays once Redis answers", || async {
        let again = notice(&paid("p-1", &order, PRICE), now_ms());
        (shop.send(again).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    is_paid_once(&mut shop, "li", &order).await;
    shop.shut().await;
}

/// Both sides know the same number: the record's, the event's and the order's.
#[tokio::test]
async fn orders_that_nobody_looks_at_get_their_promised_numbers_too() {
    let mut shop = Shop::open(10).await;
    let mut numbers = Vec::new();
    for n in 0..5 {
        numbers.push(promised(&shop, &format!("u{n}")).await);
    }
    shop.run_all();
    for (n, number) in numbers.iter().enumerate() {
        assert_eq!(&shop.until_ordered(&format!("u{n}")).await, number);
    }
    shop.shut().await;
}

/// Why it can go wrong: the number is promised with the price of the catalogue, and the
/// record of what was bought does not have the price at which that was.
#[tokio::test]
async fn what_was_bought_before_a_price_was_lowered_costs_what_it_did() {
    let mut shop = Shop::open(10).await;
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    let mut conn = shop.link.conn().await.unwrap();
    let line: String = conn
        .hget(keys::CATALOGUE, item().to_string())
        .await
        .unwrap();
    let cheaper = Entry {
        price_cents: PRICE / 2,
        priced_ms: now_ms(),
        ..Entry::parse(&line).unwrap()
    };
    let mut write = redis::pipe();
    write
        .hset(keys::CATALOGUE, item().to_string(), cheaper.to_json())
        .hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1);
    let () = write.exec_async(&mut conn).await.unwrap();
    eventually("its number is not promised any more", || async {
        let result = shop.result("li").await;
        assert_eq!(result["status"], "succeeded");
        result["order"].is_null().then_some(())
    })
    .await;
    assert_eq!(shop.click("wang", "r").await.0, StatusCode::ACCEPTED);
    shop.run_all();
    for (user, price) in [("li", PRICE), ("wang", PRICE / 2)] {
        shop.until_ordered(user).await;
        let list = shop.get("/api/orders", user).await.1;
        assert_eq!(list["orders"][0]["price_cents"], price, "{user}: {list}");
    }
    let report = shop.verify().await;
    assert!(report.breaches.is_empty(), "{:?}", report.breaches);
    shop.shut().await;
}
