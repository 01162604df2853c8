//! Stock that follows the database: confirmed or released, once.

use std::collections::HashMap;

use crate::common;
use crate::common::scripts::{Click, buy, click, close, granted, outbox, preload, settle, take};
use crate::common::shop::Shop;
use crate::common::{TestRedis, eventually, item, record, stock};
use axum::http::StatusCode;
use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;
use seckill::redis::RedisLink;
use seckill::redis::scripts::permits::{self, Refunded};
use seckill::redis::scripts::stock::{Moved, Sold};
use seckill::redis::segments::Segments;
use seckill::stock::steps;
use seckill::store::due::{Bought, Step};
use seckill_core::keys;
use seckill_core::orders::purchase::{Reason, State};
use seckill_core::permits::reopening::{KNOWN_MS, refund_id};

/// What is on record of a buyer's purchase.
async fn bought(link: &RedisLink, user: &str) -> Bought {
    let record = record(link, user).await.unwrap();
    Bought {
        item: item(),
        segment: 1,
        user: user.into(),
        request: record.request,
        at_ms: record.at_ms,
        order: "7".into(),
    }
}

#[tokio::test]
async fn a_purchase_is_confirmed_or_released_once_and_never_both() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 10).await.unwrap();
    for user in ["li", "wang"] {
        let two = Click {
            quantity: 2,
            ..click(user, "r1")
        };
        assert_eq!(buy(&mut conn, &two).await.unwrap(), Sold::Accepted);
    }
    let (li, wang) = (bought(&link, "li").await, bought(&link, "wang").await);
    let confirm = steps::confirm(&Segments::on(link.clone()), li.clone())
        .await
        .unwrap();
    let again = steps::confirm(&Segments::on(link.clone()), li.clone())
        .await
        .unwrap();
    let opposite = steps::release(&Segments::on(link.clone()), li, Reason::Cancelled)
        .await
        .unwrap();
    assert_eq!(
        (confirm, again, opposite),
        (Moved::Now, Moved::Before, Moved::Unknown)
    );
    assert_eq!(stock(&link).await, (6, 2, 2));

    let release = steps::release(&Segments::on(link.clone()), wang.clone(), Reason::Unpaid)
        .await
        .unwrap();
    let again = steps::release(&Segments::on(link.clone()), wang.clone(), Reason::Unpaid)
        .await
        .unwrap();
    let opposite = steps::confirm(&Segments::on(link.clone()), wang)
        .await
        .unwrap();
    assert_eq!(
        (release, again, opposite),
        (Moved::Now, Moved::Before, Moved::Unknown)
    );
    assert_eq!(stock(&link).await, (8, 0, 2));

    let li = record(&link, "li").await.unwrap();
    assert_eq!(
        (li.state, li.order.as_str(), li.reason),
        (State::Paid, "7", None)
    );
    let wang = record(&link, "wang").await.unwrap();
    assert_eq!(
        (wang.state, wang.reason.as_deref()),
        (State::Cancelled, Some("unpaid"))
    );
    let kinds: Vec<_> = outbox(&mut conn)
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, ["purchase", "purchase", "confirm", "release"]);
}

#[tokio::test]
async fn a_late_release_does_not_touch_the_purchase_that_came_after_it() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 10).await.unwrap();
    buy(&mut conn, &click("li", "r1")).await.unwrap();
    let first = bought(&link, "li").await;
    steps::release(
        &Segments::on(link.clone()),
        first.clone(),
        Reason::Cancelled,
    )
    .await
    .unwrap();
    for request in ["r2", "r1"] {
        // Redis counts in whole milliseconds; a buyer is not that quick.
        eventually("a millisecond passes", || async {
            (common::now_ms() > first.at_ms + 2).then_some(())
        })
        .await;
        assert_eq!(
            buy(&mut conn, &click("li", request)).await.unwrap(),
            Sold::Accepted
        );
        let late = steps::release(
            &Segments::on(link.clone()),
            first.clone(),
            Reason::Cancelled,
        )
        .await
        .unwrap();
        assert_eq!(late, Moved::Unknown, "{request}");
        assert_eq!(stock(&link).await, (9, 1, 0));
        let next = bought(&link, "li").await;
        steps::release(&Segments::on(link.clone()), next, Reason::Cancelled)
            .await
            .unwrap();
    }
}

