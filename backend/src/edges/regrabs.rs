//! Tells the edges who may buy again.
//!
//! An edge remembers for half a minute whom it has let pass, and refuses his
//! second click. Whoever has come away without an order (it failed, was cancelled,
//! or lies among the dead letters) is not to be refused for that: the edges read
//! this stream four times a second and forget him.
//!
//! Call it after the buyer's record in Redis says that he may buy again. Telling
//! twice does no harm, and a word that is lost costs the buyer the rest of his
//! half minute: the stock script is what decides.

use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;

use crate::redis::RedisLinkError;

/// Entries kept, about: far more than come in the time that an edge can miss
/// and that a buyer is remembered for.
const KEPT: u64 = 100_000;

/// Lets `user` buy `item` again at every edge, within a quarter of a second.
///
/// # Errors
/// Redis is away or refuses; asking again is safe.
pub async fn allow(
    conn: &mut MultiplexedConnection,
    item: &Item,
    user: &str,
) -> Result<(), RedisLinkError> {
    allow_all(conn, [(item, user)]).await
}

/// The same for many buyers, in one round trip.
///
/// # Errors
/// As for [`allow`].
pub async fn allow_all<'a>(
    conn: &mut MultiplexedConnection,
    buyers: impl IntoIterator<Item = (&'a Item, &'a str)>,
) -> Result<(), RedisLinkError> {
    let mut pipe = Pipeline::new();
    for (item, user) in buyers {
        pipe.cmd("XADD")
            .arg(keys::REGRABS)
            .arg(&["MAXLEN", "~"])
            .arg(KEPT)
            .arg("*")
            .arg("item")
            .arg(item.to_string())
            .arg("user")
            .arg(user)
            .ignore();
    }
    if pipe.cmd_iter().next().is_none() {
        return Ok(());
    }
    Ok(pipe.exec_async(conn).await?)
}
