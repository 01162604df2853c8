//! Changes a product's amount while it sells, by an operator's order.
//!
//! The new amount is a total, not a difference, so that a command that broke off is simply
//! repeated. It is written in three places: the segments' stock, the limit of permits, and
//! the amount that the database has set aside. When it is raised, the stock comes first;
//! when it is lowered, the limit does: no permit is ever granted for items that do not
//! exist. The audit log's entry is written in one transaction with the database's amount:
//! it says what was changed, not what was wanted.

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::{Entry, split_evenly};
use seckill_core::sale::halt::Halt;

use super::levels::{self, Level, Unsteady};
use super::reopening;
use crate::config::SiteSettings;
use crate::redis::scripts::sale::{Replacement, replace};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::alone::{self, AloneError};
use crate::sale::catalogue;
use crate::sale::message;
use crate::store::{Actor, Done, Store, StoreError};

/// For how long a product is locked against other adjustments, in ms.
const LOCK_MS: u64 = 30_000;

/// Why an amount was not, or not wholly, changed.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// Nothing of this name is on sale.
    #[error("{0} is not on sale; \"seckill stock show\" lists what is")]
    NotOnSale(Item),
    /// More items are sold than there are to be.
    #[error(
        "{item} cannot have {amount} items: {sold} are sold ({saled} paid, {locked} in orders that \
         wait for payment) of {now}; choose {sold} or more"
    )]
    BelowSold {
        /// The product.
        item: Item,
        /// The amount asked for.
        amount: u64,
        /// Locked and paid together.
        sold: u64,
        /// Items in orders that are paid.
        saled: u64,
        /// Items in orders that wait for payment.
        locked: u64,
        /// Items there are.
        now: u64,
    },
    /// It would raise the amount, which nobody does alone.
    #[error(
        "{item} stays at {from} items: raising it to {amount} needs a second person; propose it at \
         the console, or with --propose REASON"
    )]
    Raises {
        /// The product.
        item: Item,
        /// Items there are.
        from: u64,
        /// The amount asked for.
        amount: u64,
    },
    /// It would raise the amount of what is off sale for good.
    #[error("{0} was withdrawn, which is for good: its amount can only be lowered")]
    Withdrawn(Item),
    /// It would raise the amount, and this process was not told of the other sites.
    #[error("nothing was changed: {0}")]
    Alone(AloneError),
    /// Another adjustment of the product is under way.
    #[error("somebody else is adjusting {0} at this moment; try again in half a minute at most")]
    Busy(Item),
    /// Items are moving between this site and another.
    #[error(
        "items of {0} are moving between this site and another; try again in a second, while the \
         relay role runs"
    )]
    BetweenSites(Item),
    /// Stock cannot be counted at the moment.
    #[error(transparent)]
    Unsteady(#[from] Unsteady),
    /// Redis is away or refuses.
    #[error("the amount was not wholly changed: {0}; give the same command again")]
    Link(#[from] RedisLinkError),
    /// The database is away.
    #[error("nothing was changed: {0}")]
    NoStore(StoreError),
    /// The database could not be changed.
    #[error("the stock was changed, but not the database: {0}; give the same command again")]
    Store(#[from] StoreError),
}

impl From<redis::RedisError> for AdjustError {
    fn from(error: redis::RedisError) -> Self {
        Self::Link(error.into())
    }
}

impl From<AloneError> for AdjustError {
    fn from(error: AloneError) -> Self {
        match error {
            AloneError::Link(error) => Self::Link(error),
            other => Self::Alone(other),
        }
    }
}

/// The outcome of an adjustment.
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

/// Whether an adjustment may raise an amount. One person alone may lower it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raise<'a> {
    /// It may not: one person asks.
    Refused,
    /// It may: a second person approved what the first proposed.
    Approved {
        /// The number of the proposal.
        proposal: u64,
        /// Who proposed it.
        by: &'a str,
    },
    /// It may: somebody with a shell on the machine takes it upon themself, for this reason.
    Alone(&'a str),
    /// It may: a change that was refused is taken back, unless somebody has changed what it
    /// `made` since.
    Back {
        /// The amount that the refused change left.
        made: u64,
    },
}

/// Adjusts amounts.
#[derive(Debug, Clone, Copy)]
pub struct Adjuster<'a> {
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// The masters of the segments.
    pub segments: &'a Segments,
    /// The database.
    pub store: &'a Store,
    /// Who adjusts, for the audit log.
    pub by: &'a Actor,
    /// Whether the amount may rise.
    pub raise: Raise<'a>,
    /// This site among others, as this process has it.
    pub site: Option<&'a SiteSettings>,
}

impl Adjuster<'_> {
    /// Sets the amount of `item`, once for each request id.
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
        let mut get = redis::cmd("HGET");
        get.arg(&adjusted).arg(request);
        let before: Option<u64> = get.query_async(&mut conn).await?;
        if let Some(before) = before {
            return Ok(Adjusted::Before(before));
        }
        if !lock(&mut conn, item, request, LOCK_MS).await? {
            return Err(AdjustError::Busy(item.clone()));
        }
        let outcome = self.change(&mut conn, item, amount, request).await;
        if outcome.is_ok() {
            message::announce(self.redis, item.round()).await?;
            let mut note = redis::cmd("HSET");
            note.arg(&adjusted).arg(request).arg(amount);
            note.exec_async(&mut conn).await?;
        }
        unlock(&mut conn, item).await;
        outcome
    }

    /// Whether `item` could have this amount at the moment. Nothing is changed.
    ///
    /// # Errors
    /// [`AdjustError`], as from [`Adjuster::adjust`].
    pub async fn check(&self, item: &Item, amount: u64) -> Result<(), AdjustError> {
        let mut conn = self.redis.conn().await?;
        let products = catalogue::read(&mut conn).await?;
        let entry = products.get(item);
        let entry = entry.ok_or_else(|| AdjustError::NotOnSale(item.clone()))?;
        let levels = levels::steady(self.segments, item, entry).await?;
        self.refuse_withdrawn((item, entry), amount, &levels)?;
        refuse_below_sold(item, amount, &levels)?;
        self.refuse_alone(amount > levels.iter().map(Level::sum).sum())
            .await
    }

    /// More goes on sale only where the other sites are known. A refused edit is taken back
    /// all the same.
    async fn refuse_alone(&self, raises: bool) -> Result<(), AdjustError> {
        if raises && !matches!(self.raise, Raise::Back { .. }) {
            alone::refuse(self.site, self.redis).await?;
        }
        Ok(())
    }

    /// What is withdrawn sells never again, so that more of it promises nothing. A refused
    /// edit is taken back all the same.
    fn refuse_withdrawn(
        &self,
        (item, entry): (&Item, &Entry),
        amount: u64,
        levels: &[Level],
    ) -> Result<(), AdjustError> {
        let is_back = matches!(self.raise, Raise::Back { .. });
        let raises = amount > levels.iter().map(Level::sum).sum();
        if raises && entry.halt == Some(Halt::Withdrawn) && !is_back {
            return Err(AdjustError::Withdrawn(item.clone()));
        }
        Ok(())
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
        self.refuse_withdrawn((item, &entry), amount, &levels)?;
        refuse_below_sold(item, amount, &levels)?;
        // Before anything is changed: an absent database must not leave half of it.
        let share = self.store.share_and_between(item).await;
        if share
            .map_err(AdjustError::NoStore)?
            .is_some_and(|(_, between)| !between.is_empty())
        {
            return Err(AdjustError::BetweenSites(item.clone()));
        }
        let from: u64 = levels.iter().map(Level::sum).sum();
        if matches!(self.raise, Raise::Back { made } if made != from) {
            return Ok(Adjusted::Changed { from, to: from });
        }
        if amount > from && self.raise == Raise::Refused {
            return Err(AdjustError::Raises {
                item: item.clone(),
                from,
                amount,
            });
        }
        self.refuse_alone(amount > from).await?;
        // Until limit and stock agree again no edge may say "sold out". A reopening that
        // a failure leaves ends when the command is given again.
        let change = match amount == from {
            true => Vec::new(),
            false => vec![(item.clone(), vec![format!("adjust:{request}")])],
        };
        reopening::announce(self.redis, &change).await?;
        if amount < from {
            set_limit(conn, item, amount).await?;
            if let Err(error) = self.lower(item, &entry, amount, request).await {
                // All items that are left stay on sale.
                set_limit(conn, item, from).await?;
                reopening::withdraw(self.redis, &change).await?;
                return Err(error);
            }
        } else {
            self.raise(item, &entry, amount - from, request).await?;
            set_limit(conn, item, amount).await?;
        }
        reopening::withdraw(self.redis, &change).await?;
        let mut detail = serde_json::json!({ "amount": [from, amount], "request": request });
        match self.raise {
            Raise::Approved { proposal, by } => {
                detail["proposal"] = proposal.into();
                detail["proposed_by"] = by.into();
            }
            Raise::Alone(reason) if amount > from => detail["alone"] = reason.into(),
            Raise::Alone(_) | Raise::Refused | Raise::Back { .. } => {}
        }
        let done = Done {
            action: "stock.adjust",
            target: item.to_string(),
            detail,
        };
        self.store
            .set_frozen_amount(
                item,
                amount,
                (self.by, &done, from != amount),
                crate::now_ms(),
            )
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

    /// Takes items off sale, from the fullest segment first, until the amount is reached.
    /// Counting again finds what was sold meanwhile.
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

/// Locks the product for so long, since two changes of its amount at a time would count each other's
/// items; `false` if somebody else is at it.
pub(super) async fn lock(
    conn: &mut MultiplexedConnection,
    item: &Item,
    by: &str,
    for_ms: u64,
) -> Result<bool, RedisLinkError> {
    let mut set = redis::cmd("SET");
    set.arg(keys::adjusting(item)).arg(by);
    set.arg("NX").arg("PX").arg(for_ms);
    let set: Option<String> = set.query_async(conn).await?;
    Ok(set.is_some())
}

/// Lets the next one at it.
pub(super) async fn unlock(conn: &mut MultiplexedConnection, item: &Item) {
    let free: Result<(), _> = redis::cmd("DEL")
        .arg(keys::adjusting(item))
        .query_async(conn)
        .await;
    if let Err(error) = free {
        tracing::debug!(%error, "the lock on a product's adjustment expires by itself");
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

/// Sets how many permits the edges may grant, and how many items shoppers see.
pub(super) async fn set_limit(
    conn: &mut MultiplexedConnection,
    item: &Item,
    limit: u64,
) -> Result<(), RedisLinkError> {
    // In two steps, since the keys are in two slots: first what the take script reads.
    let limits = [("limit", limit), ("amount", limit)];
    let () = conn.hset_multiple(keys::info(item), &limits).await?;
    loop {
        let mut get = redis::cmd("HGET");
        get.arg(keys::CATALOGUE).arg(item.to_string());
        let seen: Option<String> = get.query_async(conn).await?;
        let entry = seen.as_deref().and_then(|seen| Entry::parse(seen).ok());
        let (Some(seen), Some(entry)) = (seen, entry) else {
            // It has left the catalogue meanwhile: nobody reads its limit there.
            return Ok(());
        };
        let replacement = Replacement {
            item: item.to_string(),
            seen,
            new: Entry { limit, ..entry }.to_json(),
        };
        // Refused if somebody, such as the stop switch, changed it at this moment.
        let replaced = replace([&replacement]).run(conn).await?;
        if replaced == [true] {
            return Ok(());
        }
    }
}

fn signed(items: u64) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
