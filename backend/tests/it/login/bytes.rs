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

#[tokio::test]
async fn a_buyer_is_known_whatever_host_they_name() {
    let mut shop = Shop::open(100).await;
    shop.run_all();
    let hosts = [
        "caf\u{e9}.example".as_bytes(),
        b"\xff\xfe\x80",
        &[b'a'; 30_000],
    ];
    for (n, host) in hosts.into_iter().enumerate() {
        let user = format!("li{n}");
        let request = |builder: Builder| {
            let builder = builder.header("host", bytes(&[host]));
            builder.header("cookie", cookie(&user))
        };
        let click = request(Request::post(hidden_url(&user)));
        let (status, body) = shop.send(click.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        let own = request(Request::get("/api/session"));
        let (_, body) = shop.send(own.body(Body::empty()).unwrap()).await;
        assert_eq!(body["user"], user.as_str());
    }
    shop.shut().await;
}

/// As at the edge (`t/http2.t`, `t/raw-request.t`): of two sessions the first counts, and
/// of two `Authorization` headers none.
#[tokio::test]
async fn of_two_sessions_the_first_counts_and_two_authorizations_are_refused() {
    let shop = Shop::open(100).await;
    let (li, wang) = (cookie("li"), cookie("wang"));
    let in_one = format!("{li}; {wang}");
    for cookies in [vec![in_one.as_str()], vec![li.as_str(), wang.as_str()]] {
        let mut own = Request::get("/api/session");
        let mut click = Request::post(hidden_url("wang"));
        for cookie in &cookies {
            own = own.header("cookie", *cookie);
            click = click.header("cookie", *cookie);
        }
        let (_, body) = shop.send(own.body(Body::empty()).unwrap()).await;
        assert_eq!(body["user"], "li", "{cookies:?}");
        let (status, _) = shop.send(click.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{cookies:?}");
    }
    for path in ["/api/orders?page=1", &hidden_url("li")] {
        let method = match path.starts_with("/api") {
            true => Method::GET,
            false => Method::POST,
        };
        let twice = Request::builder()
            .method(method)
            .uri(path)
            .header("cookie", &li)
            .header("authorization", "Basic c2hvcDpzaG9w")
            .header("authorization", "Bearer a.b.c");
        let (status, body) = shop.send(twice.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &"bad_request".into())
        );
    }
    shop.shut().await;
}
