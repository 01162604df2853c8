//! A Redis that comes back older than what was sold from it, empty, or as a replica:
//! nothing is sold twice, and what is exact is healed without a person.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::inspect::heal::Healer;
use seckill::inspect::rebuild::{Options, RebuildError};
use seckill::redis::scripts::stock::{self as stock_scripts, Moved, Served, Sold};
use seckill::redis::segments::Segments;
use seckill::stock::fence::Fence;
use seckill::stock::journal::Limits;
use seckill::store::LazyStore;
use seckill_core::keys;
use seckill_core::orders::purchase::Reason;

use crate::common::shop::Shop;
use crate::common::{eventually, item, scripts, stock};
use crate::journal::disk::request;
use crate::stock_rebuild;

/// A Redis that comes back empty.
mod empty;
/// What is healed while something else is not.
mod healing;
/// What a segment has forgotten, though its last event does not say so.
mod lost;
/// What a process remembers of what it sold.
mod memory;
/// Several purchase roles.
mod roles;
/// Items that move between segments.
mod segments;

const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    file_bytes: 1 << 16,
};

/// A shop with a fence and a journal, whose round the database knows.
async fn open(amount: u64) -> Shop {
    let mut shop = stock_rebuild::open(amount).await;
    shop.fenced(LIMITS).await;
    shop
}

pub(crate) fn heals(shop: &mut Shop) {
    let healer = Healer {
        store: shop.store.clone(),
        redis: shop.link.clone(),
        segments: shop.segments.clone(),
        zone: TimeZone::UTC,
        queue_is_visible: true,
    };
    shop.roles.spawn(healer.run(shop.stop.clone()));
}

async fn buys(shop: &Shop, users: impl IntoIterator<Item = u32>) {
    for n in users {
        assert!(shop.buys(&format!("u{n}"), "r").await, "u{n}");
    }
}

async fn until_archived(shop: &Shop, events: usize) {
    eventually("it is archived", || async {
        (shop.store.ledger(&item(), 1).await.unwrap().len() == events).then_some(())
    })
    .await;
}

async fn halted(shop: &Shop) -> Option<String> {
    let mut conn = shop.redis.link().await.conn().await.unwrap();
    let key = keys::stock(&item(), 1);
    conn.hget(key, keys::STOCK_HALTED).await.unwrap()
}

async fn until_it_sells(shop: &Shop) {
    eventually("it sells again", || async {
        halted(shop).await.is_none().then_some(())
    })
    .await;
}

/// Until nothing waits in this process's journals.
async fn until_made_again(shop: &Shop) {
    eventually("all are made again", || async {
        (shop.journals().waiting() == 0).then_some(())
    })
    .await;
}

async fn all_have_their_items(shop: &Shop, users: impl IntoIterator<Item = u32>) {
    for n in users {
        let user = format!("u{n}");
        assert_eq!(shop.result(&user).await["status"], "succeeded", "{user}");
    }
}

