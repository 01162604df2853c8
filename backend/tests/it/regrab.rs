//! Telling the edges who may buy again.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use crate::common::TestRedis;
use seckill::edges::regrabs as regrab;
use seckill_core::ids::Item;
use seckill_core::keys;

#[tokio::test]
async fn everybody_who_may_buy_again_is_named_to_the_edges_in_order() {
    let redis = TestRedis::start().await;
    let mut conn = redis.link().await.conn().await.unwrap();
    let item = Item::new("1", "153").unwrap();

    regrab::allow(&mut conn, &item, "li").await.unwrap();
    regrab::allow_all(&mut conn, []).await.unwrap();
    let two = [(&item, "wang"), (&item, "li")];
    regrab::allow_all(&mut conn, two).await.unwrap();

    let named: Vec<(String, Vec<String>)> = redis::cmd("XRANGE")
        .arg(keys::REGRABS)
        .arg(&["-", "+"])
        .query_async(&mut conn)
        .await
        .unwrap();
    let users: Vec<&str> = named.iter().map(|(_, fields)| &*fields[3]).collect();
    assert_eq!(users, ["li", "wang", "li"]);
    assert_eq!(named[0].1, ["item", "1::153", "user", "li"]);
}
