//! Import and approval: what the database, Redis and the pages hold afterwards.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::HashMap;

use crate::common::TestRedis;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::pages::day::{self, DayState};
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill::sale::approve::Approver;
use seckill::sale::export;
use seckill::sale::file;
use seckill::sale::file::FileRound;
use seckill::sale::file::Form;
use seckill::sale::import;
use seckill::sale::switch::Switch;
use seckill::store::import::Change;
use seckill::store::round::RoundState;
use seckill::store::stop::Cancelling;
use seckill::store::stops::{StopOrder, StopStep};
use seckill::store::{Actor, Store};
use seckill_core::keys;
use tempfile::TempDir;
use tower::ServiceExt as _;

mod commands;
mod exported;

/// 2026-11-23T12:00:00+08:00.
const OPENS_MS: u64 = 1_795_406_400_000;
const NOW_MS: u64 = OPENS_MS - 60_000;

/// A database and a page folder, and Redis besides.
struct Shop {
    folder: TempDir,
    store: Store,
    redis: RedisLink,
    segments: Segments,
    zone: TimeZone,
    server: TestRedis,
    database_url: String,
}

impl Shop {
    async fn open() -> Self {
        let server = TestRedis::start().await;
        let folder = TempDir::new().unwrap();
        let url = crate::common::database::place(folder.path()).await;
        let store = Store::open(&url).await.unwrap();
        let redis = server.link().await;
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        Self {
            folder,
            store,
            segments: Segments::on(redis.clone()),
            redis,
            zone,
            server,
            database_url: url,
        }
    }

    async fn approve(&self, round: &str) -> Result<(), String> {
        let approver = Approver {
            store: &self.store,
            redis: &self.redis,
            segments: &self.segments,
            zone: &self.zone,
            inventory: None,
            site: None,
        };
        approver
            .approve(round, &Actor::on_the_box(), NOW_MS)
            .await
            .map_err(|error| error.to_string())
    }

    async fn import(&self, text: &str) -> Result<Vec<Change>, String> {
        let outcomes =
            import::import(&self.store, &rounds(text), &Actor::on_the_box(), NOW_MS).await;
        let outcomes = outcomes.map_err(|error| error.to_string())?;
        Ok(outcomes.into_iter().map(|outcome| outcome.change).collect())
    }

    async fn hash(&self, key: &str) -> HashMap<String, String> {
        self.redis.conn().await.unwrap().hgetall(key).await.unwrap()
    }
}

fn rounds(text: &str) -> Vec<FileRound> {
    file::parse(text, Form::Toml, NOW_MS).unwrap()
}

fn round(id: &str, amount: u64) -> String {
    format!(
        "[[round]]\nid = \"{id}\"\nname = \"Noon\"\nstarts = \"2026-11-23T12:00:00+08:00\"\n\
         ends = \"+10m\"\n[[round.product]]\nid = \"153\"\ntitle = \"<Phone> & more\"\n\
         amount = {amount}\nprice_cents = 99900\nlist_price_cents = 399900\n\
         [[round.product]]\nid = \"20\"\ntitle = \"Case\"\namount = 5\nprice_cents = 100\n\
         per_buyer = 2\n"
    )
}

