//! Buyers for whom an edge vouches, by `seckill_user`, in a signed header.

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use redis::AsyncCommands as _;
use seckill::shop::Options;
use seckill_core::ids;
use seckill_core::keys;
use seckill_core::signing::hidden_path;
use seckill_core::signing::identity;
use seckill_core::signing::keyring::{Digest, Keyring};
use serde_json::Value;

use crate::common::shop::Shop;
use crate::common::{cookie, eventually, item, now_ms, ring};

/// What logins call their users.
const NAMES: [&str; 6] = [
    "li",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "f:6d1e4d2a-0b0f-4d0c-9a51-3c0f1a7d3c1e:li",
    "张三",
    "CN=Li Wei, O=Shop \"A\" {1}",
    "100%",
];

fn written(name: &str) -> String {
    ids::user::write(name.as_bytes()).unwrap().into_owned()
}

fn vouched(request: Builder, name: &str) -> Request<Body> {
    let header = identity::sign(ring().first(), &written(name), now_ms());
    let request = request.header(identity::HEADER, header);
    request.body(Body::empty()).unwrap()
}

fn purchase(name: &str, digest: Digest) -> Builder {
    let (ring, item) = (ring(), item());
    let product = (item.round(), item.product());
    let expires_ms = now_ms() + 60_000;
    let url = hidden_path::sign(
        ring.first(),
        digest,
        product,
        &written(name),
        expires_ms,
        [7; 8],
    );
    Request::post(url).header("x-request-id", "r1")
}

async fn result(shop: &Shop, name: &str) -> Value {
    let request = Request::get("/api/rounds/1/products/153/result");
    shop.send(vouched(request, name)).await.1
}

#[tokio::test]
async fn whom_an_edge_vouches_for_buys_and_sees_their_order_in_every_role() {
    let mut shop = Shop::open(100).await;
    shop.run_all();
    let longest = "京".repeat(85);
    for name in NAMES.into_iter().chain([&*longest]) {
        let bought = shop
            .send(vouched(purchase(name, Digest::HmacSha256), name))
            .await;
        assert_eq!(bought.0, StatusCode::ACCEPTED, "{name}: {}", bought.1);
        let order = eventually("the order is placed", || async {
            let found = result(&shop, name).await;
            let is_placed = found["status"] == "ordered";
            found["order"]
                .as_str()
                .filter(|_| is_placed)
                .map(str::to_owned)
        })
        .await;
        let session = shop.send(vouched(Request::get("/api/session"), name)).await;
        assert_eq!(session.1["user"], name);
        let list = shop.send(vouched(Request::get("/api/orders"), name)).await;
        assert_eq!(list.1["orders"][0]["order"], order.as_str(), "{name}");
        // The same id in Redis and in the database.
        let mut conn = shop.link.conn().await.unwrap();
        let buyers = keys::buyers(&item(), 1);
        let is_there: bool = conn.hexists(buyers, written(name)).await.unwrap();
        assert!(is_there, "{name}");
        let stored = shop.store.list_orders(Some(&written(name)), None, 10).await;
        assert_eq!(stored.unwrap()[0].id.to_string(), order);
    }
    shop.shut().await;
}

#[tokio::test]
async fn nobody_vouches_but_an_edge_with_our_keys() {
    let shop = Shop::open(10).await;
    let stranger = Keyring::parse(&format!("k1 {}", "x".repeat(32))).unwrap();
    let now = now_ms();
    let old = identity::sign(ring().first(), "li", now - 180_000);
    let wrong = identity::sign(stranger.first(), "li", now);
    let session = cookie("li").split_once('=').unwrap().1.to_owned();
    for header in [old, wrong, session, "li".to_owned(), String::new()] {
        // A valid session beside it does not help: the edge said somebody else.
        let request = Request::get("/api/session")
            .header(identity::HEADER, &header)
            .header("cookie", cookie("li"));
        let (status, body) = shop.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header}");
        assert_eq!(body["code"], "login_required");
    }
    shop.shut().await;
}

#[tokio::test]
async fn whom_the_edge_names_comes_before_a_cookie() {
    let shop = Shop::open(10).await;
    let request = Request::get("/api/session").header("cookie", cookie("wang"));
    let (_, body) = shop.send(vouched(request, "li")).await;
    assert_eq!(body["user"], "li");
    shop.shut().await;
}

#[tokio::test]
async fn purchase_urls_are_digested_as_the_edge_is_told() {
    let options = Options {
        digest: Digest::Md5,
        ..Options::default()
    };
    let shop = Shop::open_with(10, options).await;
    let bought = shop.send(vouched(purchase("li", Digest::Md5), "li")).await;
    assert_eq!(bought.0, StatusCode::ACCEPTED, "{}", bought.1);
    let other = vouched(purchase("wang", Digest::HmacSha256), "wang");
    assert_eq!(shop.send(other).await.1["code"], "bad_signature");
    shop.shut().await;
}

#[tokio::test]
async fn the_demo_login_takes_any_name() {
    let shop = Shop::open(10).await;
    for name in NAMES {
        let body = serde_json::json!({ "user": name }).to_string();
        let request = Request::post("/api/session").body(Body::from(body));
        let (status, body) = shop.send(request.unwrap()).await;
        assert_eq!((status, &body["user"]), (StatusCode::OK, &name.into()));
    }
    for name in [String::new(), "x".repeat(256)] {
        let body = serde_json::json!({ "user": name }).to_string();
        let request = Request::post("/api/session").body(Body::from(body));
        assert_eq!(shop.send(request.unwrap()).await.0, StatusCode::BAD_REQUEST);
    }
    shop.shut().await;
}
