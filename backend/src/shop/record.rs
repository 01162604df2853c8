//! The buyer's record in their segment.

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::orders::purchase::BuyerRecord;

use super::state::ShopState;
use crate::redis::RedisLinkError;
use crate::redis::segments::Segment;

/// The field of a segment's stock that says how many items are for sale.
pub(super) const STOCK_FOR_SALE: &str = "sale_stock_amount";

/// What a segment has on record of the buyer's last request.
///
/// # Errors
/// Its Redis is away, or the segment is halted.
pub(super) async fn record_of(
    state: &ShopState,
    item: &Item,
    segment: u16,
    user: &str,
) -> Result<Option<BuyerRecord>, RedisLinkError> {
    let mut conn = state.segments.conn(item, segment).await?;
    type Stock = (Option<String>, Option<String>);
    type Read = (Option<String>, Option<String>, Stock);
    let (bought, refused, (stock, halted)): Read = redis::pipe()
        .hget(keys::buyers(item, segment), user)
        .hget(keys::refused(item, segment), user)
        .hmget(
            keys::stock(item, segment),
            &[STOCK_FOR_SALE, keys::STOCK_HALTED],
        )
        .query_async(&mut conn)
        .await?;
    if stock.is_none() {
        let segment = Segment {
            item: item.clone(),
            number: segment,
        };
        return Err(RedisLinkError::NoStock(segment.to_string()));
    }
    let read = |text: String| {
        let record = BuyerRecord::parse(&text);
        if record.is_none() {
            tracing::error!(%item, user, text, "a buyer's record cannot be read");
        }
        record
    };
    let last = latest(bought.and_then(read), refused.and_then(read));
    // What a halted Redis does not have on record may have been bought all the same, and
    // what it has is old until it is healed.
    let is_old = |reason: &str| last.is_none() || !reason.starts_with(keys::HALTED_REPLAYS);
    match halted.filter(|reason| is_old(reason)) {
        Some(reason) => Err(RedisLinkError::Halted(reason)),
        None => Ok(last),
    }
}

/// What became of the buyer's last request: a purchase that lives, or the later of one
/// that does not and of a journalled request that bought nothing.
fn latest(bought: Option<BuyerRecord>, refused: Option<BuyerRecord>) -> Option<BuyerRecord> {
    match (bought, refused) {
        (Some(bought), Some(refused)) => {
            let stands = !bought.state.may_buy_again() || bought.at_ms >= refused.at_ms;
            Some(if stands { bought } else { refused })
        }
        (bought, refused) => bought.or(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_that_lives_stands_before_a_later_request_that_bought_nothing() {
        let record = |text: &str| BuyerRecord::parse(text);
        let refused = record("failed|r-2|1|||20|sold_out");
        for bought in ["succeeded|r-1|1|||10", "paid|r-1|1||7|10"] {
            let stands = latest(record(bought), refused.clone());
            assert_eq!(stands, record(bought));
        }
        let cancelled = record("cancelled|r-1|1||7|10|unpaid");
        assert_eq!(latest(cancelled.clone(), refused.clone()), refused);
        let later = record("cancelled|r-3|1||9|30|unpaid");
        assert_eq!(latest(later.clone(), refused.clone()), later);
        assert_eq!(latest(None, refused.clone()), refused);
        assert_eq!(latest(cancelled.clone(), None), cancelled);
    }
}
