//! Approval: the double write to database and Redis (course §065, §179).
//!
//! The database comes first: only what a supervisor approved may be written to
//! Redis. An approval that was interrupted is completed by approving again.

use jiff::tz::TimeZone;

use seckill_core::sale::catalogue::split_evenly;

use super::alone::{self, AloneError};
use super::limits::MAX_SEGMENTS;
use super::publish::{self, PublishError};
use super::room::{self, NoRoom};
use crate::config::SiteSettings;
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::inventory::{HoldError, HttpInventory, holds};
use crate::store::round::{Product, Round, RoundState, StoredRound};
use crate::store::round_changes::ChangeError;
use crate::store::stop::StopKind;
use crate::store::{Actor, Store, StoreError};
use crate::time::rfc3339;

/// Why a round was not approved, or only partly. But for [`ApproveError::Publish`] each is
/// a cause alone: only the caller knows what was done before.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// There is no round of this id.
    #[error("there is no round \"{round}\"; {known}")]
    NoSuchRound {
        /// The id.
        round: String,
        /// The rounds that exist, as a sentence.
        known: String,
    },
    /// The round is over.
    #[error(
        "round \"{round}\" ended at {}; import it with later times under another id",
        rfc3339(*ends_ms)
    )]
    Over {
        /// The round.
        round: String,
        /// Its end, epoch milliseconds.
        ends_ms: u64,
    },
    /// The round was taken off sale for good.
    #[error(
        "round \"{0}\" was withdrawn for good; copy it at the console, or import it under another id"
    )]
    Withdrawn(String),
    /// A product is divided among more masters than there are.
    #[error(
        "product {product} has {segments} segments, and redis_segments names {masters} masters: \
         import the round with at most {masters}, or add masters first. One master with two \
         segments would lose one of them when the list grows"
    )]
    TooManySegments {
        /// The product.
        product: String,
        /// Its segments.
        segments: usize,
        /// The masters.
        masters: usize,
    },
    /// Redis is away, so that the approval was not begun.
    #[error(transparent)]
    NoRedis(#[from] RedisLinkError),
    /// This process was not told of the other sites.
    #[error(transparent)]
    Alone(AloneError),
    /// A living edge has no room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The database is away or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shop's own inventory does not hold the items.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The round has changed meanwhile, or a product is in another round too.
    #[error(transparent)]
    Change(ChangeError),
    /// The approval is stored, and not all of the round is in Redis.
    #[error(
        "round \"{round}\" is {}: {source}",
        if *.was_published { "on sale, but could not be published again" } else { "approved but not yet on sale" }
    )]
    Publish {
        /// The round.
        round: String,
        /// Whether it was published before.
        was_published: bool,
        /// The cause.
        source: PublishError,
    },
}

impl From<ChangeError> for ApproveError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => Self::Store(error),
            other => Self::Change(other),
        }
    }
}

impl From<AloneError> for ApproveError {
    fn from(error: AloneError) -> Self {
        match error {
            AloneError::Link(error) => Self::NoRedis(error),
            other => Self::Alone(other),
        }
    }
}

/// Refuses a round that was withdrawn: it stays off sale, whatever is approved or published
/// again.
///
/// # Errors
/// [`ApproveError::Withdrawn`].
pub fn refuse_withdrawn(stored: &StoredRound) -> Result<(), ApproveError> {
    match stored.stops.round.map(|stop| stop.kind) {
        Some(StopKind::Withdrawn) => Err(ApproveError::Withdrawn(stored.round.id.clone())),
        _ => Ok(()),
    }
}

/// Approves rounds.
#[derive(Debug, Clone, Copy)]
pub struct Approver<'a> {
    /// The database.
    pub store: &'a Store,
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// The stock's masters.
    pub segments: &'a Segments,
    /// The zone in which days begin and end.
    pub zone: &'a TimeZone,
    /// The shop's own inventory, which holds the items of approved rounds.
    pub inventory: Option<&'a HttpInventory>,
    /// This site among others, as this process has it.
    pub site: Option<&'a SiteSettings>,
}

