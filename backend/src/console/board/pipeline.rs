//! Pipelines in which one command may fail without the others.

use redis::{FromRedisValue, Pipeline, RedisResult, Value};

use crate::redis::{RedisLink, RedisLinkError};

/// Sends a pipeline, which must ignore errors: a key that holds another type must not
/// hide all other replies.
///
/// # Errors
/// Redis is away.
pub(super) async fn send(
    link: &RedisLink,
    query: &Pipeline,
) -> Result<Vec<RedisResult<Value>>, RedisLinkError> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let mut conn = link.conn().await?;
    Ok(query.query_async(&mut conn).await?)
}

/// The reply at this place; `None` if it is an error or of another type.
pub(super) fn read<T: FromRedisValue>(replies: &[RedisResult<Value>], at: usize) -> Option<T> {
    let value = replies.get(at)?.as_ref().ok()?;
    T::from_redis_value_ref(value).ok()
}
