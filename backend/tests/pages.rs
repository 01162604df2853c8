//! The renderer on real files and a real Redis: what stands in the CDN origin,
//! what caches are told, and what is taken away again.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use common::{TestRedis, eventually, now_ms};
use http_body_util::BodyExt as _;
use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::ops::{self, OpsState};
use seckill::pages::{Options, PurgeMethod, Renderer, Targets, message, report};
use seckill::redis_link::RedisLink;
use seckill::sale::approve::Desk;
use seckill::sale::file::{self, Form};
use seckill::sale::import;
use seckill::segments::Segments;
use seckill::store::{Actor, Store};
use seckill_core::ids::Item;
use seckill_core::keys;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// A shop with one approved round of two products, "1-153" and "1-20".
struct Shop {
    folder: TempDir,
    redis: RedisLink,
    stop: CancellationToken,
    targets: Targets,
    keep_pages: Duration,
    server: TestRedis,
}

impl Shop {
    async fn open() -> Self {
        let server = TestRedis::start().await;
        let folder = TempDir::new().unwrap();
        copy(
            &repository().join("html/static"),
            &folder.path().join("html"),
        );
        let redis = server.link().await;
        let shop = Self {
            folder,
            redis,
            stop: CancellationToken::new(),
            targets: Targets::default(),
            keep_pages: Duration::from_secs(3_600),
            server,
        };
        shop.approve("1").await;
        shop
    }

    async fn approve(&self, round: &str) {
        let url = format!("sqlite:{}", self.folder.path().join("db").display());
        let store = Store::open(&url).await.unwrap();
        let text = format!(
            "[[round]]\nid = \"{round}\"\nname = \"Noon\"\nstarts = \"+10s\"\nends = \"+10m\"\n\
             [[round.product]]\nid = \"153\"\ntitle = \"<Phone>\"\namount = 10\n\
             price_cents = 99900\nlist_price_cents = 399900\n\
             [[round.product]]\nid = \"20\"\ntitle = \"Case\"\namount = 5\nprice_cents = 100\n"
        );
        let rounds = file::parse(&text, Form::Toml, now_ms()).unwrap();
        let by = Actor::on_the_box();
        import::import_overlapping(&store, &rounds, &by, now_ms())
            .await
            .unwrap();
        let desk = Desk {
            store: &store,
            redis: &self.redis,
            segments: &Segments::on(self.redis.clone()),
            zone: &TimeZone::UTC,
        };
        desk.approve(round, &by, now_ms()).await.unwrap();
        store.close().await;
    }

    fn options(&self) -> Options {
        Options {
            keep_pages: self.keep_pages,
            sweep: Duration::from_millis(100),
            targets: self.targets.clone(),
            ..Options::new(&self.folder.path().join("html"), &self.origin())
        }
    }

    fn renderer(&self) -> Renderer {
        Renderer::open(self.options()).unwrap()
    }

    /// Runs a renderer until the returned token is cancelled or the shop ends.
    async fn render(&self) -> CancellationToken {
        let stop = self.stop.child_token();
        let (ready, all_rendered) = oneshot::channel();
        let renderer = self.renderer();
        tokio::spawn(renderer.run(self.redis.clone(), ready, stop.clone()));
        all_rendered.await.unwrap();
        stop
    }

    fn origin(&self) -> PathBuf {
        self.folder.path().join("pages")
    }

