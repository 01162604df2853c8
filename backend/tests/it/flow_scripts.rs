//! The scripts under `lua/`, on a real Redis.

use crate::common;
use crate::common::scripts::{
    Click, buy, buy_or, click, close, granted, outbox, preload, refund, settle, take,
};
use crate::common::{TestRedis, item, record, stock};
use redis::RedisResult;
use seckill::redis::scripts::stock::{Moved, PurchaseRef, Sold, WhenGone};
use seckill::redis::{RedisLink, scripts};
use seckill_core::keys;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::purchase::{Reason, State};
use tokio::task::JoinSet;

#[tokio::test]
async fn preloading_twice_gives_the_stock_once() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    assert!(preload(&mut conn, &item(), 1, 10).await.unwrap());
    assert_eq!(
        buy(&mut conn, &click("li", "r1")).await.unwrap(),
        Sold::Accepted
    );
    assert!(!preload(&mut conn, &item(), 1, 10).await.unwrap());
    assert_eq!(stock(&link).await, (9, 1, 0));
}

#[tokio::test]
async fn a_stock_key_that_is_missing_or_something_else_is_named() {
    let redis = TestRedis::start().await;
    let mut conn = redis.link().await.conn().await.unwrap();
    let key = keys::stock(&item(), 1);

    let missing = buy(&mut conn, &click("li", "r1")).await.unwrap_err();
    assert_eq!(missing.code(), Some("NOSTOCK"));
    assert!(missing.to_string().contains(&key) && missing.to_string().contains("stock rebuild"));

    let set: RedisResult<()> = redis::cmd("SET")
        .arg(&key)
        .arg("7")
        .query_async(&mut conn)
        .await;
    set.unwrap();
    let wrong = buy(&mut conn, &click("li", "r1")).await.unwrap_err();
    assert_eq!(wrong.code(), Some("BADSTOCK"));
    assert!(wrong.to_string().contains(&key), "{wrong}");
    let wrong = preload(&mut conn, &item(), 1, 10).await.unwrap_err();
    assert_eq!(wrong.code(), Some("BADSTOCK"));
    assert!(outbox(&mut conn).await.is_empty());
}

#[tokio::test]
async fn an_outbox_that_cannot_be_written_sells_nothing() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 10).await.unwrap();
    let key = keys::outbox(&item(), 1);
    redis::cmd("SET")
        .arg(&key)
        .arg("7")
        .exec_async(&mut conn)
        .await
        .unwrap();
    let wrong = buy(&mut conn, &click("li", "r1")).await.unwrap_err();
    assert_eq!(wrong.code(), Some("BADSTOCK"));
    assert!(wrong.to_string().contains(&key), "{wrong}");
    assert_eq!(stock(&link).await, (10, 0, 0));
    assert_eq!(record(&link, "li").await, None);
}

#[tokio::test]
async fn one_buyer_buys_once_and_each_reply_is_the_true_one() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 3).await.unwrap();

    let two = Click {
        quantity: 2,
        ..click("li", "r1")
    };
    assert_eq!(buy(&mut conn, &two).await.unwrap(), Sold::Accepted);
    assert_eq!(buy(&mut conn, &two).await.unwrap(), Sold::Repeated);
    assert_eq!(
        buy(&mut conn, &click("li", "r2")).await.unwrap(),
        Sold::Duplicate
    );
    let more = Click {
        quantity: 2,
        ..click("wang", "r1")
    };
    assert_eq!(buy(&mut conn, &more).await.unwrap(), Sold::SoldOut);
    assert_eq!(
        buy(&mut conn, &click("wang", "r1")).await.unwrap(),
        Sold::Accepted
    );
    assert_eq!(
        buy(&mut conn, &click("zhao", "r1")).await.unwrap(),
        Sold::SoldOut
    );

    assert_eq!(stock(&link).await, (0, 3, 0));
    let on_record = record(&link, "li").await.unwrap();
    assert_eq!((on_record.state, on_record.quantity), (State::Succeeded, 2));
    assert!(common::now_ms().abs_diff(on_record.at_ms) < 10_000);
    let events = outbox(&mut conn).await;
    assert_eq!(
        events,
        [
            ("purchase".into(), "r1".into()),
            ("purchase".into(), "r1".into())
        ]
    );
}

#[tokio::test]
async fn two_hundred_buyers_at_once_take_exactly_the_ten_items() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 10).await.unwrap();
    let mut clicks = JoinSet::new();
    for n in 0..200 {
        let mut conn = conn.clone();
        clicks.spawn(async move { buy(&mut conn, &click(&format!("u{n}"), "r")).await.unwrap() });
    }
    let replies = clicks.join_all().await;
    assert_eq!(
        replies
            .iter()
            .filter(|reply| **reply == Sold::Accepted)
            .count(),
        10
    );
    assert_eq!(
        replies
            .iter()
            .filter(|reply| **reply == Sold::SoldOut)
            .count(),
        190
    );
    assert_eq!(stock(&link).await, (0, 10, 0));
    assert_eq!(outbox(&mut conn).await.len(), 10);
}

