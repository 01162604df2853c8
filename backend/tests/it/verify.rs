//! `seckill verify`: a sound system passes, running or not, and each kind of
//! damage is found and named.

use crate::common;
use crate::common::database;
use crate::common::scripts::{close, granted, settle, take};
use crate::common::shop::{self, Shop};
use crate::common::{item, stock};
use axum::http::StatusCode;
use seckill_core::keys;

/// A shop with ten items, in which li has paid, wang has cancelled, zhao has yet
/// to pay, and nothing is under way. Their permits are of a settled lease.
async fn sold() -> Shop {
    let mut shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    take(&mut conn, "e.l", 5).await;
    shop.run_all();
    shop.settle();
    for (user, permit) in [("li", "e.l.1"), ("wang", "e.l.2"), ("zhao", "e.l.3")] {
        let click = shop::click(user, "r", Some(permit));
        assert_eq!(shop.send(click).await.0, StatusCode::ACCEPTED);
        let order = shop.until_ordered(user).await;
        if let Some(step) = [("li", "pay"), ("wang", "cancel")]
            .iter()
            .find(|it| it.0 == user)
        {
            let path = format!("/api/orders/{order}/{}", step.1);
            assert_eq!(shop.post(&path, user).await.0, StatusCode::OK);
        }
    }
    let spent = close(&mut conn, "e.l").await;
    settle(&mut conn, "e.l", spent).await;
    shop.until_drained().await;
    shop
}

#[tokio::test]
async fn a_sound_system_passes_and_says_what_was_looked_at() {
    let shop = sold().await;
    assert_eq!(stock(&shop.link).await, (8, 1, 1));
    let report = shop.verify().await;
    let text = report.text();
    assert!(report.pass, "{text}");
    let seen = report.counts;
    assert_eq!((seen.purchases, seen.orders, seen.events), (3, 3, 6));
    assert_eq!((seen.items, seen.permits, seen.on_their_way), (10, 2, 0));
    assert!(
        text.starts_with("PASS ") && text.contains("3 purchases"),
        "{text}"
    );
    shop.shut().await;
}