    fn page(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.origin().join("product").join(name)).ok()
    }

    async fn until_page(&self, name: &str, has: &str) -> String {
        eventually(&format!("{name} has {has}"), || async {
            self.page(name).filter(|page| page.contains(has))
        })
        .await
    }

    /// Edits a field of product 153 as an edit of the published round does.
    async fn edit(&self, field: &str, value: &str) {
        let item = Item::new("1", "153").unwrap();
        let mut conn = self.redis.conn().await.unwrap();
        let _: () = conn.hset(keys::info(&item), field, value).await.unwrap();
        message::announce(&self.redis, "1").await.unwrap();
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The addresses under `/assets/` that stand in a text.
fn assets_in(text: &str) -> Vec<String> {
    let starts = text
        .match_indices("/assets/")
        .map(|(at, found)| at + found.len());
    let name = |at: usize| {
        let rest = &text[at..];
        let end = rest.find(['"', '\'', '#', '`', ')']).unwrap();
        rest[..end].to_owned()
    };
    starts.map(name).collect()
}

#[tokio::test]
async fn an_approval_has_its_pages_rendered_and_an_edit_replaces_one() {
    let shop = Shop::open().await;
    shop.render().await;
    let page = shop.page("1-153.html").unwrap();
    assert!(
        page.contains("&#60;Phone&#62;") && !page.contains("<Phone>"),
        "{page}"
    );
    assert!(page.contains("999.00"));
    let case = fs::metadata(shop.origin().join("product/1-20.html")).unwrap();

    shop.edit("text", "Two **sizes** & <b>one</b> colour").await;
    let page = shop.until_page("1-153.html", "Two <strong>sizes").await;
    assert!(
        page.contains("&amp; &lt;b&gt;one&lt;/b&gt; colour"),
        "{page}"
    );
    let same = fs::metadata(shop.origin().join("product/1-20.html")).unwrap();
    assert_eq!(
        case.modified().unwrap(),
        same.modified().unwrap(),
        "an unchanged page is left alone"
    );

    shop.edit("picture", "0123456789abcdef-960x720").await;
    let page = shop.until_page("1-153.html", "srcset=").await;
    assert!(page.contains("width=\"960\" height=\"720\""));
    shop.edit("picture", "../../etc/passwd").await;
    shop.edit("title", "Plain again").await;
    let page = shop.until_page("1-153.html", "Plain again").await;
    assert!(
        !page.contains("passwd"),
        "what is no picture's name stands nowhere"
    );

    shop.approve("2").await;
    shop.until_page("2-153.html", "Phone").await;
}

#[tokio::test]
async fn every_asset_that_a_page_leads_to_is_there_and_bears_its_hash() {
    let shop = Shop::open().await;
    shop.render().await;
    let start = fs::read_to_string(shop.origin().join("shop/index.html")).unwrap();
    let mut open = assets_in(&start);
    open.extend(assets_in(&shop.page("1-153.html").unwrap()));
    assert!(open.iter().any(|name| name.starts_with("product.")));
    for name in open {
        let digits = name.split('.').nth(1).unwrap();
        assert_eq!(digits.len(), 16, "{name} bears a hash");
        let text = fs::read_to_string(shop.origin().join("assets").join(&name)).unwrap();
        assert!(shop.origin().join(format!("assets/{name}.gz")).is_file());
        for import in text.split("from '").skip(1) {
            let import = import.split('\'').next().unwrap().trim_start_matches("./");
            let there = shop.origin().join("assets").join(import).is_file();
            assert!(there, "{name} imports {import}");
        }
    }
}

#[tokio::test]
async fn a_new_version_of_the_shop_keeps_the_old_assets_for_open_pages() {
    let shop = Shop::open().await;
    shop.render().await.cancel();
    let old = shop.page("1-153.html").unwrap();

    let words = shop.folder.path().join("html/assets/words.js");
    let text = fs::read_to_string(&words).unwrap();
    fs::write(&words, format!("{text}\n// another version\n")).unwrap();
    shop.render().await.cancel();
    let new = shop.page("1-153.html").unwrap();
    let (old, new) = (assets_in(&old), assets_in(&new));
    let script = |of: &[String]| {
        of.iter()
            .find(|it| it.starts_with("product.") && it.ends_with(".js"))
            .unwrap()
            .clone()
    };
    assert_ne!(script(&old), script(&new), "it leads to the changed words");
    let style = |of: &[String]| {
        of.iter()
            .find(|it| it.starts_with("product.") && it.ends_with(".css"))
            .unwrap()
            .clone()
    };
    assert_eq!(
        style(&old),
        style(&new),
        "what did not change keeps its name"
    );
    let is_there = |name: &str| shop.origin().join("assets").join(name).is_file();
    assert!(is_there(&script(&old)) && is_there(&script(&new)));

    let options = Options {
        keep_assets: Duration::ZERO,
        ..shop.options()
    };
    Renderer::open(options)
        .unwrap()
        .catch_up(&shop.redis)
        .await
        .unwrap();
    assert!(!is_there(&script(&old)), "its time of grace is over");
    assert!(is_there(&script(&new)) && is_there(&style(&new)));
}

#[tokio::test]
async fn a_renderer_that_was_down_catches_up() {
    let shop = Shop::open().await;
    shop.render().await.cancel();
    shop.edit("title", "Edited while nobody rendered").await;
    shop.approve("2").await;
    let mut conn = shop.redis.conn().await.unwrap();
    // Not even the messages are there any more.
    let _: () = conn
        .xtrim(
            keys::PRODUCT_MESSAGES,
            redis::streams::StreamMaxlen::Equals(0),
        )
        .await
        .unwrap();
    shop.render().await;
    assert!(shop.page("1-153.html").unwrap().contains("Edited while"));
    assert!(shop.page("2-20.html").is_some());
}

#[tokio::test]
async fn a_redis_that_was_lost_and_begun_anew_is_followed() {
    let shop = Shop::open().await;
    shop.render().await.cancel();
    let mut conn = shop.redis.conn().await.unwrap();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut conn).await.unwrap();
    fs::remove_file(shop.folder.path().join("db")).unwrap();
    // A clock that is a year behind wrote the first message of the new one.
    let _: () = conn
        .xadd(keys::PRODUCT_MESSAGES, "1-1", &[("round", "0")])
        .await
        .unwrap();
    shop.renderer().catch_up(&shop.redis).await.unwrap();
    assert!(shop.page("1-153.html").is_none());
}

#[tokio::test]
async fn several_renderers_of_one_folder_end_with_the_last_edit() {
    let shop = Shop::open().await;
    for _ in 0..3 {
        shop.render().await;
    }
    for n in 0..40 {
        shop.edit("title", &format!("Edit {n}.")).await;
    }
    shop.until_page("1-153.html", "Edit 39.").await;
    // Whoever lags behind has had his turn by the time of a later round's page.
    shop.approve("2").await;
    shop.until_page("2-153.html", "Phone").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(shop.page("1-153.html").unwrap().contains("Edit 39."));
}

