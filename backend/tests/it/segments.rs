//! Stock on several Redis masters: exactly the total is sold, whatever its
//! distribution, and whatever is left half-way.

use crate::common;
use std::collections::HashMap;
use std::time::Duration;

use crate::common::masters::{self, Market, TestCluster, buy, buy_patiently, sell, totals};
use crate::common::{TestRedis, database, eventually, item, ring};
use axum::Router;
use axum::http::StatusCode;
use proptest::collection::vec;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use seckill::redis::RedisLink;
use seckill::redis::scripts::stock::halt;
use seckill::redis::segments::{Segment, Segments};
use seckill::shop as purchase;
use seckill::shop::ShopState;
use seckill::stock::fence::Fence;
use seckill::stock::transfer;
use seckill::store::{LazyStore, Store};
use seckill_core::keys;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Everybody clicks at once; returns how many heard what, by word.
async fn rush(app: &Router, clicks: Vec<(String, u32)>) -> HashMap<String, u32> {
    let mut buyers = JoinSet::new();
    for (user, quantity) in clicks {
        let app = app.clone();
        buyers.spawn(async move { (buy_patiently(&app, &user, quantity).await, quantity) });
    }
    let mut words = HashMap::new();
    while let Some(done) = buyers.join_next().await {
        let (word, quantity) = done.unwrap();
        *words.entry(word).or_default() += quantity;
    }
    words
}

