//! An operator changes the amount during a sale: stock, permits and database
//! follow, nothing sold is taken back, and a repetition changes nothing.

use std::time::{Duration, Instant};

use crate::common;
use crate::common::item;
use crate::common::masters::{Market, buy};
use redis::AsyncCommands as _;
use seckill::redis::scripts;
use seckill::sale::catalogue;
use seckill::stock::adjust::{AdjustError, Adjusted, Adjuster, Raise};
use seckill::stock::levels;
use seckill::store::{Actor, Store};
use seckill_core::keys;
use seckill_core::permits::reopening::KNOWN_MS;
use tempfile::TempDir;
use tokio::task::JoinSet;

async fn store(folder: &TempDir) -> Store {
    let url = crate::common::database::place(folder.path()).await;
    Store::open(&url).await.unwrap()
}

/// Sale, locked, and the limit as the edges see it.
async fn state(market: &Market) -> (u64, u64, u64) {
    let mut conn = market.link.conn().await.unwrap();
    let entry = catalogue::read(&mut conn).await.unwrap()[&item()];
    let levels = levels::read(&mut conn, &market.segments, &item(), &entry)
        .await
        .unwrap();
    assert_eq!(levels.in_transit, 0);
    let limit: u64 = conn.hget(keys::info(&item()), "limit").await.unwrap();
    assert_eq!(limit, entry.limit);
    (levels.sale, levels.locked, limit)
}

/// Edges say "sold out" for a moment by what they have read.
#[tokio::test(flavor = "multi_thread")]
async fn a_sold_out_amount_rises_once_no_edge_says_so_any_more() {
    let (market, folder) = (Market::open(&[1]).await, TempDir::new().unwrap());
    let store = store(&folder).await;
    let adjuster = Adjuster {
        redis: &market.link,
        segments: &market.segments,
        store: &store,
        by: &Actor::system(),
        raise: Raise::Alone("a test"),
        site: None,
    };
    assert_eq!(buy(&market.app, "li", 1).await.1, "processing");
    let mut conn = market.link.conn().await.unwrap();
    let () = conn.set(keys::permits(&item()), 1).await.unwrap();
    let begun = Instant::now();
    adjuster.adjust(&item(), 2, "more").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(KNOWN_MS));
    assert_eq!(state(&market).await, (1, 1, 2));
    let announced: u64 = conn.hlen(keys::reopening(&item())).await.unwrap();
    assert_eq!(announced, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_amount_rises_and_falls_while_it_sells_and_permits_follow() {
    let (market, folder) = (Market::open(&[3, 3, 4]).await, TempDir::new().unwrap());
    let store = store(&folder).await;
    let adjuster = Adjuster {
        redis: &market.link,
        segments: &market.segments,
        store: &store,
        by: &Actor::system(),
        raise: Raise::Alone("a test"),
        site: None,
    };
    for n in 0..10 {
        assert_eq!(buy(&market.app, &format!("u{n}"), 1).await.1, "processing");
    }
    assert_eq!(buy(&market.app, "late", 1).await.1, "sold_out");

    let raised = adjuster.adjust(&item(), 15, "more").await.unwrap();
    assert_eq!(raised, Adjusted::Changed { from: 10, to: 15 });
    assert_eq!(state(&market).await, (5, 10, 15));
    assert_eq!(
        adjuster.adjust(&item(), 15, "more").await.unwrap(),
        Adjusted::Before(15)
    );
    common::eventually("the five are sold too", || async {
        (buy(&market.app, "late", 1).await.1 == "processing").then_some(())
    })
    .await;
    assert_eq!(state(&market).await, (4, 11, 15));

    let refused = adjuster.adjust(&item(), 10, "less").await.unwrap_err();
    assert!(matches!(refused, AdjustError::BelowSold { sold: 11, .. }));
    assert!(
        refused
            .to_string()
            .contains("cannot have 10 items: 11 are sold (0 paid, 11 in orders"),
        "{refused}"
    );
    assert_eq!(state(&market).await, (4, 11, 15));

    let lowered = adjuster.adjust(&item(), 12, "less").await.unwrap();
    assert_eq!(lowered, Adjusted::Changed { from: 15, to: 12 });
    assert_eq!(state(&market).await, (1, 11, 12));
    // An old request that comes again does not undo a newer one.
    adjuster.adjust(&item(), 15, "more").await.unwrap();
    assert_eq!(state(&market).await, (1, 11, 12));
    // One person alone lowers, and raises nothing: the amount is compared under the lock.
    let one = Adjuster {
        raise: Raise::Refused,
        ..adjuster
    };
    let refused = one.adjust(&item(), 13, "alone").await.unwrap_err();
    assert!(
        matches!(refused, AdjustError::Raises { from: 12, .. }),
        "{refused}"
    );
    assert_eq!(state(&market).await, (1, 11, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn lowered_in_the_middle_of_a_rush_it_sells_exactly_the_new_amount() {
    let (market, folder) = (Market::open(&[40, 40, 40]).await, TempDir::new().unwrap());
    let store = store(&folder).await;
    let adjuster = Adjuster {
        redis: &market.link,
        segments: &market.segments,
        store: &store,
        by: &Actor::system(),
        raise: Raise::Refused,
        site: None,
    };
    let mut buyers = JoinSet::new();
    for n in 0..200 {
        let app = market.app.clone();
        buyers
            .spawn(async move { common::masters::buy_patiently(&app, &format!("u{n}"), 1).await });
    }
    // The rush may be faster: then what was sold stays sold, and the order says so.
    let adjusted = adjuster.adjust(&item(), 90, "less").await;
    let sold = buyers.join_all().await;
    let sold = sold.iter().filter(|word| *word == "processing").count();
    let (sale, locked, limit) = state(&market).await;
    assert_eq!((sale, locked), (0, sold as u64));
    match adjusted {
        Ok(_) => assert_eq!((sold, limit), (90, 90)),
        Err(AdjustError::BelowSold { .. }) => assert_eq!((sold > 90, limit >= 90), (true, true)),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_change_of_a_segment_is_made_once_and_stands_in_its_ledger() {
    let market = Market::open(&[10]).await;
    let mut conn = market.segments.conn(&item(), 1).await.unwrap();
    for (request, change, made, sale) in [
        ("a", 5, 5, 15),
        ("a", 5, 5, 15),
        ("b", -20, -15, 0),
        ("b", -20, -15, 0),
        ("c", -1, 0, 0),
    ] {
        let call = scripts::stock::adjust(&item(), 1, request, change);
        let reply = call.run(&mut conn).await.unwrap();
        let now: i64 = conn
            .hget(keys::stock(&item(), 1), "sale_stock_amount")
            .await
            .unwrap();
        assert_eq!((reply, now), (made, sale), "{request} {change}");
    }
    let events: redis::streams::StreamRangeReply =
        conn.xrange_all(keys::outbox(&item(), 1)).await.unwrap();
    let logged: Vec<_> = events
        .ids
        .iter()
        .map(|event| ["kind", "quantity", "sale"].map(|f| event.get::<String>(f).unwrap()))
        .collect();
    assert_eq!(
        logged,
        [
            ["preload", "10", "10"],
            ["adjust", "5", "15"],
            ["adjust", "-15", "0"]
        ]
    );
}