/// A cache that writes down what it is told, and answers with `status`.
#[derive(Clone)]
struct Cache {
    told: Arc<Mutex<Vec<String>>>,
    status: Arc<AtomicU16>,
    url: String,
}

impl Cache {
    async fn open(status: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cache = Self {
            told: Arc::default(),
            status: Arc::new(AtomicU16::new(status)),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let app = Router::new().fallback(hear).with_state(cache.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        cache
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    async fn until_told(&self, what: &str) {
        eventually(&format!("the cache is told {what}"), || async {
            self.told().iter().any(|told| told == what).then_some(())
        })
        .await;
    }
}

async fn hear(State(cache): State<Cache>, request: Request) -> StatusCode {
    let host = request.headers()["host"].to_str().unwrap().to_owned();
    let line = format!("{} {host}{}", request.method(), request.uri());
    cache.told.lock().unwrap().push(line);
    StatusCode::from_u16(cache.status.load(Ordering::SeqCst)).unwrap()
}

async fn waiting(shop: &Shop) -> Option<report::Report> {
    let mut conn = shop.redis.conn().await.ok()?;
    report::read(&mut conn).await.ok()?.pop()
}

#[tokio::test]
async fn a_cache_is_told_of_each_change_until_it_listens_even_over_a_restart() {
    let mut shop = Shop::open().await;
    shop.render().await.cancel();
    let cache = Cache::open(503).await;
    shop.targets = Targets {
        purge: vec![cache.url.clone()],
        prewarm: vec![cache.url.clone()],
        site: Some("https://shop.example.com".into()),
        ..Targets::default()
    };
    let stop = shop.render().await;
    shop.edit("title", "New").await;
    let purge = "PURGE shop.example.com/product/1-153.html";
    cache.until_told(purge).await;
    // The page, and the version of what shoppers see.
    let report = eventually("the failures are reported", || async {
        let report = waiting(&shop).await?;
        (report.waiting.purges == 2 && report.waiting.error.is_some()).then_some(report)
    })
    .await;
    assert!(report.waiting.error.unwrap().contains("answered 503"));
    stop.cancel();

    cache.status.store(200, Ordering::SeqCst);
    cache.told.lock().unwrap().clear();
    shop.render().await;
    cache.until_told(purge).await;
    cache
        .until_told("GET shop.example.com/product/1-153.html")
        .await;
    // And what the page leads to, once.
    let page = shop.page("1-153.html").unwrap();
    let files = seckill_core::assets::files_of(&page);
    assert!(files.len() > 1, "{files:?}");
    for file in files {
        let ask = format!("GET shop.example.com{file}");
        cache.until_told(&ask).await;
        let asked = cache.told().iter().filter(|told| **told == ask).count();
        assert_eq!(asked, 1, "{file}");
    }
    eventually("nothing waits any more", || async {
        waiting(&shop)
            .await
            .filter(|report| report.waiting.purges == 0)
    })
    .await;
    let others = cache
        .told()
        .iter()
        .filter(|told| told.contains("1-20"))
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
    hook.until_told(&format!("POST {host}/v1/purge?zone=7"))
        .await;
    // Two products, the start page under both of its names, and the shop's others.
    eventually("every page is told of", || async {
        (hook.told().len() >= 4).then_some(())
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
        .until_told(&format!("PURGE {host}/product/9-9.html"))
        .await;

    let mut conn = shop.redis.conn().await.unwrap();
    let _: () = conn.zrem(keys::round_products("1"), "20").await.unwrap();
    message::announce(&shop.redis, "1").await.unwrap();
    cache.told.lock().unwrap().clear();
    eventually("the deleted product's page is gone", || async {
        shop.page("1-20.html").is_none().then_some(())
    })
    .await;
    cache
        .until_told(&format!("PURGE {host}/product/1-20.html"))
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
        .until_told(&format!("PURGE {host}/product/1-153.html"))
        .await;
}

/// An ops role with a connection of its own, as in a process of its own.
fn ops(shop: &Shop, copies: Option<&Path>) -> Router {
    let redis = RedisLink::lazy(&shop.server.url()).unwrap();
    ops::router(OpsState::new(redis, TimeZone::UTC, copies))
}

async fn ask(app: &Router, etag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get("/api/rounds");
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (head.status, head.headers, body)
}

/// How often Redis was asked for the products of a round: once an assembly.
async fn assemblies(shop: &Shop) -> u64 {
    let mut conn = shop.redis.conn().await.unwrap();
    let mut info = redis::cmd("INFO");
    let text: String = info
        .arg("commandstats")
        .query_async(&mut conn)
        .await
        .unwrap();
    let calls = text.split("cmdstat_zrange:calls=").nth(1);
    let calls = calls.map_or("0", |rest| rest.split(',').next().unwrap());
    // Three days and one round of products are read for "now".
    let calls: u64 = calls.parse().unwrap();
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
    eventually("another is told", || async {
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
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(ask(&app, None).await.2, body, "from memory");
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
