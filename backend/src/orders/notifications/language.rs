//! The language in which a buyer is notified: that of the page on which they bought
//! last. Kept in Redis for a month, since nothing breaks without it.

use redis::AsyncCommands as _;
use seckill_core::keys;
use seckill_core::orders::notification::Lang;

use crate::redis::RedisLink;

/// How long it is remembered, in seconds.
const KEPT_S: u64 = 30 * 24 * 3600;

/// Remembers a buyer's language. A failure is only logged: it must not keep the buyer
/// waiting.
pub(crate) async fn remember(redis: &RedisLink, user: &str, lang: Lang) {
    let Ok(mut conn) = redis.conn().await else {
        return;
    };
    let key = keys::language(user);
    let kept: Result<(), _> = conn.set_ex(key, lang.as_str(), KEPT_S).await;
    if let Err(error) = kept {
        tracing::debug!(%error, "a buyer's language was not remembered");
    }
}

/// The language of this buyer, if it is known.
pub(super) async fn of(redis: &RedisLink, user: &str) -> Option<Lang> {
    let mut conn = redis.conn().await.ok()?;
    let tag: Option<String> = conn.get(keys::language(user)).await.ok()?;
    tag.as_deref().and_then(Lang::parse)
}
