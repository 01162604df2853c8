//! Items that move between segments, of which one lies on a Redis that goes back.

use std::sync::Arc;
use std::time::Duration;

use seckill::redis::scripts::stock::Sold;
use seckill::redis::segments::{Segment, Segments};
use seckill::redis::{Admission, Guard, RedisLink, RedisLinkError};
use seckill::stock::transfer;
use seckill_core::keys;

use super::{LIMITS, heals};
use crate::common::masters::totals;
use crate::common::shop::Shop;
use crate::common::{TestRedis, entry, eventually, item, scripts};
use crate::stock_rebuild::open_on_masters;

async fn open(amounts: &[u64]) -> Shop {
    let mut shop = open_on_masters(amounts).await;
    shop.fenced(LIMITS).await;
    shop
}

/// Why a segment is halted, by a connection that nobody checks.
async fn halted(shop: &Shop, number: u16) -> Option<String> {
    let master = shop.masters[usize::from(number) - 1].link().await;
    let mut conn = master.conn().await.unwrap();
    let mut read = redis::cmd("HGET");
    read.arg(keys::stock(&item(), number))
        .arg(keys::STOCK_HALTED);
    read.query_async(&mut conn).await.unwrap()
}

/// Half of what segment 1 has moves to segment 2, and then the master of segment `older` does
/// not know it any more. Before this process connects to it again, others do as `meanwhile`
/// says. The archive is away.
async fn halts_and_heals(older: u16, meanwhile: impl AsyncFnOnce(RedisLink)) -> (u64, u64, u64) {
    let mut shop = open(&[8, 0]).await;
    let at = usize::from(older) - 1;
    shop.masters[at].snapshot().await;
    let moved = transfer::transfer(&shop.segments, &item(), 1, 2, 1).await;
    assert_eq!(moved.unwrap(), 4);
    shop.masters[at].change_snapshot(meanwhile).await;
    shop.masters[at].go_back().await;
    eventually("the segment is halted", || halted(&shop, older)).await;
    shop.archive();
    heals(&mut shop);
    eventually("it sells again", || async {
        halted(&shop, older).await.is_none().then_some(())
    })
    .await;
    let all = totals(&shop.segments, &entry(8, 2)).await;
    shop.shut().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_left_a_segment_are_not_sold_there_too_by_a_master_that_went_back() {
    assert_eq!(halts_and_heals(1, async |_| ()).await, (8, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_left_a_segment_are_missed_there_though_another_role_has_sold_since() {
    let sells = async |link: RedisLink| {
        let mut conn = link.conn().await.unwrap();
        let sold = scripts::buy(&mut conn, &scripts::click("other", "r")).await;
        assert_eq!(sold.unwrap(), Sold::Accepted);
    };
    assert_eq!(halts_and_heals(1, sells).await, (7, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_arrived_in_a_segment_are_not_lost_with_a_master_that_went_back() {
    assert_eq!(halts_and_heals(2, async |_| ()).await, (8, 0, 0));
}

/// Lets connections be used once they have waited.
#[derive(Debug)]
struct Slow(Duration);

impl Guard for Slow {
    fn admit<'a>(&'a self, link: &'a RedisLink, life: u64) -> Admission<'a> {
        Box::pin(async move {
            tokio::time::sleep(self.0).await;
            link.clear(life);
            Ok(())
        })
    }

    fn learn(&self, _: &Segment, _: &str) {}
}

/// By then the source may have gone back to before they left, and been healed.
#[tokio::test(flavor = "multi_thread")]
async fn items_that_have_been_on_their_way_for_long_do_not_arrive_without_another_look() {
    let shop = open_on_masters(&[8, 0]).await;
    let left = transfer::withdraw(&shop.segments, &item(), (1, 2), "t", 3).await;
    assert_eq!(left.unwrap(), 4);
    let masters: Vec<String> = shop.masters.iter().map(TestRedis::url).collect();
    let slow = Segments::open(&shop.link, &masters).unwrap();
    let guard: Arc<dyn Guard> = Arc::new(Slow(Duration::from_secs(1)));
    slow.guard(&guard);
    let late = transfer::deliver(&slow, &item(), (1, 2), "t", 4).await;
    assert!(matches!(late, Err(RedisLinkError::Away { .. })), "{late:?}");
    let all = totals(&shop.segments, &entry(8, 2)).await;
    assert_eq!(all, (4, 0, 1), "they are on their way");
    let finish = transfer::run(
        shop.link.clone(),
        slow,
        transfer::Options::default(),
        shop.stop.clone(),
    );
    let finish = tokio::spawn(finish);
    eventually("they arrive", || async {
        let all = totals(&shop.segments, &entry(8, 2)).await;
        (all == (8, 0, 0)).then_some(())
    })
    .await;
    shop.shut().await;
    finish.await.unwrap();
}
