//! The scripts, called as the roles and the edge call them.

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use seckill::redis::scripts;
use seckill_core::keys;

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

pub async fn buy(conn: &mut MultiplexedConnection, click: &Click) -> RedisResult<String> {
    let lease = click.permit.rsplit_once('.').map_or("", |(lease, _)| lease);
    let item = item();
    scripts::PURCHASE
        .key(keys::stock(&item, 1))
        .key(keys::buyers(&item, 1))
        .key(keys::spent(&item, 1))
        .key(keys::outbox(&item, 1))
        .arg((
            &click.user,
            &click.request,
            click.quantity,
            click.permit,
            lease,
        ))
        .arg(("1", "153", 1, 99_900))
        .invoke_async(conn)
        .await
}

pub async fn close(conn: &mut MultiplexedConnection, lease: &str) -> u64 {
    let keep_until = super::now_ms() + 60_000;
    let spent = keys::spent(&item(), 1);
    let seen: Vec<u64> = scripts::CLOSE_LEASE
        .key(spent)
        .arg(keep_until)
        .arg(lease)
        .invoke_async(conn)
        .await
        .unwrap();
    seen[0]
}

pub async fn settle(conn: &mut MultiplexedConnection, lease: &str, spent: u64) -> i64 {
    let mut call = scripts::SETTLE.prepare_invoke();
    call.key(keys::permits(&item()))
        .key(keys::leases(&item()))
        .arg(lease)
        .arg(spent);
    let back: Vec<i64> = call.invoke_async(conn).await.unwrap();
    back[0]
}

pub async fn refund(conn: &mut MultiplexedConnection, permit: &str, n: u32) -> i64 {
    let lease = permit.rsplit_once('.').unwrap().0;
    scripts::REFUND
        .key(keys::permits(&item()))
        .key(keys::refunds(&item()))
        .key(keys::leases(&item()))
        .arg((permit, lease, n))
        .invoke_async(conn)
        .await
        .unwrap()
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
