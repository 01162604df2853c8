//! Purges of caches, and the removal of orphans.

use std::fs;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::config::targets::{PurgeMethod, Targets};
use seckill::pages::report;
use seckill::sale::message;
use seckill_core::keys;

use super::shop::Shop;
use crate::common::{eventually, now_ms};

/// A cache that records its requests, and responds with `status`.
#[derive(Clone)]
struct Cache {
    requests: Arc<Mutex<Vec<String>>>,
    status: Arc<AtomicU16>,
    url: String,
}

impl Cache {
    async fn open(status: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cache = Self {
            requests: Arc::default(),
            status: Arc::new(AtomicU16::new(status)),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let app = Router::new().fallback(record).with_state(cache.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        cache
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn until_requested(&self, what: &str) {
        eventually(&format!("the cache gets {what}"), || async {
            self.requests()
                .iter()
                .any(|line| line == what)
                .then_some(())
        })
        .await;
    }
}

async fn record(State(cache): State<Cache>, request: Request) -> StatusCode {
    let host = request.headers()["host"].to_str().unwrap().to_owned();
    let line = format!("{} {host}{}", request.method(), request.uri());
    cache.requests.lock().unwrap().push(line);
    StatusCode::from_u16(cache.status.load(Ordering::SeqCst)).unwrap()
}

async fn waiting(shop: &Shop) -> Option<report::Report> {
    let mut conn = shop.redis.conn().await.ok()?;
    report::read(&mut conn).await.ok()?.pop()
}

#[tokio::test]
async fn a_purge_is_retried_until_the_cache_accepts_it_even_over_a_restart() {
    let mut shop = Shop::open().await;
    // Pages name the shop's address: a new one would change them all.
    shop.targets.site = Some("https://shop.example.com".into());
    shop.render().await.cancel();
    let cache = Cache::open(503).await;
    shop.targets = Targets {
        purge: vec![cache.url.clone()],
        prewarm: vec![cache.url.clone()],
        ..shop.targets.clone()
    };
    let stop = shop.render().await;
    shop.edit("title", "New").await;
    let purge = "PURGE shop.example.com/product/1-153.html";
    cache.until_requested(purge).await;
    // The page, and the version of what shoppers see.
    let report = eventually("the failures are reported", || async {
        let report = waiting(&shop).await?;
        (report.waiting.purges == 2 && report.waiting.error.is_some()).then_some(report)
    })
    .await;
    assert!(report.waiting.error.unwrap().contains("answered 503"));
    // What it has under way must not meet the cache that accepts.
    stop.ended().await;

    cache.status.store(200, Ordering::SeqCst);
    cache.requests.lock().unwrap().clear();
    shop.render().await;
    cache.until_requested(purge).await;
    cache
        .until_requested("GET shop.example.com/product/1-153.html")
        .await;
    // And what the page leads to, once.
    let page = shop.page("1-153.html").unwrap();
    let files = seckill_core::pages::assets::files_of(&page);
    assert!(files.len() > 1, "{files:?}");
    for file in files {
        let request = format!("GET shop.example.com{file}");
        cache.until_requested(&request).await;
        let count = cache
            .requests()
            .iter()
            .filter(|line| **line == request)
            .count();
        assert_eq!(count, 1, "{file}");
    }
    eventually("nothing waits any more", || async {
        waiting(&shop)
            .await
            .filter(|report| report.waiting.purges == 0)
    })
    .await;
    let others = cache
        .requests()
        .iter()
        .filter(|line| line.contains("1-20"))
        .count();
    assert_eq!(others, 0, "an unchanged page is not purged");
}

#[tokio::test]
async fn a_webhook_is_posted_to_as_it_stands() {
    let mut shop = Shop::open().await;
    let hook = Cache::open(204).await;
    shop.targets = Targets {
        purge: vec![format!("{}/v1/purge?zone=7", hook.url)],
        method: PurgeMethod::Post,
        header: Some((
            "authorization".parse().unwrap(),
            "Bearer x".parse().unwrap(),
        )),
        ..Targets::default()
    };
    shop.render().await;
    let host = hook.url.trim_start_matches("http://");
    hook.until_requested(&format!("POST {host}/v1/purge?zone=7"))
        .await;
    // Two products, the start page under both of its names, and the shop's others.
    eventually("every page is purged", || async {
        (hook.requests().len() >= 4).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pages_of_what_is_over_deleted_or_unknown_go_with_a_purge() {
    let mut shop = Shop::open().await;
    let cache = Cache::open(404).await;
    shop.targets.purge = vec![cache.url.clone()];
    shop.keep_pages = Duration::ZERO;
    let stray = shop.origin().join("product/9-9.html");
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, "left by somebody").unwrap();
    shop.render().await;
    assert!(shop.page("1-153.html").is_some() && !stray.exists());
    let host = cache.url.trim_start_matches("http://").to_owned();
    cache
        .until_requested(&format!("PURGE {host}/product/9-9.html"))
        .await;

    let mut conn = shop.redis.conn().await.unwrap();
    let _: () = conn.zrem(keys::round_products("1"), "20").await.unwrap();
    message::announce(&shop.redis, "1").await.unwrap();
    cache.requests.lock().unwrap().clear();
    eventually("the deleted product's page is gone", || async {
        shop.page("1-20.html").is_none().then_some(())
    })
    .await;
    cache
        .until_requested(&format!("PURGE {host}/product/1-20.html"))
        .await;
    assert!(shop.page("1-153.html").is_some());

    // The round is cut short: it ends now.
    let _: () = conn
        .hset(keys::round_info("1"), "ends_ms", now_ms() + 300)
        .await
        .unwrap();
    message::announce(&shop.redis, "1").await.unwrap();
    eventually("the ended round's pages are gone", || async {
        shop.page("1-153.html").is_none().then_some(())
    })
    .await;
    cache
        .until_requested(&format!("PURGE {host}/product/1-153.html"))
        .await;
}
