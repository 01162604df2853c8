//! With the database stopped: shoppers go on buying, the console says what is
//! unavailable.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use jiff::tz::TimeZone;
use seckill::pages::day::{self, DayState};
use seckill::redis::segments::Segments;
use seckill::shop as purchase;
use seckill::shop::ShopState;
use seckill::store::LazyStore;
use seckill::store::accounts::Role;
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::rounds::{form, make, step};
use crate::common::console::Console;
use crate::common::mariadb::{TestMariadb, store};
use crate::common::{self, eventually, put_on_sale, ring};

#[tokio::test]
async fn with_the_database_stopped_shoppers_buy_on_and_the_console_says_what_is_missing() {
    let mut server = TestMariadb::start().await;
    let store = store(&server, "console").await;
    let folder = TempDir::new().unwrap();
    let console = Console::open_on(folder, store.clone(), LazyStore::opened(store.clone())).await;
    let li = console.person("li", Role::Operator).await;
    let wang = console.person("wang", Role::Supervisor).await;
    let round = make(&console, &li, &form("20")).await;
    let round = step(&console, &li, &round, "submit").await.body;
    let round = step(&console, &wang, &round, "approve").await;
    assert_eq!(round.body["state"], "published", "{}", round.body);

    put_on_sale(&console.link, 5).await;
    let segments = Segments::on(console.link.clone());
    let options = purchase::Options::default();
    let state = ShopState::new(console.link.clone(), segments, Some(store), ring(), options);
    let purchase = purchase::router(state);
    let answers = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        purchase.clone().oneshot(request).await.unwrap().status()
    };
    eventually("the purchase role is healthy", || async {
        (answers("/healthz").await == StatusCode::OK).then_some(())
    })
    .await;
    server.kill();

    let missing = console.get(&li, "/ops/api/rounds").await;
    assert_eq!(
        missing.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        missing.body
    );
    assert_eq!(missing.body["missing"], "database");
    let message = missing.body["message"].as_str().unwrap();
    assert!(
        message.contains("The database cannot be reached") && message.contains("buying go on"),
        "{message}"
    );
    let login = console.try_log_in("li", "password of li").await;
    assert_eq!(login.body["missing"], "database", "{}", login.body);
    let me = console.get(&li, "/ops/api/me").await;
    assert_eq!(
        me.body["name"],
        json!("li"),
        "operators who are logged in stay logged in"
    );

    let bought = purchase
        .clone()
        .oneshot(common::shop::click("ann", "r1", None));
    assert_eq!(bought.await.unwrap().status(), StatusCode::ACCEPTED);
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let shown = day::router(DayState::new(console.link.clone(), zone, None));
    let request = Request::get("/api/rounds").body(Body::empty()).unwrap();
    assert_eq!(
        shown.oneshot(request).await.unwrap().status(),
        StatusCode::OK
    );
    console.render().await;
    assert!(
        console
            .config
            .pages_dir()
            .join("product/1-20.html")
            .is_file()
    );

    server.start_again().await;
    let back = eventually("the console has its database again", || async {
        let list = console.get(&li, "/ops/api/rounds").await;
        (list.status == StatusCode::OK).then_some(list.body)
    })
    .await;
    assert_eq!(back["total"], 1);
}
