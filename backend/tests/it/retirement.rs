//! Rounds that are over leave Redis once they are settled, and their ledgers can be
//! verified afterwards.

use std::time::Duration;

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::inspect::verify::verify_archived;
use seckill::sale::switch::Switch;
use seckill::stock::retire::{Progress, Retired, Retirer};
use seckill::store::Actor;
use seckill::store::order_actions::OrderAction;
use seckill::store::stop::Cancelling;
use seckill::store::stops::{StopOrder, StopStep};
use seckill_core::keys;
use seckill_core::orders::order::State;

use crate::common::database;
use crate::common::shop::Shop;
use crate::common::{eventually, item, now_ms};

/// Puts the shop's round into the database, as an approval leaves it.
pub(crate) async fn store_round(shop: &Shop) {
    let now = now_ms();
    let statements = format!(
        "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms, approved_ms,
         published_ms) VALUES ('1', 'Noon', {now} - 1000, {now} + 3600000, 'approved', {now},
         {now}, {now});
         INSERT INTO round_products (round, product, position, title, amount, price_cents,
         list_price_cents, per_buyer) VALUES ('1', '153', 1, 'Phone', 10, 99900, 99900, 2);
         INSERT INTO frozen_stock (round, product, amount, frozen_ms)
         VALUES ('1', '153', 10, {now});"
    );
    database::execute(&shop.database_url, statements).await;
}

async fn execute(shop: &Shop, statement: &'static str) {
    database::execute(&shop.database_url, statement).await;
}

/// The keys of Redis that name the round.
async fn left(shop: &Shop) -> Vec<String> {
    let mut conn = shop.link.conn().await.unwrap();
    let mut left: Vec<String> = conn.keys("*{1*").await.unwrap();
    let listed: bool = conn
        .hexists(keys::CATALOGUE, item().to_string())
        .await
        .unwrap();
    left.extend(listed.then(|| "catalogue".to_owned()));
    left
}

/// What edges write of a product, and a replay of journalled purchases of a segment.
async fn leave_what_edges_and_outages_leave(shop: &Shop) {
    let mut conn = shop.link.conn().await.unwrap();
    let mut write = redis::pipe();
    write
        .hset(keys::reports(&item()), "e.l1", "1:0")
        .append(keys::winners(&item()), "12345678")
        .hset(keys::journals(&item(), 1), "a", 1)
        .hset(keys::refused(&item(), 1), "li", "x")
        .sadd(keys::forgotten(&item(), 1), "li|r");
    let () = write.exec_async(&mut conn).await.unwrap();
}

#[tokio::test]
async fn a_round_leaves_redis_when_all_of_it_is_settled_and_its_ledger_still_verifies() {
    let mut shop = Shop::open(10).await;
    store_round(&shop).await;
    let (store, redis, segments) = (shop.store.clone(), shop.link.clone(), shop.segments.clone());
    let retirer = Retirer {
        store: &store,
        redis: &redis,
        segments: &segments,
    };
    // Bought, and on its way to the order.
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    assert!(matches!(
        retirer.retire("1").await.unwrap(),
        Retired::Later(_)
    ));
    shop.run_all();
    shop.settle();
    let order = shop.until_ordered("li").await;
    assert!(matches!(
        retirer.retire("1").await.unwrap(),
        Retired::Later(_)
    ));
    shop.post(&format!("/api/orders/{order}/pay"), "li").await;
    assert_eq!(shop.click("wang", "r").await.0, StatusCode::ACCEPTED);
    let order = shop.until_ordered("wang").await;
    shop.post(&format!("/api/orders/{order}/cancel"), "wang")
        .await;
    shop.until_drained().await;
    leave_what_edges_and_outages_leave(&shop).await;
    eventually("the round retires", || async {
        (retirer.retire("1").await.unwrap() == Retired::Now).then_some(())
    })
    .await;
    assert_eq!(left(&shop).await, Vec::<String>::new());
    assert_eq!(store.rounds_to_clear().await.unwrap(), Vec::<String>::new());

    let report = verify_archived(&store).await.unwrap();
    assert!(report.pass, "{}", report.text());
    let seen = report.counts;
    assert_eq!(
        (seen.segments, seen.purchases, seen.orders, seen.items),
        (1, 2, 2, 10)
    );
    for (damage, kind) in [
        (
            "UPDATE orders SET state = 'created' WHERE \"user\" = 'li'",
            "order_differs",
        ),
        (
            "DELETE FROM ledger WHERE kind = 'confirm'",
            "archive_changed",
        ),
    ] {
        execute(&shop, damage).await;
        let report = verify_archived(&store).await.unwrap();
        assert!(
            report.breaches.iter().any(|breach| breach.kind == kind),
            "{}",
            report.text()
        );
    }
    shop.shut().await;
}

