//! Who came, as the analysis of the access logs tells.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use redis::Value;
use seckill_core::keys;
use seckill_core::suspicion::participants;

use super::shelves::Shelves;
use super::view::VisitorsView;
use crate::redis::{RedisLink, RedisLinkError};

/// How many of the hottest products are shown.
const HOTTEST: isize = 5;

/// Reads what is there: visitors of all products on the board together, those
/// who clicked by product, added up, and what is looked at most today.
///
/// # Errors
/// Redis is away.
pub(super) async fn read(
    redis: &RedisLink,
    zone: &TimeZone,
    shelves: &Shelves,
) -> Result<VisitorsView, RedisLinkError> {
    if shelves.products.is_empty() {
        return Ok(VisitorsView::default());
    }
    let today = Timestamp::now().to_zoned(zone.clone()).date();
    let mut ask = redis::pipe();
    ask.zrevrange_withscores(keys::hot(&today.to_string()), 0, HOTTEST - 1);
    let mut unique = redis::cmd("PFCOUNT");
    for shelf in &shelves.products {
        unique.arg(keys::visitors(&shelf.item));
    }
    ask.add_command(unique);
    for shelf in &shelves.products {
        ask.cmd("BITCOUNT").arg(keys::participants(&shelf.item));
    }
    ask.ignore_errors();
    let mut conn = redis.conn().await?;
    let told: Vec<redis::RedisResult<Value>> = ask.query_async(&mut conn).await?;
    let number = |at: usize| read_as::<u64>(&told, at).unwrap_or(0);
    let clicked = (2..told.len()).map(|at| participants::estimate(number(at)));
    let hot: Vec<(String, f64)> = read_as(&told, 0).unwrap_or_default();
    let some = |n: u64| (n > 0).then_some(n);
    Ok(VisitorsView {
        unique: some(number(1)),
        participants: some(clicked.sum()),
        // Scores are counts.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        hot: hot.into_iter().map(|(name, n)| (name, n as u64)).collect(),
    })
}

fn read_as<T: redis::FromRedisValue>(told: &[redis::RedisResult<Value>], at: usize) -> Option<T> {
    T::from_redis_value_ref(told.get(at)?.as_ref().ok()?).ok()
}
