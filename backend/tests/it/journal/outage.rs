use std::net::TcpListener;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use redis::AsyncCommands as _;
use seckill::shop::{Options, ShopState};
use seckill::stock::journal::{Journals, Limits};
use seckill::stock::retire::{Retired, Retirer};
use seckill::store::LazyStore;
use seckill_core::journal::request as journalled;
use seckill_core::keys;
use seckill_core::orders::purchase::State;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::disk;
use crate::common::shop::{Shop, click};
use crate::common::{cookie, eventually, hidden_url, item, now_ms, record, ring, stock};
use crate::retirement;

const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    file_bytes: 1 << 16,
};

async fn is_away(shop: &Shop) {
    eventually("it is known that Redis is away", || async {
        shop.link.conn().await.is_err().then_some(())
    })
    .await;
}

async fn until_replayed(shop: &Shop) {
    eventually("all is replayed", || async {
        (shop.journals().waiting() == 0).then_some(())
    })
    .await;
}

/// What a purchase role says became of a buyer's click.
async fn result_at(role: &Router, user: &str) -> Value {
    let request = Request::get("/api/rounds/1/products/153/result").header("cookie", cookie(user));
    let response = role.clone().oneshot(request.body(Body::empty()).unwrap());
    let body = response.await.unwrap().into_body().collect().await.unwrap();
    serde_json::from_slice(&body.to_bytes()).unwrap()
}

#[tokio::test]
async fn while_redis_is_away_buyers_are_in_progress_and_who_came_first_buys() {
    let mut shop = Shop::open(10).await;
    shop.journalling(LIMITS).await;
    shop.run_all();
    assert!(shop.buys("early", "r").await);
    shop.redis.kill();
    is_away(&shop).await;
    for n in 0..20 {
        let (status, answer) = shop.click_once(&format!("u{n}"), &format!("r{n}")).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        assert_eq!(answer["request"], format!("r{n}"));
    }
    assert_eq!(shop.result("u19").await["status"], "processing");
    assert_eq!(shop.result("nobody").await["status"], "unknown");
    // Whoever sends it requests goes on doing so.
    let (status, health) = shop.get("/readyz", "").await;
    assert_eq!(
        (status, &health["status"], &health["parts"]["redis"]),
        (StatusCode::OK, &"limited".into(), &"away".into()),
        "{health}"
    );
    // A second click of the same request is the same request.
    assert_eq!(shop.click_once("u0", "r0").await.0, StatusCode::ACCEPTED);
    shop.redis.start_again().await;
    until_replayed(&shop).await;
    for n in 0..20 {
        let result = shop.result(&format!("u{n}")).await;
        match n < 9 {
            true => assert_ne!(result["status"], "failed", "u{n}: {result}"),
            false => assert_eq!(
                (&result["status"], &result["reason"]),
                (&"failed".into(), &"sold_out".into()),
                "u{n}"
            ),
        }
    }
    assert_eq!(stock(&shop.link).await, (0, 10, 0));
    shop.until_orders(10).await;
    shop.until_drained().await;
    let report = shop.verify().await;
    assert!(report.breaches.is_empty(), "{report:?}");
    shop.shut().await;
}

/// How many scripts a Redis has run since it was started.
async fn scripts_run(shop: &Shop) -> u64 {
    let mut conn = shop.link.conn().await.unwrap();
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut conn)
        .await
        .unwrap();
    let calls = stats.lines().filter_map(|line| {
        let (_, counts) = line.split_once("cmdstat_evalsha:calls=")?;
        counts.split(',').next()?.parse::<u64>().ok()
    });
    calls.sum()
}

