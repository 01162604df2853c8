use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::redis::segments::Segments;
use seckill::sale::approve::Approver;
use seckill::sale::publish::date_of;
use seckill::sale::switch::{self, FollowError, Switch};
use seckill::store::stop::Cancelling;
use seckill::store::stops::{StopOrder, StopStep};
use seckill::store::{Actor, LazyStore};
use seckill_core::keys;
use seckill_core::sale::halt::Halt;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{entry, on_sale, press};
use crate::common::console::Console;
use crate::common::{database, eventually, now_ms, program};

const PAUSE: StopOrder<'_> = StopOrder {
    step: StopStep::Pause,
    round: "1",
    product: None,
    cancel: Cancelling::None,
    reason: "",
};

/// Carries stops over until the token is cancelled.
fn follows(console: &Console) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    let lazy = LazyStore::opened(console.store.clone());
    let run = switch::run(lazy, console.link.clone(), TimeZone::UTC, stop.clone());
    (tokio::spawn(run), stop)
}

async fn until_paused(console: &Console) {
    eventually("the edges know", || async {
        (entry(console, "153").await.halt == Some(Halt::Paused)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_many_orders_and_publications_at_once_redis_holds_what_the_database_says() {
    let (console, _, _) = on_sale().await;
    let segments = Segments::on(console.link.clone());
    let by = Actor::system();
    for pass in 0..10 {
        let mut orders = JoinSet::new();
        for n in 0..12 {
            let (store, redis) = (console.store.clone(), console.link.clone());
            let (segments, by) = (segments.clone(), by.clone());
            orders.spawn(async move {
                if n % 3 == 2 {
                    let approver = Approver {
                        store: &store,
                        redis: &redis,
                        segments: &segments,
                        zone: &TimeZone::UTC,
                        inventory: None,
                        site: None,
                    };
                    approver.put_on_sale("1", now_ms()).await.unwrap();
                    return;
                }
                let pauses = (n + pass) % 2 == 0;
                let order = StopOrder {
                    step: if pauses {
                        StopStep::Pause
                    } else {
                        StopStep::Resume
                    },
                    round: "1",
                    product: (n % 4 == 1).then_some("154"),
                    cancel: Cancelling::None,
                    reason: "",
                };
                let switch = Switch {
                    store: &store,
                    redis: &redis,
                };
                // One that comes while the whole round is paused may be refused.
                let _ = switch.carry_out(&order, &by, now_ms()).await;
            });
        }
        orders.join_all().await;
        let stored = console.store.round("1").await.unwrap().unwrap();
        for product in ["153", "154"] {
            assert_eq!(
                entry(&console, product).await.halt,
                stored.stops.halt(product),
                "pass {pass}"
            );
        }
        assert_eq!(
            console.store.stops_due().await.unwrap(),
            Vec::<String>::new()
        );
    }
}

#[tokio::test]
async fn a_stop_that_only_the_database_knows_reaches_the_catalogue_later() {
    let (console, _, _) = on_sale().await;
    // As a crash between the two leaves it.
    assert!(
        console
            .store
            .switch(&PAUSE, &Actor::system(), now_ms())
            .await
            .unwrap()
    );
    assert_eq!(entry(&console, "153").await.halt, None);
    let (sweep, stop) = follows(&console);
    until_paused(&console).await;
    stop.cancel();
    sweep.await.unwrap();
}

/// Puts an approved round into the database, of which Redis has nothing.
async fn store_unlisted(console: &Console, id: &str, published: &str, retired: &str) {
    let (opens, ends) = (now_ms() - 1_000, now_ms() + 3_600_000);
    let statements = format!(
        "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms, approved_ms,
         published_ms, retired_ms) VALUES ('{id}', 'Noon', {opens}, {ends}, 'approved', 1, 1,
         {published}, {retired});
         INSERT INTO round_products (round, product, position, title, amount, price_cents,
         list_price_cents, per_buyer) VALUES ('{id}', '7', 1, 'Phone', 10, 99900, 99900, 2);"
    );
    database::execute(&console.database_url, statements).await;
}

#[tokio::test]
async fn what_is_not_in_redis_is_stopped_at_once() {
    let (console, _, _) = on_sale().await;
    store_unlisted(&console, "retired", "1", "2").await;
    store_unlisted(&console, "unpublished", "NULL", "NULL").await;
    let (store, redis) = (&console.store, &console.link);
    for round in ["retired", "unpublished"] {
        let order = StopOrder {
            step: StopStep::Withdraw,
            round,
            product: None,
            cancel: Cancelling::All,
            reason: "",
        };
        let switched = Switch { store, redis }
            .carry_out(&order, &Actor::system(), now_ms())
            .await
            .unwrap();
        assert!(switched.changed, "{round}");
        assert!(
            switched.problem.is_none(),
            "{round}: {:?}",
            switched.problem
        );
    }
    assert_eq!(store.stops_due().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_round_that_cannot_be_stopped_holds_up_no_other() {
    let (console, _, _) = on_sale().await;
    // Before round 1 in the order of their ids, and with a key that holds something else.
    store_unlisted(&console, "0", "1", "NULL").await;
    let mut conn = console.link.conn().await.unwrap();
    let () = conn.set(keys::round_info("0"), "damaged").await.unwrap();
    for round in ["0", "1"] {
        let order = StopOrder { round, ..PAUSE };
        let by = Actor::system();
        console.store.switch(&order, &by, now_ms()).await.unwrap();
    }
    let (sweep, stop) = follows(&console);
    until_paused(&console).await;
    eventually("only the damaged one is due", || async {
        (console.store.stops_due().await.unwrap() == ["0"]).then_some(())
    })
    .await;
    stop.cancel();
    sweep.await.unwrap();
}

#[tokio::test]
async fn a_stop_that_is_due_does_not_wait_for_what_a_damaged_round_forgot() {
    let (console, _, _) = on_sale().await;
    let mut conn = console.link.conn().await.unwrap();
    // Of this round Redis says something else than the database, and cannot be told.
    store_unlisted(&console, "0", "1", "NULL").await;
    let other = entry(&console, "153").await.to_json();
    let () = conn.hset(keys::CATALOGUE, "0::7", other).await.unwrap();
    let () = conn.set(keys::round_info("0"), "damaged").await.unwrap();
    // A crash came when the catalogue knew of the stop, and the pages did not: only what is
    // due says so, since the catalogue has forgotten nothing.
    let by = Actor::system();
    console.store.switch(&PAUSE, &by, now_ms()).await.unwrap();
    for product in ["153", "154"] {
        let mut paused = entry(&console, product).await;
        paused.halt = Some(Halt::Paused);
        let field = format!("1::{product}");
        let () = conn
            .hset(keys::CATALOGUE, field, paused.to_json())
            .await
            .unwrap();
    }
    let (sweep, stop) = follows(&console);
    eventually("the pages know", || async {
        let mut conn = console.link.conn().await.unwrap();
        let halt: Option<String> = conn.hget(keys::round_info("1"), "halt").await.unwrap();
        (halt.as_deref() == Some("paused")).then_some(())
    })
    .await;
    stop.cancel();
    sweep.await.unwrap();
}

#[tokio::test]
async fn a_redis_that_comes_back_older_is_told_what_it_forgot() {
    let (console, li, _) = on_sale().await;
    let (sweep, stop) = follows(&console);
    let mut conn = console.link.conn().await.unwrap();
    let hashes = [
        keys::CATALOGUE.to_owned(),
        keys::round_info("1"),
        "seckill::{1::154}::info".to_owned(),
    ];
    let mut before: Vec<HashMap<String, String>> = Vec::new();
    for hash in &hashes {
        before.push(conn.hgetall(hash).await.unwrap());
    }
    press(&console, &li, "products/154/withdraw", json!({})).await;
    press(&console, &li, "pause", json!({})).await;
    let lowered = "UPDATE round_products SET price_cents = 100 WHERE product = '154'";
    database::execute(&console.database_url, lowered).await;
    until_paused(&console).await;
    assert_eq!(
        console.store.stops_due().await.unwrap(),
        Vec::<String>::new()
    );

    // As it was before, and every connection is lost.
    for (hash, fields) in hashes.iter().zip(before) {
        let fields: Vec<_> = fields.into_iter().collect();
        let () = conn.del(hash).await.unwrap();
        let () = conn.hset_multiple(hash, &fields).await.unwrap();
    }
    let mut kill = redis::cmd("CLIENT");
    kill.arg(&["KILL", "TYPE", "normal", "SKIPME", "no"]);
    let life = console.link.life();
    let _: redis::RedisResult<u64> = kill.query_async(&mut conn).await;
    eventually("the connection is another one", || async {
        console.link.conn().await.ok()?;
        (console.link.life() != life).then_some(())
    })
    .await;
    until_paused(&console).await;
    eventually("it says of each product what the database says", || async {
        let (one, other) = (entry(&console, "153").await, entry(&console, "154").await);
        let is_right = one.halt == Some(Halt::Paused)
            && other.halt == Some(Halt::Withdrawn)
            && other.price_cents == 100;
        is_right.then_some(())
    })
    .await;
    let mut conn = console.link.conn().await.unwrap();
    let halt: Option<String> = conn.hget(&hashes[1], "halt").await.unwrap();
    assert_eq!(halt.as_deref(), Some("paused"), "pages read it there");
    let price: u64 = conn.hget(&hashes[2], "price_cents").await.unwrap();
    assert_eq!(price, 100);
    stop.cancel();
    sweep.await.unwrap();
}

#[tokio::test]
async fn a_start_that_redis_forgot_moves_the_round_to_its_day_again() {
    let (console, _, _) = on_sale().await;
    let mut conn = console.link.conn().await.unwrap();
    let opens_ms = entry(&console, "153").await.window.opens_ms;
    let later = 3 * 86_400_000;
    let was: String = conn.hget(keys::round_info("1"), "date").await.unwrap();
    let is = date_of(opens_ms + later, &TimeZone::UTC).unwrap();
    let listed = async || -> [Vec<String>; 2] {
        let mut conn = console.link.conn().await.unwrap();
        let mut days = redis::pipe();
        for day in [&was, &is] {
            days.zrange(keys::rounds(day), 0, -1);
        }
        days.query_async(&mut conn).await.unwrap()
    };
    let here = || vec!["1".to_owned()];
    assert_eq!(listed().await, [here(), vec![]]);
    // As an edit whose Redis came back older leaves it.
    let moved =
        format!("UPDATE rounds SET opens_ms = opens_ms + {later}, ends_ms = ends_ms + {later}");
    database::execute(&console.database_url, moved).await;
    let (sweep, stop) = follows(&console);
    eventually("it begins later", || async {
        (entry(&console, "153").await.window.opens_ms == opens_ms + later).then_some(())
    })
    .await;
    assert_eq!(listed().await, [vec![], here()]);
    stop.cancel();
    sweep.await.unwrap();
}

#[tokio::test]
async fn a_silent_redis_is_not_waited_for_without_end() {
    let (console, _, _) = on_sale().await;
    let mut conn = console.link.conn().await.unwrap();
    let pause = |on: &str| {
        let mut pause = redis::cmd("CLIENT");
        pause.arg(on);
        pause
    };
    let () = pause("PAUSE")
        .arg(60_000)
        .arg("WRITE")
        .query_async(&mut conn)
        .await
        .unwrap();
    let begun = Instant::now();
    let (store, redis) = (&console.store, &console.link);
    let switch = Switch { store, redis };
    let by = Actor::system();
    let switched = switch.carry_out(&PAUSE, &by, now_ms()).await.unwrap();
    assert!(switched.changed, "it is on record");
    let problem = switched.problem.unwrap();
    assert!(matches!(problem, FollowError::Slow { .. }), "{problem}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let () = pause("UNPAUSE").query_async(&mut conn).await.unwrap();
    let (sweep, stop) = follows(&console);
    until_paused(&console).await;
    stop.cancel();
    sweep.await.unwrap();
}

/// Somebody waits for the command that stops a sale, and no buyer does.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_stops_a_sale_waits_for_a_redis_that_is_slow_to_answer() {
    let (console, _, _) = on_sale().await;
    let mut conn = console.link.conn().await.unwrap();
    // A login is the first that a connection waits for.
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("shop").arg("on").arg(">pw");
    user.arg("~*").arg("&*").arg("+@all");
    user.exec_async(&mut conn).await.unwrap();
    let url = format!("unix://{}?user=shop&pass=pw", console.link.address());
    // Longer than a role waits.
    let mut pause = redis::cmd("CLIENT");
    pause.arg("PAUSE").arg(2_500).arg("ALL");
    pause.exec_async(&mut conn).await.unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let output = program()
        .args(["round", "pause", "1"])
        .env("SECKILL_DATA", folder.path())
        .env("SECKILL_REDIS_URL", url)
        .env("SECKILL_DATABASE_URL", &console.database_url)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    assert_eq!(
        entry(&console, "153").await.halt,
        Some(Halt::Paused),
        "{complaint}"
    );
}