/// One item, sold with a permit: sold out as edges see it.
async fn sold_out(link: &RedisLink) -> Bought {
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 1).await.unwrap();
    let mut pipe = redis::pipe();
    pipe.hset(keys::info(&item()), "limit", 1).ignore();
    pipe.set(keys::permits(&item()), 1).ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    let with_permit = Click {
        permit: "edge.1-1.1",
        ..click("li", "r")
    };
    buy(&mut conn, &with_permit).await.unwrap();
    bought(link, "li").await
}

/// What is announced to be for sale again, each with the time by Redis's clock.
async fn announced(link: &RedisLink) -> HashMap<String, u64> {
    let mut conn = link.conn().await.unwrap();
    conn.hgetall(keys::reopening(&item())).await.unwrap()
}

/// An edge says "sold out" for [`KNOWN_MS`] by what it has read: until then, nothing may be
/// for sale that it could have read of.
#[tokio::test]
async fn an_item_comes_back_once_no_edge_says_sold_out_any_more() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let li = sold_out(&link).await;
    let released = steps::release(&Segments::on(link.clone()), li.clone(), Reason::Unpaid).await;
    assert_eq!(released.unwrap(), Moved::Now);
    let refund = refund_id(&li.user, &li.request, li.at_ms);
    let since = announced(&link).await[&refund];
    let mut conn = link.conn().await.unwrap();
    let events: StreamRangeReply = conn.xrange_all(keys::outbox(&item(), 1)).await.unwrap();
    let release = events.ids.last().unwrap();
    assert_eq!(release.get::<String>("kind").unwrap(), "release");
    let at_ms: u64 = release.get("at_ms").unwrap();
    assert!(at_ms >= since + KNOWN_MS, "{since} to {at_ms}");
    // It is announced until the permit is back, in one step with it.
    let back = permits::refund(&item(), &refund, &Refunded::Spent, 1);
    assert_eq!(back.run(&mut conn).await.unwrap(), 1);
    assert_eq!(announced(&link).await, HashMap::new());
    // Once it is, nothing is announced for ever by repeating the release.
    let again = steps::release(&Segments::on(link.clone()), li, Reason::Unpaid).await;
    assert_eq!(again.unwrap(), Moved::Before);
    assert_eq!(announced(&link).await, HashMap::new());
}

#[tokio::test]
async fn what_was_not_released_is_not_announced_and_what_is_not_sold_out_need_not_wait() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let nobody = Bought {
        user: "nobody".into(),
        ..sold_out(&link).await
    };
    let moved = steps::release(&Segments::on(link.clone()), nobody, Reason::Unpaid).await;
    assert_eq!(moved.unwrap(), Moved::Unknown);
    assert_eq!(announced(&link).await, HashMap::new());

    let mut conn = link.conn().await.unwrap();
    let announce = |id: &str| permits::reopen(&item(), &[id.to_owned()]);
    assert_eq!(announce("a").run(&mut conn).await.unwrap(), KNOWN_MS);
    // Another one has to wait for what is left of the same time.
    common::eventually("some of it passes", || async {
        let wait = announce("b").run(&mut link.conn().await.unwrap()).await;
        (wait.unwrap() < KNOWN_MS).then_some(())
    })
    .await;
    take(&mut conn, "edge.1-2", 1).await;
    assert_eq!(announce("c").run(&mut conn).await.unwrap(), 0);
}

