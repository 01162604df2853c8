//! The responses of the purchase role: every refusal with its stable code.

use crate::common;
use std::sync::Arc;

use crate::common::shop::{Shop, click};
use crate::common::{TestRedis, cookie, eventually, hidden_url, item, now_ms, ring};
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use seckill::redis::segments::Segments;
use seckill::shop as purchase;
use seckill::shop::ShopState;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Window;
use seckill_core::signing::hidden_path;
use seckill_core::signing::keyring::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

/// A request, sent as it stands.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body = if body.is_empty() {
        Body::empty()
    } else {
        Body::from(body.to_owned())
    };
    builder.body(body).unwrap()
}

fn url_of(ids: (&str, &str), user: &str, expires_ms: u64) -> String {
    hidden_path::sign(
        ring().first(),
        Digest::HmacSha256,
        ids,
        user,
        expires_ms,
        [1; 8],
    )
}

#[tokio::test]
async fn each_bad_request_has_its_own_code() {
    let shop = Shop::open(10).await;
    let li = cookie("li");
    let tampered = li.replacen("li.", "wang.", 1);
    let good = hidden_url("li");
    let twice = format!("{good}?quantity=3");
    let zero = format!("{good}?quantity=0");
    let words = format!("{good}?quantity=%31");
    let past = url_of(("1", "153"), "li", now_ms() - 1);
    let far = url_of(("1", "153"), "li", now_ms() + 10_000_000_000);
    let unknown = url_of(("1", "999"), "li", now_ms() + 60_000);
    let others = hidden_url("wang");
    let long = format!("seckill_session={}", "x".repeat(7_000));
    let me = [("cookie", li.as_str())];
    let result = "/api/rounds/1/products/153/result";
    let cases: Vec<(Request<Body>, u16, &str)> = vec![
        (request("GET", &good, &me, ""), 400, "bad_request"),
        (request("DELETE", &good, &me, ""), 400, "bad_request"),
        (request("POST", &good, &me, "body"), 400, "bad_request"),
        (request("POST", &twice, &me, ""), 400, "bad_request"),
        (request("POST", &zero, &me, ""), 400, "bad_request"),
        (request("POST", &words, &me, ""), 400, "bad_request"),
        (request("POST", "/buy/1/153", &me, ""), 400, "bad_request"),
        (
            request("POST", "/buy/1/153/x/y/z", &me, ""),
            400,
            "bad_request",
        ),
        (request("POST", "/buy", &me, ""), 404, "not_found"),
        (request("POST", &past, &me, ""), 403, "expired"),
        (request("POST", &far, &me, ""), 403, "bad_signature"),
        (request("POST", &others, &me, ""), 403, "bad_signature"),
        (request("POST", &good, &[], ""), 401, "login_required"),
        (
            request("POST", &good, &[("cookie", &long)], ""),
            401,
            "login_required",
        ),
        (
            request("POST", &good, &[("cookie", &tampered)], ""),
            403,
            "bad_signature",
        ),
        (request("POST", &unknown, &me, ""), 404, "not_found"),
        (
            request("POST", &good, &[me[0], ("idempotency-key", "a b")], ""),
            400,
            "bad_request",
        ),
        (
            request("POST", &good, &[me[0], ("x-seckill-admission", "??")], ""),
            403,
            "bad_signature",
        ),
        (request("GET", result, &[], ""), 401, "login_required"),
        (
            request("GET", result, &[("cookie", &tampered)], ""),
            401,
            "login_required",
        ),
        (request("GET", result, &me, "body"), 400, "bad_request"),
        (request("POST", result, &me, ""), 400, "bad_request"),
        (
            request("GET", "/api/rounds/1/products/999/result", &me, ""),
            404,
            "not_found",
        ),
        (
            request("GET", "/api/rounds/a-b/products/%00/result", &me, ""),
            404,
            "not_found",
        ),
        (
            request("GET", "/api/rounds/%FF/products/1/result", &me, ""),
            400,
            "bad_request",
        ),
        (
            request("GET", "/api/orders?page=0", &me, ""),
            400,
            "bad_request",
        ),
        (
            request("GET", "/api/orders?page=x", &me, ""),
            400,
            "bad_request",
        ),
        (
            request("GET", "/api/orders?page=99999999999999", &me, ""),
            400,
            "bad_request",
        ),
        (
            request("GET", "/api/orders", &[], ""),
            401,
            "login_required",
        ),
        (request("GET", "/api/orders/12", &me, ""), 404, "not_found"),
        (request("GET", "/api/orders/x", &me, ""), 404, "not_found"),
        (
            request("GET", "/api/orders/18446744073709551615", &me, ""),
            404,
            "not_found",
        ),
        (
            request("GET", "/api/session", &[], ""),
            401,
            "login_required",
        ),
        (
            request("POST", "/api/session", &[], "{}"),
            400,
            "bad_request",
        ),
        (
            request("POST", "/api/session", &[], r#"{"user":""}"#),
            400,
            "bad_request",
        ),
        (
            request("POST", "/api/session", &[], &"x".repeat(5_000)),
            400,
            "bad_request",
        ),
        (request("GET", "/", &[], ""), 404, "not_found"),
        (request("GET", "/api/nothing", &me, ""), 404, "not_found"),
    ];
    for (request, status, code) in cases {
        let request_line = format!("{} {}", request.method(), request.uri());
        let (answered, body) = shop.send(request).await;
        assert_eq!(
            (answered.as_u16(), &body["code"]),
            (status, &code.into()),
            "{request_line}"
        );
        assert!(
            body["message"].as_str().unwrap().ends_with('.'),
            "{request_line}"
        );
    }
    assert_eq!(
        common::stock(&shop.link).await,
        (10, 0, 0),
        "nothing was sold"
    );
    shop.shut().await;
}

#[tokio::test]
async fn a_login_makes_a_session_that_buys() {
    let shop = Shop::open(10).await;
    let login = request(
        "POST",
        "/api/session",
        &[],
        r#"{"user":"li.wei@example.com"}"#,
    );
    let response = shop.app.clone().oneshot(login).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let set = response.headers()[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"));
    let cookie = set.split(';').next().unwrap();
    let (status, me) = shop
        .send(request("GET", "/api/session", &[("cookie", cookie)], ""))
        .await;
    assert_eq!(
        (status, &me["user"]),
        (StatusCode::OK, &"li.wei@example.com".into())
    );
    let url = format!("{}?quantity=2", hidden_url("li.wei@example.com"));
    let (status, answer) = shop
        .send(request("POST", &url, &[("cookie", cookie)], ""))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(
        answer["request"].as_str().unwrap().len(),
        32,
        "a request id is made"
    );
    assert_eq!(common::stock(&shop.link).await, (8, 2, 0));
    assert_eq!(
        shop.result("li.wei@example.com").await["status"],
        "succeeded"
    );
    shop.shut().await;
}

#[tokio::test]
async fn without_the_demo_login_nobody_logs_in_here() {
    let redis = TestRedis::start().await;
    let state = ShopState::new(
        redis.link().await,
        Segments::on(redis.link().await),
        None,
        ring(),
        Default::default(),
    );
    let app = purchase::router(state);
    let login = request("POST", "/api/session", &[], r#"{"user":"li"}"#);
    assert_eq!(
        app.clone().oneshot(login).await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    let orders = request("GET", "/api/orders", &[("cookie", &cookie("li"))], "");
    let without_store = app.oneshot(orders).await.unwrap();
    assert_eq!(without_store.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(without_store.headers()[header::RETRY_AFTER], "1");
    assert_eq!(without_store.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_round_sells_in_its_window_only_and_an_edit_is_noticed() {
    let shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    let now = now_ms();
    for (opens_ms, ends_ms, code) in [
        (now + 30_000, now + 60_000, "too_early"),
        (now - 60_000, now - 1, "ended"),
    ] {
        let window = Window { opens_ms, ends_ms };
        let entry = Entry {
            window,
            ..common::entry(10, 1)
        };
        let mut pipe = redis::pipe();
        pipe.hset(keys::CATALOGUE, item().to_string(), entry.to_json())
            .ignore();
        pipe.hset(keys::CATALOGUE, "broken", "{").ignore();
        pipe.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
            .ignore();
        pipe.exec_async(&mut conn).await.unwrap();
        eventually("the new window is in force", || async {
            (shop.click("li", "r").await.1["code"] == code).then_some(())
        })
        .await;
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_segment_without_stock_is_unavailable_not_sold_out() {
    let shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    redis::cmd("DEL")
        .arg(keys::stock(&item(), 1))
        .exec_async(&mut conn)
        .await
        .unwrap();
    let (status, body) = shop.click("li", "r").await;
    assert_eq!(
        (status.as_u16(), &body["code"]),
        (503, &"unavailable".into())
    );
    shop.shut().await;
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_loaded_again() {
    let shop = Shop::open(10).await;
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    let mut conn = shop.link.conn().await.unwrap();
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(shop.click("wang", "r").await.0, StatusCode::ACCEPTED);
    shop.shut().await;
}

/// Redis stops replying after the purchase was sent: the buyer may have bought, so the
/// response must not say that they have not.
#[tokio::test]
async fn an_unknown_outcome_is_processing_and_the_result_says_which() {
    let shop = Shop::open(10).await;
    shop.redis.freeze();
    let (status, answer) = shop.click_once("li", "r-1").await;
    assert_eq!(
        (status, &answer["status"]),
        (StatusCode::ACCEPTED, &"processing".into())
    );
    shop.redis.thaw();
    eventually("the result is known", || async {
        (shop.result("li").await["status"] == "succeeded").then_some(())
    })
    .await;
    assert_eq!(common::stock(&shop.link).await, (9, 1, 0));
    shop.shut().await;
}

#[tokio::test]
async fn over_a_real_socket_a_body_is_refused_and_no_body_is_not() {
    let shop = Shop::open(10).await;
    let folder = tempfile::TempDir::new().unwrap();
    let path = Arc::new(folder.path().join("purchase.sock"));
    let listener = tokio::net::UnixListener::bind(path.as_ref()).unwrap();
    let app = shop.app.clone();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let ask = |extra: &'static str, body: &'static str| {
        let path = path.clone();
        async move {
            let mut stream = tokio::net::UnixStream::connect(path.as_ref())
                .await
                .unwrap();
            let (url, cookie) = (hidden_url("li"), cookie("li"));
            let text = format!(
                "POST {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {cookie}\r\n\
                 {extra}\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.lines().next().unwrap().to_owned()
        }
    };
    assert!(ask("Content-Length: 4\r\n", "body").await.contains("400"));
    assert!(
        ask("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n")
            .await
            .contains("400")
    );
    assert!(ask("Content-Length: 0\r\n", "").await.contains("202"));
    assert!(ask("X-Request-Id: other\r\n", "").await.contains("409"));
    serving.abort();
    shop.shut().await;
}

#[tokio::test]
async fn no_answer_may_be_kept_by_a_cache() {
    let shop = Shop::open(10).await;
    let kept = |headers: &HeaderMap| headers.get(header::CACHE_CONTROL).cloned();
    for request in [
        click("li", "r", None),
        request(
            "GET",
            "/api/rounds/1/products/153/result",
            &[("cookie", &cookie("li"))],
            "",
        ),
        request("GET", "/api/orders", &[("cookie", &cookie("li"))], ""),
        request("GET", "/nowhere", &[], ""),
    ] {
        let response = shop.app.clone().oneshot(request).await.unwrap();
        assert_eq!(kept(response.headers()).unwrap(), "no-store");
    }
    shop.shut().await;
}
