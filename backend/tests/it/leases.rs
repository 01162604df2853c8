//! Leases that are done with: settled at their time, or soon after all is spent, and
//! counted by `seckill verify` however they were closed.

use std::time::Duration;

use axum::http::StatusCode;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, RedisError, Script};
use seckill::edges::leases;
use seckill::inspect::rebuild::Options;
use seckill::redis::scripts;
use seckill::redis::scripts::stock::Sold;
use seckill::redis::segments::Segments;
use seckill::stock::journal::Limits;
use seckill_core::keys;

use crate::common::scripts::{Click, buy, click, close, granted, preload, take};
use crate::common::shop::{self, Shop};
use crate::common::{TestRedis, entry, eventually, item, now_ms};
use crate::stock_rebuild;

/// An edge's own report of what became of a lease.
async fn report(conn: &mut MultiplexedConnection, lease: &str, used: u64, returned: u64) -> u64 {
    let script = Script::new(include_str!("../../../lua/permits/report.lua"));
    let mut call = script.key(keys::permits(&item()));
    call.key(keys::leases(&item())).key(keys::reports(&item()));
    call.arg(lease).arg(used).arg(returned);
    call.invoke_async(conn).await.unwrap()
}

/// An edge keeps a lease for when Redis is away: its record is stamped a minute ahead, here
/// so many milliseconds ago.
async fn keep(conn: &mut MultiplexedConnection, lease: &str, amount: u64, ago_ms: u64) {
    take(conn, lease, amount).await;
    let record = format!("{amount}:{}", now_ms() + 60_000 - ago_ms);
    let () = conn
        .hset(keys::leases(&item()), lease, record)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lease_that_is_spent_and_not_fresh_is_settled_and_the_others_wait() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 100).await.unwrap();
    keep(&mut conn, "e.spent", 2, 3_000).await;
    keep(&mut conn, "e.open", 2, 3_000).await;
    // Its edge lives, and reports it in a moment.
    keep(&mut conn, "e.fresh", 1, 0).await;
    for (user, permit) in [
        ("a", "e.spent.1"),
        ("b", "e.spent.2"),
        ("c", "e.open.1"),
        ("d", "e.fresh.1"),
    ] {
        let arrival = Click {
            permit,
            ..click(user, "r")
        };
        buy(&mut conn, &arrival).await.unwrap();
    }
    let (segments, entry) = (Segments::on(link), entry(100, 1));
    let in_flight = Duration::from_secs(5);
    let back = leases::reclaim(&mut conn, &segments, &item(), &entry, in_flight).await;
    assert_eq!(back.unwrap(), 0);
    let mut open: Vec<String> = conn.hkeys(keys::leases(&item())).await.unwrap();
    open.sort();
    assert_eq!(open, ["e.fresh", "e.open"]);
    assert_eq!(granted(&mut conn).await, 5);
}

#[tokio::test]
async fn verify_counts_the_permits_of_leases_that_their_edge_closed() {
    let mut shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    take(&mut conn, "e.l", 3).await;
    shop.run_all();
    for (user, permit) in [("li", "e.l.1"), ("wang", "e.l.2")] {
        shop.send(shop::click(user, "r", Some(permit))).await;
        shop.until_ordered(user).await;
    }
    shop.until_drained().await;
    let report_open = shop.verify().await;
    assert!(report_open.pass, "{}", report_open.text());
    assert_eq!(report(&mut conn, "e.l", 2, 1).await, 1);
    let open: u64 = conn.hlen(keys::leases(&item())).await.unwrap();
    assert_eq!((open, granted(&mut conn).await), (0, 2));
    let verified = shop.verify().await;
    assert!(verified.pass, "{}", verified.text());
    let () = conn.incr(keys::permits(&item()), 1).await.unwrap();
    let verified = shop.verify().await;
    assert_eq!(
        verified.breaches[0].kind,
        "permits_differ",
        "{}",
        verified.text()
    );
    shop.shut().await;
}

#[tokio::test]
async fn commands_that_go_together_are_one_request_and_stop_at_the_first_error() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    // Were they a transaction, this user's would be refused at its first command, which
    // the client does not survive.
    let refuse = redis::cmd("ACL")
        .arg(&["SETUSER", "default", "-multi", "-exec"])
        .exec_async(&mut conn)
        .await;
    refuse.unwrap();
    let mut pipe = redis::pipe();
    pipe.set("a", 1).incr("a", 1).get("nothing").cmd("TIME");
    type Read = (String, u64, Option<String>, (u64, u64));
    let (set, one_more, nothing, (seconds, _)): Read =
        scripts::together(&pipe).run(&mut conn).await.unwrap();
    assert_eq!((set.as_str(), one_more, nothing), ("OK", 2, None));
    assert!(seconds > 1_000_000);
    let mut pipe = redis::pipe();
    pipe.incr("a", 1).hget("a", "field").incr("a", 1);
    let refused: Result<(), RedisError> = scripts::together(&pipe).run(&mut conn).await;
    assert!(refused.unwrap_err().to_string().contains("WRONGTYPE"));
    assert_eq!(conn.get::<_, u64>("a").await.unwrap(), 3);
}