#[tokio::test]
async fn a_batch_of_steps_is_answered_one_by_one() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 10).await.unwrap();
    for user in ["li", "wang", "zhao"] {
        buy(&mut conn, &click(user, "r")).await.unwrap();
    }
    let nobody = Bought {
        user: "nobody".into(),
        ..bought(&link, "li").await
    };
    let steps = [
        (bought(&link, "li").await, Step::Confirm),
        (nobody, Step::Confirm),
        (bought(&link, "wang").await, Step::Release(Reason::Backlog)),
        (bought(&link, "zhao").await, Step::Confirm),
    ];
    // Forgotten scripts are loaded on the way.
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut conn)
        .await
        .unwrap();
    let moved: Vec<_> = steps::take(&Segments::on(link.clone()), &steps)
        .await
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(moved, [Moved::Now, Moved::Unknown, Moved::Now, Moved::Now]);
    assert_eq!(stock(&link).await, (8, 0, 2));
}

#[tokio::test]
async fn stock_that_somebody_changed_by_hand_is_named_and_left() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 10).await.unwrap();
    buy(&mut conn, &click("li", "r")).await.unwrap();
    let key = keys::stock(&item(), 1);
    let mut set = redis::cmd("HSET");
    set.arg(&key)
        .arg("locked_stock_amount")
        .arg(0)
        .exec_async(&mut conn)
        .await
        .unwrap();
    for step in [Step::Confirm, Step::Release(Reason::Cancelled)] {
        let li = bought(&link, "li").await;
        let moved = steps::take(&Segments::on(link.clone()), &[(li, step)])
            .await
            .unwrap();
        let error = moved[0].as_ref().unwrap_err().to_string();
        assert!(error.contains(&key) && error.contains("verify"), "{error}");
    }
    assert_eq!(record(&link, "li").await.unwrap().state, State::Succeeded);
    assert_eq!(outbox(&mut conn).await.len(), 1);
}

async fn until_granted(link: &RedisLink, wanted: i64) {
    let is_granted = || async {
        let mut conn = link.conn().await.unwrap();
        (granted(&mut conn).await == wanted).then_some(())
    };
    eventually("the permit is back", is_granted).await;
}

#[tokio::test]
async fn a_released_purchase_gives_its_permit_back_once_whether_its_lease_is_open_or_settled() {
    let mut shop = Shop::open(10).await;
    let mut conn = shop.link.conn().await.unwrap();
    take(&mut conn, "e.l", 5).await;
    for (user, permit) in [("li", "e.l.1"), ("wang", "e.l.2"), ("zhao", "e.l.3")] {
        let arrival = common::shop::click(user, "r", Some(permit));
        assert_eq!(shop.send(arrival).await.0, StatusCode::ACCEPTED);
    }
    shop.relay();
    let li = bought(&shop.link, "li").await;
    steps::release(&Segments::on(shop.link.clone()), li, Reason::Backlog)
        .await
        .unwrap();
    until_granted(&shop.link, 4).await;
    let spent = close(&mut conn, "e.l").await;
    assert_eq!(
        settle(&mut conn, "e.l", spent).await,
        Some(2),
        "two were never spent"
    );
    let wang = bought(&shop.link, "wang").await;
    steps::release(&Segments::on(shop.link.clone()), wang, Reason::Cancelled)
        .await
        .unwrap();
    until_granted(&shop.link, 1).await;

    eventually("the edges let both click again", || async {
        let mut conn = shop.link.conn().await.unwrap();
        let mut ask = redis::cmd("XLEN");
        let announced: u64 = ask.arg(keys::REGRABS).query_async(&mut conn).await.unwrap();
        (announced == 2).then_some(())
    })
    .await;
    let result = shop.result("li").await;
    assert_eq!(
        (&result["status"], &result["reason"]),
        (&"failed".into(), &"backlog".into())
    );
    assert_eq!(shop.click("li", "r-again").await.0, StatusCode::ACCEPTED);
    shop.shut().await;
}
