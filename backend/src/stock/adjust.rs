//! An operator changes a product's amount while it sells.
//!
//! The new amount is a whole, not a difference, so that a command that broke off
//! is simply given again. It becomes true in three places: the segments' stock,
//! the limit of permits, and what the database says was set aside. Raised, the
//! stock comes first; lowered, the limit does: no permit is ever granted for
//! items that are not there.

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::{Entry, split_evenly};

use super::levels::{self, Level, Unsteady};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue;
use crate::sale::message;
use crate::store::{Store, StoreError};

/// For how long nobody else may adjust the same product, in ms.
const HOLD_MS: u64 = 30_000;

/// Why an amount was not, or not wholly, changed.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// Nothing of this name is on sale.
    #[error("{0} is not on sale; \"seckill stock show\" lists what is")]
    NotOnSale(Item),
    /// More is sold than is to be there.
    #[error(
        "{item} cannot have {amount} items: {sold} are sold ({saled} paid, {locked} in orders that \
         wait for payment) of {now}; choose {sold} or more"
    )]
    BelowSold {
        /// Which product.
        item: Item,
        /// As asked for.
        amount: u64,
        /// Locked and paid together.
        sold: u64,
        /// Paid.
        saled: u64,
        /// Locked.
        locked: u64,
        /// Items there are.
        now: u64,
    },
    /// Somebody else is at it.
    #[error("somebody else is adjusting {0} at this moment; try again in half a minute at most")]
    Busy(Item),
    /// Stock cannot be counted at the moment.
    #[error(transparent)]
    Unsteady(#[from] Unsteady),
    /// Redis is away or refuses.
    #[error("the amount was not wholly changed: {0}; give the same command again")]
    Link(#[from] RedisLinkError),
    /// The database does not know of it yet.
    #[error(
        "the stock was changed, but the database was not told: {0}; give the same command again"
    )]
    Store(#[from] StoreError),
}

impl From<redis::RedisError> for AdjustError {
    fn from(error: redis::RedisError) -> Self {
        Self::Link(error.into())
    }
}

/// What an adjustment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjusted {
    /// The amount changed.
    Changed {
        /// Items before.
        from: u64,
        /// Items now.
        to: u64,
    },
    /// A request of this id was carried out before; nothing was done.
    Before(u64),
}

/// What adjusting needs.
#[derive(Debug, Clone, Copy)]
pub struct Adjuster<'a> {
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// Where the stock lies.
    pub segments: &'a Segments,
    /// The database.
    pub store: &'a Store,
}

