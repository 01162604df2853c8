//! The day's document.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::pages::day::{self, DayState};
use seckill::redis::RedisLink;
use seckill_core::keys;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::shop::Shop;
use crate::common::{calls, eventually, now_ms};

/// An ops role with a connection of its own, as in a process of its own.
fn ops(shop: &Shop, copies: Option<&Path>) -> Router {
    let redis = RedisLink::lazy(&shop.server.url()).unwrap();
    day::router(DayState::new(redis, TimeZone::UTC, copies))
}

async fn ask(app: &Router, etag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    ask_for(app, "/api/rounds", etag).await
}

async fn ask_for(app: &Router, uri: &str, etag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(uri);
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (head.status, head.headers, body)
}

/// How often the products of a round were read from Redis: once an assembly.
async fn assemblies(shop: &Shop) -> u64 {
    // Three days and one round of products are read for "now".
    let calls = calls(&shop.redis, "zrange").await;
    assert_eq!(calls % 4, 0);
    calls / 4
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_several_processes_has_the_day_assembled_once() {
    let shop = Shop::open().await;
    let processes: Vec<Router> = (0..4).map(|_| ops(&shop, None)).collect();
    for assembled in 1..=3 {
        let title = format!("Title {assembled}.");
        shop.edit("title", &title).await;
        let mut asking = JoinSet::new();
        for n in 0..200 {
            let app = processes[n % processes.len()].clone();
            asking.spawn(async move { ask(&app, None).await });
        }
        while let Some(answer) = asking.join_next().await {
            let (status, _, body) = answer.unwrap();
            assert_eq!(status, StatusCode::OK);
            assert!(body.contains("1-153.html"), "{body}");
        }
        for app in &processes {
            eventually("the change is seen everywhere", || async {
                ask(app, None).await.2.contains(&title).then_some(())
            })
            .await;
        }
        assert_eq!(assemblies(&shop).await, assembled);
    }
}

#[tokio::test]
async fn the_day_is_kept_by_clients_and_confirmed_by_its_etag() {
    let shop = Shop::open().await;
    let app = ops(&shop, None);
    let (status, headers, _) = ask(&app, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "public, max-age=300");
    let etag = headers["etag"].to_str().unwrap();
    let (status, _, body) = ask(&app, Some(&format!("W/{etag}"))).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    shop.edit("title", "Another").await;
    eventually("another is served", || async {
        (ask(&app, Some(etag)).await.0 == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_day_is_served_without_redis_as_long_as_a_copy_is_there() {
    let mut shop = Shop::open().await;
    let copies = shop.folder.path().join("days");
    let app = ops(&shop, Some(&copies));
    let (_, _, body) = ask(&app, None).await;
    eventually("a copy is on the disk", || async {
        copies.join("now.json").is_file().then_some(())
    })
    .await;
    shop.server.kill();
    // A client that knows a later version causes a read of Redis, however recent the last one.
    let later = format!("/api/rounds?version={}-0", now_ms() + 60_000);
    assert_eq!(ask_for(&app, &later, None).await.2, body, "from memory");
    let restarted = ops(&shop, Some(&copies));
    assert_eq!(ask(&restarted, None).await.2, body, "from the disk");
    let bare = ops(&shop, None);
    assert_eq!(ask(&bare, None).await.0, StatusCode::SERVICE_UNAVAILABLE);
    shop.server.start_again().await;
    eventually("it is assembled again", || async {
        (ask(&bare, None).await.0 == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_dies_while_assembling_keeps_nobody_from_it_for_long() {
    let shop = Shop::open().await;
    let mut conn = shop.redis.conn().await.unwrap();
    let day = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    let lock = keys::day_lock(&format!("now-{day}"));
    let _: () = conn
        .set_options(
            &lock,
            "a dead one's",
            redis::SetOptions::default().with_expiration(redis::SetExpiry::PX(1_000)),
        )
        .await
        .unwrap();
    let app = ops(&shop, None);
    assert_eq!(
        ask(&app, None).await.0,
        StatusCode::OK,
        "after the lock lapsed"
    );
    let _: () = conn.set(&lock, "another's").await.unwrap();
    shop.edit("title", "Another").await;
    assert_eq!(
        ask(&app, None).await.0,
        StatusCode::OK,
        "the old one meanwhile"
    );
    let held: Option<String> = conn.get(&lock).await.unwrap();
    assert_eq!(
        held.as_deref(),
        Some("another's"),
        "nobody takes away another's lock"
    );
}