#[tokio::test]
async fn who_comes_after_the_last_item_is_refused_at_once_but_not_who_wants_less() {
    let mut shop = Shop::open(3).await;
    shop.journalling(LIMITS).await;
    shop.redis.kill();
    is_away(&shop).await;
    // Two of the three items, two more, and then everybody wants one.
    for n in 0..300 {
        let user = format!("u{n}");
        let quantity = if n < 2 { 2 } else { 1 };
        let url = format!("{}?quantity={quantity}", hidden_url(&user));
        let click = Request::post(url)
            .header("cookie", cookie(&user))
            .header("x-request-id", "r")
            .body(Body::empty())
            .unwrap();
        let (status, answer) = shop.send(click).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    }
    shop.redis.start_again().await;
    until_replayed(&shop).await;
    for n in 0..300 {
        let user = format!("u{n}");
        let result = shop.result(&user).await;
        let expected = if n == 0 || n == 2 {
            "succeeded"
        } else {
            "failed"
        };
        assert_eq!(result["status"], expected, "{user}: {result}");
    }
    assert_eq!(stock(&shop.link).await, (0, 3, 0));
    // Each once, and again what came in one batch behind a request that found nothing.
    let run = scripts_run(&shop).await;
    assert!(run < 1_000, "{run} scripts for 300 requests");
    shop.shut().await;
}