#[tokio::test]
async fn a_purchase_that_came_to_nothing_may_be_made_again() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 5).await.unwrap();
    for (user, state, reply) in [
        ("a", "failed", Sold::Accepted),
        ("b", "cancelled", Sold::Accepted),
        ("c", "paid", Sold::Duplicate),
    ] {
        let text = format!("{state}|r1|1|||1000");
        let mut set = redis::cmd("HSET");
        set.arg(keys::buyers(&item(), 1))
            .arg(user)
            .arg(text)
            .exec_async(&mut conn)
            .await
            .unwrap();
        assert_eq!(
            buy(&mut conn, &click(user, "r2")).await.unwrap(),
            reply,
            "{state}"
        );
    }
}

#[tokio::test]
async fn an_order_number_is_recorded_once_and_only_for_its_own_purchase() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 5).await.unwrap();
    let permit = Click {
        permit: "e.l.1",
        ..click("li", "r1")
    };
    buy(&mut conn, &permit).await.unwrap();
    let bought = record(&link, "li").await.unwrap().at_ms;
    let mut ordered = async |orders: &[(&str, &str, u64, u64)]| {
        let orders = orders.iter().map(|&(user, request, order, at_ms)| {
            let purchase = PurchaseRef {
                user,
                request,
                at_ms,
            };
            (purchase, OrderId(order))
        });
        let call = scripts::stock::ordered(&item(), 1, orders);
        call.run(&mut conn).await.unwrap()
    };
    let orders = [
        ("li", "r2", 7, bought),
        ("wang", "r1", 7, bought),
        ("li", "r1", 7, bought - 1),
        ("li", "r1", 7, bought),
    ];
    use Moved::{Before, Now, Unknown};
    assert_eq!(ordered(&orders).await, [Unknown, Unknown, Unknown, Now]);
    assert_eq!(ordered(&[("li", "r1", 8, bought)]).await, [Before]);
    let on_record = record(&link, "li").await.unwrap();
    assert_eq!(
        (on_record.state, on_record.order.as_str()),
        (State::Ordered, "7")
    );
    assert_eq!(on_record.permit, "e.l.1");
}

#[tokio::test]
async fn a_closed_lease_buys_nothing_and_its_rest_goes_back_once() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 100).await.unwrap();
    take(&mut conn, "e.l", 10).await;
    for (user, permit) in [("a", "e.l.1"), ("b", "e.l.2"), ("c", "e.l.3")] {
        let arrival = Click {
            permit,
            ..click(user, "r")
        };
        assert_eq!(buy(&mut conn, &arrival).await.unwrap(), Sold::Accepted);
        assert_eq!(
            buy(&mut conn, &arrival).await.unwrap(),
            Sold::Repeated,
            "a retry by nginx"
        );
    }
    assert_eq!(close(&mut conn, "e.l").await, 3);

    let late = Click {
        permit: "e.l.4",
        ..click("d", "r")
    };
    assert_eq!(buy(&mut conn, &late).await.unwrap(), Sold::Busy);
    let known = Click {
        permit: "e.l.1",
        ..click("a", "r")
    };
    assert_eq!(
        buy(&mut conn, &known).await.unwrap(),
        Sold::Repeated,
        "it was sold before"
    );

    // A crash here: whoever comes next closes again and must see the same.
    assert_eq!(close(&mut conn, "e.l").await, 3);
    assert_eq!(settle(&mut conn, "e.l", 3).await, Some(7));
    assert_eq!(settle(&mut conn, "e.l", 3).await, None);
    assert_eq!(granted(&mut conn).await, 3);
    assert_eq!(close(&mut conn, "e.l").await, 3);
    assert_eq!(stock(&link).await, (97, 3, 0));
}

#[tokio::test]
async fn the_permit_of_a_duplicate_goes_back_exactly_once() {
    let redis = TestRedis::start().await;
    let mut conn = redis.link().await.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 100).await.unwrap();
    take(&mut conn, "e.l", 10).await;
    buy(
        &mut conn,
        &Click {
            permit: "e.l.1",
            ..click("li", "r1")
        },
    )
    .await
    .unwrap();
    let again = Click {
        permit: "e.l.2",
        ..click("li", "r2")
    };
    assert_eq!(buy(&mut conn, &again).await.unwrap(), Sold::Duplicate);
    assert_eq!(
        buy(&mut conn, &again).await.unwrap(),
        Sold::Duplicate,
        "a retry by nginx"
    );
    let same_key = Click {
        permit: "e.l.3",
        ..click("li", "r1")
    };
    assert_eq!(buy(&mut conn, &same_key).await.unwrap(), Sold::Repeated);
    let refunds: Vec<_> = outbox(&mut conn).await.into_iter().skip(1).collect();
    let asked = |permit: &str| ("refund".to_owned(), permit.to_owned());
    assert_eq!(refunds, [asked("e.l.2"), asked("e.l.2"), asked("e.l.3")]);

    assert_eq!(refund(&mut conn, "e.l.2", 1).await, 1);
    assert_eq!(refund(&mut conn, "e.l.2", 1).await, 0);
    assert_eq!(granted(&mut conn).await, 9);
    // The lease is settled before the second refund is handled: its permit was
    // never spent, so it goes back with the rest, and the refund finds nothing.
    let spent = close(&mut conn, "e.l").await;
    assert_eq!(settle(&mut conn, "e.l", spent).await, Some(8));
    assert_eq!(refund(&mut conn, "e.l.3", 1).await, 0);
    assert_eq!(granted(&mut conn).await, 1, "one item was sold");
}

