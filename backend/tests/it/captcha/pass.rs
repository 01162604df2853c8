//! The captcha pass at the back end: verified again, and spent once for all edges.

use crate::common::scripts::granted;
use crate::common::shop::{self, Shop};
use crate::common::{item, now_ms, record, ring, stock};
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use seckill::shop::Options;
use seckill_core::captcha::pass;
use seckill_core::keys;
use serde_json::Value;

async fn shop(amount: u64) -> Shop {
    let captcha = Options {
        captcha: true,
        ..Options::default()
    };
    Shop::open_with(amount, captcha).await
}

fn pass_of(user: &str, product: &str, nonce: u8, lives_ms: i64) -> String {
    let expires_ms = now_ms().checked_add_signed(lives_ms).unwrap();
    let ring = ring();
    pass::sign(ring.first(), ("1", product), user, expires_ms, [nonce; 8])
}

fn pass(user: &str, nonce: u8) -> String {
    pass_of(user, "153", nonce, 60_000)
}

fn with(pass: &str, mut request: Request<Body>) -> Request<Body> {
    let value = HeaderValue::from_str(pass).unwrap();
    request.headers_mut().insert(pass::HEADER, value);
    request
}

async fn click(shop: &Shop, user: &str, request: &str, pass: &str) -> (StatusCode, Value) {
    let click = shop::click(user, request, None);
    shop.send(with(pass, click)).await
}

#[tokio::test]
async fn nobody_buys_without_a_pass_of_their_own_for_this_product() {
    let shop = shop(10).await;
    let (status, body) = shop.click("li", "r").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::FORBIDDEN, &"captcha_required".into())
    );
    let expired = pass_of("li", "153", 1, -1);
    let endless = pass_of("li", "153", 1, 3_600_000);
    let others = pass("wang", 1);
    let elsewhere = pass_of("li", "154", 1, 60_000);
    for bad in ["", "1.2.3", &expired, &endless, &others, &elsewhere] {
        let (status, body) = click(&shop, "li", "r", bad).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{bad}");
        assert_eq!(body["code"], "captcha_required", "{bad}");
    }
    assert_eq!(stock(&shop.link).await, (10, 0, 0));
    let (status, _) = click(&shop, "li", "r", &pass("li", 1)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

/// Two edges know nothing of each other's passes: the back end spends each once.
#[tokio::test]
async fn a_pass_is_spent_once_whichever_edge_it_comes_by() {
    let shop = shop(10).await;
    let spent = pass("li", 1);
    let first = click(&shop, "li", "one", &spent).await;
    assert_eq!(first.0, StatusCode::ACCEPTED);
    // nginx's retry, or the shopper's: the same request, the same answer.
    assert_eq!(click(&shop, "li", "one", &spent).await, first);
    let (status, body) = click(&shop, "li", "two", &spent).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::FORBIDDEN, &"captcha_required".into())
    );
    // A new pass does not make it a first purchase.
    let (status, _) = click(&shop, "li", "two", &pass("li", 2)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(stock(&shop.link).await, (9, 1, 0));
}

#[tokio::test]
async fn clicks_that_race_with_one_pass_buy_once() {
    let shop = shop(10).await;
    let spent = pass("li", 1);
    let clicks = (0..20).map(|n| {
        let (app, spent) = (shop.app.clone(), spent.clone());
        async move {
            let click = shop::click("li", &format!("r{n}"), None);
            let answer = tower::ServiceExt::oneshot(app, with(&spent, click)).await;
            answer.unwrap().status()
        }
    });
    let tasks: Vec<_> = clicks.map(tokio::spawn).collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += u32::from(task.await.unwrap() == StatusCode::ACCEPTED);
    }
    assert_eq!((accepted, stock(&shop.link).await), (1, (9, 1, 0)));
}

#[tokio::test]
async fn a_pass_that_met_an_empty_shelf_is_not_spent() {
    let shop = shop(1).await;
    assert_eq!(
        click(&shop, "wang", "w", &pass("wang", 1)).await.0,
        StatusCode::ACCEPTED
    );
    let kept = pass("li", 2);
    assert_eq!(click(&shop, "li", "one", &kept).await.0, StatusCode::GONE);
    let mut conn = shop.link.conn().await.unwrap();
    let key = keys::stock(&item(), 1);
    let mut restock = redis::cmd("HINCRBY");
    restock.arg(key).arg("sale_stock_amount").arg(1);
    let _: i64 = restock.query_async(&mut conn).await.unwrap();
    assert_eq!(
        click(&shop, "li", "two", &kept).await.0,
        StatusCode::ACCEPTED
    );
    assert_eq!(record(&shop.link, "li").await.unwrap().request, "two");
}

#[tokio::test]
async fn a_spent_pass_is_remembered_for_as_long_as_it_is_good_and_then_forgotten() {
    let shop = shop(10).await;
    let spent = pass_of("li", "153", 0xab, 30_000);
    click(&shop, "li", "one", &spent).await;
    let mut conn = shop.link.conn().await.unwrap();
    let key = keys::pass(&item(), 1, "abababababababab");
    let (by, left_ms): (String, u64) = redis::pipe()
        .cmd("GET")
        .arg(&key)
        .cmd("PTTL")
        .arg(&key)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(by, "one");
    // A minute longer, for clocks that disagree.
    assert!((80_000..=90_000).contains(&left_ms), "{left_ms}");
}

#[tokio::test]
async fn the_permit_of_a_pass_that_was_spent_is_the_edges_to_return() {
    let mut shop = shop(10).await;
    shop.relay();
    let mut conn = shop.link.conn().await.unwrap();
    crate::common::scripts::take(&mut conn, "edge-b.1", 5).await;
    let spent = pass("li", 1);
    click(&shop, "li", "one", &spent).await;
    let second = shop::click("li", "two", Some("edge-b.1.3"));
    let said = shop.outcome(with(&spent, second)).await;
    assert_eq!(said, (StatusCode::FORBIDDEN, "unused".to_owned()));
    // The edge returns it, and nobody else does.
    assert_eq!(granted(&mut conn).await, 5);
    shop.shut().await;
}
