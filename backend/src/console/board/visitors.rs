//! Visitors and buyers of today, as the analysis of the access logs counted them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use redis::Value;
use seckill_core::keys;
use seckill_core::suspicion::participants;

use super::pipeline;
use super::products::Listing;
use super::view::VisitorsView;
use crate::redis::{RedisLink, RedisLinkError};

/// How many of the hottest products are shown.
const HOTTEST: isize = 5;

/// Reads the counts: visitors of all products on the board together, buyers who
/// clicked, added up over products, and the products that are visited most today.
///
/// # Errors
/// Redis is away.
pub(super) async fn read(
    redis: &RedisLink,
    zone: &TimeZone,
    listing: &Listing,
) -> Result<VisitorsView, RedisLinkError> {
    if listing.products.is_empty() {
        return Ok(VisitorsView::default());
    }
    let today = Timestamp::now().to_zoned(zone.clone()).date();
    let mut query = redis::pipe();
    query.zrevrange_withscores(keys::hot(&today.to_string()), 0, HOTTEST - 1);
    let mut unique = redis::cmd("PFCOUNT");
    for product in &listing.products {
        unique.arg(keys::visitors(&product.item));
    }
    query.add_command(unique);
    for product in &listing.products {
        query.cmd("BITCOUNT").arg(keys::participants(&product.item));
    }
    query.ignore_errors();
    let mut conn = redis.conn().await?;
    let replies: Vec<redis::RedisResult<Value>> = query.query_async(&mut conn).await?;
    let number = |at: usize| pipeline::read::<u64>(&replies, at).unwrap_or(0);
    let clicked = (2..replies.len()).map(|at| participants::estimate(number(at)));
    let hot: Vec<(String, f64)> = pipeline::read(&replies, 0).unwrap_or_default();
    let some = |n: u64| (n > 0).then_some(n);
    Ok(VisitorsView {
        unique: some(number(1)),
        participants: some(clicked.sum()),
        // Scores are counts.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        hot: hot.into_iter().map(|(name, n)| (name, n as u64)).collect(),
    })
}
