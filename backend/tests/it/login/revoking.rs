//! Sessions and tokens that are revoked: by a server of the shop's, by a command, and by
//! logging out.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use seckill::edges::sessions::{Mirror, Revocation};
use seckill::redis::{RedisLink, scripts};
use seckill::shop::tokens::{Reading, Tokens};
use seckill::shop::{self, Options, ShopState};
use seckill_core::Verdict;
use seckill_core::gate::directive::jwt::Jwks;
use seckill_core::keys;
use seckill_core::orders::payment;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed::Record;
use seckill_core::signing::revocation::{Mark, Marks};
use seckill_core::signing::session;
use serde_json::{Value, json};

use super::jwt::{Key, Provider, claims, settings};
use super::names::{login_ring, send};
use crate::common::shop::Shop;
use crate::common::{TestRedis, eventually, hidden_url, now_ms, program, ring};

/// A purchase role of the shop's, of which there may be several.
async fn role(shop: &Shop, jwks: Option<&str>) -> Router {
    let app = role_on(shop, shop.redis.link().await, jwks);
    eventually("the purchase role is healthy", || async {
        let healthz = Request::get("/healthz").body(Body::empty()).unwrap();
        (send(&app, healthz).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    app
}

fn role_on(shop: &Shop, link: RedisLink, jwks: Option<&str>) -> Router {
    let options = Options {
        demo_login: true,
        ..Options::default()
    };
    let segments = shop.segments.clone();
    let tokens = jwks.map(|url| {
        let jwt = settings(Jwks::Url(url.to_owned()));
        let reading = Reading::start(&jwt.jwks, link.clone()).unwrap();
        Arc::new(Tokens::new(jwt, reading).unwrap())
    });
    let state = ShopState::new(link, segments, Some(shop.store.clone()), ring(), options);
    let state = state.with_login_keys(Some(login_ring()));
    shop::router(state.with_tokens(tokens))
}

/// A session of ours, as the value of a `Cookie` header.
fn issued(user: &str, issued_ms: u64) -> String {
    let token = session::issue(ring().first(), user, issued_ms, now_ms() + 60_000);
    format!("{}={token}", session::COOKIE)
}

/// Begins a session of the demo login: the value of a `Cookie` header.
async fn log_in(app: &Router, user: &str) -> String {
    let body = json!({ "user": user }).to_string();
    let request = Request::post("/api/session").body(Body::from(body));
    let (status, _, set) = send(app, request.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    set.unwrap().split(';').next().unwrap().to_owned()
}

async fn ask(app: &Router, request: Builder, cookie: &str) -> (StatusCode, Value) {
    let request = request.header("cookie", cookie).body(Body::empty());
    let (status, body, _) = send(app, request.unwrap()).await;
    (status, body)
}

/// What `/api/session` says of a session.
async fn shown(app: &Router, cookie: &str) -> (StatusCode, Value) {
    ask(app, Request::get("/api/session"), cookie).await
}

async fn is_refused_soon(app: &Router, cookie: &str) {
    eventually("the session is refused", || async {
        let (status, body) = shown(app, cookie).await;
        (status == StatusCode::UNAUTHORIZED && body["reason"] == "session_revoked").then_some(())
    })
    .await;
}

/// Has a server of the shop's revoke what `body` names.
async fn revoke(app: &Router, body: &Value) -> (StatusCode, Value) {
    let body = body.to_string();
    let signature = payment::sign(&login_ring(), now_ms(), body.as_bytes());
    revoke_signed(app, body, signature).await
}

async fn revoke_signed(app: &Router, body: String, signature: String) -> (StatusCode, Value) {
    let request = Request::post("/api/session/revoke").header("x-seckill-signature", signature);
    let (status, body, _) = send(app, request.body(Body::from(body)).unwrap()).await;
    (status, body)
}

#[tokio::test]
async fn a_copy_of_a_session_that_was_logged_out_is_worth_nothing_at_any_role() {
    let shop = Shop::open(10).await;
    let (here, there) = (role(&shop, None).await, role(&shop, None).await);
    let copied = log_in(&here, "li").await;
    let other = issued("li", now_ms() + 5);
    for cookie in [&copied, &other] {
        assert_eq!(shown(&there, cookie).await.0, StatusCode::OK);
    }
    let (status, _) = ask(&here, Request::post("/api/session/logout"), &copied).await;
    assert_eq!(status, StatusCode::OK);
    // At once where it was, and soon everywhere, for whatever needs a buyer.
    assert_eq!(shown(&here, &copied).await.1["reason"], "session_revoked");
    is_refused_soon(&there, &copied).await;
    for app in [&here, &there] {
        for request in [
            Request::get("/api/orders"),
            Request::get("/api/rounds/1/products/153/result"),
            Request::post("/api/orders/1/cancel"),
            Request::post(hidden_url("li")),
        ] {
            let (status, body) = ask(app, request, &copied).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
            assert_eq!(body["code"], "login_required");
        }
        assert_eq!(shown(app, &other).await.0, StatusCode::OK);
        let wang = issued("wang", 1);
        assert_eq!(shown(app, &wang).await.0, StatusCode::OK);
    }
    // What nobody signed, or has ended, is not listed.
    let (forged, ended) = (
        "seckill_session=eve.9999999999999-1.k1.AAAA".to_owned(),
        session::issue(ring().first(), "eve", 1, now_ms() - 1),
    );
    for cookie in [forged, format!("seckill_session={ended}")] {
        ask(&here, Request::post("/api/session/logout"), &cookie).await;
    }
    let mut conn = shop.link.conn().await.unwrap();
    let listed: u64 = conn.hlen(keys::REVOKED).await.unwrap();
    assert_eq!(listed, 1);
    shop.shut().await;
}

#[tokio::test]
async fn a_server_of_the_shop_revokes_a_session_a_token_or_all_of_a_buyer() {
    let shop = Shop::open(10).await;
    let key = Key::new("k1");
    let (_, url) = Provider::start(&[&key]).await;
    let (here, there) = (role(&shop, Some(&url)).await, role(&shop, Some(&url)).await);
    let token = |user: &str, jti: &str| {
        let mut all = claims(user);
        all["jti"] = jti.into();
        format!("token={}", key.token(&all))
    };
    let (by_text, by_jti) = (token("li", "a"), token("li", "b"));
    let session = issued("li", now_ms());
    let kept = token("li", "c");
    // Both roles have verified the tokens before.
    for cookie in [&by_text, &by_jti, &session, &kept] {
        for app in [&here, &there] {
            assert_eq!(shown(app, cookie).await.0, StatusCode::OK);
        }
    }
    let text = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    for (wanted, refused) in [
        (json!({ "session": text(&by_text) }), &by_text),
        (
            json!({ "jti": "b", "expires_ms": now_ms() + 600_000 }),
            &by_jti,
        ),
        (json!({ "session": text(&session) }), &session),
    ] {
        // The same again is answered in the same way.
        for _ in 0..2 {
            let (status, body) = revoke(&here, &wanted).await;
            assert_eq!(
                (status, &body["revoked"]),
                (StatusCode::OK, &"session".into())
            );
            assert!(body["until_ms"].as_u64().unwrap() > now_ms());
        }
        is_refused_soon(&here, refused).await;
        is_refused_soon(&there, refused).await;
        assert_eq!(shown(&there, &kept).await.0, StatusCode::OK);
    }
    // All that they have; what is minted next works at once, and others' always.
    let old = issued("li", now_ms() - 1_000);
    let (status, body) = revoke(&here, &json!({ "user": "li" })).await;
    assert_eq!((status, &body["revoked"]), (StatusCode::OK, &"user".into()));
    assert!(body["issued_before_ms"].as_u64().unwrap() <= now_ms());
    is_refused_soon(&there, &old).await;
    is_refused_soon(&there, &kept).await;
    let new = log_in(&here, "li").await;
    for app in [&here, &there] {
        assert_eq!(shown(app, &new).await.0, StatusCode::OK);
        assert_eq!(shown(app, &token("wang", "d")).await.0, StatusCode::OK);
    }
    // A retry that comes late says what it meant: it spares what was begun since.
    let before_ms = body["issued_before_ms"].clone();
    let again = json!({ "user": "li", "issued_before_ms": before_ms });
    assert_eq!(revoke(&there, &again).await.0, StatusCode::OK);
    assert_eq!(shown(&there, &new).await.0, StatusCode::OK);
    shop.shut().await;
}

#[tokio::test]
async fn whoever_does_not_sign_or_names_nothing_revokes_nothing() {
    let shop = Shop::open(10).await;
    let app = role(&shop, None).await;
    let body = json!({ "user": "li" }).to_string();
    let old = payment::sign(&login_ring(), now_ms() - 600_000, body.as_bytes());
    let stranger = payment::sign(&ring(), now_ms(), body.as_bytes());
    for signature in [String::new(), old, stranger] {
        let (status, _) = revoke_signed(&app, body.clone(), signature).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    for wrong in [
        json!({}),
        json!({ "user": "" }),
        json!({ "session": "li" }),
        json!({ "user": "li", "session": "li.1.k1.d" }),
        json!({ "user": "li", "issued_before_ms": now_ms() + 3_600_000 }),
        json!({ "session": "x".repeat(20_000) }),
    ] {
        assert_eq!(
            revoke(&app, &wrong).await.0,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
    let session = issued("li", 1);
    assert_eq!(shown(&app, &session).await.0, StatusCode::OK);
    // Without keys nobody may.
    let signature = payment::sign(&login_ring(), now_ms(), body.as_bytes());
    let (status, _) = revoke_signed(&shop.app, body, signature).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    shop.shut().await;
}

#[tokio::test]
async fn a_winner_whose_sessions_are_revoked_logs_in_again_and_finds_their_order() {
    let mut shop = Shop::open(1).await;
    let app = role(&shop, None).await;
    let session = issued("li", now_ms() - 1);
    let buy = Request::post(hidden_url("li")).header("idempotency-key", "r1");
    assert_eq!(ask(&app, buy, &session).await.0, StatusCode::ACCEPTED);
    // While the order is under way.
    assert_eq!(
        revoke(&app, &json!({ "user": "li" })).await.0,
        StatusCode::OK
    );
    let result = || Request::get("/api/rounds/1/products/153/result");
    assert_eq!(
        ask(&app, result(), &session).await.0,
        StatusCode::UNAUTHORIZED
    );
    shop.run_all();
    let order = shop_order(&app, "li").await;
    let again = log_in(&app, "li").await;
    let retry = Request::post(hidden_url("li")).header("idempotency-key", "r1");
    assert_eq!(ask(&app, retry, &again).await.0, StatusCode::ACCEPTED);
    let (status, found) = ask(&app, Request::get(format!("/api/orders/{order}")), &again).await;
    assert_eq!(
        (status, &found["status"]),
        (StatusCode::OK, &"created".into())
    );
    let (status, _) = ask(
        &app,
        Request::post(format!("/api/orders/{order}/pay")),
        &again,
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    shop.shut().await;
}

/// The order of a buyer who logs in to look for it.
async fn shop_order(app: &Router, user: &str) -> String {
    let cookie = log_in(app, user).await;
    eventually("the order is placed", || async {
        let request = Request::get("/api/rounds/1/products/153/result");
        let (_, body) = ask(app, request, &cookie).await;
        let order = body["order"]
            .as_str()
            .filter(|_| body["status"] == "ordered");
        order.map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn while_redis_is_away_a_logout_counts_here_at_once_and_everywhere_afterwards() {
    let mut shop = Shop::open(10).await;
    let (here, there) = (role(&shop, None).await, role(&shop, None).await);
    let (before, meanwhile) = (issued("li", 1), issued("wang", 1));
    ask(&here, Request::post("/api/session/logout"), &before).await;
    is_refused_soon(&there, &before).await;
    shop.redis.kill();
    let (status, _) = ask(&here, Request::post("/api/session/logout"), &meanwhile).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        shown(&here, &meanwhile).await.1["reason"],
        "session_revoked"
    );
    assert_eq!(shown(&there, &before).await.1["reason"], "session_revoked");
    // A server is told to try again.
    let (status, _) = revoke(&there, &json!({ "user": "zhao" })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    shop.redis.start_again().await;
    is_refused_soon(&there, &meanwhile).await;
    is_refused_soon(&there, &before).await;
    shop.shut().await;
}

/// A restart in an outage: no list can be read, and whoever was logged in still is.
#[tokio::test]
async fn a_role_that_starts_while_redis_is_away_knows_its_shoppers_and_sells_to_none() {
    let mut shop = Shop::open(10).await;
    let link = shop.redis.link().await;
    let (kept, ended) = (issued("li", 1), issued("wang", 1));
    shop.redis.kill();
    let app = role_on(&shop, link, None);
    assert_eq!(shown(&app, &kept).await.0, StatusCode::OK);
    let (status, _) = ask(&app, Request::post(hidden_url("li")), &kept).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    // What is revoked here counts here.
    ask(&app, Request::post("/api/session/logout"), &ended).await;
    assert_eq!(shown(&app, &ended).await.1["reason"], "session_revoked");
    assert_eq!(shown(&app, &kept).await.0, StatusCode::OK);
    shop.redis.start_again().await;
    shop.shut().await;
}

fn record(until_ms: u64) -> Record {
    Record {
        expires_ms: Some(until_ms),
        at_ms: 1,
        by: "test".to_owned(),
        reason: String::new(),
    }
}

#[tokio::test]
async fn the_list_has_a_bound_what_ended_makes_room_and_the_later_end_wins() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    let now = now_ms();
    let mut revoke = async |jti: &str, until_ms: u64, now_ms: u64| {
        let ban = Ban::Session(Mark::of_jti(jti));
        let call = scripts::sessions::revoke_within(&ban, &record(until_ms), now_ms, 3);
        call.run(&mut conn).await.unwrap()
    };
    for jti in ["1", "2", "3"] {
        assert!(revoke(jti, now + 1_000, now).await);
    }
    assert!(!revoke("4", now + 1_000, now).await);
    // One that is in it already needs no room, and an earlier end does not shorten it.
    assert!(revoke("1", now + 9_000, now).await && revoke("1", now + 2_000, now).await);
    assert!(revoke("4", now + 9_000, now + 1_000).await);
    let left: Vec<String> = link
        .conn()
        .await
        .unwrap()
        .hvals(keys::REVOKED)
        .await
        .unwrap();
    let later = format!("{}|", now + 9_000);
    assert_eq!(left.len(), 2);
    assert!(
        left.iter().all(|value| value.starts_with(&later)),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_long_list_of_revoked_sessions_is_known_and_no_other_and_it_has_an_end() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    let value = record(now_ms() + 600_000).to_string();
    fill(&mut conn, 1, 100_000, &value).await;
    let _: () = conn.set(keys::REVOKED_VERSION, "by hand").await.unwrap();
    let mirror = Mirror::following(link.clone());
    eventually("the list is read", || async {
        mirror.was_read().then_some(())
    })
    .await;
    let at = |own: Mark| {
        let marks = Marks {
            own,
            jti: None,
            issued_ms: None,
        };
        mirror.check("li", &marks, now_ms())
    };
    for n in (1..100_000_u64).step_by(99) {
        let mark = Mark::parse(&format!("{n:032x}")).unwrap();
        assert_eq!(at(mark), Err(Verdict::LoginRequired), "{n}");
        assert_eq!(at(Mark::of_jti(&n.to_string())), Ok(()), "{n}");
    }
    // As many as the list may have, but for the last.
    fill(&mut conn, 100_000, 1_000_000, &value).await;
    let last = Revocation::of_jti("last", None, now_ms());
    mirror.revoke(&last, "test").await.unwrap();
    let full = Revocation::of_jti("one more", None, now_ms());
    let error = mirror.revoke(&full, "test").await.unwrap_err();
    assert!(error.to_string().contains("1000000"), "{error}");
}

/// Revokes the sessions with these numbers, the last excluded, in parts that take no
/// time-out each.
async fn fill(conn: &mut MultiplexedConnection, first: u64, end: u64, value: &str) {
    let fill = "for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do redis.call('HSET', KEYS[1], \
                string.format('session:%032x', n), ARGV[3]) end";
    for part in (first..end).step_by(10_000) {
        let last = (part + 9_999).min(end - 1);
        let _: () = redis::cmd("EVAL")
            .arg((fill, 1, keys::REVOKED, part, last, value))
            .query_async(conn)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_command_revokes_what_it_is_given_and_says_until_when() {
    let shop = Shop::open(10).await;
    let app = role(&shop, None).await;
    let folder = tempfile::TempDir::new().unwrap();
    let (session, old) = (issued("auth0%7C5f7c", now_ms() - 1), issued("li", 1));
    let run = async |arguments: &[&str]| {
        let mut command = program();
        command.args(["session", "revoke"]).args(arguments);
        command
            .env("SECKILL_DATA", folder.path())
            .env("SECKILL_DATABASE_URL", &shop.database_url)
            .env("SECKILL_REDIS_URL", shop.redis.url());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let [said, error] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.success(), said + &error)
    };
    let (_, text) = old.split_once('=').unwrap();
    let (is_done, said) = run(&[text]).await;
    assert!(is_done && said.starts_with("Revoked until "), "{said}");
    is_refused_soon(&app, &old).await;
    let (is_done, said) = run(&["--user", "auth0|5f7c", "--json"]).await;
    assert!(is_done, "{said}");
    let body: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(body["revoked"], "user");
    is_refused_soon(&app, &session).await;
    assert!(run(&["--jti", "a", "--for", "1h"]).await.0);
    for wrong in [
        &["li"][..],
        &[],
        &["--user", ""],
        &["--user", "li", "--jti", "a"],
    ] {
        let (is_done, said) = run(wrong).await;
        assert!(!is_done && !said.is_empty(), "{wrong:?}");
    }
    shop.shut().await;
}