/// A purchase that came without a permit took the item of somebody's permit, which met empty
/// stock and counts as spent. Once the item is back, an edge has to hand out a permit for it.
#[tokio::test]
async fn an_item_bought_without_a_permit_can_be_clicked_for_again_once_it_is_back() {
    let mut shop = Shop::open(1).await;
    let mut conn = shop.link.conn().await.unwrap();
    take(&mut conn, "e.l", 1).await;
    shop.run_all();
    shop.settle();
    let bypassing = shop::click("li", "r", None);
    assert_eq!(shop.send(bypassing).await.0, StatusCode::ACCEPTED);
    let order = shop.until_ordered("li").await;
    let with_permit = shop::click("wang", "r", Some("e.l.1"));
    assert_eq!(shop.send(with_permit).await.0, StatusCode::GONE);
    let spent = close(&mut conn, "e.l").await;
    settle(&mut conn, "e.l", spent).await;
    assert_eq!(granted(&mut conn).await, 1);
    assert!(shop.verify().await.pass);

    let path = format!("/api/orders/{order}/cancel");
    assert_eq!(shop.post(&path, "li").await.0, StatusCode::OK);
    shop.until_drained().await;
    assert_eq!(stock(&shop.link).await, (1, 0, 0));
    assert_eq!(granted(&mut conn).await, 0);
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

#[tokio::test]
async fn a_lease_that_its_edge_reported_used_up_is_spent() {
    let shop = sold().await;
    let mut conn = shop.link.conn().await.unwrap();
    take(&mut conn, "e.used", 1).await;
    let click = shop::click("sun", "r", Some("e.used.1"));
    assert_eq!(shop.send(click).await.0, StatusCode::ACCEPTED);
    shop.until_ordered("sun").await;
    let report = redis::Script::new(include_str!("../../../lua/permits/report.lua"));
    let returned: u64 = report
        .key(keys::permits(&item()))
        .key(keys::leases(&item()))
        .key(keys::reports(&item()))
        .arg(("e.used", 1, 0))
        .invoke_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(returned, 0);
    shop.until_drained().await;
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    assert_eq!(report.counts.permits, 3);
    shop.shut().await;
}

#[tokio::test]
async fn a_running_system_passes_at_every_moment() {
    let mut shop = Shop::open(400).await;
    shop.run_all();
    shop.settle();
    let buyers = async {
        for n in 0..300 {
            let user = format!("u{n}");
            assert!(shop.buys(&user, "r").await);
            if n % 3 == 0 {
                let order = shop.until_ordered(&user).await;
                let step = if n % 2 == 0 { "pay" } else { "cancel" };
                shop.post(&format!("/api/orders/{order}/{step}"), &user)
                    .await;
            }
        }
    };
    let looks = async {
        for _ in 0..10 {
            let report = shop.verify().await;
            assert!(report.pass, "{}", report.text());
        }
    };
    tokio::join!(buyers, looks);
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    assert_eq!(report.counts.purchases, 300);
    shop.shut().await;
}

#[tokio::test]
async fn a_purchase_that_waits_in_the_outbox_or_the_queue_has_not_vanished() {
    let mut shop = Shop::open(10).await;
    assert!(shop.buys("li", "r").await);
    let report = shop.verify().await;
    assert!(
        report.pass && report.counts.on_their_way == 1,
        "{}",
        report.text()
    );
    shop.relay();
    let mut conn = shop.link.conn().await.unwrap();
    common::eventually("it is in the queue", || {
        let mut conn = conn.clone();
        async move {
            let mut ask = redis::cmd("XLEN");
            let queued: u64 = ask
                .arg(keys::QUEUE_ORDERS)
                .query_async(&mut conn)
                .await
                .ok()?;
            (queued == 1).then_some(())
        }
    })
    .await;
    let report = shop.verify().await;
    assert!(
        report.pass && report.counts.on_their_way == 1,
        "{}",
        report.text()
    );
    // And now somebody loses the message.
    let lost = redis::cmd("DEL")
        .arg(keys::QUEUE_ORDERS)
        .exec_async(&mut conn)
        .await;
    lost.unwrap();
    shop.stop.cancel();
    let report = shop.verify().await;
    assert_eq!(
        report.breaches[0].kind,
        "purchase_vanished",
        "{}",
        report.text()
    );
    shop.shut().await;
}

/// What somebody does to a sound system by hand.
enum Damage {
    /// To the database.
    Sql(&'static str),
    /// To Redis: a command on a key of segment 1 or of the product.
    Redis(&'static str, String, &'static [&'static str]),
    /// A second copy of the last event of this kind, in the stream.
    Copy(&'static str),
}

async fn inflict(shop: &Shop, damage: &Damage) {
    let mut conn = shop.link.conn().await.unwrap();
    match damage {
        Damage::Sql(statements) => {
            database::execute(&shop.database_url, *statements).await;
        }
        Damage::Redis(command, key, arguments) => {
            let mut command = redis::cmd(command);
            command.arg(key).arg(*arguments);
            command.exec_async(&mut conn).await.unwrap();
        }
        Damage::Copy(kind) => {
            let events = shop.store.ledger(&item(), 1).await.unwrap();
            let event = events.iter().rfind(|event| event.kind() == *kind).unwrap();
            let mut add = redis::cmd("XADD");
            add.arg(keys::outbox(&item(), 1)).arg("*");
            for (name, text) in &event.fields {
                add.arg(name).arg(text);
            }
            add.exec_async(&mut conn).await.unwrap();
        }
    }
}

#[tokio::test]
async fn each_kind_of_damage_is_found_and_named() {
    let (stock, buyers) = (keys::stock(&item(), 1), keys::buyers(&item(), 1));
    let (permits, refunds) = (keys::permits(&item()), keys::refunds(&item()));
    let cases = [
        (
            1,
            "stock_differs",
            Damage::Redis("HINCRBY", stock.clone(), &["sale_stock_amount", "1"]),
        ),
        (1, "stock_differs", Damage::Redis("DEL", stock, &[])),
        (
            1,
            "event_missing",
            Damage::Sql("DELETE FROM ledger WHERE kind = 'confirm'"),
        ),
        (
            1,
            "event_missing",
            Damage::Sql("DELETE FROM ledger WHERE kind = 'preload'"),
        ),
        (1, "event_doubled", Damage::Copy("purchase")),
        (1, "event_doubled", Damage::Copy("release")),
        (
            2,
            "permits_differ",
            Damage::Redis("INCRBY", permits.clone(), &["1"]),
        ),
        (
            2,
            "permits_differ",
            Damage::Redis("DECRBY", permits, &["1"]),
        ),
        (
            2,
            "permits_over_limit",
            Damage::Redis("HSET", keys::info(&item()), &["limit", "1"]),
        ),
        (
            3,
            "two_live_orders",
            Damage::Sql(
                "DROP INDEX orders_one_live;
                 INSERT INTO orders SELECT 77, 'other', round, product, segment, \"user\", type,
                 quantity, price_cents, permit, state, reason, stock_due, pay_by_ms, locked_ms,
                 created_ms, updated_ms FROM orders WHERE \"user\" = 'li'",
            ),
        ),
        (
            3,
            "order_twice",
            Damage::Sql(
                "DROP INDEX orders_one_purchase;
                 INSERT INTO orders SELECT 77, request, round, product, segment, \"user\", type,
                 quantity, price_cents, permit, state, reason, stock_due, pay_by_ms, locked_ms,
                 created_ms, updated_ms FROM orders WHERE \"user\" = 'wang'",
            ),
        ),
        (
            3,
            "order_unfounded",
            Damage::Sql("UPDATE orders SET request = 'x' WHERE \"user\" = 'zhao'"),
        ),
        (
            3,
            "order_differs",
            Damage::Sql("UPDATE orders SET quantity = 9 WHERE \"user\" = 'zhao'"),
        ),
        (
            4,
            "purchase_vanished",
            Damage::Sql("DELETE FROM orders WHERE \"user\" = 'zhao'"),
        ),
        (
            4,
            "record_missing",
            Damage::Redis("HDEL", buyers.clone(), &["zhao"]),
        ),
        (
            4,
            "record_differs",
            Damage::Redis("HSET", buyers, &["li", "ordered|r|1|e.l.1|7|5"]),
        ),
        (
            5,
            "stock_not_returned",
            Damage::Sql("UPDATE orders SET state = 'cancelled' WHERE \"user\" = 'zhao'"),
        ),
        (
            5,
            "paid_not_confirmed",
            Damage::Sql("UPDATE orders SET state = 'paid' WHERE \"user\" = 'zhao'"),
        ),
        (
            5,
            "released_undecided",
            Damage::Sql("UPDATE orders SET state = 'created' WHERE \"user\" = 'wang'"),
        ),
        (
            5,
            "confirmed_undecided",
            Damage::Sql("UPDATE orders SET state = 'created' WHERE \"user\" = 'li'"),
        ),
        (5, "permit_kept", Damage::Redis("DEL", refunds, &[])),
    ];
    for (invariant, kind, damage) in cases {
        let shop = sold().await;
        inflict(&shop, &damage).await;
        let report = shop.verify().await;
        assert!(!report.pass, "{kind}");
        let text = report.text();
        let found = report.breaches.iter().find(|breach| breach.kind == kind);
        let breach = found.unwrap_or_else(|| panic!("{kind} is not named: {text}"));
        assert_eq!(breach.invariant, invariant, "{kind}");
        assert!(breach.place.starts_with("1::153"), "{}", breach.place);
        if invariant != 2 && !["two_live_orders", "order_unfounded"].contains(&kind) {
            let has_events = !breach.events.is_empty() || kind == "stock_differs";
            assert!(has_events, "{kind} names its events: {breach:?}");
        }
        assert!(text.starts_with("FAIL invariant "), "{text}");
        shop.shut().await;
    }
}