impl Approver<'_> {
    /// Approves the round of this id, or completes its approval.
    ///
    /// # Errors
    /// [`ApproveError`]. Approving again is always safe.
    pub async fn approve(&self, id: &str, by: &Actor, now_ms: u64) -> Result<(), ApproveError> {
        self.approve_seen(id, None, by, now_ms).await
    }

    /// Approves the round if it is submitted in the version that was seen: of two
    /// supervisors at once, one succeeds.
    ///
    /// # Errors
    /// [`ApproveError`], for the other with [`ChangeError::NotAsSeen`].
    pub async fn approve_seen(
        &self,
        id: &str,
        seen: Option<u64>,
        by: &Actor,
        now_ms: u64,
    ) -> Result<(), ApproveError> {
        let Some(stored) = self.store.round(id).await? else {
            return Err(self.no_such_round(id).await?);
        };
        if stored.round.ends_ms <= now_ms {
            let (round, ends_ms) = (id.to_owned(), stored.round.ends_ms);
            return Err(ApproveError::Over { round, ends_ms });
        }
        refuse_withdrawn(&stored)?;
        if self.store.is_retired(id).await? {
            let (round, ends_ms) = (id.to_owned(), stored.round.ends_ms);
            return Err(ApproveError::Over { round, ends_ms });
        }
        self.refuse_crowded(&stored)?;
        // Checked first, lest the approval be left half done.
        self.redis.conn().await?;
        let masters = self.segments.masters().await?;
        for master in &masters {
            master.conn().await?;
        }
        alone::refuse(self.site, self.redis).await?;
        room::check(self.redis, &stored.round, now_ms).await??;
        // Held first: what is approved is sold, and what is sold must be there. Should the
        // approval fail now, the sweep returns what is held.
        if let Some(inventory) = self.inventory {
            holds::hold_round(self.store, inventory, &stored.round).await?;
        }
        self.store.approve_round(id, seen, by, now_ms).await?;
        self.put_on_sale(id, now_ms).await?;
        tracing::info!(
            round = id,
            products = stored.round.products.len(),
            "round approved"
        );
        Ok(())
    }

    /// Refuses a product that is to be divided among more masters than the list has. What was
    /// divided before stays.
    fn refuse_crowded(&self, stored: &StoredRound) -> Result<(), ApproveError> {
        let Some(masters) = self.segments.most() else {
            return Ok(());
        };
        let is_divided = |product: &Product| {
            let frozen = stored.frozen.get(&product.id);
            frozen.is_some_and(|frozen| !frozen.segments.is_empty())
        };
        let mut products = stored.round.products.iter();
        let crowded = products.find(|it| it.segments.len() > masters && !is_divided(it));
        crowded.map_or(Ok(()), |product| {
            Err(ApproveError::TooManySegments {
                product: product.id.clone(),
                segments: product.segments.len(),
                masters,
            })
        })
    }

    /// Publishes an approved round to Redis and has its pages rendered: the second half
    /// of an approval, repeated after each edit.
    ///
    /// # Errors
    /// [`ApproveError`]; a retry completes what was begun.
    pub async fn put_on_sale(&self, id: &str, now_ms: u64) -> Result<(), ApproveError> {
        loop {
            let version = self.write(id, now_ms).await?;
            // Somebody may have stopped or edited the round meanwhile, and have written
            // that to Redis before this.
            if self.store.round_version(id).await? == Some(version) {
                return Ok(());
            }
        }
    }

    /// Publishes a round as it is in the database; returns the version that was read.
    async fn write(&self, id: &str, now_ms: u64) -> Result<u64, ApproveError> {
        let stored = self.store.round(id).await?;
        let approved = stored.filter(|stored| stored.state == RoundState::Approved);
        let Some(stored) = approved else {
            return Err(self.no_such_round(id).await?);
        };
        if self.store.is_retired(id).await? {
            let (round, ends_ms) = (id.to_owned(), stored.round.ends_ms);
            return Err(ApproveError::Over { round, ends_ms });
        }
        let was_published = stored.published_ms.is_some();
        let broken = |source| ApproveError::Publish {
            round: id.to_owned(),
            was_published,
            source,
        };
        if !was_published {
            let alone = alone::refuse(self.site, self.redis).await;
            alone.map_err(|error| match error {
                AloneError::Link(error) => broken(error.into()),
                error => ApproveError::Alone(error),
            })?;
        }
        let published = self.publish(&stored, was_published, now_ms).await;
        published.map_err(broken)?;
        Ok(stored.trail.version)
    }

    /// Divides an approved round, and writes it to Redis.
    async fn publish(
        &self,
        stored: &StoredRound,
        was_published: bool,
        now_ms: u64,
    ) -> Result<(), PublishError> {
        let masters = self.segments.masters().await?;
        let round = self.divide(stored, masters.len()).await?;
        let (redis, segments, stops) = (self.redis, self.segments, &stored.stops);
        publish::publish(redis, segments, &round, stops, self.zone, was_published).await?;
        Ok(self.store.mark_published(&round.id, now_ms).await?)
    }

    /// Divides each product among its segments, evenly among the masters unless the
    /// round says otherwise or it was divided before. Returns the round as it sells.
    async fn divide(&self, stored: &StoredRound, masters: usize) -> Result<Round, StoreError> {
        let masters = u16::try_from(masters.min(MAX_SEGMENTS)).unwrap_or(1);
        let mut round = stored.in_force();
        let mut divided = Vec::new();
        for (product, planned) in round.products.iter_mut().zip(&stored.round.products) {
            if !product.segments.is_empty() {
                continue;
            }
            product.segments = match planned.segments.as_slice() {
                segments @ [_, ..] => segments.to_vec(),
                // Rounds published by an early version have one segment.
                [] if stored.published_ms.is_some() => vec![product.amount],
                [] => split_evenly(product.amount, masters),
            };
            divided.push((product.id.as_str(), product.segments.as_slice()));
        }
        self.store.freeze_segments(&round.id, &divided).await?;
        Ok(round)
    }

    async fn no_such_round(&self, id: &str) -> Result<ApproveError, StoreError> {
        let rounds = self.store.rounds().await?;
        let ids: Vec<&str> = rounds
            .iter()
            .map(|stored| stored.round.id.as_str())
            .collect();
        let known = match ids.as_slice() {
            [] => "import a sale first: seckill sale import FILE".to_owned(),
            ids => format!("there are {}", ids.join(", ")),
        };
        Ok(ApproveError::NoSuchRound {
            round: id.to_owned(),
            known,
        })
    }
}
