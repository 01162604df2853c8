//! The scripts, called as the roles and the edge call them.

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use seckill::redis::scripts::permits;
use seckill::redis::scripts::stock::{self, Purchase, Sold, WhenGone};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::permit::PermitId;

use super::item;

/// A click as the purchase role passes it on.
#[derive(Clone)]
pub struct Click {
    pub user: String,
    pub request: String,
    pub quantity: u32,
    pub permit: &'static str,
}

pub fn click(user: &str, request: &str) -> Click {
    Click {
        user: user.into(),
        request: request.into(),
        quantity: 1,
        permit: "",
    }
}

/// Puts `amount` items up for sale in a segment.
pub async fn preload(
    conn: &mut MultiplexedConnection,
    item: &Item,
    segment: u16,
    amount: u64,
) -> RedisResult<bool> {
    stock::preload(item, segment, amount).run(conn).await
}

pub async fn buy(conn: &mut MultiplexedConnection, click: &Click) -> RedisResult<Sold> {
    buy_or(conn, click, WhenGone::SpendPermit).await
}

/// The same, with what to do if too few items are left.
pub async fn buy_or(
    conn: &mut MultiplexedConnection,
    click: &Click,
    when_gone: WhenGone,
) -> RedisResult<Sold> {
    let permit = (!click.permit.is_empty()).then(|| PermitId::parse(click.permit).unwrap());
    let purchase = Purchase {
        user: &click.user,
        request: &click.request,
        quantity: click.quantity,
        permit: permit.as_ref(),
        price_cents: 99_900,
        when_gone,
        pass: None,
        edge_returns: false,
        spent_until_ms: 0,
        order: None,
        traceparent: None,
    };
    stock::purchase(&item(), 1, &purchase).run(conn).await
}

pub async fn close(conn: &mut MultiplexedConnection, lease: &str) -> u64 {
    let keep_until = super::now_ms() + 60_000;
    let call = stock::close_leases(&item(), 1, keep_until, &[lease.to_owned()]);
    call.run(conn).await.unwrap()[0]
}

pub async fn settle(conn: &mut MultiplexedConnection, lease: &str, spent: u64) -> Option<u64> {
    let call = permits::settle(&item(), [(lease, spent)]);
    call.run(conn).await.unwrap()[0]
}

pub async fn refund(conn: &mut MultiplexedConnection, permit: &str, n: u32) -> u64 {
    let lease = permit.rsplit_once('.').unwrap().0;
    let what = permits::Refunded::Unspent(lease.to_owned());
    let call = permits::refund(&item(), permit, &what, n);
    call.run(conn).await.unwrap()
}

/// What the edge does when it takes permits.
pub async fn take(conn: &mut MultiplexedConnection, lease: &str, amount: u64) {
    let mut pipe = redis::pipe();
    pipe.incr(keys::permits(&item()), amount).ignore();
    pipe.hset(keys::leases(&item()), lease, format!("{amount}:1000"))
        .ignore();
    pipe.exec_async(conn).await.unwrap();
}

pub async fn granted(conn: &mut MultiplexedConnection) -> i64 {
    redis::cmd("GET")
        .arg(keys::permits(&item()))
        .query_async(conn)
        .await
        .unwrap()
}

/// Kind and request (or permit) of the segment's events after its preload.
pub async fn outbox(conn: &mut MultiplexedConnection) -> Vec<(String, String)> {
    let key = keys::outbox(&item(), 1);
    let reply: StreamRangeReply = redis::cmd("XRANGE")
        .arg(key)
        .arg("-")
        .arg("+")
        .query_async(conn)
        .await
        .unwrap();
    let field = |entry: &redis::streams::StreamId, name| entry.get::<String>(name);
    let preload = |entry: &&redis::streams::StreamId| field(entry, "kind").unwrap() == "preload";
    reply
        .ids
        .iter()
        .skip_while(preload)
        .map(|entry| {
            let detail = field(entry, "request").or_else(|| field(entry, "permit"));
            (field(entry, "kind").unwrap(), detail.unwrap())
        })
        .collect()
}