#[tokio::test]
async fn orders_that_are_cancelled_after_their_round_retired_are_settled() {
    let mut shop = Shop::open(10).await;
    store_round(&shop).await;
    shop.run_all();
    for user in ["li", "wang"] {
        assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
        let order = shop.until_ordered(user).await;
        shop.post(&format!("/api/orders/{order}/pay"), user).await;
    }
    shop.until_drained().await;
    let retirer = Retirer {
        store: &shop.store,
        redis: &shop.link,
        segments: &shop.segments,
    };
    eventually("the round retires", || async {
        (retirer.retire("1").await.unwrap() == Retired::Now).then_some(())
    })
    .await;
    // One is refunded alone, the other with all of the round.
    let order = shop.store.latest_order("li", &item()).await.unwrap();
    let order = order.unwrap();
    let by = ("wang", "late refund");
    let refund = OrderAction::Refund;
    let refunded = shop.store.act_on_order(&order, refund, by, now_ms()).await;
    refunded.unwrap();
    let all = StopOrder {
        step: StopStep::Withdraw,
        round: "1",
        product: None,
        cancel: Cancelling::All,
        reason: "",
    };
    let (store, redis) = (shop.store.clone(), shop.link.clone());
    let switch = Switch {
        store: &store,
        redis: &redis,
    };
    let by = Actor::system();
    let switched = switch.carry_out(&all, &by, now_ms()).await.unwrap();
    assert!(switched.changed && switched.problem.is_none());
    shop.settle();
    for user in ["li", "wang"] {
        eventually("the order is settled", || async {
            let order = store.latest_order(user, &item()).await.unwrap()?;
            (order.state == State::Cancelled && order.stock_due.is_none()).then_some(())
        })
        .await;
    }
    assert_eq!(left(&shop).await, Vec::<String>::new());
    let report = verify_archived(&store).await.unwrap();
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

#[tokio::test]
async fn a_round_whose_redis_lost_its_stock_stays_until_that_is_put_back() {
    let mut shop = Shop::open(10).await;
    store_round(&shop).await;
    shop.run_all();
    shop.until_drained().await;
    let mut conn = shop.link.conn().await.unwrap();
    let _: i64 = conn.del(keys::stock(&item(), 1)).await.unwrap();
    let retirer = Retirer {
        store: &shop.store,
        redis: &shop.link,
        segments: &shop.segments,
    };
    let later = "segment 1::153::01 has lost its stock".to_owned();
    assert_eq!(retirer.retire("1").await.unwrap(), Retired::Later(later));
    shop.shut().await;
}

#[tokio::test]
async fn a_retirement_that_broke_off_is_completed() {
    let mut shop = Shop::open(10).await;
    store_round(&shop).await;
    shop.run_all();
    shop.until_drained().await;
    // As a crash between the database and Redis leaves it.
    assert!(shop.store.retire_round("1", &[], now_ms()).await.unwrap());
    assert_eq!(shop.store.rounds_to_clear().await.unwrap(), ["1"]);
    let retirer = Retirer {
        store: &shop.store,
        redis: &shop.link,
        segments: &shop.segments,
    };
    retirer.clear("1").await.unwrap();
    assert_eq!(left(&shop).await, Vec::<String>::new());
    assert_eq!(
        shop.store.rounds_to_clear().await.unwrap(),
        Vec::<String>::new()
    );
    // A reader that still had the old catalogue makes the outbox anew.
    let mut conn = shop.link.conn().await.unwrap();
    let outbox = keys::outbox(&item(), 1);
    let () = conn
        .xgroup_create_mkstream(outbox, "late", "0")
        .await
        .unwrap();
    retirer.clear_again("1").await.unwrap();
    assert_eq!(left(&shop).await, Vec::<String>::new());
    shop.shut().await;
}

/// Puts rounds without products into the database, as approvals leave them, that ended a
/// second ago, one after another.
async fn store_rounds_that_are_over(shop: &Shop, numbers: std::ops::Range<u64>) {
    let ended = now_ms() - 1_000_000;
    for number in numbers {
        let ends = ended + number;
        let statement = format!(
            "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms, approved_ms,
             published_ms) VALUES ('r{number}', 'Over', {ended} - 9, {ends}, 'approved', 1, 1, 1)"
        );
        database::execute(&shop.database_url, statement).await;
    }
}

