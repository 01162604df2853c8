use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::{BATCH, FollowError, PATIENCE, Switch, correct, items, read_entries, slow};
use crate::store::round::StoredRound;

impl Switch<'_> {
    /// Writes what the database says of every round on sale of which Redis says something
    /// else. A round that fails keeps none of the others.
    ///
    /// # Errors
    /// The first failure, when all have been tried.
    pub async fn follow_forgotten(&self) -> Result<(), FollowError> {
        let mut failed = Ok(());
        for round in self.store.rounds_in_redis().await? {
            failed = failed.and(self.remind(&round).await);
        }
        failed
    }

    async fn remind(&self, round: &str) -> Result<(), FollowError> {
        let compared = timeout(PATIENCE, self.has_forgotten(round)).await;
        if compared.unwrap_or_else(|_| Err(slow(round)))? {
            tracing::warn!(
                round,
                "Redis came back without what operators changed of this round; it is told again"
            );
            self.follow(round).await?;
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