#[tokio::test]
async fn permits_beyond_the_items_go_back_so_that_an_item_that_comes_back_finds_one() {
    let mut shop = Shop::open(2).await;
    let mut conn = shop.link.conn().await.unwrap();
    let () = conn.hset(keys::info(&item()), "limit", 2).await.unwrap();
    // As after a Redis that forgot some: four are out for two items.
    take(&mut conn, "e.l", 4).await;
    shop.run_all();
    let outcome = async |user: &str, permit: &str| {
        let click = shop::click(user, "r", Some(permit));
        shop.outcome(click).await
    };
    for (user, permit, status, said) in [
        ("li", "e.l.1", StatusCode::ACCEPTED, "used"),
        ("wang", "e.l.2", StatusCode::ACCEPTED, "used"),
        ("zhao", "e.l.3", StatusCode::GONE, "unused"),
    ] {
        assert_eq!(
            outcome(user, permit).await,
            (status, said.to_owned()),
            "{user}"
        );
    }
    let (item, entry) = (item(), entry(2, 1));
    let back = leases::reclaim(&mut conn, &shop.segments, &item, &entry, Duration::ZERO);
    assert_eq!(
        back.await.unwrap(),
        2,
        "of zhao, and the one nobody came with"
    );
    assert_eq!(granted(&mut conn).await, 2);

    let order = shop.until_ordered("li").await;
    let cancel = format!("/api/orders/{order}/cancel");
    assert_eq!(shop.post(&cancel, "li").await.0, StatusCode::OK);
    eventually("its permit is back", || async {
        let mut conn = shop.link.conn().await.ok()?;
        (granted(&mut conn).await == 1).then_some(())
    })
    .await;
    take(&mut conn, "e.m", 1).await;
    let last = outcome("zhao", "e.m.1").await;
    assert_eq!(last, (StatusCode::ACCEPTED, "used".to_owned()));
    shop.until_ordered("zhao").await;
    shop.until_drained().await;
    let verified = shop.verify().await;
    assert!(verified.pass, "{}", verified.text());
    shop.shut().await;
}

/// Why this can happen: a request that meets no stock leaves no record of its buyer. If its
/// reply is lost, the purchase role journals it, and the replay meets no stock either.
#[tokio::test]
async fn a_permit_whose_request_met_no_stock_and_is_replayed_counts_once() {
    let mut shop = Shop::open(1).await;
    shop.journalling(Limits::megabytes(1)).await;
    let mut conn = shop.link.conn().await.unwrap();
    let () = conn.hset(keys::info(&item()), "limit", 1).await.unwrap();
    take(&mut conn, "e.l", 1).await;
    // Without a permit, as what is replayed once its lease is settled.
    let bought = buy(&mut conn, &click("li", "r")).await;
    assert_eq!(bought.unwrap(), Sold::Accepted);
    let arrival = Click {
        permit: "e.l.1",
        ..click("wang", "r")
    };
    assert_eq!(buy(&mut conn, &arrival).await.unwrap(), Sold::SoldOut);

    shop.redis.kill();
    eventually("it is known that Redis is away", || async {
        shop.link.conn().await.is_err().then_some(())
    })
    .await;
    let (status, _) = shop.send(shop::click("wang", "r", Some("e.l.1"))).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    shop.redis.start_again().await;
    eventually("all is replayed", || async {
        (shop.journals().waiting() == 0).then_some(())
    })
    .await;
    assert_eq!(shop.result("wang").await["reason"], "sold_out");

    let mut conn = shop.link.conn().await.unwrap();
    let (item, entry) = (item(), entry(1, 1));
    let back = leases::reclaim(&mut conn, &shop.segments, &item, &entry, Duration::ZERO);
    assert_eq!(back.await.unwrap(), 0);
    shop.run_all();
    shop.until_ordered("li").await;
    shop.until_drained().await;
    let verified = shop.verify().await;
    assert!(verified.pass, "{}", verified.text());
    shop.shut().await;
}

#[tokio::test]
async fn what_a_permit_was_told_outlives_the_rebuild_of_its_segment() {
    let shop = stock_rebuild::open(2).await;
    let mut conn = shop.link.conn().await.unwrap();
    take(&mut conn, "e.l", 1).await;
    let all = Click {
        quantity: 2,
        ..click("li", "r")
    };
    assert_eq!(buy(&mut conn, &all).await.unwrap(), Sold::Accepted);
    let arrival = Click {
        permit: "e.l.1",
        ..click("wang", "r")
    };
    assert_eq!(buy(&mut conn, &arrival).await.unwrap(), Sold::SoldOut);
    let () = conn
        .hset(keys::stock(&item(), 1), "sale_stock_amount", 1)
        .await
        .unwrap();
    let options = Options {
        while_running: true,
        ..Options::default()
    };
    stock_rebuild::rebuild(&shop, options).await.unwrap();
    assert_eq!(buy(&mut conn, &arrival).await.unwrap(), Sold::SoldOut);
    assert_eq!(close(&mut conn, "e.l").await, 1);
    shop.shut().await;
}