#[tokio::test]
async fn rounds_that_cannot_retire_keep_no_other_from_it() {
    let shop = Shop::open(10).await;
    store_rounds_that_are_over(&shop, 0..23).await;
    // As many as a pass looks at have an order that is open.
    let open = (0..20).map(|number| {
        format!(
            "INSERT INTO orders (id, request, round, product, segment, \"user\", quantity,
             price_cents, permit, state, pay_by_ms, locked_ms, created_ms, updated_ms)
             VALUES ({number}, 'q', 'r{number}', '1', 1, 'li', 1, 1, '', 'created', 2, 1, 1, 1);"
        )
    });
    database::execute(&shop.database_url, open.collect::<String>()).await;
    let retirer = Retirer {
        store: &shop.store,
        redis: &shop.link,
        segments: &shop.segments,
    };
    let mut progress = Progress::default();
    let is_retired = async |round: &'static str| shop.store.is_retired(round).await.unwrap();
    for _ in 0..2 {
        progress.pass(retirer, Duration::ZERO).await.unwrap();
    }
    for round in ["r20", "r21", "r22"] {
        assert!(is_retired(round).await, "{round}");
    }
    assert!(!is_retired("r0").await);
    // Once its order is over, its turn comes again.
    database::execute(
        &shop.database_url,
        "UPDATE orders SET state = 'cancelled' WHERE round = 'r0'",
    )
    .await;
    for _ in 0..2 {
        progress.pass(retirer, Duration::ZERO).await.unwrap();
    }
    assert!(is_retired("r0").await);
    shop.shut().await;
}

#[tokio::test]
async fn a_withdrawn_round_retires_without_waiting_for_its_end() {
    let shop = Shop::open(10).await;
    store_rounds_that_are_over(&shop, 0..4).await;
    let (now, hour) = (now_ms(), 3_600_000);
    let later = format!(
        "UPDATE rounds SET ends_ms = {now} + {hour} WHERE id <> 'r3';
         INSERT INTO stops (round, product, kind, at_ms, cancel) VALUES
         ('r0', '', 'withdrawn', {now} - {hour}, ''), ('r1', '', 'paused', {now} - {hour}, ''),
         ('r2', '9', 'withdrawn', {now} - {hour}, '');"
    );
    database::execute(&shop.database_url, later).await;
    let retirer = Retirer {
        store: &shop.store,
        redis: &shop.link,
        segments: &shop.segments,
    };
    let after = Duration::from_secs(600);
    Progress::default().pass(retirer, after).await.unwrap();
    for (round, retired) in [("r0", true), ("r1", false), ("r2", false), ("r3", true)] {
        assert_eq!(
            shop.store.is_retired(round).await.unwrap(),
            retired,
            "{round}"
        );
    }
    shop.shut().await;
}
