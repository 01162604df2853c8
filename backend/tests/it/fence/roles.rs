//! Several purchase roles, each with a journal of its own.

use redis::AsyncCommands as _;
use seckill::redis::RedisLink;
use seckill::redis::scripts::stock::{TransferStep, adjust, transfer};
use seckill::redis::segments::Segments;
use seckill::shop::{Options, ShopState};
use seckill::stock::journal::Journals;
use seckill_core::keys;
use tempfile::TempDir;

use super::{LIMITS, all_have_their_items, forgetting, halted, heals, until_it_sells};
use crate::common::{eventually, item, ring};
use crate::journal::disk::request;

/// How many commands a Redis has refused because a segment is halted.
async fn refusals(link: &RedisLink) -> u64 {
    let mut info = redis::cmd("INFO");
    info.arg("errorstats");
    let mut conn = link.conn().await.unwrap();
    let text: String = info.query_async(&mut conn).await.unwrap();
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("errorstat_HALTED:count="));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

/// Why it can happen: edges admitted by the older count, so that more requests wait than there
/// are items. Simulated: of two roles one is quicker, and its buyers were promised nothing.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_told_that_they_have_an_item_is_served_before_those_who_waited_elsewhere() {
    let mut shop = forgetting(6).await;
    let folder = TempDir::new().unwrap();
    let theirs = Journals::open(folder.path(), LIMITS).unwrap();
    for user in ["waits1", "waits2"] {
        theirs.own.append(request(user)).await.unwrap();
    }
    heals(&mut shop);
    eventually("journals are replayed", || async {
        let halted = halted(&shop).await?;
        halted.starts_with(keys::HALTED_REPLAYS).then_some(())
    })
    .await;
    let before = refusals(&shop.link).await;
    let link = shop.redis.link().await;
    let segments = Segments::on(link.clone());
    let other = ShopState::new(link, segments, None, ring(), Options::default());
    let replayer = other.replayer();
    let replays = replayer.run(theirs.clone(), shop.stop.clone());
    shop.roles.spawn(replays);
    eventually("the other role has tried", || async {
        let has_tried = theirs.waiting() < 2 || refusals(&shop.link).await > before;
        has_tried.then_some(())
    })
    .await;
    assert_eq!(theirs.waiting(), 2, "it waits");

    // Nor are the items taken to other segments, or off the sale.
    let mut conn = shop.link.conn().await.unwrap();
    let out = transfer(&item(), (1, 2), "t", TransferStep::Out { wanted: 1 });
    assert_eq!(out.run(&mut conn).await.unwrap_err().code(), Some("HALTED"));
    let less = adjust(&item(), 1, "less", -1).run(&mut conn).await;
    assert_eq!(less.unwrap_err().code(), Some("HALTED"));

    shop.replays();
    eventually("all is replayed", || async {
        (shop.journals().waiting() + theirs.waiting() == 0).then_some(())
    })
    .await;
    all_have_their_items(&shop, 0..6).await;
    for user in ["waits1", "waits2"] {
        assert_eq!(shop.result(user).await["status"], "failed", "{user}");
    }
    let is_noted: bool = conn.exists(keys::forgotten(&item(), 1)).await.unwrap();
    assert!(!is_noted, "nothing is waited for any more");
    until_it_sells(&shop).await;
    shop.shut().await;
}
