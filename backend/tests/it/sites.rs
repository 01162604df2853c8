//! Several sites that sell one round: what moves between them, whatever breaks.

/// Commands and consoles that were not told of the other sites.
mod alone;
/// One site: a Redis, a database, a purchase role, and what the relay role does for others.
mod place;
/// Whole sites that race, are cut off from each other, and are lost.
mod racing;

use seckill::inspect::rebuild::{Options, Rebuilder};
use seckill::redis::scripts;
use seckill_core::keys;
use seckill_core::sites::transfer::State;
use tokio::task::JoinSet;

use crate::common::{eventually, item};
use place::{Place, asks, gives};

async fn rebuild(site: &Place) {
    let rebuilder = Rebuilder {
        store: &site.store,
        redis: &site.link,
        segments: &site.segments,
        zone: &jiff::tz::TimeZone::UTC,
        queue_is_visible: true,
    };
    let options = Options {
        while_running: true,
        ..Options::default()
    };
    let done = rebuilder.rebuild(&options).await.unwrap();
    assert!(done.failed.is_empty(), "{:?}", done.failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_often_and_at_once_is_given_once() {
    let site = Place::open("east", &[6, 4]).await;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let mover = site.mover();
        calls.spawn(async move { mover.give(&gives("t1", 3)).await.unwrap() });
    }
    assert_eq!(calls.join_all().await, [3; 8]);
    assert_eq!(site.state().await, (7, 0, 7, 7));
    // Half of what is there at most, and the last one whole.
    assert_eq!(site.mover().give(&gives("t2", 100)).await.unwrap(), 4);
    for (id, gave) in [("t3", 2), ("t4", 1), ("t5", 0)] {
        assert_eq!(
            site.mover().give(&gives(id, 2)).await.unwrap(),
            gave,
            "{id}"
        );
    }
    assert_eq!(site.state().await, (0, 0, 0, 0));
    assert_eq!(site.mover().give(&gives("t1", 3)).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_for_which_an_edge_has_a_permit_is_not_given() {
    let site = Place::open("east", &[10]).await;
    let mut conn = site.link.conn().await.unwrap();
    let granted = |permits: u64| {
        let mut set = redis::cmd("SET");
        set.arg(keys::permits(&item())).arg(permits);
        set
    };
    granted(9).exec_async(&mut conn).await.unwrap();
    assert_eq!(site.mover().give(&gives("t1", 5)).await.unwrap(), 1);
    assert_eq!(site.mover().give(&gives("t2", 5)).await.unwrap(), 0);
    assert_eq!(site.state().await, (9, 0, 9, 9));
    // What edges return while the limit is lower is given.
    let mover = site.mover();
    let giving = tokio::spawn(async move { mover.give(&gives("t3", 4)).await.unwrap() });
    eventually("the limit falls", || async {
        (site.state().await.2 == 5).then_some(())
    })
    .await;
    granted(5).exec_async(&mut conn).await.unwrap();
    assert_eq!(giving.await.unwrap(), 4);
    assert_eq!(site.state().await, (5, 0, 5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giver_that_was_killed_after_any_step_gives_what_it_began_to_give() {
    let site = Place::open("east", &[5, 5]).await;
    let (item, mover) = (item(), site.mover());
    // Killed once permits were taken off the limit, and one of two segments had given.
    site.store
        .begin_site_transfer(&gives("t1", 5), None, 1)
        .await
        .unwrap();
    let mut conn = site.link.conn().await.unwrap();
    let permits = scripts::permits::give(&item, "t1", 5);
    assert_eq!(permits.run(&mut conn).await.unwrap(), 5);
    // "t1" has the sum 165: it takes from segment 2 first.
    let mut second = site.segments.conn(&item, 2).await.unwrap();
    let taken = scripts::stock::adjust(&item, 2, "t1", -5);
    assert_eq!(taken.run(&mut second).await.unwrap(), -5);
    assert_eq!(site.state().await, (5, 0, 5, 10));
    assert_eq!(mover.give(&gives("t1", 5)).await.unwrap(), 5);
    assert_eq!(site.state().await, (5, 0, 5, 5));
    let rows = site.store.site_transfers(&item).await.unwrap();
    assert_eq!((rows.len(), rows[0].state), (1, State::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asker_that_was_killed_after_any_step_gets_what_was_given_once() {
    let site = Place::open("west", &[1, 1]).await;
    let (item, mover) = (item(), site.mover());
    let row = asks("t1", 4);
    site.store.begin_site_transfer(&row, None, 1).await.unwrap();
    // Not yet answered: nothing can be done but ask again.
    mover.carry_on("t1").await.unwrap();
    assert_eq!(site.state().await, (2, 0, 2, 2));
    site.store.grant_site_transfer("t1", 4, 2).await.unwrap();
    // An answer that comes late and says something else changes nothing.
    site.store.grant_site_transfer("t1", 9, 3).await.unwrap();
    // Killed once the items were on sale in one of two segments.
    let mut first = site.segments.conn(&item, 1).await.unwrap();
    let put = scripts::stock::adjust(&item, 1, "t1", 2);
    assert_eq!(put.run(&mut first).await.unwrap(), 2);
    for _ in 0..2 {
        mover.carry_on("t1").await.unwrap();
        assert_eq!(site.state().await, (6, 0, 6, 6));
    }
    let mut conn = site.link.conn().await.unwrap();
    let announced: u64 = redis::cmd("HLEN")
        .arg(keys::reopening(&item))
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(announced, 0);
}

/// Simulates: a transfer has changed the stock at either end and is not on record when Redis
/// is emptied, and its stock is put back from the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_lost_in_the_middle_of_a_transfer_loses_and_doubles_nothing() {
    for is_lost in [true, false] {
        let site = Place::open("east", &[10]).await;
        let (item, mover) = (item(), site.mover());
        let mut conn = site.segments.conn(&item, 1).await.unwrap();
        site.archived(1).await;
        site.store
            .begin_site_transfer(&gives("out", 3), None, 1)
            .await
            .unwrap();
        let took = scripts::stock::adjust(&item, 1, "out", -3);
        assert_eq!(took.run(&mut conn).await.unwrap(), -3);
        site.store
            .begin_site_transfer(&asks("in", 5), None, 1)
            .await
            .unwrap();
        site.store.grant_site_transfer("in", 5, 2).await.unwrap();
        let put = scripts::stock::adjust(&item, 1, "in", 5);
        assert_eq!(put.run(&mut conn).await.unwrap(), 5);
        if is_lost {
            let mut main = site.link.conn().await.unwrap();
            for conn in [&mut conn, &mut main] {
                redis::cmd("FLUSHALL").exec_async(conn).await.unwrap();
            }
        }
        rebuild(&site).await;
        // The three were not answered for, and are here unless they are known to be gone.
        let here = if is_lost { 15 } else { 12 };
        assert_eq!(site.state().await.0, here, "lost: {is_lost}");
        mover.carry_on("in").await.unwrap();
        assert_eq!(site.state().await.0, here, "lost: {is_lost}");
        let gave = mover.give(&gives("out", 3)).await.unwrap();
        assert_eq!(gave, 15 - here, "lost: {is_lost}");
        assert_eq!(site.state().await, (here, 0, here, here), "lost: {is_lost}");
    }
}
