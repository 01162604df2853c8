//! Notifies the edges of buyers who may buy again.
//!
//! An edge remembers for half a minute which buyers it has admitted, and refuses their
//! second click. A buyer whose purchase ended without an order (it failed, was cancelled,
//! or is a dead letter) must not be refused for that: the edges read this stream four
//! times a second and forget such buyers.
//!
//! Call it after the buyer's record in Redis allows another purchase. Repeating it does no
//! harm, and an entry that is lost costs the buyer the rest of the half minute: the stock
//! script is what decides.

use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;

use crate::redis::RedisLinkError;

/// About how many entries are kept: far more than are written while an edge is away or
/// remembers a buyer.
const KEPT: u64 = 100_000;

/// Lets `user` buy `item` again at every edge, within a quarter of a second.
///
/// # Errors
/// Redis is away or refuses; calling again is safe.
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
