//! Items that move between segments, of which one lies on a Redis that goes back.

use seckill::stock::transfer;
use seckill_core::keys;

use super::{LIMITS, heals};
use crate::common::masters::totals;
use crate::common::shop::Shop;
use crate::common::{entry, eventually, item};
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
/// not know it any more. The archive is away.
async fn halts_and_heals(older: u16) {
    let mut shop = open(&[8, 0]).await;
    let at = usize::from(older) - 1;
    shop.masters[at].snapshot().await;
    let moved = transfer::transfer(&shop.segments, &item(), 1, 2, 1).await;
    assert_eq!(moved.unwrap(), 4);
    shop.masters[at].go_back().await;
    eventually("the segment is halted", || halted(&shop, older)).await;
    shop.archive();
    heals(&mut shop);
    eventually("it sells again", || async {
        halted(&shop, older).await.is_none().then_some(())
    })
    .await;
    let all = totals(&shop.segments, &entry(8, 2)).await;
    assert_eq!(all, (8, 0, 0));
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_left_a_segment_are_not_sold_there_too_by_a_master_that_went_back() {
    halts_and_heals(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_arrived_in_a_segment_are_not_lost_with_a_master_that_went_back() {
    halts_and_heals(2).await;
}
