use jiff::tz::TimeZone;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::{BATCH, FollowError, PATIENCE, Switch, correct, items, read_entries, slow};
use crate::sale::publish::{date_of, put_on_day};
use crate::store::round::StoredRound;

impl Switch<'_> {
    /// Writes what the database says of every round on sale of which Redis says something
    /// else, and lists it under its day in `zone`. A round that fails keeps none of the
    /// others.
    ///
    /// # Errors
    /// The first failure, when all have been tried.
    pub async fn follow_forgotten(&self, zone: &TimeZone) -> Result<(), FollowError> {
        let mut failed = Ok(());
        for round in self.store.rounds_in_redis().await? {
            failed = failed.and(self.remind(&round, zone).await);
        }
        failed
    }

    async fn remind(&self, round: &str, zone: &TimeZone) -> Result<(), FollowError> {
        let compared = timeout(PATIENCE, self.has_forgotten(round)).await;
        if compared.unwrap_or_else(|_| Err(slow(round)))? {
            // First: what breaks off here still differs, and is repeated.
            let listed = timeout(PATIENCE, self.list(round, zone)).await;
            listed.unwrap_or_else(|_| Err(slow(round)))?;
            self.follow(round).await?;
            tracing::warn!(
                round,
                "Redis came back without what operators changed of this round, and has been told again"
            );
        }
        Ok(())
    }

    /// Lists a round under its day, to which an edit may have moved it meanwhile.
    async fn list(&self, id: &str, zone: &TimeZone) -> Result<(), FollowError> {
        let mut conn = self.redis.dedicated().await?;
        while let Some(StoredRound { round, trail, .. }) = self.store.round(id).await? {
            if let Some(date) = date_of(round.opens_ms, zone) {
                put_on_day(&mut conn, &round, &date).await?;
            }
            if self.store.round_version(id).await? == Some(trail.version) {
                break;
            }
        }
        Ok(())
    }

    async fn has_forgotten(&self, round: &str) -> Result<bool, FollowError> {
        let Some(stored) = self.store.round(round).await? else {
            return Ok(false);
        };
        let mut conn = self.redis.dedicated().await?;
        Ok(differs(&mut conn, &stored).await?)
    }
}

/// Whether an entry of the round says something else than the database. A product without
/// an entry has left Redis, or its approval is still to come.
async fn differs(
    conn: &mut MultiplexedConnection,
    stored: &StoredRound,
) -> Result<bool, redis::RedisError> {
    for batch in items(&stored.round).chunks(BATCH) {
        let entries = read_entries(conn, batch).await?;
        let is_other = entries.into_iter().any(|(item, _, entry)| {
            let mut right = entry;
            correct(&mut right, stored, item);
            right != entry
        });
        if is_other {
            return Ok(true);
        }
    }
    Ok(false)
}