/// Clicks until the answer is certain; returns whether they have the item.
async fn ends_with_an_item(shop: &Shop, user: &str) -> bool {
    eventually("it is decided", || async {
        match shop.click_once(user, "r").await {
            (StatusCode::ACCEPTED, _) => {
                let status = shop.result(user).await["status"].clone();
                match status.as_str().unwrap() {
                    "succeeded" | "ordered" => Some(true),
                    "failed" => Some(false),
                    _ => None,
                }
            }
            (StatusCode::GONE, _) => Some(false),
            (status, _) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                None
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_redis_sells_nothing_until_it_is_healed_and_then_exactly_the_rest() {
    let mut shop = open(10).await;
    shop.run_all();
    buys(&shop, 0..3).await;
    shop.until_orders(3).await;
    shop.redis.snapshot().await;
    buys(&shop, 3..7).await;
    shop.until_orders(7).await;
    shop.until_drained().await;
    shop.redis.go_back().await;
    // It believes that 7 are left, and 3 are. Nothing is sold before somebody notices.
    eventually("it is halted", || async {
        let (status, answer) = shop.click_once("early", "r").await;
        assert_ne!(status, StatusCode::GONE, "{answer}");
        (answer["code"] == "halted").then_some(())
    })
    .await;
    assert!(halted(&shop).await.unwrap().starts_with("behind|"));
    assert_eq!(stock(&shop.redis.link().await).await.0, 7);
    heals(&mut shop);
    let mut sold = 0;
    // The early one may be in the journal since Redis was seen away: then they are served.
    let buyers = (10..16).map(|n| format!("late{n}"));
    for user in std::iter::once("early".to_owned()).chain(buyers) {
        sold += u32::from(ends_with_an_item(&shop, &user).await);
    }
    assert_eq!(sold, 3);
    assert_eq!(halted(&shop).await, None);
    shop.until_orders(10).await;
    shop.until_drained().await;
    assert_eq!(stock(&shop.link).await, (0, 10, 0));
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

/// A shop that sold six items, of which its Redis, and the archive, know the first two; its
/// segment is halted.
async fn forgetting(amount: u64) -> Shop {
    let mut shop = open(amount).await;
    shop.archive();
    buys(&shop, 0..2).await;
    until_archived(&shop, 3).await;
    shop.redis.snapshot().await;
    // Without a database to speak of: the archive is behind by all of these.
    shop.stop_roles().await;
    buys(&shop, 2..6).await;
    shop.redis.go_back().await;
    // The click may be journalled itself, if Redis is still seen away.
    eventually("it is halted, and its sales are kept", || async {
        shop.click_once("early", "r").await;
        let kept = shop.journals().forgotten.waiting();
        halted(&shop).await.filter(|_| kept == 4)
    })
    .await;
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_this_process_knows_is_made_again() {
    let mut shop = forgetting(10).await;
    shop.replays();
    assert_eq!(shop.result("u2").await["status"], "processing");
    heals(&mut shop);
    until_made_again(&shop).await;
    all_have_their_items(&shop, 0..6).await;
    let (sale, locked, _) = stock(&shop.link).await;
    assert_eq!(sale + locked, 10);
    assert!(locked >= 6, "{locked}");
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_told_that_they_have_an_item_is_served_before_those_who_come_now() {
    let mut shop = forgetting(6).await;
    heals(&mut shop);
    // The journal is slower than that.
    until_it_sells(&shop).await;
    let (status, answer) = shop.click_once("late", "r").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["code"], "halted");

    // Another process has nothing in its journal.
    let mut conn = shop.link.conn().await.unwrap();
    let halt = stock_scripts::halt(&item(), 1, "a test");
    assert!(halt.run(&mut conn).await.unwrap());
    let first = stock_scripts::resume(&item(), 1, Duration::from_secs(600));
    assert!(first.run(&mut conn).await.unwrap());
    let theirs = scripts::buy(&mut conn, &scripts::click("other", "r")).await;
    assert_eq!(theirs.unwrap_err().code(), Some("HALTED"));
    shop.replays();
    until_made_again(&shop).await;
    let everybody = stock_scripts::serve(&item(), 1);
    let served = everybody.run(&mut conn).await.unwrap();
    assert_eq!(served, Served::Everybody(0));
    all_have_their_items(&shop, 0..6).await;
    assert_eq!(shop.click_once("late", "r").await.0, StatusCode::GONE);
    let theirs = scripts::buy(&mut conn, &scripts::click("other", "r")).await;
    assert_eq!(theirs.unwrap(), Sold::SoldOut);
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_told_that_they_have_an_item_is_served_before_those_who_waited() {
    let mut shop = open(6).await;
    shop.archive();
    buys(&shop, 0..2).await;
    until_archived(&shop, 3).await;
    shop.redis.snapshot().await;
    shop.stop_roles().await;
    buys(&shop, 2..5).await;
    // While Redis is away two come: the edge had permits for more than there is.
    for user in ["waits1", "waits2"] {
        shop.journals().own.append(request(user)).await.unwrap();
    }
    shop.redis.go_back().await;
    eventually("it is halted, and its sales are kept", || async {
        shop.result("nobody").await;
        let kept = shop.journals().waiting();
        halted(&shop).await.filter(|_| kept == 5)
    })
    .await;
    heals(&mut shop);
    shop.replays();
    eventually("all is replayed", || async {
        (shop.journals().waiting() == 0).then_some(())
    })
    .await;
    for n in 0..5 {
        let user = format!("u{n}");
        assert_eq!(shop.result(&user).await["status"], "succeeded", "{user}");
    }
    // One item was left for the first of the two.
    assert_eq!(shop.result("waits1").await["status"], "succeeded");
    assert_eq!(shop.result("waits2").await["status"], "failed");
    shop.shut().await;
}

#[tokio::test]
async fn a_halted_segment_says_nothing_of_what_it_has_on_record_or_has_not() {
    let shop = open(2).await;
    let mut conn = shop.link.conn().await.unwrap();
    let again = [scripts::click("wang", "r"), scripts::click("wang", "r-2")];
    let sold = scripts::buy(&mut conn, &again[0]).await.unwrap();
    assert_eq!(sold, Sold::Accepted);
    let purchase = stock_scripts::PurchaseRef {
        user: "li",
        request: "r",
        at_ms: 1,
    };
    let confirm = stock_scripts::confirm(&item(), 1, purchase, "7");
    let release = stock_scripts::release(&item(), 1, purchase, Reason::Cancelled, "7");
    assert_eq!(confirm.run(&mut conn).await.unwrap(), Moved::Unknown);
    assert_eq!(release.run(&mut conn).await.unwrap(), Moved::Unknown);
    // It may have forgotten it.
    let halt = stock_scripts::halt(&item(), 1, "a test");
    assert!(halt.run(&mut conn).await.unwrap());
    for said in [confirm.run(&mut conn).await, release.run(&mut conn).await] {
        assert_eq!(said.unwrap_err().code(), Some("HALTED"));
    }
    // Their order may have been cancelled since.
    for click in &again {
        let said = scripts::buy(&mut conn, click).await;
        assert_eq!(said.unwrap_err().code(), Some("HALTED"));
    }
    let () = conn.del(keys::stock(&item(), 1)).await.unwrap();
    for said in [confirm.run(&mut conn).await, release.run(&mut conn).await] {
        assert_eq!(said.unwrap_err().code(), Some("NOSTOCK"));
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_segment_that_nobody_lets_go_on_does_so_by_itself() {
    let mut shop = open(2).await;
    let mut conn = shop.link.conn().await.unwrap();
    let halt = stock_scripts::halt(&item(), 1, "a test");
    assert!(halt.run(&mut conn).await.unwrap());
    let first = stock_scripts::resume(&item(), 1, Duration::from_millis(50));
    assert!(first.run(&mut conn).await.unwrap());
    // Nor does the process come back that has this in its journal.
    let forgotten = keys::forgotten(&item(), 1);
    let _: u64 = conn.sadd(forgotten, "wang|r").await.unwrap();
    // Its rebuild died.
    eventually("it sells", || async {
        let mut conn = shop.link.conn().await.unwrap();
        let sold = scripts::buy(&mut conn, &scripts::click("li", "r")).await;
        (sold.ok()? == Sold::Accepted).then_some(())
    })
    .await;
    heals(&mut shop);
    eventually("the field is removed", || async {
        halted(&shop).await.is_none().then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_beside_an_older_redis_halts_it_too() {
    let mut shop = open(10).await;
    shop.archive();
    buys(&shop, 0..1).await;
    shop.redis.snapshot().await;
    buys(&shop, 1..4).await;
    until_archived(&shop, 5).await;
    shop.redis.go_back().await;
    // Another process, which has sold nothing itself; promoted a moment ago, whatever
    // was written since is newer than the archive, so that it must look first.
    let link = seckill::redis::RedisLink::lazy(&shop.redis.url()).unwrap();
    let segments = Segments::on(link.clone());
    let archive = LazyStore::opened(shop.store.clone());
    let _fence: Arc<Fence> = Fence::around(link, segments.clone(), archive, None);
    segments.conn(&item(), 1).await.unwrap();
    assert!(halted(&shop).await.is_some());
    shop.shut().await;
}

/// A database that hangs must not stop a sale, and must not hide that it knows more: a
/// process that has just started sells from the older Redis, and halts it once it can read
/// what the archive says, though by then the last event is a new one.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_redis_is_halted_as_soon_as_the_archive_can_be_read() {
    // Its own process has no fence, which would halt it first.
    let mut shop = stock_rebuild::open(10).await;
    shop.archive();
    buys(&shop, 0..1).await;
    shop.redis.snapshot().await;
    buys(&shop, 1..4).await;
    until_archived(&shop, 5).await;
    shop.stop_roles().await;
    shop.redis.go_back().await;
    let folder = tempfile::TempDir::new().unwrap();
    let later = folder.path().join("later");
    let link = seckill::redis::RedisLink::lazy(&shop.redis.url()).unwrap();
    let segments = Segments::on(link.clone());
    let archive = LazyStore::at(&format!("sqlite://{}/seckill.db", later.display()), &[]);
    let _fence: Arc<Fence> = Fence::around(link, segments.clone(), archive, None);
    let mut conn = segments.conn(&item(), 1).await.unwrap();
    assert_eq!(halted(&shop).await, None, "the archive cannot be read");
    // A sale by this process: the newest event is no forgotten one.
    let outbox = keys::outbox(&item(), 1);
    let event = [("kind", "purchase"), ("user", "new")];
    let _: String = conn.xadd(outbox, "*", &event).await.unwrap();
    let (_, database) = shop.database_url.split_once("://").unwrap();
    let real = std::path::Path::new(database).parent().unwrap();
    std::os::unix::fs::symlink(real, &later).unwrap();
    let reason = eventually("it is halted", || halted(&shop)).await;
    assert!(reason.starts_with("behind|"), "{reason}");
    shop.shut().await;
}

/// Why it can happen: what a segment has and what the archive has are two readings, and
/// others sell in between. Simulated: processes start one after another while a crowd buys
/// and the archive keeps up.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_while_others_sell_halts_nothing() {
    let mut shop = open(100_000).await;
    shop.archive();
    let done = std::sync::atomic::AtomicBool::new(false);
    let crowd = async |name: &str| {
        for n in 0.. {
            if done.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
            assert!(shop.buys(&format!("{name}{n}"), "r").await, "{name}{n}");
        }
    };
    let starts = async {
        for n in 0..300 {
            let link = seckill::redis::RedisLink::lazy(&shop.redis.url()).unwrap();
            let segments = Segments::on(link.clone());
            let archive = LazyStore::opened(shop.store.clone());
            let _fence: Arc<Fence> = Fence::around(link, segments.clone(), archive, None);
            segments.conn(&item(), 1).await.unwrap();
            assert_eq!(halted(&shop).await, None, "start {n}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(crowd("a"), crowd("b"), crowd("c"), crowd("d"), starts);
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_account_for_stays_halted_and_a_person_is_asked() {
    let mut shop = open(10).await;
    shop.archive();
    buys(&shop, 0..4).await;
    until_archived(&shop, 5).await;
    // Two items appear that no event explains.
    let mut conn = shop.link.conn().await.unwrap();
    let key = keys::stock(&item(), 1);
    let _: i64 = conn.hincr(&key, "sale_stock_amount", 2).await.unwrap();
    assert!(shop.buys("u4", "r").await);
    until_archived(&shop, 6).await;
    let _: () = conn
        .hset(&key, keys::STOCK_HALTED, "behind|by hand")
        .await
        .unwrap();
    let by_itself = Options {
        while_running: true,
        only_exact: true,
        ..Options::default()
    };
    let refused = stock_rebuild::rebuild(&shop, by_itself).await.unwrap_err();
    assert!(
        matches!(refused, RebuildError::NotExact { .. }),
        "{refused}"
    );
    let (_, answer) = shop.click_once("late", "r").await;
    assert_eq!(answer["code"], "halted");
    assert!(halted(&shop).await.is_some());
    // A person decides.
    let by_a_person = Options {
        while_running: true,
        ..Options::default()
    };
    stock_rebuild::rebuild(&shop, by_a_person).await.unwrap();
    assert_eq!(halted(&shop).await, None);
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_became_a_replica_is_left_and_journalled_for() {
    let shop = open(10).await;
    buys(&shop, 0..2).await;
    let mut conn = shop.link.conn().await.unwrap();
    let mut replica = redis::cmd("REPLICAOF");
    // Nobody is there: it waits for its master, and takes no writes.
    replica.arg("127.0.0.1").arg(1);
    replica.exec_async(&mut conn).await.unwrap();
    let (status, answer) = shop.click_once("late", "r").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    eventually("the replica is left", || async {
        shop.link.conn().await.is_err().then_some(())
    })
    .await;
    assert_ne!(shop.get("/healthz", "").await.0, StatusCode::OK);
    assert_eq!(shop.result("late").await["status"], "processing");
    shop.shut().await;
}
