//! Announces that items are about to be for sale again, before they are: edges that refuse
//! the crowd from memory stop saying "sold out" first ([`seckill_core::permits::reopening`]).

use std::time::Duration;

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::reopening::KNOWN_MS;

use crate::redis::{RedisLink, RedisLinkError, scripts};

/// A product of which items are about to be for sale again, and the ids of the refunds that
/// end it, or of another change.
pub type Reopening = (Item, Vec<String>);

/// Announces changes, and waits until no edge says of these products that they are sold out.
/// That takes [`KNOWN_MS`] where one is, and one round trip where none is.
///
/// # Errors
/// The main Redis is away: nothing may go up for sale.
pub async fn announce(main: &RedisLink, changes: &[Reopening]) -> Result<(), RedisLinkError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut conn = main.conn().await?;
    let calls = changes
        .iter()
        .map(|(item, ids)| scripts::permits::reopen(item, ids));
    let calls: Vec<_> = calls.collect();
    let mut longest = 0;
    for ((item, _), reply) in changes
        .iter()
        .zip(scripts::run_all(&mut conn, &calls).await?)
    {
        // What is wrong with one product must not hold up the others.
        let wait = reply.unwrap_or_else(|error| {
            tracing::error!(%item, %error, "it cannot be announced that items are for sale again");
            KNOWN_MS
        });
        longest = longest.max(wait.min(KNOWN_MS));
    }
    if longest > 0 {
        tokio::time::sleep(Duration::from_millis(longest)).await;
    }
    Ok(())
}

/// Ends reopenings: the change is complete, or nothing was changed.
///
/// # Errors
/// The main Redis is away; then they are forgotten after ten minutes.
pub async fn withdraw(main: &RedisLink, changes: &[Reopening]) -> Result<(), RedisLinkError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut pipe = redis::pipe();
    for (item, ids) in changes {
        pipe.hdel(keys::reopening(item), ids);
    }
    Ok(pipe.exec_async(&mut main.conn().await?).await?)
}
