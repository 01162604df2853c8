//! A round of ten thousand products: imported, approved, rendered, and right.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::common::{TestRedis, eventually, now_ms};
use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::pages::{Options, Renderer};
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill::sale::approve::Approver;
use seckill::sale::file::{self, Form};
use seckill::sale::import;
use seckill::store::import::Change;
use seckill::store::{Actor, Store};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use tempfile::TempDir;

const PRODUCTS: u64 = 10_000;

/// Every product has an amount of its own, so that a mix-up shows.
fn amount(product: u64) -> u64 {
    2 * product + 1
}

fn sale() -> String {
    let mut text =
        String::from("[[round]]\nid = \"1\"\nname = \"Noon\"\nstarts = \"+1h\"\nends = \"+2h\"\n");
    for product in 1..=PRODUCTS {
        let amount = amount(product);
        write!(
            text,
            "[[round.product]]\nid = \"{product}\"\ntitle = \"Thing {product}\"\n\
             amount = {amount}\nprice_cents = {product}\n"
        )
        .unwrap();
    }
    text
}

fn took(what: &str, since: Instant) {
    println!("{what}: {:.2} s", since.elapsed().as_secs_f64());
}

async fn amounts_of(link: &RedisLink, segment: u16) -> Vec<Vec<u64>> {
    let mut ask = redis::pipe();
    for product in 1..=PRODUCTS {
        let item = Item::new("1", &product.to_string()).unwrap();
        ask.hvals(keys::stock(&item, segment));
    }
    let mut conn = link.dedicated().await.unwrap();
    ask.query_async(&mut conn).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_products_are_imported_approved_and_rendered_as_one_change() {
    let (main, other) = (TestRedis::start().await, TestRedis::start().await);
    let (redis, far) = (main.link().await, other.link().await);
    let segments = Segments::open(&redis, &[main.url(), other.url()]).unwrap();
    let folder = TempDir::new().unwrap();
    let url = crate::common::database::place(folder.path()).await;
    let store = Store::open(&url).await.unwrap();
    let by = Actor::on_the_box();

    let began = Instant::now();
    let rounds = file::parse(&sale(), Form::Toml, now_ms()).unwrap();
    took("read", began);
    let began = Instant::now();
    let outcomes = import::import(&store, &rounds, &by, now_ms())
        .await
        .unwrap();
    took("imported", began);
    assert_eq!(outcomes[0].change, Change::Created);

    let approver = Approver {
        store: &store,
        redis: &redis,
        segments: &segments,
        zone: &TimeZone::UTC,
        inventory: None,
        site: None,
    };
    for again in [false, true] {
        let began = Instant::now();
        approver.approve("1", &by, now_ms()).await.unwrap();
        took("approved", began);
        // Segments of the same product differ where its amount is odd.
        for (segment, link) in [(1, &redis), (2, &far)] {
            let half = |product: u64| amount(product) / 2 + u64::from(segment == 1);
            let expected = (1..=PRODUCTS).map(|product| vec![half(product), 0, 0]);
            let found = amounts_of(link, segment).await;
            assert!(found.into_iter().eq(expected), "segment {segment}");
        }
        let mut conn = redis.dedicated().await.unwrap();
        let lines: HashMap<String, String> = conn.hgetall(keys::CATALOGUE).await.unwrap();
        assert_eq!(lines.len() as u64, PRODUCTS + 1);
        // Edges and renderers see one change for all products.
        let version = if again { "2" } else { "1" };
        assert_eq!(lines[keys::CATALOGUE_VERSION], version);
        let messages: u64 = conn.xlen(keys::PRODUCT_MESSAGES).await.unwrap();
        assert_eq!(messages.to_string(), version);
        for product in [1, 4_321, PRODUCTS] {
            let entry = Entry::parse(&lines[&format!("1::{product}")]).unwrap();
            assert_eq!((entry.limit, entry.segments), (amount(product), 2));
            assert_eq!(entry.price_cents, product);
        }
        let order: Vec<String> = conn.zrange(keys::round_products("1"), 0, -1).await.unwrap();
        let expected = (1..=PRODUCTS).map(|product| product.to_string());
        assert!(order.into_iter().eq(expected));
    }

    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../html/static");
    let origin = folder.path().join("pages");
    let renderer = Renderer::open(Options::new(&shop, &origin)).unwrap();
    for _ in 0..2 {
        let began = Instant::now();
        eventually("all pages are rendered", || async {
            renderer.catch_up(&redis).await.ok()
        })
        .await;
        took("rendered", began);
        let pages = std::fs::read_dir(origin.join("product")).unwrap().count();
        assert_eq!(pages as u64, PRODUCTS);
    }
    let page = std::fs::read_to_string(origin.join("product/1-4321.html")).unwrap();
    assert!(page.contains("Thing 4321") && page.contains("43.21"));
    store.close().await;
}
