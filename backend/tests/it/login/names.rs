//! Pages of other names, and servers of the shop's that begin sessions.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use seckill::config::Names;
use seckill::config::names::SameSite;
use seckill::shop::{self, Options, ShopState};
use seckill_core::orders::payment;
use seckill_core::signing::keyring::Keyring;
use seckill_core::signing::session::Session;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::common::shop::Shop;
use crate::common::{cookie, eventually, hidden_url, now_ms, ring};

pub fn login_ring() -> Arc<Keyring> {
    Arc::new(Keyring::parse(&format!("s1 {}", "l".repeat(32))).unwrap())
}

/// The purchase role of a shop whose pages are on other names too.
async fn named(shop: &Shop) -> Router {
    let options = Options {
        demo_login: true,
        ..Options::default()
    };
    let (link, segments) = (shop.link.clone(), shop.segments.clone());
    let store = Some(shop.store.clone());
    let names = Names {
        origins: vec!["https://mall.example.com".to_owned()],
        cookie_domain: Some("example.com".to_owned()),
        same_site: SameSite::Lax,
        secure: true,
        login_url: Some("https://mall.example.com/login?to={return}".to_owned()),
        logout_url: None,
    };
    let state = ShopState::new(link, segments, store, ring(), options);
    let app = shop::router(state.with_names(names).with_login_keys(Some(login_ring())));
    eventually("the catalogue is read", || async {
        let healthz = Request::get("/healthz").body(Body::empty()).unwrap();
        (send(&app, healthz).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    app
}

pub async fn send(app: &Router, request: Request<Body>) -> (StatusCode, Value, Option<String>) {
    let response = app.clone().oneshot(request).await.unwrap();
    let set = response.headers().get(header::SET_COOKIE);
    let set = set.map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap(), set)
}

#[tokio::test]
async fn what_another_sites_page_posts_is_refused_whatever_it_posts() {
    let shop = Shop::open(10).await;
    let app = named(&shop).await;
    let url = hidden_url("li");
    let paths = [
        "/api/session",
        "/api/session/logout",
        "/api/orders/1/pay",
        "/api/orders/1/cancel",
        "/api/captcha",
        &url,
    ];
    let foreign = [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "https://mall.example.com.evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for path in paths {
        for (name, value) in foreign {
            let request = Request::post(path)
                .header("host", "seckill.example.com")
                .header("cookie", cookie("li"))
                .header(name, value);
            let (status, body, set) = send(&app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path} {name}: {value}");
            assert_eq!(body["code"], "foreign_request");
            assert_eq!(set, None);
        }
    }
    shop.shut().await;
}

#[tokio::test]
async fn pages_of_ours_may_post_and_so_may_programs() {
    let shop = Shop::open(10).await;
    let app = named(&shop).await;
    let ours = [
        ("origin", "https://seckill.example.com"),
        ("origin", "https://mall.example.com"),
        ("sec-fetch-site", "same-origin"),
        ("x-none", "1"),
    ];
    for (number, (name, value)) in ours.into_iter().enumerate() {
        let buyer = format!("buyer{number}");
        let request = Request::post(hidden_url(&buyer))
            .header("host", "seckill.example.com")
            .header("cookie", cookie(&buyer))
            .header(name, value);
        let (status, body, _) = send(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{name}: {value}: {body}");
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_session_is_set_for_the_names_of_the_shop_and_ended_there() {
    let shop = Shop::open(10).await;
    let app = named(&shop).await;
    let body = json!({ "user": "li" }).to_string();
    let request = Request::post("/api/session").body(Body::from(body));
    let (_, _, set) = send(&app, request.unwrap()).await;
    let set = set.unwrap();
    let attributes = "Path=/; HttpOnly; SameSite=Lax; Secure; Domain=example.com";
    assert!(set.ends_with(attributes), "{set}");
    let request = Request::post("/api/session/logout").body(Body::empty());
    let (status, body, set) = send(&app, request.unwrap()).await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "user": null })));
    let ended = format!("seckill_session=; Max-Age=0; {attributes}");
    assert_eq!(set.as_deref(), Some(&*ended));
    let way = Request::get("/api/session/way")
        .body(Body::empty())
        .unwrap();
    let (_, body, _) = send(&app, way).await;
    assert_eq!(body["way"], "page");
    assert_eq!(
        body["login_url"],
        "https://mall.example.com/login?to={return}"
    );
    shop.shut().await;
}

#[tokio::test]
async fn a_server_of_the_shop_begins_a_session_by_its_signature() {
    let shop = Shop::open(10).await;
    let app = named(&shop).await;
    let wants = |body: &str, signature: String| {
        let request = Request::post("/api/session/mint").header("x-seckill-signature", signature);
        request.body(Body::from(body.to_owned())).unwrap()
    };
    let body = json!({ "user": "auth0|5f7c", "seconds": 60 }).to_string();
    let signature = payment::sign(&login_ring(), now_ms(), body.as_bytes());
    let (status, minted, _) = send(&app, wants(&body, signature.clone())).await;
    assert_eq!(status, StatusCode::OK, "{minted}");
    let session = Session::parse(minted["session"].as_str().unwrap()).unwrap();
    assert!(session.is_valid(&ring(), now_ms()) && !session.is_valid(&ring(), now_ms() + 61_000));
    assert_eq!(session.user, "auth0%7C5f7c");
    let header = format!("seckill_session={}", minted["session"].as_str().unwrap());
    let request = Request::get("/api/session").header("cookie", header);
    let (_, known, _) = send(&app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(known["user"], "auth0|5f7c");
    // Another body, an old signature, another ring, and no signature at all.
    let other = json!({ "user": "wang", "seconds": 60 }).to_string();
    let old = payment::sign(&login_ring(), now_ms() - 600_000, body.as_bytes());
    let stranger = payment::sign(&ring(), now_ms(), body.as_bytes());
    for (body, signature) in [
        (&other, signature),
        (&body, old),
        (&body, stranger),
        (&body, String::new()),
    ] {
        let (status, _, _) = send(&app, wants(body, signature)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    }
    for wrong in [r#"{"user":""}"#, r#"{"user":"li","seconds":0}"#, "{}", "["] {
        let signature = payment::sign(&login_ring(), now_ms(), wrong.as_bytes());
        let (status, _, _) = send(&app, wants(wrong, signature)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    // Without keys nobody may.
    let request = wants(
        &body,
        payment::sign(&login_ring(), now_ms(), body.as_bytes()),
    );
    assert_eq!(shop.send(request).await.0, StatusCode::NOT_FOUND);
    shop.shut().await;
}
