//! The scripts under `lua/`, on a real Redis.

use crate::common;
use crate::common::scripts::{Click, buy, click, close, granted, outbox, refund, settle, take};
use crate::common::{TestRedis, item, record, stock};
use redis::RedisResult;
use seckill::redis::scripts;
use seckill_core::keys;
use seckill_core::orders::purchase::State;
use tokio::task::JoinSet;

#[tokio::test]
async fn preloading_twice_gives_the_stock_once() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    assert!(scripts::preload(&mut conn, &item(), 1, 10).await.unwrap());
    assert_eq!(
        buy(&mut conn, &click("li", "r1")).await.unwrap(),
        "accepted"
    );
    assert!(!scripts::preload(&mut conn, &item(), 1, 10).await.unwrap());
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
    let wrong = scripts::preload(&mut conn, &item(), 1, 10)
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), Some("BADSTOCK"));
    assert!(outbox(&mut conn).await.is_empty());
}

#[tokio::test]
async fn an_outbox_that_cannot_be_written_sells_nothing() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    scripts::preload(&mut conn, &item(), 1, 10).await.unwrap();
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
    scripts::preload(&mut conn, &item(), 1, 3).await.unwrap();

    let two = Click {
        quantity: 2,
        ..click("li", "r1")
    };
    assert_eq!(buy(&mut conn, &two).await.unwrap(), "accepted");
    assert_eq!(buy(&mut conn, &two).await.unwrap(), "repeated");
    assert_eq!(
        buy(&mut conn, &click("li", "r2")).await.unwrap(),
        "duplicate"
    );
    let more = Click {
        quantity: 2,
        ..click("wang", "r1")
    };
    assert_eq!(buy(&mut conn, &more).await.unwrap(), "sold_out");
    assert_eq!(
        buy(&mut conn, &click("wang", "r1")).await.unwrap(),
        "accepted"
    );
    assert_eq!(
        buy(&mut conn, &click("zhao", "r1")).await.unwrap(),
        "sold_out"
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
    scripts::preload(&mut conn, &item(), 1, 10).await.unwrap();
    let mut clicks = JoinSet::new();
    for n in 0..200 {
        let mut conn = conn.clone();
        clicks.spawn(async move { buy(&mut conn, &click(&format!("u{n}"), "r")).await.unwrap() });
    }
    let replies = clicks.join_all().await;
    assert_eq!(
        replies.iter().filter(|reply| *reply == "accepted").count(),
        10
    );
    assert_eq!(
        replies.iter().filter(|reply| *reply == "sold_out").count(),
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
    scripts::preload(&mut conn, &item(), 1, 5).await.unwrap();
    for (user, state, reply) in [
        ("a", "failed", "accepted"),
        ("b", "cancelled", "accepted"),
        ("c", "paid", "duplicate"),
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
async fn ordered_is_told_once_and_only_to_the_purchase_it_belongs_to() {
    let redis = TestRedis::start().await;
    let link = redis.link().await;
    let mut conn = link.conn().await.unwrap();
    scripts::preload(&mut conn, &item(), 1, 5).await.unwrap();
    let permit = Click {
        permit: "e.l.1",
        ..click("li", "r1")
    };
    buy(&mut conn, &permit).await.unwrap();
    let bought = record(&link, "li").await.unwrap().at_ms;
    let mut told = async |orders: &[(&str, &str, &str, u64)]| -> Vec<i64> {
        let mut script = scripts::ORDERED.prepare_invoke();
        script.key(keys::buyers(&item(), 1));
        for order in orders {
            script.arg(order);
        }
        script.invoke_async(&mut conn).await.unwrap()
    };
    let orders = [
        ("li", "r2", "7", bought),
        ("wang", "r1", "7", bought),
        ("li", "r1", "7", bought - 1),
        ("li", "r1", "7", bought),
    ];
    assert_eq!(told(&orders).await, [-1, -1, -1, 1]);
    assert_eq!(told(&[("li", "r1", "8", bought)]).await, [0]);
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
    scripts::preload(&mut conn, &item(), 1, 100).await.unwrap();
    take(&mut conn, "e.l", 10).await;
    for (user, permit) in [("a", "e.l.1"), ("b", "e.l.2"), ("c", "e.l.3")] {
        let arrival = Click {
            permit,
            ..click(user, "r")
        };
        assert_eq!(buy(&mut conn, &arrival).await.unwrap(), "accepted");
        assert_eq!(
            buy(&mut conn, &arrival).await.unwrap(),
            "repeated",
            "a retry by nginx"
        );
    }
    assert_eq!(close(&mut conn, "e.l").await, 3);

    let late = Click {
        permit: "e.l.4",
        ..click("d", "r")
    };
    assert_eq!(buy(&mut conn, &late).await.unwrap(), "busy");
    let known = Click {
        permit: "e.l.1",
        ..click("a", "r")
    };
    assert_eq!(
        buy(&mut conn, &known).await.unwrap(),
        "repeated",
        "it was sold before"
    );

    // A crash here: whoever comes next closes again and must see the same.
    assert_eq!(close(&mut conn, "e.l").await, 3);
    assert_eq!(settle(&mut conn, "e.l", 3).await, 7);
    assert_eq!(settle(&mut conn, "e.l", 3).await, -1);
    assert_eq!(granted(&mut conn).await, 3);
    assert_eq!(close(&mut conn, "e.l").await, 3);
    assert_eq!(stock(&link).await, (97, 3, 0));
}

#[tokio::test]
async fn the_permit_of_a_duplicate_goes_back_exactly_once() {
    let redis = TestRedis::start().await;
    let mut conn = redis.link().await.conn().await.unwrap();
    scripts::preload(&mut conn, &item(), 1, 100).await.unwrap();
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
    assert_eq!(buy(&mut conn, &again).await.unwrap(), "duplicate");
    assert_eq!(
        buy(&mut conn, &again).await.unwrap(),
        "duplicate",
        "a retry by nginx"
    );
    let same_key = Click {
        permit: "e.l.3",
        ..click("li", "r1")
    };
    assert_eq!(buy(&mut conn, &same_key).await.unwrap(), "repeated");
    let refunds: Vec<_> = outbox(&mut conn).await.into_iter().skip(1).collect();
    let asked = |permit: &str| ("refund".to_owned(), permit.to_owned());
    assert_eq!(refunds, [asked("e.l.2"), asked("e.l.2"), asked("e.l.3")]);

    assert_eq!(refund(&mut conn, "e.l.2", 1).await, 1);
    assert_eq!(refund(&mut conn, "e.l.2", 1).await, 0);
    assert_eq!(granted(&mut conn).await, 9);
    // The lease is settled before the second refund is handled: its permit was
    // never spent, so it goes back with the rest, and the refund finds nothing.
    let spent = close(&mut conn, "e.l").await;
    assert_eq!(settle(&mut conn, "e.l", spent).await, 8);
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
    assert_eq!(settle(&mut conn, "e.l", 0).await, 1);
    assert_eq!(granted(&mut conn).await, 0);
}

#[tokio::test]
async fn permits_that_met_an_empty_shelf_stay_spent() {
    let redis = TestRedis::start().await;
    let mut conn = redis.link().await.conn().await.unwrap();
    scripts::preload(&mut conn, &item(), 1, 0).await.unwrap();
    take(&mut conn, "e.l", 2).await;
    let arrival = Click {
        permit: "e.l.1",
        ..click("li", "r1")
    };
    assert_eq!(buy(&mut conn, &arrival).await.unwrap(), "sold_out");
    assert_eq!(close(&mut conn, "e.l").await, 1);
}
