//! Whole sites that race, are cut off from each other, and are lost.

use std::time::Duration;

use seckill::store::site_transfers::SiteTransfer;
use seckill_core::sites::audit::audit;
use seckill_core::sites::transfer::State;
use tokio::task::JoinSet;

use super::place::{Pair, asks};
use crate::common::eventually;
use crate::common::masters::buy;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(86_400);

/// So many buyers who click until they have something, or are told that it is sold out;
/// returns how many bought.
async fn crowd(app: &axum::Router, prefix: &'static str, buyers: usize) -> usize {
    let mut clicks = JoinSet::new();
    for n in 0..buyers {
        let app = app.clone();
        clicks.spawn(async move {
            let user = format!("{prefix}{n}");
            eventually("there is a last word", || async {
                match buy(&app, &user, 1).await.1.as_str() {
                    "processing" => Some(true),
                    "sold_out" => Some(false),
                    _ => None,
                }
            })
            .await
        });
    }
    clicks.join_all().await.into_iter().filter(|it| *it).count()
}

/// Waits until both sites agree with each other and themselves; returns what they hold.
async fn until_sound(pair: &Pair) -> (i64, i64) {
    eventually("the two sites add up", || async {
        let total = audit(&[pair.east.account().await, pair.west.account().await]);
        (total.faults.is_empty() && total.under_way == 0).then_some((total.amount, total.held))
    })
    .await
}

async fn sold(pair: &Pair) -> (u64, u64) {
    (pair.east.state().await.1, pair.west.state().await.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sites_sell_exactly_what_there_is_wherever_the_buyers_are() {
    let pair = Pair::open(&[20, 15], &[5], NEVER).await;
    let (east, west) = tokio::join!(
        crowd(&pair.east.app, "e", 10),
        crowd(&pair.west.app, "w", 60)
    );
    assert_eq!(east + west, 40, "{east} at east, {west} at west");
    assert!(west >= 30 - 5, "west had five and sold {west}");
    assert_eq!(sold(&pair).await, (east as u64, west as u64));
    assert_eq!(until_sound(&pair).await, (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_each_site_sells_what_it_holds_and_says_sold_out_only_when_nothing_can_come() {
    let pair = Pair::open(&[60], &[4], NEVER).await;
    eventually("west may sell", || async {
        (buy(&pair.west.app, "first", 1).await.1 == "processing").then_some(())
    })
    .await;
    pair.cut();
    // What is under way arrives, or does not.
    let before = eventually("nothing comes any more", || async {
        let state = pair.west.state().await;
        (state.0 > 0 && buy(&pair.west.app, "second", 1).await.1 == "processing").then_some(state)
    })
    .await;
    assert!(before.0 >= 1);
    for n in 0..before.0 {
        buy(&pair.west.app, &format!("w{n}"), 1).await;
    }
    eventually("west has sold what it held", || async {
        (pair.west.state().await.0 == 0).then_some(())
    })
    .await;
    let (_, answer) = buy(&pair.west.app, "late", 1).await;
    assert_eq!(answer, "busy", "east may have more");
    assert_eq!(buy(&pair.east.app, "e", 1).await.1, "processing");

    pair.mend();
    let (east, west) = tokio::join!(
        crowd(&pair.east.app, "f", 5),
        crowd(&pair.west.app, "x", 64)
    );
    assert!(west > 0, "nothing moved after the cut: {east} at east");
    assert_eq!(until_sound(&pair).await, (64, 64));
    let (east, west) = sold(&pair).await;
    assert_eq!(east + west, 64, "{east} at east, {west} at west");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_site_stops_by_itself_and_takes_what_was_taken_over_off_its_sale_first() {
    let pair = Pair::open(&[10], &[10], Duration::from_secs(3)).await;
    eventually("west may sell", || async {
        (buy(&pair.west.app, "first", 1).await.1 == "processing").then_some(())
    })
    .await;
    until_sound(&pair).await;
    pair.cut();
    eventually("west stops by itself", || async {
        (buy(&pair.west.app, "w1", 1).await.1 == "unavailable").then_some(())
    })
    .await;
    assert_eq!(buy(&pair.east.app, "e1", 1).await.1, "processing");
    let left = pair.west.state().await.0;
    // Somebody at the home takes over one more than west has by now.
    let lost = SiteTransfer {
        peer: "west".to_owned(),
        lost: true,
        items: left + 1,
        state: State::Granted,
        ..asks("east-lost", left + 1)
    };
    let begun = pair.east.store.begin_site_transfer(&lost, None, 1).await;
    assert!(begun.unwrap());
    let before = pair.east.state().await;
    pair.east.mover().carry_on("east-lost").await.unwrap();
    assert_eq!(pair.east.state().await.0, before.0 + left + 1);

    pair.mend();
    let gave = eventually("west has reconciled", || async {
        let row = pair.west.store.site_transfer("east-lost").await.unwrap();
        row.filter(|row| row.state == State::Done)
    })
    .await;
    assert_eq!((gave.items, gave.short), (left, 1));
    let total = eventually(
        "the two sites add up, but for what is sold twice",
        || async {
            let total = audit(&[pair.east.account().await, pair.west.account().await]);
            (total.faults.is_empty() && total.under_way == 0).then_some(total)
        },
    )
    .await;
    assert_eq!((total.amount, total.held, total.oversold), (20, 21, 1));
    // It sells on, from what comes to it.
    eventually("west sells on", || async {
        (buy(&pair.west.app, "w2", 1).await.1 == "processing").then_some(())
    })
    .await;
}