fn pairs(of: &[(&str, &str)]) -> HashMap<String, String> {
    of.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn importing_an_unchanged_file_again_changes_nothing() {
    let shop = Shop::open().await;
    assert_eq!(
        shop.import(&round("1", 10)).await.unwrap(),
        [Change::Created]
    );
    assert_eq!(
        shop.import(&round("1", 10)).await.unwrap(),
        [Change::Unchanged]
    );
    assert_eq!(
        shop.import(&round("1", 11)).await.unwrap(),
        [Change::Replaced]
    );
    let stored = shop.store.round("1").await.unwrap().unwrap();
    assert_eq!(
        (stored.state, stored.round.products[0].amount),
        (RoundState::Draft, 11)
    );
}

/// A round of so many products that ends ten minutes after its start.
fn large(id: &str, products: usize) -> String {
    let head = format!(
        "[[round]]\nid = \"{id}\"\nname = \"Noon\"\nstarts = \"2026-11-23T12:00:00+08:00\"\nends = \"+10m\"\n"
    );
    let product = |n| {
        format!(
            "[[round.product]]\nid = \"{id}_{n}\"\ntitle = \"Case\"\namount = 5\nprice_cents = 100\n"
        )
    };
    std::iter::once(head)
        .chain((1..=products).map(product))
        .collect()
}

#[tokio::test]
async fn a_round_for_which_the_smallest_zone_has_no_room_is_refused_with_the_size_needed() {
    let shop = Shop::open().await;
    shop.import(&large("1", 100)).await.unwrap();
    shop.import(&large("2", 1_200)).await.unwrap();
    // Three edges as they list themselves, one of which is long gone.
    let mut conn = shop.redis.conn().await.unwrap();
    let far_ms = 4_000_000_000_000_u64;
    for (line, until_ms) in [
        ("edge-a.feed.10014.web6", far_ms),
        ("edge-b.beef.1190.web7", far_ms),
        ("edge-c.dead.10.web8", 1),
    ] {
        let _: () = conn.zadd(keys::EDGES, line, until_ms).await.unwrap();
    }
    shop.approve("1").await.unwrap();
    let refused = shop.approve("2").await.unwrap_err();
    for part in [
        "the zone of edge edge-b.beef on web7 has room for 1190 products",
        "with round \"2\" there are 1300 that are not over",
        "seckill_zone NAME:3m",
    ] {
        assert!(refused.contains(part), "{refused} lacks {part}");
    }
    let stored = shop.store.round("2").await.unwrap().unwrap();
    assert_ne!(stored.state, RoundState::Approved);
    let listed: u64 = conn.hlen(keys::CATALOGUE).await.unwrap();
    assert_eq!(listed, 101, "nothing of it was published");
    // The edge gets a larger zone, with which it is another edge.
    let _: () = conn
        .zrem(keys::EDGES, "edge-b.beef.1190.web7")
        .await
        .unwrap();
    shop.approve("2").await.unwrap();
}

#[tokio::test]
async fn what_was_withdrawn_leaves_its_room_to_the_next_round() {
    let shop = Shop::open().await;
    for id in ["1", "2"] {
        shop.import(&large(id, 20)).await.unwrap();
    }
    let mut conn = shop.redis.conn().await.unwrap();
    let (edge, far_ms) = ("edge-a.beef.30.web7", 4_000_000_000_000_u64);
    let () = conn.zadd(keys::EDGES, edge, far_ms).await.unwrap();
    shop.approve("1").await.unwrap();
    let refused = shop.approve("2").await.unwrap_err();
    assert!(
        refused.contains("withdraw what is not to be sold"),
        "{refused}"
    );
    let order = StopOrder {
        step: StopStep::Withdraw,
        round: "1",
        product: None,
        cancel: Cancelling::None,
        reason: "",
    };
    let switch = Switch {
        store: &shop.store,
        redis: &shop.redis,
    };
    let done = switch.carry_out(&order, &Actor::system(), NOW_MS).await;
    assert!(done.unwrap().problem.is_none());
    shop.approve("2").await.unwrap();
}

#[tokio::test]
async fn an_approved_round_is_never_changed_and_the_rest_of_the_file_is_left_out_too() {
    let shop = Shop::open().await;
    shop.import(&round("1", 10)).await.unwrap();
    shop.approve("1").await.unwrap();
    assert_eq!(
        shop.import(&round("1", 10)).await.unwrap(),
        [Change::Unchanged]
    );
    let file = format!("{}{}", round("2", 7), round("1", 12));
    let refused = shop.import(&file).await.unwrap_err();
    assert!(
        refused.contains("amount of product 153 is 10, the file says 12"),
        "{refused}"
    );
    assert!(
        shop.store.round("2").await.unwrap().is_none(),
        "half of the file was imported"
    );
}

#[tokio::test]
async fn a_relative_start_in_an_unchanged_file_is_no_change_of_an_approved_round() {
    let shop = Shop::open().await;
    let text = round("1", 10).replace("2026-11-23T12:00:00+08:00", "+1m");
    shop.import(&text).await.unwrap();
    shop.approve("1").await.unwrap();
    let later = file::parse(&text, Form::Toml, NOW_MS + 30_000).unwrap();
    let outcomes = import::import(&shop.store, &later, &Actor::on_the_box(), NOW_MS + 30_000)
        .await
        .unwrap();
    assert_eq!(outcomes[0].change, Change::Unchanged);
}

#[tokio::test]
async fn approval_writes_the_published_layout_and_writing_it_again_resets_nothing() {
    let shop = Shop::open().await;
    shop.import(&round("1", 10)).await.unwrap();
    shop.approve("1").await.unwrap();
    let mut conn = shop.redis.conn().await.unwrap();

    let day: Vec<(String, u64)> = conn
        .zrange_withscores("seckill::{2026-11-23}::rounds", 0, -1)
        .await
        .unwrap();
    assert_eq!(day, [("1".to_owned(), OPENS_MS)]);
    let (opens, ends) = (OPENS_MS.to_string(), (OPENS_MS + 600_000).to_string());
    let info = pairs(&[
        ("name", "Noon"),
        ("starts_ms", &opens),
        ("ends_ms", &ends),
        ("date", "2026-11-23"),
    ]);
    assert_eq!(shop.hash("seckill::round::{1}::info").await, info);
    let products: Vec<String> = conn
        .zrange("seckill::round::{1}::products", 0, -1)
        .await
        .unwrap();
    assert_eq!(products, ["153", "20"]);
    let info = pairs(&[
        ("round", "1"),
        ("product", "153"),
        ("title", "<Phone> & more"),
        ("amount", "10"),
        ("limit", "10"),
        ("per_buyer", "1"),
        ("segments", "1"),
        ("price_cents", "99900"),
        ("list_price_cents", "399900"),
        ("position", "1"),
        ("picture", ""),
        ("picture_alt", ""),
        ("text", ""),
        ("starts_ms", &opens),
        ("ends_ms", &ends),
    ]);
    assert_eq!(shop.hash("seckill::{1::153}::info").await, info);
    let stock = "seckill::{1::153::01}::stock";
    let full = pairs(&[
        ("sale_stock_amount", "10"),
        ("locked_stock_amount", "0"),
        ("saled_stock_amount", "0"),
    ]);
    assert_eq!(shop.hash(stock).await, full);
    let catalogue = shop.hash("seckill::catalogue").await;
    assert_eq!(catalogue["version"], "1");
    let entry: serde_json::Value = serde_json::from_str(&catalogue["1::153"]).unwrap();
    assert_eq!(
        (entry["limit"].as_u64(), entry["opens_ms"].as_u64()),
        (Some(10), Some(OPENS_MS))
    );

    // Three are sold; then somebody approves once more.
    let _: i64 = conn.hincr(stock, "sale_stock_amount", -3).await.unwrap();
    let _: i64 = conn.hincr(stock, "locked_stock_amount", 3).await.unwrap();
    shop.approve("1").await.unwrap();
    let stock = shop.hash(stock).await;
    assert_eq!(
        (
            stock["sale_stock_amount"].as_str(),
            stock["locked_stock_amount"].as_str()
        ),
        ("7", "3")
    );
}

#[tokio::test]
async fn stock_is_divided_among_the_masters_once_and_exported_so() {
    let mut shop = Shop::open().await;
    // Three names of one server will do: what counts is who gets how much.
    let url = shop.server.url();
    let masters = |count| Segments::open(&shop.redis, &vec![url.clone(); count]).unwrap();
    let (three, two) = (masters(3), masters(2));
    shop.segments = three;
    let text = round("1", 10).replace("per_buyer = 2", "per_buyer = 2\nsegments = [1, 4]");
    shop.import(&text).await.unwrap();
    shop.approve("1").await.unwrap();
    // A fourth or a lost master does not divide anew what is on sale.
    shop.segments = two;
    shop.approve("1").await.unwrap();
    let mut amounts = Vec::new();
    for key in [
        "1::153::01",
        "1::153::02",
        "1::153::03",
        "1::20::01",
        "1::20::02",
        "1::20::03",
    ] {
        let stock = shop.hash(&format!("seckill::{{{key}}}::stock")).await;
        amounts.push(stock.get("sale_stock_amount").cloned().unwrap_or_default());
    }
    assert_eq!(amounts, ["4", "3", "3", "1", "4", ""]);
    let catalogue = shop.hash("seckill::catalogue").await;
    let entry: serde_json::Value = serde_json::from_str(&catalogue["1::153"]).unwrap();
    assert_eq!(
        (&entry["segments"], &entry["limit"]),
        (&3.into(), &10.into())
    );

    let exported = export::to_toml(&shop.store.rounds().await.unwrap(), &shop.zone, NOW_MS);
    assert!(exported.contains("segments = [4, 3, 3]"), "{exported}");
    assert!(exported.contains("segments = [1, 4]"), "{exported}");
    for file in [text.as_str(), &exported] {
        assert_eq!(shop.import(file).await.unwrap(), [Change::Unchanged]);
    }
    let other = text.replace("[1, 4]", "[2, 3]");
    let refused = shop.import(&other).await.unwrap_err();
    assert!(
        refused.contains("segments of product 20 is [1, 4], the file says [2, 3]"),
        "{refused}"
    );
}

#[tokio::test]
async fn more_segments_than_the_list_has_masters_are_refused_so_that_it_can_grow() {
    let mut shop = Shop::open().await;
    let url = shop.server.url();
    shop.segments = Segments::open(&shop.redis, &vec![url; 2]).unwrap();
    let text = round("1", 10).replace("per_buyer = 2", "per_buyer = 2\nsegments = [1, 2, 2]");
    shop.import(&text).await.unwrap();
    let refused = shop.approve("1").await.unwrap_err();
    assert!(
        refused.contains("has 3 segments, and redis_segments names 2 masters"),
        "{refused}"
    );
    let stored = shop.store.round("1").await.unwrap().unwrap();
    assert_ne!(stored.state, RoundState::Approved);
    // On the main Redis alone there is no list that grows.
    shop.segments = Segments::on(shop.redis.clone());
    shop.approve("1").await.unwrap();
}

#[tokio::test]
async fn stock_that_vanished_from_redis_is_not_preloaded_a_second_time() {
    let shop = Shop::open().await;
    shop.import(&round("1", 10)).await.unwrap();
    shop.approve("1").await.unwrap();
    let mut conn = shop.redis.conn().await.unwrap();
    let _: i64 = conn.del("seckill::{1::153::01}::stock").await.unwrap();
    let refused = shop.approve("1").await.unwrap_err();
    assert!(refused.contains("could sell it twice"), "{refused}");
    let there: bool = conn.exists("seckill::{1::153::01}::stock").await.unwrap();
    assert!(!there);
}

#[tokio::test]
async fn stock_left_from_another_sale_of_the_same_name_is_not_sold_as_ours() {
    let shop = Shop::open().await;
    let mut conn = shop.redis.conn().await.unwrap();
    let fields = [
        ("sale_stock_amount", 4),
        ("locked_stock_amount", 0),
        ("saled_stock_amount", 0),
    ];
    let _: () = conn
        .hset_multiple("seckill::{1::153::01}::stock", &fields)
        .await
        .unwrap();
    shop.import(&round("1", 10)).await.unwrap();
    let refused = shop.approve("1").await.unwrap_err();
    assert!(
        refused.contains("holds 4 items of 1::153 where the round has 10"),
        "{refused}"
    );
    assert!(
        shop.hash("seckill::catalogue").await.is_empty(),
        "the edges would sell it"
    );
}

#[tokio::test]
async fn an_unknown_or_ended_round_is_not_approved() {
    let shop = Shop::open().await;
    shop.import(&round("1", 10)).await.unwrap();
    let refused = shop.approve("7").await.unwrap_err();
    assert!(refused.contains("no round \"7\"; there are 1"), "{refused}");
}

#[tokio::test]
async fn shoppers_see_approved_rounds_with_the_database_gone() {
    let shop = Shop::open().await;
    let file = format!(
        "{}{}",
        round("2", 7)
            .replace("12:00:00", "11:00:00")
            .replace("+10m", "+2h")
            .replace("\"153\"", "\"154\"")
            .replace("\"20\"", "\"21\""),
        round("1", 10)
    );
    let draft = round("draft", 3).replace("12:00:00", "14:00:00");
    shop.import(&format!("{file}{draft}")).await.unwrap();
    shop.approve("1").await.unwrap();
    shop.approve("2").await.unwrap();
    shop.store.close().await;
    std::fs::remove_dir_all(shop.folder.path()).unwrap();

    let app = day::router(DayState::new(shop.redis.clone(), shop.zone.clone(), None));
    let ask = async |uri: &str| {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (head, body)
    };
    let (head, body) = ask("/api/rounds?date=2026-11-23").await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers["cache-control"], "public, max-age=300");
    assert_eq!(body["date"], "2026-11-23");
    let ids: Vec<_> = body["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["id"])
        .collect();
    assert_eq!(ids, ["2", "1"], "by start, and no draft");
    let product = &body["rounds"][1]["products"][0];
    assert_eq!(product["page"], "/product/1-153.html");
    assert_eq!(
        (&product["amount"], &product["list_price_cents"]),
        (&10.into(), &399_900.into())
    );

    let (_, body) = ask("/api/rounds?date=2026-11-24").await;
    assert_eq!(body["rounds"], serde_json::json!([]));
    for bad in [
        "/api/rounds?date=23.11.2026",
        "/api/rounds?date=",
        "/api/rounds?date=1&date=2",
    ] {
        let (head, body) = ask(bad).await;
        assert_eq!(
            (head.status.as_u16(), &body["code"]),
            (400, &"bad_request".into()),
            "{bad}"
        );
    }
    assert_eq!(ask("/healthz").await.0.status, StatusCode::OK);
}
