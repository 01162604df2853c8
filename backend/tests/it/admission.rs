//! Purchases that an edge vouches for: no clock of the back end refuses them, nobody else
//! can vouch, and the response says what became of the permit.

use axum::http::{HeaderValue, StatusCode};
use redis::AsyncCommands as _;
use seckill_core::keys;
use seckill_core::orders::purchase::State;
use seckill_core::signing::hidden_path;
use seckill_core::signing::keyring::Digest;

use crate::common::scripts::{granted, outbox, take};
use crate::common::shop::{Shop, admitted, click};
use crate::common::{hidden_url, item, now_ms, record, ring};

const USED: &str = "used";
const UNUSED: &str = "unused";

#[tokio::test]
async fn what_an_edge_admitted_is_not_refused_by_another_clock() {
    let shop = Shop::open(3).await;
    // By this clock the URL ended a minute ago; by the edge's it had a moment left.
    let expires_ms = now_ms() - 60_000;
    let url = hidden_path::sign(
        ring().first(),
        Digest::HmacSha256,
        ("1", "153"),
        "li",
        expires_ms,
        [1; 8],
    );
    let said = shop.outcome(admitted(&url, "li", "r-1", "e.l.1")).await;
    assert_eq!(said, (StatusCode::ACCEPTED, USED.to_owned()));
    let bought = record(&shop.link, "li").await.unwrap();
    assert_eq!((bought.state, &*bought.permit), (State::Succeeded, "e.l.1"));
    shop.shut().await;
}

#[tokio::test]
async fn nobody_but_an_edge_can_vouch() {
    let shop = Shop::open(3).await;
    let good = || admitted(&hidden_url("li"), "li", "r-1", "e.l.1");
    for (name, value) in [
        ("x-seckill-user", "wang"),
        ("x-seckill-permit", "e.l.2"),
        ("x-request-id", "r-2"),
        ("x-seckill-admission", "k1.forged"),
    ] {
        let mut forged = good();
        let value = HeaderValue::from_static(value);
        forged.headers_mut().insert(name, value.clone());
        let said = shop.outcome(forged).await;
        assert_eq!(said, (StatusCode::FORBIDDEN, UNUSED.to_owned()), "{name}");
        let mut twice = good();
        twice.headers_mut().append(name, value);
        let said = shop.outcome(twice).await;
        assert_eq!(said, (StatusCode::BAD_REQUEST, UNUSED.to_owned()), "{name}");
    }
    // A permit that nobody vouches for counts on no lease.
    let mut unsigned = click("li", "r-1", None);
    let permit = HeaderValue::from_static("e.l.1");
    unsigned.headers_mut().insert("x-seckill-permit", permit);
    assert_eq!(shop.outcome(unsigned).await.0, StatusCode::ACCEPTED);
    let mut conn = shop.link.conn().await.unwrap();
    let counted: bool = conn.exists(keys::spent(&item(), 1)).await.unwrap();
    assert!(!counted);
    assert_eq!(record(&shop.link, "li").await.unwrap().permit, "");
    shop.shut().await;
}

#[tokio::test]
async fn the_response_says_what_became_of_the_permit_and_the_edge_alone_returns_it() {
    let shop = Shop::open(2).await;
    let mut conn = shop.link.conn().await.unwrap();
    take(&mut conn, "e.l", 9).await;
    let cases = [
        ("li", "r-1", "e.l.1", StatusCode::ACCEPTED, USED),
        // nginx's own retry brings the same permit, the shopper's another one.
        ("li", "r-1", "e.l.1", StatusCode::ACCEPTED, USED),
        ("li", "r-1", "e.l.2", StatusCode::ACCEPTED, UNUSED),
        ("li", "r-2", "e.l.3", StatusCode::CONFLICT, UNUSED),
        ("wang", "r-1", "e.l.4", StatusCode::ACCEPTED, USED),
        // The limit follows the amount: that permit stays with the stock.
        ("zhao", "r-1", "e.l.5", StatusCode::GONE, USED),
    ];
    for (user, request, permit, status, outcome) in cases {
        let said = shop.outcome(click(user, request, Some(permit))).await;
        assert_eq!(
            said,
            (status, outcome.to_owned()),
            "{user} {request} {permit}"
        );
    }
    let url = hidden_url("li").replace("/153/", "/999/");
    let unknown = shop.outcome(admitted(&url, "li", "r-9", "e.l.6")).await;
    assert_eq!(unknown, (StatusCode::FORBIDDEN, UNUSED.to_owned()));
    let purchases = outbox(&mut conn).await;
    assert_eq!(
        purchases.len(),
        2,
        "no event asks for a refund: {purchases:?}"
    );
    assert_eq!(granted(&mut conn).await, 9);
    shop.shut().await;
}

#[tokio::test]
async fn a_request_that_is_only_answered_again_buys_nothing() {
    let shop = Shop::open(1).await;
    let again = |user: &str, request: &str| admitted(&hidden_url(user), user, request, "");
    // It never arrived the first time, and an item is left: they may try anew.
    let (status, said) = shop.outcome(again("li", "r-1")).await;
    assert_eq!((status, &*said), (StatusCode::TOO_MANY_REQUESTS, ""));
    assert_eq!(record(&shop.link, "li").await, None);

    shop.outcome(click("li", "r-1", Some("e.l.1"))).await;
    for _ in 0..2 {
        let (status, body) = shop.send(again("li", "r-1")).await;
        assert_eq!(
            (status, &body["request"]),
            (StatusCode::ACCEPTED, &"r-1".into())
        );
    }
    let (status, body) = shop.send(again("li", "r-2")).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"duplicate".into())
    );
    let (status, body) = shop.send(again("wang", "r-1")).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::GONE, &"sold_out".into())
    );
    shop.shut().await;
}

#[tokio::test]
async fn bytes_in_cookies_of_others_do_not_matter() {
    let shop = Shop::open(1).await;
    let mut click = click("li", "r-1", None);
    let own = click.headers()["cookie"].to_str().unwrap().to_owned();
    let cookies = [b"name=\xfc\xff; ", own.as_bytes()].concat();
    let cookies = HeaderValue::from_bytes(&cookies).unwrap();
    click.headers_mut().insert("cookie", cookies);
    assert_eq!(shop.send(click).await.0, StatusCode::ACCEPTED);
    shop.shut().await;
}