#[tokio::test]
async fn the_counter_of_permits_never_falls_below_zero() {
    let redis = TestRedis::start().await;
    let mut conn = redis.link().await.conn().await.unwrap();
    take(&mut conn, "e.l", 10).await;
    redis::cmd("SET")
        .arg(keys::permits(&item()))
        .arg(2)
        .exec_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(refund(&mut conn, "e.l.1", 1).await, 1);
    assert_eq!(settle(&mut conn, "e.l", 0).await, Some(1));
    assert_eq!(granted(&mut conn).await, 0);
}

#[tokio::test]
async fn permits_that_met_an_empty_shelf_stay_spent() {
    let redis = TestRedis::start().await;
    let mut conn = redis.link().await.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 0).await.unwrap();
    take(&mut conn, "e.l", 2).await;
    let arrival = Click {
        permit: "e.l.1",
        ..click("li", "r1")
    };
    assert_eq!(buy(&mut conn, &arrival).await.unwrap(), Sold::SoldOut);
    assert_eq!(close(&mut conn, "e.l").await, 1);
}

/// Why this can happen: the script's reply is lost, so that an edge retries the request at
/// another back end, or the back end journals it and replays it later.
#[tokio::test]
async fn a_permit_that_met_no_stock_is_spent_once_however_often_it_is_retried() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 1).await.unwrap();
    take(&mut conn, "e.l", 2).await;
    assert_eq!(
        buy(&mut conn, &click("li", "r1")).await.unwrap(),
        Sold::Accepted
    );
    let in_vain = Click {
        permit: "e.l.1",
        ..click("wang", "r1")
    };
    assert_eq!(buy(&mut conn, &in_vain).await.unwrap(), Sold::SoldOut);
    assert_eq!(buy(&mut conn, &in_vain).await.unwrap(), Sold::SoldOut);
    let surplus = buy_or(&mut conn, &in_vain, WhenGone::LeavePermit).await;
    assert_eq!(surplus.unwrap(), Sold::SoldOut, "it is spent already");

    release(&link, "li").await;
    assert_eq!(
        buy(&mut conn, &in_vain).await.unwrap(),
        Sold::SoldOut,
        "the item that is back has a permit of its own"
    );
    let other = Click {
        permit: "e.l.2",
        ..click("wang", "r2")
    };
    assert_eq!(buy(&mut conn, &other).await.unwrap(), Sold::Accepted);
    assert_eq!(buy(&mut conn, &in_vain).await.unwrap(), Sold::SoldOut);
    let events = outbox(&mut conn).await;
    assert!(
        events.iter().all(|(kind, _)| kind != "refund"),
        "{events:?}"
    );
    assert_eq!(close(&mut conn, "e.l").await, 2);
}

#[tokio::test]
async fn the_permit_of_a_purchase_that_was_released_is_spent_once_though_its_buyer_bought_anew() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    preload(&mut conn, &item(), 1, 10).await.unwrap();
    take(&mut conn, "e.l", 3).await;
    let first = Click {
        permit: "e.l.1",
        ..click("li", "r1")
    };
    let second = Click {
        permit: "e.l.2",
        ..click("li", "r2")
    };
    assert_eq!(buy(&mut conn, &first).await.unwrap(), Sold::Accepted);
    release(&link, "li").await;
    assert_eq!(buy(&mut conn, &second).await.unwrap(), Sold::Accepted);
    assert_eq!(
        buy(&mut conn, &first).await.unwrap(),
        Sold::Repeated,
        "from a journal"
    );
    release(&link, "li").await;
    assert_eq!(buy(&mut conn, &first).await.unwrap(), Sold::Repeated);
    assert_eq!(stock(&link).await, (10, 0, 0));
    let events = outbox(&mut conn).await;
    assert!(
        events.iter().all(|(kind, _)| kind != "refund"),
        "{events:?}"
    );
    assert_eq!(close(&mut conn, "e.l").await, 2);
}

/// Puts what a buyer has up for sale again, as their cancelled order does.
async fn release(link: &RedisLink, user: &str) {
    let bought = record(link, user).await.unwrap();
    let purchase = PurchaseRef {
        user,
        request: &bought.request,
        at_ms: bought.at_ms,
    };
    let call = scripts::stock::release(&item(), 1, purchase, Reason::Cancelled, "");
    let mut conn = link.conn().await.unwrap();
    assert_eq!(call.run(&mut conn).await.unwrap(), Moved::Now);
}
