//! A browser sends the cookies of everything on its domain, in whatever bytes their
//! owners wrote them, and headers that nobody asked for.

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use seckill::store::accounts::Role;

use crate::common::console::Console;
use crate::common::shop::Shop;
use crate::common::{cookie, hidden_url};

/// What others wrote: UTF-8, Latin-1, GBK, and no text at all.
const FOREIGN: [&[u8]; 4] = [
    "city=北京".as_bytes(),
    b"name=Jos\xe9",
    b"city=\xb1\xb1\xbe\xa9",
    b"\xff\xfe=\x80\x81; ; =;;",
];

fn bytes(parts: &[&[u8]]) -> HeaderValue {
    HeaderValue::from_bytes(&parts.concat()).unwrap()
}

/// Adds `cookie` and others in every arrangement, and other headers with such bytes.
fn among_others(cookie: &str) -> Vec<impl Fn(Builder) -> Builder + use<>> {
    let ours = cookie.as_bytes();
    FOREIGN
        .iter()
        .flat_map(|theirs| {
            let before = vec![bytes(&[theirs, b"; ", ours])];
            let after = vec![bytes(&[ours, b"; ", theirs])];
            let apart = vec![bytes(&[theirs]), bytes(&[ours])];
            [before, after, apart].map(|cookies| (cookies, bytes(&[theirs])))
        })
        .map(|(cookies, value)| {
            move |mut request: Builder| {
                for name in [
                    "user-agent",
                    "referer",
                    "accept-language",
                    "x-forwarded-for",
                    "x-app",
                ] {
                    request = request.header(name, value.clone());
                }
                for cookie in &cookies {
                    request = request.header("cookie", cookie);
                }
                request
            }
        })
        .collect()
}

#[tokio::test]
async fn a_buyer_is_known_whatever_cookies_others_have_set() {
    let mut shop = Shop::open(100).await;
    shop.run_all();
    assert_eq!(shop.click("li", "r0").await.0, StatusCode::ACCEPTED);
    let order = shop.until_ordered("li").await;
    let order = format!("/api/orders/{order}");
    let paths = [
        "/api/session",
        "/api/orders?page=1",
        &order,
        "/api/rounds/1/products/153/result",
    ];
    for with_others in among_others(&cookie("li")) {
        for path in paths {
            let request = with_others(Request::get(path)).body(Body::empty());
            let (status, body) = shop.send(request.unwrap()).await;
            assert_eq!(status, StatusCode::OK, "{path}: {body}");
        }
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_purchase_is_made_whatever_cookies_others_have_set() {
    let shop = Shop::open(100).await;
    let names: Vec<String> = (0..12).map(|n| format!("buyer{n}")).collect();
    for (number, name) in names.iter().enumerate() {
        let all = among_others(&cookie(name));
        let with_others = &all[number];
        let request = with_others(Request::post(hidden_url(name))).header("x-request-id", name);
        let (status, body) = shop.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{number}: {body}");
    }
    shop.shut().await;
}

#[tokio::test]
async fn an_operator_is_known_whatever_cookies_others_have_set() {
    let console = Console::open().await;
    let person = console.person("chen", Role::Operator).await;
    let ours = format!("seckill_console={}", person.id);
    for with_others in among_others(&ours) {
        let request = Request::builder().method(Method::GET).uri("/ops/api/bans");
        let response = with_others(request).body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(console.app.clone(), response).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
}