fn crowd(prefix: &str, count: usize, quantity: u32) -> Vec<(String, u32)> {
    let named = |n| (format!("{prefix}{n}"), quantity);
    (0..count).map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_total_is_sold_whatever_the_distribution() {
    // Amounts of two to five segments, among them empty ones, drawn anew each time.
    let mut runner = TestRunner::default();
    let mut distributions = vec![vec![30, 30, 40], vec![0, 0, 60], vec![1, 0, 1, 0]];
    for _ in 0..4 {
        let drawn = vec(0_u64..40, 2..6).new_tree(&mut runner).unwrap();
        distributions.push(drawn.current());
    }
    for amounts in distributions {
        let total: u64 = amounts.iter().sum();
        let market = Market::open(&amounts).await;
        let words = rush(&market.app, crowd("u", 200, 1)).await;
        let sold = words.get("processing").copied().unwrap_or(0);
        assert_eq!(u64::from(sold), total, "{amounts:?} sold as {words:?}");
        assert_eq!(
            words.get("sold_out").copied().unwrap_or(0),
            200 - sold,
            "{amounts:?} sold as {words:?}"
        );
        assert_eq!(totals(&market.segments, &market.entry).await, (0, total, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_want_two_are_served_from_ones_that_lie_apart() {
    let market = Market::open(&[1, 1, 1, 1, 1]).await;
    let words = rush(&market.app, crowd("pair", 12, 2)).await;
    assert_eq!(words.get("processing"), Some(&4), "{words:?}");
    assert_eq!(totals(&market.segments, &market.entry).await, (1, 4, 0));
    let words = rush(&market.app, crowd("single", 5, 1)).await;
    assert_eq!(words.get("processing"), Some(&1), "{words:?}");
    assert_eq!(totals(&market.segments, &market.entry).await, (0, 5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_purchase_roles_do_not_sell_more_than_one() {
    let market = Market::open(&[0, 50, 0]).await;
    let urls: Vec<String> = market.masters.iter().map(TestRedis::url).collect();
    let others = Segments::open(&market.link, &urls).unwrap();
    let state = seckill::shop::ShopState::new(
        market.link.clone(),
        others,
        None,
        common::ring(),
        Default::default(),
    );
    let second = seckill::shop::router(state);
    eventually("the second role knows the product", || async {
        (buy(&second, "first", 1).await.0 == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    // Everybody clicks at both.
    let (here, there) = tokio::join!(
        rush(&market.app, crowd("u", 120, 1)),
        rush(&second, crowd("u", 120, 1))
    );
    assert_eq!(totals(&market.segments, &market.entry).await, (0, 50, 0));
    // A request that comes twice is answered as accepted twice.
    assert_eq!(here.get("processing"), there.get("processing"));
    assert_eq!(here.get("processing"), Some(&49));
}

#[tokio::test]
async fn each_step_of_a_transfer_may_be_repeated() {
    let market = Market::open(&[10, 0]).await;
    let (segments, item) = (&market.segments, item());
    let out = || transfer::withdraw(segments, &item, (1, 2), "t1", 1);
    assert_eq!(out().await.unwrap(), 5, "half of what is there");
    assert_eq!(out().await.unwrap(), 5);
    assert_eq!(totals(segments, &market.entry).await, (5, 0, 1));
    for _ in 0..3 {
        transfer::deliver(segments, &item, (1, 2), "t1", 5)
            .await
            .unwrap();
        assert_eq!(totals(segments, &market.entry).await, (10, 0, 0));
    }
    assert_eq!(out().await.unwrap(), 0, "it is done");
    assert_eq!(totals(segments, &market.entry).await, (10, 0, 0));

    // Both ends have it in their ledgers, with the amounts that it led to.
    for (segment, kind, sale) in [(1, "transfer_out", "5"), (2, "transfer_in", "5")] {
        let mut conn = segments.conn(&item, segment).await.unwrap();
        let events: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
            .arg(keys::outbox(&item, segment))
            .arg(("-", "+"))
            .query_async(&mut conn)
            .await
            .unwrap();
        let field = |name| events.ids[1].get::<String>(name).unwrap();
        assert_eq!(
            (field("kind").as_str(), field("sale").as_str()),
            (kind, sale)
        );
        assert_eq!(
            (field("request").as_str(), field("quantity").as_str()),
            ("t1", "5")
        );
        assert_eq!(events.ids.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_was_left_half_way_arrives_and_is_sold() {
    let market = Market::open(&[6, 0, 0]).await;
    let item = item();
    // Whoever moved these died in between: one before it arrived, one before it
    // was noted as done.
    for (id, to) in [("lost-1", 2), ("lost-2", 3)] {
        let moved = transfer::withdraw(&market.segments, &item, (1, to), id, 2).await;
        assert_eq!(moved.unwrap(), if to == 2 { 3 } else { 2 });
    }
    let words = rush(&market.app, crowd("early", 1, 1)).await;
    assert_eq!(words.get("processing"), Some(&1));
    let (status, word) = buy(&market.app, "waits", 1).await;
    assert_eq!(
        (status, word.as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "busy"),
        "five are on their way, so that no buyer may read that all is sold out"
    );
    let stop = CancellationToken::new();
    let options = transfer::Options {
        in_flight: Duration::from_millis(1),
        every: Duration::from_millis(20),
    };
    let mut roles = JoinSet::new();
    for _ in 0..2 {
        let (link, segments) = (market.link.clone(), market.segments.clone());
        roles.spawn(transfer::run(link, segments, options, stop.clone()));
    }
    let words = rush(&market.app, crowd("late", 20, 1)).await;
    assert_eq!(words.get("processing"), Some(&5), "{words:?}");
    assert_eq!(totals(&market.segments, &market.entry).await, (0, 6, 0));
    stop.cancel();
    roles.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_master_is_away_the_others_sell_on_and_nobody_hears_sold_out() {
    let mut market = Market::open(&[5, 5, 5]).await;
    let home = |user: &str| market.entry.segment_of(user);
    let named = |n: usize| format!("u{n}");
    let (there, elsewhere): (Vec<_>, Vec<_>) = (0..60).map(named).partition(|user| home(user) == 3);
    market.masters[2].kill();
    let mut words: HashMap<String, u32> = HashMap::new();
    for user in &elsewhere {
        *words.entry(buy(&market.app, user, 1).await.1).or_default() += 1;
    }
    assert_eq!(words.get("processing"), Some(&10), "{words:?}");
    assert_eq!(
        words.get("sold_out"),
        None,
        "five lie where nobody can look"
    );
    let (status, word) = buy(&market.app, &there[0], 1).await;
    assert_eq!((status.as_u16(), word.as_str()), (503, "unavailable"));

    // The edge gets their permit back at once: no lease can be settled while a segment
    // is away, and those who try again would use up everybody's permits.
    for n in 1..=3 {
        let said = masters::buy_with_permit(&market.app, &there[0], &format!("e.l.{n}")).await;
        assert_eq!(said, (503, "unused".to_owned()));
    }

    market.masters[2].start_again().await;
    let clicks = elsewhere.iter().chain(&there).map(|user| (user.clone(), 1));
    let clicks: Vec<_> = clicks.collect();
    eventually("what lay there is sold", || async {
        let words = rush(&market.app, clicks.clone()).await;
        (words.get("processing") == Some(&15)).then_some(())
    })
    .await;
    assert_eq!(totals(&market.segments, &market.entry).await, (0, 15, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_segment_keeps_nobody_from_what_the_others_have() {
    // What it has on record is old: it may have more, or nothing.
    for of_halted in [100, 0] {
        let market = Market::open(&[of_halted, 0, 5]).await;
        let mut conn = market.segments.conn(&item(), 1).await.unwrap();
        let halt = halt(&item(), 1, "behind|a test");
        assert!(halt.run(&mut conn).await.unwrap());
        let mut words = HashMap::new();
        for (user, _) in crowd("u", 30, 1) {
            let (_, word) = buy(&market.app, &user, 1).await;
            *words.entry(word).or_insert(0) += 1;
        }
        assert_eq!(words.get("processing"), Some(&5), "{words:?}");
        assert!(!words.contains_key("sold_out"), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_sells_exactly_the_total_while_a_slot_moves() {
    let main = TestRedis::start().await;
    let cluster = TestCluster::start().await;
    let link = main.link().await;
    let segments = Segments::open(&link, &cluster.urls()).unwrap();
    assert_eq!(segments.masters().await.unwrap().len(), 3);
    let (app, entry) = sell(&link, &segments, &[20, 0, 25]).await;
    let words = rush(&app, crowd("u", 30, 1)).await;
    assert_eq!(words.get("processing"), Some(&30), "{words:?}");
    assert_eq!(totals(&segments, &entry).await, (15, 30, 0));

    move_segment(&cluster, &segments, 1).await;
    let words = rush(&app, crowd("v", 40, 1)).await;
    assert_eq!(words.get("processing"), Some(&15), "{words:?}");
    assert_eq!(totals(&segments, &entry).await, (0, 45, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_in_the_middle_of_a_sale_on_a_cluster_sells() {
    let main = TestRedis::start().await;
    let cluster = TestCluster::start().await;
    let link = main.link().await;
    let segments = Segments::open(&link, &cluster.urls()).unwrap();
    let (_, entry) = sell(&link, &segments, &[5, 5, 5]).await;

    let folder = TempDir::new().unwrap();
    let url = database::place(folder.path()).await;
    let archive = LazyStore::opened(Store::open(&url).await.unwrap());
    let link = main.link().await;
    // The first connection to a node is checked, when nothing of the Cluster is known yet.
    let segments = Segments::open(&link, &cluster.urls()).unwrap();
    let fence = Fence::around(link.clone(), segments.clone(), archive, None);
    let options = purchase::Options::default();
    let state = ShopState::new(link, segments.clone(), None, ring(), options);
    let app = purchase::router(state.with_fence(Some(fence)));
    eventually("the purchase role knows the product", || async {
        let bought = timeout(Duration::from_secs(10), buy(&app, "u1", 1)).await;
        let (status, _) = bought.expect("a click is answered");
        (status == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    assert_eq!(totals(&segments, &entry).await, (14, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_masters_of_a_cluster_are_found_by_a_node_that_is_a_replica_by_now() {
    let main = TestRedis::start().await;
    let mut cluster = TestCluster::start().await;
    let replica = cluster.add_replica().await;
    let link = main.link().await;
    let segments = Segments::open(&link, &[format!("redis+cluster://{replica}")]).unwrap();
    assert_eq!(segments.masters().await.unwrap().len(), 3);
    let (app, entry) = sell(&link, &segments, &[5, 5, 5]).await;
    let words = rush(&app, crowd("u", 15, 1)).await;
    assert_eq!(words.get("processing"), Some(&15), "{words:?}");
    assert_eq!(totals(&segments, &entry).await, (0, 15, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_of_a_silent_master_of_a_cluster_do_not_wait_for_one_another() {
    let main = TestRedis::start().await;
    let cluster = TestCluster::start().await;
    // With the patience of a role: half a second.
    let link = RedisLink::lazy(&main.url()).unwrap();
    let addresses = cluster.addresses();
    let seed = format!("redis+cluster://{}", addresses[1]);
    let segments = Segments::open(&link, &[seed]).unwrap();
    let mut there = None;
    for number in 1..=100 {
        let home = segments.link(&item(), number).await.unwrap();
        there = there.or((home.address() == addresses[0]).then_some(number));
    }
    let there = there.expect("one of a hundred segments lies on the first master");
    cluster.silence(0);
    let mut buyers = JoinSet::new();
    for _ in 0..20 {
        let segments = segments.clone();
        buyers.spawn(async move { segments.conn(&item(), there).await.is_err() });
    }
    // Each of them looks the masters up again.
    let away = timeout(Duration::from_secs(5), buyers.join_all()).await;
    assert_eq!(away.expect("nobody waits for long"), [true; 20]);
}

/// Moves the slot of a segment to another master, as resharding does.
async fn move_segment(cluster: &TestCluster, segments: &Segments, number: u16) {
    let segment = Segment {
        item: item(),
        number,
    };
    let slot = seckill_core::keys::slot::slot_of(&keys::stock(&segment.item, number));
    let from = segments.link(&segment.item, number).await.unwrap();
    let masters = segments.masters().await.unwrap();
    let to = masters.iter().find(|link| !link.is_same(&from)).unwrap();
    let at = |address: &str, words: &[&str]| {
        let port = address.rsplit_once(':').unwrap().1;
        let words: Vec<String> = [&["-p", port], words]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect();
        cluster.cli(&words).trim().to_owned()
    };
    let (from, to, slot) = (from.address(), to.address(), slot.to_string());
    let (from_id, to_id) = (at(from, &["cluster", "myid"]), at(to, &["cluster", "myid"]));
    at(to, &["cluster", "setslot", &slot, "importing", &from_id]);
    at(from, &["cluster", "setslot", &slot, "migrating", &to_id]);
    let keys = at(from, &["cluster", "getkeysinslot", &slot, "100"]);
    let port = to.rsplit_once(':').unwrap().1;
    let mut migrate = vec!["migrate", "127.0.0.1", port, "", "0", "5000", "keys"];
    migrate.extend(keys.lines());
    at(from, &migrate);
    // The map was read a moment before it changes.
    let while_it_moves = redis::make_extension_error("TRYAGAIN".to_owned(), None);
    assert!(segments.has_moved(&while_it_moves.into()).await);
    for address in cluster.addresses() {
        at(&address, &["cluster", "setslot", &slot, "node", &to_id]);
    }
}