impl Adjuster<'_> {
    /// Gives `item` so many items in all, once for each request id.
    ///
    /// # Errors
    /// [`AdjustError`]; giving the same order again completes what was begun.
    pub async fn adjust(
        &self,
        item: &Item,
        amount: u64,
        request: &str,
    ) -> Result<Adjusted, AdjustError> {
        let mut conn = self.redis.conn().await?;
        let adjusted = keys::adjusted(item);
        let mut ask = redis::cmd("HGET");
        ask.arg(&adjusted).arg(request);
        let before: Option<u64> = ask.query_async(&mut conn).await?;
        if let Some(before) = before {
            return Ok(Adjusted::Before(before));
        }
        self.hold(&mut conn, item, request).await?;
        let outcome = self.change(&mut conn, item, amount, request).await;
        if outcome.is_ok() {
            message::announce(self.redis, item.round()).await?;
            let mut note = redis::cmd("HSET");
            note.arg(&adjusted).arg(request).arg(amount);
            note.exec_async(&mut conn).await?;
        }
        let free: Result<(), _> = redis::cmd("DEL")
            .arg(keys::adjusting(item))
            .query_async(&mut conn)
            .await;
        if let Err(error) = free {
            tracing::debug!(%error, "the hold on an adjustment ends by itself");
        }
        outcome
    }

    /// One adjustment of a product at a time: two would count on each other's items.
    async fn hold(
        &self,
        conn: &mut MultiplexedConnection,
        item: &Item,
        request: &str,
    ) -> Result<(), AdjustError> {
        let mut set = redis::cmd("SET");
        set.arg(keys::adjusting(item)).arg(request);
        set.arg("NX").arg("PX").arg(HOLD_MS);
        let set: Option<String> = set.query_async(conn).await?;
        set.map(|_| ())
            .ok_or_else(|| AdjustError::Busy(item.clone()))
    }

    async fn change(
        &self,
        conn: &mut MultiplexedConnection,
        item: &Item,
        amount: u64,
        request: &str,
    ) -> Result<Adjusted, AdjustError> {
        let products = catalogue::read(conn).await?;
        let entry = *products
            .get(item)
            .ok_or_else(|| AdjustError::NotOnSale(item.clone()))?;
        let levels = levels::steady(self.segments, item, &entry).await?;
        refuse_below_sold(item, amount, &levels)?;
        let from: u64 = levels.iter().map(Level::sum).sum();
        if amount < from {
            set_limit(conn, item, entry, amount).await?;
            if let Err(error) = self.lower(item, &entry, amount, request).await {
                // What is there stays on sale.
                set_limit(conn, item, entry, from).await?;
                return Err(error);
            }
        } else {
            self.raise(item, &entry, amount - from, request).await?;
            set_limit(conn, item, entry, amount).await?;
        }
        self.store
            .set_frozen_amount(item.round(), item.product(), amount)
            .await?;
        Ok(Adjusted::Changed { from, to: amount })
    }

    async fn raise(
        &self,
        item: &Item,
        entry: &Entry,
        items: u64,
        request: &str,
    ) -> Result<(), AdjustError> {
        for (segment, share) in (1..).zip(split_evenly(items, entry.segments)) {
            if share > 0 {
                let id = format!("{request}+{items}");
                self.step(item, segment, &id, signed(share)).await?;
            }
        }
        Ok(())
    }

    /// Takes items off the sale, from whoever has most, until the amount is
    /// reached. What is sold meanwhile is found out by counting again.
    async fn lower(
        &self,
        item: &Item,
        entry: &Entry,
        amount: u64,
        request: &str,
    ) -> Result<(), AdjustError> {
        for round in 1_u32.. {
            let mut levels = levels::steady(self.segments, item, entry).await?;
            let now: u64 = levels.iter().map(Level::sum).sum();
            if now <= amount {
                break;
            }
            refuse_below_sold(item, amount, &levels)?;
            levels.sort_by_key(|level| std::cmp::Reverse(level.sale));
            let mut over = now - amount;
            for level in levels.iter().filter(|level| level.sale > 0) {
                let id = format!("{request}-{round}-{now}");
                let wanted = signed(over.min(level.sale));
                let taken = self.step(item, level.segment, &id, -wanted).await?;
                over -= taken.unsigned_abs().min(over);
            }
        }
        Ok(())
    }

    /// Runs the script on one segment; returns the change that was made.
    async fn step(
        &self,
        item: &Item,
        segment: u16,
        id: &str,
        change: i64,
    ) -> Result<i64, RedisLinkError> {
        let mut conn = self.segments.conn(item, segment).await?;
        let call = scripts::stock::adjust(item, segment, id, change);
        Ok(call.run(&mut conn).await?)
    }
}

fn refuse_below_sold(item: &Item, amount: u64, levels: &[Level]) -> Result<(), AdjustError> {
    let locked: u64 = levels.iter().map(|level| level.locked).sum();
    let saled: u64 = levels.iter().map(|level| level.saled).sum();
    let sold = locked + saled;
    if amount >= sold {
        return Ok(());
    }
    Err(AdjustError::BelowSold {
        item: item.clone(),
        amount,
        sold,
        saled,
        locked,
        now: levels.iter().map(Level::sum).sum(),
    })
}

/// Tells the edges how many permits they may grant, and shoppers how many items
/// there are.
async fn set_limit(
    conn: &mut MultiplexedConnection,
    item: &Item,
    entry: Entry,
    limit: u64,
) -> Result<(), RedisLinkError> {
    let entry = Entry { limit, ..entry };
    // In two steps, for the keys live in two slots: what the take script obeys first.
    let mut info = redis::pipe();
    info.atomic()
        .hset(keys::info(item), "limit", limit)
        .ignore()
        .hset(keys::info(item), "amount", limit)
        .ignore();
    info.exec_async(conn).await?;
    let mut write = redis::pipe();
    write
        .atomic()
        .hset(keys::CATALOGUE, item.to_string(), entry.to_json())
        .ignore()
        .hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
        .ignore();
    Ok(write.exec_async(conn).await?)
}

fn signed(items: u64) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