#[tokio::test]
async fn another_role_says_nothing_of_a_request_that_waits_in_a_journal() {
    let mut shop = Shop::open(10).await;
    // It sells from the same Redis, and has no request in a journal of its own.
    let other = shop.app.clone();
    shop.journalling(LIMITS).await;
    // Of an order that ended before the outage.
    let ended = format!("cancelled|before|1||7|{}|unpaid", now_ms());
    let mut conn = shop.link.conn().await.unwrap();
    let () = conn
        .hset(keys::buyers(&item(), 1), "li", ended)
        .await
        .unwrap();
    shop.redis.kill();
    is_away(&shop).await;
    for user in ["li", "wang"] {
        let (status, answer) = shop.click_once(user, "since").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        assert_eq!(shop.result(user).await["status"], "processing");
        assert_eq!(result_at(&other, user).await["status"], "unknown");
    }
    // It is back, and nothing is replayed yet.
    shop.stop_roles().await;
    shop.redis.start_again().await;
    eventually("the other role has found it", || async {
        (result_at(&other, "wang").await["status"] == "none").then_some(())
    })
    .await;
    let said = result_at(&other, "li").await;
    assert_eq!(
        (&said["status"], &said["request"]),
        (&"cancelled".into(), &"before".into()),
        "it is not of the request that was accepted since"
    );
    for user in ["li", "wang"] {
        assert_eq!(shop.result(user).await["status"], "processing");
    }
    shop.replays();
    until_replayed(&shop).await;
    for user in ["li", "wang"] {
        let said = result_at(&other, user).await;
        assert_eq!(
            (&said["status"], &said["request"]),
            (&"succeeded".into(), &"since".into())
        );
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_journal_that_is_replayed_again_from_its_beginning_buys_nothing_twice() {
    let mut shop = Shop::open(50).await;
    shop.journalling(LIMITS).await;
    shop.redis.kill();
    is_away(&shop).await;
    for n in 0..20 {
        shop.click_once(&format!("u{n}"), "r").await;
    }
    let kept = shop.copy_of_journal();
    shop.redis.start_again().await;
    until_replayed(&shop).await;
    assert_eq!(stock(&shop.link).await, (30, 20, 0));
    // Buyers whose purchases were cancelled meanwhile: the same request would buy again,
    // were it not known that it was replayed.
    let mut conn = shop.link.conn().await.unwrap();
    for n in 0..5 {
        let user = format!("u{n}");
        let bought = record(&shop.link, &user).await.unwrap();
        let other = format!("cancelled|other|1|||{}|cancelled", bought.at_ms);
        let _: () = conn
            .hset(keys::buyers(&item(), 1), user, other)
            .await
            .unwrap();
    }
    shop.journalling_in(kept, LIMITS).await;
    until_replayed(&shop).await;
    assert_eq!(stock(&shop.link).await, (30, 20, 0));
    for n in 0..5 {
        let bought = record(&shop.link, &format!("u{n}")).await.unwrap();
        assert_eq!(bought.state, State::Cancelled);
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_purchase_role_that_dies_replays_when_it_is_started_again() {
    let mut shop = Shop::open(50).await;
    shop.journalling(LIMITS).await;
    shop.redis.kill();
    is_away(&shop).await;
    for n in 0..7 {
        shop.click_once(&format!("u{n}"), "r").await;
    }
    let left = shop.copy_of_journal();
    shop.redis.start_again().await;
    shop.journalling_in(left, LIMITS).await;
    until_replayed(&shop).await;
    assert_eq!(shop.result("u6").await["status"], "succeeded");
    // The other one replays too, since it has not died: nothing is sold twice.
    eventually("both are done", || async {
        (stock(&shop.link).await == (43, 7, 0)).then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test]
async fn a_redis_that_refuses_to_write_is_an_outage_and_no_failure() {
    let mut shop = Shop::open(10).await;
    shop.journalling(LIMITS).await;
    let mut conn = shop.link.conn().await.unwrap();
    let mut configure = redis::cmd("CONFIG");
    configure.arg("SET").arg("maxmemory").arg("1");
    configure.exec_async(&mut conn).await.unwrap();
    let (status, answer) = shop.click_once("full", "r").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(shop.result("full").await["status"], "processing");
    let mut configure = redis::cmd("CONFIG");
    configure.arg("SET").arg("maxmemory").arg("0");
    configure.exec_async(&mut conn).await.unwrap();
    until_replayed(&shop).await;
    assert_eq!(shop.result("full").await["status"], "succeeded");
    shop.shut().await;
}

#[tokio::test]
async fn a_request_whose_lease_was_closed_meanwhile_buys_all_the_same() {
    let mut shop = Shop::open(10).await;
    shop.journalling(LIMITS).await;
    let mut conn = shop.link.conn().await.unwrap();
    let closed = (keys::spent(&item(), 1), "e.l", "closed:0");
    let _: () = conn.hset(closed.0, closed.1, closed.2).await.unwrap();
    shop.redis.kill();
    is_away(&shop).await;
    let (status, _) = shop.send(click("li", "r", Some("e.l.1"))).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    shop.redis.start_again().await;
    until_replayed(&shop).await;
    let bought = record(&shop.link, "li").await.unwrap();
    assert_eq!(
        (bought.state, bought.permit.as_str()),
        (State::Succeeded, "")
    );
    shop.shut().await;
}

#[tokio::test]
async fn a_permit_of_a_lease_that_redis_has_forgotten_counts_for_nothing() {
    let mut shop = Shop::open(10).await;
    shop.journalling(LIMITS).await;
    let mut conn = shop.link.conn().await.unwrap();
    let record_of = format!("2:{}", now_ms() + 60_000);
    let _: () = conn
        .hset(keys::leases(&item()), "e.known", record_of)
        .await
        .unwrap();
    shop.redis.kill();
    is_away(&shop).await;
    for (user, permit) in [("li", "e.known.1"), ("wang", "e.forgotten.1")] {
        let (status, _) = shop.send(click(user, "r", Some(permit))).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    shop.redis.start_again().await;
    until_replayed(&shop).await;
    let permit = async |user: &str| record(&shop.link, user).await.unwrap().permit;
    assert_eq!(permit("li").await, "e.known.1");
    assert_eq!(permit("wang").await, "");
    let mut conn = shop.link.conn().await.unwrap();
    let spent: Vec<String> = conn.hkeys(keys::spent(&item(), 1)).await.unwrap();
    assert_eq!(spent, ["e.known"]);
    shop.shut().await;
}

#[tokio::test]
async fn at_the_journals_bound_a_click_is_unavailable_and_nothing_is_promised() {
    let mut shop = Shop::open(500).await;
    let limits = Limits {
        max_bytes: 4096,
        file_bytes: 4096,
    };
    shop.journalling(limits).await;
    shop.redis.kill();
    is_away(&shop).await;
    let mut promised = 0;
    let refused = loop {
        let (status, answer) = shop.click_once(&format!("u{promised}"), "r").await;
        match status {
            StatusCode::ACCEPTED => promised += 1,
            _ => break (status, answer),
        }
    };
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.1["code"], "unavailable");
    assert_eq!(
        shop.result(&format!("u{promised}")).await["status"],
        "unknown"
    );
    shop.redis.start_again().await;
    until_replayed(&shop).await;
    assert_eq!(stock(&shop.link).await, (500 - promised, promised, 0));
    assert_eq!(shop.result(&format!("u{promised}")).await["status"], "none");
    shop.shut().await;
}

#[tokio::test]
async fn one_master_away_journals_its_own_buyers_and_the_others_buy_at_once() {
    let mut shop = Shop::open_on_masters(&[20, 20]).await;
    shop.journalling(LIMITS).await;
    shop.masters[1].kill();
    let mut waiting = 0;
    for n in 0..20 {
        let user = format!("u{n}");
        let (status, answer) = shop.click_once(&user, "r").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        match shop.result(&user).await["status"].as_str().unwrap() {
            "succeeded" => {}
            "processing" => waiting += 1,
            other => panic!("{user}: {other}"),
        }
    }
    assert!(waiting > 0 && waiting < 20, "{waiting}");
    shop.masters[1].start_again().await;
    until_replayed(&shop).await;
    for n in 0..20 {
        assert_eq!(shop.result(&format!("u{n}")).await["status"], "succeeded");
    }
    shop.shut().await;
}

#[tokio::test]
async fn without_a_journal_a_role_whose_redis_is_away_gets_no_requests() {
    let mut shop = Shop::open(1).await;
    shop.redis.kill();
    is_away(&shop).await;
    let (status, health) = shop.get("/readyz", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{health}");
    shop.shut().await;
}

#[tokio::test]
async fn what_was_journalled_for_a_round_that_has_retired_since_is_finished() {
    let mut shop = Shop::open(10).await;
    retirement::store_round(&shop).await;
    shop.run_all();
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
    // The disk of a machine that was away for a day.
    shop.journalling(LIMITS).await;
    for n in 0..300 {
        let late = disk::request(&format!("u{n}"));
        shop.journals().own.append(late).await.unwrap();
    }
    until_replayed(&shop).await;
    assert_eq!(shop.store.live_orders(&item()).await.unwrap(), 0);
    shop.shut().await;
}

/// A database that accepts connections and never responds must not keep a sale that is on
/// waiting for what a machine has that was away for days.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_silent_journals_of_old_rounds_delay_no_live_one() {
    let shop = Shop::open(10).await;
    let folder = TempDir::new().unwrap();
    let journals = Journals::open(folder.path(), LIMITS).unwrap();
    for round in 100..150 {
        let old = journalled::Request {
            round: round.to_string(),
            ..disk::request("old")
        };
        journals.own.append(old).await.unwrap();
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let database = format!("mysql://u:p@{}/seckill", silent.local_addr().unwrap());
    let (link, segments, options) = (shop.link.clone(), shop.segments.clone(), Options::default());
    let state = ShopState::new(link, segments, None, ring(), options);
    let state = state.with_store(LazyStore::at(&database, &[]));
    let replays = tokio::spawn(state.replayer().run(journals.clone(), shop.stop.clone()));
    let began = Instant::now();
    for user in ["a", "b", "c"] {
        journals.own.append(disk::request(user)).await.unwrap();
        eventually("they have it", || async {
            let record = record(&shop.link, user).await?;
            (record.state == State::Succeeded).then_some(())
        })
        .await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(journals.waiting(), 50);
    shop.stop.cancel();
    replays.await.unwrap();
    shop.shut().await;
}
