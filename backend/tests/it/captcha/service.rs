//! A commercial service, played by a server that speaks "siteverify" as Cloudflare
//! and hCaptcha document it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use seckill::config::captcha::{Brand, WhenAway};
use seckill::shop::captcha::Way;
use seckill::shop::captcha::service::{Service, Siteverify};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::common;
use crate::common::shop::{self, Shop};

const SECRET: &str = "0x4AAA&the=secret";

/// The service, and the forms that it received.
#[derive(Clone, Default)]
struct Played {
    received: Arc<Mutex<Vec<Form>>>,
}

/// The fields of a form, in order.
type Form = Vec<(String, String)>;

/// Responds as the service does, depending on the shopper's response.
async fn siteverify(
    State(played): State<Played>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let fields: Form = body
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    };
    let no = |code: &str| {
        (
            StatusCode::OK,
            json!({ "success": false, "error-codes": [code] }).to_string(),
        )
    };
    let response = match (field("secret"), field("response")) {
        (Some(SECRET), Some("good one")) => {
            let at = "2026-11-23T04:00:00Z";
            (StatusCode::OK, json!({ "success": true, "challenge_ts": at, "hostname": "shop.example", "error-codes": [] }).to_string())
        }
        (Some(SECRET), Some("twice")) => no("timeout-or-duplicate"),
        (Some(SECRET), Some("broken")) => no("internal-error"),
        (Some(SECRET), Some("down")) => (StatusCode::BAD_GATEWAY, "<html>".to_owned()),
        (Some(SECRET), Some("nonsense")) => (StatusCode::OK, "<html>".to_owned()),
        (Some(SECRET), Some("slow")) => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            no("internal-error")
        }
        (Some(SECRET), Some(_)) => no("invalid-input-response"),
        _ => no("invalid-input-secret"),
    };
    played.received.lock().unwrap().push(fields);
    response
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

async fn play() -> (Played, String) {
    let played = Played::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/turnstile/v0/siteverify",
        listener.local_addr().unwrap()
    );
    let app = Router::new()
        .route("/turnstile/v0/siteverify", post(siteverify))
        .with_state(played.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (played, url)
}

async fn shop_at(url: &str, secret: &str, when_away: WhenAway) -> Shop {
    let verifier = Siteverify::new(url, secret)
        .unwrap()
        .with_patience(Duration::from_millis(1_500));
    let service = Service {
        brand: Brand::Turnstile,
        site_key: "1x00000000000000000000AA".to_owned(),
        when_away,
        verifier: Box::new(verifier),
    };
    Shop::open_with_captcha(10, Way::Service(Arc::new(service))).await
}

async fn bring(shop: &Shop, response: &str) -> (StatusCode, Value) {
    let body = json!({ "round": "1", "product": "153", "response": response });
    let request = Request::post("/api/captcha")
        .header("cookie", common::cookie("li"))
        .header("x-real-ip", "2001:db8::7");
    shop.send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

#[tokio::test]
async fn whom_the_service_vouches_for_gets_a_pass_that_buys() {
    let (played, url) = play().await;
    let shop = shop_at(&url, SECRET, WhenAway::Refuse).await;
    let way = json!({ "way": "turnstile", "site_key": "1x00000000000000000000AA" });
    assert_eq!(shop.get("/api/captcha/way", "").await.1, way);
    let (status, body) = bring(&shop, "good one").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let form = played.received.lock().unwrap().pop().unwrap();
    let fields: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("secret", SECRET),
            ("response", "good one"),
            ("remoteip", "2001:db8::7")
        ]
    );
    let mut click = shop::click("li", "one", None);
    let pass = body["pass"].as_str().unwrap().parse().unwrap();
    click
        .headers_mut()
        .insert(seckill_core::captcha::pass::HEADER, pass);
    assert_eq!(shop.send(click).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn whom_it_does_not_vouch_for_gets_none() {
    let (_, url) = play().await;
    let shop = shop_at(&url, SECRET, WhenAway::Pass).await;
    for response in ["forged", "twice", ""] {
        assert_eq!(
            bring(&shop, response).await.1["code"],
            "captcha_required",
            "{response}"
        );
    }
    let long = "x".repeat(5_000);
    assert_eq!(bring(&shop, &long).await.1["code"], "captcha_required");
}

#[tokio::test]
async fn while_the_service_is_away_buyers_are_refused_unless_it_is_written_that_they_pass() {
    let (_, url) = play().await;
    let refuses = shop_at(&url, SECRET, WhenAway::Refuse).await;
    let passes = shop_at(&url, SECRET, WhenAway::Pass).await;
    for response in ["down", "broken", "slow"] {
        assert_eq!(
            bring(&refuses, response).await.1["code"],
            "unavailable",
            "{response}"
        );
        assert_eq!(
            bring(&passes, response).await.0,
            StatusCode::OK,
            "{response}"
        );
    }
    let nowhere = shop_at("http://127.0.0.1:1/siteverify", SECRET, WhenAway::Refuse).await;
    assert_eq!(bring(&nowhere, "good one").await.1["code"], "unavailable");
}

#[tokio::test]
async fn a_wrong_secret_or_an_answer_that_is_none_lets_nobody_pass() {
    let (_, url) = play().await;
    let shop = shop_at(&url, "another", WhenAway::Pass).await;
    assert_eq!(bring(&shop, "good one").await.1["code"], "unavailable");
    let shop = shop_at(&url, SECRET, WhenAway::Pass).await;
    assert_eq!(bring(&shop, "nonsense").await.1["code"], "unavailable");
}
